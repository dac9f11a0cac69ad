"""What is connected to what in a circuit, read without solving it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from cosim.errors import PowerFlowError

Node = tuple[str, int]
"""A phase of a bus."""
Branch = tuple[Node, Node, float]
"""Two connected nodes, and the length of line between them [km]."""


def distances_km(
    sources: Sequence[Node], branches: Sequence[Branch]
) -> tuple[dict[Node, float], dict[Node, Node | None]]:
    """Length of line between the sources and every node that they feed.

    Parameters
    ----------
    sources
        Nodes of the sources.
    branches
        Connections, closed ones only.

    Returns
    -------
    distance
        By node, in breadth-first order from the sources [km].
    before
        The node from which each was reached, None for those of the sources.
    """
    neighbours: dict[Node, list[tuple[Node, float]]] = {}
    for one, other, km in branches:
        neighbours.setdefault(one, []).append((other, km))
        neighbours.setdefault(other, []).append((one, km))
    distance = dict.fromkeys(sources, 0.0)
    before: dict[Node, Node | None] = dict.fromkeys(sources)
    queue = deque(distance)
    while queue:
        node = queue.popleft()
        for other, km in neighbours.get(node, []):
            if other not in distance:
                distance[other] = distance[node] + km
                before[other] = node
                queue.append(other)
    return distance, before


def require_supply(
    sources: Sequence[Node], branches: Sequence[Branch], loads: Sequence[Node]
) -> None:
    """Refuse a circuit with a node that no source reaches.

    OpenDSS solves such a circuit without a word and reports NaN at the isolated bus.

    Raises
    ------
    PowerFlowError
        Naming the first isolated node and how many there are.
    """
    fed, _ = distances_km(sources, branches)
    wanted: dict[Node, None] = {}
    for one, other, _ in branches:
        wanted[one] = wanted[other] = None
    wanted.update(dict.fromkeys(loads))
    isolated = [node for node in wanted if node not in fed]
    if isolated:
        bus, phase = isolated[0]
        raise PowerFlowError(
            f"the source does not feed this node ({len(isolated)} isolated in all)",
            where=f"bus {bus}.{phase}",
        )
