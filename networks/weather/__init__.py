"""Typical days of ambient temperature, each with its source; see README.md in this folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UnknownOptionError

TICKS_PER_DAY = 288
VERIFIED = ("source", "secondary", "memory")
"""Read in the source, read in another text, or from memory and not checked."""
_FILE = Path(__file__).parent / "normals.toml"


@dataclass(frozen=True)
class TypicalDay:
    """Mean day of one month at one station, 1991 to 2020."""

    place: str
    """Name of the place."""
    month: str
    """Name of the month."""
    station: str
    """Weather station."""
    maximum_c: float
    """Mean daily maximum [degC]."""
    minimum_c: float
    """Mean daily minimum [degC]."""
    source: str
    """Where the two figures come from."""
    verified: str
    """One of `VERIFIED`."""


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


@cache
def typical_days() -> tuple[TypicalDay, ...]:
    """Return the days that ship with Voltstep."""
    days: list[TypicalDay] = []
    for place, months in _table().items():
        if place == "daily_range_fraction":
            continue
        for month, row in months.items():
            day = TypicalDay(place=place, month=month, **row)
            if day.verified not in VERIFIED or not day.minimum_c < day.maximum_c:
                raise ValueError(f"{place} {month}: needs minimum < maximum and a known check")
            days.append(day)
    return tuple(days)


def ambient_c(place: str, month: str) -> NDArray[np.float64]:
    """Ambient temperature of a typical day.

    Parameters
    ----------
    place, month
        As in `typical_days`.

    Returns
    -------
    ndarray
        Entry k holds from 5 k minutes after midnight, shape (288,) [degC].

    Raises
    ------
    UserError
        No such place or month; the message lists those that exist.

    Notes
    -----
    Maximum less a fraction of the daily range: ASHRAE Handbook of Fundamentals 2021, chapter 14,
    table 6, for the hours 1 to 24, straight lines between them. Hours are of solar time; in summer
    the clock runs more than an hour ahead, which is not corrected. The mean of the curve lies below
    the mean of maximum and minimum by 4 % of the daily range.
    """
    known = {f"{day.place} {day.month}": day for day in typical_days()}
    name = f"{place} {month}"
    if name not in known:
        raise UnknownOptionError("typical day", name, tuple(known))
    day = known[name]
    fraction = np.array(_table()["daily_range_fraction"], dtype=np.float64)
    at = np.arange(TICKS_PER_DAY) * 24 / TICKS_PER_DAY
    below = np.interp(at, np.arange(1, 25), fraction, period=24)
    return np.asarray(day.maximum_c - below * (day.maximum_c - day.minimum_c))
