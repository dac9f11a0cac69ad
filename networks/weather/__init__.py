"""Typical days of ambient temperature, each with its source; see README.md in this folder."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UnknownOptionError, UserError

TICKS_PER_DAY = 288
VERIFIED = ("source", "secondary", "memory")
"""Read in the source, read in another text, or from memory and not checked."""
FILES = ".csv"
"""End of the names of weather files, in small letters."""
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


def shipped() -> tuple[str, ...]:
    """Return the names of the typical days, as `series` takes them."""
    return tuple(f"{day.place}_{day.month}" for day in typical_days())


def series(name: str, start: datetime, ticks: int) -> NDArray[np.float64]:
    """Ambient temperature in every tick of a run.

    Parameters
    ----------
    name
        One of `shipped`, repeated every day; or the path of a CSV file with the columns ``time``
        (local, ISO 8601, ascending) and ``temperature_c``, with straight lines between its rows.
    start
        Local time of the first tick.
    ticks
        Ticks of 300 s.

    Returns
    -------
    ndarray
        Temperature at the begin of each tick, shape (ticks,) [degC].

    Raises
    ------
    UserError
        If there is no such day or file, or it does not cover the run.
    """
    if not name.lower().endswith(FILES):
        if name not in shipped():
            raise UnknownOptionError("weather series", name, (*shipped(), "a .csv file"))
        place, _, month = name.rpartition("_")
        day = ambient_c(place, month)
        seconds = start.hour * 3600 + start.minute * 60 + start.second
        first = seconds * TICKS_PER_DAY // 86_400
        return day[(first + np.arange(ticks)) % TICKS_PER_DAY]
    times, values = _read_csv(Path(name))
    wanted = np.arange(ticks) * 86_400 / TICKS_PER_DAY
    known = np.array([(moment - start).total_seconds() for moment in times])
    if known[0] > 0 or known[-1] < wanted[-1]:
        last = start + timedelta(seconds=float(wanted[-1]))
        raise UserError(f"{name} runs from {times[0]} to {times[-1]}, not from {start} to {last}")
    return np.interp(wanted, known, values)


def _read_csv(path: Path) -> tuple[list[datetime], NDArray[np.float64]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    columns = list(reader.fieldnames or ())
    if rows and not {"time", "temperature_c"} <= set(columns):
        raise UserError(
            f"{path} needs the columns time and temperature_c, comma-separated; it has {columns}"
        )
    times: list[datetime] = []
    values: list[float] = []
    for line, row in enumerate(rows, start=2):
        try:
            moment = datetime.fromisoformat(row["time"])
            if moment.tzinfo is not None:
                raise ValueError(f"{row['time']} names a time zone; times are local, without one")
            times.append(moment)
            values.append(float(row["temperature_c"]))
        except (TypeError, ValueError) as error:
            wanted = "a time such as 2022-09-14T13:00 and a temperature_c in degrees"
            raise UserError(f"{path}, line {line}: needs {wanted}: {error}") from None
        if len(times) > 1 and times[-1] <= times[-2]:
            raise UserError(f"{path}, line {line}: {times[-1]} is not after the line before")
    if not times:
        raise UserError(f"{path} has no rows")
    if not np.isfinite(values).all():
        raise UserError(f"{path} holds temperatures that are not numbers")
    return times, np.array(values)
