"""Runs made again and compared, with fakes in the roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from cosim.differences import differences
from cosim.errors import UserError
from cosim.run import run
from cosim.run_folder import RunFolder
from cosim.scenario import Scenario
from cosim.signals import Role
from cosim.verify import verify
from tests.fakes import TINY, Change, cast


def go(folder: Path, change: Change | None = None, **fields: Any) -> RunFolder:
    scenario = Scenario.model_validate({**TINY, **fields})
    run(scenario, folder, quiet=True, cast=cast(change=change))
    return RunFolder.find(str(folder))


def bump(role: Role, tick: int, values: dict[str, Any]) -> None:
    """Change a voltage by a hair from tick 5 on, and a price from tick 6 on."""
    if role == "grid" and tick >= 5:
        values["bus_voltage_pu"][2] = np.nextafter(1.0, 2.0)
    if role == "market" and tick >= 6:
        values["transmission_voltage_pu"][1] = 0.25
        values["market_events"] = [{"kind": "load_shed", "time_s": tick * 300.0}]


def test_the_same_again_is_equal(tmp_path: Path) -> None:
    verdict = verify(go(tmp_path / "a"), quiet=True, cast=cast())
    assert verdict.equal
    assert verdict.differences == ()
    assert verdict.changes == ()


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    keep = tmp_path / "b"
    verdict = verify(go(tmp_path / "a"), keep=keep, quiet=True, cast=cast(change=bump))
    assert not verdict.equal
    assert RunFolder.find(str(keep)).manifest["output_digest"] == verdict.again
    first, *others = verdict.differences
    assert (first.what, first.tick, first.where) == ("bus_voltage_pu", 5, "bus 650.3")
    assert (first.first, first.second) == ("1.0", "1.0000000000000002")
    assert first.count == 7
    assert first.largest == np.nextafter(1.0, 2.0) - 1
    assert {(d.what, d.tick) for d in others} == {
        ("transmission_voltage_pu", 6),
        ("events", 6),
    }
    events = next(d for d in others if d.what == "events")
    assert events.first == "none"
    assert "load_shed" in events.second
    assert events.count == 6


def test_a_sign_of_zero_and_a_shorter_run_are_differences(tmp_path: Path) -> None:
    def negative(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "grid":
            values["feeder_reactive_kvar"] = -0.0

    one, other = go(tmp_path / "a"), go(tmp_path / "b", negative, duration="30min")
    names = {d.what: d for d in differences(one.path, other.path)}
    assert names["feeder_reactive_kvar"].tick == 0
    assert names["feeder_reactive_kvar"].count == 6
    assert "bus_voltage_pu" not in names


def test_versions_and_inputs_that_changed_are_named(tmp_path: Path) -> None:
    folder = go(tmp_path / "a")
    file = folder.path / "manifest.json"
    content = json.loads(file.read_text())
    content["versions"]["numpy"] = "1.0"
    content["inputs"]["gone.csv"] = "abc"
    file.write_text(json.dumps(content))
    changes = verify(RunFolder.find(str(folder.path)), quiet=True, cast=cast()).changes
    assert [(c.what, c.then) for c in changes] == [("numpy", "1.0"), ("gone.csv", "abc")]
    assert changes[0].now == np.__version__
    assert changes[1].now == "absent"


def test_a_record_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = go(tmp_path / "a")
    array: Any = zarr.open_group(folder.path / "timeseries.zarr", mode="r+")["vehicle_soc"]
    array[3, 1] = 0.75
    with pytest.raises(UserError, match="changed after the run"):
        verify(folder, quiet=True, cast=cast())


def test_what_is_no_whole_run_is_refused(tmp_path: Path) -> None:
    folder = go(tmp_path / "a")
    file = folder.path / "manifest.json"
    file.write_text(file.read_text().replace('"complete"', '"interrupted"'))
    with pytest.raises(UserError, match=r"interrupted after tick 11"):
        verify(RunFolder.find(str(folder.path)), quiet=True, cast=cast())
    file.write_text("{")
    with pytest.raises(UserError, match=r"cannot be read"):
        RunFolder.find(str(folder.path))
    file.write_text("{}")
    with pytest.raises(UserError, match=r"no manifest of a run"):
        RunFolder.find(str(folder.path))


def test_a_run_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    go(Path("runs") / "tiny-1")
    assert RunFolder.find("tiny-1").path == Path("runs") / "tiny-1"
    with pytest.raises(UserError, match=r"Did you mean runs/tiny-1\?"):
        RunFolder.find("tiny-2")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"it has no manifest\.json"):
        RunFolder.find("empty")


def test_scenarios_of_other_versions_are_told(tmp_path: Path) -> None:
    folder = go(tmp_path / "a")
    content = dict(folder.manifest) | {"scenario": {"no_such_section": 1}}
    with pytest.raises(UserError, match="cannot read the scenario"):
        _ = RunFolder(folder.path, content).scenario
