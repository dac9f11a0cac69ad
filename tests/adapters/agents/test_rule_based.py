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


PORT_KW = ASSETS.stations.port_kw
KWH = ASSETS.vehicles.per_vehicle("battery_kwh")
LOW = 3


def low(soc: float = 0.39, **changes: object) -> Observation:
    """Return a scene in which vehicle `LOW` alone needs to charge."""
    every = np.full(40, 0.9)
    every[LOW] = soc
    return one_request(
        tick=3, vehicle_soc=every, request_status=np.zeros(1, dtype=np.int8), **changes
    )


def ready_s(seen: Observation) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return when `LOW` would be back from each free station, by hand [s]."""
    spec = ASSETS.vehicles.specs[ASSETS.vehicles.model[LOW]]
    direct = ASSETS.stations.direct
    into_kw = np.where(
        direct,
        np.minimum(PORT_KW * spec.dc_charge_efficiency, spec.dc_charge_kw),
        np.minimum(PORT_KW, spec.ac_charge_kw) * spec.ac_charge_efficiency,
    )
    missing_kwh = (0.9 - seen.vehicle_soc[LOW]) * KWH[LOW] * seen.vehicle_soh[LOW]
    way_s = ASSETS.roads.travel_time_s(seen.vehicle_edge[[LOW]], ASSETS.stations.edge)[0]
    return way_s + 3600 * missing_kwh / into_kw


def test_a_low_vehicle_goes_where_it_is_ready_first_every_15_minutes() -> None:
    seen = low()
    plan = decide(seen)
    assert np.flatnonzero(plan.vehicle_goto_station >= 0).tolist() == [LOW]
    station = plan.vehicle_goto_station[LOW]
    by_hand_s = ready_s(seen)
    assert by_hand_s[station] == by_hand_s.min()
    assert plan.vehicle_target_soc[LOW] == 0.9
    assert plan.vehicle_charge_kw[LOW] >= PORT_KW[station]
    assert (decide(replace(seen, tick=4)).vehicle_goto_station == -1).all()


def test_who_has_time_until_the_next_trip_takes_the_nearest_station() -> None:
    seen = low(soc=0.3)
    way_s = ASSETS.roads.travel_time_s(seen.vehicle_edge[[LOW]], ASSETS.stations.edge)[0]
    first = int(np.argmin(ready_s(seen)))
    assert way_s[first] > way_s.min(), "the fastest is not the nearest here"
    departure_s = np.full(40, -1.0)
    for spare_s, nearest in ((24 * 3600.0, True), (ready_s(seen)[first], False)):
        departure_s[LOW] = seen.time_s + spare_s
        plan = decide(replace(seen, vehicle_next_departure_s=departure_s.copy()))
        station = plan.vehicle_goto_station[LOW]
        assert (way_s[station] == way_s.min()) == nearest
        assert (station == first) != nearest


def test_a_wait_for_a_port_counts_as_long_as_a_charge_of_ones_own() -> None:
    seen = low()
    by_hand_s = ready_s(seen)
    first, second = np.argsort(by_hand_s)[:2].tolist()
    way_s = ASSETS.roads.travel_time_s(seen.vehicle_edge[[LOW]], ASSETS.stations.edge)[0]
    turn_s = (by_hand_s - way_s)[first] / ASSETS.stations.ports[first]
    assert by_hand_s[second] < by_hand_s[first] + turn_s
    free = seen.station_free_ports.copy()
    free[first] = 0
    assert decide(replace(seen, station_free_ports=free)).vehicle_goto_station[LOW] == second
    # With everything else full and crowded, waiting for one is still the best.
    queue = np.full(20, 9, dtype=np.int32)
    queue[first] = 0
    full = replace(seen, station_free_ports=np.zeros(20, np.int32), station_queue=queue)
    assert decide(full).vehicle_goto_station[LOW] == first


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
    # Nobody waits for a port while one like it is free at the same place.
    spare = seen.station_free_ports - np.bincount(plan.vehicle_goto_station[sent], minlength=20)
    alike = list(zip(ASSETS.stations.edge.tolist(), PORT_KW.tolist(), strict=True))
    free_like = {alike[i] for i in np.flatnonzero(spare > 0)}
    assert not free_like & {alike[i] for i in np.flatnonzero(spare < 0)}
    assert (seen.request_status[plan.request_vehicle >= 0] == RequestStatus.OPEN).all()
