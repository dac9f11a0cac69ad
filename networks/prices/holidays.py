"""Holidays of a tariff: those of a country and its parts, and days of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from cosim.errors import Problem, nearest
from cosim.section import Section

FIELD = "market.holidays"
_YEARS = range(2000, 2051)
"""Years in which a name is looked for."""
_SUNDAY = 6
_SHOWN = 40
"""Names that a message lists."""


def _iso(days: tuple[str, ...]) -> tuple[str, ...]:
    for day in days:
        try:
            date.fromisoformat(day)
        except ValueError:
            raise ValueError(f"must be dates such as 2022-12-24, not {day}") from None
    return days


Names = Annotated[tuple[str, ...], Field(strict=False)]


class Holidays(Section):
    """Days that periods of a tariff call holidays."""

    country: str = Field(
        default="US", description="whose public holidays: a code of ISO 3166, such as US or DE"
    )
    subdivisions: Names = Field(
        default=(), description="states or other parts whose own holidays are meant too: [WI]"
    )
    only: Names = Field(default=(), description="names of those that count; all if left out")
    observed: Literal["country", "monday", "off"] = Field(
        default="country",
        description="days off for holidays on a weekend: as the country has them, the Monday after "
        "a Sunday, or none",
    )
    dates: Annotated[Names, AfterValidator(_iso)] = Field(
        default=(), description="further days, such as ['2022-12-27']"
    )


def days(spec: Holidays, first: date, last: date) -> NDArray[np.datetime64]:
    """Return the holidays from a day to another.

    Parameters
    ----------
    spec
        Which ones; without `problems`.
    first, last
        Both are included.

    Returns
    -------
    ndarray
        Rising, in days.
    """
    found = {date.fromisoformat(day) for day in spec.dates}
    # A holiday of the year after, or before, may be observed in this one.
    for year in range(first.year - 1, last.year + 2):
        for day, name in _named(spec.country, spec.subdivisions, year, spec.observed == "country"):
            if _counts(name, spec.only):
                found.add(day)
                if spec.observed == "monday" and day.weekday() == _SUNDAY:
                    found.add(day + timedelta(days=1))
    within = sorted(day for day in found if first <= day <= last)
    return np.array(within, dtype="datetime64[D]")


def problems(spec: Holidays, field: str = FIELD) -> Iterator[Problem]:
    """Yield what is wrong with the names in `spec`."""
    known = _countries()
    if spec.country not in known:
        near = nearest(spec.country, known)
        yield Problem(f"{field}.country", spec.country, "must be a country's code such as US", near)
        return
    parts = known[spec.country]
    for part in spec.subdivisions:
        if part not in parts:
            allowed = f"must be a part of {spec.country}: {_listed(parts)}"
            yield Problem(f"{field}.subdivisions", part, allowed, nearest(part, parts))
    if set(spec.subdivisions) <= set(parts) and spec.only:
        every = _names(spec.country, spec.subdivisions)
        for name in spec.only:
            if name not in every:
                allowed = f"must be holidays there: {_listed(every)}"
                yield Problem(f"{field}.only", name, allowed, nearest(name, every))


def _counts(name: str, only: Sequence[str]) -> bool:
    # What is observed on another day says so behind its name.
    return not only or any(name == one or name.startswith(f"{one} (") for one in only)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "it has none"


@lru_cache(maxsize=512)
def _named(
    country: str, subdivisions: tuple[str, ...], year: int, observed: bool
) -> tuple[tuple[date, str], ...]:
    """Return the holidays of a year with their names, those of the whole country too."""
    found: dict[tuple[date, str], None] = {}
    for part in (None, *subdivisions):
        table = _library().country_holidays(country, subdiv=part, years=year, observed=observed)
        for day in sorted(table):
            found |= {(day, name): None for name in table.get_list(day)}
    return tuple(sorted(found))


def _names(country: str, subdivisions: tuple[str, ...]) -> list[str]:
    named = [_named(country, subdivisions, year, False) for year in _YEARS]
    return list(dict.fromkeys(name for year in named for _, name in year))


def _countries() -> dict[str, list[str]]:
    return _library().list_supported_countries()


def _library() -> Any:
    # It takes a third of a second to import, and few scenarios have holidays.
    import holidays

    return holidays
