"""Whether traffic moves as published here."""

from __future__ import annotations

import numpy as np

import networks.roads
import networks.vehicles
from adapters.sumo.meso import MesoTraffic
from cosim.errors import TrafficError
from cosim.health import Check
from cosim.signals import LEGS
from networks.roads.programs import sumo_version

ORIGIN, DESTINATION, MINUTES = "1", "20", 22.0
"""A trip whose free-flow time on the published network is known: 1-2-6-8-7-18-20."""


def check() -> list[Check]:
    """Drive from zone 1 to zone 20 of Sioux Falls and compare distance and time."""
    version = Check("SUMO", True, sumo_version())
    try:
        found_km, found_min, energy_kwh = _drive()
    except TrafficError as error:
        return [version, Check("Sioux Falls drive", False, str(error))]
    connectors_km = 0.4
    spec = networks.vehicles.load()["sedan"]
    per_100km = 100 * energy_kwh / found_km
    return [
        version,
        Check(
            "Sioux Falls distance",
            abs(found_km - MINUTES - connectors_km) < 1e-3,
            f"{found_km:.3f} km by odometer; published {MINUTES + connectors_km:.3f}",
        ),
        Check(
            "Sioux Falls time",
            abs(found_min / MINUTES - 1) < 0.1,
            f"{found_min:.1f} min on an empty road; published {MINUTES:.1f} without connectors",
        ),
        Check(
            "sedan consumption",
            abs(per_100km / spec.epa_battery_kwh_per_100km - 1) < 0.15,
            f"{per_100km:.1f} kWh/100 km; EPA {spec.epa_battery_kwh_per_100km:.1f} behind the plug",
        ),
    ]


def _drive(vehicles: int = 24) -> tuple[float, float, float]:
    """Return distance [km], median time [min] and mean energy [kWh] of the known trip."""
    roads = networks.roads.load("siouxfalls")
    zone = dict(zip(roads.zone_ids, roads.zone_edge.tolist(), strict=True))
    specs = [networks.vehicles.load()["sedan"]]
    home = np.full(vehicles, zone[ORIGIN], np.int32)
    traffic = MesoTraffic(roads, specs, np.zeros(vehicles, np.int8), home, seed=1)
    itinerary = np.full((vehicles, LEGS), -1, np.int32)
    itinerary[:, 0] = zone[DESTINATION]
    stay, nowhere = np.full_like(itinerary, -1), np.full(vehicles, -1, np.int32)
    start_s = np.linspace(0.0, 240.0, vehicles)
    events: list[dict[str, object]] = []
    try:
        for tick in range(8):
            wish = stay if tick else itinerary
            events += traffic.advance(tick, wish, start_s, nowhere).events
    finally:
        traffic.close()
    trips = [e for e in events if e["kind"] == "trip"]
    if len(trips) != vehicles:
        raise TrafficError(f"{len(trips)} of {vehicles} vehicles arrived within 40 minutes")
    table = np.array(
        [[e["distance_km"], e["time_s"], e["start_s"], e["energy_kwh"]] for e in trips], np.float64
    )
    minutes = (table[:, 1] - table[:, 2]) / 60.0
    return float(table[:, 0].mean()), float(np.median(minutes)), float(table[:, 3].mean())
