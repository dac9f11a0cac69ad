"""Decision latency of the rule-based team."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from adapters.agents import rule_based
from adapters.agents.synthetic import empty_plan, observation
from cosim.assets import Assets
from cosim.health import Measurement
from cosim.scenario import Scenario

REPEATS = 25


def bench() -> list[Measurement]:
    """Measure a tick's decisions for two sizes of fleet."""
    rows: list[Measurement] = []
    for vehicles, stations in ((500, 170), (10_200, 3_400)):
        scenario = Scenario.model_validate(
            {"fleet": {"vehicles": vehicles, "stations": {"count": stations}}}
        )
        assets = Assets.of(scenario)
        team = rule_based.team(scenario, assets)
        requests = vehicles // 30
        seen = observation(assets, requests, np.random.default_rng(0))
        times_ms: list[float] = []
        for _ in range(REPEATS):
            plan = empty_plan(seen)
            start = perf_counter()
            team.decide(seen, plan)
            times_ms.append(1e3 * (perf_counter() - start))
        rows.append(
            Measurement(
                f"rule-based team, {vehicles} vehicles",
                float(np.percentile(times_ms, 99)),
                "ms/tick (p99)",
                None,
                f"{requests} open requests, every agent due, {REPEATS} times",
            )
        )
    return rows
