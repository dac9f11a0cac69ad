"""Private vehicles: chains of trips from home to work, shops and leisure and home again."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from cosim.notation import PositiveSeconds, Seconds
from cosim.section import Amount, PortPower, Positive, Share, WholeHourSpan
from networks.demand.commute import at_homes
from networks.demand.hours import SATURDAY, TO_WORK, WEEKDAY, days, profile
from networks.demand.places import Places, Rows, chosen
from networks.demand.segment import Book, Demand, Segment
from networks.demand.trips import Floats

HOME, WORK, SHOP, LEISURE = 0, 1, 2, 3
_LETTERS = {"H": HOME, "W": WORK, "S": SHOP, "L": LEISURE}


class Consumer(Segment):
    """Parameters of the private vehicles; sources in README.md."""

    together = ("plug_in_soc", "plug_in_soc_spread")

    weekday_first_hours: WholeHourSpan = (8.0, 16.0)
    """Whole hours between which vehicles set out first on a weekday, not to work [h]."""
    weekend_first_hours: WholeHourSpan = (7.0, 20.0)
    """The same on the weekend [h]."""
    work_stay_s: Seconds = 9.0 * 3600
    """Mean stay at work, the break included [s]."""
    work_spread_s: Seconds = 3600.0
    """Standard deviation of the stay at work [s]."""
    shop_stay_s: Seconds = 2400.0
    """Mean stay for shopping and errands [s]."""
    leisure_stay_s: Seconds = 7200.0
    """Mean stay for leisure [s]."""
    stay_sigma: Amount = 0.7
    """Spread of the logarithm of the stays for shopping and leisure."""
    home_pause_s: Seconds = 3600.0
    """Mean stay at home between two rounds of a day [s]."""
    work_decay_s: PositiveSeconds = 1500.0
    """Time at which a place of work counts 1/e [s]."""
    other_decay_s: PositiveSeconds = 600.0
    """Time at which a shop or a place of leisure counts 1/e [s]."""
    pace: Positive = 1.5
    """Time that drivers allow for over free-flow time."""
    late_s: Seconds = 1800.0
    """Delay beyond what they allow for that still counts as in time [s]."""
    notice_s: Seconds = 3600.0
    """How long before it a trip is known [s]."""
    home_share: Share = 0.68
    """Share with a level 2 charger at home."""
    home_kw: PortPower = 7.2
    """Power of a charger at home [kW]."""
    plug_in_soc: Share = 0.55
    """Mean state of charge below which drivers plug in."""
    plug_in_soc_spread: Share = 0.2
    """Standard deviation of it among drivers."""

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        mean, spread = numbers.values()
        # A beta distribution with two modes at 0 and 1 is no habit.
        if 0 < mean < 1 and 0 < spread**2 < mean * (1 - mean) / 2:
            return ""
        return (
            "needs 0 < plug_in_soc < 1 and a spread below sqrt(plug_in_soc (1 - plug_in_soc) / 2)"
        )

    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Draw the trips of a run.

        Service is the arrival; `plug_in_soc` is given. A chain is no tour: vehicles are parked
        between its trips and may charge.
        """
        sites = places.sites(rng)
        home = rng.choice(len(sites), size=count, p=sites.homes)
        work = chosen(rng, sites.gravity(sites.work, self.work_decay_s), home)
        near = sites.gravity(sites.work, self.other_decay_s)
        known = chains()
        free_s = np.full(count, -np.inf)
        book = Book()
        for day in days(start, duration_s):
            share = known.weekend if day.weekend else known.weekday
            legs = known.stops[rng.choice(len(share), size=count, p=share)]
            leave_s = day.midnight_s + _first_departure_s(self, legs, day.weekend, rng)
            leave_s = np.maximum(leave_s, free_s)
            at = home
            for purpose in legs.T:
                toward = _destination(purpose, home, work, at, near, rng)
                going = (purpose >= 0) & (toward != at)
                time_s = sites.time_s[at, toward]
                who = np.flatnonzero(going)
                book.write(
                    vehicle=who,
                    leave_s=leave_s[who],
                    ride_s=time_s[who],
                    origin=sites.edge[at[who]],
                    destination=sites.edge[toward[who]],
                    deadline_s=leave_s[who] + self.pace * time_s[who] + self.late_s,
                )
                arrival_s = leave_s + time_s
                free_s = np.where(going, arrival_s, free_s)
                stay_s = _stay_s(self, purpose, rng)
                leave_s = np.where(purpose >= 0, arrival_s + stay_s, leave_s)
                at = np.where(purpose >= 0, toward, at)
        home_edge = sites.edge[home]
        trips, start_edge, parked_s = book.close(home_edge, duration_s, self.notice_s)
        chargers = at_homes(home_edge, self.home_share, self.home_kw, rng)
        mean, spread = self.plug_in_soc, self.plug_in_soc_spread
        size = mean * (1 - mean) / spread**2 - 1
        plug_in_soc = rng.beta(mean * size, (1 - mean) * size, count)
        return Demand(trips, start_edge, chargers, parked_s, plug_in_soc)


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains of a day: where a vehicle goes from home, in this order."""

    stops: NDArray[np.int8]
    """Purpose of each leg's destination, padded with -1, shape (chain, leg)."""
    weekday: Floats
    """Share of the vehicles on a weekday, shape (chain,)."""
    weekend: Floats


@cache
def chains() -> Chains:
    """Return the chains of `chains.csv` and their shares."""
    text = (resources.files("networks.demand") / "chains.csv").read_text("utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    longest = max(len(row["chain"]) for row in rows)
    stops = np.full((len(rows), longest), -1, np.int8)
    for number, row in enumerate(rows):
        # Every chain begins and ends at home; the first letter is no leg.
        legs = [_LETTERS[letter] for letter in row["chain"][1:]]
        stops[number, : len(legs)] = legs
    weekday = np.array([float(row["weekday_pct"]) for row in rows])
    weekend = np.array([float(row["weekend_pct"]) for row in rows])
    return Chains(stops, weekday / weekday.sum(), weekend / weekend.sum())


def _first_departure_s(
    parameters: Consumer, legs: NDArray[np.int8], weekend: bool, rng: np.random.Generator
) -> Floats:
    """Time of day of the first departure: to work by that table, else by that of all trips."""
    to_work_s = profile(TO_WORK).draw(rng, len(legs))
    bounds = parameters.weekend_first_hours if weekend else parameters.weekday_first_hours
    other_s = profile(SATURDAY if weekend else WEEKDAY, *bounds).draw(rng, len(legs))
    return np.where((legs == WORK).any(axis=1), to_work_s, other_s)


def _destination(
    purpose: NDArray[np.int8],
    home: Rows,
    work: Rows,
    at: Rows,
    near: Floats,
    rng: np.random.Generator,
) -> Rows:
    return np.select([purpose == HOME, purpose == WORK], [home, work], chosen(rng, near, at))


def _stay_s(parameters: Consumer, purpose: NDArray[np.int8], rng: np.random.Generator) -> Floats:
    """Stay at the destination; lognormal with the given means, at work normal."""
    count = len(purpose)
    sigma = parameters.stay_sigma
    factor = np.exp(rng.normal(-(sigma**2) / 2, sigma, count))
    at_work = rng.normal(parameters.work_stay_s, parameters.work_spread_s, count)
    mean_s = np.array(
        [parameters.home_pause_s, 0.0, parameters.shop_stay_s, parameters.leisure_stay_s]
    )
    return np.where(purpose == WORK, np.maximum(at_work, 1800.0), mean_s[purpose] * factor)
