"""The rules: the nearest vehicle that can make the trip; plug in below 40 %, charge to 90 %."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapters.agents import rule_based
from adapters.agents.synthetic import empty_plan, observation
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.team import Observation, Plan, RequestStatus, Status

SCENARIO = Scenario.model_validate({"fleet": {"vehicles": 40, "stations": {"count": 20}}})
ASSETS = Assets.of(SCENARIO)
TEAM = rule_based.team(SCENARIO, ASSETS)


def decide(seen: Observation) -> Plan:
    plan = empty_plan(seen)
    TEAM.decide(seen, plan)
    return plan


def some(seed: int = 0, requests: int = 10) -> Observation:
    return observation(ASSETS, requests, np.random.default_rng(seed))


def one_request(**changes: object) -> Observation:
    """Return a scene in which all vehicles stand idle and full, and one request is open."""
    seen = some(requests=1)
    still = {
        "tick": 1,
        "vehicle_status": np.zeros(40, dtype=np.int8),
        "vehicle_driving": np.zeros(40, dtype=bool),
        "vehicle_soc": np.full(40, 0.9),
        "request_deadline_s": np.full(1, 1e5),
    }
    return replace(seen, **{**still, **changes})


def test_the_nearest_vehicle_gets_the_request() -> None:
    seen = one_request()
    vehicle = decide(seen).request_vehicle[0]
    km = ASSETS.roads.distance_km(seen.vehicle_edge, seen.request_origin_edge)[:, 0]
    assert km[vehicle] == km.min()


def test_a_vehicle_that_cannot_make_the_trip_is_passed_over() -> None:
    seen = one_request()
    nearest = decide(seen).request_vehicle[0]
    soc = seen.vehicle_soc.copy()
    soc[nearest] = SCENARIO.rules.plug_in_below_soc - 1e-4
    other = decide(replace(seen, vehicle_soc=soc)).request_vehicle[0]
    assert other not in (-1, nearest)


def test_no_trip_is_begun_that_would_end_below_the_reserve() -> None:
    seen = one_request()
    vehicle = decide(seen).request_vehicle[0]
    places = (seen.request_origin_edge, seen.request_destination_edge)
    km = ASSETS.roads.distance_km(seen.vehicle_edge, places[0])[vehicle, 0]
    km += ASSETS.roads.distance_km(*places)[0, 0]
    spec = ASSETS.vehicles.specs[ASSETS.vehicles.model[vehicle]]
    need_kwh = 1.15 * spec.epa_kwh_per_100km / 100 * km
    energy_kwh = spec.battery_kwh * seen.vehicle_soh[vehicle]
    for margin, expected in ((1e-6, vehicle), (-1e-6, -1)):
        rules = SCENARIO.rules.model_copy(
            update={"plug_in_below_soc": 0.0, "reserve_soc": 0.9 - need_kwh / energy_kwh - margin}
        )
        only = np.zeros(40)
        only[vehicle] = 0.9
        scenario = SCENARIO.model_copy(update={"rules": rules})
        plan = empty_plan(seen)
        rule_based.team(scenario, ASSETS).decide(replace(seen, vehicle_soc=only), plan)
        assert plan.request_vehicle[0] == expected


def test_a_request_that_nobody_reaches_in_time_is_left_to_others() -> None:
    seen = one_request()
    late = replace(seen, request_deadline_s=np.full(1, seen.time_s - 1.0))
    assert decide(late).request_vehicle[0] == -1


def test_a_vehicle_that_reaches_no_port_does_not_hold_up_the_rest() -> None:
    seen = some()
    soc = np.where(seen.idle, 0.2, 0.9)
    free = np.zeros(20, dtype=np.int32)
    free[4] = 2
    plan = decide(replace(seen, vehicle_soc=soc, station_free_ports=free))
    assert (plan.vehicle_goto_station == 4).sum() == 2


def test_low_vehicles_go_to_the_nearest_free_port_every_15_minutes() -> None:
    soc = np.full(40, 0.9)
    soc[3] = 0.39
    seen = one_request(tick=3, vehicle_soc=soc, request_status=np.zeros(1, dtype=np.int8))
    plan = decide(seen)
    assert np.flatnonzero(plan.vehicle_goto_station >= 0).tolist() == [3]
    km = ASSETS.roads.distance_km(seen.vehicle_edge[3:4], ASSETS.stations.edge)[0]
    station = plan.vehicle_goto_station[3]
    assert km[station] == km.min()
    same = np.flatnonzero(km == km.min())
    power = ASSETS.stations.port_kw
    assert power[station] == power[same].max()
    assert plan.vehicle_target_soc[3] == 0.9
    assert plan.vehicle_charge_kw[3] >= power[station]
    assert (decide(replace(seen, tick=4)).vehicle_goto_station == -1).all()


def test_full_stations_are_left_alone() -> None:
    seen = replace(some(), station_free_ports=np.zeros(20, dtype=np.int32))
    assert (decide(seen).vehicle_goto_station == -1).all()


def test_a_towed_vehicle_charges_too() -> None:
    status = np.zeros(40, dtype=np.int8)
    status[7] = Status.TOWED
    seen = one_request(tick=0, vehicle_status=status)
    plan = decide(seen)
    assert plan.vehicle_charge_kw[7] > 0
    assert plan.vehicle_goto_station[7] == -1


@given(st.integers(0, 10_000), st.integers(0, 40))
def test_nothing_is_promised_twice(seed: int, requests: int) -> None:
    seen = some(seed, requests)
    plan = decide(seen)
    assigned = plan.request_vehicle[plan.request_vehicle >= 0].tolist()
    sent = np.flatnonzero(plan.vehicle_goto_station >= 0).tolist()
    assert len(set(assigned + sent)) == len(assigned + sent)
    assert seen.idle[assigned + sent].all()
    stations = plan.vehicle_goto_station[sent]
    assert (np.bincount(stations, minlength=20) <= seen.station_free_ports).all()
    assert (seen.request_status[plan.request_vehicle >= 0] == RequestStatus.OPEN).all()
