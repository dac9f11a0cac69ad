"""Replayed traffic: recorded legs to the second, others by the record's own measure."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.record import Record
from adapters.sumo.replay import ReplayTraffic
from adapters.sumo.sample import START, Sample
from adapters.sumo.tick import TrafficTick
from adapters.sumo.unfinished import unfinished
from cosim.errors import EngineError
from cosim.signals import LEGS, TICK_S, VIA
from networks import vehicles
from networks.roads import RoadNetwork
from tests.adapters.sumo.test_meso_traffic import go, of_kind, plausible, random_day

SPECS = list(vehicles.load().values())
VEHICLES = 90
Replay = Callable[..., ReplayTraffic]


@pytest.fixture(scope="module")
def sample(siouxfalls: RoadNetwork) -> Sample:
    return Sample.draw(siouxfalls, SPECS, VEHICLES, 3, 1)


def recorded(sample: Sample, kind: type[MesoTraffic]) -> tuple[Record, list[TrafficTick]]:
    done: list[TrafficTick] = []

    class Kept(kind):  # type: ignore[misc, valid-type]
        def advance(self, *args: Any, **more: Any) -> TrafficTick:
            done.append(super().advance(*args, **more))
            return done[-1]

    fleet = sample.roads, sample.specs, sample.body_type, sample.home_edge
    return sample.record(lambda: Kept(*fleet, seed=1), kind.engine), done


@pytest.fixture(scope="module")
def meso(sample: Sample) -> tuple[Record, list[TrafficTick]]:
    return recorded(sample, MesoTraffic)


@pytest.fixture(scope="module")
def record(meso: tuple[Record, list[TrafficTick]]) -> Record:
    return meso[0]


@pytest.fixture
def replay(sample: Sample, record: Record) -> Replay:
    def begin(**settings: Any) -> ReplayTraffic:
        settings.setdefault("record", record)
        settings.setdefault("start", START)
        body = settings.pop("body_type", sample.body_type)
        home = settings.pop("home_edge", sample.home_edge)
        return ReplayTraffic(sample.roads, SPECS, body, home, **settings)

    return begin


def same_ticks(found: list[TrafficTick], real: list[TrafficTick]) -> None:
    assert len(found) == len(real)
    for one, other in zip(found, real, strict=True):
        for name in ("vehicle_distance_km", "vehicle_traction_kwh"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-9)
        for name in (
            *("vehicle_driving_s", "vehicle_busy_s", "vehicle_edge", "vehicle_driving"),
            *("legs_completed", "leg_arrival_s", "itinerary_refused"),
        ):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
        # What jams and a full road say is not replayed.
        ours, theirs = of_kind(one.events, "trip"), of_kind(other.events, "trip")
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            near = ("distance_km", "energy_kwh")
            assert [a[key] for key in near] == pytest.approx([b[key] for key in near], rel=1e-9)
            assert {k: v for k, v in a.items() if k not in near} == {
                k: v for k, v in b.items() if k not in near
            }


@pytest.mark.parametrize("kind", [MesoTraffic, MicroTraffic])
def test_the_recorded_decisions_give_the_recorded_ticks(
    sample: Sample, kind: type[MesoTraffic]
) -> None:
    record, real = recorded(sample, kind)
    fleet = sample.roads, SPECS, sample.body_type, sample.home_edge
    traffic = ReplayTraffic(*fleet, record=record, start=START)
    same_ticks(sample.drive(traffic), real)
    # Not in the record is only the leg to where a vehicle stood already.
    assert traffic.legs.predicted == 0
    assert traffic.legs.replayed == record.trips
    assert traffic.legs.known_vehicles == VEHICLES


def test_a_tick_is_what_its_trips_say(replay: Replay, siouxfalls: RoadNetwork) -> None:
    traffic = replay()
    done, events = random_day(traffic, siouxfalls.zone_edge, 24, 0.2, plausible)  # type: ignore[arg-type]
    trips = of_kind(events, "trip")
    assert traffic.legs.predicted > 100
    for name, column in (
        ("vehicle_distance_km", "distance_km"),
        ("vehicle_traction_kwh", "energy_kwh"),
        ("vehicle_driving_s", "driving_s"),
    ):
        total = sum(getattr(tick, name).sum() for tick in done)
        assert sum(trip[column] for trip in trips) == pytest.approx(total, rel=1e-9)
    km = siouxfalls.distance_km(siouxfalls.zone_edge, siouxfalls.zone_edge)
    detour = traffic.legs.prediction.detour
    assert detour == pytest.approx(1, abs=0.01)
    zone = {siouxfalls.edge_ids[e]: i for i, e in enumerate(siouxfalls.zone_edge)}
    for trip in trips:
        way_km = detour * km[zone[trip["origin"]], zone[trip["place"]]]
        assert trip["distance_km"] == pytest.approx(way_km, rel=1e-6)
        assert trip["time_s"] % 1 == 0


def test_a_predicted_leg_goes_along_its_way(replay: Replay, siouxfalls: RoadNetwork) -> None:
    zones = siouxfalls.zone_edge.tolist()
    traffic = replay(home_edge=np.full(VEHICLES, zones[0]))
    way = siouxfalls.path(zones[0], zones[19])
    done = [go(traffic, 0, {0: [zones[19]]}, start_s=33.5)]  # type: ignore[arg-type]
    places = [done[0].vehicle_edge[0]]
    while done[-1].vehicle_driving[0]:
        done.append(go(traffic, len(done)))  # type: ignore[arg-type]
        places.append(done[-1].vehicle_edge[0])
    on_way = [way.index(place) for place in places]
    assert on_way == sorted(on_way)
    assert on_way[-1] == len(way) - 1
    assert len(set(on_way)) > 2
    (trip,) = of_kind([e for tick in done for e in tick.events], "trip")
    assert trip["start_s"] == 34, "legs set out on whole seconds"
    assert trip["driving_s"] == trip["time_s"] - 34
    free_s = siouxfalls.travel_time_s([zones[0]], [zones[19]])[0, 0]
    assert trip["driving_s"] == pytest.approx(free_s, rel=0.3)


def test_a_leg_through_edges_is_no_other_and_is_recorded_as_such(
    sample: Sample, replay: Replay, siouxfalls: RoadNetwork
) -> None:
    zones = siouxfalls.zone_edge.tolist()
    here, there, aside = zones[0], zones[1], zones[19]
    home = np.full(VEHICLES, here)
    none = np.full((VEHICLES, LEGS, 3), -1)
    via = none.copy()
    via[0, 0, 1] = aside
    via[2, 0, 0] = aside
    edges = np.full((VEHICLES, LEGS), -1)
    edges[:2, 0], edges[2, 0] = there, here
    still, nowhere = np.full((VEHICLES, LEGS), -1), np.full(VEHICLES, -1)
    zeros = np.zeros(VEHICLES)

    def drive(record: Record | None, points: np.ndarray) -> tuple[ReplayTraffic, list[TrafficTick]]:
        made = replay(home_edge=home, **({} if record is None else {"record": record}))
        done = [made.advance(0, edges, zeros, nowhere, itinerary_via_edge=points)]
        while done[-1].vehicle_driving.any():
            done.append(made.advance(len(done), still, zeros, nowhere))
        return made, done

    _, done = drive(None, via)
    trips = {e["vehicle"]: e for e in of_kind([e for t in done for e in t.events], "trip")}
    km = siouxfalls.distance_km([here, aside], [there, aside, here])
    assert trips[1]["distance_km"] == pytest.approx(km[0, 0], rel=1e-6)
    assert trips[0]["distance_km"] == pytest.approx(km[0, 1] + km[1, 0], rel=1e-6)
    assert trips[2]["distance_km"] == pytest.approx(km[0, 1] + km[1, 2], rel=1e-6)
    assert trips[0]["detail"] == trips[2]["detail"] == f"via {siouxfalls.edge_ids[aside]}"
    assert "detail" not in trips[1]

    about = {"kind": "meso", "digest": "", "start": START}
    ids = tuple(str(i) for i in range(VEHICLES))
    names = tuple(SPECS[i].name for i in sample.body_type)
    air = np.full(len(done), vehicles.MILD_C)
    record = Record.of_ticks(
        siouxfalls, done, **about, vehicle_ids=ids, body_type=names, ambient_c=air
    )
    again, found = drive(record, via)
    assert (again.legs.replayed, again.legs.predicted) == (3, 0)
    same_ticks(found, done)
    other, _ = drive(record, none)
    # Vehicle 2 is to stay where it is, vehicle 0 to go straight.
    assert (other.legs.replayed, other.legs.predicted) == (1, 1)


def test_edges_to_pass_are_recorded_and_replayed(sample: Sample, replay: Replay) -> None:
    rng = np.random.default_rng(9)
    places = sample.roads.zone_edge
    edges = rng.choice(places, (VEHICLES, LEGS))
    via = np.where(rng.random((VEHICLES, LEGS, VIA)) < 0.4, rng.choice(places, VIA), -1)
    start_s, nowhere = rng.uniform(0, TICK_S, VEHICLES), np.full(VEHICLES, -1)
    still = np.full((VEHICLES, LEGS), -1)

    def drive(traffic: Any) -> list[TrafficTick]:
        done = [traffic.advance(0, edges, start_s, nowhere, itinerary_via_edge=via)]
        while done[-1].vehicle_driving.any():
            done.append(traffic.advance(len(done), still, start_s, nowhere))
        return done

    meso = MesoTraffic(sample.roads, SPECS, sample.body_type, sample.home_edge, seed=1)
    try:
        real = drive(meso)
    finally:
        meso.close()
    record = Record.of_ticks(
        sample.roads,
        real,
        kind="meso",
        digest="",
        start=START,
        vehicle_ids=tuple(str(i) for i in range(VEHICLES)),
        body_type=tuple(SPECS[i].name for i in sample.body_type),
        ambient_c=np.full(len(real), vehicles.MILD_C),
    )
    assert (record.via >= 0).any(axis=1).sum() > VEHICLES
    traffic = replay(record=record)
    same_ticks(drive(traffic), real)
    assert traffic.legs.predicted == 0


def test_a_later_departure_in_the_same_tick_takes_the_recorded_time(
    sample: Sample, record: Record, replay: Replay
) -> None:
    leg = int(np.flatnonzero((record.start_s % TICK_S < 200) & (record.end_s < 3600))[0])
    vehicle, start_s = int(record.vehicle[leg]), float(record.start_s[leg])
    tick = int(start_s // TICK_S)
    home = sample.home_edge.copy()
    home[vehicle] = record.origin[leg]
    traffic = replay(record=_stood_at(record, vehicle, int(record.origin[leg])), home_edge=home)
    done = [go(traffic, k) for k in range(tick)]  # type: ignore[arg-type]
    plan = {vehicle: [int(record.target[leg])]}
    done.append(go(traffic, tick, plan, start_s=start_s % TICK_S + 50))  # type: ignore[arg-type]
    while done[-1].vehicle_driving.any():
        done.append(go(traffic, len(done)))  # type: ignore[arg-type]
    (trip,) = of_kind([e for each in done for e in each.events], "trip")
    assert trip["start_s"] == start_s + 50
    assert trip["time_s"] == record.end_s[leg] + 50
    assert trip["distance_km"] == pytest.approx(record.distance_km[leg], rel=1e-12)
    assert trip["energy_kwh"] == pytest.approx(record.energy_kwh[leg], rel=1e-9)
    assert traffic.legs.replayed == 1


def _stood_at(record: Record, vehicle: int, edge: int) -> Record:
    """Return the record with another first place of one vehicle."""
    changed = replace(record)
    home = record.home_edge.copy()
    home[vehicle] = edge
    changed.__dict__["home_edge"] = home
    return changed


@pytest.mark.parametrize("what", ["day", "body type", "place", "number"])
def test_another_vehicle_or_day_is_predicted(sample: Sample, replay: Replay, what: str) -> None:
    changed: dict[str, Any] = {
        "day": {"start": START + timedelta(days=1)},
        "body type": {"body_type": (sample.body_type + 1) % 3},
        "place": {"home_edge": np.full(VEHICLES, sample.roads.zone_edge[0])},
        "number": {},
    }[what]
    if what == "number":
        more = Sample.draw(sample.roads, SPECS, 2 * VEHICLES, 2, 5)
        sample = more
        changed = {"body_type": more.body_type, "home_edge": more.home_edge}
    traffic = replay(**changed)
    done = sample.drive(traffic)
    assert of_kind([e for tick in done for e in tick.events], "trip")
    assert traffic.legs.predicted > 3 * traffic.legs.replayed


def test_refusals_tows_and_stops_are_those_of_meso(
    replay: Replay, start: Any, sample: Sample
) -> None:
    zones = sample.roads.zone_edge.tolist()
    home = np.array([zones[0], zones[1], zones[2], zones[3]])
    plans: list[dict[str, Any]] = [
        {"plans": {0: [zones[19]], 1: [zones[1], zones[19]], 2: [99999], 3: [-7]}, "start_s": 20},
        {"plans": {0: [zones[5]]}},
        {"plans": {0: [zones[8]]}, "tow": {0: zones[9], 2: zones[5]}, "start_s": 200},
        {"plans": {2: [zones[5], zones[5]]}, "start_s": 300.0},
        {},
    ]
    body = np.arange(4) % 3
    one: Any = replay(home_edge=home, body_type=body, dwell_s=45)
    other = start(sample.roads, home, dwell_s=45)
    found = None
    for tick, plan in enumerate(plans):
        found, real = go(one, tick, **plan), go(other, tick, **plan)
        np.testing.assert_array_equal(found.itinerary_refused, real.itinerary_refused)
        np.testing.assert_array_equal(found.vehicle_driving, real.vehicle_driving)
        np.testing.assert_array_equal(found.legs_completed, real.legs_completed)
        told = ("kind", "time_s", "vehicle", "detail")
        for kind in ("trip_refused", "tow"):
            ours, theirs = of_kind(found.events, kind), of_kind(real.events, kind)
            assert [[e.get(k) for k in told] for e in ours] == [
                [e.get(k) for k in told] for e in theirs
            ]
        np.testing.assert_array_equal(found.vehicle_busy_s > 0, real.vehicle_busy_s > 0)
    assert found is not None
    assert found.vehicle_edge[2] == zones[5]


def test_weather_is_that_of_the_scenario(sample: Sample, record: Record, replay: Replay) -> None:
    mild, cold = [
        sum(tick.vehicle_traction_kwh.sum() for tick in sample.drive(_In(replay(), ambient_c)))
        for ambient_c in (vehicles.MILD_C, -10.0)
    ]
    hours = np.bincount(record.vehicle, record.driving_s, VEHICLES) / 3600
    kw = np.array([float(vehicles.climate_load(s).power_kw(np.array(-10.0))) for s in SPECS])
    assert cold - mild == pytest.approx(float(hours @ kw[sample.body_type]), rel=1e-9)


class _In:
    """Traffic in air of a temperature."""

    def __init__(self, traffic: Any, ambient_c: float) -> None:
        self._traffic, self._ambient_c = traffic, ambient_c

    def advance(self, *given: Any) -> TrafficTick:
        return self._traffic.advance(*given, self._ambient_c)

    def close(self) -> None:
        self._traffic.close()


def test_heating_of_a_recorded_winter_is_taken_out(sample: Sample, replay: Replay) -> None:
    fleet = sample.roads, SPECS, sample.body_type, sample.home_edge
    made = sample.record(lambda: _In(MesoTraffic(*fleet, seed=1), -10.0), "meso")
    winter = replace(made, ambient_c=np.full(made.ticks, -10.0))
    mild = sum(t.vehicle_traction_kwh.sum() for t in sample.drive(replay()))
    bare = sum(t.vehicle_traction_kwh.sum() for t in sample.drive(replay(record=winter)))
    again = sample.drive(_In(replay(record=winter), -10.0))
    assert winter.energy_kwh.sum() > 1.2 * mild
    assert bare == pytest.approx(mild, rel=1e-9)
    np.testing.assert_allclose(
        np.stack([t.vehicle_traction_kwh for t in again]), made.tick_traction_kwh, atol=1e-9
    )


def test_legs_that_the_record_cut_off_arrive_after_it(
    sample: Sample, meso: tuple[Record, list[TrafficTick]], replay: Replay, start: Any
) -> None:
    whole, done = meso
    cut = 7
    traffic = start(sample.roads, sample.home_edge, seed=1)
    ticks: list[TrafficTick] = []

    class StopError(Exception):
        pass

    class UntilCut:
        def advance(self, *given: Any) -> TrafficTick:
            if len(ticks) == cut:
                raise StopError
            ticks.append(traffic.advance(*given))
            return ticks[-1]

        def close(self) -> None:
            pass

    with pytest.raises(StopError):
        sample.drive(UntilCut())
    left = unfinished(traffic.state, sample.roads, cut - 1)
    assert len(left) > 20
    ticks[-1] = replace(ticks[-1], events=ticks[-1].events + left)
    record = Record.of_ticks(
        sample.roads,
        ticks,
        kind="meso",
        digest="",
        start=START,
        vehicle_ids=whole.vehicle_ids,
        body_type=whole.body_type,
        ambient_c=whole.ambient_c[:cut],
    )
    found = sample.drive(replay(record=record))
    plain = [replace(t, events=of_kind(t.events, "trip")) for t in ticks]
    same_ticks(found[:cut], plain)
    real = [e for t in done for e in of_kind(t.events, "trip")]
    later = {(e["vehicle"], e["start_s"]): e for t in found for e in of_kind(t.events, "trip")}
    ends = {(e["vehicle"], e["start_s"]): e for e in real}
    km: list[tuple[float, float]] = []
    for event in left:
        key = event["vehicle"], event["start_s"]
        assert later[key]["time_s"] > cut * TICK_S
        km.append((later[key]["distance_km"], ends[key]["distance_km"]))
    np.testing.assert_allclose(*np.array(km).T, rtol=1e-3)


def test_restored_replay_follows_the_saved_one(
    sample: Sample, replay: Replay, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    plans = rng.choice(sample.roads.zone_edge, (12, VEHICLES, LEGS))
    starts = rng.uniform(0, TICK_S, (12, VEHICLES))
    nowhere = np.full(VEHICLES, -1, np.int32)

    def play(traffic: ReplayTraffic, first: int, last: int) -> list[TrafficTick]:
        return [traffic.advance(k, plans[k], starts[k], nowhere) for k in range(first, last)]

    whole = replay()
    play(whole, 0, 5)
    whole.save(tmp_path)
    assert (whole.state.phase > 1).sum() > 40
    expected = play(whole, 5, 12)
    resumed = replay()
    resumed.restore(tmp_path)
    for one, other in zip(expected, play(resumed, 5, 12), strict=True):
        assert one.vehicle_distance_km.tobytes() == other.vehicle_distance_km.tobytes()
        assert one.vehicle_traction_kwh.tobytes() == other.vehicle_traction_kwh.tobytes()
        np.testing.assert_array_equal(one.vehicle_edge, other.vehicle_edge)
        assert one.events == other.events
    (tmp_path / "traffic.npz").write_bytes(b"no arrays")
    with pytest.raises(EngineError, match=r"traffic\.npz"):
        replay().restore(tmp_path)


def test_ticks_come_one_after_the_other_and_arrays_are_fresh(replay: Replay) -> None:
    traffic: Any = replay()
    with pytest.raises(EngineError, match="stands before tick 0") as caught:
        go(traffic, 3)
    assert caught.value.tick == 3
    first, second = go(traffic, 0), go(traffic, 1)
    assert not np.shares_memory(first.vehicle_edge, second.vehicle_edge)
    assert not np.shares_memory(first.leg_arrival_s, second.leg_arrival_s)
    traffic.close()


def test_sumo_is_not_imported() -> None:
    code = """
