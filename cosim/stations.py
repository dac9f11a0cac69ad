"""The charging stations of a scenario: public ones, and those of homes, depots and work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import networks.feeders
import networks.stations
from cosim.areas import areas
from cosim.demand import FleetDemand, places_of
from cosim.scenario import Scenario
from cosim.seeds import stream
from cosim.tables import Ints, StationTable
from networks.demand.segment import Private
from networks.roads import RoadNetwork

ACCESS = ("home", "depot", "work")
"""Kinds of stations that are not public."""
SINGLE_PHASE_KW = 19.2
"""Most power of an AC port: 80 A at 240 V (SAE J1772, level 2); more comes as direct current."""
SINGLE_PHASE_STATION_KW = 100.0
"""A station above this has a three-phase supply [kW]."""
SINGLE_PHASE_KVA, THREE_PHASE_KVA = 167.0, 750.0
"""Largest service transformers [kVA]."""
STATION_KW = 700.0
"""Largest station [kW]; a larger place has several, each with a service transformer."""


def table(scenario: Scenario, roads: RoadNetwork, asked: FleetDemand) -> tuple[StationTable, Ints]:
    """Return the stations, and those that are not public by vehicle.

    Returns
    -------
    stations
        Public ones first.
    private_station
        Shape (vehicle, place), padded with -1; see `VehicleTable.private_station`.
    """
    wanted = scenario.fleet.stations
    kinds = networks.stations.kinds()
    number = public_counts(scenario)
    kind = np.repeat(np.arange(len(kinds)), [number[name] for name in kinds])
    places = places_of(roads)
    public_edge = networks.stations.place(
        kind.astype(np.int8), places.edge, places.work, stream(scenario.seed, "stations")
    )
    of_kind = list(kinds.values())
    power_factor = scenario.grid.charger_power_factor
    most_kw = min(STATION_KW, THREE_PHASE_KVA * power_factor)
    private = [part for place in asked.chargers for part in _parts(place, most_kw)]

    def column(field: str, given: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        of_public = np.array([float(getattr(k, field)) for k in of_kind])[kind]
        return np.concatenate([of_public, np.asarray(given, dtype=np.float64)])

    port_kw = column("port_kw", [p.port_kw for p in private])
    ports = column("ports", [p.ports for p in private]).astype(np.int32)
    bidirectional = column("bidirectional", [p.bidirectional for p in private]) > 0
    rating_kw = ports * port_kw
    single_phase_kw = min(SINGLE_PHASE_STATION_KW, SINGLE_PHASE_KVA * power_factor)
    large = (port_kw > SINGLE_PHASE_KW) | (rating_kw > single_phase_kw)
    public = np.arange(len(ports)) < wanted.count
    three_phase = column("three_phase", [0.0] * len(private)) > 0
    edge = np.append(public_edge, [p.edge for p in private]).astype(np.int32)
    access = np.full(len(ports), -1)
    access[wanted.count :] = [ACCESS.index(p.access) for p in private]
    _, first, site = np.unique(
        access * len(roads.edge_ids) + edge, return_index=True, return_inverse=True
    )
    site = site.ravel().astype(np.int32)
    share = np.append(np.full(wanted.count, wanted.site_share), [p.share for p in private])
    feeder = areas(
        roads.end_x_m[edge],
        roads.end_y_m[edge],
        site,
        rating_kw,
        scenario.grid.feeders,
        networks.feeders.load_kw(scenario.grid.feeder),
    )
    stations = StationTable(
        ids=tuple(str(i) for i in range(len(ports))),
        kinds=(*kinds, *ACCESS),
        kind=np.append(kind, len(kinds) + access[wanted.count :]).astype(np.int8),
        public=public,
        edge=edge,
        ports=ports,
        port_kw=port_kw,
        rating_kw=rating_kw,
        three_phase=three_phase | (large & ~public),
        direct=three_phase | bidirectional | (port_kw > SINGLE_PHASE_KW),
        bidirectional=bidirectional,
        site=site,
        site_ids=tuple(
            f"{('public', *ACCESS)[access[i] + 1]} at {roads.edge_ids[edge[i]]}" for i in first
        ),
        site_kw=np.bincount(site, rating_kw, len(first)).astype(np.float64) * share[first],
        feeder=feeder,
    )
    return stations, _by_vehicle(private, wanted.count, scenario.fleet.vehicles)


def public_counts(scenario: Scenario) -> dict[str, int]:
    """Return how many public stations of each kind a scenario has."""
    wanted = scenario.fleet.stations
    shares = {name: getattr(wanted, name) for name in networks.stations.kinds()}
    return networks.stations.counts(wanted.count, shares)


def _parts(place: Private, most_kw: float) -> list[Private]:
    """Divide a place into stations that a service transformer carries."""
    most = max(1, int(most_kw // place.port_kw))
    number = -(-place.ports // most)
    sizes = [place.ports // number + (i < place.ports % number) for i in range(number)]
    return [
        Private(
            place.edge, place.access, place.vehicles, size, place.port_kw, place.bidirectional,
            place.share,
        )
        for size in sizes
    ]  # fmt: skip


def _by_vehicle(private: Sequence[Private], first: int, vehicles: int) -> Ints:
    """Return the stations of each vehicle, in their order, shape (vehicle, place)."""
    if not private:
        return np.full((vehicles, 1), -1, dtype=np.int32)
    who = np.concatenate([p.vehicles for p in private])
    station = np.repeat(first + np.arange(len(private)), [len(p.vehicles) for p in private])
    order = np.argsort(who, kind="stable")
    who, station = who[order], station[order]
    column = np.arange(len(who)) - np.searchsorted(who, who)
    table = np.full((vehicles, int(column.max()) + 1), -1, dtype=np.int32)
    table[who, column] = station
    return table
