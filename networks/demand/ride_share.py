"""Ride-share: requests in space and time that any vehicle of the segment may serve."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from cosim.notation import PositiveSeconds, Seconds
from cosim.section import Amount
from networks.demand import start_times_s
from networks.demand.hours import DAY_S, SATURDAY, days, profile
from networks.demand.places import Places, Sites, chosen
from networks.demand.segment import Demand, Segment
from networks.demand.trips import Floats, Ints, Trips


class RideShare(Segment):
    """Parameters of the ride-share segment; sources in README.md."""

    trips_per_vehicle_day: Amount = 16.0
    """Requests on a weekday [1/day]."""
    weekend_factor: Amount = 1.2
    """Requests on a day of the weekend over those on a weekday."""
    waiting_limit_s: Seconds = 1800.0
    """Time after which a customer who waits gives up [s]."""
    decay_s: PositiveSeconds = 900.0
    """Time at which a destination counts 1/e, where no trip table is known [s]."""

    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Draw the requests of a run.

        Each request is asked and may be served at once; service is the pick-up. On weekdays with a
        trip table these are the draws of `start_times_s` and one choice of pairs.
        """
        sites = places.sites(rng)
        asked_s = _asked_s(self, count, start, duration_s, rng)
        origin, destination = _pairs(self, sites, start, asked_s, rng)
        trips = Trips.of(
            asked_s=asked_s,
            earliest_s=asked_s,
            deadline_s=asked_s + self.waiting_limit_s,
            origin_edge=sites.edge[origin],
            destination_edge=sites.edge[destination],
        )
        home = rng.choice(len(sites), size=count, p=sites.homes)
        return Demand(trips, sites.edge[home], (), np.zeros(count))


def _asked_s(
    parameters: RideShare,
    count: int,
    start: datetime,
    duration_s: float,
    rng: np.random.Generator,
) -> Floats:
    """Return the times of the requests; the weekend has its own profile and number."""
    per_day = count * parameters.trips_per_vehicle_day
    spanned = [day for day in days(start, duration_s) if day.midnight_s + DAY_S > 0]
    if not any(day.weekend for day in spanned):
        return start_times_s(per_day, -spanned[0].midnight_s, duration_s, rng)
    parts: list[Floats] = []
    for day in spanned:
        first_s = max(0.0, day.midnight_s)
        last_s = min(duration_s, day.midnight_s + DAY_S)
        if not day.weekend:
            times_s = start_times_s(per_day, first_s - day.midnight_s, last_s - first_s, rng)
            parts.append(times_s + first_s)
            continue
        hours = profile(SATURDAY)
        low, high = hours.until(first_s - day.midnight_s), hours.until(last_s - day.midnight_s)
        level = rng.uniform(low, high, round(per_day * parameters.weekend_factor * (high - low)))
        known = np.concatenate([[0.0], np.cumsum(hours.share)])
        parts.append(np.floor(day.midnight_s + np.interp(np.sort(level), known, hours.edge_s)))
    return np.maximum(np.concatenate(parts), 0.0)


def _pairs(
    parameters: RideShare,
    sites: Sites,
    start: datetime,
    asked_s: Floats,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    table = sites.trip_table
    if table is not None:
        pair = rng.choice(table.size, size=len(asked_s), p=(table / table.sum()).ravel())
        origin, destination = np.unravel_index(pair, table.shape)
        return origin.astype(np.int32), destination.astype(np.int32)
    # Before noon people leave their homes, after it they return to them.
    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    of_day_s = ((start - midnight).total_seconds() + asked_s) % DAY_S
    morning = of_day_s < DAY_S / 2
    home = rng.choice(len(sites), size=len(asked_s), p=sites.homes)
    other = chosen(rng, sites.gravity(sites.work, parameters.decay_s), home)
    origin, destination = np.where(morning, home, other), np.where(morning, other, home)
    return origin.astype(np.int32), destination.astype(np.int32)
