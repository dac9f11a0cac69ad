"""Fastest free-flow ways between ends of edges, and where on them a vehicle is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.tick import Floats
from networks.roads.routing import Router

_STEPS = 2**30
"""Steps of a way's time: whole ones, so that a place does not depend on the number of its way."""


class Journeys:
    """Ways that are kept once found, as one array of edges; a way is known by its number.

    The ways are those of a router at free flow, as SUMO drives them: from the start of the edge
    after that where the vehicle stood.
    """

    def __init__(self, router: Router) -> None:
        self.roads, self._router = router.roads, router
        self._number: dict[tuple[int, ...], int | str] = {}
        self._count = 0
        self._used = 0
        self._km, self._free_s = np.zeros(64), np.zeros(64)
        self._edge, self._end = np.zeros(1024, np.int32), np.zeros(1024, np.int64)

    def find(self, start: int, end: int, via: Sequence[int] = ()) -> int | str:
        """Return the number of the way, or in words why there is none.

        Parameters
        ----------
        start, end
            Edges at whose ends it begins and ends.
        via
            Edges to pass in order; see `Router.way`.
        """
        key = (start, end, *via)
        found = self._number.get(key)
        if found is None:
            found = self._number[key] = self._search(start, end, via)
        return found

    def figures(self, number: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return length [km] and free-flow time [s] of ways."""
        return self._km[number], self._free_s[number]

    def edge_at(self, number: NDArray[np.int64], share: Floats) -> NDArray[np.int32]:
        """Return the edge where a share of a way's free-flow time has passed."""
        # A vehicle under way is on the last edge at most, never past it.
        passed = np.clip(share * _STEPS, 0, _STEPS - 1).astype(np.int64)
        place = number * _STEPS + passed
        return self._edge[np.searchsorted(self._end[: self._used], place, side="right")]

    def _search(self, start: int, end: int, via: Sequence[int]) -> int | str:
        turns = self._router.way(start, end, via)
        if isinstance(turns, str):
            return turns
        roads = self.roads
        # The junction before the first edge takes time, but the drive begins on that edge.
        edges = roads.turn_to[turns] if turns else np.array([end], np.int32)
        seconds = self._router.free_s[edges] + (roads.turn_time_s[turns] if turns else 0.0)
        metres = roads.length_m[edges].sum() + roads.turn_length_m[turns[1:]].sum()
        return self._keep(edges, float(metres) / 1000.0, seconds)

    def _keep(self, edges: NDArray[np.int32], km: float, seconds: Floats) -> int:
        number, until = self._count, self._used + len(edges)
        if number >= len(self._km):
            self._km, self._free_s = np.tile(self._km, 2), np.tile(self._free_s, 2)
        while until > len(self._edge):
            self._edge, self._end = np.tile(self._edge, 2), np.tile(self._end, 2)
        passed = np.cumsum(seconds)
        self._km[number], self._free_s[number] = km, passed[-1]
        self._edge[self._used : until] = edges
        steps = np.rint(passed / passed[-1] * _STEPS).astype(np.int64)
        self._end[self._used : until] = number * _STEPS + steps
        self._count, self._used = number + 1, until
        return number
