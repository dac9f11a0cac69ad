"""Trips of vehicles' own, played by hand: when they begin, wait for the battery, are missed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from adapters.fleet.operations import Feedback, Operations, Orders
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import LEGS, TICK_S, VIA
from cosim.team import RequestStatus, Status
from networks.demand.trips import Trips

CAR, COUNT = 1, 3
SCENARIO = Scenario.model_validate(
    {
        "duration": "12h",
        "start": "2022-09-14 06:00",
        "fleet": {
            "vehicles": COUNT,
            "segments": {"ride_share": 0, "commute": 1},
            "stations": {"count": 2, "level_2": 1, "dc_fast": 0, "v2g": 0},
            "patience": "30min",
        },
    }
)
DRAWN = Assets.of(SCENARIO)
ZONES = DRAWN.roads.zone_edge
HOME, WORK, SHOP = (int(edge) for edge in ZONES[[0, 5, 9]])


class Scene:
    """One vehicle with trips of its own, what it hears, and what the team orders."""

    def __init__(self, **trips: Any) -> None:
        asked = Trips.of(**trips, vehicle=CAR)
        demand = replace(DRAWN.demand, trips=asked, trip_segment=np.zeros(len(asked), np.int8))
        vehicles = replace(DRAWN.vehicles, home_edge=np.full(COUNT, HOME, np.int32))
        self.assets = replace(DRAWN, demand=demand, vehicles=vehicles)
        self.operations = Operations(SCENARIO, self.assets)
        self.requests = self.operations.requests
        self.tick = 0
        self.station = np.full(COUNT, -1, np.int32)
        self.via = np.full((COUNT, VIA), -1, np.int32)
        self.heard: dict[str, Any] = {
            "vehicle_edge": vehicles.home_edge.copy(),
            "vehicle_driving": np.zeros(COUNT, bool),
            "legs_completed": np.zeros(COUNT, np.int32),
            "leg_arrival_s": np.full((COUNT, LEGS), -1.0),
            "itinerary_refused": np.zeros(COUNT, bool),
            "vehicle_power_kw": np.zeros(COUNT),
            "battery_traction_kwh": np.zeros(COUNT),
            "traction_shortfall_kwh": np.zeros(COUNT),
            "vehicle_soc": np.full(COUNT, 0.8),
            "vehicle_charge_limit_kw": np.full(COUNT, 60.0),
            "vehicle_discharge_limit_kw": np.full(COUNT, 60.0),
            "station_draw_withheld": np.zeros(len(DRAWN.stations.ids)),
            "station_feed_withheld": np.zeros(len(DRAWN.stations.ids)),
            "vehicle_called": np.zeros(len(DRAWN.vehicles.ids), dtype=bool),
            "vehicle_call_kw": np.zeros(len(DRAWN.vehicles.ids)),
            "vehicle_cleared_kw": np.zeros(COUNT),
        }

    def step(self, goto: int = -1) -> dict[str, Any]:
        self.station[CAR] = goto
        nobody = np.full(len(self.requests), -1, np.int32)
        orders = Orders(
            nobody,
            self.station.copy(),
            np.full(COUNT, 7.0),
            np.full(COUNT, 0.9),
            np.zeros(COUNT),
            np.zeros(COUNT),
            self.via,
        )
        back = Feedback(**{f.name: self.heard[f.name].copy() for f in fields(Feedback)})
        out = self.operations.advance(self.tick, back, orders)
        self.tick += 1
        return out

    def until(self, tick: int) -> dict[str, Any]:
        """Step until `tick` has been played."""
        out = self.step()
        while self.tick <= tick:
            out = self.step()
        return out

    def hear(self, **values: Any) -> None:
        for name, value in values.items():
            self.heard[name][CAR] = value

    def arrive(self, edge: int, time_s: float, legs: int = 1) -> None:
        """Let the itinerary under way end."""
        arrival_s = [-1.0] * LEGS
        arrival_s[legs - 1] = time_s
        self.hear(
            vehicle_edge=edge, vehicle_driving=False, legs_completed=legs, leg_arrival_s=arrival_s
        )


def one_trip(**more: Any) -> dict[str, Any]:
    """Return a trip from home to work that may begin at 1000 s, to be there at 4000 s."""
    trip = {
        "asked_s": [0.0],
        "earliest_s": [1000.0],
        "deadline_s": [4000.0],
        "at_arrival": True,
        "origin_edge": [HOME],
        "destination_edge": [WORK],
    }
    return trip | more


def there_and_back(**more: Any) -> dict[str, Any]:
    trips = {
        "asked_s": [0.0, 0.0],
        "earliest_s": [1000.0, 9000.0],
        "deadline_s": [4000.0, 12000.0],
        "at_arrival": True,
        "origin_edge": [HOME, WORK],
        "destination_edge": [WORK, HOME],
    }
    return trips | more


def of_kind(out: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in out["fleet_events"] if event["kind"] == kind]


def test_a_trip_begins_at_its_time_without_anybody_ordering_it() -> None:
    scene = Scene(**one_trip())
    out = scene.until(2)
    assert out["vehicle_status"][CAR] == Status.IDLE
    assert out["vehicle_next_departure_s"][CAR] == 1000.0
    assert out["request_status"][0] == RequestStatus.SCHEDULED
    out = scene.step()
    assert out["itinerary_edge"][CAR].tolist() == [WORK, -1, -1]
    assert out["itinerary_start_s"][CAR] == 1000.0 - 3 * TICK_S
    assert out["vehicle_status"][CAR] == Status.SERVING
    assert out["vehicle_next_departure_s"][CAR] == -1
    assert (np.delete(out["itinerary_edge"], CAR, axis=0) == -1).all()


@pytest.mark.parametrize(("arrival_s", "in_time"), [(4000.0, 1), (4001.0, 0)])
def test_service_is_the_arrival_by_the_deadline(arrival_s: float, in_time: int) -> None:
    scene = Scene(**one_trip())
    scene.until(3)
    scene.hear(vehicle_driving=True)
    out = scene.until(13)
    assert (out["requests_in_time"], out["requests_missed"]) == (0, 0)
    scene.arrive(WORK, arrival_s)
    out = scene.step()
    assert (out["requests_in_time"], out["requests_missed"]) == (in_time, 1 - in_time)
    (served,) = of_kind(out, "request_served")
    assert served["time_s"] == arrival_s
    assert served["detail"] == ("" if in_time else "arrived late")


def test_the_departure_counts_where_that_is_asked() -> None:
    scene = Scene(**one_trip(at_arrival=False, deadline_s=[1200.0]))
    out = scene.until(3)
    assert scene.requests.pickup_s[0] == 1000.0
    assert out["requests_in_time"] == 1


def test_the_stop_at_the_destination_delays_the_next_trip() -> None:
    scene = Scene(**there_and_back(earliest_s=[1000.0, 2000.0], dwell_s=[1500.0, 0.0], tour=0))
    scene.until(3)
    scene.hear(vehicle_driving=True)
    scene.step()
    scene.arrive(WORK, 1700.0)
    out = scene.until(9)
    assert out["vehicle_status"][CAR] == Status.IDLE
    assert out["vehicle_next_departure_s"][CAR] == 3200.0
    out = scene.step()
    assert out["itinerary_edge"][CAR].tolist() == [HOME, -1, -1]
    assert out["itinerary_start_s"][CAR] == 3200.0 - 10 * TICK_S


def test_a_vehicle_elsewhere_drives_to_the_origin_first() -> None:
    scene = Scene(**one_trip(via=[[SHOP, -1, -1]]))
    scene.hear(vehicle_edge=SHOP)
    out = scene.until(3)
    assert out["itinerary_edge"][CAR].tolist() == [HOME, WORK, -1]
    assert out["itinerary_via_edge"][CAR].tolist() == [[-1] * 3, [SHOP, -1, -1], [-1] * 3]
    assert out["request_status"][0] == RequestStatus.ASSIGNED
    scene.hear(vehicle_driving=True, legs_completed=1, leg_arrival_s=[1300.0, -1.0, -1.0])
    out = scene.step()
    assert out["request_status"][0] == RequestStatus.PICKED_UP
    scene.arrive(WORK, 1500.0, legs=2)
    assert len(of_kind(scene.step(), "request_served")) == 1


def test_a_session_ends_when_the_trip_begins() -> None:
    scene = Scene(**one_trip())
    station = 0
    scene.hear(vehicle_edge=scene.assets.stations.edge[station])
    # It stands at the station already, so it plugs in without a drive.
    out = scene.step(goto=station)
    assert out["vehicle_status"][CAR] == Status.PLUGGED
    assert (out["itinerary_edge"] == -1).all()
    scene.hear(vehicle_power_kw=6.0)
    out = scene.until(3)
    (session,) = of_kind(out, "charging_session")
    assert session["energy_kwh"] == pytest.approx(1.5)
    assert out["vehicle_station"][CAR] == -1
    assert out["plug_power_kw"][CAR] == 0


def test_a_trip_waits_for_the_battery_and_is_missed_in_the_end() -> None:
    scene = Scene(**there_and_back())
    scene.hear(vehicle_soc=0.03)
    out = scene.until(3)
    (postponed,) = of_kind(out, "trip_postponed")
    assert (postponed["request"], postponed["vehicle"]) == (0, CAR)
    assert out["vehicle_status"][CAR] == Status.IDLE
    last = int((4000 + SCENARIO.fleet.patience) // TICK_S)
    for _ in range(last - 3):
        out = scene.step()
        assert not of_kind(out, "trip_postponed"), "told twice"
        assert out["request_status"][0] == RequestStatus.SCHEDULED
    out = scene.step()
    (missed,) = of_kind(out, "request_expired")
    assert missed["detail"] == "it could not begin"
    assert out["requests_missed"] == 1
    # Nobody returns from where they never went.
    scene.hear(vehicle_soc=0.9)
    out = scene.until(30)
    (broken,) = of_kind(out, "request_expired")
    assert broken["detail"] == "the trip before it did not take place"
    assert out["vehicle_status"][CAR] == Status.IDLE


def test_a_charged_battery_lets_the_trip_begin_late() -> None:
    scene = Scene(**one_trip())
    scene.hear(vehicle_soc=0.03)
    scene.until(5)
    scene.hear(vehicle_soc=0.5)
    out = scene.step()
    assert out["vehicle_status"][CAR] == Status.SERVING
    assert out["itinerary_start_s"][CAR] == 0.0


def test_a_trip_that_runs_empty_fails_and_the_way_back_with_it() -> None:
    scene = Scene(**there_and_back())
    scene.until(3)
    scene.hear(vehicle_driving=True, traction_shortfall_kwh=0.5)
    out = scene.step()
    assert len(of_kind(out, "request_failed")) == len(of_kind(out, "ran_empty")) == 1
    station = int(scene.operations.state.station[CAR])
    assert scene.assets.stations.public[station]
    scene.hear(vehicle_driving=False, traction_shortfall_kwh=0.0, vehicle_edge=out["tow_edge"][CAR])
    out = scene.until(30)
    assert out["request_status"].tolist() == [RequestStatus.FAILED, RequestStatus.EXPIRED]


def test_only_those_who_may_use_a_private_charger() -> None:
    private = np.flatnonzero(~DRAWN.stations.public)
    of_others = [s for s in private if s not in DRAWN.vehicles.private_station[CAR]]
    scene = Scene(**one_trip())
    out = scene.step(goto=int(of_others[0]))
    (refused,) = of_kind(out, "decision_refused")
    assert refused["detail"] == "the station is not open to the vehicle"


def test_a_tour_tells_how_far_it_still_goes() -> None:
    scene = Scene(**there_and_back(tour=0))
    out = scene.step()
    km = DRAWN.roads.distance_km(np.array([HOME, WORK]), np.array([HOME, WORK]))
    assert out["vehicle_next_km"][CAR] == pytest.approx(km[0, 1] + km[1, 0])
    alone = Scene(**there_and_back()).step()
    assert alone["vehicle_next_km"][CAR] == pytest.approx(km[0, 1])


def test_the_route_agent_names_points_to_pass_but_not_for_a_line() -> None:
    scene = Scene(**one_trip())
    scene.via[CAR] = [SHOP, HOME, -1]
    assert scene.until(3)["itinerary_via_edge"][CAR, 0].tolist() == [SHOP, HOME, -1]
    line = Scene(**one_trip(via=[[WORK, -1, -1]]))
    line.via[CAR] = [SHOP, HOME, -1]
    assert line.until(3)["itinerary_via_edge"][CAR, 0].tolist() == [WORK, -1, -1]


def test_a_chain_with_a_gap_is_driven_past_the_next_origin() -> None:
    scene = Scene(**there_and_back(origin_edge=[HOME, SHOP]))
    scene.until(3)
    scene.hear(vehicle_driving=True)
    scene.step()
    scene.arrive(WORK, 1700.0)
    out = scene.until(30)
    # It stands at work, and drives to the shop first.
    assert out["itinerary_edge"][CAR].tolist() == [SHOP, HOME, -1]
    assert out["request_status"].tolist() == [RequestStatus.SERVED, RequestStatus.ASSIGNED]


def test_a_trip_that_is_overdue_counts_as_missed() -> None:
    scene = Scene(**one_trip())
    scene.hear(vehicle_soc=0.03)
    out = scene.until(13)
    assert out["requests_missed"] == 0
    out = scene.step()
    assert out["request_status"][0] == RequestStatus.SCHEDULED
    assert out["requests_missed"] == 1


def test_a_trip_without_a_way_is_tried_again() -> None:
    scene = Scene(**one_trip())
    scene.until(3)
    scene.hear(itinerary_refused=True)
    out = scene.step()
    assert out["request_status"][0] == RequestStatus.SCHEDULED
    assert out["vehicle_status"][CAR] == Status.IDLE
    scene.hear(itinerary_refused=False)
    assert (scene.until(6)["itinerary_edge"][CAR] == -1).all()
    out = scene.step()
    assert out["itinerary_edge"][CAR].tolist() == [WORK, -1, -1]


@pytest.mark.parametrize(("given_kwh", "towed"), [(0.4, False), (0.2, True)])
def test_a_battery_at_its_power_limit_is_not_empty(given_kwh: float, towed: bool) -> None:
    scene = Scene(**one_trip())
    scene.until(3)
    scene.hear(vehicle_driving=True, traction_shortfall_kwh=0.3, battery_traction_kwh=given_kwh)
    out = scene.step()
    assert (out["tow_edge"][CAR] >= 0) == towed
    assert len(of_kind(out, "power_limited")) == (not towed)


def test_a_towed_vehicle_charges_before_it_sets_out_again() -> None:
    scene = Scene(**there_and_back(tour=0))
    scene.until(3)
    scene.hear(vehicle_driving=True, traction_shortfall_kwh=0.5)
    edge = scene.step()["tow_edge"][CAR]
    scene.hear(vehicle_driving=False, traction_shortfall_kwh=0.0, vehicle_edge=edge)
    begun_s = 4 * TICK_S + SCENARIO.fleet.towing
    out = scene.until(int(begun_s // TICK_S) + 5)
    assert out["vehicle_status"][CAR] == Status.PLUGGED
    for _ in range(40):
        out = scene.step()
        if out["vehicle_status"][CAR] == Status.SERVING:
            break
    assert out["itinerary_edge"][CAR].tolist() == [HOME, -1, -1]


def test_a_towed_vehicle_with_a_full_battery_sets_out_again() -> None:
    scene = Scene(**there_and_back(tour=0))
    scene.until(3)
    scene.hear(vehicle_driving=True, traction_shortfall_kwh=0.5, vehicle_soc=0.95)
    edge = scene.step()["tow_edge"][CAR]
    scene.hear(vehicle_driving=False, traction_shortfall_kwh=0.0, vehicle_edge=edge)
    for _ in range(40):
        if scene.step()["vehicle_status"][CAR] == Status.SERVING:
            return
    pytest.fail("it never set out again")
