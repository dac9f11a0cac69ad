"""The mosaik face of a team."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, ClassVar

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
        self._charge_kw: Any = None
        self._target_soc: Any = None

    def team(self, scenario: Scenario, around: Surroundings) -> Team:
        """Return the team; a subclass returns another one."""
        return rule_based.team(scenario, around)

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Decide for the next tick."""
        if self._charge_kw is None:
            self._charge_kw = blank("vehicle_charge_kw", self._ids)
            self._target_soc = blank("vehicle_target_soc", self._ids, 1.0)
        seen = Observation.of(tick, given)
        plan = Plan(
            request_vehicle=blank("request_vehicle", self._ids, -1),
            vehicle_goto_station=blank("vehicle_goto_station", self._ids, -1),
            vehicle_charge_kw=self._charge_kw.copy(),
            vehicle_target_soc=self._target_soc.copy(),
            vehicle_via_edge=blank("vehicle_via_edge", self._ids, -1),
            vehicle_reserve_usd_per_mw_h=blank("vehicle_reserve_usd_per_mw_h", self._ids, -1),
        )
        start = perf_counter()
        self._team.decide(seen, plan)
        latency_ms = 1e3 * (perf_counter() - start)
        self._charge_kw, self._target_soc = plan.vehicle_charge_kw, plan.vehicle_target_soc
        return {**vars(plan), "decision_latency_ms": latency_ms}
