"""Scenario files: everything wrong is said at once, with what is allowed and what is near."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cosim import loading, manifest
from cosim.errors import ScenarioError, UserError
from cosim.notation import format_duration, parse_duration, parse_moment
from cosim.scenario import Scenario


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
        start: 2022-02-30
        seed: yes
        processes: apart
        fleet:
          vehicels: 20
          vehicles: -1
          1: 2
          boarding: 2h
          initial_soc: [0.9, 0.2]
          stations: {level_2: 0.9, dc: 1}
          body_types: {sedan: 1.5}
        rules: {reserve_soc: 0.5, charge_to: 0.8}
        weather: {ambient_c: warm, sereis: x}
        battery: {chemistry: {van: lpf}}
        ageing: {age_years: .inf, acceleration: 0.5}
        traffic: {kind: mezo}
        market: {prices: LZ_AUS}
        grid: {charger_power_factor: 2}
        run: {audit: stopp}
        teem: rule_based
        """,
    )
    expected = {
        "duration": "is 24: must be a duration with its unit, such as 24h, 90min",
        "start": "is '2022-02-30': must be a date such as 2022-07-14",
        "seed": "is 'yes': must be a whole number, not text",
        "processes": "is 'apart': must be 'one' or 'separate'",
        "fleet.vehicels": "Did you mean vehicles?",
        "fleet.vehicles": "must be at least 1.",
        "fleet.1": "is not a field; known here are vehicles,",
        "fleet.boarding": "is '2h': must be at most 1h.",
        "fleet.initial_soc": "is [0.9, 0.2]: must be [low, high] with low <= high",
        "fleet.stations": "level_2 + dc_fast + v2g must be 1, not 1.25",
        "fleet.stations.dc": "is not a field",
        "fleet.body_types": "sedan + suv + van must be 1, not 1.95",
        "fleet.body_types.sedan": "must be at most 1.",
        "rules": "needs reserve_soc < plug_in_below_soc < charge_to_soc",
        "rules.charge_to": "Did you mean charge_to_soc?",
        "weather.ambient_c": "is 'warm': must be a number, not text",
        "weather.sereis": "Did you mean series?",
        "battery.chemistry.van": "is 'lpf': must be 'nmc' or 'lfp'. Did you mean lfp?",
        "ageing.age_years": "must be a finite number",
        "ageing.acceleration": "must be at least 1",
        "traffic.kind": "Did you mean meso?",
        "market.prices": "LZ_AEN",
        "grid.charger_power_factor": "must be at most 1.",
        "run.audit": "Did you mean stop?",
        "teem": "Did you mean team?",
    }
    assert set(found) == set(expected)
    for field, words in expected.items():
        assert words in found[field]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("seed: x\nstart: 2024-01-01", {"seed", "start"}),
        ("traffic: {kind: mezo}\nstart: 2024-01-01", {"traffic.kind", "start"}),
        ("market: {kind: 1}\nstart: 2024-01-01", {"market.kind", "start"}),
        ("market: {prices: LZ}\nstart: 2024-01-01", {"market.prices"}),
        ("duration: 0h\nstart: 2024-01-01", {"duration"}),
        ("start: 9999-12-31\nduration: 366d", {"start"}),
    ],
)
def test_prices_are_asked_for_whatever_else_is_wrong(
    tmp_path: Path, text: str, fields: set[str]
) -> None:
    assert set(problems_of(tmp_path, text)) == fields


@pytest.mark.parametrize(("feeders", "multiplier"), [(1, 0.0), (1, 0.5), (3, 3.0), (200, 200.0)])
def test_simulated_feeders_are_among_those_at_bus_d(feeders: int, multiplier: float) -> None:
    settings = [f"grid.feeders={feeders}", f"market.feeder_multiplier={multiplier}"]
    assert loading.load(settings=settings).grid.feeders == feeders


