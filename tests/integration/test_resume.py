"""The real engines stopped in the middle and resumed: the same bytes as without a stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cosim import checkpoints, loading
from cosim.differences import differences
from cosim.errors import StoppedRunError
from cosim.run import resume, run
from cosim.run_folder import RunFolder
from cosim.scenario import Scenario
from cosim.signals import Role
from cosim.world import Cast

COMMON = (
    "duration=3h",
    "start=2022-09-14 07:00",
    "fleet.vehicles=60",
    "fleet.stations={count: 20}",
    "run.checkpoint_every=1h",
)
SCENARIOS = {
    "cells, meso": ("traffic.background={share_of_capacity: 0.05}",),
    "reservoir, linear, volt-watt, own trips of five segments": (
        "battery.kind=reservoir",
        "grid.kind=linear",
        "grid.volt_watt=on",
        "fleet.segments={ride_share: 1, delivery: 1, commute: 1, transit: 1, consumer: 1}",
        "traffic.incidents=[{edge: 10_11, from: '08:00', to: '09:10'}]",
        "market.real_time=on",
    ),
    "bids on the suburb": (
        "grid.feeder=suburb",
        "market.bids=on",
        "fleet.segments={consumer: 1, commute: 1}",
        "fleet.stations={count: 4}",
        "fleet.initial_soc=[0.2, 0.5]",
        "start=2022-09-14 17:00",
        "battery.kind=reservoir",
    ),
    "demand response and reserve": (
        "fleet.segments={ride_share: 1, commute: 2}",
        "start=2022-09-14 09:00",
        "market.demand_response=[{start: '10:10', minutes: 60, notice_minutes: 20}]",
        "market.demand_response_calls={per_day: 1, minutes: 30}",
        "market.reserve={requirement_kw: 40}",
        "market.scarce_below_mw=520",
        "rules.feed_back_above_usd_per_mwh=20",
        "battery.kind=reservoir",
    ),
    "micro": ("traffic.kind=micro", "fleet.vehicles=20", "battery.kind=reservoir"),
}


def stopping(scenario: Scenario, tick: int) -> Cast:
    """Return the scenario's simulators; the grid asks for a stop in a tick."""
    classes: dict[Role, Any] = dict(Cast.of(scenario).classes)

    class Stops(classes["grid"]):
        def advance(self, at: int, given: Mapping[str, Any]) -> dict[str, Any]:
            if at == tick:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().advance(at, given)

    classes["grid"] = Stops
    return Cast(classes)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, name: str) -> None:
    scenario = loading.load(settings=[*COMMON, *SCENARIOS[name]])
    whole = run(scenario, tmp_path / "whole", quiet=True)
    folder = tmp_path / "stopped"
    with pytest.raises(StoppedRunError):
        run(scenario, folder, quiet=True, cast=stopping(scenario, 17))
    assert [c.ticks for c in checkpoints.every(folder)] == [19, 12]
    with pytest.raises(StoppedRunError):
        resume(RunFolder.find(str(folder)), quiet=True, cast=stopping(scenario, 29))
    assert [c.ticks for c in checkpoints.every(folder)] == [31, 24]
    again = resume(RunFolder.find(str(folder)), quiet=True)
    assert differences(whole.folder, folder) == []
    assert again.output_digest == whole.output_digest
