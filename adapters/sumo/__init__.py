"""Traffic: SUMO moves the vehicles of the fleet.

``meso`` moves a fleet tick by tick, ``micro`` does so car by car; ``legs`` starts and ends its
SUMO vehicles, ``drives`` holds their ways, ``readings`` reads their odometers, ``itineraries``
takes over new plans, ``edge_times`` measures travel times, ``closures`` closes roads,
``background`` fills them, ``congestion`` says by how much that slows them, ``telling`` makes
events, ``state`` holds what is outside SUMO, ``energy`` draws the traction energy, ``engine`` and
``ear`` hold the one simulation of the process.
"""
