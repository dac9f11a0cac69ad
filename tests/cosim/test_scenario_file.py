"""Scenario files: everything wrong is said at once, with what is allowed and what is near."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cosim import loading
from cosim.errors import ScenarioError, UserError
from cosim.notation import format_duration, parse_duration, parse_moment
from cosim.scenario import Scenario
from cosim.template import commented


def problems_of(tmp_path: Path, text: str) -> dict[str, str]:
    file = tmp_path / "city.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        loading.load(str(file))
    assert str(file) in str(caught.value)
    return {problem.field: str(problem) for problem in caught.value.problems}


def test_all_problems_at_once(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path,
        """
        duration: 24
        start: someday
        fleet:
          vehicels: 20
          vehicles: -1
          initial_soc: [0.9, 0.2]
          stations: {level_2: 0.9}
        traffic: {kind: mezo}
        market: {prices: LZ_AUS}
        grid: {charger_power_factor: 2}
        run: {audit: stopp}
        teem: rule_based
        """,
    )
    assert "24h, 90min" in found["duration"]
    assert "2022-07-14" in found["start"]
    assert "Did you mean vehicles?" in found["fleet.vehicels"]
    assert "at least 1" in found["fleet.vehicles"]
    assert "must be 1, not 1.25" in found["fleet.stations"]
    assert "Did you mean meso?" in found["traffic.kind"]
    assert "LZ_AEN" in found["market.prices"]
    assert "at most 1" in found["grid.charger_power_factor"]
    assert "Did you mean stop?" in found["run.audit"]
    assert "Did you mean team?" in found["teem"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: [1", "is not YAML"),
        ("- a\n- b", "must be fields with values"),
        ("just text", "must be fields with values"),
        ("seed: 1\nseed: 2", "given twice, first in line 1"),
        ("fleet: 5", "must be fields with values"),
        ("start: 1999-01-01", "prices do not cover the run"),
        ("duration: 7min", "5-minute ticks"),
        ("seed: 1.5", "whole number"),
        ("seed: .nan", "number"),
        ("battery: {ambient_c: .inf}", "must be a finite number"),
        ("name: ../up", "letters, digits"),
        ("? [a, b]\n: 1", "is not"),
        ("seed: !!python/object:os.system {}", "is not YAML"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in text for text in problems_of(tmp_path, text).values())


def test_not_text(tmp_path: Path) -> None:
    file = tmp_path / "city.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read as text"):
        loading.load(str(file))


def test_unknown_name_suggests_a_shipped_one() -> None:
    with pytest.raises(UserError, match="Did you mean siouxfalls_day"):
        loading.load("siouxfals_day")


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("")
    assert loading.load(str(file)) == Scenario()


def test_settings_override_the_file() -> None:
    scenario = loading.load(
        settings=["fleet.vehicles=20", "duration=2h", "fleet.stations.count=10"], seed=7
    )
    assert (scenario.fleet.vehicles, scenario.ticks, scenario.seed) == (20, 24, 7)
    assert scenario.fleet.stations.count == 10


@pytest.mark.parametrize("setting", ["fleet.vehicles", "=3", "seed.x=1", "fleet.vehicles=[1"])
def test_bad_settings(setting: str) -> None:
    with pytest.raises(UserError, match="--set"):
        loading.load(settings=[setting])


def test_bad_setting_names_its_field() -> None:
    with pytest.raises(ScenarioError, match=r"fleet.vehicels.*Did you mean vehicles"):
        loading.load(settings=["fleet.vehicels=3"])


@pytest.mark.parametrize("name", loading.shipped())
def test_shipped_scenarios_are_valid(name: str) -> None:
    scenario = loading.load(name)
    assert scenario.name == name
    assert scenario.description


def test_scenario_is_frozen_and_reads_itself_back() -> None:
    scenario = loading.load()
    with pytest.raises(ValidationError):
        scenario.seed = 1  # pyright: ignore[reportAttributeAccessIssue]
    again = Scenario.model_validate(scenario.plain())
    assert again == scenario
    assert again.sha256() == scenario.sha256()
    assert loading.load(seed=7).sha256() != scenario.sha256()


def test_template_is_the_default_scenario(tmp_path: Path) -> None:
    file = tmp_path / "my_city.yaml"
    file.write_text(commented("my_city", str(file)))
    scenario = loading.load(str(file))
    expected = Scenario(name="my_city", description="my scenario")
    assert scenario == expected
    written = yaml.safe_load(file.read_text())
    assert set(written) == set(Scenario.model_fields)
    assert "(meso" in file.read_text()


@given(st.integers(0, 400 * 86_400))
def test_durations_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "3 hours", "-2h", "1.5h", None, 24, True])
def test_not_durations(text: object) -> None:
    with pytest.raises(ValueError, match="24h"):
        parse_duration(text)


def test_moments() -> None:
    assert parse_moment("2022-07-14") == "2022-07-14 00:00"
    assert parse_moment("2022-07-14 06:05") == "2022-07-14 06:05"
    for wrong in ("2022-07-14 06:03", "2022-13-01", "2022-07-14T06:00Z", 5):
        with pytest.raises(ValueError, match="must"):
            parse_moment(wrong)
