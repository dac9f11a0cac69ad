"""Fastest free-flow ways between ends of edges, and where on them a vehicle is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.tick import Floats
from networks.roads import RoadNetwork

_STEPS = 2**30
"""Steps of a way's time: whole ones, so that a place does not depend on the number of its way."""


class Journeys:
    """Ways that are kept once found, as one array of edges; a way is known by its number.

    The ways are those of `RoadNetwork`, as SUMO drives them: from the start of the edge after that
    where the vehicle stood.
    """

    def __init__(self, roads: RoadNetwork) -> None:
        self._roads = roads
        self._turn: dict[tuple[int, int], int] = {
            (a, b): i
            for i, (a, b) in enumerate(
                zip(roads.turn_from.tolist(), roads.turn_to.tolist(), strict=True)
            )
        }
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
            Edges to pass in order; one that cannot be passed is left out.
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
        roads = self._roads
        count = len(roads.edge_ids)
        for edge in (start, end):
            if not 0 <= edge < count:
                return f"there is no edge {edge}; the network has {count}"
        edges = self._through(start, end, [point for point in via if 0 <= point < count])
        if not edges:
            return f"no way leads from {roads.edge_ids[start]} to {roads.edge_ids[end]}"
        driven = edges[1:] or edges
        turns = [self._turn[pair] for pair in pairwise(edges)] or [-1]
        seconds = roads.length_m[driven] / roads.speed_mps[driven]
        metres = roads.length_m[driven].astype(np.float64)
        if len(edges) > 1:
            seconds = seconds + roads.turn_time_s[turns]
            # The junction before the first edge is not driven: the drive begins on that edge.
            metres[1:] += roads.turn_length_m[turns[1:]]
        return self._keep(driven, float(metres.sum()) / 1000.0, seconds)

    def _through(self, start: int, end: int, via: list[int]) -> list[int]:
        """Return the edges of the way, both ends included; empty where none leads."""
        path = self._roads.path
        edges = [start]
        for point in via:
            there = path(edges[-1], point)
            if there and path(point, end):
                edges += there[1:]
        rest = path(edges[-1], end)
        return [*edges, *rest[1:]] if rest else []

    def _keep(self, edges: list[int], km: float, seconds: Floats) -> int:
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
