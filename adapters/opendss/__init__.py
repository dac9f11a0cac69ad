"""Distribution feeders solved by OpenDSS: lines, regulators, service transformers, chargers."""
