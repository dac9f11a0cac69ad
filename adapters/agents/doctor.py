"""Self-test of the rule-based team."""

from __future__ import annotations

import numpy as np

from adapters.agents import rule_based
from adapters.agents.synthetic import empty_plan, observation
from cosim.assets import Assets
from cosim.health import Check
from cosim.scenario import Scenario


def check() -> list[Check]:
    """Let the team decide for a random fleet and check that it promises nothing twice."""
    scenario = Scenario.model_validate({"fleet": {"vehicles": 60, "stations": {"count": 20}}})
    assets = Assets.of(scenario)
    seen = observation(assets, 30, np.random.default_rng(0))
    plan = empty_plan(seen)
    rule_based.team(scenario, assets).decide(seen, plan)
    assigned = plan.request_vehicle[plan.request_vehicle >= 0]
    sent = np.flatnonzero(plan.vehicle_goto_station >= 0)
    orders = [*assigned.tolist(), *sent.tolist()]
    good = len(orders) == len(set(orders)) and bool(seen.idle[orders].all()) and assigned.size > 0
    return [
        Check(
            "rule-based decisions",
            good,
            f"{assigned.size} of 30 requests assigned, {sent.size} vehicles sent to charge",
        )
    ]
