"""Fastest ways over a graph of edges and turns, kept as far as room allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int32]

AT_ONCE = 128
"""Rows that are solved together, which bounds what a large request takes on the way."""
PER_S, PER_M = 10_000, 100
"""Steps in which times and lengths of ways are kept; net files give lengths in the latter."""
NO_WAY = -1


@dataclass(frozen=True, eq=False)
class Ways:
    """Fastest ways between one edge and all others, ten bytes each."""

    time_steps: IntArray
    """Times in steps of a ten-thousandth of a second, `NO_WAY` where no way leads."""
    length_steps: IntArray
    """Lengths in steps of a centimetre, `NO_WAY` where no way leads."""
    before: NDArray[np.signedinteger]
    """Edge before each edge on the way to it, negative at the origin and where none leads."""

    @property
    def size(self) -> int:
        """Memory that they take [bytes]."""
        return self.time_steps.nbytes + self.length_steps.nbytes + self.before.nbytes


class Search:
    """Dijkstra's algorithm over edges as nodes and turns as arcs.

    Parameters
    ----------
    count
        Number of edges.
    start, end
        Edges at both ends of each arc.
    seconds, metres
        Time [s] and length [m] of each arc.
    room
        Memory for ways that are kept [bytes]; the least recently used go first.
    """

    def __init__(
        self,
        count: int,
        start: IntArray,
        end: IntArray,
        seconds: FloatArray,
        metres: FloatArray,
        room: int,
    ) -> None:
        self._count, self._room = count, room
        key = start.astype(np.int64) * count + end
        order = np.argsort(key)
        self._arc, self._metres = key[order], metres[order]
        self._graph = csr_array((seconds, (start, end)), shape=(count, count))
        self._kept: dict[int, Ways] = {}

    def ways(self, origins: Sequence[int]) -> list[Ways]:
        """Return the ways from each origin; origins are distinct."""
        missing = [edge for edge in origins if edge not in self._kept]
        fresh = dict(zip(missing, self._solve(missing), strict=True)) if missing else {}
        found = {edge: fresh[edge] if edge in fresh else self._kept.pop(edge) for edge in origins}
        # In the order of use, so that the room goes to the places that are asked for.
        self._kept.update(found)
        rows = self._room // next(iter(found.values())).size if found else len(self._kept)
        for edge in list(self._kept)[: max(0, len(self._kept) - rows)]:
            del self._kept[edge]
        return list(found.values())

    def table(
        self,
        origins: NDArray[np.integer],
        targets: NDArray[np.integer],
        row_of: Callable[[Ways], IntArray],
    ) -> IntArray:
        """Return one figure of the ways from distinct origins, shape (origin, target)."""
        rows = np.empty((len(origins), len(targets)), np.int32)
        for first in range(0, len(origins), AT_ONCE):
            some: list[int] = origins[first : first + AT_ONCE].tolist()
            for row, ways in enumerate(self.ways(some), first):
                rows[row] = row_of(ways)[targets]
        return rows

    def _solve(self, origins: list[int]) -> list[Ways]:
        count = self._count
        small = np.int16 if count <= np.iinfo(np.int16).max else np.int32
        time_s, before = dijkstra(self._graph, indices=origins, return_predecessors=True)
        every = np.arange(count)
        rows: list[Ways] = []
        for row in range(len(origins)):
            hop = np.asarray(before[row], dtype=np.int64)
            reached = hop >= 0
            length_m = np.zeros(count)
            arc = np.searchsorted(self._arc, hop[reached] * count + every[reached])
            length_m[reached] = self._metres[arc]
            last = np.where(reached, hop, -1).astype(small)
            # Doubling along the predecessors adds up whole paths in log2(depth) rounds.
            while (hop >= 0).any():
                over = np.where(hop >= 0, hop, 0)
                length_m = length_m + np.where(hop >= 0, length_m[over], 0.0)
                hop = np.where(hop >= 0, hop[over], -1)
            none = ~np.isfinite(time_s[row])
            seconds = np.asarray(time_s[row], np.float64)
            rows.append(
                Ways(_in_steps(seconds, none, PER_S), _in_steps(length_m, none, PER_M), last)
            )
        return rows


def _in_steps(values: FloatArray, none: NDArray[np.bool_], per_unit: int) -> IntArray:
    return np.rint(np.where(none, NO_WAY, values * per_unit)).astype(np.int32)
