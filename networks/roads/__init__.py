"""Road networks: shipped ones made at first use, imported and generated ones, and net files.

`load` returns a `RoadNetwork` by name or path; `names` lists what there is, `find` says what a name
refers to without reading it; `import_file` and `generate` add to them; `read_net` reads any SUMO
net file.
"""

from networks.roads.catalogue import entries, find, load, names
from networks.roads.generate import generate
from networks.roads.importing import import_file
from networks.roads.netfile import read_net
from networks.roads.network import RoadNetwork

__all__ = [
    "RoadNetwork",
    "entries",
    "find",
    "generate",
    "import_file",
    "load",
    "names",
    "read_net",
]
