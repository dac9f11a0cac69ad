"""The streets of a made-up city: arterials, and between them a lattice that is finer in the middle.

Lattice lines are numbered so that every fourth is an arterial. A block between arterials is split
in four, two or not at all, by its distance from the centre. No street crosses the river but
arterials with a bridge, none goes through the park, and some local streets were never built.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from networks.roads.city import FINE, Drawing, Plan, Road
from networks.roads.network import FloatArray

Cross = tuple[int, int]
"""Lines east and north of a lattice point."""
Segment = tuple[Cross, Cross, str]
"""Both ends and the kind of a street between two junctions."""


def draw_streets(plan: Plan, rng: np.random.Generator) -> Drawing:
    """Return all streets but expressways; every part of it can be reached."""
    places = _places(plan, rng)
    local = _local_streets(plan)
    built = rng.random(len(local)) >= plan.get("gap")
    ends = [e for e, keep in zip(local, built.tolist(), strict=True) if keep]
    segments = _standing(plan, places, [*_arterials(plan, ends), *ends])
    segments = _connected(segments)
    used = sorted({end for start, stop, _ in segments for end in (start, stop)})
    city = Drawing({_name(c): (float(places[c][0]), float(places[c][1])) for c in used}, set(), [])
    degree: dict[Cross, int] = dict.fromkeys(used, 0)
    for start, stop, kind in segments:
        for a, b in ((start, stop), (stop, start)):
            city.roads.append(
                Road(f"{_name(a)}-{_name(b)}", _name(a), _name(b), plan.classes[kind])
            )
            degree[a] += kind == "arterial"
    for cross in used:
        if cross[0] % FINE == 0 and cross[1] % FINE == 0 and degree[cross] > 2:
            city.signals.add(_name(cross))
    return city


def _name(cross: Cross) -> str:
    return f"{cross[0]}x{cross[1]}"


def _places(plan: Plan, rng: np.random.Generator) -> FloatArray:
    """Place of every lattice point [m], shape (line east, line north, 2)."""
    lines = plan.along(np.arange(plan.cells * FINE + 1))
    gap_m = np.gradient(lines)
    x, y = np.meshgrid(lines, lines, indexing="ij")
    off = rng.standard_normal((2, *x.shape)) * plan.get("jitter")
    x, y = plan.bent(x + off[0] * gap_m[:, None], y + off[1] * gap_m[None, :])
    return np.stack([x, y], axis=-1)


def _parts(plan: Plan, i: int, j: int) -> int:
    """Return into how many parts a block between arterials is split."""
    middle = FINE * (np.array([i, j]) + 0.5)
    away_km = float(np.hypot(*plan.along(middle))) / 1000.0
    if away_km < plan.get("fine_km"):
        return FINE
    return FINE // 2 if away_km < plan.get("coarse_km") else 1


def _local_streets(plan: Plan) -> list[Segment]:
    found: list[Segment] = []
    for i in range(plan.cells):
        for j in range(plan.cells):
            step = FINE // _parts(plan, i, j)
            for inner in range(step, FINE, step):
                kind = "collector" if 2 * inner == FINE else "local"
                for at in range(0, FINE, step):
                    east, north = FINE * i + inner, FINE * j + at
                    found.append(((east, north), (east, north + step), kind))
                    east, north = FINE * i + at, FINE * j + inner
                    found.append(((east, north), (east + step, north), kind))
    return found


def _arterials(plan: Plan, local: list[Segment]) -> list[Segment]:
    """Arterials, with a junction wherever a local street ends on them."""
    lines = range(0, plan.cells * FINE + 1, FINE)
    along: dict[tuple[str, int], set[int]] = {(d, n): set(lines) for d in "EN" for n in lines}
    for segment in local:
        for east, north in segment[:2]:
            if east % FINE == 0:
                along["N", east].add(north)
            if north % FINE == 0:
                along["E", north].add(east)
    found: list[Segment] = []
    for (direction, line), stops in along.items():
        marks = sorted(stops)
        for a, b in pairwise(marks):
            ends = ((line, a), (line, b)) if direction == "N" else ((a, line), (b, line))
            found.append((*ends, "arterial"))
    return found


def _standing(plan: Plan, places: FloatArray, segments: list[Segment]) -> list[Segment]:
    """Leave out what would cross the river without a bridge, or the park."""
    a = places[tuple(np.array([s[0] for s in segments]).T)]
    b = places[tuple(np.array([s[1] for s in segments]).T)]
    wet = plan.north_of_river(a[:, 0], a[:, 1]) != plan.north_of_river(b[:, 0], b[:, 1])
    green = plan.in_park(*((a + b) / 2.0).T)
    every = FINE * int(plan.get("river.bridge_every"))
    found: list[Segment] = []
    for segment, over, inside in zip(segments, wet.tolist(), green.tolist(), strict=True):
        (east, north), (east_to, _), kind = segment
        line = east if east == east_to else north
        if not inside and (not over or (kind == "arterial" and line % every == 0)):
            found.append(segment)
    return found


def _connected(segments: list[Segment]) -> list[Segment]:
    """Leave out what the river or the park cut off."""
    index: dict[Cross, int] = {}
    for start, stop, _ in segments:
        index.setdefault(start, len(index))
        index.setdefault(stop, len(index))
    ends = np.array([(index[a], index[b]) for a, b, _ in segments])
    graph = csr_array((np.ones(len(ends)), ends.T), shape=(len(index), len(index)))
    _, part = connected_components(graph, directed=False)
    main = int(np.bincount(part).argmax())
    return [s for s, (a, _) in zip(segments, ends.tolist(), strict=True) if part[a] == main]
