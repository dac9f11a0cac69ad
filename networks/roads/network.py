"""A road network as arrays, with shortest paths that respect the allowed turns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from networks.roads.ways import AT_ONCE, NO_WAY, PER_M, PER_S, FloatArray, IntArray, Search, Ways

__all__ = ["FloatArray", "IntArray", "RoadNetwork"]

_FEW = 4
"""With so many times fewer targets than origins, ways are followed back from the targets."""
_FORWARD_BYTES, _BACKWARD_BYTES = 600_000_000, 100_000_000
"""Room for the ways that are kept: from all places of a city of 7,700 edges."""


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

    @cached_property
    def net_sha256(self) -> str:
        """Digest of the net file, from its root element on.

        What precedes the root says when and with which options the net was written.
        """
        content = self.net_file.read_bytes()
        return hashlib.sha256(content[max(content.find(b"<net"), 0) :]).hexdigest()

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
        return self._table(from_edges, to_edges, lambda ways: ways.length_steps, PER_M) / 1000.0

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
        return self._table(from_edges, to_edges, lambda ways: ways.time_steps, PER_S)

    def path(self, from_edge: int, to_edge: int) -> list[int]:
        """Return the edges of the fastest free-flow way, both ends included.

        It is the way whose length and time `distance_km` and `travel_time_s` give (or one of
        several that take the same time); empty where no way exists.
        """
        self._checked([from_edge, to_edge])
        ways = self._from.ways([from_edge])[0]
        if ways.time_steps[to_edge] == NO_WAY:
            return []
        edges = [to_edge]
        while edges[-1] != from_edge:
            edges.append(int(ways.before[edges[-1]]))
        return edges[::-1]

    def edge_index(self, edge_id: str) -> int:
        """Return the index of SUMO edge `edge_id`; ValueError if the net has no such edge."""
        return self.edge_ids.index(edge_id)

    def _table(
        self,
        from_edges: ArrayLike,
        to_edges: ArrayLike,
        row_of: Callable[[Ways], IntArray],
        per_unit: int,
    ) -> FloatArray:
        origins, targets = self._checked(from_edges), self._checked(to_edges)
        # Many vehicles stand at few places: one row a place.
        places, place_of = np.unique(origins, return_inverse=True)
        goals, goal_of = np.unique(targets, return_inverse=True)
        # What is known already must not decide: a resumed run knows less.
        if len(places) > AT_ONCE and len(places) >= _FEW * len(goals):
            steps = self._to.table(goals, places, row_of).T[place_of][:, goal_of]
        else:
            steps = self._from.table(places, targets, row_of)[place_of]
        return np.where(steps == NO_WAY, np.inf, steps / per_unit)

    def _checked(self, edges: ArrayLike) -> NDArray[np.int64]:
        found = np.atleast_1d(np.asarray(edges, dtype=np.int64))
        count = len(self.edge_ids)
        if found.size and (found.min() < 0 or found.max() >= count):
            raise IndexError(f"edge indices must lie in 0..{count - 1}")
        return found

    @cached_property
    def _from(self) -> Search:
        return self._search(self.turn_from, self.turn_to, _FORWARD_BYTES)

    @cached_property
    def _to(self) -> Search:
        return self._search(self.turn_to, self.turn_from, _BACKWARD_BYTES)

    def _search(self, start: IntArray, end: IntArray, room: int) -> Search:
        # A step costs the turn and the edge after it, whichever way it is followed.
        seconds = self.turn_time_s + (self.length_m / self.speed_mps)[self.turn_to]
        metres = self.turn_length_m + self.length_m[self.turn_to]
        return Search(len(self.edge_ids), start, end, seconds, metres, room)
