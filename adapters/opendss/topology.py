"""What is connected to what in a feeder, read from its tables without an engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from cosim.errors import PowerFlowError
from networks.feeders import FeederData

Node = tuple[str, int]
"""A phase of a bus."""


def node_distances_ft(feeder: FeederData) -> dict[Node, float]:
    """Length of line between the source and every node that it feeds.

    Parameters
    ----------
    feeder
        Tables of a radial feeder; open switches are left out.

    Returns
    -------
    dict
        Distance [ft] by (bus, phase), in breadth-first order from the source.
    """
    neighbours: dict[Node, list[tuple[Node, float]]] = {}
    for one, other, length_ft in _branches(feeder):
        neighbours.setdefault(one, []).append((other, length_ft))
        neighbours.setdefault(other, []).append((one, length_ft))
    distance = {(feeder.source.bus, phase): 0.0 for phase in (1, 2, 3)}
    queue = deque(distance)
    while queue:
        node = queue.popleft()
        for other, length_ft in neighbours.get(node, []):
            if other not in distance:
                distance[other] = distance[node] + length_ft
                queue.append(other)
    return distance


def bus_phases(distances_ft: Mapping[Node, float]) -> dict[str, tuple[int, ...]]:
    """Phases at each bus, sorted, from the result of `node_distances_ft`."""
    phases: dict[str, list[int]] = {}
    for bus, phase in distances_ft:
        phases.setdefault(bus, []).append(phase)
    return {bus: tuple(sorted(found)) for bus, found in phases.items()}


def require_supply(feeder: FeederData) -> None:
    """Refuse a feeder with a node that the source does not reach.

    OpenDSS solves such a circuit without a word and reports NaN at the isolated bus.

    Raises
    ------
    PowerFlowError
        Naming the first isolated node and how many there are.
    """
    fed = node_distances_ft(feeder)
    wanted: dict[Node, None] = {}
    for one, other, _ in _branches(feeder):
        wanted[one] = wanted[other] = None
    for element in (*feeder.loads, *feeder.capacitors):
        wanted.update(((element.bus, phase), None) for phase in element.phases)
    isolated = [node for node in wanted if node not in fed]
    if isolated:
        bus, phase = isolated[0]
        raise PowerFlowError(
            f"the source does not feed this node ({len(isolated)} isolated in all)",
            where=f"bus {bus}.{phase}",
        )


def _branches(feeder: FeederData) -> Iterator[tuple[Node, Node, float]]:
    for line in feeder.lines:
        for phase in line.phases:
            yield (line.from_bus, phase), (line.to_bus, phase), line.length_ft
    links = [
        *(switch for switch in feeder.switches if switch.closed),
        *feeder.transformers,
        *feeder.regulators,
    ]
    for link in links:
        for phase in link.phases:
            yield (link.from_bus, phase), (link.to_bus, phase), 0.0
