"""What the rule-based team does in events of demand response, and the reserve that it offers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.agents import rule_based
from adapters.agents.charge_rules import ChargeWhenLow
from adapters.agents.service_rules import AnswerEvents, OfferReserve
from adapters.agents.synthetic import empty_plan
from cosim.signals import C_RATES
from cosim.team import Observation, Plan, Status
from tests.adapters.agents.test_charge_rules import (
    ASSETS,
    COMMUTER,
    ELSEWHERE,
    HOME,
    NOW_S,
    SCENARIO,
    STATIONS,
    WORK,
    seen,
)

RULES = SCENARIO.rules
BEGIN_S, END_S = NOW_S, NOW_S + 3600.0


def observed(pay: float = 1000.0, span_s: Any = (BEGIN_S, END_S), **values: Any) -> Observation:
    """Return what is seen when an event is known, with the commuter at home."""
    found = seen(station=values.pop("station", HOME), **values)
    begin_s, end_s = (np.full(len(found.response_begin_s), moment) for moment in span_s)
    return replace(
        found,
        response_begin_s=begin_s,
        response_end_s=end_s,
        response_offer_usd_per_mwh=np.full(len(begin_s), pay),
    )


def answered(
    agent: AnswerEvents,
    saw: Observation,
    set_point_kw: float = 7.0,
    others_kw: float | None = None,
) -> float:
    """Return the commuter's set point behind the agent, before it `set_point_kw`."""
    plan = empty_plan(saw)
    plan.vehicle_charge_kw[:] = set_point_kw if others_kw is None else others_kw
    plan.vehicle_charge_kw[COMMUTER] = set_point_kw
    due = agent.due(saw)
    if due.size:
        agent.act(saw, due, plan)
    others = np.delete(plan.vehicle_charge_kw, COMMUTER)
    assert (others == (set_point_kw if others_kw is None else others_kw)).all()
    return float(plan.vehicle_charge_kw[COMMUTER])


def test_charging_that_can_wait_waits_and_goes_on() -> None:
    agent = AnswerEvents(ASSETS, RULES)
    known_s = (NOW_S + 300.0, END_S)
    assert answered(agent, observed(span_s=known_s, vehicle_soc=0.5)) == 7.0
    assert answered(agent, observed(vehicle_soc=0.5)) == 0.0
    # Somebody else sets it anew while it waits.
    assert answered(agent, observed(vehicle_soc=0.5), set_point_kw=22.0) == 0.0
    plan = empty_plan(saw := observed(span_s=(-1.0, -1.0), vehicle_soc=0.5))
    agent.act(saw, agent.due(saw), plan)
    assert plan.vehicle_charge_kw[COMMUTER] == 22.0


def test_who_is_on_the_way_is_told_before_it_plugs_in() -> None:
    agent = AnswerEvents(ASSETS, RULES)
    saw, plan = observed(station=-1, vehicle_soc=0.5), empty_plan(observed())
    plan.vehicle_charge_kw[:] = 7.0
    plan.vehicle_goto_station[COMMUTER] = HOME
    agent.act(saw, agent.due(saw), plan)
    assert plan.vehicle_charge_kw[COMMUTER] == 0.0
    way = {"station": -1, "vehicle_soc": 0.5, "vehicle_status": Status.TO_STATION}
    assert answered(agent, observed(**way), 0.0, others_kw=7.0) == 0.0
    # It gives up: nobody who stands somewhere is held.
    assert answered(agent, observed(station=-1, vehicle_soc=0.5), 0.0, others_kw=7.0) == 7.0


@pytest.mark.parametrize(
    ("pay", "wear", "soc", "set_point_kw"),
    [
        # 50 USD/MWh of the station, 100 asked for.
        (1000.0, 0.0, 0.8, -11.0),
        (1000.0, 0.0, 0.45, 0.0),
        (40.0, 0.0, 0.8, 0.0),
        (1000.0, 0.6, 0.8, 0.0),
    ],
)
def test_at_a_two_way_port_pay_is_worth_feeding_back(
    pay: float, wear: float, soc: float, set_point_kw: float
) -> None:
    agent = AnswerEvents(ASSETS, RULES)
    there = {"station": WORK, "vehicle_soc": soc}
    told: dict[str, Any] = {"vehicle_wear_usd_per_kwh": np.full(len(C_RATES), wear)} | there
    found = answered(agent, observed(pay=pay, **told))
    assert (found < 0) == (set_point_kw < 0)
    assert found in (0.0, -STATIONS.port_kw[WORK])
    # In the next tick its own set point stands there still.
    assert answered(agent, observed(pay=pay, **told), found, others_kw=7.0) == found
    assert answered(agent, observed(span_s=(-1.0, -1.0), **told), found, others_kw=7.0) == 7.0


