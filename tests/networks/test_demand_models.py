"""The demand of the segments against published means; sources in networks/demand/README.md."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import networks.roads
from networks.demand import commute, consumer, delivery, hours, ride_share, start_times_s, transit
from networks.demand.places import Places, chosen
from networks.demand.segment import Demand, Segment
from networks.demand.trips import Trips

WEDNESDAY = datetime(2022, 9, 14)
SATURDAY = WEDNESDAY + timedelta(days=3)
DAY_S = 86_400
MILE_KM = 1.609344


@cache
def sioux_falls() -> Places:
    roads = networks.roads.load("siouxfalls")
    table = roads.trip_table
    assert table is not None
    return Places(
        roads.zone_edge.astype(np.int32),
        table.sum(axis=1),
        table.sum(axis=0),
        roads.travel_time_s,
        roads.distance_km,
        table,
    )


def drawn(
    segment: Segment,
    count: int,
    start: datetime = WEDNESDAY,
    duration_s: float = DAY_S,
) -> Demand:
    return segment.draw(count, sioux_falls(), start, duration_s, np.random.default_rng(5))


def by_hour_pct(trips: Trips) -> np.ndarray[Any, Any]:
    return np.histogram(trips.earliest_s, 24, (0, DAY_S))[0] / len(trips) * 100


def published_pct(name: str) -> np.ndarray[Any, Any]:
    figure = np.array([trips for _, trips in hours._table(name)])
    return figure / figure.sum() * 100


def test_ride_share_draws_what_the_requests_of_one_fleet_were() -> None:
    table = sioux_falls().trip_table
    assert table is not None
    found = drawn(ride_share.RideShare(), 500).trips
    rng = np.random.default_rng(5)
    asked_s = start_times_s(500 * 16, 0, DAY_S, rng)
    pair = rng.choice(table.size, size=len(asked_s), p=(table / table.sum()).ravel())
    assert np.array_equal(found.asked_s, asked_s)
    assert np.array_equal(found.origin_edge, sioux_falls().edge[pair // 24])
    assert np.array_equal(found.destination_edge, sioux_falls().edge[pair % 24])
    assert (found.deadline_s == asked_s + 1800).all()


def test_ride_share_on_the_weekend() -> None:
    # Du, Rakha, Breuer 2020: a fifth more trips than on a weekday; FHWA table NT-3: Saturday.
    weekday = drawn(ride_share.RideShare(), 1000).trips
    weekend = drawn(ride_share.RideShare(), 1000, SATURDAY).trips
    assert len(weekday) == 16_000
    assert len(weekend) == pytest.approx(1.2 * 16_000, abs=1)
    np.testing.assert_allclose(by_hour_pct(weekend), published_pct(hours.SATURDAY), atol=0.6)
    both = drawn(ride_share.RideShare(), 1000, WEDNESDAY, 4 * DAY_S).trips
    assert len(both) == pytest.approx((3 + 1.2) * 16_000, abs=3)


def test_ride_share_by_gravity_leaves_home_in_the_morning() -> None:
    places = sioux_falls()
    homes = np.where(np.arange(24) < 4, 1.0, 0.0)
    bare = Places(places.edge, homes, places.work, places.travel_time_s, places.distance_km)
    rng = np.random.default_rng(2)
    found = ride_share.RideShare().draw(200, bare, WEDNESDAY, DAY_S, rng).trips
    morning = found.asked_s < DAY_S / 2
    assert np.isin(found.origin_edge[morning], places.edge[:4]).all()
    assert np.isin(found.destination_edge[~morning], places.edge[:4]).all()
    assert (found.origin_edge != found.destination_edge).all()


def test_commuters_leave_when_the_census_says() -> None:
    parameters = commute.Commute(habit_spread_s=0.0)
    found = drawn(parameters, 20_000)
    home = {int(c.vehicles[0]): c.edge for c in found.chargers if c.access == "home"}
    trips = found.trips
    own = np.isin(trips.vehicle, list(home))
    lives = np.array([home.get(int(v), -1) for v in trips.vehicle])
    leave_h = trips.earliest_s[own & (trips.origin_edge == lives)] / 3600
    # American Community Survey: 12.6 % before 6:00, 14.9 % from 7:00 to 7:29, 24.3 % from 9:00.
    assert np.mean(leave_h < 6) == pytest.approx(0.126, abs=0.01)
    assert np.mean((leave_h >= 7) & (leave_h < 7.5)) == pytest.approx(0.149, abs=0.01)
    assert np.mean(leave_h >= 9) == pytest.approx(0.243, abs=0.01)
    # Census 2000: 20 % before 6:30, 53 % from 6:30 to 8:29; another year, so more loosely.
    assert np.mean(leave_h < 6.5) == pytest.approx(0.20, abs=0.02)
    assert np.mean((leave_h >= 6.5) & (leave_h < 8.5)) == pytest.approx(0.53, abs=0.05)


@pytest.mark.parametrize(
    ("start", "share", "worked_h"), [(WEDNESDAY, 0.89, 8.5), (SATURDAY, 0.31, 5.4)]
)
def test_commuters_work_as_the_time_use_survey_says(
    start: datetime, share: float, worked_h: float
) -> None:
    # From 4 h on, when the fewest are on the way.
    count = 10_000
    found = drawn(commute.Commute(), count, start + timedelta(hours=4)).trips
    assert len(np.unique(found.vehicle)) / count == pytest.approx(share, abs=0.04)
    order = np.lexsort((found.earliest_s, found.vehicle))
    pair = np.flatnonzero(np.diff(found.vehicle[order]) == 0)
    out, back = order[pair], order[pair + 1]
    way_s = np.array(
        [
            sioux_falls().travel_time_s([a], [b])[0, 0]
            for a, b in zip(found.origin_edge[out], found.destination_edge[out], strict=True)
        ]
    )
    stay_h = (found.earliest_s[back] - found.earliest_s[out] - way_s) / 3600
    assert np.median(stay_h) == pytest.approx(worked_h + 0.5, abs=0.25)


def test_commuters_share_the_ports_at_work() -> None:
    found = drawn(commute.Commute(), 1000)
    work = [c for c in found.chargers if c.access == "work"]
    assert sum(c.ports for c in work) == 300
    assert all(c.bidirectional and c.port_kw == 11.5 for c in work)
    home = [c for c in found.chargers if c.access == "home"]
    assert len(home) == 680  # J.D. Power 2023: 68 % have a mounted level 2 charger
    assert not any(c.bidirectional for c in home)


def test_consumers_drive_as_often_as_the_household_survey_says() -> None:
    # NHTS: 1,865 vehicle trips per household and year (2017), 1.90 vehicles (2001).
    count = 5000
    week = drawn(consumer.Consumer(), count, WEDNESDAY, 7 * DAY_S).trips
    assert len(week) / count / 7 == pytest.approx(1865 / 365 / 1.90, rel=0.07)
    # The EV Project: 6.9 miles a trip on 30.3 miles a day, so 4.4 trips per day driven.
    driven = len(np.unique(week.vehicle * 10 + week.earliest_s // DAY_S))
    assert len(week) / driven == pytest.approx(30.3 / 6.9, rel=0.25)


@pytest.mark.parametrize(
    ("start", "table"), [(WEDNESDAY, hours.WEEKDAY), (SATURDAY, hours.SATURDAY)]
)
def test_consumers_drive_at_the_published_hours(start: datetime, table: str) -> None:
    # FHWA table NT-3, all vehicle trips; the chains know only when the first one begins.
    found = drawn(consumer.Consumer(), 10_000, start).trips
    apart_pct = np.abs(by_hour_pct(found) - published_pct(table)).sum() / 2
    assert apart_pct < 12


def test_consumers_differ_in_when_they_plug_in() -> None:
    soc = drawn(consumer.Consumer(), 5000).plug_in_soc
    assert soc is not None
    assert soc.mean() == pytest.approx(0.55, abs=0.01)
    assert soc.std() == pytest.approx(0.2, abs=0.01)
    assert 0 < soc.min() < soc.max() < 1


def test_every_chain_begins_and_ends_at_home() -> None:
    known = consumer.chains()
    assert known.weekday.sum() == pytest.approx(1)
    assert known.weekend.sum() == pytest.approx(1)
    for legs in known.stops:
        made = legs[legs >= 0]
        assert len(made) == 0 or (made[-1] == consumer.HOME and len(made) >= 2)
        assert not (made[1:] == made[:-1])[made[1:] != consumer.SHOP].any()


def test_vans_are_parked_as_long_as_observed() -> None:
    parameters = delivery.Delivery(shift_s=DAY_S / 2)
    found = drawn(parameters, 2000).trips
    parked_h = found.dwell_s.sum() / 3600 / 2000
    # Allen et al. 2018: parked for 60 % of a round, of 8 h. One halt in 24 is at the depot's zone.
    assert parked_h == pytest.approx(0.6 * 8, rel=0.1)
    # Seattle's alleys, 2018: 68 % stay for 15 minutes or less.
    rng = np.random.default_rng(0)
    sigma = parameters.halt_sigma
    halt_s = parameters.halt_s * np.exp(rng.normal(-(sigma**2) / 2, sigma, 50_000))
    assert np.mean(halt_s <= 900) == pytest.approx(0.68, abs=0.01)


def test_vans_start_in_the_morning_and_keep_to_their_shift() -> None:
    trips = drawn(delivery.Delivery(), 500).trips
    first_h = np.array([trips.earliest_s[trips.vehicle == van].min() for van in range(500)]) / 3600
    assert 7.5 <= first_h.min() < 7.6
    assert first_h.max() > 9.4
    assert (trips.earliest_s < (9.5 + 9.1) * 3600).all()
    assert trips.at_arrival.all()
    weekend = drawn(delivery.Delivery(), 500, SATURDAY).trips
    assert len(np.unique(weekend.vehicle)) == pytest.approx(0.4 * 500, abs=40)


def test_vans_stay_in_their_part_of_the_city() -> None:
    trips = drawn(delivery.Delivery(), 500).trips
    inner = (trips.dwell_s > 0) & (np.roll(trips.dwell_s, 1) > 0)
    mean_s = sioux_falls().travel_time_s(sioux_falls().edge, sioux_falls().edge).mean()
    way_s = [
        sioux_falls().travel_time_s([a], [b])[0, 0]
        for a, b in zip(trips.origin_edge[inner], trips.destination_edge[inner], strict=True)
    ]
    assert np.mean(way_s) < 0.75 * mean_s


def test_buses_run_at_the_speed_of_the_transit_database() -> None:
    roads = networks.roads.load("siouxfalls")
    trips = drawn(transit.Transit(), 60).trips
    order = np.lexsort((trips.earliest_s, trips.vehicle))
    ride = (trips.via >= 0).max(axis=1)
    mile = time_h = 0.0
    for one, after in pairwise(order.tolist()):
        # Revenue hours hold the layover: from one departure on the line to the next.
        wait_s = trips.earliest_s[after] - trips.earliest_s[one]
        if not (ride[one] and ride[after]) or trips.vehicle[one] != trips.vehicle[after]:
            continue
        if trips.tour[one] != trips.tour[after] or wait_s > 3600:
            continue
        points = [trips.origin_edge[one], *trips.via[one], trips.destination_edge[one]]
        points = [point for point in points if point >= 0]
        mile += sum(float(roads.distance_km([a], [b])[0, 0]) for a, b in pairwise(points))
        time_h += wait_s / 3600
    # National Transit Database as cited in Metro Magazine: 11.99 miles of service per hour.
    assert mile / MILE_KM / time_h == pytest.approx(11.99, rel=0.15)


def test_headways_follow_from_round_trip_and_buses() -> None:
    trips = drawn(transit.Transit(terminal_ports=1), 6).trips
    terminal = trips.origin_edge[(trips.via >= 0).any(axis=1)][0]
    ride = (trips.via >= 0).any(axis=1)
    out = np.sort(trips.earliest_s[ride & (trips.origin_edge == terminal)])
    gap_s = np.diff(out)
    peak = (out[:-1] >= 7.5 * 3600) & (out[:-1] < 8.5 * 3600)
    noon = (out[:-1] >= 11 * 3600) & (out[:-1] < 14 * 3600)
    headway_s = gap_s[peak].mean()
    np.testing.assert_allclose(gap_s[peak], headway_s, rtol=1e-6)
    # Four of six buses run at noon: 0.6 of them, rounded up.
    np.testing.assert_allclose(gap_s[noon], headway_s * 6 / 4, rtol=0.02)
    one_bus = trips.vehicle == trips.vehicle[np.argmin(np.abs(trips.earliest_s - 7.5 * 3600))]
    leaves = np.sort(trips.earliest_s[ride & one_bus & (trips.origin_edge == terminal)])
    cycle_s = np.diff(leaves).min()
    assert headway_s == pytest.approx(cycle_s / 6, rel=1e-6)


def test_buses_rest_and_spend_the_night_in_the_depot() -> None:
    trips = drawn(transit.Transit(terminal_ports=1), 60, WEDNESDAY, 2 * DAY_S).trips
    ride = (trips.via >= 0).any(axis=1)
    assert (trips.dwell_s[ride] >= 300).all()
    assert not trips.at_arrival.any()
    assert trips.deadline_s - trips.earliest_s == pytest.approx(300.0)
    night_h = []
    for bus in range(60):
        own = np.sort(trips.earliest_s[trips.vehicle == bus])
        night_h.append(np.diff(own[(own > 12 * 3600) & (own < 36 * 3600)]).max() / 3600)
    # About 10 h in the depot overnight (Waka Kotahi NZTA, public transport design guidance).
    assert np.mean(night_h) == pytest.approx(10, abs=3)


def test_vans_come_at_any_moment_of_the_windows_and_not_before() -> None:
    roads = networks.roads.load("siouxfalls")
    window_s = 3 * 3600
    parameters = delivery.Delivery(window_share=1.0, window_s=window_s, halts_per_tour=1)
    trips = drawn(parameters, 400).trips
    order = np.lexsort((trips.earliest_s, trips.vehicle))
    first = order[np.unique(trips.vehicle[order], return_index=True)[1]]
    ways = trips.origin_edge[first], trips.destination_edge[first]
    ride_s = np.diagonal(roads.travel_time_s(*ways))
    # A van that drives at free flow is ahead of the plan, by half of the ride, and waits for a
    # window that opens later: then it has the whole window.
    spare_s = trips.deadline_s[first] - trips.earliest_s[first] - ride_s
    assert (spare_s >= (parameters.pace - 1) * ride_s - 1e-6).all()
    assert (spare_s <= window_s + 1e-6).all()
    share = np.histogram(spare_s, bins=4, range=(0, window_s))[0] / len(spare_s)
    assert (share > 0.15).all()
    assert (np.isclose(spare_s, window_s)).sum() > 5


@pytest.mark.parametrize("block_km", [60.0, 150.0, 1e6])
def test_blocks_are_as_long_as_a_charge_lasts(block_km: float) -> None:
    parameters = transit.Transit(block_km=block_km)
    found = drawn(parameters, 24, WEDNESDAY, 2 * DAY_S)
    trips, depot = found.trips, found.chargers[0].edge
    roads = networks.roads.load("siouxfalls")
    points = np.column_stack([trips.origin_edge, trips.via, trips.destination_edge])
    km = np.zeros(len(trips))
    for row, way in enumerate(points):
        edges = way[way >= 0]
        km[row] = np.diagonal(roads.distance_km(edges, edges), 1).sum()
    longest = 0.0
    for bus in range(24):
        own = np.flatnonzero(trips.vehicle == bus)
        own = own[np.argsort(trips.earliest_s[own], kind="stable")]
        blocks = np.split(own, np.flatnonzero(np.diff(trips.tour[own])) + 1)
        driven_km = 0.0
        for block, after in pairwise(blocks):
            driven_km += km[block].sum()
            longest = max(longest, driven_km)
            assert driven_km <= block_km
            assert trips.destination_edge[block[-1]] == depot
            home_s = parameters.pace * roads.travel_time_s(points[block[-1], :1], [depot])[0, 0]
            stay_s = trips.earliest_s[after[0]] - trips.earliest_s[block[-1]] - home_s
            put_back_km = stay_s * parameters.port_kw / 3600 / parameters.kwh_per_km
            driven_km = max(driven_km - put_back_km, 0.0)
    assert longest > min(block_km, 300) / 2


def test_terminals_have_chargers_if_wanted() -> None:
    found = drawn(transit.Transit(terminal_ports=2), 13)
    depots = [c for c in found.chargers if c.port_kw == 60]
    terminals = [c for c in found.chargers if c.port_kw == 300]
    assert [len(c.vehicles) for c in terminals] == [5, 4, 4]
    assert sum(len(c.vehicles) for c in depots) == 13
    assert all(c.ports == 2 for c in terminals)


def test_choices_follow_the_weights() -> None:
    weight = np.array([[0.0, 1.0, 3.0, 0.0], [2.0, 0.0, 0.0, 2.0]])
    rows = np.repeat([0, 1], 20_000)
    found = chosen(np.random.default_rng(0), weight, rows)
    share = np.histogram2d(rows, found, bins=(2, 4), range=((0, 2), (0, 4)))[0] / 20_000
    np.testing.assert_allclose(share, [[0, 0.25, 0.75, 0], [0.5, 0, 0, 0.5]], atol=0.01)
    assert share[0, 0] == share[0, 3] == share[1, 1] == share[1, 2] == 0


def test_gravity_where_nothing_draws() -> None:
    sites = sioux_falls().sites(np.random.default_rng(0))
    weight = sites.gravity(np.zeros(24), 600.0)
    assert (weight == ~np.eye(24, dtype=bool)).all()


def test_days_of_a_run() -> None:
    found = hours.days(datetime(2022, 9, 16, 23), 2 * 3600 + 300)
    assert [(day.midnight_s / 3600, day.weekend) for day in found] == [
        (-47, False),
        (-23, False),
        (1, True),
    ]
