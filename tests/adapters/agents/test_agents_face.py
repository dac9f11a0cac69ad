"""What agents get: the surroundings of a run, and nothing that is to come."""

from __future__ import annotations

from dataclasses import fields

from adapters.agents.simulator import Agents
from cosim.assets import Assets, Surroundings
from cosim.scenario import Scenario
from cosim.team import Observation, Team


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
