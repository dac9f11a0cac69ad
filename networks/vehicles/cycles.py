"""Driving cycles, driven by SUMO's microscopic battery device.

EPA's schedules for cars and the profile that transit buses are tested with; `drive` takes a
vehicle through one second by second, with no other vehicle and no driver model in the way.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from networks.roads.programs import run_program
from networks.vehicles.micro import battery_wh, micro, vehicle_type
from networks.vehicles.specs import VehicleSpec

MPH = 1.609344
"""Kilometres in a mile."""
EPA_CITY_SHARE = 0.55
"""Weight of the city cycle in EPA's combined figure, the rest being highway (40 CFR 600.210)."""
_FILE = Path(__file__).parent / "epa_cycles.csv"

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cycle:
    """Speed over time."""

    name: str
    """Name of the cycle."""
    speed_kmh: Floats
    """Speed at each full second [km/h]."""

    @property
    def distance_km(self) -> float:
        """Way [km]."""
        return float(np.sum(self.speed_kmh[1:] + self.speed_kmh[:-1]) / 2 / 3600)

    @property
    def mean_kmh(self) -> float:
        """Mean speed, stops included [km/h]."""
        return self.distance_km * 3600 / (len(self.speed_kmh) - 1)


def epa() -> tuple[Cycle, Cycle]:
    """Return EPA's city (UDDS) and highway (HWFET) schedules."""
    rows = [line.split(",") for line in _FILE.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row[0][:1].isdigit()]
    city = np.array([float(row[0]) for row in rows]) * MPH
    highway = np.array([float(row[1]) for row in rows if row[1]]) * MPH
    return Cycle("UDDS", city), Cycle("HWFET", highway)


def transit() -> tuple[Cycle, Cycle, Cycle]:
    """Return the business district, arterial and commuter phases of a transit bus test.

    Notes
    -----
    Speeds, cruising and dwell times of the phases as in SAE J1376 and Altoona's bus testing
    procedure, as remembered and not re-checked: 7 stops a mile at 20 mph, 2 at 40 mph, and one
    in four miles at 55 mph.
    """
    return (
        _stops("business district", 20, 10.0, 18.5, 4.5, 7.0, 14),
        _stops("arterial", 40, 29.0, 22.5, 9.0, 7.0, 4),
        _stops("commuter", 55, 90.0, 188.0, 13.0, 20.0, 1),
    )


def _stops(
    name: str, mph: float, up_s: float, cruise_s: float, down_s: float, dwell_s: float, number: int
) -> Cycle:
    ends_s = np.cumsum([0.0, up_s, cruise_s, down_s, dwell_s])
    levels = np.array([0.0, mph, mph, 0.0, 0.0]) * MPH
    seconds = np.arange(0.0, number * ends_s[-1] + 1.0)
    return Cycle(name, np.interp(seconds % ends_s[-1], ends_s, levels))


@dataclass(frozen=True)
class Driven:
    """Energy of a vehicle over a way."""

    distance_km: float
    """Way [km]."""
    gross_kwh: float
    """Drawn from the battery, auxiliaries included [kWh]."""
    regenerated_kwh: float
    """Returned to it by braking [kWh]."""

    @property
    def net_kwh_per_100km(self) -> float:
        """Drawn less returned [kWh/100 km]."""
        return 100 * (self.gross_kwh - self.regenerated_kwh) / self.distance_km


def drive(specs: Sequence[VehicleSpec], cycle: Cycle) -> dict[str, Driven]:
    """Drive each model through a cycle and return its energy by name.

    Raises
    ------
    TrafficError
        If SUMO does not start, or this process already runs a simulation.
    """
    speed_mps = cycle.speed_kmh / 3.6
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        way_m = cycle.distance_km * 1000 + 1000
        (folder / "n.xml").write_text(
            f"<nodes><node id='a' x='0' y='0'/><node id='b' x='{way_m:.0f}' y='0'/></nodes>"
        )
        (folder / "e.xml").write_text(
            f"<edges><edge id='ab' from='a' to='b' speed='60' numLanes='{len(specs)}'/></edges>"
        )
        options = ["-n", "n.xml", "-e", "e.xml", "-o", "road.net.xml", "--no-warnings", "true"]
        run_program("netconvert", options, folder)
        lines = [vehicle_type(spec) for spec in specs]
        lines += [
            f"<vehicle id='{spec.name}' type='{spec.name}' depart='0' departLane='{lane}' "
            f"departSpeed='0' departPos='base'><route edges='ab'/></vehicle>"
            for lane, spec in enumerate(specs)
        ]
        routes = folder / "drives.rou.xml"
        routes.write_text("<routes>\n" + "\n".join(lines) + "\n</routes>\n", encoding="utf-8")
        found: dict[str, Driven] = {}
        with micro(folder / "road.net.xml", routes, seed=0) as engine:
            engine.simulationStep()
            for spec in specs:
                engine.vehicle.setSpeedMode(spec.name, 0)
                engine.vehicle.setLaneChangeMode(spec.name, 0)
                engine.vehicle.setSpeed(spec.name, 0.0)
            engine.simulationStep()
            before = {spec.name: _read(engine, spec.name) for spec in specs}
            for speed in speed_mps.tolist():
                for spec in specs:
                    engine.vehicle.setSpeed(spec.name, speed)
                engine.simulationStep()
            for spec in specs:
                way, gross, back = (
                    b - a for a, b in zip(before[spec.name], _read(engine, spec.name), strict=True)
                )
                found[spec.name] = Driven(way / 1000, gross / 1000, back / 1000)
    return found


def _read(engine: Any, vehicle: str) -> tuple[float, float, float]:
    way_m = float(engine.vehicle.getDistance(vehicle))
    return way_m, *battery_wh(engine, vehicle)
