"""What models draw on a road network: SUMO's battery device over a sample of trips."""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from cosim.errors import TrafficError
from networks.roads.network import RoadNetwork
from networks.vehicles.micro import battery_wh, micro, vehicle_type
from networks.vehicles.specs import VehicleSpec

TICK_S = 300
"""Length of a tick [s]: the settlement interval."""
RUN_S = 3600
"""Length of each simulation [s]; trips that take longer count as far as they came."""
STUCK_S = 120.0
"""Vehicles that wait longer at a junction have locked each other: SUMO lifts them over it [s]."""
LEAST_S = 30.0
"""Shortest part of a tick at a trip's begin or end that is a point [s]."""
PLACES = 60
"""Origins of the sample; each costs a search over the whole network."""

LEAST_VEHICLES = 10
"""Vehicles of a model and a level on the smallest network."""


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """One level of traffic: vehicles that set out within a time."""

    name: str
    vehicles: int
    within_s: float
    per_lane_km: float
    """Most vehicles for each kilometre of lane, so that a small network does not lock up."""


@dataclass(frozen=True, eq=False)
class Points:
    """Ticks of vehicles; arrays run over (tick of a vehicle)."""

    vehicle: NDArray[np.int64]
    """Number of the vehicle within its level."""
    level: NDArray[np.int64]
    distance_km: Floats
    moving_h: Floats
    gross_kwh: Floats
    regenerated_kwh: Floats
    arrived: NDArray[np.bool_]
    """Whether the trip ended within the simulation."""

    @property
    def net_kwh(self) -> Floats:
        """Drawn less returned [kWh]."""
        return self.gross_kwh - self.regenerated_kwh


