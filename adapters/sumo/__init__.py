"""Traffic: SUMO moves the vehicles of the fleet."""
