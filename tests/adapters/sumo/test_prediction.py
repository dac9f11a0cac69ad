"""What replay takes from a record: ways, recorded legs, times and energies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest

from adapters.sumo.journeys import Journeys
from adapters.sumo.lookup import Lookup
from adapters.sumo.prediction import LEAST_TRIPS, Error, Prediction
from adapters.sumo.profiles import Profiles
from adapters.sumo.record import Record
from networks import vehicles
from networks.roads import RoadNetwork
from networks.roads.routing import Router

SPECS = list(vehicles.load().values())
START = datetime(2022, 9, 14, 7)


def made(roads: RoadNetwork, trips: list[dict[str, Any]], count: int, ticks: int) -> Record:
    """A record of trips that are one after the other; what each tick saw is left empty."""
    empty = {
        name: np.zeros((ticks, count))
        for name in ("vehicle_distance_km", "vehicle_traction_kwh", "vehicle_driving_s")
    }
    return Record.of(
        roads,
        [{"kind": "trip", **trip} for trip in trips],
        empty | {"vehicle_edge": np.zeros((ticks, count), np.int32)},
        kind="meso",
        digest="",
        start=START,
        vehicle_ids=tuple(str(i) for i in range(count)),
        body_type=tuple(SPECS[i % 3].name for i in range(count)),
        ambient_c=np.full(ticks, vehicles.MILD_C),
    )


def lawful(roads: RoadNetwork, hour_ratio: dict[int, float], kwh_of: Any) -> Record:
    """Trips that take 20 s, and the hour's ratio times the free-flow time, at vehicles' paces."""
    rng = np.random.default_rng(4)
    trips: list[dict[str, Any]] = []
    count = 30
    for vehicle in range(count):
        clock = 0.0
        pace = 0.9 + 0.2 * (vehicle % 2)
        for _ in range(8):
            a, b = rng.choice(roads.zone_edge, 2, replace=False).tolist()
            free_s = float(roads.travel_time_s([a], [b])[0, 0])
            km = float(roads.distance_km([a], [b])[0, 0])
            ratio = hour_ratio[int(START.hour + clock // 3600)]
            time_s = pace * (20.0 + ratio * free_s)
            trips.append(
                {
                    "vehicle": vehicle,
                    "origin": roads.edge_ids[a],
                    "place": roads.edge_ids[b],
                    "start_s": clock,
                    "time_s": clock + time_s,
                    "driving_s": time_s,
                    "distance_km": km,
                    "energy_kwh": kwh_of(vehicle % 3, km, time_s),
                }
            )
            clock += time_s + float(rng.uniform(0, 600))
    return made(roads, trips, count, 150)


def test_the_law_behind_a_record_is_found(siouxfalls: RoadNetwork) -> None:
    ratios = {hour: 1.2 if hour < 8 else 1.6 for hour in range(24)}

    def kwh(body: int, km: float, time_s: float) -> float:
        hours = time_s / 3600
        return (1 + body) * (0.5 * hours + 0.1 * km + 5e-6 * km**3 / hours**2)

    record = lawful(siouxfalls, ratios, kwh)
    found = Prediction.of(record, Profiles.of(record), Journeys(Router(siouxfalls)), SPECS)
    assert found.ratio[7] == pytest.approx(1.2, rel=0.12)
    assert found.ratio[8] == pytest.approx(1.6, rel=0.1)
    assert found.pace[1::2].mean() / found.pace[::2].mean() == pytest.approx(1.1 / 0.9, rel=0.05)
    assert abs(found.time_error.bias_pct) < 3
    assert found.time_error.rms_pct < 12
    # The energy law is of the form that is fitted: nothing is left over.
    assert found.energy_error.rms_pct < 0.01
    np.testing.assert_allclose(found.consumption[1], [1.0, 0.2, 1e-5], rtol=1e-3)
    one = found.energy_kwh(np.array([2]), np.array([10.0]), np.array([900.0]))
    assert one[0] == pytest.approx(kwh(2, 10.0, 900.0), rel=1e-3)


def test_a_crowd_of_the_fleet_makes_trips_longer(siouxfalls: RoadNetwork) -> None:
    """Waves of a growing number of vehicles; each trip is 0.4 % longer for each that is there."""
    a, b = siouxfalls.zone_edge[[0, 19]].tolist()
    free_s = float(siouxfalls.travel_time_s([a], [b])[0, 0])
    names = {"origin": siouxfalls.edge_ids[a], "place": siouxfalls.edge_ids[b]}
    trips: list[dict[str, Any]] = []
    for wave, crowd in enumerate((0, 5, 10, 20, 30, 40)):
        first_s = wave * 3000.0
        starts = [(v, first_s, 0) for v in range(crowd)]
        starts += [(50 + v, first_s + 300 + v, crowd) for v in range(10)]
        for vehicle, start_s, there in starts:
            time_s = free_s * (1 + 0.004 * there)
            told = {"vehicle": vehicle, "start_s": start_s, "time_s": start_s + time_s}
            told |= {"driving_s": time_s, "distance_km": 22.0, "energy_kwh": 3.0}
            trips.append(names | told)
    record = made(siouxfalls, trips, 60, 80)
    found = Prediction.of(record, Profiles.of(record), Journeys(Router(siouxfalls)), SPECS)
    assert found.on_road == (0, 40)
    assert found.slope == pytest.approx(0.004, rel=0.4)
    eight, one = np.array([8]), np.ones(1)
    alone, crowded = (found.time_s(np.array([1000.0]), eight, n, one)[0] for n in (0.0, 40.0))
    assert crowded - alone == pytest.approx(1000 * found.slope * 40, abs=1)


def test_errors_are_of_trips_that_were_held_out(siouxfalls: RoadNetwork) -> None:
    record = lawful(siouxfalls, dict.fromkeys(range(24), 1.5), lambda b, km, s: 0.2 * km)
    found = Prediction.of(record, Profiles.of(record), Journeys(Router(siouxfalls)), SPECS)
    assert found.time_error.trips == found.energy_error.trips == record.trips // 5
    assert str(found.energy_error) == f"+0.0 % in sum, 0.0 % rms a trip ({record.trips // 5})"


def test_times_are_whole_and_at_least_a_second(siouxfalls: RoadNetwork) -> None:
    record = lawful(siouxfalls, dict.fromkeys(range(24), 1.5), lambda b, km, s: 0.2 * km)
    found = Prediction.of(record, Profiles.of(record), Journeys(Router(siouxfalls)), SPECS)
    free_s, hour = np.array([0.0, 0.01, 500.0]), np.zeros(3, np.int64)
    time_s = found.time_s(free_s, hour, 10.0, np.full(3, 1e-3))
    np.testing.assert_array_equal(time_s, [1, 1, 1])
    crowds = [found.time_s(free_s, hour, n, np.ones(3))[2] for n in (found.on_road[1], 1e9)]
    assert crowds[0] == crowds[1], "more vehicles than were recorded count as the most recorded"


def test_body_types_without_trips_take_the_shipped_shape(siouxfalls: RoadNetwork) -> None:
    bus = vehicles.model("bus")
    shipped = vehicles.shipped()

    def kwh(body: int, km: float, time_s: float) -> float:
        return 1.1 * km * float(shipped[SPECS[body].name].kwh_per_km(3600 * km / time_s))

    record = lawful(siouxfalls, dict.fromkeys(range(24), 1.1), kwh)
    found = Prediction.of(record, Profiles.of(record), Journeys(Router(siouxfalls)), [*SPECS, bus])
    km, time_s = np.array([20.0]), np.array([1800.0])
    guess = found.energy_kwh(np.array([3]), km, time_s)[0] / 20
    assert guess == pytest.approx(1.1 * float(shipped["bus"].kwh_per_km(40.0)), rel=0.08)


def test_one_trip_is_enough(siouxfalls: RoadNetwork) -> None:
    a, b = siouxfalls.zone_edge[:2].tolist()
    trip = {"vehicle": 0, "origin": siouxfalls.edge_ids[a], "place": siouxfalls.edge_ids[b]}
    trip |= {"start_s": 0.0, "time_s": 500.0, "driving_s": 500.0}
    trip |= {"distance_km": 6.0, "energy_kwh": 1.0}
    record = made(siouxfalls, [trip], 1, 2)
    assert record.trips < LEAST_TRIPS
    found = Prediction.of(record, Profiles.of(record), Journeys(Router(siouxfalls)), SPECS)
    free_s = siouxfalls.travel_time_s([a], [b])[0]
    seven = np.array([START.hour])
    assert found.time_s(free_s, seven, 0.0, np.ones(1))[0] == pytest.approx(500, abs=1)
    kwh = found.energy_kwh(np.arange(3), np.full(3, 6.0), np.full(3, 500.0))
    assert (np.diff(kwh) > 0).all(), "a van draws more than a sedan"


def test_error_figures() -> None:
    error = Error.of(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert (error.trips, error.bias_pct, error.rms_pct) == (2, 0.0, 50.0)
    assert Error.of(np.zeros(0), np.zeros(0)).trips == 0


def test_lookup_tells_legs_apart(siouxfalls: RoadNetwork) -> None:
    a, b, c = siouxfalls.zone_edge[:3].tolist()
    names = siouxfalls.edge_ids

    def trip(vehicle: int, start: int, end: int, start_s: float) -> dict[str, Any]:
        told = {"vehicle": vehicle, "origin": names[start], "place": names[end]}
        told |= {"start_s": start_s, "time_s": start_s + 50, "driving_s": 50.0}
        return told | {"distance_km": 1.0, "energy_kwh": 0.1}

    trips = [
        *(trip(0, a, b, 10.0), trip(0, b, a, 70.0), trip(0, a, b, 130.0), trip(0, a, b, 310.0)),
        *(trip(1, a, b, 20.0), trip(1, a, c, 320.0)),
    ]
    record = made(siouxfalls, trips, 2, 3)
    lookup = Lookup(record, Profiles.of(record), len(names))
    asked = [
        *((0, a, b, 10), (0, a, b, 5), (0, a, b, 129), (0, a, b, 130), (0, a, b, 299)),
        *((0, a, b, 300), (0, b, a, 0), (0, a, c, 10), (1, a, b, 299), (1, a, b, 300)),
        *((1, a, c, 599), (-1, a, b, 10), (0, a, b, -1), (0, a, b, 900), (1, c, a, 320)),
    ]
    vehicle, start, end = np.array([row[:3] for row in asked]).T
    found = lookup.find(vehicle, start, end, np.array([row[3] for row in asked], np.float64))
    np.testing.assert_array_equal(found, [0, 0, 0, 2, 2, 3, 1, -1, 4, -1, 5, -1, -1, -1, -1])


def test_places_on_a_way_do_not_depend_on_what_was_found_before(
    siouxfalls: RoadNetwork, town: RoadNetwork, one_way: RoadNetwork
) -> None:
    for roads in (siouxfalls, town):
        count = len(roads.edge_ids)
        rng = np.random.default_rng(1)
        pairs = rng.integers(0, count, (300, 2)).tolist()
        many, shares = Journeys(Router(roads)), np.linspace(0, 1, 41)
        numbers = [many.find(a, b) for a, b in pairs]
        for (a, b), number in zip(pairs[::29], numbers[::29], strict=True):
            assert isinstance(number, int)
            alone = Journeys(Router(roads))
            first = alone.find(a, b)
            assert first == 0
            zeros = np.zeros(41, np.int64)
            places = many.edge_at(zeros + number, shares)
            np.testing.assert_array_equal(places, alone.edge_at(zeros, shares))
            way = roads.path(a, b)
            driven = way[1:] or way
            assert places[0] == driven[0]
            assert places[-1] == b
            order = [driven.index(place) for place in places]
            assert order == sorted(order)
            km, free_s = alone.figures(np.array([0]))
            if a != b:
                assert free_s[0] == pytest.approx(roads.travel_time_s([a], [b])[0, 0], abs=0.01)
                first_turn = roads.turn_length_m[
                    (roads.turn_from == a) & (roads.turn_to == driven[0])
                ][0]
                whole_km = roads.distance_km([a], [b])[0, 0]
                assert km[0] == pytest.approx(whole_km - first_turn / 1000, abs=1e-4)
    lone = Journeys(Router(one_way))
    assert lone.find(1, 0) == "no way leads from bc to ab"
    assert lone.find(0, 7) == "there is no edge 7; the network has 2"
    assert lone.find(0, 1) == 0
