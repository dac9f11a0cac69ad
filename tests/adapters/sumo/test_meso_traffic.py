"""Mesoscopic traffic against SUMO's own records and published distances."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.sumo.meso import MesoTraffic
from adapters.sumo.tick import TrafficTick
from cosim.errors import TrafficError
from cosim.signals import LEGS, TICK_S
from networks import vehicles
from networks.roads import RoadNetwork
from networks.roads.programs import libsumo


def go(
    traffic: MesoTraffic,
    tick: int,
    plans: dict[int, list[int]] | None = None,
    start_s: float = 0.0,
    tow: dict[int, int] | None = None,
) -> TrafficTick:
    """Advance one tick with the itineraries and tows of some vehicles."""
    count = len(traffic.state.phase)
    edges = np.full((count, LEGS), -1, np.int32)
    for vehicle, legs in (plans or {}).items():
        edges[vehicle, : len(legs)] = legs
    towed = np.full(count, -1, np.int32)
    for vehicle, edge in (tow or {}).items():
        towed[vehicle] = edge
    return traffic.advance(tick, edges, np.full(count, start_s), towed)


def of_kind(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["kind"] == kind]


def random_day(
    traffic: MesoTraffic,
    places: NDArray[np.integer],
    ticks: int,
    share: float,
    check: Any = None,
) -> tuple[list[TrafficTick], list[dict[str, Any]]]:
    """Send standing vehicles on random itineraries of one to three legs until all stand again."""
    rng = np.random.default_rng(7)
    count = len(traffic.state.phase)
    busy = np.zeros(count, np.bool_)
    nowhere = np.full(count, -1, np.int32)
    done: list[TrafficTick] = []
    tick = 0
    while tick < ticks or busy.any():
        edges = np.full((count, LEGS), -1, np.int32)
        if tick < ticks:
            free = ~busy & (rng.random(count) < share)
            edges[free] = rng.choice(places, (int(free.sum()), LEGS))
            legs = rng.integers(1, LEGS + 1, count)
            edges[np.arange(LEGS) >= legs[:, None]] = -1
        done.append(traffic.advance(tick, edges, rng.uniform(0, TICK_S, count), nowhere))
        busy = done[-1].vehicle_driving
        if check:
            check(done[-1])
        tick += 1
        assert tick < ticks + 60, "traffic does not come to rest"
    return done, [event for each in done for event in each.events]


def tripinfo(file: Path) -> dict[str, dict[str, float]]:
    """SUMO's own record of every vehicle."""
    return {
        str(row.get("id")): {
            key: float(row.get(key, "nan")) for key in ("depart", "arrival", "routeLength")
        }
        for row in ET.parse(file).getroot().iter("tripinfo")
    }


def plausible(done: TrafficTick) -> None:
    drives = done.vehicle_distance_km > 0
    assert (done.vehicle_driving_s >= 0).all()
    assert (done.vehicle_driving_s <= TICK_S).all()
    assert (done.vehicle_traction_kwh[drives] > 0).all()
    assert (done.vehicle_traction_kwh[~drives] == 0).all()
    assert (done.vehicle_distance_km <= 120 / 3600 * TICK_S).all()


