"""Commuters: home to work and back, parked at work for hours with ports that can feed back."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from cosim.notation import PositiveSeconds, Seconds
from cosim.section import Amount, PortPower, Positive, Share
from networks.demand.hours import TO_WORK, days, profile
from networks.demand.places import Places, Rows, Sites, chosen
from networks.demand.segment import Book, Demand, Private, Segment
from networks.demand.trips import Ints


class Commute(Segment):
    """Parameters of the commuters; sources in README.md."""

    weekday_share: Share = 0.89
    """Share who work on a weekday."""
    weekend_share: Share = 0.31
    """Share who work on a day of the weekend."""
    weekday_work_s: Seconds = 8.5 * 3600
    """Mean hours worked on a weekday [s]."""
    weekend_work_s: Seconds = 5.4 * 3600
    """Mean hours worked on a day of the weekend [s]."""
    work_spread_s: Seconds = 3600.0
    """Standard deviation of the hours worked [s]."""
    break_s: Seconds = 1800.0
    """Time at work that is not worked [s]."""
    habit_spread_s: Seconds = 600.0
    """Standard deviation of a commuter's departure from day to day [s]."""
    decay_s: PositiveSeconds = 1500.0
    """Time at which a place of work counts 1/e [s]."""
    pace: Positive = 1.5
    """Time that commuters allow for over free-flow time."""
    late_s: Seconds = 900.0
    """Delay beyond what they allow for that still counts as in time [s]."""
    notice_s: Seconds = 12 * 3600
    """How long before it a trip is known [s]."""
    home_share: Share = 0.68
    """Share with a level 2 charger at home."""
    home_kw: PortPower = 7.2
    """Power of a charger at home [kW]."""
    work_ports_per_vehicle: Amount = 0.3
    """Bidirectional ports at the places of work."""
    work_kw: PortPower = 11.5
    """Power of a port at work [kW]."""

    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Draw the commutes of a run.

        Service is the arrival. Each commuter keeps to an hour of departure of their own, drawn from
        the published distribution, which has the shifts of the evening and the night in it.
        """
        sites = places.sites(rng)
        home = rng.choice(len(sites), size=count, p=sites.homes)
        weight = sites.gravity(sites.work, self.decay_s)
        work = chosen(rng, weight, home)
        habit_s = profile(TO_WORK).draw(rng, count)
        out_s, back_s = sites.time_s[home, work], sites.time_s[work, home]
        free_s = np.full(count, -np.inf)
        book = Book()
        for day in days(start, duration_s):
            share = self.weekend_share if day.weekend else self.weekday_share
            worked_s = self.weekend_work_s if day.weekend else self.weekday_work_s
            goes = rng.random(count) < share
            jitter_s = rng.normal(0.0, self.habit_spread_s, count)
            stay_s = rng.normal(worked_s + self.break_s, self.work_spread_s, count)
            leave_s = np.maximum(day.midnight_s + habit_s + jitter_s, free_s)
            return_s = leave_s + out_s + np.maximum(stay_s, 3600.0)
            free_s = np.where(goes, return_s + back_s, free_s)
            who = np.flatnonzero(goes & (out_s > 0))
            for leave, time_s, origin, destination in (
                (leave_s, out_s, home, work),
                (return_s, back_s, work, home),
            ):
                book.write(
                    vehicle=who,
                    leave_s=leave[who],
                    ride_s=time_s[who],
                    origin=sites.edge[origin[who]],
                    destination=sites.edge[destination[who]],
                    deadline_s=leave[who] + self.pace * time_s[who] + self.late_s,
                )
        home_edge = sites.edge[home]
        trips, start_edge, parked_s = book.close(home_edge, duration_s, self.notice_s)
        at_home = at_homes(home_edge, self.home_share, self.home_kw, rng)
        return Demand(trips, start_edge, at_home + _at_work(self, sites, work), parked_s)


def at_homes(
    home_edge: Ints, share: float, port_kw: float, rng: np.random.Generator
) -> tuple[Private, ...]:
    """Return a charger of its own for a share of the vehicles, at their homes."""
    number = round(share * len(home_edge))
    owners = np.sort(rng.permutation(len(home_edge))[:number])
    return tuple(
        Private(int(home_edge[owner]), "home", np.array([owner], np.int32), 1, port_kw, False)
        for owner in owners
    )


def _at_work(parameters: Commute, sites: Sites, work: Rows) -> tuple[Private, ...]:
    """Return the ports of every place of work, spread over them by those who work there."""
    found: list[Private] = []
    given = 0
    staff = 0
    for site in np.unique(work):
        vehicles = np.flatnonzero(work == site).astype(np.int32)
        staff += len(vehicles)
        # Rounding the running total keeps the share over all places.
        ports = round(parameters.work_ports_per_vehicle * staff) - given
        given += ports
        if ports:
            edge = int(sites.edge[site])
            found.append(Private(edge, "work", vehicles, ports, parameters.work_kw, True))
    return tuple(found)
