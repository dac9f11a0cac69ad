"""Energy prices over time, shipped with their source or from a file; see README.md here."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UnknownOptionError, UserError
from networks.prices.files import is_file, read_prices

TICK = timedelta(minutes=5)
_FILE = Path(__file__).parent / "ercot_dam_2022.csv.gz"
_FIRST = datetime(2022, 1, 1)
_END = datetime(2023, 1, 1)


@dataclass(frozen=True)
class PricePath:
    """Price of every 5 minutes of a run."""

    usd_per_mwh: NDArray[np.float64]
    """Shape (tick,) [USD/MWh]."""
    zone: str
    """Whose prices they are."""
    about: str
    """Where they come from and what daylight saving did to them, in words."""


def path_of(
    name: str, start: datetime, ticks: int, zone: str = "", time_zone: str = "America/Chicago"
) -> PricePath:
    """Return the prices of a run.

    Parameters
    ----------
    name
        One of `zones`, or a CSV or Parquet file.
    start
        Local start of the first interval, without time zone.
    ticks
        Number of intervals of 5 minutes.
    zone, time_zone
        For a file; see `networks.prices.files.read_prices`.

    Raises
    ------
    ScenarioError
        Every problem of a file at once, or that it does not cover the run.
    UserError
        The name is not known, the file cannot be read, or what ships does not cover the run.
    """
    if not is_file(name):
        found = day_ahead_usd_per_mwh(name, start, ticks)
        return PricePath(found, name, f"{name}, ERCOT day-ahead, hourly")
    read = read_prices(name, zone, time_zone, (start, _end(start, ticks)))
    minutes = (start - read.start) / timedelta(minutes=1) + 5 * np.arange(ticks)
    rows = (minutes // read.step_minutes).astype(np.int64)
    return PricePath(read.usd_per_mwh[rows], read.zone, read.about)


def zones() -> tuple[str, ...]:
    """Load zones that have prices, in file order."""
    return tuple(_table())


def day_ahead_usd_per_mwh(zone: str, start: datetime, ticks: int) -> NDArray[np.float64]:
    """Day-ahead price of each 5-minute interval.

    Parameters
    ----------
    zone
        One of `zones`.
    start
        Local start of the first interval, without time zone.
    ticks
        Number of intervals.

    Returns
    -------
    ndarray
        Shape (ticks,) [USD/MWh]. The price of hour ending h holds from h - 1 to h o'clock.

    Raises
    ------
    UserError
        The zone is not known, or the intervals leave the year that is there.

    Notes
    -----
    A run's clock does not jump: the hour that daylight saving skips has the price of the hour
    before it.
    """
    known = zones()
    if zone not in known:
        raise UnknownOptionError("price zone", zone, known)
    end = _end(start, ticks)
    if start < _FIRST or end > _END:
        raise UserError(
            f"no prices from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}: "
            f"there are prices from {_FIRST:%Y-%m-%d %H:%M} to {_END:%Y-%m-%d %H:%M}"
        )
    minutes = (start - _FIRST) / timedelta(minutes=1) + 5 * np.arange(ticks)
    hours = (minutes // 60).astype(np.int64)
    return _table()[zone][hours]


def _end(start: datetime, ticks: int) -> datetime:
    try:
        return start + ticks * TICK
    except OverflowError:
        return datetime.max


@cache
def _table() -> dict[str, NDArray[np.float64]]:
    """Price by zone for every hour of the year."""
    with gzip.open(_FILE, "rt", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    hours = int((_END - _FIRST) / timedelta(hours=1))
    at = [
        int((datetime.fromisoformat(row["date"]) - _FIRST).days) * 24 + int(row["hour_ending"]) - 1
        for row in rows
    ]
    table: dict[str, NDArray[np.float64]] = {}
    for zone in rows[0]:
        if zone in ("date", "hour_ending"):
            continue
        price = np.full(hours, np.nan)
        price[at] = [float(row[zone]) for row in rows]
        (skipped,) = np.flatnonzero(np.isnan(price))
        price[skipped] = price[skipped - 1]
        price.flags.writeable = False
        table[zone] = price
    return table
