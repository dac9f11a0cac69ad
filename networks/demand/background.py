"""Traffic of other people: trips between places at hours of a published table."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UserError, nearest
from networks.demand.hours import SATURDAY, WEEKDAY, days, profile
from networks.demand.trips import Floats, Ints
from networks.roads import RoadNetwork

LANE_CAPACITY_PER_H = 1800.0
"""Vehicles that a lane can carry: saturation flow of a lane, Highway Capacity Manual [1/h]."""
MOST_TRIPS = 2_000_000
"""Trips of a run that are made at most."""
_PLACES = 5
"""Edges of a zone that stand for all of them: trips between two zones share their ways."""
_SAMPLE = 4000
"""Trips from which the load of the network is estimated."""
COLUMNS = ("origin", "destination", "trips")
"""Columns of an origin-destination file: zones or edges, and trips a day."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Where trips begin and end, and how many do; arrays have shape (pair,)."""

    origin: NDArray[np.int64]
    """Index into `places`."""
    destination: NDArray[np.int64]
    """Index into `places`."""
    per_day: Floats
    """Trips a day, in any unit where they are scaled."""
    places: tuple[Ints, ...]
    """Edges of each place, one or more."""


@dataclass(frozen=True, eq=False)
class BackgroundTrips:
    """Trips in the order of departure; arrays have shape (trip,)."""

    depart_s: Floats
    """Departure after the start of the simulation [s]."""
    origin_edge: Ints
    """Edge at whose end each begins."""
    destination_edge: Ints
    """Edge at whose end each ends."""
    pace: Floats
    """Speed relative to the limit: SUMO's spread of cars."""


def table_pairs(roads: RoadNetwork, rng: np.random.Generator) -> Pairs:
    """Return the trip table of a network as pairs; without one, all edges alike by length.

    Parameters
    ----------
    roads
        Road network.
    rng
        Draws the edges that stand for each zone.
    """
    if roads.trip_table is None:
        count = len(roads.edge_ids)
        weight = roads.length_m / roads.length_m.sum()
        ends = rng.choice(count, (2, _SAMPLE), p=weight)
        places = tuple(np.array([edge], np.int32) for edge in range(count))
        return Pairs(ends[0], ends[1], np.ones(_SAMPLE), places)
    origin, destination = np.nonzero(roads.trip_table)
    per_day = roads.trip_table[origin, destination]
    return Pairs(origin, destination, per_day, _zones(roads, rng))


