"""Scenes played by hand: what becomes of one vehicle and one request, tick by tick."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from adapters.fleet.operations import Feedback, Operations, Orders
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import LEGS, TICK_S, VIA
from cosim.team import RequestStatus, Status

COUNT, CAR = 12, 5
SCENARIO = Scenario.model_validate(
    {
        "duration": "2h",
        "start": "2022-09-14 08:00",
        "fleet": {
            "vehicles": COUNT,
            "stations": {"count": 4, "level_2": 0.5, "dc_fast": 0.25, "v2g": 0.25},
            "towing": "15min",
        },
        "demand": {"ride_share": {"trips_per_vehicle_day": 40}},
    }
)
ASSETS = Assets.of(SCENARIO)
KINDS = [ASSETS.stations.kinds[kind] for kind in ASSETS.stations.kind]
LEVEL_2, V2G = KINDS.index("level_2"), KINDS.index("v2g")

NO_VIA = np.full((COUNT, VIA), -1, dtype=np.int32)


class Scene:
    """The fleet, what it hears from traffic and battery, and what the team orders."""

    def __init__(self) -> None:
        self.operations = Operations(SCENARIO, ASSETS)
        self.requests = self.operations.requests
        self.tick = 0
        self.heard: dict[str, Any] = {
            "vehicle_edge": ASSETS.vehicles.home_edge.copy(),
            "vehicle_driving": np.zeros(COUNT, dtype=bool),
            "legs_completed": np.zeros(COUNT, dtype=np.int32),
            "leg_arrival_s": np.full((COUNT, LEGS), -1.0),
            "itinerary_refused": np.zeros(COUNT, dtype=bool),
            "vehicle_power_kw": np.zeros(COUNT),
            "battery_traction_kwh": np.zeros(COUNT),
            "traction_shortfall_kwh": np.zeros(COUNT),
            "vehicle_soc": np.full(COUNT, 0.5),
            "vehicle_charge_limit_kw": np.full(COUNT, 60.0),
            "vehicle_discharge_limit_kw": np.full(COUNT, 60.0),
            "station_draw_withheld": np.zeros(len(ASSETS.stations.ids)),
            "station_feed_withheld": np.zeros(len(ASSETS.stations.ids)),
            "vehicle_called": np.zeros(COUNT, dtype=bool),
            "vehicle_call_kw": np.zeros(COUNT),
            "vehicle_cleared_kw": np.zeros(COUNT),
        }
        self.charge_kw, self.target_soc = np.zeros(COUNT), np.full(COUNT, 0.9)

    def step(self, take: int = -1, goto: int = -1) -> dict[str, Any]:
        """Play a tick in which `CAR` is ordered to take a request or to go to a station."""
        request_vehicle = np.full(len(self.requests.asked_s), -1, dtype=np.int32)
        if take >= 0:
            request_vehicle[take] = CAR
        station = np.full(COUNT, -1, dtype=np.int32)
        station[CAR] = goto
        orders = Orders(
            request_vehicle,
            station,
            self.charge_kw.copy(),
            self.target_soc.copy(),
            np.zeros(COUNT),
            np.zeros(COUNT),
            NO_VIA,
        )
        back = Feedback(**{f.name: self.heard[f.name].copy() for f in fields(Feedback)})
        out = self.operations.advance(self.tick, back, orders)
        self.tick += 1
        return out

    def hear(self, **values: Any) -> None:
        """Change what the fleet hears of `CAR`."""
        for name, value in values.items():
            self.heard[name][CAR] = value

    def serve(self) -> int:
        """Let `CAR` set out for the first request of the run; return the request."""
        self.step()
        assert self.requests.status[0] == RequestStatus.OPEN
        self.step(take=0)
        self.hear(vehicle_driving=True)
        return 0

    def plug_in(self, station: int) -> dict[str, Any]:
        """Drive `CAR` to a port; return the tick in which it is plugged in."""
        self.step(goto=station)
        self.hear(legs_completed=1, leg_arrival_s=[20.0, -1, -1])
        out = self.step()
        assert out["vehicle_status"][CAR] == Status.PLUGGED
        assert out["vehicle_station"][CAR] == station
        return out


def of_kind(out: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in out["fleet_events"] if event["kind"] == kind]


# --- running empty


def test_a_vehicle_that_runs_empty_is_towed_and_charged() -> None:
    scene = Scene()
    request = scene.serve()
    scene.hear(traction_shortfall_kwh=0.4)
    edge = ASSETS.vehicles.home_edge[CAR]
    km = ASSETS.roads.distance_km(np.array([edge]), ASSETS.stations.edge)[0]
    nearest = int(np.argmin(km))
    begun_s = scene.tick * TICK_S
    out = scene.step()
    scene.hear(traction_shortfall_kwh=0.0, vehicle_driving=False)
    assert out["request_status"][request] == RequestStatus.FAILED
    assert out["requests_missed"] == 1
    assert out["tow_edge"][CAR] == ASSETS.stations.edge[nearest]
    assert (np.delete(out["tow_edge"], CAR) == -1).all()
    (empty,) = of_kind(out, "ran_empty")
    assert (empty["vehicle"], empty["station"], empty["time_s"]) == (CAR, nearest, begun_s)
    assert empty["energy_kwh"] == 0.4
    assert empty["distance_km"] == pytest.approx(km.min())
    assert empty["place"] == ASSETS.roads.edge_ids[edge]
    (failed,) = of_kind(out, "request_failed")
    assert (failed["request"], failed["vehicle"]) == (request, CAR)
    # A quarter of an hour under tow, and nothing else happens to it.
    for _ in range(2):
        assert out["vehicle_status"][CAR] == Status.TOWED
        out = scene.step()
        assert out["tow_edge"][CAR] == -1
        assert not of_kind(out, "ran_empty")
    assert out["vehicle_status"][CAR] == Status.TOWED
    assert out["vehicle_station"][CAR] == -1
    out = scene.step()
    assert scene.tick * TICK_S - TICK_S - begun_s == SCENARIO.fleet.towing
    assert out["vehicle_status"][CAR] == Status.PLUGGED
    assert out["vehicle_station"][CAR] == nearest


def test_a_towed_vehicle_waits_its_turn_at_a_full_station() -> None:
    scene = Scene()
    scene.serve()
    scene.hear(traction_shortfall_kwh=0.4)
    out = scene.step()
    scene.hear(traction_shortfall_kwh=0.0, vehicle_driving=False)
    station = int(scene.operations.state.station[CAR])
    others = [0, 1][: ASSETS.stations.ports[station]]
    scene.operations.state.status[others] = Status.PLUGGED
    scene.operations.state.station[others] = station
    for _ in range(SCENARIO.fleet.towing // TICK_S):
        out = scene.step()
    assert out["vehicle_status"][CAR] == Status.QUEUED
    assert out["station_queue"][station] == 1


@pytest.mark.parametrize(("lack_kwh", "towed"), [(0.9e-6, False), (1.1e-6, True)])
def test_rounding_tows_nobody(lack_kwh: float, towed: bool) -> None:
    scene = Scene()
    scene.serve()
    scene.hear(traction_shortfall_kwh=lack_kwh)
    out = scene.step()
    assert (out["tow_edge"][CAR] >= 0) == towed
    assert out["vehicle_status"][CAR] == (Status.TOWED if towed else Status.SERVING)


def test_a_vehicle_on_its_way_to_charge_is_towed_too() -> None:
    scene = Scene()
    scene.step(goto=LEVEL_2)
    scene.hear(vehicle_driving=True, traction_shortfall_kwh=0.2)
    out = scene.step()
    assert out["vehicle_status"][CAR] == Status.TOWED
    assert not of_kind(out, "request_failed")


# --- requests


def test_nobody_knows_a_request_before_it_is_made() -> None:
    scene = Scene()
    requests = scene.requests
    assert len(requests.asked_s) > 20
    assert requests.asked_s[-1] > SCENARIO.duration / 2
    for tick in range(SCENARIO.ticks):
        out = scene.step()
        made = requests.asked_s < (tick + 1) * TICK_S
        assert out["requests_known"] == made.sum()
        np.testing.assert_array_equal(out["request_status"] > RequestStatus.UNKNOWN, made)
        places = ("request_origin_edge", "request_destination_edge")
        for name in (*places, "request_deadline_s", "request_segment"):
            np.testing.assert_array_equal(out[name] >= 0, made)
            assert (out[name][~made] == -1).all()
        np.testing.assert_array_equal(out["request_origin_edge"][made], requests.origin_edge[made])


def test_a_request_that_is_not_made_yet_cannot_be_taken() -> None:
    scene = Scene()
    last = len(scene.requests.asked_s) - 1
    scene.step()
    out = scene.step(take=last)
    (refused,) = of_kind(out, "decision_refused")
    assert (refused["request"], refused["detail"]) == (last, "the request is not open")
    assert out["vehicle_status"][CAR] == Status.IDLE


@pytest.mark.parametrize("late_s", [-1.0, 0.0, 1.0])
def test_a_late_pick_up_is_missed(late_s: float) -> None:
    scene = Scene()
    request = scene.serve()
    pickup_s = float(scene.requests.deadline_s[request]) + late_s
    scene.hear(legs_completed=1, leg_arrival_s=[pickup_s, -1, -1])
    late = int(late_s > 0)
    out = scene.step()
    assert out["request_status"][request] == RequestStatus.PICKED_UP
    assert (out["requests_in_time"], out["requests_missed"]) == (1 - late, late)
    scene.hear(legs_completed=2, leg_arrival_s=[pickup_s, pickup_s + 60, -1], vehicle_driving=False)
    out = scene.step()
    assert out["request_status"][request] == RequestStatus.SERVED
    assert (out["requests_in_time"], out["requests_missed"]) == (1 - late, late)
    (served,) = of_kind(out, "request_served")
    assert served["time_s"] == pickup_s + 60
    assert served["value"] == pytest.approx(SCENARIO.demand.ride_share.waiting_limit_s + late_s)
    assert served["detail"] == ("picked up late" if late else "")


# --- charging sessions


@pytest.mark.parametrize("power_kw", [7.2, 2.5])
def test_a_session_counts_the_energy_of_its_ticks(power_kw: float) -> None:
    scene = Scene()
    scene.plug_in(LEVEL_2)
    begun_s = (scene.tick - 1) * TICK_S
    scene.hear(vehicle_power_kw=power_kw)
    for _ in range(4):
        assert not of_kind(scene.step(), "charging_session")
    scene.hear(vehicle_soc=0.9)
    (session,) = of_kind(scene.step(), "charging_session")
    assert (session["vehicle"], session["station"]) == (CAR, LEVEL_2)
    # Five ticks of five minutes.
    assert session["energy_kwh"] == pytest.approx(power_kw * 25 / 60)
    assert (session["start_s"], session["time_s"]) == (begun_s, begun_s + 5 * TICK_S)
    assert (session["value"], session["detail"]) == (0.9, "")


def test_a_second_session_counts_from_nothing() -> None:
    scene = Scene()
    scene.plug_in(LEVEL_2)
    scene.hear(vehicle_power_kw=7.2, vehicle_soc=0.9)
    scene.step()
    scene.hear(vehicle_power_kw=0.0, vehicle_soc=0.5)
    scene.plug_in(LEVEL_2)
    scene.hear(vehicle_power_kw=3.6, vehicle_soc=0.9)
    (session,) = of_kind(scene.step(), "charging_session")
    assert session["energy_kwh"] == pytest.approx(0.3)


def test_a_session_ends_at_its_target_and_not_before() -> None:
    scene = Scene()
    scene.target_soc[CAR] = 0.8
    scene.plug_in(LEVEL_2)
    scene.hear(vehicle_soc=0.794)
    out = scene.step()
    assert out["vehicle_status"][CAR] == Status.PLUGGED
    assert not of_kind(out, "charging_session")
    # Within half a percent of its target it counts as there.
    scene.hear(vehicle_soc=0.796)
    out = scene.step()
    assert out["vehicle_status"][CAR] == Status.IDLE
    assert out["vehicle_station"][CAR] == -1
    assert len(of_kind(out, "charging_session")) == 1


@pytest.mark.parametrize(
    ("station", "set_point_kw", "stays"),
    [(V2G, -5.0, True), (V2G, 0.0, False), (V2G, 5.0, False), (LEVEL_2, -5.0, False)],
)
def test_a_full_vehicle_that_feeds_back_keeps_its_port(
    station: int, set_point_kw: float, stays: bool
) -> None:
    scene = Scene()
    scene.charge_kw[CAR] = set_point_kw
    scene.plug_in(station)
    scene.hear(vehicle_soc=0.95)
    out = scene.step()
    assert (out["vehicle_status"][CAR] == Status.PLUGGED) == stays
    assert len(of_kind(out, "charging_session")) == (not stays)
    assert out["plug_power_kw"][CAR] == (-5.0 if stays else 0.0)


def test_an_assignment_ends_the_session() -> None:
    scene = Scene()
    scene.plug_in(LEVEL_2)
    scene.hear(vehicle_power_kw=6.0)
    request = int(np.flatnonzero(scene.requests.status == RequestStatus.OPEN)[0])
    out = scene.step(take=request)
    (session,) = of_kind(out, "charging_session")
    assert session["energy_kwh"] == pytest.approx(0.5)
    assert session["value"] == 0.5
    assert out["vehicle_status"][CAR] == Status.SERVING
    assert out["vehicle_station"][CAR] == -1
    assert out["plug_power_kw"][CAR] == 0
    assert out["request_status"][request] == RequestStatus.ASSIGNED
    assert out["itinerary_edge"][CAR].tolist() == [
        scene.requests.origin_edge[request],
        scene.requests.destination_edge[request],
        -1,
    ]


def test_a_session_under_way_at_the_end_is_reported() -> None:
    scene = Scene()
    scene.plug_in(LEVEL_2)
    begun_s = (scene.tick - 1) * TICK_S
    scene.hear(vehicle_power_kw=6.0)
    ticks = SCENARIO.ticks - scene.tick
    for _ in range(ticks - 1):
        assert not of_kind(scene.step(), "charging_session")
    out = scene.step()
    (session,) = of_kind(out, "charging_session")
    assert session["detail"] == "under way at the end; the last tick is not in it"
    assert session["energy_kwh"] == pytest.approx(6.0 * ticks / 12)
    assert (session["start_s"], session["time_s"]) == (begun_s, SCENARIO.duration - TICK_S)
    assert (session["vehicle"], session["station"], session["value"]) == (CAR, LEVEL_2, 0.5)
    assert out["vehicle_status"][CAR] == Status.PLUGGED


def test_a_session_that_ends_with_the_run_is_reported_once() -> None:
    scene = Scene()
    scene.plug_in(LEVEL_2)
    while scene.tick < SCENARIO.ticks - 1:
        scene.step()
    scene.hear(vehicle_soc=0.9)
    (session,) = of_kind(scene.step(), "charging_session")
    assert session["detail"] == ""


def test_nothing_is_said_of_a_session_that_begins_with_the_last_tick() -> None:
    scene = Scene()
    while scene.tick < SCENARIO.ticks - 2:
        scene.step()
    assert not of_kind(scene.plug_in(LEVEL_2), "charging_session")


# --- reserve


def test_a_called_vehicle_comes_down_whatever_its_set_point() -> None:
    scene = Scene()
    scene.charge_kw[CAR] = 9.0
    out = scene.plug_in(V2G)
    usual_kw, least_kw = out["plug_power_kw"][CAR], out["plug_least_kw"][CAR]
    assert usual_kw == 9.0
    assert out["plug_most_kw"][CAR] > usual_kw
    assert least_kw < 0
    for call_kw, expected_kw in ((4.0, 4.0), (-3.0, -3.0), (12.0, 9.0), (-500.0, least_kw)):
        scene.hear(vehicle_called=True, vehicle_call_kw=call_kw)
        assert scene.step()["plug_power_kw"][CAR] == pytest.approx(expected_kw)
    scene.hear(vehicle_called=False, vehicle_call_kw=0.0)
    assert scene.step()["plug_power_kw"][CAR] == usual_kw
    # Nobody else is called.
    assert (np.delete(out["plug_least_kw"], CAR) == 0).all()


@pytest.mark.parametrize(("station", "stays"), [(V2G, True), (LEVEL_2, False)])
def test_a_full_vehicle_stays_to_give_what_is_called(station: int, stays: bool) -> None:
    scene = Scene()
    scene.charge_kw[CAR] = 9.0
    scene.plug_in(station)
    scene.hear(vehicle_soc=0.9, vehicle_called=True, vehicle_call_kw=-3.0)
    assert (scene.step()["vehicle_status"][CAR] == Status.PLUGGED) == stays
    scene.hear(vehicle_called=False)
    assert scene.step()["vehicle_status"][CAR] == Status.IDLE
