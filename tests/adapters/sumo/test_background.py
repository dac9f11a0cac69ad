"""Other people's traffic: its amount, its hours, and that it leaves the fleet alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.background import trips
from adapters.sumo.closures import Closure
from adapters.sumo.congestion import on_edges
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.unfinished import unfinished
from cosim.scenario import Scenario
from cosim.signals import LEGS, TICK_S
from networks.demand.background import LANE_CAPACITY_PER_H, BackgroundTrips
from networks.roads import RoadNetwork
from networks.roads.programs import libsumo
from networks.roads.routing import Router
from tests.adapters.sumo.test_meso_traffic import go, of_kind


def scenario(**wish: Any) -> Scenario:
    return Scenario.model_validate(
        {"start": "2022-09-14", "duration": "24h", "traffic": {"background": wish}}
    )


def test_there_is_none_unless_asked_for(siouxfalls: RoadNetwork) -> None:
    assert trips(scenario(), siouxfalls) is None


def test_share_of_capacity_is_what_it_says(siouxfalls: RoadNetwork) -> None:
    roads = siouxfalls
    made = trips(scenario(share_of_capacity=0.1), roads)
    assert made is not None
    hours = np.bincount((made.depart_s // 3600).astype(int))
    busiest = int(hours.argmax())
    assert busiest in (15, 16, 17), "the afternoon peak of NHTS table NT-3"
    volume = np.zeros(len(roads.edge_ids))
    router = Router(roads)
    then = made.depart_s // 3600 == busiest
    ends = made.origin_edge[then].tolist(), made.destination_edge[then].tolist()
    for way in router.routes(*ends):
        assert not isinstance(way, str)
        volume[router.edges(way)] += 1
    share = volume / (LANE_CAPACITY_PER_H * roads.lanes)
    assert hours[busiest] > 500
    assert np.average(share, weights=roads.length_m) == pytest.approx(0.1, rel=0.05)


def test_trip_table_and_file_are_kept(siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    made = trips(scenario(trips="trip_table", per_day=5000), siouxfalls)
    assert made is not None
    assert len(made.depart_s) == 5000
    file = tmp_path / "od.csv"
    file.write_text("origin,destination,trips\n1,20,60\n6_8,13,40\n")
    made = trips(scenario(trips=str(file)), siouxfalls)
    assert made is not None
    assert len(made.depart_s) == 100
    names = np.array(siouxfalls.edge_ids)
    assert set(names[made.destination_edge]) == {"in_20", "in_13"}
    assert set(names[made.origin_edge]) == {"in_1", "6_8"}


def test_same_seed_same_trips_other_seed_others(siouxfalls: RoadNetwork) -> None:
    said: list[list[float]] = []
    for seed in (1, 1, 2):
        wish = scenario(trips="trip_table", per_day=500).model_copy(update={"seed": seed})
        made = trips(wish, siouxfalls)
        assert made is not None
        said.append([*made.depart_s.tolist(), *made.pace.tolist(), *made.origin_edge.tolist()])
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("kind", [MesoTraffic, MicroTraffic])
def test_other_people_go_around_closed_roads_too(
    siouxfalls: RoadNetwork, start: Any, kind: type[MesoTraffic]
) -> None:
    """Before it, on it, waiting for room, and those that set out later; one end is closed."""
    roads = siouxfalls
    a, b = roads.zone_edge[[0, 19]].tolist()
    count = 90
    other = BackgroundTrips(
        np.linspace(0, 1200, count),
        np.full(count, a, np.int32),
        np.where(np.arange(count) % 5, b, roads.zone_edge[1]).astype(np.int32),
        np.ones(count),
    )
    shut = [roads.edge_index("2_6"), int(roads.zone_edge[1])]
    plan = [Closure(edge, 600, 6000) for edge in shut]
    traffic = start(roads, np.array([a]), kind, background=other, closures=plan)
    events: list[dict[str, Any]] = []
    on: list[set[str]] = []
    api = libsumo()
    for tick in range(16):
        events += go(traffic, tick).events
        on.append({leg for e in shut for leg in api.edge.getLastStepVehicleIDs(roads.edge_ids[e])})
    assert on[1], "some were on the roads that closed"
    assert not set().union(*on[2:]) - on[1]
    assert not of_kind(events, "background_teleports")
    lost = of_kind(events, "background_no_way")
    assert lost[0]["time_s"] == 600
    assert {event["place"] for event in lost} == {roads.edge_ids[shut[1]]}
    assert api.vehicle.getIDCount() == 0, "all have arrived, or ended before the closed road"


def test_more_traffic_is_slower_by_degrees(siouxfalls: RoadNetwork, start: Any) -> None:
    """The afternoon peak on roads that are empty at first: no jump to gridlock."""
    roads, ratios = siouxfalls, list[float]()
    for share in (0.05, 0.25):
        wish = {"background": {"share_of_capacity": share}}
        at = {"start": "2022-09-14 16:00", "duration": "45min"}
        found = trips(Scenario.model_validate(at | {"traffic": wish}), roads)
        traffic = start(roads, roads.zone_edge[:1], background=found)
        there, pace = np.zeros((2, 6, len(roads.edge_ids)))
        for tick in range(9):
            go(traffic, tick)
            there[tick % 6], pace[tick % 6] = on_edges(roads)
        ratios.append(float((there * pace).sum() / there.sum()))
        traffic.close()
    light, busy = ratios
    # The pace of cars is spread around the limit: even lone ones are 1.5 % slower on the whole.
    assert light == pytest.approx(0.985, abs=0.01)
    assert 0.85 < busy < light - 0.02


@pytest.fixture
def busy(town: RoadNetwork) -> BackgroundTrips:
    """An hour of traffic that the small town can hardly carry."""
    rng = np.random.default_rng(6)
    count = 4000
    every = len(town.edge_ids)
    return BackgroundTrips(
        np.sort(rng.uniform(0, 3600, count)),
        rng.integers(0, every, count).astype(np.int32),
        rng.integers(0, every, count).astype(np.int32),
        np.clip(rng.normal(1, 0.1, count), 0.8, 1.2),
    )


def test_others_fill_the_roads_and_slow_the_fleet(
    town: RoadNetwork, start: Any, busy: BackgroundTrips
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
        drives = of_kind(events, "trip")
        seconds[crowded] = float(np.mean([e["time_s"] - e["start_s"] for e in drives]))
        assert len(drives) == len(every)
        traffic.close()
    assert seconds[True] > 1.03 * seconds[False]


@pytest.mark.parametrize("kind", [MesoTraffic, MicroTraffic])
def test_a_restored_run_has_the_same_traffic(
    town: RoadNetwork, start: Any, tmp_path: Path, busy: BackgroundTrips, kind: type[MesoTraffic]
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


def test_every_trip_ends_in_exactly_one_way(
    town: RoadNetwork, start: Any, busy: BackgroundTrips
) -> None:
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
