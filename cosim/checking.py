"""Comparing figures: what a broken law says, and the checks that find one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.errors import AuditError
from cosim.signals import TICK_S, Ids

ABSOLUTE, RELATIVE = 1e-6, 1e-6
"""Figures are equal within this, absolute in their unit plus relative."""


@dataclass(frozen=True)
class Breach:
    """One broken law."""

    law: str
    tick: int
    dim: str
    """Dimension of the culprit, empty for a sum."""
    index: int
    where: str
    """The culprit, such as ``vehicle 17``."""
    found: float
    expected: float
    unit: str

    def error(self) -> AuditError:
        """Return the breach as the error that stops a run."""
        return AuditError(self.law, self.tick, self.where, self.found, self.expected, self.unit)

    def event(self) -> dict[str, Any]:
        """Return the breach as an event."""
        named = {self.dim: self.index} if self.dim in ("vehicle", "station") else {}
        return {
            "kind": "audit_breach",
            "time_s": float((self.tick + 1) * TICK_S),
            "value": self.found,
            "limit": self.expected,
            "detail": f"{self.law}: {self.where} [{self.unit}]",
            **named,
        }


class Checker:
    """Checks of one tick; each yields the worst breach, if there is one."""

    def __init__(self, tick: int, ids: Ids) -> None:
        self._tick = tick
        self._ids = ids

    def equal(
        self, law: str, dim: str, found: Any, expected: Any, unit: str, absolute: Any = ABSOLUTE
    ) -> Iterator[Breach]:
        """Compare two arrays over `dim`."""
        gap = np.abs(found - expected) - absolute - RELATIVE * np.abs(expected)
        yield from self._worst(law, dim, gap, found, expected, unit)

    def at_most(
        self, law: str, dim: str, found: Any, limit: Any, unit: str, relative: float = RELATIVE
    ) -> Iterator[Breach]:
        """Hold an array over `dim` to limits."""
        gap = found - limit - ABSOLUTE - relative * np.abs(limit)
        yield from self._worst(law, dim, gap, found, limit, unit)

    def equal_sum(
        self, law: str, found: Any, expected: Any, unit: str, absolute: float = ABSOLUTE
    ) -> Iterator[Breach]:
        """Compare two sums."""
        left, right = float(np.sum(found)), float(np.sum(expected))
        if not abs(left - right) <= absolute + RELATIVE * abs(right):
            yield Breach(law, self._tick, "", -1, "the sum", left, right, unit)

    def _worst(
        self, law: str, dim: str, gap: Any, found: Any, expected: Any, unit: str
    ) -> Iterator[Breach]:
        # Not <= rather than >, so that a NaN is a breach.
        if not (gap <= 0).all():
            index = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
            where = f"{dim} {self._ids[dim][index]}"
            figures = float(found[index]), float(expected[index])
            yield Breach(law, self._tick, dim, index, where, *figures, unit)
