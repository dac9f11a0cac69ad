"""The mosaik face of a team."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from adapters.agents import rule_based
from cosim.assets import Assets, Surroundings
from cosim.scenario import Scenario
from cosim.signals import Role
from cosim.simulator import Simulator, blank
from cosim.team import Observation, Plan, Team


class Agents(Simulator):
    """Hands a team its observations and puts its plan on the wire."""

    role: ClassVar[Role] = "agents"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Build the team that the scenario names."""
        self._team = self.team(scenario, assets.surroundings)
        vehicles = len(assets.vehicles.ids)
        lost_load = scenario.market.value_of_lost_load_usd_per_mwh
        self._standing = {
            "vehicle_charge_kw": np.zeros(vehicles),
            "vehicle_target_soc": np.ones(vehicles),
            "vehicle_bid_usd_per_mwh": np.full(vehicles, lost_load),
            "vehicle_ask_usd_per_mwh": np.full(vehicles, -lost_load),
        }
        """Set points and bids, which stand until they are changed."""

    def team(self, scenario: Scenario, around: Surroundings) -> Team:
        """Return the team; a subclass returns another one."""
        return rule_based.team(scenario, around)

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Decide for the next tick."""
        seen = Observation.of(tick, given)
        plan = Plan(
            request_vehicle=blank("request_vehicle", self._ids, -1),
            vehicle_goto_station=blank("vehicle_goto_station", self._ids, -1),
            vehicle_via_edge=blank("vehicle_via_edge", self._ids, -1),
            vehicle_reserve_usd_per_mw_h=blank("vehicle_reserve_usd_per_mw_h", self._ids, -1),
            **{name: values.copy() for name, values in self._standing.items()},
        )
        start = perf_counter()
        self._team.decide(seen, plan)
        latency_ms = 1e3 * (perf_counter() - start)
        decided = vars(plan)
        self._standing = {name: decided[name] for name in self._standing}
        return {**decided, "decision_latency_ms": latency_ms}
