"""Distribution feeders in the project's own tabular form, each with its source, and users' own.

>>> from networks import feeders
>>> feeders.load("ieee123").load_kw
3490.0
"""

from networks.feeders.masters import SUFFIX, files_of, find, load_kw
from networks.feeders.tables import (
    Bus,
    Capacitor,
    Configuration,
    FeederData,
    Line,
    Load,
    Regulator,
    Source,
    Switch,
    Transformer,
    load,
    names,
)

__all__ = [
    "SUFFIX",
    "Bus",
    "Capacitor",
    "Configuration",
    "FeederData",
    "Line",
    "Load",
    "Regulator",
    "Source",
    "Switch",
    "Transformer",
    "files_of",
    "find",
    "load",
    "load_kw",
    "names",
]
