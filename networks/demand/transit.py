"""Transit buses: timetabled lines between terminals, run in blocks that start at a depot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cosim.notation import PositiveSeconds, Seconds
from cosim.section import Amount, Count, HourSpan, HourSpans, PortPower, Positive, Share
from networks.demand.hours import Day, days
from networks.demand.places import Places, Rows, Sites, chosen
from networks.demand.segment import Book, Demand, Private, Segment
from networks.demand.trips import VIA, Floats

_NEVER_S = -1e12
"""Stands in for the last return of a bus that has not moved yet."""


class Transit(Segment):
    """Parameters of the transit buses; sources in README.md."""

    buses_per_line: Count = 6
    """Most buses of a line."""
    decay_s: PositiveSeconds = 1200.0
    """Time at which the other terminal counts 1/e [s]."""
    shortest_s: PositiveSeconds = 480.0
    """Terminals stand at least this far apart at free flow, where the city allows [s]."""
    pace: Positive = 2.4
    """Running time of the timetable over free-flow time."""
    layover_share: Share = 0.15
    """Layover over running time."""
    least_layover_s: Seconds = 300.0
    """Shortest layover [s]."""
    weekday_hours: HourSpan = (5.0, 24.0)
    """Hours of the first and the last departure on a weekday [h]."""
    weekend_hours: HourSpan = (6.0, 23.0)
    """The same on the weekend [h]."""
    peak_hours: HourSpans = ((6.0, 9.0), (15.0, 18.5))
    """Hours of a weekday in which all buses run [h]."""
    base_share: Share = 0.6
    """Share of the buses that run outside the peaks."""
    evening_share: Share = 0.35
    """Share of the buses that run before 6 and after 19 h."""
    break_s: Seconds = 3600.0
    """A bus with a longer wait than this goes to the depot [s]."""
    block_km: Positive = 150.0
    """Longest way of a bus between two charges at the depot, where terminals have no ports [km]."""
    kwh_per_km: Positive = 1.44
    """Consumption at the plug by which the stay at the depot is planned [kWh/km]."""
    late_s: Seconds = 300.0
    """Delay of a departure that still counts as in time [s]."""
    notice_s: Seconds = 24 * 3600
    """How long before it a departure is known [s]."""
    vehicles_per_depot: Count = 100
    """Most buses of a depot."""
    ports_per_vehicle: Amount = 0.5
    """Ports at the depot."""
    port_kw: PortPower = 60.0
    """Power of a port at the depot [kW]."""
    depot_share: Share = 1.0
    """Most power of a depot over that of all its ports: a smaller connection, shared."""
    terminal_ports: Annotated[int, Field(ge=0, le=100)] = 0
    """Ports at the first terminal of each line."""
    terminal_kw: PortPower = 300.0
    """Power of a port at a terminal [kW]."""

    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Draw lines and their timetable for a run.

        Service is the departure. A block, from the depot and back to it, is one tour. Where the
        terminals have no ports, no block is longer than `block_km`, and the bus is due again when
        the depot has put back what the way took; where they have, blocks last as long as the day
        wants. If no bus is left, the next departure is when one comes in.
        """
        sites = places.sites(rng)
        lines = _lines(self, places, sites, count, rng)
        first_bus = np.concatenate([[0], np.cumsum(lines.buses)])[:-1]
        depots = -(-count // self.vehicles_per_depot)
        depot_site = rng.choice(len(sites), size=depots, p=sites.work)
        # A line belongs to the depot that is nearest to where its blocks begin.
        depot_of_line = np.argmin(sites.time_s[depot_site[:, None], lines.near[None, :]], axis=0)
        line_of_bus = np.repeat(np.arange(len(lines.buses)), lines.buses)
        home = depot_site[depot_of_line[line_of_bus]]
        depot = _depot_ways(self, places, sites, lines, depot_site[depot_of_line])
        book = Book()
        if len(sites) > 1:
            free_s = np.full(count, -np.inf)
            for number, day in enumerate(days(start, duration_s)):
                # From the depot, where they are free, to where the blocks begin.
                ready_s = free_s + self.pace * sites.time_s[home, lines.near[line_of_bus]]
                rounds = _timetable(self, lines, first_bus, day, ready_s, depot)
                _write(self, sites, lines, rounds, home, number, free_s, book)
        trips, start_edge, parked_s = book.close(sites.edge[home], duration_s, self.notice_s)
        chargers = _chargers(self, sites, lines, depot_site, depot_of_line[line_of_bus])
        return Demand(trips, start_edge, chargers, parked_s)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Lines, arrays of shape (line,); sites are indices."""

    near: Rows
    """Terminal where blocks begin and end."""
    far: Rows
    out_via: Rows
    """Stops on the way out, -1 none, shape (line, 3)."""
    back_via: Rows
    out_s: Floats
    """Time out over the stops at free flow [s]."""
    back_s: Floats
    km: Floats
    """Way out and back over the stops [km]."""
    buses: Rows


@dataclass(frozen=True, eq=False)
class _DepotWays:
    """Ways to the depot and back to where blocks begin, arrays of shape (line,)."""

    time_s: Floats
    """In the timetable [s]."""
    km: Floats


@dataclass(frozen=True, eq=False)
class _Rounds:
    """Rounds out and back, arrays of shape (round,)."""

    line: Rows
    bus: Rows
    leave_s: Floats
    charged: NDArray[np.bool_]
    """Whether the bus comes from a charge at the depot that the round needs."""


def _lines(
    parameters: Transit, places: Places, sites: Sites, count: int, rng: np.random.Generator
) -> _Lines:
    number = -(-count // parameters.buses_per_line)
    buses = np.full(number, count // number, np.intp)
    buses[: count % number] += 1
    near = rng.choice(len(sites), size=number, p=sites.homes)
    weight = sites.gravity(sites.work, parameters.decay_s)
    both_s = np.minimum(sites.time_s, sites.time_s.T)
    far_enough = weight * (both_s >= parameters.shortest_s)
    weight = np.where(far_enough.sum(axis=1, keepdims=True) > 0, far_enough, weight)
    far = chosen(rng, weight, near)
    points = rng.integers(2, VIA + 1, number)
    out_via, out_s = _vias(sites, near, far, points)
    back_via, back_s = _vias(sites, far, near, points)
    km = _km(places, sites, near, out_via, far) + _km(places, sites, far, back_via, near)
    return _Lines(near, far, out_via, back_via, out_s, back_s, km, buses)


def _km(places: Places, sites: Sites, begin: Rows, via: Rows, end: Rows) -> Floats:
    """Return the length of ways over their stops, shape (line,) [km]."""
    points = np.concatenate([begin[:, None], via, end[:, None]], axis=1)
    known, at = np.unique(points[points >= 0], return_inverse=True)
    km = places.distance_km(sites.edge[known], sites.edge[known])
    index = np.full(points.shape, -1)
    index[points >= 0] = at
    total, here = np.zeros(len(points)), index[:, 0]
    for column in index.T[1:]:
        total += np.where(column >= 0, km[here, column], 0.0)
        here = np.where(column >= 0, column, here)
    return total


def _depot_ways(
    parameters: Transit, places: Places, sites: Sites, lines: _Lines, depot: Rows
) -> _DepotWays:
    none = np.full((len(depot), 0), -1)
    time_s = sites.time_s[lines.near, depot] + sites.time_s[depot, lines.near]
    km = _km(places, sites, lines.near, none, depot) + _km(places, sites, depot, none, lines.near)
    return _DepotWays(parameters.pace * time_s, km)


def _vias(sites: Sites, begin: Rows, end: Rows, points: Rows) -> tuple[Rows, Floats]:
    """Choose stops at even parts of the way with little detour; the free-flow time over them.

    A stop is left out where no place lies between the last one and the end at less than half as
    much time again.
    """
    via = np.full((len(begin), VIA), -1, np.intp)
    at, time_s = begin.copy(), np.zeros(len(begin))
    whole_s = sites.time_s[begin, end]
    lines = np.arange(len(begin))
    for point in range(VIA):
        wanted_s = whole_s * (point + 1) / (points + 1)
        detour_s = sites.time_s[at] + sites.time_s[:, end].T - sites.time_s[at, end][:, None]
        uneven_s = np.abs(sites.time_s[begin] - wanted_s[:, None])
        score_s = detour_s + 0.5 * uneven_s
        taken = np.concatenate([via[:, :point], at[:, None], begin[:, None], end[:, None]], axis=1)
        for column in taken.T:
            score_s[lines[column >= 0], column[column >= 0]] = np.inf
        stop = np.argmin(score_s, axis=1)
        good = np.isfinite(score_s[lines, stop]) & (detour_s[lines, stop] <= 0.5 * whole_s)
        good &= point < points
        via[good, point] = stop[good]
        time_s = time_s + np.where(good, sites.time_s[at, stop], 0.0)
        at = np.where(good, stop, at)
    return via, time_s + sites.time_s[at, end]


def _cycle_s(parameters: Transit, lines: _Lines) -> tuple[Floats, Floats, Floats, Floats]:
    """Timetabled time out with its layover, the same back, and the two layovers [s]."""
    out_s, back_s = parameters.pace * lines.out_s, parameters.pace * lines.back_s
    rest_out_s = np.maximum(parameters.layover_share * out_s, parameters.least_layover_s)
    rest_back_s = np.maximum(parameters.layover_share * back_s, parameters.least_layover_s)
    return out_s + rest_out_s, back_s + rest_back_s, rest_out_s, rest_back_s


def _share(parameters: Transit, weekend: bool, hour: Floats) -> Floats:
    """Share of the buses that run at hours of the day."""
    share = np.where((hour < 6) | (hour >= 19), parameters.evening_share, parameters.base_share)
    if not weekend:
        for first, last in parameters.peak_hours:
            share = np.where((hour >= first) & (hour < last), 1.0, share)
    return share


def _timetable(
    parameters: Transit,
    lines: _Lines,
    first_bus: Rows,
    day: Day,
    bus_ready_s: Floats,
    depot: _DepotWays,
) -> _Rounds:
    """Return the rounds of a day: departures at the headway, each by the bus that came in last.

    So those that are not needed between the peaks wait long and can go to the depot. A bus whose
    battery is not good for one round more goes there at once. Times at which buses can be at the
    terminal have shape (bus,); all have charged over night.
    """
    block_km = np.inf if parameters.terminal_ports else parameters.block_km
    charging_s_per_km = 3600 * parameters.kwh_per_km / parameters.port_kw
    number = len(lines.buses)
    slot = np.arange(int(lines.buses.max()))
    real = slot < lines.buses[:, None]
    bus = np.where(real, first_bus[:, None] + slot, 0)
    ready_s = np.where(real, bus_ready_s[bus], np.inf)
    out_s, back_s, _, _ = _cycle_s(parameters, lines)
    first, last = parameters.weekend_hours if day.weekend else parameters.weekday_hours
    hours = np.full(number, first)
    every = np.arange(number)
    driven_km = np.broadcast_to(depot.km[:, None], real.shape).copy()
    charged = np.zeros(real.shape, np.bool_)
    found: list[tuple[Rows, Rows, Floats, NDArray[np.bool_]]] = []
    while (hours < last).any():
        time_s = day.midnight_s + hours * 3600
        able = ready_s <= time_s[:, None]
        none = ~able.any(axis=1)
        latest = np.argmax(np.where(able, np.maximum(ready_s, _NEVER_S), -np.inf), axis=1)
        pick = np.where(none, np.argmin(ready_s, axis=1), latest)
        time_s = np.where(none, ready_s[every, pick], time_s)
        hours = (time_s - day.midnight_s) / 3600
        runs = np.flatnonzero(hours < last)
        which = runs, pick[runs]
        # Who waits long goes to the depot meanwhile, to a port.
        rest_s = time_s[runs] - ready_s[which] - depot.time_s[runs]
        left_km = np.maximum(driven_km[which] - rest_s / charging_s_per_km, 0.0) + depot.km[runs]
        rested = rest_s > parameters.break_s
        driven_km[which] = np.where(rested, left_km, driven_km[which])
        found.append((runs, bus[which], time_s[runs], charged[which]))
        ready_s[which] = (time_s + out_s + back_s)[runs]
        driven_km[which] += lines.km[runs]
        charged[which] = driven_km[which] + lines.km[runs] > block_km
        away_s = depot.time_s[runs] + charging_s_per_km * driven_km[which]
        ready_s[which] += np.where(charged[which], away_s, 0.0)
        driven_km[which] = np.where(charged[which], depot.km[runs], driven_km[which])
        active = np.ceil(_share(parameters, day.weekend, hours) * lines.buses - 1e-9)
        hours = hours + (out_s + back_s) / np.maximum(active, 1.0) / 3600
    line, of_bus, leave_s, fresh = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((leave_s, of_bus))
    return _Rounds(line[order], of_bus[order], leave_s[order], fresh[order])


def _write(
    parameters: Transit,
    sites: Sites,
    lines: _Lines,
    rounds: _Rounds,
    home: Rows,
    number: int,
    free_s: Floats,
    book: Book,
) -> None:
    """Write the rounds of a day and the ways from and to the depot; update `free_s`."""
    out_s, back_s, rest_out_s, rest_back_s = _cycle_s(parameters, lines)
    line, bus, leave_s = rounds.line, rounds.bus, rounds.leave_s
    depot = home[bus]
    near, far = lines.near[line], lines.far[line]
    end_s = leave_s + (out_s + back_s)[line]
    pace = parameters.pace
    to_depot_s, from_depot_s = pace * sites.time_s[near, depot], pace * sites.time_s[depot, near]
    same = np.concatenate([[False], bus[1:] == bus[:-1]])
    waited_s = np.concatenate([[np.inf], leave_s[1:] - end_s[:-1]])
    way_s = to_depot_s + from_depot_s
    begins = ~same | rounds.charged | (waited_s > parameters.break_s + way_s)
    ends = np.concatenate([begins[1:], [True]])
    # Blocks of a day by number; days count in steps that no day's blocks reach.
    block = np.cumsum(begins)
    first_block = np.zeros(len(home), np.int64)
    first_block[bus[~same]] = block[~same]
    tour = number * 100 + block - first_block[bus]
    always = np.ones(len(bus), bool)
    turn_s = leave_s + out_s[line]
    ride_out_s, ride_back_s = pace * lines.out_s[line], pace * lines.back_s[line]
    legs = (
        (begins & (depot != near), leave_s - from_depot_s, from_depot_s, depot, near, 0, None),
        (always, leave_s, ride_out_s, near, far, rest_out_s[line], lines.out_via[line]),
        (always, turn_s, ride_back_s, far, near, rest_back_s[line], lines.back_via[line]),
        (ends & (depot != near), end_s, to_depot_s, near, depot, 0, None),
    )
    for mask, begin_s, ride_s, origin, destination, dwell_s, via in legs:
        book.write(
            vehicle=bus[mask],
            leave_s=begin_s[mask],
            ride_s=ride_s[mask],
            origin=sites.edge[origin[mask]],
            destination=sites.edge[destination[mask]],
            deadline_s=begin_s[mask] + parameters.late_s,
            at_arrival=False,
            dwell_s=np.broadcast_to(dwell_s, mask.shape)[mask],
            tour=tour[mask],
            via=-1 if via is None else np.where(via >= 0, sites.edge[via], -1)[mask],
        )
    final = np.flatnonzero(np.concatenate([~same[1:], [True]]))
    free_s[bus[final]] = (end_s + to_depot_s)[final]


def _chargers(
    parameters: Transit, sites: Sites, lines: _Lines, depot_site: Rows, depot_of_bus: Rows
) -> tuple[Private, ...]:
    found: list[Private] = []
    for which, site in enumerate(depot_site):
        vehicles = np.flatnonzero(depot_of_bus == which).astype(np.int32)
        if len(vehicles):
            ports = max(1, round(parameters.ports_per_vehicle * len(vehicles)))
            edge = int(sites.edge[site])
            port_kw, share = parameters.port_kw, parameters.depot_share
            found.append(Private(edge, "depot", vehicles, ports, port_kw, False, share))
    if parameters.terminal_ports:
        first = np.concatenate([[0], np.cumsum(lines.buses)])
        for number, site in enumerate(lines.near):
            vehicles = np.arange(first[number], first[number + 1], dtype=np.int32)
            edge, ports = int(sites.edge[site]), parameters.terminal_ports
            found.append(Private(edge, "depot", vehicles, ports, parameters.terminal_kw, False))
    return tuple(found)
