"""Days of a run, and times of day drawn from published tables."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources

import numpy as np

from networks.demand.trips import Floats

DAY_S = 86_400.0


@dataclass(frozen=True)
class Day:
    """One day of a run."""

    midnight_s: float
    """When it begins, after the start of the simulation; negative for the first [s]."""
    weekend: bool


def days(start: datetime, duration_s: float) -> list[Day]:
    """Return the days of a run and the one before, whose journeys may reach into it."""
    first = start.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    found: list[Day] = []
    while (midnight_s := (first - start).total_seconds()) < duration_s:
        found.append(Day(midnight_s, first.weekday() >= 5))
        first += timedelta(days=1)
    return found


@dataclass(frozen=True, eq=False)
class Profile:
    """Times of day: alike likely within each interval of a table."""

    edge_s: Floats
    """Bounds of the intervals, shape (interval + 1,) [s]."""
    share: Floats
    """Share of each interval, shape (interval,); adds up to 1."""

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw times of day [s], shape (count,)."""
        level = np.concatenate([[0.0], np.cumsum(self.share)])
        return np.interp(rng.random(count) * level[-1], level, self.edge_s)

    def until(self, time_s: float) -> float:
        """Return the share of a day before a time of day [s]."""
        return float(np.interp(time_s, self.edge_s, np.concatenate([[0.0], np.cumsum(self.share)])))


@cache
def _table(name: str) -> tuple[tuple[float, float], ...]:
    """Rows of a table of this folder: first hour of the interval and its figure."""
    text = (resources.files("networks.demand") / name).read_text("utf-8")
    rows = [[float(cell) for cell in row] for row in list(csv.reader(text.splitlines()))[1:]]
    return tuple((row[0], row[1]) for row in rows)


def profile(name: str, first_hour: float = 0.0, last_hour: float = 24.0) -> Profile:
    """Return a table of this folder as shares, of the intervals within some hours alone.

    Parameters
    ----------
    name
        File with the first hour of each interval and its figure; the last interval ends at 24.
    first_hour, last_hour
        Bounds that are bounds of intervals too.
    """
    rows = _table(name)
    hour = np.array([row[0] for row in rows] + [24.0])
    figure = np.array([row[1] for row in rows])
    inside = (hour[:-1] >= first_hour) & (hour[1:] <= last_hour)
    edges = np.append(hour[:-1][inside], hour[1:][inside][-1])
    return Profile(edges * 3600.0, figure[inside] / figure[inside].sum())


WEEKDAY = "vehicle_trips_by_hour.csv"
SATURDAY = "vehicle_trips_by_hour_saturday.csv"
TO_WORK = "departures_to_work.csv"
