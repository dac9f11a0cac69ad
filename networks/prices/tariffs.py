"""Time-of-use tariffs: prices by month, kind of day and hour; see README.md in this folder."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from cosim.errors import UnknownOptionError, UserError
from cosim.section import HourSpans, OneOrMore, Section
from networks.prices.holidays import Holidays, days

_FILE = Path(__file__).parent / "tariffs.toml"
_SLOTS = 288
"""Intervals of 5 minutes in a day."""
_DAYS = ("weekday", "weekend", "holiday")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

Month = Annotated[int, Field(ge=1, le=12)]
Day = Literal["all", "weekday", "weekend", "holiday"]


def _on_the_grid(spans: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    if any((12 * hour) % 1 for span in spans for hour in span):
        raise ValueError("must lie on whole 5 minutes, such as 6.25 for 06:15")
    return spans


class Period(Section):
    """Hours of some days of some months, and the price in them."""

    name: str = Field(default="", description="what the tariff calls it")
    usd_per_kwh: Annotated[float, Field(ge=-10, le=100)] = Field(
        description="price of energy [USD/kWh]"
    )
    months: Annotated[tuple[Month, ...], Field(min_length=1, strict=False)] = Field(
        default=tuple(range(1, 13)), description="months from 1 to 12; all if left out"
    )
    days: OneOrMore[Day] = Field(
        default=("all",),
        description="all, weekday (Monday to Friday), weekend, holiday, or a list of these; where "
        "no period says holiday, holidays count as any other day",
    )
    hours: Annotated[HourSpans, AfterValidator(_on_the_grid)] = Field(
        default=((0.0, 24.0),), description="spans of the day, such as [[22, 24], [0, 6]]"
    )


@dataclass(frozen=True)
class Tariff:
    """A published tariff."""

    name: str
    title: str
    source: str
    verified: str
    """``source``, ``secondary`` or ``memory``: how the figures were checked."""
    periods: tuple[Period, ...]
    holidays: Holidays


@cache
def _tariffs() -> dict[str, Tariff]:
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {
        name: Tariff(
            name=name,
            title=str(entry["title"]),
            source=str(entry["source"]),
            verified=str(entry["verified"]),
            periods=tuple(Period.model_validate(period) for period in entry["periods"]),
            holidays=Holidays.model_validate(entry.get("holidays", {})),
        )
        for name, entry in content.items()
    }


def names() -> tuple[str, ...]:
    """Names of the tariffs that ship with Voltstep."""
    return tuple(_tariffs())


def load(name: str) -> Tariff:
    """Return a shipped tariff.

    Raises
    ------
    UnknownOptionError
        No tariff has this name; the message lists those that exist.
    """
    if name not in _tariffs():
        raise UnknownOptionError("tariff", name, names())
    return _tariffs()[name]


def name_holidays(periods: Sequence[Period]) -> bool:
    """Whether a period is for holidays alone, so that they are days of their own."""
    return any("holiday" in period.days for period in periods)


def faults(periods: Sequence[Period]) -> list[str]:
    """Return where periods leave out or overlap: every 5 minutes must have exactly one price."""
    kinds = 3 if name_holidays(periods) else 2
    count = np.zeros((12, 3, _SLOTS), dtype=np.int64)
    for period in periods:
        for cells in _cells(period):
            count[cells] += 1
    found: dict[tuple[str, str, str], list[str]] = {}
    for month, day in np.ndindex(12, kinds):
        row = count[month, day]
        edges = np.flatnonzero(np.diff(row, prepend=-1, append=-1))
        for start, end in pairwise(edges.tolist()):
            if row[start] != 1:
                fault = "no period" if row[start] == 0 else f"{row[start]} periods"
                key = (fault, _DAYS[day], f"{_clock(start)} to {_clock(end)}")
                found.setdefault(key, []).append(_MONTHS[month])
    return [
        f"{fault} for {day}s from {span} in {', '.join(months)}"
        for (fault, day, span), months in found.items()
    ]


def usd_per_mwh(
    periods: Sequence[Period], start: datetime, ticks: int, holidays: Holidays | None = None
) -> NDArray[np.float64]:
    """Price of each 5-minute interval.

    Parameters
    ----------
    periods
        Periods that cover every 5 minutes of the year once.
    start
        Local start of the first interval.
    ticks
        Number of intervals.
    holidays
        Which days are holidays, where periods name them; those of the United States if left out.

    Returns
    -------
    ndarray
        Shape (ticks,) [USD/MWh].

    Raises
    ------
    UserError
        The periods leave out or overlap.
    """
    if wrong := faults(periods):
        raise UserError("; ".join(wrong))
    price = np.full((12, 3, _SLOTS), np.nan)
    for period in periods:
        for cells in _cells(period):
            price[cells] = 1000 * period.usd_per_kwh
    minute = np.datetime64(start, "m") + 5 * np.arange(ticks)
    day = minute.astype("datetime64[D]")
    month = minute.astype("datetime64[M]").astype(np.int64) % 12
    # The first of January 1970 was a Thursday.
    kind = ((day.astype(np.int64) + 3) % 7 >= 5).astype(np.int64)
    if name_holidays(periods):
        last = start + timedelta(minutes=5 * ticks)
        of_tariff = days(holidays or Holidays(), start.date(), last.date())
        kind[np.isin(day, of_tariff)] = _DAYS.index("holiday")
    slot = (minute - day).astype(np.int64) // 5
    return price[month, kind, slot]


def _cells(period: Period) -> Iterable[tuple[NDArray[np.intp], ...]]:
    """Return the cells (month, kind of day, 5 minutes) of each span of a period."""
    months = np.unique(period.months) - 1
    days = np.flatnonzero(["all" in period.days or day in period.days for day in _DAYS])
    for first, last in period.hours:
        slots = np.arange(round(12 * first), round(12 * last))
        yield months[:, None, None], days[:, None], slots


def _clock(slot: int) -> str:
    return f"{slot // 12:02d}:{slot % 12 * 5:02d}"