def _trips(roads: RoadNetwork, number: int, rng: np.random.Generator) -> list[list[str]]:
    """Return the edges of a sample of trips, each with a way from its origin to its end."""
    if roads.trip_table is not None and roads.trip_table.sum() > 0:
        table = roads.trip_table.ravel() / roads.trip_table.sum()
        pairs = rng.choice(len(table), size=4 * number, p=table)
        starts = roads.zone_edge[pairs // len(roads.zone_edge)]
        ends = roads.zone_edge[pairs % len(roads.zone_edge)]
    else:
        share = roads.length_m / roads.length_m.sum()
        count = len(roads.edge_ids)
        places = rng.choice(count, size=min(PLACES, count), replace=False, p=share)
        starts = rng.choice(places, size=4 * number)
        ends = rng.choice(count, size=4 * number, p=share)
    found: list[list[str]] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        # A vehicle stands at the end of an edge: its drive begins on the next one.
        edges = roads.path(start, end)[1:] if start != end else []
        if edges:
            found.append([roads.edge_ids[e] for e in edges])
        if len(found) == number:
            return found
    if not found:
        raise TrafficError("no trip of the sample can be driven", where=str(roads.net_file))
    return [found[i % len(found)] for i in range(number)]


def simulate(
    roads: RoadNetwork, specs: Sequence[VehicleSpec], level: Level, number: int, seed: int
) -> Points:
    """Drive a sample of trips at one level of traffic and return the ticks of its vehicles.

    Parameters
    ----------
    roads
        Any network. With a trip table its trips are sampled, else places by length of street.
    specs
        Models; vehicle n is of model n modulo their number.
    level
        How many vehicles set out, and within what time.
    number
        Number of the level, which the points carry.
    seed
        Seed of the sample of trips and of SUMO.

    Raises
    ------
    TrafficError
        If this process already runs a simulation, SUMO fails, or no trip can be driven.
    """
    rng = np.random.default_rng([seed, number])
    lane_km = float((roads.length_m * roads.lanes).sum()) / 1000
    count = max(min(level.vehicles, int(level.per_lane_km * lane_km)), LEAST_VEHICLES * len(specs))
    lines = [vehicle_type(spec, anywhere=True) for spec in specs]
    for vehicle, edges in enumerate(_trips(roads, count, rng)):
        lines.append(
            f"<vehicle id='{vehicle}' type={quoteattr(specs[vehicle % len(specs)].name)} "
            f"depart='{vehicle * level.within_s / count:.2f}' departLane='best' departPos='0'>"
            f"<route edges={quoteattr(' '.join(edges))}/></vehicle>"
        )
    with tempfile.TemporaryDirectory() as name:
        routes, ended = Path(name) / "drives.rou.xml", Path(name) / "ended.xml"
        routes.write_text("<routes>\n" + "\n".join(lines) + "\n</routes>\n", encoding="utf-8")
        seen, lifted = _drive(roads.net_file, routes, ended, seed)
        rows = _ticks(seen, _totals(ended), lifted)
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Points(
        vehicle=table[:, 0].astype(np.int64),
        level=np.full(len(table), number, np.int64),
        distance_km=table[:, 1] / 1000,
        moving_h=table[:, 2] / 3600,
        gross_kwh=table[:, 3] / 1000,
        regenerated_kwh=table[:, 4] / 1000,
        arrived=table[:, 5] > 0,
    )


State = tuple[float, float, float, float]
"""Time [s], way [m], energy drawn and returned [Wh], all since the simulation or trip began."""


def _drive(
    net: Path, routes: Path, ended: Path, seed: int
) -> tuple[dict[int, list[State]], set[int]]:
    """Return the states of each vehicle at its departure and at the end of every tick.

    Also the vehicles that SUMO lifted over a jam: they moved without drawing energy.
    """
    seen: dict[int, list[State]] = {}
    lifted: set[int] = set()
    with micro(
        net, routes, seed=seed, teleport_s=STUCK_S, options=["--tripinfo-output", str(ended)]
    ) as engine:
        for end in range(TICK_S, RUN_S + 1, TICK_S):
            for second in range(end - TICK_S + 1, end + 1):
                engine.simulationStep(second)
                lifted.update(int(v) for v in engine.simulation.getStartingTeleportIDList())
            for vehicle in engine.vehicle.getIDList():
                states = seen.setdefault(
                    int(vehicle), [(float(engine.vehicle.getDeparture(vehicle)), 0.0, 0.0, 0.0)]
                )
                way_m = float(engine.vehicle.getDistance(vehicle))
                states.append((float(end), way_m, *battery_wh(engine, vehicle)))
            if not engine.simulation.getMinExpectedNumber():
                break
    return seen, lifted


def _totals(ended: Path) -> dict[int, tuple[float, State]]:
    """Return departure and last state of each vehicle that arrived."""
    found: dict[int, tuple[float, State]] = {}
    # SUMO wrote it a moment ago.
    for trip in ET.parse(ended).getroot().iter("tripinfo"):  # noqa: S314
        battery = trip.find("battery")
        if battery is None or float(trip.get("arrival", "-1")) < 0:
            continue
        last = (
            float(trip.get("arrival", "nan")),
            float(trip.get("routeLength", "nan")),
            float(battery.get("totalEnergyConsumed", "nan")),
            float(battery.get("totalEnergyRegenerated", "nan")),
        )
        found[int(str(trip.get("id")))] = (float(trip.get("depart", "nan")), last)
    return found


def _ticks(
    seen: dict[int, list[State]], totals: dict[int, tuple[float, State]], lifted: set[int]
) -> list[tuple[float, ...]]:
    """Return vehicle, way [m], time [s], energies [Wh] and whether it arrived, for each tick."""
    rows: list[tuple[float, ...]] = []
    for vehicle in sorted((seen.keys() | totals.keys()) - lifted):
        states = list(seen.get(vehicle, []))
        if vehicle in totals:
            depart_s, last = totals[vehicle]
            states = [*(states or [(depart_s, 0.0, 0.0, 0.0)]), last]
        for before, after in pairwise(states):
            change = [b - a for a, b in zip(before, after, strict=True)]
            if change[0] >= LEAST_S:
                moved = (change[1], change[0], change[2], change[3])
                rows.append((float(vehicle), *moved, float(vehicle in totals)))
    return rows
