"""The charging rules of vehicles with chargers and trips of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.agents.charge_rules import LEAST_STAY_S, LEAST_STOP_S, ChargeWhenLow
from adapters.agents.synthetic import empty_plan, observation
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import C_RATES, TICK_S
from cosim.team import Floats, Observation, Plan, Status

SCENARIO = Scenario.model_validate(
    {
        "fleet": {
            "vehicles": 40,
            "segments": {"ride_share": 1, "commute": 2, "consumer": 1},
            "stations": {"count": 12, "level_2": 0.5, "dc_fast": 0.25, "v2g": 0.25},
        },
        "demand": {"commute": {"home_share": 1.0, "work_ports_per_vehicle": 1.0}},
        "rules": {"feed_back_above_usd_per_mwh": 100.0, "feed_back_to_soc": 0.5},
    }
)
ASSETS = Assets.of(SCENARIO)
VEHICLES, STATIONS = ASSETS.vehicles, ASSETS.stations
PLACES = [STATIONS.kinds[kind] for kind in STATIONS.kind]
COMMUTER = int(np.flatnonzero(VEHICLES.segment == VEHICLES.segments.index("commute"))[0])
HOME = next(int(s) for s in VEHICLES.private_station[COMMUTER] if PLACES[s] == "home")
WORK = next(int(s) for s in VEHICLES.private_station[COMMUTER] if PLACES[s] == "work")
ELSEWHERE = next(
    int(e)
    for e in ASSETS.roads.zone_edge
    if e not in STATIONS.edge[VEHICLES.private_station[COMMUTER]]
)
NOW_S = 4 * TICK_S


def seen(station: int = -1, **values: Any) -> Observation:
    """Return a quiet fleet in which `COMMUTER` has the values given."""
    quiet = observation(ASSETS, 1, np.random.default_rng(0))
    count = len(VEHICLES.ids)
    fields: dict[str, Any] = {
        "vehicle_status": np.full(count, Status.IDLE, dtype=np.int8),
        "vehicle_station": np.full(count, -1, dtype=np.int32),
        "vehicle_driving": np.zeros(count, dtype=bool),
        "vehicle_edge": np.full(count, ELSEWHERE, dtype=np.int32),
        "vehicle_soc": np.full(count, 0.99),
        "vehicle_soh": np.ones(count),
        "vehicle_next_departure_s": np.full(count, -1.0),
        "vehicle_next_km": np.zeros(count),
        "vehicle_wear_usd_per_kwh": np.zeros((count, len(C_RATES))),
    }
    if station >= 0:
        fields["vehicle_station"][COMMUTER] = station
        fields["vehicle_status"][COMMUTER] = Status.PLUGGED
    price = values.pop("price", 50.0)
    for name, value in values.items():
        fields[name][COMMUTER] = value
    prices = np.full(len(ASSETS.stations.ids), price)
    return replace(quiet, tick=3, station_price_usd_per_mwh=prices, **fields)


def decide(saw: Observation) -> Plan:
    agent = ChargeWhenLow(ASSETS, SCENARIO.rules)
    plan = empty_plan(saw)
    due = agent.due(saw)
    if due.size:
        agent.act(saw, due, plan)
    return plan


def goes_to(**values: Any) -> int:
    return int(decide(seen(**values)).vehicle_goto_station[COMMUTER])


@pytest.mark.parametrize(("soc", "goes"), [(0.84, True), (0.86, False)])
def test_who_parks_at_a_charger_of_their_own_plugs_in(soc: float, goes: bool) -> None:
    station = goes_to(vehicle_edge=STATIONS.edge[HOME], vehicle_soc=soc)
    assert station == (HOME if goes else -1)


@pytest.mark.parametrize("leaves_s", [LEAST_STAY_S - 1, LEAST_STAY_S])
def test_not_for_a_short_stay(leaves_s: float) -> None:
    station = goes_to(
        vehicle_edge=STATIONS.edge[WORK],
        vehicle_soc=0.5,
        vehicle_next_departure_s=NOW_S + leaves_s,
    )
    assert station == (WORK if leaves_s >= LEAST_STAY_S else -1)


def test_a_driver_plugs_in_by_habit() -> None:
    drivers = np.flatnonzero(~np.isnan(VEHICLES.plug_in_soc))
    driver = next(v for v in drivers if VEHICLES.private_station[v, 0] >= 0)
    home = VEHICLES.private_station[driver, 0]
    habit = VEHICLES.plug_in_soc[driver]
    for soc, goes in ((habit - 0.01, True), (habit + 0.01, False)):
        saw = seen()
        saw.vehicle_edge[driver] = STATIONS.edge[home]
        saw.vehicle_soc[driver] = soc
        assert (decide(saw).vehicle_goto_station[driver] == home) == goes


@pytest.mark.parametrize("leaves_s", [LEAST_STOP_S - 1, LEAST_STOP_S])
def test_a_low_battery_goes_to_a_public_port_if_there_is_time(leaves_s: float) -> None:
    station = goes_to(vehicle_soc=0.2, vehicle_next_departure_s=NOW_S + leaves_s)
    if leaves_s < LEAST_STOP_S:
        assert station == -1
    else:
        assert STATIONS.public[station]


def test_a_trip_that_waits_for_the_battery_sends_it_to_charge() -> None:
    waits = {"vehicle_soc": 0.5, "vehicle_next_departure_s": NOW_S - TICK_S - 1}
    assert STATIONS.public[goes_to(**waits)]
    # One that has just arrived is not waiting: the fleet has not heard of it yet.
    assert goes_to(**waits, vehicle_status=Status.SERVING) == -1


def test_charging_goes_on_to_what_a_long_tour_takes() -> None:
    long_km = 260.0
    need = SCENARIO.rules.reserve_soc + (
        long_km * VEHICLES.cautious_kwh_per_km[COMMUTER]
        / VEHICLES.per_vehicle("battery_kwh")[COMMUTER]
    )  # fmt: skip
    assert 0.9 < need < 1
    target = decide(seen(HOME, vehicle_next_km=long_km)).vehicle_target_soc[COMMUTER]
    assert target == pytest.approx(need)
    assert decide(seen(HOME)).vehicle_target_soc[COMMUTER] == SCENARIO.rules.charge_to_soc


@pytest.mark.parametrize(
    ("price", "soc", "km", "power_kw"),
    [
        (99.0, 0.8, 0.0, "draw"),
        (100.0, 0.8, 0.0, "feed"),
        (100.0, 0.5, 0.0, "draw"),
        (100.0, 0.8, 250.0, "draw"),  # the way home takes it
        (99.0, 0.9, 0.0, "hold"),
    ],
)
def test_two_way_ports_feed_back_at_high_prices(
    price: float, soc: float, km: float, power_kw: str
) -> None:
    plan = decide(seen(WORK, price=price, vehicle_soc=soc, vehicle_next_km=km))
    port_kw = STATIONS.port_kw[WORK]
    expected = {"draw": STATIONS.port_kw.max(), "feed": -port_kw, "hold": 0.0}
    assert plan.vehicle_charge_kw[COMMUTER] == expected[power_kw]


def wear(out: float, into: float) -> Floats:
    """Wear of a pack at `C_RATES`, the same at all of a direction [USD/kWh]."""
    return np.where(np.array(C_RATES) < 0, out, into)


@pytest.mark.parametrize(("out", "into"), [(0.0, 0.0), (0.03, 0.0), (0.03, 0.002), (0.03, -0.01)])
def test_feeding_back_waits_for_a_price_that_covers_the_wear(out: float, into: float) -> None:
    """Of what comes out of the pack, more than at the plug, and of what goes in again."""
    efficiency = VEHICLES.per_vehicle("dc_charge_efficiency")[COMMUTER]
    covers = 100.0 + 1000 * (out + into) / efficiency
    for price, feeds in ((covers - 0.01, False), (covers + 0.01, True)):
        saw = seen(WORK, price=price, vehicle_soc=0.8, vehicle_wear_usd_per_kwh=wear(out, into))
        assert (decide(saw).vehicle_charge_kw[COMMUTER] < 0) == feeds


def test_what_feeding_back_wears_is_that_at_the_power_of_the_port() -> None:
    values = VEHICLES.per_vehicle
    efficiency = values("dc_charge_efficiency")[COMMUTER]
    power_kw = min(STATIONS.port_kw[WORK], values("v2g_discharge_kw")[COMMUTER]) / efficiency
    c_rate = power_kw / values("battery_kwh")[COMMUTER]
    assert 0.1 < c_rate < 0.5
    # As the current, on discharge.
    told = np.maximum(-np.array(C_RATES), 0)
    covers = 100.0 + 1000 * c_rate / efficiency
    for price, feeds in ((covers - 0.01, False), (covers + 0.01, True)):
        saw = seen(WORK, price=price, vehicle_soc=0.8, vehicle_wear_usd_per_kwh=told)
        assert (decide(saw).vehicle_charge_kw[COMMUTER] < 0) == feeds


def test_one_way_ports_do_not_feed_back() -> None:
    plan = decide(seen(HOME, price=500.0, vehicle_soc=0.8))
    assert plan.vehicle_charge_kw[COMMUTER] > 0
