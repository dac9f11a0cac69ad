"""What agents get: the surroundings of a run, and nothing that is to come."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from adapters.agents.simulator import Agents
from adapters.agents.synthetic import observation
from cosim.assets import Assets, Surroundings
from cosim.scenario import Scenario
from cosim.team import Agent, Ints, Observation, Plan, Team


def test_agents_are_not_handed_the_trips_and_the_weather_to_come() -> None:
    scenario = Scenario.model_validate(
        {"fleet": {"vehicles": 10, "stations": {"count": 5}}, "duration": "1h"}
    )
    given: list[Surroundings] = []

    class Spy(Agents):
        def team(self, scenario: Scenario, around: Surroundings) -> Team:
            given.append(around)
            return super().team(scenario, around)

    assets = Assets.of(scenario)
    Spy().prepare(scenario, assets)
    (around,) = given
    assert {f.name for f in fields(around)} == {"roads", "vehicles", "stations"}
    for hidden in ("demand", "ambient_c", "surroundings"):
        assert hasattr(assets, hidden)
        assert not hasattr(around, hidden)
    # They learn both from what they observe.
    assert {"request_segment", "ambient_c"} <= {f.name for f in fields(Observation)}


def test_bids_stand_until_changed_and_begin_with_lost_load() -> None:
    class Once(Agent):
        name = "market_bidder"

        def due(self, seen: Observation) -> Ints:
            return np.array([3] if seen.tick == 1 else [], dtype=np.int32)

        def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
            del seen
            plan.vehicle_bid_usd_per_mwh[due] = 70.0
            plan.vehicle_ask_usd_per_mwh[due] = 90.0

    class Bidders(Agents):
        def team(self, scenario: Scenario, around: Surroundings) -> Team:
            del scenario, around
            return Team((Once(),))

    scenario = Scenario.model_validate(
        {
            "fleet": {"vehicles": 10, "stations": {"count": 5}},
            "duration": "1h",
            "market": {"value_of_lost_load_usd_per_mwh": 800.0},
        }
    )
    assets = Assets.of(scenario)
    team = Bidders()
    team.prepare(scenario, assets)
    ids = {dim: tuple("0123456789") for dim in ("vehicle", "request", "station", "edge")}
    team.bind({dim: list(names) for dim, names in ids.items()}, {})
    given = vars(observation(assets, 10, np.random.default_rng(0)))
    out = [team.advance(tick, given) for tick in range(3)]
    assert out[0]["vehicle_bid_usd_per_mwh"].tolist() == [800.0] * 10
    assert out[0]["vehicle_ask_usd_per_mwh"].tolist() == [-800.0] * 10
    for later in out[1:]:
        assert later["vehicle_bid_usd_per_mwh"].tolist() == [800.0] * 3 + [70.0] + [800.0] * 6
        assert later["vehicle_ask_usd_per_mwh"][3] == 90.0
