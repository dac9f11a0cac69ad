"""The demand of a scenario's whole fleet, drawn segment by segment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cosim.scenario import Scenario
from cosim.seeds import stream
from cosim.tables import Floats, Ints
from networks.demand.places import Places
from networks.demand.segment import Demand, Private, Segment
from networks.demand.trips import Trips, joined
from networks.roads import RoadNetwork
from networks.stations import counts


@dataclass(frozen=True, eq=False)
class FleetDemand:
    """Trips that the fleet is asked for, and where its vehicles stand and charge."""

    segments: tuple[str, ...]
    """Segments that have vehicles."""
    segment: NDArray[np.int8]
    """Index into `segments`, shape (vehicle,)."""
    trips: Trips
    """In the order of asking; vehicles are those of the fleet."""
    trip_segment: NDArray[np.int8]
    """Index into `segments`, shape (trip,)."""
    start_edge: Ints
    """Where each vehicle stands at the start, shape (vehicle,)."""
    parked_s: Floats
    """How long it has stood there, inf for longer than is known, shape (vehicle,) [s]."""
    chargers: tuple[Private, ...]
    """Charging places that are not public; vehicles are those of the fleet."""
    plug_in_soc: Floats
    """State of charge below which the driver plugs in, NaN if not given, shape (vehicle,)."""


def sizes(scenario: Scenario) -> dict[str, int]:
    """Return the vehicles of each segment that has any."""
    weights = scenario.fleet.segments.model_dump()
    total = sum(weights.values())
    shares = {name: weight / total for name, weight in weights.items()}
    return {n: k for n, k in counts(scenario.fleet.vehicles, shares).items() if k}


def draw(scenario: Scenario, roads: RoadNetwork) -> FleetDemand:
    """Draw what the fleet of `scenario` is asked to do.

    Raises
    ------
    UserError
        If the file of a user's own trips cannot be read or is wrong.
    """
    places = places_of(roads)
    number = sizes(scenario)
    first = np.cumsum([0, *number.values()])
    start, duration_s = scenario.start_time, float(scenario.duration)
    parts: list[Demand] = []
    for name, count in number.items():
        segment: Segment = getattr(scenario.demand, name)
        # A stream of its own for each, so that one more segment changes nothing for the others.
        rng = stream(scenario.seed, f"demand_{name}")
        parts.append(segment.draw(count, places, start, duration_s, rng))
    trips = [part.trips for part in parts]
    whose = [np.full(len(t), i) for i, t in enumerate(trips)]
    asked_s = np.concatenate([t.asked_s for t in trips])
    chargers = [
        replace(place, vehicles=(place.vehicles + start).astype(np.int32))
        for start, part in zip(first[:-1], parts, strict=True)
        for place in part.chargers
    ]
    plug_in_soc = [
        np.full(count, np.nan) if part.plug_in_soc is None else part.plug_in_soc
        for part, count in zip(parts, number.values(), strict=True)
    ]
    return FleetDemand(
        segments=tuple(number),
        segment=np.repeat(np.arange(len(number)), list(number.values())).astype(np.int8),
        trips=joined(trips, first[:-1].tolist()),
        # As `joined` orders them: by the time of asking, at equal times by segment.
        trip_segment=np.concatenate(whose)[np.argsort(asked_s, kind="stable")].astype(np.int8),
        start_edge=np.concatenate([part.start_edge for part in parts]).astype(np.int32),
        parked_s=np.concatenate([part.parked_s for part in parts]),
        chargers=tuple(chargers),
        plug_in_soc=np.concatenate(plug_in_soc),
    )


def places_of(roads: RoadNetwork) -> Places:
    """Return where trips of a road network begin and end.

    In a network whose zones are single places these are all; where zones are areas, every edge in
    one has an equal part of its weight; without zones every edge counts by its length.
    """
    ways = roads.travel_time_s, roads.distance_km
    if roads.edge_zone.size and roads.home_weight.size:
        edge = np.flatnonzero(roads.edge_zone >= 0).astype(np.int32)
        zone = roads.edge_zone[edge]
        share = 1.0 / np.bincount(zone, minlength=len(roads.zone_ids))[zone]
        homes, work = roads.home_weight[zone] * share, roads.work_weight[zone] * share
        return Places(edge, homes, work, *ways, edge_ids=roads.edge_ids)
    if roads.trip_table is not None:
        table = roads.trip_table
        edge = roads.zone_edge.astype(np.int32)
        homes, work = table.sum(axis=1), table.sum(axis=0)
        return Places(edge, homes, work, *ways, table, roads.edge_ids)
    edge = np.arange(len(roads.edge_ids), dtype=np.int32)
    return Places(edge, roads.length_m, roads.length_m, *ways, None, roads.edge_ids)
