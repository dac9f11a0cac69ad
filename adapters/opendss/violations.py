"""Limits of the feeder: what leaves them, when, how far and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOLTAGE_LOW_PU = 0.95
"""Lower limit of ANSI C84.1 range A."""
VOLTAGE_HIGH_PU = 1.05
"""Upper limit of ANSI C84.1 range A."""
LOADING_HIGH_PCT = 100.0
UNBALANCE_HIGH_PCT = 3.0
"""Limit of ANSI C84.1, annex C, at no load; here for the negative over the positive sequence."""


class Watch:
    """Turns values that leave a band into events at the begin and at the end of each violation.

    Parameters
    ----------
    kind
        Kind of the events, for example ``voltage_violation``.
    ids
        Element of each value.
    low, high
        The band, one for all or one for each.
    """

    def __init__(
        self,
        kind: str,
        ids: Sequence[str],
        low: float | NDArray[np.float64],
        high: float | NDArray[np.float64],
    ) -> None:
        self._kind = kind
        self._ids = tuple(ids)
        self._low = np.broadcast_to(low, len(self._ids))
        self._high = np.broadcast_to(high, len(self._ids))
        self._active = np.zeros(len(self._ids), dtype=bool)
        self._start_s = np.zeros(len(self._ids))
        self._worst = np.zeros(len(self._ids))

    def update(self, time_s: float, values: NDArray[np.float64]) -> list[dict[str, Any]]:
        """Take the values that hold from `time_s` on and return what began or ended.

        Parameters
        ----------
        time_s
            Simulation time at which the values begin to hold [s].
        values
            One per element, shape (element,).

        Returns
        -------
        list of dict
            Events with the keys ``time_s``, ``kind``, ``place``, ``value``, ``limit``,
            ``start_s`` and ``detail``. At the begin ``value`` is the value found, at the end the
            worst one; ``detail`` says which of the two it is and how long it lasted.
        """
        excess = np.maximum(values - self._high, self._low - values)
        outside = excess > 0
        began, ended = outside & ~self._active, self._active & ~outside
        self._start_s[began] = time_s
        self._worst[began] = values[began]
        worst_excess = np.maximum(self._worst - self._high, self._low - self._worst)
        worse = outside & (excess > worst_excess)
        self._worst[worse] = values[worse]
        self._active = outside
        return [
            *(self._event(int(i), time_s, ended=True) for i in np.flatnonzero(ended)),
            *(self._event(int(i), time_s, ended=False) for i in np.flatnonzero(began)),
        ]

    def finish(self, time_s: float) -> list[dict[str, Any]]:
        """End every open violation at `time_s`, the end of the run."""
        still = np.flatnonzero(self._active)
        self._active = np.zeros_like(self._active)
        return [self._event(int(i), time_s, ended=True) for i in still]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is violated, since when and how far, for a checkpoint."""
        kept = {"active": self._active, "start_s": self._start_s, "worst": self._worst}
        return {name: value.copy() for name, value in kept.items()}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `arrays`; KeyError if one is missing."""
        self._active, self._start_s = arrays["active"].copy(), arrays["start_s"].copy()
        self._worst = arrays["worst"].copy()

    def _event(self, i: int, time_s: float, ended: bool) -> dict[str, Any]:
        worst, start_s = float(self._worst[i]), float(self._start_s[i])
        return {
            "time_s": float(time_s),
            "kind": self._kind,
            "place": self._ids[i],
            "value": worst,
            "limit": float(self._high[i] if worst > self._high[i] else self._low[i]),
            "start_s": start_s,
            "detail": f"end after {time_s - start_s:g} s" if ended else "begin",
        }