def test_what_feeds_back_goes_on() -> None:
    assert answered(AnswerEvents(ASSETS, RULES), observed(vehicle_soc=0.9), -5.0) == -5.0


@pytest.mark.parametrize(
    ("soc", "leaves_s", "waits"),
    [(0.5, 4000.0, True), (0.12, 4000.0, False), (0.12, 6 * 3600.0, True), (0.12, None, True)],
)
def test_what_the_next_trip_needs_is_charged(
    soc: float, leaves_s: float | None, waits: bool
) -> None:
    trip = {"vehicle_next_km": 60.0 if leaves_s else 0.0}
    if leaves_s:
        trip["vehicle_next_departure_s"] = NOW_S + leaves_s
    found = answered(AnswerEvents(ASSETS, RULES), observed(vehicle_soc=soc, **trip))
    assert found == (0.0 if waits else 7.0)


def test_for_too_little_pay_nobody_waits() -> None:
    for above, waits in ((500.0, False), (400.0, True), (None, False)):
        rules = RULES.model_copy(update={"respond_above_usd_per_mwh": above})
        found = answered(AnswerEvents(ASSETS, rules), observed(pay=450.0, vehicle_soc=0.5))
        assert (found == 0.0) == waits


def offered(saw: Observation) -> Plan:
    plan, agent = empty_plan(saw), OfferReserve(ASSETS, RULES)
    due = agent.due(saw)
    if due.size:
        agent.act(saw, due, plan)
    return plan


@pytest.mark.parametrize(("usd_per_kwh", "least"), [(0.03, 60.0), (-0.03, 0.0)])
def test_reserve_is_offered_for_the_wear_of_a_call(usd_per_kwh: float, least: float) -> None:
    wear = np.full(len(C_RATES), usd_per_kwh)
    saw = observed(station=WORK, vehicle_soc=0.8, vehicle_wear_usd_per_kwh=wear)
    price = offered(saw).vehicle_reserve_usd_per_mw_h
    # Out of the pack and into it again, at the plug.
    efficiency = ASSETS.vehicles.per_vehicle("dc_charge_efficiency")[COMMUTER]
    assert price[COMMUTER] == pytest.approx(least / efficiency)
    assert (np.delete(price, COMMUTER) == -1).all()


@pytest.mark.parametrize(
    "there",
    [
        {"station": WORK, "vehicle_soc": 0.45},
        {"station": WORK, "vehicle_soc": 0.6, "vehicle_next_km": 250.0},
        {"station": HOME, "vehicle_soc": 0.8},
        {"station": -1, "vehicle_soc": 0.8, "vehicle_edge": ELSEWHERE},
    ],
)
def test_no_reserve_of_what_a_trip_takes_or_a_port_cannot_give(there: dict[str, Any]) -> None:
    assert STATIONS.bidirectional[WORK]
    assert not STATIONS.bidirectional[HOME]
    assert (offered(observed(**there)).vehicle_reserve_usd_per_mw_h == -1).all()


def test_a_full_vehicle_stays_to_hold_reserve() -> None:
    rules = RULES.model_copy(update={"feed_back_above_usd_per_mwh": None})
    saw = observed(station=WORK, vehicle_soc=0.9, price=5000.0)
    for stays, target in ((True, 1.0), (False, rules.charge_to_soc)):
        plan, agent = empty_plan(saw), ChargeWhenLow(ASSETS, rules, stays_full=stays)
        agent.act(saw, agent.due(saw), plan)
        assert plan.vehicle_target_soc[COMMUTER] == target
        assert (plan.vehicle_charge_kw[COMMUTER] == 0.0) == stays


def test_seats_are_taken_only_where_there_is_something_to_do() -> None:
    def names(**market: Any) -> list[str]:
        chosen = SCENARIO.market.model_validate(market)
        scenario = SCENARIO.model_copy(update={"market": chosen})
        return [agent.name for agent in rule_based.team(scenario, ASSETS).agents]

    assert names() == ["charging_scheduler", "fleet_dispatcher"]
    assert "event_manager" in names(demand_response_calls={"per_day": 1})
    assert "event_manager" in names(demand_response=[{"start": "17:00", "minutes": 30}])
    assert "reserve_trader" in names(reserve={"requirement_kw": 10.0})
