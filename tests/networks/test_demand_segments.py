"""Laws that the demand of every segment keeps, whatever the city, the hour and the length."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from networks.demand import commute, consumer, delivery, ride_share, transit
from networks.demand.places import Places
from networks.demand.segment import Demand, Segment
from networks.demand.trips import Floats, Trips

WEDNESDAY = datetime(2022, 9, 14)
DAY_S = 86_400


def city(count: int, seed: int = 0, spread_s: float = 1200.0, table: bool = False) -> Places:
    """Return places on a plane, in a grid of streets; edge k stands at index k - 7."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(0, spread_s / 2, (count, 2)).round() + np.arange(count)[:, None]

    def travel_time_s(origin: ArrayLike, destination: ArrayLike) -> Floats:
        a, b = at[np.asarray(origin) - 7], at[np.asarray(destination) - 7]
        return np.abs(a[:, None] - b[None]).sum(axis=2)

    def distance_km(origin: ArrayLike, destination: ArrayLike) -> Floats:
        return travel_time_s(origin, destination) * 0.01

    return Places(
        edge=np.arange(7, 7 + count, dtype=np.int32),
        homes=rng.uniform(0.1, 1, count),
        work=rng.uniform(0.1, 1, count),
        travel_time_s=travel_time_s,
        distance_km=distance_km,
        trip_table=rng.uniform(0, 1, (count, count)) * ~np.eye(count, dtype=bool)
        if table
        else None,
    )


KINDS: dict[str, Segment] = {
    "ride_share": ride_share.RideShare(),
    "delivery": delivery.Delivery(),
    "commute": commute.Commute(),
    "transit": transit.Transit(),
    "consumer": consumer.Consumer(),
}
TIGHT: dict[str, Segment] = {
    "delivery tight": delivery.Delivery(
        halts_per_tour=90, shift_s=26 * 3600, window_share=1.0, window_s=600, weekend_share=1.0
    ),
    "commute tight": commute.Commute(work_spread_s=8 * 3600, weekday_share=1.0, weekend_share=1.0),
    "consumer tight": consumer.Consumer(leisure_stay_s=12 * 3600, shop_stay_s=6 * 3600),
    "transit tight": transit.Transit(weekday_hours=(0, 24), weekend_hours=(0, 24), break_s=600),
}
"""Parameters at which days run into each other."""
OWN = [name for name in KINDS if name != "ride_share"]


def drawn(
    name: str, count: int, places: Places, start: datetime, duration_s: float, seed: int = 1
) -> Demand:
    rng = np.random.default_rng(seed)
    return (KINDS | TIGHT)[name].draw(count, places, start, duration_s, rng)


def way_s(trips: Trips, places: Places) -> Floats:
    """Free-flow time of each trip over the points on its way."""
    at, total = trips.origin_edge, np.zeros(len(trips))
    for point in (*trips.via.T, trips.destination_edge):
        toward = np.where(point >= 0, point, at)
        total += np.array(
            [places.travel_time_s([a], [b])[0, 0] for a, b in zip(at, toward, strict=True)]
        ).reshape(-1)
        at = toward
    return total


runs = {
    "count": st.integers(1, 30),
    "sites": st.integers(1, 12),
    "hour": st.sampled_from([0, 5, 8, 12, 17, 23]),
    "day": st.integers(0, 6),
    "duration_s": st.sampled_from([300, 3600, 30_000, DAY_S, 2 * DAY_S + 300]),
    "seed": st.integers(0, 999),
}


@pytest.mark.parametrize("name", [*KINDS, *TIGHT])
@settings(max_examples=40, deadline=None)
@given(**runs)
def test_vehicles_can_do_what_is_asked(
    name: str, count: int, sites: int, hour: int, day: int, duration_s: int, seed: int
) -> None:
    places = city(sites, seed)
    start = WEDNESDAY + timedelta(days=day, hours=hour)
    found = drawn(name, count, places, start, duration_s, seed)
    trips = found.trips
    assert found.start_edge.shape == (count,)
    assert np.isin(found.start_edge, places.edge).all()
    assert np.isin(trips.origin_edge, places.edge).all()
    assert np.isin(trips.destination_edge, places.edge).all()
    assert np.isin(trips.via, [*places.edge, -1]).all()
    assert (trips.asked_s < duration_s).all()
    assert (trips.earliest_s < duration_s).all()
    for charger in found.chargers:
        assert charger.edge in places.edge
        assert len(charger.vehicles) > 0
        assert 0 <= charger.vehicles.min() <= charger.vehicles.max() < count
        assert charger.ports > 0
    if name == "ride_share":
        assert (trips.vehicle == -1).all()
        return
    assert (trips.vehicle >= 0).all()
    assert (trips.origin_edge != trips.destination_edge).all()
    needed_s = way_s(trips, places)
    for vehicle in range(count):
        own = np.flatnonzero(trips.vehicle == vehicle)
        own = own[np.argsort(trips.earliest_s[own], kind="stable")]
        at = np.concatenate([[found.start_edge[vehicle]], trips.destination_edge[own]])
        assert (trips.origin_edge[own] == at[:-1]).all(), (
            "each trip starts where the last one ended"
        )
        free_s = trips.earliest_s[own] + needed_s[own] + trips.dwell_s[own]
        assert (trips.earliest_s[own][1:] >= free_s[:-1] - 1e-6).all(), "trips do not overlap"
        late = trips.deadline_s[own] - np.where(trips.at_arrival[own], needed_s[own], 0.0)
        assert (late >= trips.earliest_s[own] - 1e-6).all(), "every deadline can be kept"


