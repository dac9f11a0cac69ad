"""Who and what exists in a scenario: its vehicles, their trips, its stations and its roads.

Every simulator builds the same tables from the same scenario, so nothing static crosses the wire.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

import networks.roads
import networks.vehicles
import networks.weather
from cosim import demand, stations
from cosim.demand import FleetDemand
from cosim.scenario import Scenario
from cosim.seeds import stream
from cosim.start import soc_at_start
from cosim.tables import Floats, StationTable, VehicleTable
from networks.roads import RoadNetwork
from networks.stations import counts
from networks.vehicles import VehicleSpec

__all__ = ["Assets", "StationTable", "Surroundings", "VehicleTable"]


@dataclass(frozen=True)
class Surroundings:
    """What everybody may know before a run: nothing of what is to come."""

    roads: RoadNetwork
    vehicles: VehicleTable
    stations: StationTable


@dataclass(frozen=True)
class Assets(Surroundings):
    """Static tables of a scenario, with the trips and the weather that are to come."""

    demand: FleetDemand
    """Trips that the fleet is asked for, known or not."""
    ambient_c: Floats
    """Ambient temperature of each tick [degC], shape (tick,)."""

    @property
    def surroundings(self) -> Surroundings:
        """What agents are given: of trips and weather they learn from their observations."""
        return Surroundings(self.roads, self.vehicles, self.stations)

    @classmethod
    def of(cls, scenario: Scenario) -> Assets:
        """Return the tables of `scenario`, the same for every caller."""
        return _build(scenario.model_dump_json())


@lru_cache(maxsize=4)
def _build(plain: str) -> Assets:
    scenario = Scenario.model_validate_json(plain)
    roads = networks.roads.load(scenario.traffic.roads)
    asked = demand.draw(scenario, roads)
    table, private_station = stations.table(scenario, roads, asked)
    vehicles = _vehicles(scenario, asked, private_station)
    soc = soc_at_start(vehicles, table, asked.parked_s, scenario.rules.charge_to_soc)
    vehicles = replace(vehicles, initial_soc=soc)
    return Assets(roads, vehicles, table, asked, _ambient_c(scenario))


def _ambient_c(scenario: Scenario) -> Floats:
    weather = scenario.weather
    if weather.series:
        return networks.weather.series(weather.series, scenario.start_time, scenario.ticks)
    return np.full(scenario.ticks, weather.ambient_c)


def models(scenario: Scenario) -> dict[str, dict[VehicleSpec, int]]:
    """Return how many vehicles of each model every segment of a scenario has."""
    fleet = scenario.fleet
    brands = fleet.brands.model_dump()
    bodies = (*type(fleet.body_types).model_fields, "bus")
    of_body = {body: networks.vehicles.by_brand(body, brands) for body in bodies}
    specs = {spec.name: spec for spec in networks.vehicles.models()}
    found: dict[str, dict[VehicleSpec, int]] = {}
    for segment, number in demand.sizes(scenario).items():
        mix = {"bus": 1.0} if segment == "transit" else fleet.body_types.model_dump()
        shares = {
            name: share * part
            for body, share in mix.items()
            for name, part in of_body[body].items()
        }
        found[segment] = {specs[n]: k for n, k in counts(number, shares).items() if k}
    return found


def _vehicles(scenario: Scenario, asked: FleetDemand, private_station: object) -> VehicleTable:
    fleet = scenario.fleet
    rng = stream(scenario.seed, "vehicles")
    of_segment = models(scenario)
    specs = tuple(dict.fromkeys(spec for part in of_segment.values() for spec in part))
    number = {spec: i for i, spec in enumerate(specs)}
    model = [
        rng.permutation(np.repeat([number[s] for s in part], list(part.values())))
        for part in of_segment.values()
    ]
    low, high = fleet.initial_soc
    return VehicleTable(
        ids=tuple(str(i) for i in range(fleet.vehicles)),
        specs=specs,
        model=np.concatenate(model).astype(np.int8),
        segments=asked.segments,
        segment=asked.segment,
        home_edge=asked.start_edge,
        initial_soc=rng.uniform(low, high, fleet.vehicles),
        plug_in_soc=asked.plug_in_soc,
        private_station=np.asarray(private_station, dtype=np.int32),
    )
