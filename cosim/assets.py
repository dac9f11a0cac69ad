"""Who and what exists in a scenario: its vehicles, its stations and its roads.

Every simulator builds the same tables from the same scenario, so nothing static crosses the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

import networks.roads
import networks.stations
import networks.vehicles
import networks.weather
from cosim.scenario import Scenario
from cosim.seeds import stream
from networks.roads import RoadNetwork
from networks.stations import StationKind
from networks.vehicles import VehicleSpec

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class VehicleTable:
    """Vehicles of the fleet; every array has shape (vehicle,)."""

    ids: tuple[str, ...]
    specs: tuple[VehicleSpec, ...]
    """Specification of each body type."""
    body_type: NDArray[np.int8]
    """Index into `specs`."""
    home_edge: NDArray[np.int32]
    """Edge where the vehicle stands at the start."""
    initial_soc: Floats
    """State of charge at the start."""

    def per_vehicle(self, field: str) -> Floats:
        """Return the field of the specification for every vehicle."""
        return np.array([float(getattr(spec, field)) for spec in self.specs])[self.body_type]


@dataclass(frozen=True)
class StationTable:
    """Charging stations; every array has shape (station,)."""

    ids: tuple[str, ...]
    kinds: tuple[StationKind, ...]
    kind: NDArray[np.int8]
    """Index into `kinds`."""
    edge: NDArray[np.int32]
    """Edge at whose end the station stands."""

    def per_station(self, field: str) -> Floats:
        """Return the field of the kind for every station."""
        return np.array([float(getattr(kind, field)) for kind in self.kinds])[self.kind]

    @property
    def ports(self) -> NDArray[np.int32]:
        """Ports of each station."""
        return self.per_station("ports").astype(np.int32)

    @property
    def rating_kw(self) -> Floats:
        """Most AC power of each station, all ports together [kW]."""
        return self.per_station("ports") * self.per_station("port_kw")


@dataclass(frozen=True)
class Assets:
    """Static tables of a scenario."""

    roads: RoadNetwork
    vehicles: VehicleTable
    stations: StationTable
    ambient_c: Floats
    """Ambient temperature of each tick [degC], shape (tick,)."""

    @classmethod
    def of(cls, scenario: Scenario) -> Assets:
        """Return the tables of `scenario`, the same for every caller."""
        return _build(scenario.model_dump_json())


@lru_cache(maxsize=4)
def _build(plain: str) -> Assets:
    scenario = Scenario.model_validate_json(plain)
    roads = networks.roads.load(scenario.traffic.roads)
    vehicles, stations = _vehicles(scenario, roads), _stations(scenario, roads)
    return Assets(roads, vehicles, stations, _ambient_c(scenario))


def _ambient_c(scenario: Scenario) -> Floats:
    weather = scenario.weather
    if weather.series:
        return networks.weather.series(weather.series, scenario.start_time, scenario.ticks)
    return np.full(scenario.ticks, weather.ambient_c)


def _sites(roads: RoadNetwork) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Return the edges where things can stand, with their trips out and in."""
    if roads.trip_table is not None:
        trips = roads.trip_table
        return roads.zone_edge.astype(np.int32), trips.sum(axis=1), trips.sum(axis=0)
    edges = np.arange(len(roads.edge_ids), dtype=np.int32)
    return edges, roads.length_m, roads.length_m


def _vehicles(scenario: Scenario, roads: RoadNetwork) -> VehicleTable:
    fleet = scenario.fleet
    rng = stream(scenario.seed, "vehicles")
    specs = networks.vehicles.load()
    shares = fleet.body_types.model_dump()
    number = networks.stations.counts(fleet.vehicles, shares)
    names = list(shares)
    body_type = rng.permutation(np.repeat(np.arange(len(names)), [number[n] for n in names]))
    sites, out, _ = _sites(roads)
    home = rng.choice(sites, size=fleet.vehicles, p=out / out.sum())
    low, high = fleet.initial_soc
    return VehicleTable(
        ids=tuple(str(i) for i in range(fleet.vehicles)),
        specs=tuple(specs[name] for name in names),
        body_type=body_type.astype(np.int8),
        home_edge=home.astype(np.int32),
        initial_soc=rng.uniform(low, high, fleet.vehicles),
    )


def _stations(scenario: Scenario, roads: RoadNetwork) -> StationTable:
    wanted = scenario.fleet.stations
    rng = stream(scenario.seed, "stations")
    kinds = networks.stations.kinds()
    number = networks.stations.counts(wanted.count, wanted.model_dump(exclude={"count"}))
    kind = np.repeat(np.arange(len(kinds)), [number[name] for name in kinds]).astype(np.int8)
    sites, _, arriving = _sites(roads)
    return StationTable(
        ids=tuple(str(i) for i in range(wanted.count)),
        kinds=tuple(kinds.values()),
        kind=kind,
        edge=networks.stations.place(kind, sites, arriving, rng),
    )