def test_day_of_500_vehicles_equals_tripinfo(
    start: Any, siouxfalls: RoadNetwork, tmp_path: Path
) -> None:
    record = tmp_path / "trips.xml"
    rng = np.random.default_rng(3)
    home = rng.choice(siouxfalls.zone_edge, 500)
    traffic = start(siouxfalls, home, options=["--tripinfo-output", str(record)])
    done, events = random_day(traffic, siouxfalls.zone_edge, 288, 0.05, plausible)
    traffic.close()
    trips = of_kind(events, "trip")
    assert len(trips) == len(events) > 10_000
    moved = [trip for trip in trips if trip["distance_km"] > 0]
    theirs = tripinfo(record)
    assert len(moved) == len(theirs)

    km = sum(each.vehicle_distance_km.sum() for each in done)
    sumo_km = sum(row["routeLength"] for row in theirs.values()) / 1000
    assert km == pytest.approx(sumo_km, rel=1e-9)
    assert sum(trip["distance_km"] for trip in trips) == pytest.approx(km, rel=1e-9)
    kwh = sum(each.vehicle_traction_kwh.sum() for each in done)
    assert sum(trip["energy_kwh"] for trip in trips) == pytest.approx(kwh, rel=1e-9)

    # Leg by leg: the n-th drive of a vehicle is SUMO's vehicle n.
    number: dict[int, int] = {}
    for trip in moved:
        vehicle = trip["vehicle"]
        number[vehicle] = number.get(vehicle, 0) + 1
        row = theirs[f"{vehicle}#{number[vehicle]}"]
        assert 1000 * trip["distance_km"] == pytest.approx(row["routeLength"], rel=1e-6)
        assert trip["time_s"] == row["arrival"]
    driven_s = sum(each.vehicle_driving_s.sum() for each in done)
    assert driven_s == sum(row["arrival"] - row["depart"] for row in theirs.values())


def test_junction_interiors_count(start: Any, town: RoadNetwork, tmp_path: Path) -> None:
    record = tmp_path / "trips.xml"
    every = np.arange(len(town.edge_ids))
    traffic = start(town, every, options=["--tripinfo-output", str(record)])
    done, _ = random_day(traffic, every, 12, 0.5, plausible)
    traffic.close()
    theirs = tripinfo(record)
    km = sum(each.vehicle_distance_km.sum() for each in done)
    sumo_km = sum(row["routeLength"] for row in theirs.values()) / 1000
    assert km == pytest.approx(sumo_km, rel=1e-6)
    assert town.turn_length_m.max() > 5


def test_distances_are_those_of_the_network(start: Any, siouxfalls: RoadNetwork) -> None:
    """Fleets plan with `RoadNetwork.distance_km`: it must be what is driven."""
    zones = siouxfalls.zone_edge.tolist()
    traffic = start(siouxfalls, np.array(zones))
    plans = {i: [zones[(i + 7) % 24]] for i in range(24)}
    events = [e for tick in range(12) for e in go(traffic, tick, {} if tick else plans).events]
    km = siouxfalls.distance_km(zones, zones)
    for event in of_kind(events, "trip"):
        vehicle = event["vehicle"]
        assert event["distance_km"] == pytest.approx(km[vehicle, (vehicle + 7) % 24], rel=1e-9)
        free_s = siouxfalls.travel_time_s([zones[vehicle]], plans[vehicle])[0, 0]
        assert event["time_s"] - event["start_s"] == pytest.approx(free_s, rel=0.4)
    assert len(of_kind(events, "trip")) == 24


def test_next_leg_departs_within_the_tick(start: Any, siouxfalls: RoadNetwork) -> None:
    """Zones 15 and 19 are 3 km apart, 22 and 15 as well: two legs and a stop take some ticks."""
    zone = dict(zip(siouxfalls.zone_ids, siouxfalls.zone_edge.tolist(), strict=True))
    traffic = start(siouxfalls, np.array([zone["15"]]), dwell_s=45)
    done = go(traffic, 0, {0: [zone["19"], zone["15"]]}, start_s=10)
    events = list(done.events)
    tick = 1
    while done.vehicle_driving[0]:
        done = go(traffic, tick)
        events += done.events
        tick += 1
    first, second = of_kind(events, "trip")
    assert first["start_s"] == 10
    assert second["start_s"] == first["time_s"] + 45
    assert second["start_s"] % TICK_S != 0
    assert done.legs_completed[0] == 2
    np.testing.assert_array_equal(done.leg_arrival_s[0], [first["time_s"], second["time_s"], -1])
    assert done.vehicle_edge[0] == zone["15"]


def test_leg_to_where_it_stands_completes_at_once(start: Any, siouxfalls: RoadNetwork) -> None:
    here, there = siouxfalls.zone_edge[:2].tolist()
    traffic = start(siouxfalls, np.array([here]), dwell_s=60)
    done = go(traffic, 0, {0: [here, here, there]}, start_s=20)
    assert done.legs_completed[0] == 2
    np.testing.assert_array_equal(done.leg_arrival_s[0], [20, 80, -1])
    assert done.vehicle_driving[0]
    assert done.vehicle_driving_s[0] == TICK_S - 140


