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
from adapters.sumo.state import HELD, INSERTING
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


@KINDS
def test_who_has_no_other_way_is_held_before_the_road_and_goes_on(
    siouxfalls: RoadNetwork, start: Any, kind: type[MesoTraffic]
) -> None:
    """Nothing jumps: the trip is one, as long as without the closed road, and its wait is told."""
    roads = siouxfalls
    zones = roads.zone_edge.tolist()
    last = zones[19]
    km: dict[bool, float] = {}
    for closes in (False, True):
        closures = [Closure(last, 300, 6000)] if closes else []
        traffic = start(roads, np.full(3, zones[0]), kind, closures=closures)
        # The third sets out for where there is no way any more.
        done = [go(traffic, 0, {0: [last, zones[0]], 1: [last]})]
        while done[-1].vehicle_driving.any():
            done.append(go(traffic, len(done), {2: [last]} if len(done) == 2 else None))
            assert len(done) < 45
        traffic.close()
        events = [event for tick in done for event in tick.events]
        assert not of_kind(events, "teleport") + of_kind(events, "stuck")
        trips = [event for event in of_kind(events, "trip") if event["vehicle"] < 2]
        assert len(trips) == 3
        km[closes] = sum(trip["distance_km"] for trip in trips)
        moved = sum(tick.vehicle_distance_km[:2].sum() for tick in done)
        assert moved == pytest.approx(km[closes])
        used = sum(tick.vehicle_traction_kwh[:2].sum() for tick in done)
        assert used == pytest.approx(sum(trip["energy_kwh"] for trip in trips))
        driving_s = sum(tick.vehicle_driving_s[:2].sum() for tick in done)
        assert driving_s == pytest.approx(sum(trip["driving_s"] for trip in trips))
    told = of_kind(events, "no_way")
    assert [(event["vehicle"], event["time_s"]) for event in told] == [(0, 300), (1, 300)]
    assert {event["vehicle"] for event in of_kind(events, "rerouted")} == {0, 1}
    refused = of_kind(events, "trip_refused")
    assert [event["vehicle"] for event in refused] == [2]
    stood = done[18].vehicle_edge[:2]
    assert (roads.to_node[stood] == roads.from_node[last]).all()
    assert all(tick.vehicle_distance_km[:2].sum() == 0 for tick in done[10:20])
    assert min(trip["time_s"] for trip in trips) > 6000
    assert trips[0]["start_s"] == 0
    assert km[True] == pytest.approx(km[False], rel=1e-3)


@KINDS
def test_who_waits_for_room_before_a_road_that_closes_does_not_enter_it(
    one_way: RoadNetwork, start: Any, kind: type[MesoTraffic]
) -> None:
    """More set out than the road takes; those that are not on it stay where they are."""
    count = 120
    traffic = start(one_way, np.zeros(count, int), kind, closures=[Closure(1, 300, 1500)])
    done = [go(traffic, 0, {v: [1] for v in range(count)}, start_s=200)]
    (waiting,) = np.nonzero(traffic.state.phase == INSERTING)
    assert 0 < len(waiting) < count
    while done[-1].vehicle_driving.any():
        done.append(go(traffic, len(done)))
        if 1 <= len(done) - 1 < 5:
            assert (traffic.state.phase[waiting] == HELD).all()
            assert (done[-1].vehicle_edge[waiting] == 0).all()
        assert len(done) < 15
    events = [event for tick in done for event in tick.events]
    assert {e["vehicle"] for e in of_kind(events, "no_way")} == set(waiting.tolist())
    trips = {event["vehicle"]: event for event in of_kind(events, "trip")}
    assert len(trips) == count
    assert all(trips[v]["start_s"] == 200 for v in trips)
    assert all(trips[v]["time_s"] > 1500 for v in waiting.tolist())


