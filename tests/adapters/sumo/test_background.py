"""Other people's traffic: its amount, its hours, and that it leaves the fleet alone."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.background import background, write
from adapters.sumo.closures import Closure
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.unfinished import unfinished
from cosim.scenario import Scenario
from cosim.signals import LEGS, TICK_S
from networks.demand.background import LANE_CAPACITY_PER_H, BackgroundTrips
from networks.roads import RoadNetwork
from networks.roads.routing import Router
from tests.adapters.sumo.test_meso_traffic import go, of_kind


def scenario(**wish: Any) -> Scenario:
    return Scenario.model_validate(
        {"start": "2022-09-14", "duration": "24h", "traffic": {"background": wish}}
    )


def vehicles_in(file: Path) -> tuple[list[tuple[str, float, list[str]]], int]:
    root = ET.parse(file).getroot()
    routes = {r.get("id"): str(r.get("edges")).split() for r in root.iter("route")}
    found = [
        (str(v.get("id")), float(v.get("depart", "nan")), routes[v.get("route")])
        for v in root.iter("vehicle")
    ]
    return found, len(routes)


def test_there_is_none_unless_asked_for(siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    assert background(scenario(), siouxfalls, [], tmp_path) is None


def test_share_of_capacity_is_what_it_says(siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    roads = siouxfalls
    made = background(scenario(share_of_capacity=0.1), roads, [], tmp_path)
    assert made is not None
    assert made.without_way == 0
    trips, _ = vehicles_in(made.file)
    assert len(trips) == made.trips
    hours = Counter(int(depart_s // 3600) for _, depart_s, _ in trips)
    busiest, count = hours.most_common(1)[0]
    assert busiest in (15, 16, 17), "the afternoon peak of NHTS table NT-3"
    index = {edge: i for i, edge in enumerate(roads.edge_ids)}
    volume = np.zeros(len(index))
    for _, depart_s, edges in trips:
        if depart_s // 3600 == busiest:
            volume[[index[edge] for edge in edges]] += 1
    share = volume / (LANE_CAPACITY_PER_H * roads.lanes)
    assert count > 500
    assert np.average(share, weights=roads.length_m) == pytest.approx(0.1, rel=0.05)


def test_trip_table_and_file_are_kept(siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    made = background(scenario(trips="trip_table", per_day=5000), siouxfalls, [], tmp_path)
    assert made is not None
    trips, _ = vehicles_in(made.file)
    assert len(trips) == 5000
    file = tmp_path / "od.csv"
    file.write_text("origin,destination,trips\n1,20,60\n6_8,13,40\n")
    made = background(scenario(trips=str(file)), siouxfalls, [], tmp_path)
    assert made is not None
    trips, _ = vehicles_in(made.file)
    assert len(trips) == 100
    assert {edges[-1] for _, _, edges in trips} == {"in_20", "in_13"}
    assert {edges[0] for _, _, edges in trips} <= {"out_1", "8_6", "8_7", "8_9", "8_16"}


def test_same_seed_same_file_other_seed_another(siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    said: list[bytes] = []
    for seed in (1, 1, 2):
        wish = scenario(trips="trip_table", per_day=500).model_copy(update={"seed": seed})
        made = background(wish, siouxfalls, [], tmp_path)
        assert made is not None
        said.append(made.file.read_bytes())
    assert said[0] == said[1] != said[2]


def test_who_may_meet_a_closed_road_goes_around(siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    roads = siouxfalls
    a, b = roads.zone_edge[[0, 19]].tolist()
    count = 3
    trips = BackgroundTrips(
        np.array([0.0, 9000.0, 20_000.0]),
        np.full(count, a, np.int32),
        np.full(count, b, np.int32),
        np.ones(count),
    )
    router = Router(roads)
    closures = [Closure(roads.edge_index("2_6"), 10_000, 15_000)]
    write(tmp_path / "b.rou.xml", trips, router, closures)
    found, _ = vehicles_in(tmp_path / "b.rou.xml")
    assert ["2_6" in edges for _, _, edges in found] == [True, False, True]
    assert not router.closed.any()
    closures = [Closure(b, 0, 15_000)]
    made = write(tmp_path / "b.rou.xml", trips, router, closures)
    assert (made.trips, made.without_way) == (1, 2)


@pytest.fixture
def busy(town: RoadNetwork, tmp_path: Path) -> Path:
    """An hour of traffic that the small town can hardly carry."""
    rng = np.random.default_rng(6)
    count = 4000
    every = len(town.edge_ids)
    trips = BackgroundTrips(
        np.sort(rng.uniform(0, 3600, count)),
        rng.integers(0, every, count).astype(np.int32),
        rng.integers(0, every, count).astype(np.int32),
        np.clip(rng.normal(1, 0.1, count), 0.8, 1.2),
    )
    return write(tmp_path / "busy.rou.xml", trips, Router(town), []).file


def test_others_fill_the_roads_and_slow_the_fleet(
    town: RoadNetwork, start: Any, busy: Path
) -> None:
    seconds: dict[bool, float] = {}
    every = np.arange(len(town.edge_ids))
    for crowded in (False, True):
        traffic = start(town, every, background=busy if crowded else None)
        for tick in range(3):
            done = go(traffic, tick)
            assert not done.vehicle_driving.any()
            assert (done.background_vehicles > 0) == crowded
            assert (traffic.edge_times.kept_s > traffic.router.free_s).any() == crowded
        events: list[dict[str, Any]] = []
        plans: dict[int, list[int]] = {int(v): [int(every[-1 - v])] for v in every}
        done = go(traffic, 3, plans)
        tick = 4
        while done.vehicle_driving.any():
            events += done.events
            done = go(traffic, tick)
            tick += 1
        events += done.events
        trips = of_kind(events, "trip")
        seconds[crowded] = float(np.mean([e["time_s"] - e["start_s"] for e in trips]))
        assert len(trips) == len(every)
        traffic.close()
    assert seconds[True] > 1.03 * seconds[False]


@pytest.mark.parametrize("kind", [MesoTraffic, MicroTraffic])
def test_a_restored_run_has_the_same_traffic(
    town: RoadNetwork, start: Any, tmp_path: Path, busy: Path, kind: type[MesoTraffic]
) -> None:
    rng = np.random.default_rng(5)
    count = 20
    every = np.arange(len(town.edge_ids))
    home = rng.choice(every, count)
    plans = rng.choice(every, (14, count, LEGS))
    nowhere, at_once = np.full(count, -1, np.int32), np.zeros(count)
    traffic = start(town, home, kind, background=busy)
    for tick in range(4):
        traffic.advance(tick, plans[tick], at_once, nowhere)
    traffic.save(tmp_path)
    seen: list[list[Any]] = []
    for _ in range(2):
        seen.append([])
        for tick in range(4, 14):
            done = traffic.advance(tick, plans[tick], at_once, nowhere)
            seen[-1] += [done.vehicle_edge.tolist(), done.background_vehicles, done.events]
        traffic.close()
        traffic = start(town, home, kind, background=busy)
        traffic.restore(tmp_path)
    assert seen[0] == seen[1]
    others = seen[0][1::3]
    assert others[0] > 0, "they come after the cut too"
    assert others[-1] < max(others)


def test_every_trip_ends_in_exactly_one_way(town: RoadNetwork, start: Any, busy: Path) -> None:
    """Closed roads, other traffic and tows: arrived, under way, towed, refused - nothing else."""
    rng = np.random.default_rng(9)
    count, ticks = 80, 16
    every = np.arange(len(town.edge_ids))
    home = rng.choice(every, count)
    plan = [Closure(int(e), TICK_S * b, TICK_S * (b + 4)) for b, e in enumerate(every[2:14:2])]
    traffic = start(town, home, background=busy, closures=plan, teleport_s=120.0, insertion_s=60.0)
    sent = arrived = towed = refused = tows = refusals = 0
    events: list[dict[str, Any]] = []
    turns = set(zip(town.turn_from.tolist(), town.turn_to.tolist(), strict=True))
    left = np.zeros(count, np.int64)
    at_end = np.full(count, -1, np.int32)
    for tick in range(ticks):
        edges = np.full((count, LEGS), -1, np.int32)
        go_now = rng.random(count) < 0.6
        legs = rng.integers(1, LEGS + 1, count)
        edges[go_now] = rng.choice(every, (int(go_now.sum()), LEGS))
        edges[np.arange(LEGS) >= legs[:, None]] = -1
        tow = np.where(rng.random(count) < 0.05, rng.choice(every, count), -1).astype(np.int32)
        begun = np.where(go_now, legs, 0)
        before, place = left.copy(), at_end.copy()
        done = traffic.advance(tick, edges, rng.uniform(0, TICK_S, count), tow)
        events += done.events
        # Legs of itineraries that a tow ended, then those of the new one or of the one under way.
        taken = go_now & ~done.itinerary_refused
        towed += int(before[tow >= 0].sum())
        tows += int((tow >= 0).sum())
        refusals += int(done.itinerary_refused.sum())
        before[tow >= 0] = 0
        assert not (taken & (before > 0)).any(), "an itinerary under way is not replaced"
        sent += int(begun.sum())
        refused += int(begun[done.itinerary_refused].sum())
        planned = np.where(taken, begun, before)
        ended = (done.leg_arrival_s >= tick * TICK_S).sum(axis=1)
        arrived += int(ended.sum())
        left = planned - ended
        np.testing.assert_array_equal(left > 0, done.vehicle_driving)
        # Nothing jumps: who neither drove nor was towed is where it was, or at the start of the
        # edge that follows.
        still = (done.vehicle_distance_km == 0) & (tow < 0) & (ended == 0) & (place >= 0)
        for a, b in zip(place[still].tolist(), done.vehicle_edge[still].tolist(), strict=True):
            assert a == b or (a, b) in turns
        at_end = done.vehicle_edge
    assert (left >= 0).all()
    assert sent == arrived + int(left.sum()) + towed + refused
    assert min(arrived, int(left.sum()), towed, refused) > 0
    # The events say the same: each leg that set out has one end, each tow and refusal is told.
    ends = unfinished(traffic.state, town, ticks - 1)
    ends += [e for e in events if e["kind"] in ("trip", "tow")]
    legs = [(e["vehicle"], e["start_s"]) for e in ends if e["distance_km"] > 0]
    assert len(set(legs)) == len(legs) > 100
    kinds = Counter(event["kind"] for event in events)
    assert kinds["trip"] <= arrived
    assert (kinds["tow"], kinds["trip_refused"]) == (tows, refusals)
    assert kinds["road_closed"] == len(plan)
    assert kinds["rerouted"] > 0
    assert kinds["background_teleports"] <= ticks
    for event in events:
        assert "vehicle" not in event or 0 <= event["vehicle"] < count
        assert event["time_s"] <= ticks * TICK_S