def test_departure_may_be_the_last_second(start: Any, siouxfalls: RoadNetwork) -> None:
    here, there = siouxfalls.zone_edge[:2].tolist()
    traffic = start(siouxfalls, np.array([here]))
    done = go(traffic, 0, {0: [there]}, start_s=TICK_S)
    assert done.vehicle_driving[0]
    assert done.vehicle_driving_s[0] == 0
    assert done.vehicle_edge[0] == here
    assert go(traffic, 1).vehicle_driving_s[0] == TICK_S


def test_what_cannot_be_driven_is_refused(start: Any, one_way: RoadNetwork) -> None:
    traffic = start(one_way, np.array([1, 0, 0, 0]))
    done = go(traffic, 0, {0: [0], 1: [1, 0], 2: [5], 3: [1]})
    np.testing.assert_array_equal(done.itinerary_refused, [True, True, True, False])
    np.testing.assert_array_equal(done.vehicle_edge[:3], [1, 0, 0])
    np.testing.assert_array_equal(done.vehicle_distance_km[:3], 0)
    assert not done.vehicle_driving[:3].any()
    refusals = of_kind(done.events, "trip_refused")
    assert [e["detail"] for e in refusals] == [
        "no way leads from bc to ab",
        "no way leads from bc to ab",
        "there is no edge 5; the network has 2",
    ]
    assert [e["place"] for e in refusals] == ["bc", "ab", "ab"]
    assert done.legs_completed[3] == 1


def test_second_itinerary_is_refused_while_one_is_under_way(
    start: Any, siouxfalls: RoadNetwork
) -> None:
    zones = siouxfalls.zone_edge
    traffic = start(siouxfalls, zones[:1])
    go(traffic, 0, {0: [int(zones[19])]})
    done = go(traffic, 1, {0: [int(zones[5])]})
    assert done.itinerary_refused[0]
    assert done.vehicle_driving[0]
    tick = 2
    while done.vehicle_driving[0]:
        done = go(traffic, tick)
        tick += 1
    assert done.vehicle_edge[0] == zones[19]


def test_refusal_leaves_no_completed_legs(start: Any, one_way: RoadNetwork) -> None:
    traffic = start(one_way, np.array([0]))
    assert go(traffic, 0, {0: [1]}).legs_completed[0] == 1
    done = go(traffic, 1, {0: [0]})
    assert done.itinerary_refused[0]
    assert done.legs_completed[0] == 0
    assert (done.leg_arrival_s[0] == -1).all()


def test_tow_takes_the_vehicle_off_the_road(start: Any, siouxfalls: RoadNetwork) -> None:
    zones = siouxfalls.zone_edge.tolist()
    traffic = start(siouxfalls, np.array([zones[0], zones[1], zones[2]]))
    before = go(traffic, 0, {0: [zones[19]], 1: [zones[19]]})
    assert before.vehicle_distance_km[0] > 1
    done = go(traffic, 1, {0: [zones[8]]}, start_s=200, tow={0: zones[9], 2: zones[5]})
    driven, stood = of_kind(done.events, "tow")
    assert (driven["vehicle"], stood["vehicle"]) == (0, 2)
    ids = siouxfalls.edge_ids
    assert (driven["origin"], driven["start_s"], driven["driving_s"]) == (ids[zones[0]], 0, TICK_S)
    assert driven["distance_km"] == pytest.approx(before.vehicle_distance_km[0])
    assert driven["energy_kwh"] == pytest.approx(before.vehicle_traction_kwh[0])
    assert (stood["origin"], stood["place"]) == (ids[zones[2]], ids[zones[2]])
    assert (stood["start_s"], stood["driving_s"], stood["distance_km"]) == (TICK_S, 0, 0)
    assert done.vehicle_edge[2] == zones[5]
    assert not done.vehicle_driving[2]
    assert done.vehicle_driving[0], "a new itinerary may start where it was set down"
    assert done.vehicle_driving_s[0] == 100
    assert done.vehicle_driving_s[1] == TICK_S
    assert not done.itinerary_refused.any()


