"""What the fleet would have drawn without an event of demand response: two published baselines.

Both are of the kinds that the North American Energy Standards Board names: "meter before / meter
after", and "baseline type I" from the meter's own earlier days (M. Goldberg and G. Kennedy Agnew,
"Measurement and Verification for Demand Response", 2013, uses the same names).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from cosim.signals import TICK_S, TICKS_PER_HOUR

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

TICKS_PER_DAY = 24 * TICKS_PER_HOUR
BEFORE_TICKS = TICKS_PER_HOUR
"""Time before the notice whose mean is the baseline `before`. A single reading, as of a plant that
is switched off, would be chance with vehicles that come and go; the hour is ours."""
MOST_DAYS = 10
"""Earlier days that are averaged: "10 of 10", California ISO, Baseline Accuracy Work Group Proposal
(draft of April 2017), section 1; Australia's AEMO took it over."""
LOOK_BACK_DAYS = 45
"""Earlier days that are looked at (California ISO, from memory)."""
MOST_ADJUSTMENT = 0.2
"""Most by which the day itself moves the mean of the days before: 20 %, same proposal."""
ADJUSTED_FROM, ADJUSTED_TO = 4 * TICKS_PER_HOUR, TICKS_PER_HOUR
"""Time before the event that the adjustment compares (California ISO, from memory). It ends with
the notice where that is earlier, so that nobody can charge more to be paid more."""


def before(load_kw: Floats, notice: int, taken: Flags) -> float:
    """Return the mean load of the hour before the notice, or of what the run has of it [kW].

    Parameters
    ----------
    load_kw
        Load so far, shape (tick,) [kW].
    notice
        Tick with whose start the event is known.
    taken
        Ticks with another event, shape (tick,): the hour is put together from those before.
    """
    free = np.flatnonzero(~taken[: max(notice, 0)])[-BEFORE_TICKS:]
    return float(load_kw[free].mean()) if free.size else 0.0


def comparison(notice: int, start: int) -> tuple[int, int]:
    """Return first tick and end of the time that the adjustment of an event compares."""
    end = min(start - ADJUSTED_TO, notice)
    return end - (ADJUSTED_FROM - ADJUSTED_TO), end


def earlier_days(
    run_start: datetime, notice: int, start: int, end: int, taken: Flags
) -> Sequence[int]:
    """Return how many days back the days lie that an event is compared with, nearest first.

    They are of the same sort (Monday to Friday, or weekend), lie in the run with all of the time
    that is compared, and have no event of their own.

    Parameters
    ----------
    run_start
        Local time of tick 0.
    notice, start, end
        Ticks of the event.
    taken
        Ticks with another event, shape (tick,).
    """
    first, _ = comparison(notice, start)
    day = run_start + timedelta(seconds=start * TICK_S)
    found: list[int] = []
    for back in range(1, LOOK_BACK_DAYS + 1):
        moved = back * TICKS_PER_DAY
        if first - moved < 0 or len(found) == MOST_DAYS:
            break
        alike = ((day - timedelta(days=back)).weekday() < 5) == (day.weekday() < 5)
        if alike and not taken[first - moved : end - moved].any():
            found.append(back)
    return found


def of_days(load_kw: Floats, notice: int, start: int, end: int, days: Sequence[int]) -> Floats:
    """Return the mean load of earlier days at the same time, adjusted by the day itself.

    Parameters
    ----------
    load_kw
        Load so far, shape (tick,) [kW].
    notice, start, end
        Ticks of the event; `start` is not in `load_kw` yet.
    days
        Days back that are averaged, at least one.

    Returns
    -------
    ndarray
        Shape (end - start,) [kW].
    """
    first, last = comparison(notice, start)
    backs = [back * TICKS_PER_DAY for back in days]
    mean = np.mean([load_kw[start - back : end - back] for back in backs], axis=0)
    usual_kw = float(np.mean([load_kw[first - back : last - back].mean() for back in backs]))
    if usual_kw <= 0:
        return mean
    factor = float(load_kw[first:last].mean()) / usual_kw
    return mean * min(max(factor, 1 - MOST_ADJUSTMENT), 1 + MOST_ADJUSTMENT)
