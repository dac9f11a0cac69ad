"""Consumption of the models on one road network, fitted to SUMO's microscopic battery device.

The curves that ship come from grids of streets; a city has its own mix of roads, junctions and
signals. Here the models drive a sample of trips over the network itself at several levels of
traffic, and every vehicle and tick gives one point of mean moving speed and net energy.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from cosim.errors import TrafficError
from networks.roads.network import RoadNetwork
from networks.vehicles.curves import EnergyCurve, shipped
from networks.vehicles.micro import battery_wh, micro, vehicle_type
from networks.vehicles.specs import VehicleSpec
from networks.vehicles.store import Calibration, ModelFit, digest, keep

TICK_S = 300
"""Length of a tick [s]: the settlement interval."""
RUN_S = 3600
"""Length of each simulation [s]; trips that take longer count as far as they came."""
STUCK_S = 120.0
"""Vehicles that wait longer at a junction have locked each other: SUMO lifts them over it [s]."""
LOW_KMH = 1.0
"""Least mean speed of the curves [km/h]: ticks in a jam are part of the points."""
HELD_OUT = 5
"""Every so many-th vehicle of a model is kept out of the fit and judges it."""
LEAST_TICKS = 20
"""Fewest ticks of a model that a fit is made of."""
LEAST_KM = 0.5
"""Shortest way of a tick whose consumption for a distance is judged [km]."""
LEAST_S = 30.0
"""Shortest part of a tick at a trip's begin or end that is a point [s]."""
PRIOR_SHARE = 0.02
"""Weight of the shipped curve's shape among the points: it tells the speeds that are not there."""
PLACES = 60
"""Origins of the sample; each costs a search over the whole network."""

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and with what comes next."""


@dataclass(frozen=True)
class Level:
    """One level of traffic: vehicles that set out within a time."""

    name: str
    vehicles: int
    within_s: float
    per_lane_km: float
    """Most vehicles for each kilometre of lane, so that a small network does not lock up."""


LEVELS = (
    Level("light", 240, 900.0, 1.0),
    Level("busy", 800, 900.0, 5.0),
    Level("crowded", 2400, 900.0, 15.0),
)
LEAST_VEHICLES = 40
"""Vehicles of a level on the smallest network."""


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


def calibrate(
    roads: RoadNetwork,
    specs: Sequence[VehicleSpec],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Fit the consumption of models on a road network and keep the result in the cache.

    Parameters
    ----------
    roads
        Any network. With a trip table its trips are sampled, else places by length of street.
    specs
        Models, which share the roads in equal numbers.
    seed
        Seed of the sample of trips and of SUMO: the same one gives the same result.
    progress
        Told before each step.

    Returns
    -------
    Calibration
        Curves and errors by model; `load_energy` gives the curves from now on.

    Raises
    ------
    TrafficError
        If this process already runs a simulation, SUMO fails, or no trip can be driven.
    """
    tell = progress or (lambda _share, _what: None)
    parts: list[Points] = []
    total = sum(level.vehicles for level in LEVELS)
    for number, level in enumerate(LEVELS):
        done = sum(earlier.vehicles for earlier in LEVELS[:number]) / total
        tell(done, f"{level.name} traffic")
        parts.append(_simulate(roads, specs, level, number, seed))
    tell(1.0, "fit")
    points = Points(
        **{
            key: np.concatenate([getattr(part, key) for part in parts])
            for key in Points.__dataclass_fields__
        }
    )
    speed = {
        level.name: float(part.distance_km.sum() / part.moving_h.sum())
        for level, part in zip(LEVELS, parts, strict=True)
    }
    usual = shipped()
    found = Calibration(
        roads=roads.name,
        digest=digest(roads, *specs),
        seed=seed,
        speed_kmh=speed,
        models={
            spec.name: fit(spec, points, i, len(specs), usual.get(spec.name))
            for i, spec in enumerate(specs)
        },
    )
    keep(roads, found, {spec.name: spec for spec in specs})
    return found


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


def _simulate(
    roads: RoadNetwork, specs: Sequence[VehicleSpec], level: Level, number: int, seed: int
) -> Points:
    rng = np.random.default_rng([seed, number])
    lane_km = float((roads.length_m * roads.lanes).sum()) / 1000
    count = max(min(level.vehicles, int(level.per_lane_km * lane_km)), LEAST_VEHICLES)
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
    if not rows:
        raise TrafficError("no vehicle of the sample drove", where=str(roads.net_file))
    table = np.array(rows, np.float64)
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