def test_teleports_and_waits_are_told(start: Any, town: RoadNetwork, capfd: Any) -> None:
    """A town that is too small for its traffic: SUMO lifts vehicles over the jam."""
    rng = np.random.default_rng(2)
    every = np.arange(len(town.edge_ids))
    count = 1200
    home = rng.choice(every, count)
    traffic = start(town, home, teleport_s=60.0, insertion_s=120.0)
    plans = {v: [int(e) for e in rng.choice(every, LEGS)] for v in range(count)}
    events: list[dict[str, Any]] = []
    for tick in range(5):
        events += go(traffic, tick, {} if tick else plans).events
    lifted = of_kind(events, "teleport")
    assert len(lifted) == int(libsumo().simulation.getParameter("", "stats.teleports.total")) > 0
    for event in lifted:
        assert 0 <= event["vehicle"] < count
        assert 0 < event["time_s"] <= 5 * TICK_S
        assert event["place"]
        assert event["detail"] == "waited too long"
    late = of_kind(events, "insertion_delayed")
    assert late
    assert all(e["place"] in town.edge_ids for e in late)
    legs = [(e["vehicle"], traffic.state.number[e["vehicle"]]) for e in late]
    assert len(set(legs)) <= len(legs)
    assert capfd.readouterr() == ("", "")


def test_refusals_of_sumo_name_the_vehicle(start: Any, siouxfalls: RoadNetwork, capfd: Any) -> None:
    zones = siouxfalls.zone_edge.tolist()
    traffic = start(siouxfalls, np.array(zones[:2]))
    go(traffic, 0, {0: [zones[19]]})
    api = libsumo()
    api.vehicle.add("1#1", "")
    with pytest.raises(TrafficError, match="already exists") as caught:
        go(traffic, 1, {1: [zones[19]]})
    assert caught.value.where == "vehicle 1"
    assert caught.value.tick == 1
    assert capfd.readouterr() == ("", "")


def test_vehicle_lost_by_sumo_is_an_error(start: Any, siouxfalls: RoadNetwork) -> None:
    """A vehicle that SUMO took off the road on its way must not count as arrived."""
    zones = siouxfalls.zone_edge.tolist()
    traffic = start(siouxfalls, np.array(zones[:1]))
    go(traffic, 0, {0: [zones[19]]})
    libsumo().vehicle.remove("0#1")
    with pytest.raises(TrafficError, match="vehicle 0"):
        go(traffic, 1)


def test_ticks_come_one_after_the_other(start: Any, siouxfalls: RoadNetwork) -> None:
    traffic = start(siouxfalls, siouxfalls.zone_edge[:1])
    with pytest.raises(TrafficError, match="SUMO stands at 0 s, not 900 s"):
        go(traffic, 3)


def test_outputs_are_fresh_arrays(start: Any, siouxfalls: RoadNetwork) -> None:
    zones = siouxfalls.zone_edge.tolist()
    traffic = start(siouxfalls, np.array(zones[:1]))
    first = go(traffic, 0, {0: [zones[19]]})
    kept = first.vehicle_edge.copy(), first.leg_arrival_s.copy()
    second = go(traffic, 1)
    np.testing.assert_array_equal(first.vehicle_edge, kept[0])
    np.testing.assert_array_equal(first.leg_arrival_s, kept[1])
    assert not np.shares_memory(first.vehicle_edge, second.vehicle_edge)


