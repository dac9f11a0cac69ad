"""Fit the consumption curves to SUMO's microscopic battery device.

Run as ``python -m networks.vehicles.fit_energy``; writes ``energy.toml`` beside this file. SUMO's
mesoscopic model, which moves the fleet, does not know accelerations, so its own energy figures
are wrong. Here vehicles of each body type drive microscopically through grids of streets with
speed limits from 30 to 120 km/h, with and without signals, light and crowded; every vehicle and
interval of 300 s gives one point of mean speed and net energy.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from networks.roads import RoadNetwork, read_net
from networks.roads.programs import run_program, sumo_version
from networks.vehicles.curves import CURVE_FILE
from networks.vehicles.micro import battery_wh, micro, vehicle_type
from networks.vehicles.specs import VehicleSpec, models

INTERVAL_S = 300
"""Length of an interval [s]: the settlement interval."""
RUN_S = 2400
"""Length of each simulation [s]."""
HELD_OUT = 5
"""Every so many-th vehicle is kept out of the fit and used to judge it."""
SEED = 20
CITY_KMH, HIGHWAY_KMH, CITY_SHARE = 31.5, 77.7, 0.55
"""Mean speeds of EPA's UDDS and HWFET cycles and the weight of the first (40 CFR 600)."""
BUS_KMH = 20.4
"""Mean speed at which buses are judged, 12.7 mph: that of US transit buses in service (APTA) and of
the business district phase of their tests, as remembered."""
TOGETHER = (
    ("sedan", "suv", "van"),
    ("bus", "sedan", "suv"),
    ("tesla_sedan", "tesla_suv", "hyundai_suv"),
    ("ford_suv", "volkswagen_van", "sedan"),
)
"""Models that drive together, three at a time so that each has as many vehicles; of one that drives
twice the first time counts."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """One traffic situation."""

    limit_kmh: float
    block_m: float
    signals: bool
    vehicles: int


GRIDS = (
    Grid(30, 100, True, 300),
    Grid(30, 150, True, 150),
    Grid(50, 200, True, 150),
    Grid(50, 400, True, 60),
    Grid(60, 800, True, 60),
    Grid(60, 800, False, 60),
    Grid(80, 1500, False, 60),
    Grid(100, 3000, False, 60),
    Grid(120, 6000, False, 90),
)


@dataclass(frozen=True)
class Samples:
    """Intervals of vehicles; arrays run over (interval of a vehicle)."""

    body: NDArray[np.int64]
    vehicle: NDArray[np.int64]
    situation: NDArray[np.int64]
    distance_km: Floats
    energy_kwh: Floats

    @property
    def speed_kmh(self) -> Floats:
        """Mean speed of each interval [km/h]."""
        return self.distance_km * 3600.0 / INTERVAL_S


def walk(roads: RoadNetwork, start: int, way_m: float, rng: np.random.Generator) -> list[str]:
    """Return a random drive of at least `way_m` metres that never turns back."""
    after: dict[int, list[int]] = {}
    for a, b in zip(roads.turn_from.tolist(), roads.turn_to.tolist(), strict=True):
        if roads.to_node[b] != roads.from_node[a]:
            after.setdefault(a, []).append(b)
    edges, driven = [start], 0.0
    while driven < way_m:
        edges.append(int(rng.choice(after[edges[-1]])))
        driven += float(roads.length_m[edges[-1]])
    return [roads.edge_ids[e] for e in edges]


def simulate(grid: Grid, specs: Sequence[VehicleSpec], seed: int) -> Samples:
    """Drive all body types through one situation and return their intervals."""
    rng = np.random.default_rng([SEED, seed])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kind = "traffic_light" if grid.signals else "priority"
        options = ["--grid", "--grid.number", "5", "--grid.length", f"{grid.block_m:g}"]
        options += ["--default.lanenumber", "2", "--default.speed", f"{grid.limit_kmh / 3.6:.4f}"]
        options += ["--default-junction-type", kind, "--no-turnarounds.tls", "true"]
        options += ["--seed", str(SEED), "--output-file", "grid.net.xml"]
        run_program("netgenerate", options, folder)
        roads = read_net(folder / "grid.net.xml")
        lines = [vehicle_type(spec) for spec in specs]
        way_m = grid.limit_kmh / 3.6 * 1.2 * RUN_S
        starts = rng.integers(0, len(roads.edge_ids), grid.vehicles)
        for number, start in enumerate(starts.tolist()):
            depart = number * INTERVAL_S / grid.vehicles
            edges = " ".join(walk(roads, start, way_m, rng))
            lines.append(
                f"<vehicle id='{number}' type={quoteattr(specs[number % len(specs)].name)} "
                f"depart='{depart:.2f}' departLane='best' departSpeed='max'>"
                f"<route edges='{edges}'/></vehicle>"
            )
        routes = folder / "drives.rou.xml"
        routes.write_text("<routes>\n" + "\n".join(lines) + "\n</routes>\n", encoding="utf-8")
        rows = list(_intervals(folder / "grid.net.xml", routes, seed))
    table = np.array(rows, np.float64)
    return Samples(
        body=table[:, 0].astype(np.int64) % len(specs),
        vehicle=table[:, 0].astype(np.int64),
        situation=np.full(len(table), seed, np.int64),
        distance_km=table[:, 1],
        energy_kwh=table[:, 2],
    )


def _intervals(net: Path, routes: Path, seed: int) -> Iterator[tuple[int, float, float]]:
    with micro(net, routes, seed=seed) as engine:
        before: dict[str, tuple[float, float]] = {}
        for end in range(INTERVAL_S, RUN_S + 1, INTERVAL_S):
            engine.simulationStep(end)
            now: dict[str, tuple[float, float]] = {}
            for vehicle in engine.vehicle.getIDList():
                drawn, returned = battery_wh(engine, vehicle)
                now[vehicle] = (engine.vehicle.getDistance(vehicle), drawn - returned)
            for vehicle, (way_m, energy_wh) in now.items():
                if vehicle in before:
                    metres = way_m - before[vehicle][0]
                    yield int(vehicle), metres / 1000, (energy_wh - before[vehicle][1]) / 1000
            before = now


def gather(specs: Sequence[VehicleSpec]) -> Samples:
    """Return the intervals of every situation."""
    parts = [simulate(grid, specs, number) for number, grid in enumerate(GRIDS)]
    shift = np.cumsum([0, *(grid.vehicles for grid in GRIDS)])
    return Samples(
        body=np.concatenate([p.body for p in parts]),
        vehicle=np.concatenate([p.vehicle + s for p, s in zip(parts, shift, strict=False)]),
        situation=np.concatenate([p.situation for p in parts]),
        distance_km=np.concatenate([p.distance_km for p in parts]),
        energy_kwh=np.concatenate([p.energy_kwh for p in parts]),
    )


def fit(samples: Samples, body: int, low_kmh: float) -> dict[str, float]:
    """Fit one body type and judge it on the vehicles held out.

    The interval's energy is fitted, not its quotient by distance, so that totals are unbiased.
    """
    mine = (samples.body == body) & (samples.speed_kmh >= low_kmh)
    # Vehicle numbers of one body type share a residue, so hold out by their rank.
    _, rank = np.unique(samples.vehicle, return_inverse=True)
    held = mine & ((rank // 3) % HELD_OUT == 0)
    v, km = samples.speed_kmh, samples.distance_km

    def terms(rows: NDArray[np.bool_]) -> Floats:
        speed, way = v[rows], km[rows]
        return np.column_stack([way / speed, way, way * speed, way * speed**2])

    used = mine & ~held
    solved = np.linalg.lstsq(terms(used), samples.energy_kwh[used], rcond=None)
    coefficients = np.asarray(solved[0], np.float64)
    guess = terms(held) @ coefficients
    real = samples.energy_kwh[held]
    error = (guess - real) / km[held]
    situation = samples.situation[held]
    # A mean speed does not tell a congested main road from a free street.
    worst = max(
        abs(guess[situation == s].sum() / real[situation == s].sum() - 1)
        for s in np.unique(situation)
    )
    a, b, c, d = (float(x) for x in coefficients)
    return {
        "a_kw": a,
        "b_kwh_per_km": b,
        "c_kwh_h_per_km2": c,
        "d_kwh_h2_per_km3": d,
        "low_kmh": low_kmh,
        "high_kmh": float(np.floor(v[mine].max())),
        "rms_kwh_per_km": float(np.sqrt(np.mean(error**2))),
        "bias_pct": float((guess.sum() / real.sum() - 1) * 100),
        "worst_situation_pct": float(worst * 100),
    }


def rated_kwh_per_100km(curve: dict[str, float], sumo_class: str = "passenger") -> float:
    """Return what the curve says for the published figure.

    Of a car at EPA's mean speeds, city and highway weighted 55 to 45; of a bus at the mean speed
    of urban service.
    """

    def at(v: float) -> float:
        return (
            curve["a_kw"] / v
            + curve["b_kwh_per_km"]
            + curve["c_kwh_h_per_km2"] * v
            + curve["d_kwh_h2_per_km3"] * v * v
        )

    if sumo_class == "bus":
        return 100 * at(BUS_KMH)
    return 100 * (CITY_SHARE * at(CITY_KMH) + (1 - CITY_SHARE) * at(HIGHWAY_KMH))


def report(samples: Samples, specs: Sequence[VehicleSpec], low_kmh: float) -> str:
    """Return the text of ``energy.toml`` for the standard body types."""
    lines = [
        "# Written by python -m networks.vehicles.fit_energy; do not edit.",
        "# Net consumption e(v) = a/v + b + c v + d v^2 [kWh/km], v [km/h] the mean speed over",
        "# 300 s, fitted to SUMO's microscopic battery device. The errors are those of vehicles",
        "# held out of the fit.",
        f'sumo_version = "{sumo_version()}"',
        f"intervals = {len(samples.body)}",
        f"held_out_share = {1 / HELD_OUT}",
    ]
    for body, spec in enumerate(specs):
        lines += section(spec, fit(samples, body, low_kmh))
    return "\n".join(lines) + "\n"


def section(spec: VehicleSpec, curve: dict[str, float]) -> list[str]:
    """Return the lines of one model."""
    own = rated_kwh_per_100km(curve, spec.sumo_class)
    if spec.sumo_class == "bus":
        text = [
            f"# At {BUS_KMH} km/h: {own:.2f} kWh/100 km from the battery against the published",
            f"# {spec.epa_battery_kwh_per_100km:.2f} "
            f"({(own / spec.epa_battery_kwh_per_100km - 1) * 100:+.1f} %).",
        ]
    else:
        text = [
            f"# EPA-weighted ({CITY_SHARE:.0%} at {CITY_KMH} km/h, rest at {HIGHWAY_KMH} km/h): "
            f"{own:.2f} kWh/100 km from the battery, {own / spec.ac_charge_efficiency:.2f} at the",
            f"# wall against EPA's {spec.epa_kwh_per_100km:.2f} "
            f"({(own / spec.epa_battery_kwh_per_100km - 1) * 100:+.1f} %).",
        ]
    values = [f"{key} = {value:.6g}" for key, value in curve.items()]
    return ["", *text, f"[curve.{spec.name}]", *values]


def render() -> str:
    """Simulate and fit all models and return the text of ``energy.toml``."""
    specs = {spec.name: spec for spec in models()}
    text, low_kmh, done = "", 0.0, set[str]()
    for names in TOGETHER:
        group = [specs[name] for name in names]
        samples = gather(group)
        if not text:
            low_kmh = max(float(np.ceil(np.quantile(samples.speed_kmh, 0.01))), 5.0)
            text = report(samples, group, low_kmh)
            done.update(names)
        for body, spec in enumerate(group):
            if spec.name not in done:
                text += "\n".join(section(spec, fit(samples, body, low_kmh))) + "\n"
                done.add(spec.name)
    return text


def main() -> None:
    """Simulate, fit and write ``energy.toml``."""
    text = render()
    CURVE_FILE.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
