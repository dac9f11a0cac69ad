"""What is wrong with the traffic that a scenario asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import networks.roads
from adapters.sumo.record import manifest_of, read
from cosim.errors import Problem, TrafficError, UserError
from cosim.scenario import Scenario


def replay_problems(scenario: Scenario) -> Sequence[Problem]:
    """Return why the run that `scenario` names cannot be replayed; empty if it can."""
    field, name = "traffic.replay", scenario.traffic.replay
    if not name:
        return [
            Problem(field, "empty", "must name the folder of a run, which the kind replay drives")
        ]
    try:
        roads = networks.roads.load(scenario.traffic.roads)
    except (UserError, TrafficError):
        # The field of the roads says so.
        return []
    try:
        read(Path(name), roads)
    except UserError as error:
        return [
            Problem(field, name, f"must be the folder of a complete run on these roads; it {error}")
        ]
    recorded = manifest_of(Path(name))["scenario"]["traffic"]
    wanted = scenario.plain()["traffic"]
    return [
        Problem(
            f"traffic.{part}",
            "",
            "must be that of the run that is replayed: its trips have met what was recorded",
        )
        for part in ("incidents", "background")
        if wanted[part] != recorded.get(part, wanted[part])
    ]