def test_only_numbers_are_added_up(tmp_path: Path) -> None:
    text = "fleet: {body_types: {sedan: much, suv: 0.9}, stations: {v2g: true, dc_fast: 0.9}}"
    found = problems_of(tmp_path, text)
    assert set(found) == {"fleet.body_types.sedan", "fleet.stations.v2g"}


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
        ("seed: 2.0", "whole number"),
        ("seed: .nan", "must be a finite number"),
        ("market: {feeder_multiplier: .nan}", "must be a finite number"),
        ("grid: {feeders: 0}", "must be at least 1"),
        ("grid: {feeders: 41}", "grid.feeders is 41: must be at most market.feeder_multiplier, 40"),
        ("fleet: {vehicles: true}", "is true: must be a whole number"),
        ("fleet: {vehicles: '20'}", "must be a whole number, not text"),
        ("fleet: {initial_soc: [true, 1]}", "must be a number"),
        ("fleet: {initial_soc: [0.5]}", "fleet.initial_soc is [0.5]: must be a list [low, high]"),
        ("fleet: {initial_soc: 0.5}", "must be a list [low, high]"),
        ("seed:", "seed is null: must be a whole number"),
        ("seed: &a [*a]", "recursive"),
        ("duration: 0h", "duration is '0h': must be at least 5min."),
        ("duration: 400d", "must be at most 366d."),
        ("duration: 24:00", "duration is '24:00': must be a duration"),
        (f"duration: {'9' * 5000}d", "must be a duration"),
        ("start: 12:00", "start is '12:00': must be a date"),
        ("start: 20220914", "start is 20220914: must be a date"),
        ("start: !!timestamp x", "!!timestamp is not known here"),
        (f"seed: {'1' * 5000}", "cannot be read as a whole number"),
        (f"seed: {'1' * 4000}", "must be at most 2147483647"),
        (f"name: {'a' * 200}", "must be at most 100 characters"),
        ("{seed: 1, seed: 2}", "seed is given twice"),
        ("processes: two", "must be 'one' or 'separate'"),
        ("weather: {ambient_c: .inf}", "must be a finite number"),
        ("weather: {ambient_c: -21}", "must be at least -20"),
        ("weather: {series: sioux_falls_januar}", "must be one of austin_january"),
        ("weather: {series: absent.csv}", "cannot be read"),
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


@pytest.mark.parametrize("source", ["", ".", "..", "/no/..", "a" * 300, "a/" * 3000, "\0"])
def test_names_that_are_no_file(source: str) -> None:
    with pytest.raises(UserError):
        loading.load(source)


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("")
    assert loading.load(str(file)) == Scenario()


@pytest.mark.parametrize("text", ["fleet:", "fleet: {stations: , body_types: null}\nmarket: ~"])
def test_empty_section_is_its_defaults(tmp_path: Path, text: str) -> None:
    file = tmp_path / "city.yaml"
    file.write_text(text)
    assert loading.load(str(file)) == Scenario()
    assert loading.load(settings=["fleet="]).fleet == Scenario().fleet
    assert loading.load(settings=["fleet=", "fleet.vehicles=3"]).fleet.vehicles == 3


def test_shared_sections_are_overridden_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "city.yaml"
    file.write_text("traffic: &kind {kind: meso}\nbattery: *kind\n")
    with pytest.raises(ScenarioError) as caught:
        loading.load(str(file), settings=["traffic.kind=a", "battery.kind=b"])
    found = {problem.field: problem.value for problem in caught.value.problems}
    assert found == {"traffic.kind": "a", "battery.kind": "b"}


