"""Ways by contraction hierarchy against Dijkstra's algorithm; via points; alternatives."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from networks import roads, vehicles
from networks.roads.alternatives import LONGEST, SHARED, alternatives
from networks.roads.routing import Router


@pytest.fixture(scope="module")
def siouxfalls() -> roads.RoadNetwork:
    return roads.load("siouxfalls")


@pytest.fixture
def router(siouxfalls: roads.RoadNetwork) -> Router:
    return Router(siouxfalls)


def seconds_between_all(network: roads.RoadNetwork, edge_s: np.ndarray) -> np.ndarray:
    """Least times between all edges by Dijkstra's algorithm."""
    cost = network.turn_time_s + edge_s[network.turn_to]
    count = len(network.edge_ids)
    return dijkstra(csr_array((cost, (network.turn_from, network.turn_to)), shape=(count, count)))


def is_drivable(network: roads.RoadNetwork, start: int, edges: list[int]) -> bool:
    allowed = set(zip(network.turn_from.tolist(), network.turn_to.tolist(), strict=True))
    return all(pair in allowed for pair in zip([start, *edges], edges, strict=False))


def test_ways_take_the_least_time_at_free_flow_and_after_an_update(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    rng = np.random.default_rng(3)
    count = len(siouxfalls.edge_ids)
    for edge_s in (router.free_s, router.free_s * rng.uniform(1, 5, count)):
        router.update(edge_s)
        expected = seconds_between_all(siouxfalls, edge_s)
        for a, b in rng.integers(0, count, (200, 2)).tolist():
            way = router.turns(a, b)
            assert way is not None
            assert router.seconds(way) == pytest.approx(expected[a, b], abs=0.01)
            edges = router.edges(way)
            assert is_drivable(siouxfalls, a, edges)
            assert (edges[-1] if edges else a) == b


def test_few_new_times_give_the_ways_that_a_fresh_start_gives(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    rng = np.random.default_rng(8)
    count = len(siouxfalls.edge_ids)
    edge_s = router.free_s.copy()
    for some in (1, 3, 8, count):
        edge_s[rng.choice(count, some, replace=False)] *= rng.uniform(0.5, 4, some)
        router.update(edge_s)
        fresh = Router(siouxfalls)
        fresh.update(edge_s)
        for a, b in rng.integers(0, count, (100, 2)).tolist():
            assert router.turns(a, b) == fresh.turns(a, b)


def test_metres_are_the_distance_that_fleets_plan_with(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    zones = siouxfalls.zone_edge.tolist()
    km = siouxfalls.distance_km(zones, zones)
    for i, a in enumerate(zones):
        for j, b in enumerate(zones):
            way = router.way(a, b)
            assert not isinstance(way, str)
            assert router.metres(way) / 1000 == pytest.approx(km[i, j], abs=1e-4)


def test_closed_edges_are_avoided_and_open_again(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    a, b = siouxfalls.zone_edge[[0, 19]].tolist()
    before = router.way(a, b)
    assert not isinstance(before, str)
    shut = np.zeros(len(siouxfalls.edge_ids), np.bool_)
    shut[router.edges(before)[2]] = True
    router.update(router.edge_s, shut)
    around = router.way(a, b)
    assert not isinstance(around, str)
    assert not shut[router.edges(around)].any()
    assert router.seconds(around) >= router.seconds(before)
    shut[b] = True
    router.update(router.edge_s, shut)
    ids = siouxfalls.edge_ids
    assert router.way(a, b) == f"no way leads from {ids[a]} to {ids[b]}, which is closed"
    assert router.obstacle(a, b) == router.way(a, b)
    router.update(router.edge_s, np.zeros_like(shut))
    assert router.way(a, b) == before


def test_ways_lead_through_via_points_in_their_order(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    rng = np.random.default_rng(5)
    count = len(siouxfalls.edge_ids)
    for _ in range(100):
        a, b, *via = rng.choice(count, 5, replace=False).tolist()
        way = router.way(a, b, [*via[:1], -1, *via[1:]])
        assert not isinstance(way, str)
        edges = router.edges(way)
        assert is_drivable(siouxfalls, a, edges)
        rest = iter([a, *edges])
        assert all(point in rest for point in via), "in this order"
    assert router.way(0, 5, [-1, -1, -1]) == router.way(0, 5)
    assert router.way(0, 5, [count]) == f"there is no edge {count}; the network has {count}"


def test_a_via_point_that_cannot_be_passed_is_snapped(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    a, b, point = siouxfalls.zone_edge[[0, 19, 9]].tolist()
    shut = np.zeros(len(siouxfalls.edge_ids), np.bool_)
    shut[point] = True
    router.update(router.edge_s, shut)
    way = router.way(a, b, [point])
    assert not isinstance(way, str)
    edges = np.array([a, *router.edges(way)])
    assert point not in edges
    x, y = siouxfalls.end_x_m, siouxfalls.end_y_m
    apart = np.hypot(x - x[point], y - y[point])
    expected = seconds_between_all(siouxfalls, np.where(shut, np.inf, router.edge_s))
    fit = np.isfinite(expected[a]) & np.isfinite(expected[:, b])
    assert apart[edges].min() == apart[fit].min()


def test_alternatives_differ_and_say_time_and_energy(
    siouxfalls: roads.RoadNetwork, router: Router
) -> None:
    curve = vehicles.shipped()["sedan"]
    found_two = 0
    zones = siouxfalls.zone_edge.tolist()
    for a, b in zip(zones, zones[13:] + zones[:13], strict=True):
        found = alternatives(router, a, b, 3, curve)
        best = router.turns(a, b)
        assert best is not None
        assert found[0].time_s == pytest.approx(router.seconds(best), abs=1e-3)
        assert [one.time_s for one in found] == sorted(one.time_s for one in found)
        found_two += len(found) > 1
        for i, one in enumerate(found):
            assert is_drivable(siouxfalls, a, list(one.edges))
            assert one.edges[-1] == b
            assert one.time_s <= LONGEST * found[0].time_s
            assert one.energy_kwh is not None
            assert 0.08 < one.energy_kwh / one.distance_km < 0.3
            for other in found[:i]:
                common = sorted(set(one.edges) & set(other.edges))
                shorter = min(router.edge_s[list(w.edges)].sum() for w in (one, other))
                assert router.edge_s[common].sum() <= SHARED * 1.5 * shorter
    assert found_two > 12
    assert alternatives(router, zones[0], zones[5], 2)[0].energy_kwh is None
    assert alternatives(router, zones[0], zones[0], 2)[0].edges == ()


def test_two_processes_find_the_same_ways() -> None:
    """A grid is full of ways that take equally long: ties must fall alike everywhere."""
    code = """
import hashlib
import numpy as np
from networks import roads
from networks.roads.alternatives import alternatives
from networks.roads.routing import Router
net = roads.load("siouxfalls")
router = Router(net)
rng = np.random.default_rng(1)
count = len(net.edge_ids)
digest = hashlib.sha256()
for turn in range(3):
    router.update(np.full(count, 60.0 + turn))
    for a, b in rng.integers(0, count, (300, 2)).tolist():
        digest.update(repr(router.turns(a, b)).encode())
    digest.update(repr([a.edges for a in alternatives(router, 3, 40, 4)]).encode())
print(digest.hexdigest())
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
        ).stdout
        for _ in range(2)
    }
    assert len(said) == 1
    assert len(said.pop().strip()) == hashlib.sha256().digest_size * 2


def test_another_thread_may_be_the_last_to_hold_a_router(
    siouxfalls: roads.RoadNetwork, capfd: pytest.CaptureFixture[str]
) -> None:
    """The garbage collector runs in whichever thread allocates, such as one that shows progress."""
    router = Router(siouxfalls)
    router.turns(0, 5)
    router.way(0, 5, [3])
    router.obstacle(0, 5)
    router.update(np.where(np.arange(len(router.free_s)) == 3, 2.0, 1.0) * router.free_s)
    alternatives(router, 0, 5, 2)
    held = [router]
    del router
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert capfd.readouterr() == ("", "")


def test_wrong_times_are_refused(router: Router) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        router.update(0 * router.free_s)
    with pytest.raises(ValueError, match="shape"):
        router.update(router.free_s[1:])
