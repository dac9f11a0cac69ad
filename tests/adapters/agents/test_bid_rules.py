"""Bids of the rule-based team: by urgency, by the prices seen, by wear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.agents import rule_based
from adapters.agents.bid_rules import LEAST_SLACK_S, BidByUrgency
from adapters.agents.needs import Needs
from cosim.scenario import Scenario
from cosim.team import Observation, Plan, Status
from tests.adapters.agents import test_charge_rules as scene

CAR, HOME, WORK = scene.COMMUTER, scene.HOME, scene.WORK
LOST_LOAD = 5000.0
RULES = scene.SCENARIO.rules
PUBLIC = int(np.flatnonzero(scene.STATIONS.public)[0])


def bid(saw: Observation, agent: BidByUrgency | None = None, charge_kw: float = 7.0) -> Plan:
    agent = agent or BidByUrgency(scene.ASSETS, RULES, LOST_LOAD)
    plan = scene.empty_plan(saw)
    plan.vehicle_charge_kw[CAR] = charge_kw
    agent.act(saw, agent.due(saw), plan)
    return plan


def bid_at(station: int, price: float = 50.0, **values: Any) -> float:
    return float(bid(scene.seen(station, price=price, **values)).vehicle_bid_usd_per_mwh[CAR])


def test_what_can_wait_is_worth_little_more_than_usual() -> None:
    assert bid_at(HOME) == pytest.approx(RULES.can_wait_over_usual * 50.0)
    assert bid_at(HOME, price=-20.0) == 0.0
    assert bid_at(HOME, price=4000.0) == LOST_LOAD


def test_a_low_battery_and_a_public_port_are_worth_more() -> None:
    low = RULES.plug_in_below_soc - 0.01
    assert bid_at(HOME, vehicle_soc=low) == RULES.needed_usd_per_mwh
    assert bid_at(PUBLIC) == RULES.needed_usd_per_mwh
    # Never less than what can wait.
    assert bid_at(PUBLIC, price=400.0) == RULES.can_wait_over_usual * 400.0


def test_a_trip_that_cannot_wait_pays_up_to_lost_load() -> None:
    km = 150.0
    saw = scene.seen(HOME, vehicle_next_km=km, vehicle_soc=0.5)
    needs = Needs(scene.ASSETS, RULES)
    missing_kwh = (
        (needs.soc(saw)[CAR] - 0.5)
        * scene.VEHICLES.per_vehicle("battery_kwh")[CAR]
    )  # fmt: skip
    ac_kw = min(scene.STATIONS.port_kw[HOME], scene.VEHICLES.per_vehicle("ac_charge_kw")[CAR])
    efficiency = scene.VEHICLES.per_vehicle("ac_charge_efficiency")[CAR]
    charging_s = 3600 * missing_kwh / (ac_kw * efficiency)
    assert charging_s > 600
    found = [
        bid_at(
            HOME,
            vehicle_next_km=km,
            vehicle_soc=0.5,
            vehicle_next_departure_s=scene.NOW_S + charging_s + LEAST_SLACK_S + spare_s,
        )
        for spare_s in (1.0, -1.0)
    ]
    assert found == [RULES.needed_usd_per_mwh, LOST_LOAD]


def test_the_usual_price_is_the_mean_of_those_seen_without_limits() -> None:
    agent = BidByUrgency(scene.ASSETS, RULES, LOST_LOAD)
    bid(scene.seen(HOME, price=40.0), agent)
    held = np.full(len(scene.STATIONS.ids), 10.0)
    dear = replace(scene.seen(HOME, price=90.0), station_line_usd_per_mwh=held)
    found = bid(dear, agent).vehicle_bid_usd_per_mwh[CAR]
    assert found == pytest.approx(RULES.can_wait_over_usual * (40.0 + 80.0) / 2)


def test_feeding_back_asks_for_the_threshold_and_wear() -> None:
    values = {"vehicle_soc": 0.8, "vehicle_wear_usd_per_kwh": scene.wear(0.03, 0.002)}
    plan = bid(scene.seen(WORK, price=500.0, **values), charge_kw=-10.0)
    efficiency = scene.VEHICLES.per_vehicle("dc_charge_efficiency")[CAR]
    expected = RULES.feed_back_above_usd_per_mwh + 1000 * 0.032 / efficiency
    assert plan.vehicle_ask_usd_per_mwh[CAR] == pytest.approx(expected)
    # Nobody else feeds back, and nobody else's ask is touched.
    assert (np.delete(plan.vehicle_ask_usd_per_mwh, CAR) == -LOST_LOAD).all()


def test_one_that_is_not_plugged_in_has_its_bid_ready() -> None:
    saw = scene.seen(vehicle_status=Status.TO_STATION, vehicle_soc=0.2)
    assert bid(saw).vehicle_bid_usd_per_mwh[CAR] == RULES.needed_usd_per_mwh


@pytest.mark.parametrize("bids", ["on", "off"])
def test_the_team_has_a_bidder_where_there_are_bids(bids: str) -> None:
    scenario = Scenario.model_validate({**scene.SCENARIO.plain(), "market": {"bids": bids}})
    names = [agent.name for agent in rule_based.team(scenario, scene.ASSETS).agents]
    assert ("market_bidder" in names) == (bids == "on")