import sys
import numpy as np
from datetime import datetime
from adapters.sumo.record import Record
from adapters.sumo.replay import ReplayTraffic
from networks import roads, vehicles
net = roads.load("siouxfalls")
a, b = net.zone_edge[:2].tolist()
specs = list(vehicles.load().values())
names = ("vehicle_distance_km", "vehicle_traction_kwh", "vehicle_driving_s")
ticks = {name: np.zeros((1, 1)) for name in names} | {"vehicle_edge": np.full((1, 1), a)}
trip = {"kind": "trip", "vehicle": 0, "origin": net.edge_ids[a], "place": net.edge_ids[b]}
trip |= {"start_s": 0.0, "time_s": 200.0, "driving_s": 200.0, "distance_km": 3, "energy_kwh": 1}
start = datetime(2022, 9, 14)
record = Record.of(net, [trip], ticks, kind="meso", digest="", start=start, vehicle_ids=("0",),
                   body_type=("sedan",), ambient_c=np.array([20.0]))
traffic = ReplayTraffic(net, specs, np.zeros(1, int), np.array([a]), record=record, start=start)
done = traffic.advance(0, np.array([[b, a, -1]]), np.zeros(1), np.array([-1]))
assert done.leg_arrival_s[0, 0] == 200, done.leg_arrival_s
assert done.vehicle_driving[0]
assert not {"libsumo", "traci"} & set(sys.modules), "SUMO was imported"
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
