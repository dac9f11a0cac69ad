"""One stream of random numbers per component, all from the scenario's seed."""

from __future__ import annotations

import zlib

import numpy as np


def stream(seed: int, component: str) -> np.random.Generator:
    """Return the generator of `component`; adding a component leaves the others' streams alone."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(component.encode())]))


def engine_seed(seed: int, component: str) -> int:
    """Return a seed for an engine that takes an integer, in 0..2**31-1."""
    return int(stream(seed, component).integers(0, 2**31 - 1))
