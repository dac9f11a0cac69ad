"""Traffic: SUMO moves the vehicles of the fleet.

``meso`` moves a fleet tick by tick, ``micro`` does so car by car; ``legs`` starts and ends its
SUMO vehicles, ``itineraries`` takes over new plans, ``routes`` finds the ways, ``state`` holds what
is outside SUMO, ``energy`` draws the traction energy, ``engine`` and ``ear`` hold the one
simulation of the process.
"""
