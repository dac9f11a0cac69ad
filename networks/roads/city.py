"""A made-up city: the plan, what is drawn from it, and netconvert's input.

The same plan gives the same city, digit for digit: all chance comes from the plan's seed, and
every draw is made whether or not its street is built.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from networks.roads.network import FloatArray

Point = tuple[float, float]
FINE = 4
"""Steps of the lattice between two arterials."""


@dataclass(frozen=True)
class Class:
    """What streets of one kind are like."""

    name: str
    lanes: int
    speed_kmh: float
    priority: int


PRIORITY = {"ring": 12, "radial": 12, "ramp": 7, "arterial": 9, "collector": 5, "local": 3}
"""Who gives way to whom, in the order that SUMO's table for OpenStreetMap has."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The figures of a city."""

    figures: dict[str, Any]
    """Section ``city`` of the plan's file."""
    classes: dict[str, Class]
    sha256: str

    def get(self, key: str) -> float:
        """Return a figure by its dotted name."""
        node: Any = self.figures
        for part in key.split("."):
            node = node[part]
        return float(node)

    @property
    def cells(self) -> int:
        """Blocks between arterials, each way."""
        return int(self.figures["cells"])

    def along(self, step: ArrayLike) -> FloatArray:
        """Return where lattice lines are [m], closer in the middle; before bends."""
        half = self.cells * FINE / 2.0
        u = (np.asarray(step, np.float64) - half) / half
        near = self.get("crowding")
        return 1000.0 * self.get("reach_km") * (near * u + (1.0 - near) * u**3)

    def bent(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return where places of the straight lattice are on the ground [m]."""
        turn = 2.0 * np.pi / (1000.0 * self.get("bend_km"))
        wide = self.get("bend_m")
        return x + wide * np.sin(turn * y + 0.7), y + wide * np.sin(turn * x + 2.1)

    def in_park(self, x: FloatArray, y: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return whether places on the ground are in the park."""
        east = (x / 1000.0 - self.get("park.east_km")) / self.get("park.half_width_km")
        north = (y / 1000.0 - self.get("park.north_km")) / self.get("park.half_height_km")
        return east**2 + north**2 < 1.0

    def north_of_river(self, x: FloatArray, y: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return on which side of the river places on the ground are."""
        wave = np.sin(2.0 * np.pi * x / 1000.0 / self.get("river.wave_km") + 0.4)
        bank_km = self.get("river.swing_km") * wave - self.get("river.south_km")
        return y / 1000.0 > bank_km


@dataclass(frozen=True)
class Road:
    """One direction of a street."""

    road_id: str
    start: str
    end: str
    kind: Class
    shape: tuple[Point, ...] = ()
    """Bends between its ends [m]."""


@dataclass
class Drawing:
    """Junctions and streets."""

    nodes: dict[str, Point]
    """Place of each junction [m]."""
    signals: set[str]
    """Junctions with traffic signals; asked for, never gone through."""
    roads: list[Road]


def read_plan(file: Path) -> Plan:
    """Return the plan in the section ``city`` of a file."""
    figures: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["city"]
    classes = {
        name: Class(name, int(figures[name]["lanes"]), float(figures[name]["speed_kmh"]), priority)
        for name, priority in PRIORITY.items()
    }
    return Plan(figures, classes, hashlib.sha256(file.read_bytes()).hexdigest())


def plain_xml(city: Drawing) -> tuple[str, str]:
    """Return netconvert's node and edge files."""
    nodes = [
        f"  <node id='{node}' x='{x:.2f}' y='{y:.2f}'"
        f" type='{'traffic_light' if node in city.signals else 'priority'}'/>"
        for node, (x, y) in city.nodes.items()
    ]
    edges: list[str] = []
    for road in city.roads:
        places = (city.nodes[road.start], *road.shape, city.nodes[road.end])
        bends = " ".join(f"{x:.2f},{y:.2f}" for x, y in places)
        shape = f" shape='{bends}'" if road.shape else ""
        spread = "center" if road.kind.name in ("ring", "radial", "ramp") else "right"
        edges.append(
            f"  <edge id='{road.road_id}' from='{road.start}' to='{road.end}'"
            f" numLanes='{road.kind.lanes}' speed='{road.kind.speed_kmh / 3.6:.3f}'"
            f" priority='{road.kind.priority}' type='{road.kind.name}'"
            f" spreadType='{spread}'{shape}/>"
        )
    return (
        "<nodes>\n" + "\n".join(nodes) + "\n</nodes>\n",
        "<edges>\n" + "\n".join(edges) + "\n</edges>\n",
    )
