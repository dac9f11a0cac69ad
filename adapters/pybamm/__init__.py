"""Batteries: electrochemical cells of every vehicle, stepped together as arrays.

The physics is a PyBaMM model, exported once (``export``), turned into one time step (``method``),
written out as array code (``tape``) and cached (``kernel``); ``cells`` steps it for all cells and
``packs`` makes vehicles of them. Only ``export`` and ``method`` import the engine, and only when
the cache is cold.
"""

import os

# Before anything imports PyBaMM: it would report home, and ask whether it may.
os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