def _terms(distance_km: Floats, moving_h: Floats) -> Floats:
    """Return what the coefficients of the curve multiply, in kWh of a tick, shape (tick, 4)."""
    speed = distance_km / moving_h
    return np.column_stack([moving_h, distance_km, distance_km * speed, distance_km * speed**2])


def fit(
    spec: VehicleSpec, points: Points, place: int, among: int, usual: EnergyCurve | None
) -> ModelFit:
    """Fit one model and judge it by its vehicles that were held out.

    Parameters
    ----------
    spec
        The model.
    points
        Ticks of all models.
    place, among
        Its vehicles are those whose number leaves `place` when divided by `among`.
    usual
        The curve that ships.

    Raises
    ------
    TrafficError
        If the vehicles hardly drove.
    """
    mine = points.vehicle % among == place
    held = mine & (points.vehicle // among % HELD_OUT == 0)
    used = mine & ~held
    if used.sum() < LEAST_TICKS or not held.any():
        raise TrafficError(
            f"only {mine.sum()} ticks of {spec.name} on this network: too few for a fit"
        )
    way, hours, energy = points.distance_km, points.moving_h, points.net_kwh
    left, right = _terms(way[used], hours[used]), energy[used]
    speed = way[mine] / hours[mine]
    high = float(np.ceil(speed.max()))
    if usual is not None:
        high = max(usual.high_kmh, high)
        grid = np.linspace(usual.low_kmh, usual.high_kmh, 25)
        km = np.sqrt(PRIOR_SHARE * np.sum(way[used] ** 2) / len(grid)) * np.ones(len(grid))
        level = right.sum() / _guess(points, used, usual).sum()
        left = np.concatenate([left, _terms(km, km / grid)])
        right = np.concatenate([right, level * usual.kwh_per_km(grid) * km])
    solved = np.asarray(np.linalg.lstsq(left, right, rcond=None)[0], np.float64)
    # The shape comes from the points and the shipped curve, the total from the points alone.
    solved *= energy[used].sum() / (_terms(way[used], hours[used]) @ solved).sum()
    a, b, c, d = (float(x) for x in solved)
    bare = EnergyCurve(spec.name, a, b, c, d, LOW_KMH, high, 0.0, 0.0, 0.0)
    bias, rms, situations = _errors(points, held, bare)
    ships = None if usual is None else _errors(points, held, usual)
    ended = held & points.arrived
    key = points.level * (points.vehicle.max() + 1) + points.vehicle
    trip_km = np.bincount(key[ended], way[ended])
    real = np.bincount(key[ended], energy[ended])[trip_km > 0]
    guess = np.bincount(key[ended], _guess(points, ended, bare))[trip_km > 0]
    trips_rms = float(np.sqrt(np.mean((guess - real) ** 2)) / real.mean()) if real.size else np.nan
    worst = max(abs(error) for error in situations.values())
    return ModelFit(
        curve=EnergyCurve(spec.name, a, b, c, d, LOW_KMH, high, rms, bias, worst),
        trips=len(np.unique(key[mine & points.arrived])),
        ticks=int(mine.sum()),
        distance_km=float(way[mine].sum()),
        gross_kwh=float(points.gross_kwh[mine].sum()),
        regenerated_kwh=float(points.regenerated_kwh[mine].sum()),
        held_out_ticks=int(held.sum()),
        held_out_trips=len(real),
        trip_rms_pct=100 * trips_rms,
        situation_pct=situations,
        shipped_bias_pct=None if ships is None else ships[0],
        shipped_rms_kwh_per_km=None if ships is None else ships[1],
    )


def _guess(points: Points, rows: NDArray[np.bool_], curve: EnergyCurve) -> Floats:
    way = points.distance_km[rows]
    return curve.kwh_per_km(way / points.moving_h[rows]) * way


def _errors(
    points: Points, rows: NDArray[np.bool_], curve: EnergyCurve
) -> tuple[float, float, dict[str, float]]:
    """Return bias [%], RMS of a tick [kWh/km] and error of each level's total [%]."""
    guess, real = _guess(points, rows, curve), points.net_kwh[rows]
    way, level = points.distance_km[rows], points.level[rows]
    # Of a vehicle that hardly moved there is no consumption for a distance.
    drove = way > LEAST_KM
    error = (guess[drove] - real[drove]) / way[drove]
    rms = float(np.sqrt(np.mean(error**2))) if error.size else float("nan")
    by_level = {
        LEVELS[n].name: float(100 * (guess[level == n].sum() / real[level == n].sum() - 1))
        for n in np.unique(level).tolist()
    }
    return float(100 * (guess.sum() / real.sum() - 1)), rms, by_level
