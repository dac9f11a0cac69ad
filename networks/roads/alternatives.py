"""Different ways between two places, with the time and the energy that each is foreseen to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from routingkit_cch import CCHManyToOne, CCHOneToMany

from networks.roads.routing import Router, Turns
from networks.roads.ways import PER_S, FloatArray
from networks.vehicles.curves import EnergyCurve

LONGEST = 1.5
"""An alternative takes at most so many times what the fastest way takes."""
SHARED = 0.7
"""Most of an alternative's time that may be on roads of another one."""
_TRIES = 12
"""Candidates that are looked at for each alternative wanted."""


@dataclass(frozen=True, eq=False)
class Alternative:
    """One way between two places."""

    edges: tuple[int, ...]
    """Edges driven on, in order; the edge at whose end it starts is not among them."""
    via: tuple[int, ...]
    """Edge through which it is the fastest way; none for the fastest of all."""
    time_s: float
    """Travel time foreseen [s]."""
    distance_km: float
    """Length [km]."""
    energy_kwh: float | None
    """Energy foreseen [kWh]; None without a consumption curve."""


def alternatives(
    router: Router, origin: int, destination: int, count: int, curve: EnergyCurve | None = None
) -> list[Alternative]:
    """Return up to `count` different ways, the fastest first.

    Parameters
    ----------
    router
        Ways at the travel times of the moment.
    origin, destination
        Edges from whose end to whose end they lead.
    count
        Ways wanted.
    curve
        Consumption of the vehicle; heating and cooling are not in it.

    Returns
    -------
    list
        Empty if no way leads there. Fewer than `count` where the network has no more that take
        at most half as long again as the fastest (`LONGEST`), share at most 70 % of their time
        with each one before (`SHARED`) and pass no edge twice.

    Notes
    -----
    Candidates are fastest ways through one edge. Edges through which the fastest way takes
    equally long lie on one stretch that is fastest in itself (a plateau): the longer it is and
    the shorter the detour, the sooner its candidate is looked at.

    References
    ----------
    Abraham, Delling, Goldberg, Werneck: Alternative routes in road networks. ACM Journal of
    Experimental Algorithmics 18 (2013), doi:10.1145/2444016.2444019.
    """
    best = router.turns(origin, destination)
    if best is None:
        return []
    kept: list[Turns] = [best]
    through: list[tuple[int, ...]] = [()]
    if count > 1 and best:
        for point in _candidates(router, origin, destination)[: _TRIES * count]:
            if len(kept) >= count:
                break
            onward = router.turns(origin, point)
            back = router.turns(point, destination)
            way = (onward or []) + (back or [])
            if _different(router, way, kept):
                kept.append(way)
                through.append((point,))
    found = [
        _foreseen(router, way, via, curve)
        for way, via in zip(kept[:count], through[:count], strict=True)
    ]
    return sorted(found, key=lambda one: (one.time_s, one.edges))


def foreseen_kwh(router: Router, edges: Sequence[int], curve: EnergyCurve) -> float:
    """Return the energy that a vehicle is foreseen to take on some edges [kWh].

    Parameters
    ----------
    router
        Travel times of the moment.
    edges
        Edges driven on.
    curve
        Consumption of the vehicle; heating and cooling are not in it.
    """
    some = np.asarray(edges, np.int64)
    km = router.roads.length_m[some] / 1000.0
    speed_kmh = 3600.0 * km / router.edge_s[some]
    return float((curve.kwh_per_km(speed_kmh) * km).sum())


def _candidates(router: Router, origin: int, destination: int) -> list[int]:
    """Return edges through which other ways lead, the most promising first."""
    every = list(range(len(router.edge_s)))
    metric = router.metric()
    onward = _steps(CCHOneToMany(metric, every).distances_from(origin))
    back = _steps(CCHManyToOne(metric, every).distances_to(destination))
    total = onward + back
    # The time of an edge is in the way to it, so its detour counts once.
    near = np.flatnonzero((total > total[destination]) & (total <= LONGEST * total[destination]))
    lengths, plateau = np.unique(total[near], return_inverse=True)
    stretch = np.bincount(plateau, router.edge_s[near] * PER_S, len(lengths))
    first = np.full(len(lengths), -1)
    first[plateau[::-1]] = near[::-1]
    merit = stretch - (lengths - total[destination])
    return first[np.lexsort((lengths, -merit))].tolist()


def _steps(distances: list[int | None]) -> FloatArray:
    return np.array([np.inf if d is None else d for d in distances], np.float64)


def _different(router: Router, way: Turns, kept: list[Turns]) -> bool:
    edges = router.edges(way)
    if not edges or len(set(edges)) < len(edges):
        return False
    own = set(edges)
    whole = float(router.edge_s[edges].sum())
    for other in kept:
        common = sorted(own.intersection(router.edges(other)))
        if float(router.edge_s[common].sum()) > SHARED * whole:
            return False
    return True


def _foreseen(
    router: Router, way: Turns, via: tuple[int, ...], curve: EnergyCurve | None
) -> Alternative:
    edges = router.edges(way)
    energy_kwh = None if curve is None else foreseen_kwh(router, edges, curve)
    km = router.metres(way) / 1000.0
    return Alternative(tuple(edges), via, router.seconds(way), km, energy_kwh)