@KINDS
def test_who_stands_for_long_is_told_once_and_drives_on(
    siouxfalls: RoadNetwork, start: Any, kind: type[MesoTraffic]
) -> None:
    """SUMO itself lets nobody onto the last road for a while."""
    zones = siouxfalls.zone_edge.tolist()
    last = zones[19]
    traffic = start(siouxfalls, np.array([zones[0]]), kind, teleport_s=-1.0)
    done = [go(traffic, 0, {0: [last]})]
    lanes = [f"{siouxfalls.edge_ids[last]}_{n}" for n in range(siouxfalls.lanes[last])]
    usual = [libsumo().lane.getAllowed(lane) for lane in lanes]
    for lane in lanes:
        libsumo().lane.setAllowed(lane, ["custom1"])
    while done[-1].vehicle_driving[0]:
        done.append(go(traffic, len(done)))
        if len(done) == 20:
            for lane, allowed in zip(lanes, usual, strict=True):
                libsumo().lane.setAllowed(lane, allowed)
        assert len(done) < 30
    events = [event for tick in done for event in tick.events]
    (stuck,) = of_kind(events, "stuck")
    assert stuck["vehicle"] == 0
    assert siouxfalls.to_node[siouxfalls.edge_index(stuck["place"])] == siouxfalls.from_node[last]
    (trip,) = of_kind(events, "trip")
    assert stuck["time_s"] < 6000 < trip["time_s"]
    assert not of_kind(events, "teleport")


@KINDS
def test_no_vehicle_enters_a_closed_road_and_every_trip_ends_in_one_way(
    siouxfalls: RoadNetwork, start: Any, kind: type[MesoTraffic]
) -> None:
    """Two hours in which a sixth of the roads closes for half an hour each."""
    roads = siouxfalls
    rng = np.random.default_rng(3)
    count, ticks = 60, 24
    zones = roads.zone_edge
    edges = rng.permutation(len(roads.edge_ids))[: len(roads.edge_ids) // 6].tolist()
    plan = [Closure(e, 300 * (2 + n % 12), 300 * (8 + n % 12)) for n, e in enumerate(edges)]
    traffic = start(roads, rng.choice(zones, count), kind, closures=plan)
    sent = arrived = towed = refused = 0
    left = np.zeros(count, np.int64)
    events: list[dict[str, Any]] = []
    edge = np.full(count, -1)
    for tick in range(ticks):
        itinerary = np.full((count, LEGS), -1, np.int32)
        itinerary[:, :2] = rng.choice(zones, (count, 2))
        itinerary[(left > 0) | (rng.random(count) < 0.5)] = -1
        tow = np.where(rng.random(count) < 0.01, zones[3], -1).astype(np.int32)
        begun = (itinerary >= 0).sum(axis=1)
        done = traffic.advance(tick, itinerary, np.zeros(count), tow)
        towed += int(left[tow >= 0].sum())
        left[tow >= 0] = 0
        sent += int(begun.sum())
        refused += int(begun[done.itinerary_refused].sum())
        ended = (done.leg_arrival_s >= tick * TICK_S).sum(axis=1)
        arrived += int(ended.sum())
        left += np.where(done.itinerary_refused, 0, begun) - ended
        np.testing.assert_array_equal(left > 0, done.vehicle_driving)
        shut = np.flatnonzero(traffic.router.closed)
        # Those that are there were there when it closed, or stood where a tow set them down.
        newly = np.isin(done.vehicle_edge, shut) & (done.vehicle_edge != edge) & (tow < 0)
        began = [one.edge for one in plan if one.begin_s == tick * TICK_S]
        assert not (newly & ~np.isin(done.vehicle_edge, began)).any()
        edge, events = done.vehicle_edge, events + done.events
    assert sent == arrived + int(left.sum()) + towed + refused
    assert min(arrived, int(left.sum()), towed, refused) > 0
    assert not of_kind(events, "teleport")
    for needed in ("rerouted", "no_way", "road_opened"):
        assert of_kind(events, needed)


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
