"""The expressways of a made-up city: a ring, radials, and interchanges.

Each is two one-way carriageways. At an interchange a carriageway first has the junction where it is
left and then the one where it is joined. At an exit, ramps go to the nearest crossing of
arterials; where ring and radial meet, ramps go from each carriageway to both of the other road.
Everything else passes above or below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from networks.roads.city import Class, Drawing, Plan, Point, Road
from networks.roads.network import FloatArray

MEDIAN_M = 16.0
"""From the middle of an expressway to the middle of a carriageway."""
BEND_M = 250.0
"""Between the points of its shape."""
CLEAR_M = 400.0
"""Least way between two interchanges."""
NEAR_M = 650.0
"""From an exit to its crossing of arterials, at most."""


@dataclass
class Line:
    """The middle line of an expressway."""

    name: str
    kind: Class
    points: FloatArray
    closed: bool
    stops: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """Interchanges: way along the line and from their middle to their ramps [m]."""

    def __post_init__(self) -> None:
        steps = np.hypot(*np.diff(self.points, axis=0).T)
        self.way_m = np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length_m(self) -> float:
        """Length of the line [m]."""
        return float(self.way_m[-1])

    def at(self, way_m: float, aside_m: float = 0.0) -> Point:
        """Return a place along the line, `aside_m` to its right."""
        if self.closed:
            way_m %= self.length_m
        x, y = (float(np.interp(way_m, self.way_m, self.points[:, k])) for k in (0, 1))
        k = int(np.clip(np.searchsorted(self.way_m, way_m) - 1, 0, len(self.points) - 2))
        dx, dy = self.points[k + 1] - self.points[k]
        size = float(np.hypot(dx, dy))
        return x + aside_m * float(dy) / size, y - aside_m * float(dx) / size

    def nearest(self, place: Point) -> float:
        """Return the way along the line to its point nearest to a place [m]."""
        ways = np.arange(0.0, self.length_m, 5.0)
        x, y = (np.interp(ways, self.way_m, self.points[:, k]) for k in (0, 1))
        return float(ways[np.hypot(x - place[0], y - place[1]).argmin()])


def add_expressways(plan: Plan, city: Drawing) -> None:
    """Draw ring and radials into a city with streets."""
    crossings = sorted(city.signals)
    at = np.array([city.nodes[c] for c in crossings])
    ring, radials = _lines(plan)
    wide, narrow = plan.get("expressways.junction_half_m"), plan.get("expressways.exit_half_m")
    meets = [_meeting(ring, radial) for radial in radials]
    ring.stops = [(on_ring, wide) for on_ring, _ in meets]
    for radial, (_, on_radial) in zip(radials, meets, strict=True):
        radial.stops = [(on_radial, wide)]
    every_m = 1000.0 * plan.get("expressways.exit_every_km")
    for line in (ring, *radials):
        meeting = tuple(line.stops)
        for way_m in np.arange(every_m / 2.0, line.length_m - every_m / 3.0, every_m / 4.0):
            best = min((way_m + d for d in (-150.0, 0.0, 150.0)), key=lambda w: _off(line, w, at))
            if _off(line, best, at) < NEAR_M and _clear(line, best, narrow, every_m):
                line.stops.append((best, narrow))
        line.stops.sort()
        _carriageways(city, line)
        for stop in line.stops:
            if stop not in meeting:
                crossing = crossings[int(_away(line, stop[0], at).argmin())]
                _exit(plan, city, line, line.stops.index(stop), crossing)
        if not line.closed:
            ends = [crossings[int(_away(line, w, at).argmin())] for w in (0.0, line.length_m)]
            _ends(city, line, ends)
    for radial, (on_ring, on_radial) in zip(radials, meets, strict=True):
        _junction(plan, city, ring, on_ring, radial, on_radial)


def _lines(plan: Plan) -> tuple[Line, list[Line]]:
    angle = np.linspace(0.0, 2.0 * np.pi, 161)
    half = [1000.0 * plan.get(f"expressways.ring_{side}_km") for side in ("east", "north")]
    round_ = np.stack([half[0] * np.cos(angle), half[1] * np.sin(angle)], axis=-1)
    ring = Line("ring", plan.classes["ring"], round_, closed=True)
    inner, outer = (1000.0 * plan.get(f"expressways.{end}_km") for end in ("inner", "outer"))
    radials: list[Line] = []
    degrees: Sequence[float] = plan.figures["expressways"]["radial_deg"]
    for number, degree in enumerate(degrees):
        away = np.linspace(inner, outer, 1 + int((outer - inner) / BEND_M))
        # A straight line would look like nothing that was ever built.
        bearing = np.radians(degree + 4.0 * np.sin((away - inner) / 1500.0 + number))
        points = np.stack([away * np.cos(bearing), away * np.sin(bearing)], axis=-1)
        radials.append(Line(f"radial{number + 1}", plan.classes["radial"], points, closed=False))
    return ring, radials


def _meeting(ring: Line, radial: Line) -> tuple[float, float]:
    """Return the ways along ring and radial to where they cross [m]."""
    ways = np.arange(0.0, radial.length_m, 5.0)
    off: list[float] = []
    for way_m in ways.tolist():
        place = radial.at(way_m)
        off.append(float(np.hypot(*(ring.points - place).T).min()))
    on_radial = float(ways[int(np.argmin(off))])
    return ring.nearest(radial.at(on_radial)), on_radial


def _away(line: Line, way_m: float, at: FloatArray) -> FloatArray:
    return np.hypot(*(at - line.at(way_m)).T)


def _off(line: Line, way_m: float, at: FloatArray) -> float:
    return float(_away(line, way_m, at).min())


def _clear(line: Line, way_m: float, half_m: float, every_m: float) -> bool:
    """Whether there is room for an interchange, and no other one nearer than they should be."""
    if not line.closed and not half_m < way_m - CLEAR_M < line.length_m - half_m - 2.0 * CLEAR_M:
        return False
    for other, other_half in line.stops:
        apart = abs(way_m - other)
        apart = min(apart, line.length_m - apart) if line.closed else apart
        if apart < max(
            0.75 * every_m if other_half == half_m else 0.0, half_m + other_half + CLEAR_M
        ):
            return False
    return True


def _carriageways(city: Drawing, line: Line) -> None:
    """Draw both carriageways with the junctions of all interchanges."""
    for side, sign in (("f", 1.0), ("b", -1.0)):
        marks: list[tuple[float, str]] = []
        for number, (way_m, half_m) in enumerate(line.stops):
            for part, shift in (("out", -half_m), ("in", half_m)):
                marks.append((way_m + sign * shift, f"{line.name}{side}{number}{part}"))
        marks.sort(key=lambda mark: sign * mark[0])
        aside = MEDIAN_M if side == "f" else -MEDIAN_M
        for way_m, node in marks:
            city.nodes[node] = line.at(way_m, aside)
        pairs = list(pairwise(marks))
        if line.closed:
            around = (marks[0][0] + sign * line.length_m, marks[0][1])
            pairs.append((marks[-1], around))
        for (start_m, start), (end_m, end) in pairs:
            bends = max(1, round(abs(end_m - start_m) / BEND_M))
            ways = np.linspace(start_m, end_m, bends + 1)[1:-1].tolist()
            shape = tuple(line.at(way_m, aside) for way_m in ways)
            city.roads.append(Road(f"{start}-{end}", start, end, line.kind, shape))


def _exit(plan: Plan, city: Drawing, line: Line, number: int, crossing: str) -> None:
    for side in "fb":
        stop = f"{line.name}{side}{number}"
        _ramp(plan, city, f"{stop}out", crossing)
        _ramp(plan, city, crossing, f"{stop}in")


def _junction(
    plan: Plan, city: Drawing, ring: Line, on_ring: float, radial: Line, on_radial: float
) -> None:
    here = [stop[0] for stop in ring.stops].index(on_ring)
    there = [stop[0] for stop in radial.stops].index(on_radial)
    for a in "fb":
        for b in "fb":
            around, across = f"ring{a}{here}", f"{radial.name}{b}{there}"
            _ramp(plan, city, f"{around}out", f"{across}in")
            _ramp(plan, city, f"{across}out", f"{around}in")


def _ends(city: Drawing, line: Line, crossings: Sequence[str]) -> None:
    """Join both ends of a radial to the crossings of arterials there."""
    last = len(line.stops) - 1
    for start, end in (
        (crossings[0], f"{line.name}f0out"),
        (f"{line.name}f{last}in", crossings[1]),
        (crossings[1], f"{line.name}b{last}out"),
        (f"{line.name}b0in", crossings[0]),
    ):
        city.roads.append(Road(f"{start}-{end}", start, end, line.kind))


def _ramp(plan: Plan, city: Drawing, start: str, end: str) -> None:
    city.roads.append(Road(f"{start}-{end}", start, end, plan.classes["ramp"]))
