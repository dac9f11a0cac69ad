"""The command as a user meets it: exit codes, messages, files; never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosim import bench, cli, doctor, registry
from cosim.errors import PowerFlowError, StoppedRunError, VoltstepError
from cosim.health import Check, Measurement
from cosim.run import Result
from cosim.run import run as carry_out
from cosim.scenario import Scenario
from cosim.signals import Role
from tests import fakes

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cosim(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """Return a function that runs the command in an empty folder: (exit code, out, err)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cosim", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def test_help_shows_an_example(cosim: Command) -> None:
    for command in (
        "run",
        "new",
        "schema",
        "doctor",
        "scenarios",
        "bench",
        "verify",
        "resume",
        "runs",
        "clean",
    ):
        code, out, _ = cosim(command, "--help")
        assert code == 0
        assert f"Example: cosim {command}" in out


def test_scenarios(cosim: Command) -> None:
    code, out, _ = cosim("scenarios")
    assert code == 0
    assert "siouxfalls_day" in out


def test_new_then_read_again(cosim: Command, tmp_path: Path) -> None:
    assert cosim("new", "my_city.yaml")[0] == 0
    assert "vehicles: 500" in (tmp_path / "my_city.yaml").read_text()
    code, _, err = cosim("new", "my_city.yaml")
    assert code == 2
    assert "exists already" in err
    assert cosim("new", "no/such/folder.yaml")[0] == 2


