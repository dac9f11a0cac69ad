"""Closed roads: led around, held, told; every trip ends in exactly one way."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.closures import Closure, schedule
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from cosim.signals import LEGS, TICK_S
from cosim.traffic_section import Incident
from networks.roads import RoadNetwork
from networks.roads.programs import libsumo
from tests.adapters.sumo.test_meso_traffic import go, of_kind

KINDS = pytest.mark.parametrize("kind", [MesoTraffic, MicroTraffic])


def incident(edge: str, begin: str, end: str) -> Incident:
    return Incident.model_validate({"edge": edge, "from": begin, "to": end})


def test_times_of_day_hold_on_every_day_and_over_midnight() -> None:
    start = datetime(2022, 9, 14, 6)
    day = 86_400
    found = schedule([incident("b", "08:00", "09:30")], ["a", "b"], start, 2 * day)
    assert found == [Closure(1, 7200, 12_600), Closure(1, 7200 + day, 12_600 + day)]
    night = schedule([incident("a", "22:00", "06:30")], ["a", "b"], start, day)
    assert night == [Closure(0, -8 * 3600, 1800), Closure(0, 16 * 3600, 24 * 3600 + 1800)]
    once = [
        incident("a", "2022-09-14 07:00", "2022-09-15"),
        incident("a", "2022-09-12", "2022-09-13"),
    ]
    assert schedule(once, ["a", "b"], start, day) == [Closure(0, 3600, 18 * 3600)]


@KINDS
def test_vehicles_under_way_are_led_around(
    siouxfalls: RoadNetwork, start: Any, tmp_path: Path, kind: type[MesoTraffic]
) -> None:
    """Some are before the closed road, some on it; distances stay those of SUMO."""
    roads, record = siouxfalls, tmp_path / "trips.xml"
    shut = roads.edge_index("2_6")
    count = 30
    zones = roads.zone_edge.tolist()
    options = ["--tripinfo-output", str(record)]
    traffic = start(
        roads,
        np.full(count, zones[0]),
        kind,
        closures=[Closure(shut, 600, 3600)],
        routing="free_flow",
        options=options,
    )
    edges = np.full((count, LEGS), -1, np.int32)
    edges[:, 0] = zones[19]
    nowhere = np.full(count, -1, np.int32)
    start_s = np.linspace(0, 299, count)
    done = [traffic.advance(0, edges, start_s, nowhere), go(traffic, 1)]
    on_it = done[-1].vehicle_edge == shut
    before = done[-1].vehicle_edge == roads.edge_index("1_2")
    assert on_it.any()
    assert before.any()
    while done[-1].vehicle_driving.any():
        done.append(go(traffic, len(done)))
        entered = (done[-1].vehicle_edge == shut) & ~on_it
        assert len(done) > 12 or not entered.any()
        assert len(done) < 30
    traffic.close()
    events = [event for tick in done for event in tick.events]
    assert not of_kind(events, "teleport")
    assert {e["vehicle"] for e in of_kind(events, "rerouted")} == set(np.flatnonzero(before))
    assert [(e["time_s"], e["place"]) for e in of_kind(events, "road_closed")] == [(600, "2_6")]
    trips = of_kind(events, "trip")
    assert len(trips) == count
    if kind is MesoTraffic:
        theirs = {
            str(row.get("id")): float(row.get("routeLength", "nan"))
            for row in ET.parse(record).getroot().iter("tripinfo")
        }
        for trip in trips:
            km = theirs[f"{trip['vehicle']}#1"] / 1000
            assert trip["distance_km"] == pytest.approx(km, rel=1e-6)
    longer = {trip["vehicle"]: trip["distance_km"] for trip in trips}
    assert min(longer[v] for v in np.flatnonzero(before)) > longer[int(np.argmax(on_it))]


def test_who_has_no_way_waits_and_drives_on_when_the_road_opens(
    one_way: RoadNetwork, start: Any
) -> None:
    traffic = start(
        one_way,
        np.array([0, 0]),
        closures=[Closure(1, 300, 1500)],
        teleport_s=-1.0,
    )
    edges = np.full((2, LEGS), -1, np.int32)
    edges[:, 0] = 1
    done = go(traffic, 0, {0: [0]})
    done = go(traffic, 1, {1: [1]})
    assert done.itinerary_refused[1]
    (refusal,) = of_kind(done.events, "trip_refused")
    assert refusal["detail"] == "no way leads from ab to bc, which is closed"
    for tick in range(2, 5):
        assert not go(traffic, tick).itinerary_refused.any()
    done = go(traffic, 5, {1: [1]})
    assert of_kind(done.events, "road_opened")
    assert done.legs_completed[1] == 1


def test_a_later_leg_without_a_way_waits_for_it(siouxfalls: RoadNetwork, start: Any) -> None:
    """The road to the second stop closes while the first leg is under way."""
    roads = siouxfalls
    zones = roads.zone_edge.tolist()
    traffic = start(roads, np.array([zones[0]]), closures=[Closure(zones[1], 300, 3000)])
    done = [go(traffic, 0, {0: [zones[2], zones[1]]})]
    while done[-1].vehicle_driving[0]:
        done.append(go(traffic, len(done)))
        assert len(done) < 40
    events = [event for tick in done for event in tick.events]
    (stuck,) = of_kind(events, "no_way")
    assert stuck["vehicle"] == 0
    assert "which is closed; it waits" in stuck["detail"]
    first, second = of_kind(events, "trip")
    assert first["time_s"] < 3000 <= second["start_s"]
    assert done[-1].vehicle_edge[0] == zones[1]


def test_a_closed_road_holds_vehicles_and_opens_for_all(
    siouxfalls: RoadNetwork, start: Any
) -> None:
    """A vehicle with no other way to its end stands before it, is lifted, and is told."""
    roads = siouxfalls
    zones = roads.zone_edge.tolist()
    last = zones[19]
    traffic = start(roads, np.array([zones[0]]), closures=[Closure(last, 300, 9000)])
    done = [go(traffic, 0, {0: [last]})]
    lanes = libsumo().lane
    usual = lanes.getAllowed(f"{roads.edge_ids[last]}_0")
    for tick in range(1, 32):
        done.append(go(traffic, tick))
    assert lanes.getAllowed(f"{roads.edge_ids[last]}_0") == usual
    events = [event for tick in done for event in tick.events]
    kinds = [event["kind"] for event in events]
    assert kinds.count("no_way") == 1
    assert "teleport" in kinds
    assert kinds.count("trip") == 1


@KINDS
def test_who_stands_for_long_is_told_once_and_drives_on(
    siouxfalls: RoadNetwork, start: Any, kind: type[MesoTraffic]
) -> None:
    zones = siouxfalls.zone_edge.tolist()
    last = zones[19]
    closures = [Closure(last, 300, 6000)]
    traffic = start(siouxfalls, np.array([zones[0]]), kind, closures=closures, teleport_s=-1.0)
    done = [go(traffic, 0, {0: [last]})]
    while done[-1].vehicle_driving[0]:
        done.append(go(traffic, len(done)))
        assert len(done) < 30
    events = [event for tick in done for event in tick.events]
    (stuck,) = of_kind(events, "stuck")
    assert stuck["vehicle"] == 0
    assert siouxfalls.to_node[siouxfalls.edge_index(stuck["place"])] == siouxfalls.from_node[last]
    (trip,) = of_kind(events, "trip")
    assert stuck["time_s"] < 6000 < trip["time_s"]
    assert not of_kind(events, "teleport")


@KINDS
def test_restored_fleet_finds_the_roads_closed(
    town: RoadNetwork, start: Any, tmp_path: Path, kind: type[MesoTraffic]
) -> None:
    rng = np.random.default_rng(4)
    count = 60
    every = np.arange(len(town.edge_ids))
    home = rng.choice(every, count)
    plans = rng.choice(every, (9, count, LEGS))
    plan = [Closure(3, 300, 1500), Closure(8, 600, 1200)]
    nowhere, at_once = np.full(count, -1, np.int32), np.zeros(count)
    traffic = start(town, home, kind, closures=plan)
    for tick in range(3):
        traffic.advance(tick, plans[tick], at_once, nowhere)
    traffic.save(tmp_path)
    assert traffic.router.closed[[3, 8]].all()
    seen: list[list[Any]] = []
    for _ in range(2):
        seen.append([])
        for tick in range(3, 9):
            done = traffic.advance(tick, plans[tick], at_once, nowhere)
            seen[-1] += [done.vehicle_edge.tolist(), done.vehicle_distance_km.tolist(), done.events]
        traffic.close()
        traffic = start(town, home, kind, closures=plan)
        traffic.restore(tmp_path)
    assert seen[0] == seen[1]
    opened = [e for events in seen[0][2::3] for e in of_kind(events, "road_opened")]
    assert [e["time_s"] for e in opened] == [4 * TICK_S, 5 * TICK_S]
