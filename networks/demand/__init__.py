"""Demand for trips over the day; see README.md in this folder for the source."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray


@cache
def trips_by_hour() -> tuple[float, ...]:
    """Return the vehicle trips that begin in each hour of a weekday, in the source's unit."""
    text = (resources.files("networks.demand") / "vehicle_trips_by_hour.csv").read_text("utf-8")
    rows = {int(row["hour"]): float(row["trips"]) for row in csv.DictReader(text.splitlines())}
    return tuple(rows[hour] for hour in range(24))


def start_times_s(
    per_day: float, start_s: float, duration_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the times at which trips are asked for, sorted, with the hourly profile.

    Parameters
    ----------
    per_day
        Trips of a whole day [1/day].
    start_s
        Time of day at which the simulation starts [s].
    duration_s
        Simulated time [s].
    rng
        Random generator.

    Returns
    -------
    ndarray
        Whole seconds after the start, shape (trips,). Their number is the expected one, rounded.
    """
    share = np.asarray(trips_by_hour()) / sum(trips_by_hour())
    # Expected trips from midnight of the first day on, a straight line within each hour.
    days = int(np.ceil((start_s + duration_s) / 86_400)) + 1
    knots_s = np.arange(days * 24 + 1) * 3600.0
    expected = np.concatenate([[0.0], np.cumsum(np.tile(share, days))]) * per_day
    first, last = np.interp([start_s, start_s + duration_s], knots_s, expected)
    count = round(float(last - first))
    drawn = np.sort(rng.uniform(first, last, count))
    return np.floor(np.interp(drawn, expected, knots_s) - start_s)