def file_pairs(file: Path, roads: RoadNetwork, rng: np.random.Generator) -> Pairs:
    """Return the pairs of an origin-destination file.

    Parameters
    ----------
    file
        CSV with the columns origin, destination (zones of the network, or edges) and trips (a
        day).
    roads, rng
        Road network; draws the edges that stand for each zone.

    Raises
    ------
    UserError
        If the file cannot be read or a row is wrong; with file, line, value and what is allowed.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{file} has no column {', '.join(missing)}: needs {', '.join(COLUMNS)}"
                )
            rows = [(reader.line_num, [row[name] or "" for name in COLUMNS]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    zones = _zones(roads, rng)
    place = {name: i for i, name in enumerate(roads.zone_ids)}
    places = list(zones)
    for edge, name in enumerate(roads.edge_ids):
        if name not in place:
            place[name] = len(places)
            places.append(np.array([edge], np.int32))
    found: list[tuple[int, int, float]] = []
    for line, (origin, destination, trips) in rows:
        for name in (origin, destination):
            if name not in place:
                near = nearest(name, place)
                hint = f" Did you mean {near}?" if near else ""
                raise UserError(
                    f"{file}, line {line}: {name!r} is neither a zone nor an edge of "
                    f"{roads.name}.{hint}"
                )
        try:
            number = float(trips)
        except ValueError:
            number = -1.0
        if not 0 <= number < np.inf:
            raise UserError(f"{file}, line {line}: trips is {trips!r}: must be a number >= 0")
        found.append((place[origin], place[destination], number))
    if not sum(row[2] for row in found):
        raise UserError(f"{file} holds no trips")
    table = np.array(found, np.float64).T
    return Pairs(table[0].astype(np.int64), table[1].astype(np.int64), table[2], tuple(places))


def per_day_for_share(
    share: float,
    pairs: Pairs,
    roads: RoadNetwork,
    ways: Callable[[Sequence[int], Sequence[int]], Sequence[Sequence[int]]],
    rng: np.random.Generator,
) -> float:
    """Return the trips a day that use a share of the network's capacity in the busiest hour.

    Parameters
    ----------
    share
        Volume over capacity in the busiest hour of a weekday, mean over all edges weighted by
        length, if everybody took the fastest free-flow way (all or nothing). Capacity is 1,800
        vehicles an hour and lane.
    pairs
        Where trips begin and end.
    roads
        Road network.
    ways
        Edges driven on from origins to destinations.
    rng
        Draws the trips from which the load is estimated.

    Notes
    -----
    With `N` trips a day of which `p` are in the busiest hour, edge `e` of length ``L_e`` and
    capacity ``C_e`` carries ``v_e = N p q_e``, `q_e` being the share of trips that use it, so
    ``sum(L_e v_e / C_e) / sum(L_e) = N p E[sum of L / C over a way] / sum(L_e)``.
    """
    some = _ends(pairs, _SAMPLE, rng)
    used = np.zeros(len(roads.edge_ids))
    for way in ways(some[0].tolist(), some[1].tolist()):
        used += np.bincount(np.asarray(way, np.int64), minlength=len(used))
    load = roads.length_m / (LANE_CAPACITY_PER_H * roads.lanes)
    a_way = float((used * load).sum()) / _SAMPLE
    busiest = float(profile(WEEKDAY).share.max())
    return share * float(roads.length_m.sum()) / (busiest * a_way) if a_way else 0.0


def make(
    pairs: Pairs, per_day: float, start: datetime, duration_s: float, rng: np.random.Generator
) -> BackgroundTrips:
    """Return the trips of a run.

    Parameters
    ----------
    pairs
        Where trips begin and end.
    per_day
        Trips on each day, all pairs together; their hours are those of the NHTS (table NT-3).
    start, duration_s
        When the run starts and how long it lasts [s]. The roads are empty at the start.
    rng
        Draws everything.

    Raises
    ------
    UserError
        If there would be more than two million trips.
    """
    count = round(per_day)
    if count * duration_s / 86_400 > MOST_TRIPS:
        raise UserError(
            f"the background traffic has {count:,} trips a day: at most {MOST_TRIPS:,} trips of a "
            "run are made; lower share_of_capacity or per_day"
        )
    departs: list[Floats] = []
    for day in days(start, duration_s):
        hours = profile(SATURDAY if day.weekend else WEEKDAY)
        # Every day is drawn whole, so that a longer run begins with the trips of a shorter one.
        depart_s = day.midnight_s + hours.draw(rng, count)
        departs.append(depart_s[(depart_s >= 0) & (depart_s < duration_s)])
    depart_s = np.sort(np.concatenate(departs))
    origin, destination = _ends(pairs, len(depart_s), rng)
    pace = np.clip(rng.normal(1.0, 0.1, len(depart_s)), 0.8, 1.2)
    other = origin != destination
    return BackgroundTrips(depart_s[other], origin[other], destination[other], pace[other])


def _ends(pairs: Pairs, count: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    which = rng.choice(len(pairs.per_day), count, p=pairs.per_day / pairs.per_day.sum())
    size = np.array([len(edges) for edges in pairs.places])
    first = np.cumsum(size) - size
    edges = np.concatenate(pairs.places).astype(np.int32)
    ends = (pairs.origin[which], pairs.destination[which])
    drawn = [edges[first[at] + rng.integers(0, size[at])] for at in ends]
    return drawn[0], drawn[1]


def _zones(roads: RoadNetwork, rng: np.random.Generator) -> tuple[Ints, ...]:
    """Return edges that stand for each zone: its place, or some of those within it."""
    found: list[Ints] = []
    for zone, place in enumerate(roads.zone_edge.tolist()):
        within = np.flatnonzero(roads.edge_zone == zone) if len(roads.edge_zone) else np.zeros(0)
        if len(within) > _PLACES:
            within = np.sort(rng.choice(within, _PLACES, replace=False))
        found.append(within.astype(np.int32) if len(within) else np.array([place], np.int32))
    return tuple(found)
