"""What scenario files say wrong of their market."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim import loading
from cosim.errors import ScenarioError


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "city.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        loading.load(str(file))
    return [str(problem) for problem in caught.value.problems]


def test_feeders_stand_at_one_bus_or_each_at_its_own(tmp_path: Path) -> None:
    assert loading.load(settings=["market.feeder_bus=B"]).market.feeder_bus == ("B",)
    settings = ["grid.feeders=3", "market.feeder_bus=[B, C, D]"]
    scenario = loading.load(settings=settings)
    assert scenario.market.feeder_bus == ("B", "C", "D")
    assert type(scenario).model_validate(scenario.plain()) == scenario
    (wrong,) = problems(tmp_path, "grid: {feeders: 3}\nmarket: {feeder_bus: [B, D]}")
    assert wrong == (
        "market.feeder_bus is B, D: must be one bus, or one for each of the 3 feeders "
        "(grid.feeders)."
    )
    (wrong,) = problems(tmp_path, "market: {feeder_bus: A}")
    assert wrong.startswith("market.feeder_bus.0 is 'A': must be 'B', 'C' or 'D'")
    text = "grid: {feeders: 4}\nmarket: {feeder_bus: [C, D, D, D], feeder_multiplier: 2}"
    (wrong,) = problems(tmp_path, text)
    assert "bus D holds so many feeders, the 3 simulated ones among them" in wrong
