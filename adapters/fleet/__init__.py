"""Fleet operations: requests, assignment, charging sessions and service level."""