def test_schema_is_json_with_the_options(cosim: Command) -> None:
    code, out, _ = cosim("schema")
    assert code == 0
    schema = json.loads(out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["$defs"]["Traffic"]["properties"]["kind"]["enum"] == [
        "meso",
        "micro",
        "replay",
    ]
    assert "LZ_AEN" in schema["$defs"]["Market"]["properties"]["prices"]["examples"]
    assert "team" in schema["properties"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "no_such"), "no scenario no_such"),
        (("run", "--set", "fleet.vehicels=3"), "Did you mean vehicles?"),
        (("run", "--set", "nonsense"), "field=value"),
        (("run", "--set", "start=2022-02-30"), "start is '2022-02-30': must be a date"),
        (("run", "--set", "start=9999-12-31"), "prices do not cover the run"),
        (("run", "--set", "start=!!timestamp x"), "not known here"),
        (("run", "--set", "x=" + "[" * 2000), "nests too deeply"),
        (("run", "--set", "seed=" + "1" * 5000), "cannot be read as a whole number"),
        (("run", "--set", "description=[bold]", "--set", "seed=x"), "seed is 'x'"),
        (("run", ""), "has no name"),
        (("run", "a" * 300), "cannot be read"),
        (("run", "[red]x[/]:car:"), "no scenario [red]x[/]:car:"),
        (("run", "--team", "rule_base"), "Did you mean rule_based?"),
        (("run", "--seed", "-1"), "at least 0"),
        (("run", "--seed", "x"), "Invalid value"),
        (("bench", "batery"), "Did you mean battery?"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_input_ends_with_exit_code_2(
    cosim: Command, arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = cosim(*arguments)
    assert code == 2
    assert message in err


def test_all_problems_of_a_file_are_shown(cosim: Command, tmp_path: Path) -> None:
    (tmp_path / "city.yaml").write_text("sede: 1\nfleet: {vehicles: 0}\nteam: nobody\n")
    code, _, err = cosim("run", "city.yaml")
    assert code == 2
    assert "3 problems" in err
    for field in ("sede", "fleet.vehicles", "team"):
        assert field in err


@pytest.mark.parametrize("folder", ["r[x]", ":car:", "[/]", "two  spaces " + "x" * 200])
def test_quiet_prints_the_folder_as_it_is(
    cosim: Command, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    def finish(_: object, out: Path, **__: object) -> Result:
        return Result(out, {}, {}, "0123")

    monkeypatch.setattr("cosim.run.run", finish)
    code, out, _ = cosim("run", "--out", folder, "--quiet")
    assert (code, out) == (0, f"{folder}\n")
    code, out, _ = cosim("run", "--out", folder)
    assert code == 0
    assert f"run    {folder}\n" in out


def test_new_says_its_file_as_it_is(cosim: Command, tmp_path: Path) -> None:
    code, out, _ = cosim("new", "we ird#: [x].yaml")
    assert code == 0
    assert "cosim run 'we ird#: [x].yaml'" in out
    assert cosim("run", "we ird#: [x].yaml", "--seed", "-1")[0] == 2


def test_new_leaves_no_empty_file(
    cosim: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object) -> str:
        raise VoltstepError("no kinds")

    monkeypatch.setattr("cosim.template.commented", fail)
    assert cosim("new", "city.yaml")[0] == 1
    assert not (tmp_path / "city.yaml").exists()


def test_unusable_cache_folder(cosim: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", "/dev/null/nope")
    code, _, err = cosim("run", "--set", "duration=5min", "--set", "fleet.vehicles=3", "--quiet")
    assert code == 2
    assert "cache folder /dev/null/nope cannot be written" in err
    monkeypatch.setattr(registry, "engine_function", lambda *_: list)
    code, out, _ = cosim("doctor")
    assert code == 1
    assert "FAILED" in out
    assert "cache folder /dev/null/nope cannot be written" in out


def test_doctor_prints_details_as_they_are(cosim: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("[name]", True, "a [/] :car:")
    monkeypatch.setattr(registry, "engine_function", lambda *_: lambda: [check])
    code, out, _ = cosim("doctor")
    assert code == 0
    assert "[name]" in out
    assert "a [/] :car:" in out


COMMAND = [sys.executable, "-c", "from cosim.cli import main; main()"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["scenarios", "schema", "--version"])
def test_full_disk_ends_in_one_message(command: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, command], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == "failed No space left on device\n"


@pytest.mark.parametrize("command", ["scenarios", "schema"])
def test_broken_pipe_ends_quietly(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run([*COMMAND, command], stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_run_folder_in_use_is_refused(cosim: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    code, _, err = cosim("run", "--out", "mine")
    assert code == 2
    assert "not an empty folder" in err


def test_a_failed_run_ends_with_exit_code_1(
    cosim: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise PowerFlowError("no convergence", where="bus 48", tick=3)

    monkeypatch.setattr("cosim.run.run", fail)
    code, _, err = cosim("run")
    assert code == 1
    assert "OpenDSS (bus 48) at tick 3: no convergence" in err


def test_version(cosim: Command) -> None:
    code, out, _ = cosim("--version")
    assert code == 0
    assert out.startswith("voltstep ")


def test_doctor_reports_a_broken_engine(cosim: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def function(engine: str, module: str, name: str):
        def check() -> list[Check]:
            if engine == "grid":
                raise ImportError("libX11.so.6")
            return [Check("fine", True, "1.0")]

        return check

    monkeypatch.setattr(registry, "engine_function", function)
    code, out, _ = cosim("doctor")
    assert code == 1
    assert "libX11.so.6" in out
    assert "FAILED" in out


def test_bench_writes_json(cosim: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = Measurement("solve", 1.5, "ms", 1.2, "median of 3")
    monkeypatch.setattr(registry, "engine_function", lambda *_: lambda: [row])
    code, out, _ = cosim("bench", "grid", "--json", "bench.json")
    assert code == 0
    assert "solve" in out
    (found,) = json.loads((tmp_path / "bench.json").read_text())["measurements"]
    assert (found["part"], found["value"], found["bare_ratio"]) == ("grid", 1.5, 1.2)


def test_parts_of_bench_and_doctor_exist() -> None:
    for engine in registry.ENGINES:
        assert callable(registry.engine_function(engine, "doctor", "check"))
        assert callable(registry.engine_function(engine, "bench", "bench"))
    assert set(bench.PARTS) == {*registry.ENGINES, "coupling", "fleet"}
    assert callable(doctor.examine)


@pytest.fixture
def tiny_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two runs of fakes in runs/, the second stopped in its middle; fakes in all runs to come."""

    def stop(role: Role, tick: int, values: dict[str, Any]) -> None:
        if (role, tick) == ("grid", 3):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cosim.world.Cast.of", lambda _: fakes.cast())
    scenario = Scenario.model_validate(fakes.TINY)
    carry_out(scenario, Path("runs/whole"), quiet=True)
    with pytest.raises(StoppedRunError):
        carry_out(scenario, Path("runs/stopped"), quiet=True, cast=fakes.cast(change=stop))
    return tmp_path / "runs"


def test_runs_are_listed_verified_resumed_and_cleaned(
    cosim: Command, tiny_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = cosim("runs")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert "complete" in rows["whole"]
    assert "12 of 12" in rows["whole"]
    assert "interrupted" in rows["stopped"]
    assert "5 of 12" in rows["stopped"]
    code, out, _ = cosim("verify", "whole")
    assert code == 0
    assert "equal   digest" in out
    code, _, err = cosim("verify", "stopped")
    assert code == 2
    assert "only a complete run can be verified" in err
    monkeypatch.setattr("typer.confirm", lambda _: False)
    code, out, _ = cosim("clean")
    assert "nothing was deleted" in out
    assert (tiny_runs / "stopped").is_dir()
    assert cosim("resume", "stopped")[0] == 0
    assert cosim("clean")[1].strip() == "nothing to delete"
    monkeypatch.setattr("typer.confirm", lambda _: True)
    code, out, _ = cosim("clean", "runs/stopped")
    assert code == 0
    assert [path.name for path in tiny_runs.iterdir()] == ["whole"]
    assert cosim("clean", "--all", "--yes")[0] == 0
    assert "no runs in runs/" in cosim("runs")[1]


def test_a_run_that_does_not_come_out_the_same_is_told(
    cosim: Command, tiny_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "grid" and tick == 4:
            values["feeder_reactive_kvar"] = 1e-12

    monkeypatch.setattr("cosim.world.Cast.of", lambda _: fakes.cast(change=other))
    code, out, _ = cosim("verify", "whole")
    assert code == 1
    assert "not equal" in out
    assert "feeder_reactive_kvar at tick 4: 0.0 recorded, 1e-12 now" in out