@pytest.mark.parametrize("name", ["delivery", "transit"])
@settings(max_examples=30, deadline=None)
@given(count=runs["count"], sites=st.integers(2, 12), seed=runs["seed"])
def test_tours_return_to_the_depot(name: str, count: int, sites: int, seed: int) -> None:
    found = drawn(name, count, city(sites, seed), WEDNESDAY + timedelta(hours=4), DAY_S, seed)
    trips = found.trips
    depot = {
        int(vehicle): charger.edge for charger in found.chargers for vehicle in charger.vehicles
    }
    assert sorted(depot) == list(range(count))
    # A day from 4 h on: tours of the day are whole, those of the next have not begun.
    whole = trips.earliest_s < 19 * 3600 if name == "delivery" else np.ones(len(trips), bool)
    for vehicle in range(count):
        own = np.flatnonzero((trips.vehicle == vehicle) & whole)
        own = own[np.argsort(trips.earliest_s[own], kind="stable")]
        for tour in np.unique(trips.tour[own]):
            legs = own[trips.tour[own] == tour]
            assert tour >= 0
            assert (np.diff(legs) > 0).all(), "the order of asking is that of the tour"
            assert trips.origin_edge[legs[0]] == depot[vehicle]
            assert trips.destination_edge[legs[-1]] == depot[vehicle]
            terminals = np.setdiff1d(trips.origin_edge[own], [depot[vehicle]])
            if name == "delivery" or len(terminals) == 2:
                # Where the depot is no terminal, a tour leaves it once.
                assert (trips.origin_edge[legs] == depot[vehicle]).sum() == 1


@pytest.mark.parametrize("name", KINDS)
def test_the_same_generator_draws_the_same(name: str) -> None:
    places = city(9)
    one, same, other = (drawn(name, 20, places, WEDNESDAY, DAY_S, seed) for seed in (3, 3, 4))
    for field in ("asked_s", "earliest_s", "deadline_s", "origin_edge", "vehicle", "tour", "via"):
        assert np.array_equal(getattr(one.trips, field), getattr(same.trips, field))
    assert np.array_equal(one.start_edge, same.start_edge)
    assert not np.array_equal(one.trips.earliest_s, other.trips.earliest_s)


@pytest.mark.parametrize("name", KINDS)
def test_ten_thousand_vehicles_and_one(name: str) -> None:
    many = drawn(name, 10_000, city(200), WEDNESDAY, DAY_S)
    assert many.trips.vehicle.max() < 10_000
    if name in OWN:
        assert len(np.unique(many.trips.vehicle)) > 6000
    one = drawn(name, 1, city(200), WEDNESDAY, 7 * DAY_S)
    assert len(one.trips) > 0


@pytest.mark.parametrize("name", KINDS)
def test_days_are_drawn_afresh(name: str) -> None:
    trips = drawn(name, 50, city(20), WEDNESDAY, 2 * DAY_S).trips
    first = np.sort(trips.earliest_s[trips.earliest_s < DAY_S])
    second = np.sort(trips.earliest_s[trips.earliest_s >= DAY_S]) - DAY_S
    assert len(second) == pytest.approx(len(first), rel=0.2)
    if name != "transit":  # a timetable repeats
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", KINDS)
def test_places_without_a_way_are_left_out(name: str) -> None:
    joined = city(6)

    def travel_time_s(origin: ArrayLike, destination: ArrayLike) -> Floats:
        time_s = joined.travel_time_s(origin, destination)
        lost = np.equal.outer(np.asarray(origin) == 7, np.asarray(destination) == 7)
        return np.where(lost, time_s, np.inf)

    places = Places(joined.edge, joined.homes, joined.work, travel_time_s, joined.distance_km)
    found = drawn(name, 40, places, WEDNESDAY, DAY_S)
    assert not np.isin(7, found.trips.origin_edge)
    assert not np.isin(7, found.start_edge)


def test_who_is_on_the_way_at_the_start_has_arrived() -> None:
    night = drawn("commute", 4000, city(30), WEDNESDAY, DAY_S)
    noon = drawn("commute", 4000, city(30), WEDNESDAY + timedelta(hours=12), 300)
    home = {int(c.vehicles[0]): c.edge for c in noon.chargers if c.access == "home"}
    away = np.mean([noon.start_edge[vehicle] != edge for vehicle, edge in home.items()])
    # 89 % work on a weekday; three quarters have left by noon and are not back yet.
    assert 0.6 < away < 0.85
    home = {int(c.vehicles[0]): c.edge for c in night.chargers if c.access == "home"}
    away = np.mean([night.start_edge[vehicle] != edge for vehicle, edge in home.items()])
    assert away < 0.12


def test_large_cities_are_thinned() -> None:
    places = city(1500)
    sites = places.sites(np.random.default_rng(0))
    assert len(sites) == 1000
    assert sites.homes.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"edge": np.array([7, 7], np.int32)}, "another edge"),
        ({"homes": np.array([1.0, -1.0])}, "homes needs"),
        ({"work": np.zeros(2)}, "work must not be 0"),
        ({"trip_table": np.zeros((1, 2))}, "trip_table needs"),
    ],
)
def test_bad_places_are_refused(changed: dict[str, Any], reason: str) -> None:
    good = city(2)
    columns: dict[str, Any] = {
        "edge": good.edge,
        "homes": good.homes,
        "work": good.work,
        "travel_time_s": good.travel_time_s,
        "distance_km": good.distance_km,
    }
    with pytest.raises(ValueError, match=reason):
        Places(**(columns | changed))
