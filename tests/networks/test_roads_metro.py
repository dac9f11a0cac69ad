"""The metropolis that is drawn: what its plan promises."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from networks import roads
from networks.roads import city, shipped
from networks.roads.check import examine

FOLDER = Path(roads.__file__).parent / "metro"


@pytest.fixture(scope="module")
def plan() -> city.Plan:
    return city.read_plan(FOLDER / "roads.toml")


@pytest.fixture(scope="module")
def drawing(plan: city.Plan) -> city.Drawing:
    return shipped.drawing_of(plan)


@pytest.fixture(scope="module")
def metro() -> roads.RoadNetwork:
    return roads.load("metro")


def kind(drawing: city.Drawing) -> dict[str, str]:
    return {road.road_id: road.kind.name for road in drawing.roads}


@pytest.mark.parametrize("name", ["metro", "siouxfalls"])
def test_the_figures_in_the_list_are_those_of_the_net(name: str) -> None:
    (entry,) = (e for e in roads.entries() if e.name == name)
    net = roads.load(name)
    assert entry.edges == len(net.edge_ids)
    assert entry.km == pytest.approx(net.length_m.sum() / 1000, abs=0.05)


def test_it_is_a_metropolis_in_one_piece(metro: roads.RoadNetwork) -> None:
    assert len(metro.edge_ids) > 4000
    assert examine(metro).keep.all()
    assert metro.signalled_nodes > 300


def test_the_same_plan_draws_the_same_city(plan: city.Plan, drawing: city.Drawing) -> None:
    assert city.plain_xml(shipped.drawing_of(plan)) == city.plain_xml(drawing)


def test_it_is_made_in_the_same_bytes_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, metro: roads.RoadNetwork
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    again = roads.load("metro")
    assert again.net_file.read_bytes() == metro.net_file.read_bytes()
    np.testing.assert_array_equal(again.trip_table, metro.trip_table)
    stamp = again.net_file.stat().st_mtime_ns
    assert roads.load("metro").net_file.stat().st_mtime_ns == stamp


def test_only_bridges_cross_the_river_and_nothing_the_park(
    plan: city.Plan, drawing: city.Drawing
) -> None:
    bridges = 0
    for road in drawing.roads:
        (x0, y0), (x1, y1) = drawing.nodes[road.start], drawing.nodes[road.end]
        if road.kind.name in ("ring", "radial", "ramp"):
            continue
        assert not plan.in_park(np.array([(x0 + x1) / 2]), np.array([(y0 + y1) / 2]))[0]
        north = plan.north_of_river(np.array([x0, x1]), np.array([y0, y1]))
        if north[0] != north[1]:
            assert road.kind.name == "arterial"
            bridges += 1
    arterials = plan.cells + 1
    assert 10 < bridges / 2 < arterials


def test_it_is_denser_in_the_middle(metro: roads.RoadNetwork) -> None:
    away_km = np.hypot(metro.end_x_m, metro.end_y_m) / 1000
    per_km2 = [
        metro.length_m[(away_km >= a) & (away_km < b)].sum() / 1000 / (np.pi * (b**2 - a**2))
        for a, b in ((0, 3), (3, 6), (6, 9), (9, 12))
    ]
    assert per_km2 == sorted(per_km2, reverse=True)
    assert per_km2[0] > 3 * per_km2[-1]


def test_expressways_are_what_their_names_say(
    metro: roads.RoadNetwork, drawing: city.Drawing
) -> None:
    kinds = kind(drawing)
    fast = np.array([kinds[e] in ("ring", "radial") for e in metro.edge_ids])
    assert metro.speed_mps[fast].min() * 3.6 == pytest.approx(100, abs=0.1)
    assert (metro.lanes[fast] >= 2).all()
    assert (metro.lanes[[kinds[e] == "arterial" for e in metro.edge_ids]] == 2).all()
    # Round the ring and back: half of its length each way, so no carriageway is broken.
    ring = [i for i, e in enumerate(metro.edge_ids) if kinds[e] == "ring"]
    around_km = metro.length_m[ring].sum() / 1000 / 2
    axes = 6.6, 5.8
    # Ramanujan's circumference of the ellipse.
    a, b = axes
    ellipse_km = np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b)))
    assert around_km == pytest.approx(ellipse_km, rel=0.02)


def test_signals_stand_where_arterials_cross(drawing: city.Drawing) -> None:
    meeting: dict[str, int] = {}
    for road in drawing.roads:
        if road.kind.name == "arterial":
            meeting[road.end] = meeting.get(road.end, 0) + 1
    assert all(meeting[node] > 2 for node in drawing.signals)


def test_zones_homes_jobs_and_trips(metro: roads.RoadNetwork, plan: city.Plan) -> None:
    assert len(metro.zone_ids) == len(metro.zone_edge) == len(set(metro.zone_edge.tolist())) == 100
    assert metro.home_weight.sum() == pytest.approx(1_000_000)
    assert metro.work_weight.sum() == pytest.approx(500_000)
    x, y = metro.end_x_m[metro.zone_edge], metro.end_y_m[metro.zone_edge]
    away = np.hypot(x, y)
    mean_km = [
        float((w * away).sum() / w.sum()) / 1000 for w in (metro.home_weight, metro.work_weight)
    ]
    assert mean_km[1] < mean_km[0], "jobs are closer to the middle than homes"
    table = metro.trip_table
    assert table is not None
    assert table.sum() == pytest.approx(2_000_000)
    # Both ways of a trip are in the table: a zone's part is the mean of its homes and its jobs.
    part = (metro.home_weight / 1_000_000 + metro.work_weight / 500_000) / 2
    np.testing.assert_allclose(table.sum(axis=1) / table.sum(), part, rtol=1e-6)
    np.testing.assert_allclose(table, table.T)
    minutes = metro.travel_time_s(metro.zone_edge, metro.zone_edge) / 60
    by_chance = np.outer(part, part)
    assert (table * minutes).sum() / table.sum() < 0.8 * (by_chance * minutes).sum()
    # Zones hold the edges whose ends are nearest to them; nobody lives on an expressway.
    outside = np.array(["ring" in e or "radial" in e for e in metro.edge_ids])
    np.testing.assert_array_equal(metro.edge_zone < 0, outside)
    np.testing.assert_array_equal(metro.edge_zone[metro.zone_edge], np.arange(100))


def test_ways_add_up(metro: roads.RoadNetwork) -> None:
    rng = np.random.default_rng(1)
    step = {
        (a, b): (m, s)
        for a, b, m, s in zip(
            metro.turn_from.tolist(),
            metro.turn_to.tolist(),
            metro.turn_length_m.tolist(),
            metro.turn_time_s.tolist(),
            strict=True,
        )
    }
    for a, b in rng.integers(0, len(metro.edge_ids), (20, 2)).tolist():
        way = metro.path(a, b)
        metres = seconds = 0.0
        for e, f in pairwise(way):
            metres += step[e, f][0] + metro.length_m[f]
            seconds += step[e, f][1] + metro.length_m[f] / metro.speed_mps[f]
        assert metro.distance_km([a], [b])[0, 0] == pytest.approx(metres / 1000, abs=1e-5)
        assert metro.travel_time_s([a], [b])[0, 0] == pytest.approx(seconds, abs=1e-4)