def test_same_seed_gives_the_same_day() -> None:
    """Two processes of their own, to the last bit; another seed gives another day."""
    code = """
import hashlib, sys
import numpy as np
from adapters.sumo.meso import MesoTraffic
from networks import roads, vehicles
net = roads.load("siouxfalls")
rng = np.random.default_rng(5)
home = rng.choice(net.zone_edge, 200)
specs = list(vehicles.load().values())
traffic = MesoTraffic(net, specs, rng.integers(0, 3, 200), home, seed=int(sys.argv[1]))
digest, nowhere = hashlib.sha256(), np.full(200, -1)
for tick in range(24):
    plan = rng.choice(net.zone_edge, (200, 3))
    done = traffic.advance(tick, plan, rng.uniform(0, 300, 200), nowhere)
    for array in (done.vehicle_distance_km, done.vehicle_traction_kwh, done.leg_arrival_s):
        digest.update(array.tobytes())
    digest.update(repr(done.events).encode())
traffic.close()
print(digest.hexdigest())
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", code, seed],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "1", "2")
    ]
    assert said[0] == said[1] != said[2]


def test_restored_run_follows_the_saved_one(
    start: Any, siouxfalls: RoadNetwork, tmp_path: Path
) -> None:
    rng = np.random.default_rng(11)
    count, cut, ticks = 300, 5, 12
    home = rng.choice(siouxfalls.zone_edge, count)
    plans = rng.choice(siouxfalls.zone_edge, (ticks, count, LEGS))
    starts = rng.uniform(0, TICK_S, (ticks, count))
    nowhere = np.full(count, -1, np.int32)

    def play(traffic: MesoTraffic, first: int, last: int) -> list[TrafficTick]:
        return [traffic.advance(k, plans[k], starts[k], nowhere) for k in range(first, last)]

    whole = start(siouxfalls, home)
    play(whole, 0, cut)
    whole.save(tmp_path)
    assert (whole.state.phase > 1).sum() > 100, "the cut is in the middle of traffic"
    expected = play(whole, cut, ticks)
    whole.close()
    resumed = start(siouxfalls, home)
    resumed.restore(tmp_path)
    found = play(resumed, cut, ticks)
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.vehicle_distance_km, other.vehicle_distance_km)
        np.testing.assert_array_equal(one.vehicle_traction_kwh, other.vehicle_traction_kwh)
        np.testing.assert_array_equal(one.leg_arrival_s, other.leg_arrival_s)
        np.testing.assert_array_equal(one.vehicle_edge, other.vehicle_edge)
        assert one.events == other.events


def test_routes_do_not_pile_up(start: Any, siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    zones = siouxfalls.zone_edge
    traffic = start(siouxfalls, zones)
    routes = libsumo().route
    for tick in range(24):
        go(traffic, tick, {i: [int(zones[(i + tick) % 24])] for i in range(24)})
        if tick == 6:
            assert (traffic.state.phase > 1).any()
            traffic.save(tmp_path)
    assert traffic.state.number.sum() > 100
    assert routes.getIDCount() <= 1


def test_state_that_cannot_be_read_is_an_error(
    start: Any, siouxfalls: RoadNetwork, tmp_path: Path
) -> None:
    traffic = start(siouxfalls, siouxfalls.zone_edge[:1])
    with pytest.raises(TrafficError, match=r"sumo\.xml\.gz"):
        traffic.restore(tmp_path)


def test_heating_draws_on_the_road_in_winter_and_nothing_in_mild_air(
    town: RoadNetwork, start: Any
) -> None:
    drawn: dict[float, float] = {}
    for ambient_c in (20.0, -10.0):
        traffic = start(town, np.zeros(3, np.int32))
        edges = np.full((3, LEGS), -1, np.int32)
        edges[:, 0] = len(town.edge_ids) - 1
        tick = traffic.advance(0, edges, np.zeros(3), np.full(3, -1, np.int32), ambient_c)
        drawn[ambient_c] = float(tick.vehicle_traction_kwh.sum())
        driving_h = tick.vehicle_driving_s / 3600
        trips = of_kind(tick.events, "trip")
        assert sum(e["energy_kwh"] for e in trips) == pytest.approx(drawn[ambient_c])
        traffic.close()
    specs = list(vehicles.load().values())
    heating_kw = [float(vehicles.climate_load(spec).power_kw(np.array(-10.0))) for spec in specs]
    assert drawn[-10.0] - drawn[20.0] == pytest.approx(float(driving_h @ heating_kw), rel=1e-6)
