"""What of a net cars can use: the part in which every place can be reached from every other.

Places are the ends of edges and ways follow the allowed turns, so the part is the largest strongly
connected component of the graph whose nodes are the edges and whose arcs are the turns. The rest
is dropped with a reason: a vehicle that stood there could not be served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from networks.roads.network import RoadNetwork

NOT_FOR_CARS = "closed to passenger cars"
NO_SIZE = "without a length or a speed"
ALONE = "joined to no other road"
NEVER_LEFT = "entered but never left"
NEVER_ENTERED = "left but never entered"
CUT_OFF = "cut off from the rest"

LEAST_SPEED_KMH, MOST_SPEED_KMH = 5.0, 160.0
MOST_LANES = 8
LEAST_LENGTH_M = 1.0
EXAMPLES = 3
"""Edges that are named of each group."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Group:
    """Edges with something in common."""

    reason: str
    edges: int
    km: float
    """Their length together [km]."""
    examples: tuple[str, ...]
    """Ids of the first of them."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the check found."""

    keep: Mask
    """Whether each edge is kept."""
    dropped: tuple[Group, ...]
    """Why the others are not."""


def examine(roads: RoadNetwork, closed: Mapping[str, float] | None = None) -> Verdict:
    """Return which edges make one connected road network, and why the others do not.

    Parameters
    ----------
    roads
        Network as read, its edges in any state.
    closed
        Edges that cars may not use, with their lengths [m]; they are counted among the dropped.
    """
    sound = (roads.length_m > 0.0) & (roads.speed_mps > 0.0)
    sound &= np.isfinite(roads.length_m) & np.isfinite(roads.speed_mps)
    keep, ahead, behind = _main_part(roads, sound)
    turns = sound[roads.turn_from] & sound[roads.turn_to] & (roads.turn_from != roads.turn_to)
    joined = np.zeros(len(sound), bool)
    joined[roads.turn_from[turns]] = joined[roads.turn_to[turns]] = True
    alone = sound & ~joined & ~keep
    rest = sound & ~keep & ~alone
    masks = {
        NO_SIZE: ~sound,
        ALONE: alone,
        NEVER_LEFT: rest & ahead,
        NEVER_ENTERED: rest & behind,
        CUT_OFF: rest & ~ahead & ~behind,
    }
    shut = closed or {}
    groups = [Group(NOT_FOR_CARS, len(shut), sum(shut.values()) / 1000.0, tuple(shut)[:EXAMPLES])]
    groups += [_group(roads, reason, mask) for reason, mask in masks.items()]
    return Verdict(keep, tuple(group for group in groups if group.edges))


def doubtful(roads: RoadNetwork) -> tuple[Group, ...]:
    """Return what is kept but worth a look: dead ends, odd speeds, lanes and lengths."""
    speed_kmh = roads.speed_mps * 3.6
    back = roads.to_node[roads.turn_to] == roads.from_node[roads.turn_from]
    onward = np.zeros(len(roads.edge_ids), bool)
    onward[roads.turn_from[~back]] = True
    masks = {
        "dead ends, left by a U-turn": ~onward,
        f"faster than {MOST_SPEED_KMH:g} km/h": speed_kmh > MOST_SPEED_KMH,
        f"slower than {LEAST_SPEED_KMH:g} km/h": speed_kmh < LEAST_SPEED_KMH,
        f"with more than {MOST_LANES} lanes": roads.lanes > MOST_LANES,
        f"shorter than {LEAST_LENGTH_M:g} m": roads.length_m < LEAST_LENGTH_M,
    }
    groups = [_group(roads, reason, mask) for reason, mask in masks.items()]
    return tuple(group for group in groups if group.edges)


def together(rounds: Iterable[Sequence[Group]]) -> tuple[Group, ...]:
    """Return the groups of several checks, those of one reason made one."""
    found: dict[str, Group] = {}
    for group in (group for groups in rounds for group in groups):
        old = found.get(group.reason, Group(group.reason, 0, 0.0, ()))
        examples = (*old.examples, *group.examples)[:EXAMPLES]
        found[group.reason] = Group(
            group.reason, old.edges + group.edges, old.km + group.km, examples
        )
    return tuple(found.values())


def _main_part(roads: RoadNetwork, sound: Mask) -> tuple[Mask, Mask, Mask]:
    """Largest connected part by length; what can be reached from it; what reaches it."""
    count = len(roads.edge_ids)
    turns = sound[roads.turn_from] & sound[roads.turn_to]
    arcs = (roads.turn_from[turns], roads.turn_to[turns])
    graph = csr_array((np.ones(int(turns.sum())), arcs), shape=(count, count))
    _, part = connected_components(graph, directed=True, connection="strong")
    metres = np.bincount(part[sound], weights=roads.length_m[sound], minlength=part.max() + 1)
    # A single edge is a part of its own however long it is: roads begin with two.
    metres[np.bincount(part) < 2] = 0.0
    if not metres.any():
        nothing = np.zeros(count, bool)
        return nothing, nothing.copy(), nothing.copy()
    main = sound & (part == int(np.argmax(metres)))
    start = int(np.flatnonzero(main)[0])
    ahead, behind = np.zeros(count, bool), np.zeros(count, bool)
    ahead[breadth_first_order(graph, start, return_predecessors=False)] = True
    behind[breadth_first_order(graph.T.tocsr(), start, return_predecessors=False)] = True
    return main, ahead, behind


def _group(roads: RoadNetwork, reason: str, mask: Mask) -> Group:
    where = np.flatnonzero(mask)
    km = float(np.nansum(roads.length_m[where])) / 1000.0
    return Group(reason, len(where), km, tuple(roads.edge_ids[i] for i in where[:EXAMPLES]))