def test_a_huge_object_is_shown_in_short(tmp_path: Path) -> None:
    layers = "\n".join(f"  - &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 30))
    found = problems_of(tmp_path, f"seed:\n  - &l0 [1]\n{layers}\n")
    assert len(found["seed"]) < 200


def test_settings_override_the_file() -> None:
    scenario = loading.load(
        settings=["fleet.vehicles=20", "duration=2h", "fleet.stations.count=10"], seed=7
    )
    assert (scenario.fleet.vehicles, scenario.ticks, scenario.seed) == (20, 24, 7)
    assert scenario.fleet.stations.count == 10


@pytest.mark.parametrize(
    "setting",
    [
        "fleet.vehicles",
        "=3",
        "seed.x=1",
        "fleet.vehicles=[1",
        "fleet..vehicles=1",
        "x=" + "[" * 2000,
        "seed=" + "1" * 5000,
        "start=!!timestamp x",
        "seed=!!bool x",
        "fleet={vehicles: 1, vehicles: 2}",
    ],
)
def test_bad_settings(setting: str) -> None:
    with pytest.raises(UserError, match="--set") as caught:
        loading.load(settings=[setting])
    assert len(str(caught.value)) < 250


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
    assert Scenario.model_validate_json(scenario.model_dump_json()) == scenario
    assert again.sha256() == scenario.sha256()
    assert loading.load(seed=7).sha256() != scenario.sha256()


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


def test_incidents_name_edges_of_the_roads_and_times_in_order() -> None:
    rows = [
        {"edge": "6_88", "from": "08:00", "to": "09:00"},
        {"edge": "6_8", "from": "08:00", "to": "2022-09-14 09:00"},
        {"edge": "6_8", "from": "2022-09-14 09:00", "to": "2022-09-14 08:00"},
        {"edge": "6_8", "from": "08:03", "to": "09:00"},
        {"edge": "6_8", "from": "08:00", "too": "09:00"},
    ]
    for row, field, words, near in (
        (rows[0], "traffic.incidents.0.edge", "one of the 124 edges of siouxfalls", "6_8"),
        (rows[1], "traffic.incidents.0", "both be moments, or both times of day", ""),
        (rows[2], "traffic.incidents.0", "from must be before to", ""),
        (rows[3], "traffic.incidents.0.from", "on a whole 5 minutes", ""),
        (rows[4], "traffic.incidents.0.too", "known here are edge, from, to", "to"),
    ):
        with pytest.raises(ScenarioError) as caught:
            loading.check({"traffic": {"incidents": [row]}}, "my.yaml")
        problem = {p.field: p for p in caught.value.problems}[field]
        assert words in problem.allowed
        assert problem.nearest == near
    good = {"edge": "6_8", "from": "8:00", "to": "09:00"}
    scenario = loading.check({"traffic": {"incidents": [good]}}, "my.yaml")
    assert scenario.plain()["traffic"]["incidents"] == [good | {"from": "08:00"}]
    assert loading.check(scenario.plain(), "again").plain() == scenario.plain()


WEATHER = "time,temperature_c\n2022-09-14,10\n2022-09-15,12\n"


def _tree(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "air.csv").write_text(WEATHER)
    (folder / "data" / "town.net.xml").write_text("<net/>")


def test_paths_start_where_the_scenario_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, elsewhere = tmp_path / "study", tmp_path / "elsewhere"
    _tree(study)
    elsewhere.mkdir()
    file = study / "city.yaml"
    file.write_text(
        "weather: {series: ./data/air.csv}\ntraffic: {roads: data/../data/town.net.xml}\n"
    )
    monkeypatch.chdir(elsewhere)
    for source in (str(file), "../study/city.yaml"):
        scenario = loading.load(source)
        assert scenario.weather.series == str(study / "data" / "air.csv")
        assert scenario.traffic.roads == str(study / "data" / "town.net.xml")
    # The same file from its own folder is the same scenario.
    monkeypatch.chdir(study)
    assert loading.load("city.yaml") == scenario


def test_paths_of_the_command_line_start_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(tmp_path / "here")
    (tmp_path / "city.yaml").write_text("weather: {series: absent.csv}\n")
    monkeypatch.chdir(tmp_path / "here")
    settings = ["weather.series=data/air.csv", "traffic.roads=data/town.net.xml"]
    scenario = loading.load("../city.yaml", settings=settings)
    assert scenario.weather.series == str(tmp_path / "here" / "data" / "air.csv")
    assert scenario.traffic.roads == str(tmp_path / "here" / "data" / "town.net.xml")


def test_names_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a folder of that name stands beside the scenario."""
    (tmp_path / "siouxfalls").mkdir()
    file = tmp_path / "city.yaml"
    file.write_text("weather: {series: sioux_falls_january}\ntraffic: {roads: siouxfalls}\n")
    monkeypatch.chdir(tmp_path)
    scenario = loading.load("city.yaml")
    assert scenario.weather.series == "sioux_falls_january"
    assert scenario.traffic.roads == "siouxfalls"


def test_the_manifest_has_the_digest_of_the_weather(tmp_path: Path) -> None:
    _tree(tmp_path)
    file = tmp_path / "city.yaml"
    file.write_text("weather: {series: data/air.csv}\n")
    air = tmp_path / "data" / "air.csv"
    digest = hashlib.sha256(air.read_bytes()).hexdigest()
    assert manifest.new(loading.load(str(file)))["inputs"][str(air)] == digest
    assert str(air) not in manifest.new(loading.load())["inputs"]
