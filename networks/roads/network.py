"""A road network as arrays, with shortest paths that respect the allowed turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]
_KEPT_BYTES = 600_000_000
"""Room for the ways that are kept: those between all places of a city of 7,700 edges."""
_AT_ONCE = 128
"""Origins that are solved together, which bounds what a large request takes on the way."""
_PER_S, _PER_M = 10_000, 100
"""Steps in which times and lengths of ways are kept; net files give lengths in the latter."""
_NO_WAY = -1


@dataclass(frozen=True, eq=False)
class _Ways:
    """Fastest ways from one edge to all others, ten bytes each."""

    time_steps: IntArray
    """Times in steps of a ten-thousandth of a second, `_NO_WAY` where no way leads."""
    length_steps: IntArray
    """Lengths in steps of a centimetre, `_NO_WAY` where no way leads."""
    before: NDArray[np.signedinteger]
    """Edge before each edge on the way to it, negative at the origin and where none leads."""

    @property
    def size(self) -> int:
        return self.time_steps.nbytes + self.length_steps.nbytes + self.before.nbytes


@dataclass(frozen=True, eq=False)
class _Steps:
    """What it costs to go on from one edge to the next."""

    graph: csr_array
    """Seconds, edges x edges."""
    key: NDArray[np.int64]
    """``edge * edges + next edge`` of each allowed turn, ascending."""
    length_m: FloatArray


@dataclass(frozen=True, eq=False)
class RoadNetwork:
    """A directed road network whose places are the ends of its edges.

    A vehicle that stands at edge ``e`` stands at the end of ``e``; driving from ``a`` to ``b``
    crosses the junction after ``a``, the edges between, and the whole of ``b``. Arrays run over
    the edges in the order of `edge_ids` unless they say otherwise.
    """

    name: str
    """Name under which it was loaded."""
    net_file: Path
    """SUMO net file."""
    edge_ids: tuple[str, ...]
    """SUMO ids of the normal edges, in the order of the net file."""
    length_m: FloatArray
    """Length of each edge [m]."""
    speed_mps: FloatArray
    """Speed limit of each edge [m/s]."""
    lanes: IntArray
    """Lanes of each edge."""
    node_ids: tuple[str, ...]
    """SUMO ids of the nodes."""
    from_node: IntArray
    """Index into `node_ids` of the node where each edge begins."""
    to_node: IntArray
    """Index into `node_ids` of the node where each edge ends."""
    end_x_m: FloatArray
    """Place of each edge's end east of the net's own origin [m]."""
    end_y_m: FloatArray
    """Place of each edge's end north of the net's own origin [m]."""
    end_lon_deg: FloatArray
    """Longitude of each edge's end [deg]; NaN where the net has no geographic reference."""
    end_lat_deg: FloatArray
    """Latitude of each edge's end [deg]; NaN where the net has no geographic reference."""
    turn_from: IntArray
    """Edge before each allowed turn; arrays of turns run over the allowed pairs of edges."""
    turn_to: IntArray
    """Edge after each allowed turn."""
    turn_length_m: FloatArray
    """Way inside the junction at each turn [m]; 0 in nets without junction interiors."""
    turn_time_s: FloatArray
    """Free-flow time inside the junction at each turn [s]."""
    zone_ids: tuple[str, ...] = ()
    """Ids of the zones; empty in a net without zones."""
    zone_edge: IntArray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Edge at whose end the trips of each zone start and end."""
    trip_table: FloatArray | None = None
    """Trips from zone to zone (zones x zones) in the unit that `source` states; None if absent."""
    edge_zone: IntArray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Zone in which each edge ends, -1 outside all; empty where zones are single places."""
    home_weight: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Residents of each zone in any unit; empty where they are not known."""
    work_weight: FloatArray = field(default_factory=lambda: np.zeros(0))
    """Jobs in each zone in any unit; empty where they are not known."""
    signalled_nodes: int = 0
    """Nodes with traffic signals."""
    source: str = ""
    """Where the figures are from."""
    source_sha256: str = ""
    """Digest of the tables that the net was made from."""
    _rows: dict[int, _Ways] = field(default_factory=dict[int, _Ways], repr=False)

    def distance_km(self, from_edges: ArrayLike, to_edges: ArrayLike) -> FloatArray:
        """Return the length of the fastest free-flow way between ends of edges.

        Parameters
        ----------
        from_edges, to_edges
            Edge indices, shapes (n,) and (m,).

        Returns
        -------
        ndarray
            Distance [km], shape (n, m); 0 for the same edge, inf where no way exists.
        """
        steps = self._table(from_edges, to_edges, lambda ways: ways.length_steps)
        return _measured(steps, _PER_M) / 1000.0

    def travel_time_s(self, from_edges: ArrayLike, to_edges: ArrayLike) -> FloatArray:
        """Return the least free-flow time between ends of edges.

        Parameters
        ----------
        from_edges, to_edges
            Edge indices, shapes (n,) and (m,).

        Returns
        -------
        ndarray
            Time [s], shape (n, m); 0 for the same edge, inf where no way exists. Queues, signals
            and SUMO's insertion delay come on top.
        """
        steps = self._table(from_edges, to_edges, lambda ways: ways.time_steps)
        return _measured(steps, _PER_S)

    def path(self, from_edge: int, to_edge: int) -> list[int]:
        """Return the edges of the fastest free-flow way, both ends included.

        It is the way whose length and time `distance_km` and `travel_time_s` give; empty where no
        way exists.
        """
        ways = self._ways(self._checked([from_edge]))[from_edge]
        if ways.time_steps[self._checked([to_edge])[0]] == _NO_WAY:
            return []
        edges = [to_edge]
        while edges[-1] != from_edge:
            edges.append(int(ways.before[edges[-1]]))
        return edges[::-1]

    def edge_index(self, edge_id: str) -> int:
        """Return the index of SUMO edge `edge_id`; ValueError if the net has no such edge."""
        return self.edge_ids.index(edge_id)

    def _table(
        self, from_edges: ArrayLike, to_edges: ArrayLike, row_of: Callable[[_Ways], IntArray]
    ) -> IntArray:
        origins, targets = self._checked(from_edges), self._checked(to_edges)
        # Many vehicles stand at few places: one row a place.
        places, place_of = np.unique(origins, return_inverse=True)
        rows = np.empty((len(places), len(targets)), np.int32)
        for start in range(0, len(places), _AT_ONCE):
            some = places[start : start + _AT_ONCE]
            ways = self._ways(some)
            for row, place in enumerate(some.tolist(), start):
                rows[row] = row_of(ways[place])[targets]
        return rows if len(places) == len(origins) and (places == origins).all() else rows[place_of]

    def _checked(self, edges: ArrayLike) -> NDArray[np.int64]:
        found = np.atleast_1d(np.asarray(edges, dtype=np.int64))
        count = len(self.edge_ids)
        if found.size and (found.min() < 0 or found.max() >= count):
            raise IndexError(f"edge indices must lie in 0..{count - 1}")
        return found

    def _ways(self, origins: NDArray[np.int64]) -> dict[int, _Ways]:
        """Return the ways from each origin, from those kept where they are known."""
        wanted = [int(edge) for edge in np.unique(origins)]
        missing = [edge for edge in wanted if edge not in self._rows]
        fresh = dict(zip(missing, self._solve(missing), strict=True)) if missing else {}
        rows = {edge: fresh[edge] if edge in fresh else self._rows.pop(edge) for edge in wanted}
        # In the order of use, so that the room goes to the places that are asked for.
        self._rows.update(rows)
        room = _KEPT_BYTES // next(iter(rows.values())).size if rows else len(self._rows)
        for edge in list(self._rows)[: max(0, len(self._rows) - room)]:
            del self._rows[edge]
        return rows

    @cached_property
    def _steps(self) -> _Steps:
        count = len(self.edge_ids)
        seconds = self.turn_time_s + (self.length_m / self.speed_mps)[self.turn_to]
        metres = self.turn_length_m + self.length_m[self.turn_to]
        key = self.turn_from.astype(np.int64) * count + self.turn_to
        order = np.argsort(key)
        graph = csr_array((seconds, (self.turn_from, self.turn_to)), shape=(count, count))
        return _Steps(graph, key[order], metres[order])

    def _solve(self, origins: list[int]) -> list[_Ways]:
        """Dijkstra over edges as nodes: each step costs the turn and the edge after it."""
        count, steps = len(self.edge_ids), self._steps
        small = np.int16 if count <= np.iinfo(np.int16).max else np.int32
        time_s, before = dijkstra(steps.graph, indices=origins, return_predecessors=True)
        every = np.arange(count)
        rows: list[_Ways] = []
        for row in range(len(origins)):
            hop = np.asarray(before[row], dtype=np.int64)
            reached = hop >= 0
            length_m = np.zeros(count)
            turn = np.searchsorted(steps.key, hop[reached] * count + every[reached])
            length_m[reached] = steps.length_m[turn]
            last = np.where(reached, hop, -1).astype(small)
            # Doubling along the predecessors adds up whole paths in log2(depth) rounds.
            while (hop >= 0).any():
                over = np.where(hop >= 0, hop, 0)
                length_m = length_m + np.where(hop >= 0, length_m[over], 0.0)
                hop = np.where(hop >= 0, hop[over], -1)
            none = ~np.isfinite(time_s[row])
            rows.append(
                _Ways(
                    _in_steps(np.asarray(time_s[row], np.float64), none, _PER_S),
                    _in_steps(length_m, none, _PER_M),
                    last,
                )
            )
        return rows


def _in_steps(values: FloatArray, none: NDArray[np.bool_], per_unit: int) -> IntArray:
    return np.rint(np.where(none, _NO_WAY, values * per_unit)).astype(np.int32)


def _measured(steps: IntArray, per_unit: int) -> FloatArray:
    return np.where(steps == _NO_WAY, np.inf, steps / per_unit)
