"""Ways follow traffic and via points, and a restored run chooses the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.drives import Drives
from adapters.sumo.edge_times import EASING, NEW_SHARE, SLOWEST, EdgeTimes
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.tick import Progress
from cosim.signals import LEGS, VIA
from networks.roads import RoadNetwork
from networks.roads.routing import Router
from tests.adapters.sumo.test_meso_traffic import go, of_kind


def progress(first: int, positions: tuple[int, int], metres: tuple[float, float], s: float) -> Any:
    return Progress(
        first=np.array([first]),
        from_position=np.array([positions[0]]),
        to_position=np.array([positions[1]]),
        from_m=np.array([metres[0]]),
        to_m=np.array([metres[1]]),
        seconds=np.array([s]),
        pace=np.array([1.0]),
    )


def test_times_are_those_that_vehicles_needed_and_ease_back(siouxfalls: RoadNetwork) -> None:
    router = Router(siouxfalls)
    times, drives = EdgeTimes(router), Drives(siouxfalls, 1)
    a, b = siouxfalls.zone_edge[[0, 19]].tolist()
    way = router.turns(a, b)
    assert way is not None
    assert drives.begin([0], [way]) == [[siouxfalls.edge_ids[e] for e in router.edges(way)]]
    drives.settle()
    edges = router.edges(way)
    assert drives.length_m[0] == pytest.approx(siouxfalls.length_m[edges].sum())
    # All of the second edge, in five times the free-flow time; another one that drives freely.
    begun_m = float(siouxfalls.length_m[edges[0]])
    end_m = begun_m + float(siouxfalls.length_m[edges[1]])
    free = router.free_s[edges[1]]
    slow = 3 * free
    times.measure(drives, progress(0, (1, 1), (begun_m, end_m), 5 * free))
    assert times.kept_s[edges[1]] == pytest.approx(free + NEW_SHARE * (slow - free))
    others = np.delete(np.arange(len(router.free_s)), edges[1])
    np.testing.assert_array_equal(times.kept_s[others], router.free_s[others])
    np.testing.assert_array_equal(router.edge_s, times.kept_s)
    # Who stands still slows the edge it stands on, up to a bound.
    times.measure(drives, progress(0, (1, 1), (begun_m, begun_m), 20 * free))
    halfway = free + NEW_SHARE * (slow - free)
    assert times.kept_s[edges[1]] == pytest.approx((halfway + SLOWEST * free) / 2)
    before = times.kept_s[edges[1]]
    times.measure(drives, progress(0, (0, 0), (0.0, begun_m), float(router.free_s[edges[0]])))
    assert times.kept_s[edges[1]] == pytest.approx(before + EASING * (free - before))


def test_a_crowd_slows_its_road_and_later_legs_avoid_it(
    siouxfalls: RoadNetwork, start: Any
) -> None:
    """So many leave one zone for another that the road between fills up."""
    zones = siouxfalls.zone_edge.tolist()
    count = 900
    found: dict[str, list[int]] = {}
    for routing in ("current", "free_flow"):
        home = np.full(count + 1, zones[0])
        traffic = start(siouxfalls, home, routing=routing)
        go(traffic, 0, {v: [zones[19]] for v in range(count)})
        for tick in (1, 2, 3):
            go(traffic, tick)
        moved = np.abs(traffic.router.edge_s - traffic.router.free_s).max()
        assert (moved > 0) == (routing == "current")
        go(traffic, 4, {count: [zones[19]]})
        found[routing] = traffic.router.edges(traffic.drives.way(count))
        traffic.close()
    assert found["current"] != found["free_flow"]


def test_legs_pass_their_via_points(siouxfalls: RoadNetwork, start: Any) -> None:
    zones = siouxfalls.zone_edge.tolist()
    roads = siouxfalls
    traffic = start(roads, np.array([zones[0]] * 3))
    edges = np.full((3, LEGS), -1, np.int32)
    edges[:, 0], edges[0, 1] = zones[9], zones[3]
    via = np.full((3, LEGS, VIA), -1, np.int32)
    north, south = (roads.edge_index(name) for name in ("6_8", "12_13"))
    via[0, 0, :2], via[0, 1, 0] = (south, north), north
    via[1, 0, 1] = len(roads.edge_ids)
    stay, nowhere = np.full_like(edges, -1), np.full(3, -1, np.int32)
    done = traffic.advance(0, edges, np.zeros(3), nowhere, 20.0, via)
    np.testing.assert_array_equal(done.itinerary_refused, [False, True, False])
    (refusal,) = of_kind(done.events, "trip_refused")
    assert refusal["detail"].startswith("there is no edge")
    assert done.vehicle_edge[1] == zones[0]
    events = list(done.events)
    for tick in range(1, 40):
        done = traffic.advance(tick, stay, np.zeros(3), nowhere)
        events += done.events
    trips = [e for e in of_kind(events, "trip") if e["vehicle"] == 0]
    assert len(trips) == 2
    legs = [zones[0], south, north, zones[9], north, zones[3]]
    km = roads.distance_km(legs, legs)
    assert trips[0]["distance_km"] == pytest.approx(km[0, 1] + km[1, 2] + km[2, 3], rel=1e-6)
    assert trips[1]["distance_km"] == pytest.approx(km[3, 4] + km[4, 5], rel=1e-6)


@pytest.mark.parametrize("kind", [MesoTraffic, MicroTraffic])
def test_restored_fleet_goes_the_same_ways(
    town: RoadNetwork, start: Any, tmp_path: Path, kind: type[MesoTraffic]
) -> None:
    """Travel times are off free flow at the cut, and itineraries come after it."""
    rng = np.random.default_rng(2)
    count = 400
    every = np.arange(len(town.edge_ids))
    home = rng.choice(every, count)
    plans = rng.choice(every, (8, count, LEGS))
    nowhere, at_once = np.full(count, -1, np.int32), np.zeros(count)
    traffic = start(town, home, kind)
    for tick in range(2):
        traffic.advance(tick, plans[tick], at_once, nowhere)
    traffic.save(tmp_path)
    assert (traffic.router.edge_s > traffic.router.free_s).any()
    seen: list[list[np.ndarray]] = []
    for _ in range(2):
        seen.append([])
        for tick in range(2, 6):
            done = traffic.advance(tick, plans[tick], at_once, nowhere)
            seen[-1] += [done.vehicle_edge, done.vehicle_distance_km, traffic.router.edge_s]
        traffic.close()
        traffic = start(town, home, kind)
        traffic.restore(tmp_path)
    for one, other in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, other)
