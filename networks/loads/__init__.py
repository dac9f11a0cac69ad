"""Daily shapes of a feeder's own load, each with its source; see README.md in this folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UnknownOptionError

TICKS_PER_DAY = 288
_FOLDER = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Names of the load shapes that ship with Voltstep, in alphabetical order."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.csv")))


def load_shape(name: str) -> NDArray[np.float64]:
    """Multiplier on the published load for each 5-minute interval of a day.

    Parameters
    ----------
    name
        One of `names`.

    Returns
    -------
    ndarray
        Entry k holds from 5 k minutes after midnight, shape (288,) [1].

    Raises
    ------
    UserError
        No shape has this name; the message lists those that exist.
    """
    known = names()
    if name not in known:
        raise UnknownOptionError("load shape", name, known)
    with (_FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = [(float(r["hour_ending"]), float(r["multiplier"])) for r in csv.DictReader(file)]
    hours, multipliers = np.array(rows).T
    at = np.arange(TICKS_PER_DAY) * 24 / TICKS_PER_DAY
    return np.interp(at, hours, multipliers, period=24)
