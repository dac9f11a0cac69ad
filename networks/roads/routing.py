"""Fastest ways at the travel times of the moment, many of them, and alternatives to them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from itertools import repeat

import numpy as np
from numpy.typing import ArrayLike, NDArray
from routingkit_cch import (
    CCH,
    CCHMetric,
    CCHMetricPartialUpdater,
    CCHQuery,
    compute_order_inertial,
)
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from networks.roads.network import RoadNetwork
from networks.roads.ways import PER_S, FloatArray

Turns = list[int]
"""A way, as the turns that it takes in order: positions in the network's arrays of turns."""
_BARRED = 2**31 - 1
"""Weight that the hierarchy takes for infinite."""
_FEW_TURNS = 40
"""With so many new weights it is quicker to follow them up than to start over."""


class Router:
    """Fastest ways between ends of edges over allowed turns, by a contraction hierarchy.

    The nodes of its graph are edges, its arcs turns; an arc costs the turn and the edge after it.
    The hierarchy is built once from the shape of the network and takes new travel times at a
    thousandth of that. Ways are the same in every process that was told the same.

    Parameters
    ----------
    roads
        Road network.

    References
    ----------
    Dibbelt, Strasser, Wagner: Customizable Contraction Hierarchies. ACM Journal of Experimental
    Algorithmics 21 (2016), doi:10.1145/2886843. Implementation: RoutingKit.
    """

    def __init__(self, roads: RoadNetwork) -> None:
        self.roads = roads
        count = len(roads.edge_ids)
        tail, head = roads.turn_from.tolist(), roads.turn_to.tolist()
        place = roads.end_y_m.tolist(), roads.end_x_m.tolist()
        order = compute_order_inertial(count, tail, head, *place)
        self._hierarchy = CCH(order, tail, head, False)
        self.free_s: FloatArray = roads.length_m / roads.speed_mps
        """Free-flow time of each edge [s]."""
        self.edge_s: FloatArray = self.free_s.copy()
        """Travel time of each edge that ways go by [s]."""
        self.closed: NDArray[np.bool_] = np.zeros(count, np.bool_)
        """Edges that no way may enter."""
        self._weight = self._steps()
        self._metric = CCHMetric(self._hierarchy, self._weight.tolist())
        self._query: CCHQuery | None = None
        self._open, self._part = self._parts()

    def update(self, edge_seconds: ArrayLike, closed: NDArray[np.bool_] | None = None) -> None:
        """Go by other travel times from now on.

        Parameters
        ----------
        edge_seconds
            Travel time of each edge, shape (edge,) [s].
        closed
            Edges that may not be entered, shape (edge,); as before if None.

        Raises
        ------
        ValueError
            If a time is not positive and finite, or a shape is wrong.
        """
        seconds = np.asarray(edge_seconds, np.float64)
        closed = self.closed if closed is None else np.asarray(closed, np.bool_)
        if seconds.shape != self.free_s.shape or closed.shape != self.free_s.shape:
            raise ValueError(f"edges must have shape {self.free_s.shape}")
        if not (np.isfinite(seconds).all() and (seconds > 0).all()):
            raise ValueError("travel times must be positive and finite")
        moved = (closed != self.closed).any()
        self.edge_s, self.closed = seconds.copy(), closed.copy()
        before, self._weight = self._weight, self._steps()
        other = np.flatnonzero(before != self._weight)
        if len(other) > _FEW_TURNS:
            self._metric.reset(self._weight.tolist())
        elif len(other):
            new = dict(zip(other.tolist(), self._weight[other].tolist(), strict=True))
            CCHMetricPartialUpdater(self._hierarchy).apply(self._metric, new)
        if moved:
            self._open, self._part = self._parts()

    def turns(self, start: int, end: int) -> Turns | None:
        """Return the fastest way from the end of one edge to that of another, None if none."""
        with self._asking():
            return self._turns(start, end)

    def way(self, start: int, end: int, via: Sequence[int] = ()) -> Turns | str:
        """Return the fastest way through some edges, or in words why there is none.

        Parameters
        ----------
        start, end
            Edges from whose end to whose end it leads.
        via
            Edges to pass in this order; negative ones do not count. One that cannot be passed is
            replaced by the edge nearest to it, by distance of their ends, that can be reached and
            from which the end can be reached.
        """
        with self._asking():
            return self._way(start, end, via)

    def routes(
        self,
        origins: Iterable[int],
        destinations: Iterable[int],
        via: Iterable[Sequence[int]] | None = None,
    ) -> list[Turns | str]:
        """Return the way of each pair, or in words why there is none; see `way`."""
        points: Iterable[Sequence[int]] = repeat(()) if via is None else via
        with self._asking():
            # The one list that may be endless is that of no via points.
            trips = zip(origins, destinations, points, strict=False)
            return [self._way(a, b, through) for a, b, through in trips]

    def obstacle(self, start: int, end: int, via: Sequence[int] = ()) -> str:
        """Say why no way leads between two ends, empty if one does; cheaper than the way."""
        if unknown := self._unknown([start, *(point for point in via if point >= 0), end]):
            return unknown
        with self._asking():
            return "" if self._leads(start, end) else self._no_way(start, end)

    def connected(
        self, starts: NDArray[np.integer], ends: NDArray[np.integer]
    ) -> NDArray[np.bool_]:
        """Whether each pair is in one part in which every edge leads to every other.

        Others may be connected all the same (`obstacle` tells), or be no edges at all.
        """
        count = len(self._part)
        known = (starts >= 0) & (starts < count) & (ends >= 0) & (ends < count)
        part = self._part
        return known & (part[np.where(known, starts, 0)] == part[np.where(known, ends, 0)])

    def edges(self, turns: Sequence[int]) -> list[int]:
        """Return the edges driven on; the edge at whose end the way starts is not among them."""
        return self.roads.turn_to[np.asarray(turns, np.int64)].tolist()

    def seconds(self, turns: Sequence[int]) -> float:
        """Return the travel time of a way that is foreseen [s]."""
        way = np.asarray(turns, np.int64)
        return float((self.roads.turn_time_s[way] + self.edge_s[self.roads.turn_to[way]]).sum())

    def metres(self, turns: Sequence[int]) -> float:
        """Return the length of a way [m]."""
        way = np.asarray(turns, np.int64)
        roads = self.roads
        return float((roads.turn_length_m[way] + roads.length_m[roads.turn_to[way]]).sum())

    def metric(self) -> CCHMetric:
        """Return the hierarchy at the travel times of the moment; let go of it before `update`."""
        return self._metric

    @contextmanager
    def _asking(self) -> Generator[None]:
        """Let the library answer inside.

        It refuses new weights while a query lives, and lets only the thread that made one end it:
        so none outlives the question.
        """
        self._query = CCHQuery(self._metric)
        try:
            yield
        finally:
            self._query = None

    def _turns(self, start: int, end: int) -> Turns | None:
        assert self._query is not None  # noqa: S101 - only within `_asking`
        # The library allows one result at a time: this one is gone at the end.
        found = self._query.run(start, end)
        return None if found.distance is None else found.arc_path

    def _way(self, start: int, end: int, via: Sequence[int]) -> Turns | str:
        points = [point for point in via if point >= 0]
        if unknown := self._unknown([start, *points, end]):
            return unknown
        if not points:
            found = self._turns(start, end)
            return self._no_way(start, end) if found is None else found
        stops = self._passable(start, end, points)
        if isinstance(stops, str):
            return stops
        whole: Turns = []
        for a, b in zip([start, *stops], [*stops, end], strict=True):
            whole += self._turns(a, b) or []
        return whole

    def _steps(self) -> NDArray[np.int64]:
        roads = self.roads
        seconds = roads.turn_time_s + self.edge_s[roads.turn_to]
        steps = np.rint(seconds * PER_S).astype(np.int64)
        return np.where(self.closed[roads.turn_to], _BARRED, steps)

    def _parts(self) -> tuple[csr_array, NDArray[np.int32]]:
        """Return the graph without closed edges, and the part that each edge belongs to.

        Within a part every edge leads to every other.
        """
        roads, count = self.roads, len(self.roads.edge_ids)
        free = ~self.closed[roads.turn_to]
        pairs = roads.turn_from[free], roads.turn_to[free]
        graph = csr_array((np.ones(int(free.sum()), np.int8), pairs), shape=(count, count))
        return graph, connected_components(graph, connection="strong")[1]

    def _unknown(self, edges: Sequence[int]) -> str:
        count = len(self._part)
        wrong = [edge for edge in edges if not 0 <= edge < count]
        return f"there is no edge {wrong[0]}; the network has {count}" if wrong else ""

    def _leads(self, start: int, end: int) -> bool:
        if start == end or self._part[start] == self._part[end]:
            return True
        return self._turns(start, end) is not None

    def _no_way(self, start: int, end: int) -> str:
        ids = self.roads.edge_ids
        why = ", which is closed" if self.closed[end] else ""
        return f"no way leads from {ids[start]} to {ids[end]}{why}"

    def _passable(self, start: int, end: int, points: list[int]) -> list[int] | str:
        stops: list[int] = []
        place = start
        for point in points:
            if not (self._leads(place, point) and self._leads(point, end)):
                near = self._nearest(place, end, point)
                if near is None:
                    return self._no_way(place, end)
                point = near
            stops.append(point)
            place = point
        return stops if self._leads(place, end) else self._no_way(place, end)

    def _nearest(self, start: int, end: int, point: int) -> int | None:
        roads = self.roads
        onward = breadth_first_order(self._open, start, return_predecessors=False)
        back = breadth_first_order(self._open.T.tocsr(), end, return_predecessors=False)
        fit = np.intersect1d(onward, back)
        if not len(fit):
            return None
        apart = np.hypot(
            roads.end_x_m[fit] - roads.end_x_m[point], roads.end_y_m[fit] - roads.end_y_m[point]
        )
        return int(fit[np.argmin(apart)])
