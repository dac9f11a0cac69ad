"""Road networks: tables with their sources, converted to SUMO nets at first use.

`load` returns a `RoadNetwork`; `names` lists what ships; `read_net` reads any SUMO net file.
"""

from networks.roads.catalogue import load, names
from networks.roads.netfile import read_net
from networks.roads.network import RoadNetwork

__all__ = ["RoadNetwork", "load", "names", "read_net"]
