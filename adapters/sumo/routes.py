"""Routes between ends of edges over allowed turns only, kept once found.

The ways are those of `RoadNetwork`, so that what a fleet plans with is what is driven. SUMO's own
router is not asked: mesoscopic SUMO follows a route that breaks without a word, and its fastest
algorithm (CCH, 1.28) crashes in a process that has held another network before.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from adapters.sumo.engine import Sumo
from networks.roads import RoadNetwork


@dataclass(frozen=True, eq=False)
class Route:
    """A drive from the end of one edge to the end of another."""

    id: str
    """SUMO id."""
    edges: tuple[int, ...]
    """Edges driven on, in order; the edge where the vehicle stood is not among them."""
    start_m: tuple[float, ...]
    """Distance driven when each edge is entered [m]; inside junctions counts."""
    length_m: float
    """Distance of the whole drive [m]."""


class Routes:
    """Routes by pair of edges, registered with SUMO when first asked for.

    Notes
    -----
    Mesoscopic SUMO moves a departure to the start of its segment, so a vehicle that stands at the
    end of an edge departs at the start of the edge that follows.
    """

    def __init__(self, sumo: Sumo, roads: RoadNetwork) -> None:
        self._sumo, self.roads = sumo, roads
        self._turn_m = {
            (int(a), int(b)): float(m)
            for a, b, m in zip(roads.turn_from, roads.turn_to, roads.turn_length_m, strict=True)
        }
        self._known: dict[tuple[int, int], Route | str] = {}

    def find(self, start: int, end: int, tick: int) -> Route | str:
        """Return the fastest free-flow route, or in words why there is none.

        Raises
        ------
        TrafficError
            If SUMO itself fails.
        """
        pair = (start, end)
        if pair not in self._known:
            self._known[pair] = self._search(start, end, tick)
        return self._known[pair]

    def forget(self) -> None:
        """Drop all routes, after SUMO lost them by loading a state."""
        self._known.clear()

    def _search(self, start: int, end: int, tick: int) -> Route | str:
        count = len(self.roads.edge_ids)
        for edge in (start, end):
            if not 0 <= edge < count:
                return f"there is no edge {edge}; the network has {count}"
        a, b = self.roads.edge_ids[start], self.roads.edge_ids[end]
        if start == end:
            return Route(id="", edges=(), start_m=(), length_m=0.0)
        edges = self.roads.path(start, end)
        if not edges:
            return f"no way leads from {a} to {b}"
        route_id = f"{start}_{end}"
        with self._sumo.calling(f"route {a} to {b}", tick) as api:
            if route_id not in api.route.getIDList():
                api.route.add(route_id, [self.roads.edge_ids[e] for e in edges[1:]])
        driven = edges[1:]
        metres = self.roads.length_m[driven]
        turns = [self._turn_m[pair] for pair in pairwise(driven)]
        start_m = np.concatenate([[0.0], np.cumsum(metres[:-1] + np.array(turns, np.float64))])
        return Route(
            id=route_id,
            edges=tuple(driven),
            start_m=tuple(start_m.tolist()),
            length_m=float(start_m[-1] + metres[-1]),
        )
