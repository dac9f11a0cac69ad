"""Key figures in general: how they are defined, computed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from cosim.run_data import RunData


@dataclass(frozen=True)
class Figure:
    """One key figure."""

    value: float | None
    """None where the run has nothing to measure it on."""
    unit: str
    meaning: str
    volatile: bool = False
    by_segment: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """The same for each segment of the fleet; empty where it is no figure of vehicles."""


Rule = Callable[[RunData], float | None]
AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(frozen=True)
class Definition:
    """How a key figure is made; `rule` takes the run, or a segment of it."""

    unit: str
    meaning: str
    volatile: bool
    of_segments: bool
    rule: Rule


DEFINITIONS: dict[str, Definition] = {}
"""Every key figure by its key, in the order in which they are defined."""


def figure(
    key: str, unit: str, meaning: str, *, volatile: bool = False, of_segments: bool = False
) -> Callable[[AnyRule], AnyRule]:
    """Define a figure by the function that is decorated."""

    def add(rule: AnyRule) -> AnyRule:
        DEFINITIONS[key] = Definition(unit, meaning, volatile, of_segments, rule)
        return rule

    return add


def of_vehicles(key: str, unit: str, meaning: str) -> Callable[[AnyRule], AnyRule]:
    """Define a figure of what vehicles do, which every segment has too."""
    return figure(key, unit, meaning, of_segments=True)


def steady(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Return the values that do not rest on wall time, of the fleet and of its segments."""
    kept = {key: figure for key, figure in figures.items() if not figure.volatile}
    return {key: (figure.value, dict(figure.by_segment)) for key, figure in kept.items()}


def plain(figures: Mapping[str, Figure]) -> dict[str, Any]:
    """Return what ``kpis.json`` holds; ``by_segment`` stands only where there is something."""
    content: dict[str, Any] = {}
    for key, figure in figures.items():
        content[key] = {"value": figure.value, "unit": figure.unit, "meaning": figure.meaning}
        if figure.by_segment:
            content[key]["by_segment"] = dict(figure.by_segment)
    return content


def finite(value: float | None) -> float | None:
    """Return a value that is a finite number, else None."""
    return value if value is not None and np.isfinite(value) else None


def ratio(top: float, bottom: float) -> float | None:
    """Return a quotient, None where there is nothing to divide by."""
    return top / bottom if bottom else None
