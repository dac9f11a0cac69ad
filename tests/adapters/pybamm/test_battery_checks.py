"""What a scenario must not ask of batteries, found before a run begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.pybamm import backend, checks, compiler
from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.kernel import load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import Life, PackSpec
from cosim.assets import models
from cosim.errors import ScenarioError
from cosim.loading import check
from cosim.loading import load as load_scenario
from cosim.scenario import Scenario


def _nmc_bodies(scenario: Scenario) -> set[str]:
    chosen = scenario.battery.chemistry.model_dump()
    return {body for body, name in chosen.items() if name == "nmc"}


def test_a_pack_too_weak_for_its_vehicle_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = load_scenario()
    weak = replace(CHEMISTRIES["nmc"], discharge_c_rate=0.5, charge_c_rate=0.1)
    assert checks.problems(scenario) == []
    monkeypatch.setattr(checks, "CHEMISTRIES", {**CHEMISTRIES, "nmc": weak})
    found = checks.problems(scenario)
    assert {problem.field.rpartition(".")[2] for problem in found} == _nmc_bodies(scenario)
    assert all(problem.value == "nmc" and problem.nearest == "lfp" for problem in found)
    # What is offered instead would do.
    monkeypatch.setattr(checks, "CHEMISTRIES", {"nmc": weak, "lfp": weak})
    assert not any(problem.nearest for problem in checks.problems(scenario))
    words = " ".join(problem.allowed for problem in found)
    assert "motors draw" in words
    assert "fast charging gives" in words


def test_a_pack_must_sustain_what_driving_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ratings alone do not say so: NMC is used up to 6C, and sustains less than 3C."""
    scenario = load_scenario()
    used = models(scenario)
    strong = {
        segment: {replace(s, motor_kw=5 * s.battery_kwh): number for s, number in part.items()}
        for segment, part in used.items()
    }
    monkeypatch.setattr(checks, "models", lambda _: strong)
    found = {problem.field: problem.allowed for problem in checks.problems(scenario)}
    bodies = _nmc_bodies(scenario)
    assert {field.rpartition(".")[2] for field in found} >= bodies
    for body in bodies:
        assert "for minutes" in found[f"battery.chemistry.{body}"]


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_what_is_sustained_is_what_cells_foresee(chemistry: str) -> None:
    kernel = load(CellOptions(model="SPMe", chemistry=chemistry))
    spec = PackSpec.of(74.0, 697.0, 187.0, 187.0)
    cells = Packs(kernel, spec, checks.AT_SOC, Life(age_years=0), initial_temperature_c=checks.AT_C)
    found = checks.sustained_kw(chemistry, 74.0, 187.0)
    assert found == pytest.approx(cells.discharge_limit_kw[0], rel=0.05)


@pytest.mark.parametrize(
    ("asked", "words"), [("numpyy", "must be c or numpy"), ("c", "cannot be had: no compiler here")]
)
def test_a_backend_that_is_not_there_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, asked: str, words: str
) -> None:
    def find() -> None:
        raise compiler.CompilerError("no compiler here")

    monkeypatch.setattr(compiler, "find", find)
    monkeypatch.setenv(backend.VARIABLE, asked)
    with pytest.raises(ScenarioError, match=words) as caught:
        check({}, "a scenario")
    assert [problem.field for problem in caught.value.problems] == [backend.VARIABLE]
    assert caught.value.problems[0].nearest == "numpy"
    assert check({"battery": {"kind": "reservoir"}}, "a scenario")


def test_no_run_folder_for_a_backend_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cosim import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(backend.VARIABLE, "fortran")
    monkeypatch.setattr("sys.argv", ["cosim", "run", "--out", "out"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert backend.VARIABLE in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
