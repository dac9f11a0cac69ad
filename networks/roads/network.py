"""A road network as arrays, with shortest paths that respect the allowed turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]


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
    source: str = ""
    """Where the figures are from."""
    source_sha256: str = ""
    """Digest of the tables that the net was made from."""
    _rows: dict[int, tuple[FloatArray, FloatArray]] = field(
        default_factory=dict[int, tuple[FloatArray, FloatArray]], repr=False
    )

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
        return self._table(from_edges, to_edges, 1) / 1000.0

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
        return self._table(from_edges, to_edges, 0)

    def edge_index(self, edge_id: str) -> int:
        """Return the index of SUMO edge `edge_id`; ValueError if the net has no such edge."""
        return self.edge_ids.index(edge_id)

    def _table(self, from_edges: ArrayLike, to_edges: ArrayLike, which: int) -> FloatArray:
        origins = np.atleast_1d(np.asarray(from_edges, dtype=np.int64))
        targets = np.atleast_1d(np.asarray(to_edges, dtype=np.int64))
        count = len(self.edge_ids)
        for edges in (origins, targets):
            if edges.size and (edges.min() < 0 or edges.max() >= count):
                raise IndexError(f"edge indices must lie in 0..{count - 1}")
        missing = [int(e) for e in np.unique(origins) if int(e) not in self._rows]
        if missing:
            self._rows.update(zip(missing, self._solve(missing), strict=True))
        table = np.empty((origins.size, targets.size))
        for row, edge in enumerate(origins):
            table[row] = self._rows[int(edge)][which][targets]
        return table

    def _solve(self, origins: list[int]) -> list[tuple[FloatArray, FloatArray]]:
        """Dijkstra over edges as nodes: each step costs the turn and the edge after it."""
        count = len(self.edge_ids)
        seconds = self.turn_time_s + (self.length_m / self.speed_mps)[self.turn_to]
        metres = self.turn_length_m + self.length_m[self.turn_to]
        graph = csr_array((seconds, (self.turn_from, self.turn_to)), shape=(count, count))
        ways = csr_array((metres, (self.turn_from, self.turn_to)), shape=(count, count))
        time_s, before = dijkstra(graph, indices=origins, return_predecessors=True)
        every = np.arange(count)
        rows: list[tuple[FloatArray, FloatArray]] = []
        for row in range(len(origins)):
            last = np.asarray(before[row], dtype=np.int64)
            reached = last >= 0
            total = np.zeros(count)
            total[reached] = np.asarray(ways[last[reached], every[reached]]).ravel()
            # Doubling along the predecessors adds up whole paths in log2(depth) rounds.
            while (last >= 0).any():
                hop = np.where(last >= 0, last, 0)
                total = total + np.where(last >= 0, total[hop], 0.0)
                last = np.where(last >= 0, last[hop], -1)
            total[~np.isfinite(time_s[row])] = np.inf
            rows.append((np.asarray(time_s[row], dtype=np.float64), total))
        return rows
