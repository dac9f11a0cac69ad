"""The ways of the legs under way, side by side in flat arrays, so that many are read at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.tick import Floats, Ints, Progress
from networks.roads import RoadNetwork
from networks.roads.routing import Turns

_SPARE = 2
"""Room that ways which ended may take, over that of the ways under way."""


class Drives:
    """Ways by vehicle: at most one is under way, more may have ended within the tick.

    Mesoscopic SUMO moves a departure to the start of its segment, so a vehicle that stands at the
    end of an edge departs at the start of the edge that follows: the first turn is not driven.

    Parameters
    ----------
    roads
        Road network.
    vehicles
        Number of vehicles.
    """

    def __init__(self, roads: RoadNetwork, vehicles: int) -> None:
        self._turn_m = roads.turn_length_m
        self._edge_m = roads.length_m
        self._edge_of = roads.turn_to
        self._name = np.array([roads.edge_ids[e] for e in roads.turn_to.tolist()], np.object_)
        self.turn = np.zeros(0, np.int32)
        """Turns of the ways, one way after the other."""
        self.entered_m = np.zeros(0)
        """Distance from the start of the way at which the edge after each turn is entered [m]."""
        self.first = np.zeros(vehicles, np.int64)
        """Where the way of each vehicle begins, shape (vehicle,)."""
        self.number = np.zeros(vehicles, np.int64)
        """Edges on the way of each vehicle, shape (vehicle,)."""
        self.length_m = np.zeros(vehicles)
        """Length of the way of each vehicle, shape (vehicle,) [m]."""
        self._fresh: list[tuple[Ints, Ints, NDArray[np.int32]]] = []

    def begin(self, vehicles: Sequence[int], ways: Sequence[Turns]) -> list[list[str]]:
        """Note the ways of vehicles; they count from the next `settle` on.

        Returns
        -------
        list of list of str
            SUMO ids of the edges driven on, for each way.
        """
        number = np.fromiter(map(len, ways), np.int64, len(ways))
        turn = np.fromiter(chain.from_iterable(ways), np.int32, int(number.sum()))
        self._fresh.append((np.array(vehicles, np.int64), number, turn))
        # One look-up for all ways takes half the time of one for each.
        names: list[str] = self._name[turn].tolist()
        return [names[a:b] for a, b in pairwise([0, *np.cumsum(number).tolist()])]

    def settle(self) -> None:
        """Take the ways that began since the last call into the arrays."""
        if not self._fresh:
            return
        vehicles, number, turn = (np.concatenate(part) for part in zip(*self._fresh, strict=True))
        self._fresh = []
        first = np.cumsum(number) - number
        edge_m = self._edge_m[self._edge_of[turn]]
        # The edge itself, and the first turn, are not behind a vehicle that enters the edge.
        entered_m = np.cumsum(self._turn_m[turn] + edge_m) - edge_m
        entered_m -= np.repeat(entered_m[first], number)
        last = first + number - 1
        self.length_m[vehicles] = entered_m[last] + edge_m[last]
        self.first[vehicles], self.number[vehicles] = first + len(self.turn), number
        self.turn = np.concatenate([self.turn, turn])
        self.entered_m = np.concatenate([self.entered_m, entered_m])

    def edge(self, vehicles: Ints, position: Ints) -> NDArray[np.int32]:
        """Return the edge at a position of each vehicle's way."""
        return self._edge_of[self.turn[self.first[vehicles] + position]]

    def way(self, vehicle: int) -> Turns:
        """Return the turns of the way of a vehicle."""
        first = int(self.first[vehicle])
        return self.turn[first : first + int(self.number[vehicle])].tolist()

    def ahead(self, vehicles: Ints, position: Ints, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether a wanted edge lies ahead on each way, beyond the edge at a position."""
        count = self.number[vehicles] - position - 1
        at, of = _spread(self.first[vehicles] + position + 1, count)
        return np.bincount(of, wanted[self._edge_of[self.turn[at]]], len(vehicles)) > 0

    def drop(self, under_way: NDArray[np.bool_]) -> None:
        """Let go of ways that ended, once they take more room than those of `under_way`."""
        kept = np.flatnonzero(under_way)
        if len(self.turn) <= _SPARE * int(self.number[kept].sum()):
            return
        at, _ = _spread(self.first[kept], self.number[kept])
        self.turn, self.entered_m = self.turn[at], self.entered_m[at]
        self.first[kept] = np.cumsum(self.number[kept]) - self.number[kept]

    def stretches(self, done: Progress) -> tuple[NDArray[np.int32], Floats, Ints]:
        """Return the edges of stretches, the share of each that was driven, and whose it is."""
        at, of = _spread(done.first + done.from_position, done.to_position - done.from_position + 1)
        edge = self._edge_of[self.turn[at]]
        begin_m = np.maximum(self.entered_m[at], done.from_m[of])
        end_m = np.minimum(self.entered_m[at] + self._edge_m[edge], done.to_m[of])
        return edge, np.clip((end_m - begin_m) / self._edge_m[edge], 0.0, 1.0), of

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name, for a checkpoint."""
        return {f"way_{name}": getattr(self, name) for name in _KEPT}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Set all arrays from those of a checkpoint; KeyError if one is missing."""
        for name in _KEPT:
            setattr(self, name, arrays[f"way_{name}"].copy())
        self._fresh = []


_KEPT = ("turn", "entered_m", "first", "number", "length_m")


def _spread(first: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Return all positions of ranges one after the other, and the range of each."""
    of = np.repeat(np.arange(len(count)), count)
    begun = np.cumsum(count) - count
    return np.arange(len(of)) - begun[of] + first[of], of
