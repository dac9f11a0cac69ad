"""Distribution feeders in the project's own tabular form, each with its source.

>>> from networks import feeders
>>> feeders.load("ieee123").load_kw
3490.0
"""

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
    "load",
    "names",
]
