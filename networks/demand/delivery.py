"""Parcel delivery: morning tours from a depot to halts in one part of the city and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from cosim.notation import PositiveSeconds, Seconds
from cosim.section import Amount, Count, PortPower, Positive, Share
from networks.demand.hours import Day, days
from networks.demand.places import Places, Rows, Sites, chosen
from networks.demand.segment import Book, Demand, Private, Segment
from networks.demand.trips import Floats


class Delivery(Segment):
    """Parameters of the delivery vans; sources in README.md."""

    together = ("first_start_s", "last_start_s")

    halts_per_tour: Positive = 20.0
    """Mean number of times that a van is parked on a tour."""
    halt_s: Seconds = 860.0
    """Mean time of a halt, with deliveries on foot from it [s]."""
    halt_sigma: Amount = 0.8
    """Spread of the logarithm of a halt's time."""
    first_start_s: Seconds = 7.5 * 3600
    """Time of day at which the first tours start [s]."""
    last_start_s: Seconds = 9.5 * 3600
    """Time of day at which the last tours start [s]."""
    shift_s: Seconds = 9.0 * 3600
    """Longest tour as planned; halts beyond it are left to others [s]."""
    weekend_share: Share = 0.4
    """Share of the vans that are out on a day of the weekend."""
    window_share: Share = 0.3
    """Share of the halts with a time window."""
    window_s: Seconds = 7200.0
    """Length of a time window [s]."""
    area_decay_s: PositiveSeconds = 900.0
    """Time from the depot at which a van's part of the city counts 1/e [s]."""
    round_decay_s: PositiveSeconds = 300.0
    """Time from its middle at which a halt counts 1/e [s]."""
    pace: Positive = 1.5
    """Planned driving time over free-flow time."""
    notice_s: Seconds = 12 * 3600
    """How long before it sets out on a leg it is known [s]."""
    vehicles_per_depot: Count = 50
    """Most vans of a depot."""
    ports_per_vehicle: Amount = 1.0
    """Ports at the depot."""
    port_kw: PortPower = 11.5
    """Power of a port at the depot [kW]."""
    depot_share: Share = 1.0
    """Most power of a depot over that of all its ports: a smaller connection, shared."""

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        first_s, last_s = numbers.values()
        return "" if first_s <= last_s else "needs first_start_s <= last_start_s"

    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Draw the tours of a run.

        A tour of every van on a weekday; its legs share a number. Service is the arrival: within
        the window where there is one, else by the end of the shift. The plan keeps to the windows,
        with an arrival at any moment in each. Halts at the same place are
        one. A leg sets out no sooner than at free flow, and not so soon that it arrives before the
        window opens.
        """
        sites = places.sites(rng)
        depots = -(-count // self.vehicles_per_depot)
        depot_site = rng.choice(
            len(sites),
            size=depots,
            p=sites.work,
            replace=depots > int(np.count_nonzero(sites.work)),
        )
        depot = depot_site[np.arange(count) % depots]
        weight = sites.homes + sites.work
        area = sites.gravity(weight, self.area_decay_s, stay=True)
        around = sites.gravity(weight, self.round_decay_s, stay=True)
        free_s = np.full(count, -np.inf)
        book = Book()
        for number, day in enumerate(days(start, duration_s)):
            out = rng.random(count) < (self.weekend_share if day.weekend else 1.0)
            halts = np.clip(rng.poisson(self.halts_per_tour, count), 1, None)
            middle = chosen(rng, area, depot)
            van = np.repeat(np.arange(count), halts)
            place = chosen(rng, around, middle[van])
            sigma = self.halt_sigma
            halt_s = self.halt_s * np.exp(rng.normal(-(sigma**2) / 2, sigma, len(van)))
            stops, dwell_s = _gathered(van, place, halt_s, depot, out)
            leave_s = _leave_s(self, day, count, rng)
            leave_s = np.maximum(leave_s, free_s)
            # How far into its window the plan has the van arrive; NaN where there is none.
            into = rng.random(stops.shape)
            into[rng.random(stops.shape) >= self.window_share] = np.nan
            _drive(self, sites, depot, stops, dwell_s, into, leave_s, number, free_s, book)
        base = sites.edge[depot]
        trips, start_edge, parked_s = book.close(base, duration_s, self.notice_s)
        chargers = tuple(
            Private(
                edge=int(sites.edge[site]),
                access="depot",
                vehicles=np.flatnonzero(np.arange(count) % depots == which).astype(np.int32),
                ports=max(1, round(self.ports_per_vehicle * len(range(which, count, depots)))),
                port_kw=self.port_kw,
                bidirectional=False,
                share=self.depot_share,
            )
            for which, site in enumerate(depot_site)
        )
        return Demand(trips, start_edge, chargers, parked_s)


def _leave_s(parameters: Delivery, day: Day, count: int, rng: np.random.Generator) -> Floats:
    first, last = parameters.first_start_s, parameters.last_start_s
    return day.midnight_s + rng.uniform(first, last, count)


def _gathered(
    van: Rows, place: Rows, halt_s: Floats, depot: Rows, out: NDArray[np.bool_]
) -> tuple[Rows, Floats]:
    """Gather a van's halts at the same place: places and times, padded with -1 and 0.

    Halts at the depot itself need no drive and are left out. Shapes (van, stop).
    """
    kept = out[van] & (place != depot[van])
    van, place, halt_s = van[kept], place[kept], halt_s[kept]
    size = 1 + int(place.max(initial=0))
    key, which = np.unique(van * size + place, return_inverse=True)
    total_s = np.bincount(which, halt_s, len(key))
    owner = key // size
    first = np.searchsorted(owner, np.arange(len(out)))
    column = np.arange(len(key)) - first[owner]
    stops = np.full((len(out), 1 + int(column.max(initial=-1))), -1, np.intp)
    dwell_s = np.zeros(stops.shape)
    stops[owner, column], dwell_s[owner, column] = key % size, total_s
    return stops, dwell_s


def _drive(
    parameters: Delivery,
    sites: Sites,
    depot: Rows,
    stops: Rows,
    dwell_s: Floats,
    into_window: Floats,
    leave_s: Floats,
    number: int,
    free_s: Floats,
    book: Book,
) -> None:
    """Write every van's tour, always to the nearest stop that is left; update `free_s`."""
    vans = np.arange(len(stops))
    open_ = stops >= 0
    active = open_.any(axis=1)
    planned_s = leave_s.copy()
    end_s = leave_s + parameters.shift_s
    at = depot.copy()
    for step in range(stops.shape[1]):
        distance_s = np.where(open_, sites.time_s[at[:, None], stops], np.inf)
        pick = np.argmin(distance_s, axis=1)
        stop, stay_s = stops[vans, pick], dwell_s[vans, pick]
        time_s = sites.time_s[at, stop]
        home_s = sites.time_s[stop, depot]
        arrival_s = planned_s + parameters.pace * time_s
        fits = arrival_s + stay_s + parameters.pace * home_s <= end_s
        # A van never goes out for nothing: the first stop stands even if the shift is too short.
        going = active & open_[vans, pick] & (fits | (step == 0))
        into = into_window[vans, pick]
        opens_s = np.where(np.isnan(into), -np.inf, arrival_s - into * parameters.window_s)
        closes_s = np.where(np.isnan(into), end_s, arrival_s + (1 - into) * parameters.window_s)
        leave_s = np.where(going, np.maximum(leave_s, opens_s - time_s), leave_s)
        who = np.flatnonzero(going)
        book.write(
            vehicle=who,
            leave_s=leave_s[who],
            ride_s=time_s[who],
            origin=sites.edge[at[who]],
            destination=sites.edge[stop[who]],
            deadline_s=np.maximum(closes_s, arrival_s)[who],
            dwell_s=stay_s[who],
            tour=number,
        )
        planned_s = np.where(going, arrival_s + stay_s, planned_s)
        leave_s = np.where(going, leave_s + time_s + stay_s, leave_s)
        at = np.where(going, stop, at)
        active = going
        open_[vans, pick] = False
    who = np.flatnonzero(at != depot)
    time_s = sites.time_s[at, depot]
    latest_s = np.maximum(end_s, planned_s + parameters.pace * time_s)
    book.write(
        vehicle=who,
        leave_s=leave_s[who],
        ride_s=time_s[who],
        origin=sites.edge[at[who]],
        destination=sites.edge[depot[who]],
        deadline_s=latest_s[who],
        tour=number,
    )
    free_s[who] = (leave_s + time_s)[who]
