"""Building, caching and loading of the cell model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adapters.pybamm import kernel as kernels
from adapters.pybamm.ageing import sei_after
from adapters.pybamm.condition import BALANCE_OUTPUTS
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.limits import SURFACE_MARGIN
from adapters.pybamm.method import STEP_INPUTS, STEP_OUTPUTS
from adapters.pybamm.options import CellOptions
from adapters.pybamm.spec import Life
from cosim.errors import ScenarioError
from tests.adapters.pybamm.fleets import ask, random_ticks, single_cells

ROOT = Path(__file__).parents[3]
START = """
import sys
from adapters.pybamm.kernel import load
kernel = load()
print(kernel.states, "pybamm" in sys.modules, "casadi" in sys.modules)
"""


def _start(cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env={**os.environ, "VOLTSTEP_CACHE_DIR": str(cache), "VOLTSTEP_BATTERY_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_only_the_first_start_imports_the_engine(tmp_path: Path) -> None:
    assert _start(tmp_path) == "30 True True"
    assert _start(tmp_path) == "30 False False"
    assert {path.suffix for path in (tmp_path / "battery").iterdir()} == {".npz"}


def test_a_damaged_cache_is_built_anew(
    nmc: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = kernels.cache_path(nmc.options).read_bytes()
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("adapters.pybamm.build.build", lambda options: whole)
    path = kernels.cache_path(nmc.options)
    path.write_bytes(b"PK\x03\x04 cut off")
    again = kernels.load(nmc.options, "numpy")
    assert again.constants == nmc.constants
    assert path.read_bytes() == whole


def test_the_cache_key_follows_options_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    names = {kernels.cache_path(CellOptions())}
    names.add(kernels.cache_path(CellOptions(radial_points=20)))
    names.add(kernels.cache_path(CellOptions(substeps_s=(60.0,) * 5)))
    names.add(kernels.cache_path(CellOptions(model="SPMe")))
    names.add(kernels.cache_path(CellOptions(chemistry="lfp")))
    monkeypatch.setattr(kernels.metadata, "version", lambda name: f"{name} of tomorrow")
    names.add(kernels.cache_path(CellOptions()))
    assert len(names) == 6


def test_every_wrong_option_is_named_with_the_nearest_valid_one() -> None:
    with pytest.raises(ScenarioError) as caught:
        CellOptions(chemistry="nmcc", model="SPMm", radial_points=3, substeps_s=(0.0,))
    problems = {problem.field: problem for problem in caught.value.problems}
    assert set(problems) == {
        "battery.chemistry",
        "battery.model",
        "battery.radial_points",
        "battery.substeps_s",
    }
    assert problems["battery.chemistry"].nearest == "nmc"
    assert problems["battery.chemistry"].allowed == "must be one of nmc, lfp"


def test_array_code_equals_the_casadi_function(kernel: Kernel) -> None:
    from adapters.pybamm import method
    from adapters.pybamm.export import export

    function = method.step(export(kernel.options))
    rng, n, c = np.random.default_rng(3), 7, kernel.constants
    packs = single_cells(kernel, rng.uniform(0.2, 0.8, n))
    # Without stress the slope of its powers has no value there; ours take it as 0.
    random_ticks(packs, 2, seed=1)
    packs.advance(2, ask(n, 0.3 * packs.spec.energy_kwh))
    x = packs.state()["states"]
    power_w = rng.uniform(-1, 1, n) * c["new_energy_wh"]
    ask_of = {
        "current_a": 0.0,
        "power_w": power_w,
        "ambient_k": 290.0,
        "limit_v": np.where(power_w > 0, c["lower_v"], c["upper_v"]),
        "lowest_a": -9.0,
        "highest_a": 9.0,
        "charge_a": 20.0,
        "discharge_a": 20.0,
        "heater_w": 0.1,
        "cooling_w_k": 0.02,
        "heat_capacity_j_k": 90.0,
        "step_s": 60.0,
    }
    q = np.array([np.broadcast_to(ask_of[name], n) for name in STEP_INPUTS])
    results, after = (np.asarray(part.full()) for part in function(x, q))
    found = np.empty((len(STEP_OUTPUTS), n))
    kernel.step(x, q, found)
    np.testing.assert_allclose(found, results, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(x, after, rtol=1e-9, atol=1e-12)


def test_balance_equals_pybamms_electrode_state_of_health(spm: Kernel) -> None:
    import pybamm

    from adapters.pybamm.parts import parameter_values

    solver = pybamm.lithium_ion.ElectrodeSOHSolver(parameter_values(spm.options.of_chemistry))
    c = spm.constants
    ends = np.array([[c["new_empty"]], [c["new_full"]]])
    before = np.array([[c["lithium_ah"]], [c["negative_capacity_ah"]], [c["positive_capacity_ah"]]])
    for lithium, electrode in ((1.0, 1.0), (0.97, 0.98), (0.92, 0.96), (0.85, 0.95)):
        figures = np.array(
            [
                [c["lithium_ah"] * lithium],
                [c["negative_capacity_ah"] * electrode],
                [c["positive_capacity_ah"]],
            ]
        )
        names = ("Q_Li", "Q_n", "Q_p")
        expected = solver.solve(dict(zip(names, figures[:, 0].tolist(), strict=True)))
        found = np.empty((len(BALANCE_OUTPUTS), 1))
        # Followed in small steps, as where a run starts with aged cells.
        for share in (*np.linspace(0, 1, 64), 1, 1):
            spm.balance(np.vstack([ends, before + share * (figures - before)]), found)
            ends = found[:2].copy()
        before = figures
        # PyBaMM's solver stops at 1e-6.
        assert found[0, 0] == pytest.approx(float(expected["x_0"]), abs=3e-6)
        assert found[1, 0] == pytest.approx(float(expected["x_100"]), abs=3e-6)


def test_a_cell_is_full_where_its_graphite_is(nmc: Kernel) -> None:
    c, found = nmc.constants, np.empty((len(BALANCE_OUTPUTS), 1))
    ends = np.array([[c["new_empty"]], [c["new_full"]]])
    for graphite in np.linspace(1, 0.7, 61):
        figures = [c["lithium_ah"], graphite * c["negative_capacity_ah"], c["positive_capacity_ah"]]
        nmc.balance(np.vstack([ends, np.array(figures)[:, None]]), found)
        ends = found[:2].copy()
    assert found[1, 0] == 1 - SURFACE_MARGIN
    np.testing.assert_array_equal(found[5:], 0)


def test_the_interphase_of_stored_cells_follows_the_closed_form(spm: Kernel) -> None:
    years, hours = 1.0, 24
    packs = single_cells(spm, [0.5], Life(age_years=years), initial_temperature_c=25.0)
    index, per_m = spm.interphase[0]
    start_m = packs.state()["states"][int(index), 0] / per_m
    assert start_m == pytest.approx(sei_after(spm.constants, years))
    for tick in range(12 * hours):
        packs.advance(tick, ask(1, ambient_c=25.0))
    grown_m = packs.state()["states"][int(index), 0] / per_m - start_m
    expected_m = sei_after(spm.constants, years + hours / 24 / 365.25) - start_m
    assert grown_m == pytest.approx(expected_m, rel=1e-4)


def test_sparse_factors_solve_the_system() -> None:
    import casadi as ca

    from adapters.pybamm.diffusion import factorise

    rng = np.random.default_rng(1)
    matrix = np.diag(rng.uniform(3, 4, 6)) + np.diag(rng.uniform(-1, 0, 5), 1)
    matrix += np.diag(rng.uniform(-1, 0, 5), -1)
    matrix[5, 0] = matrix[2, 5] = 0.5
    b = ca.SX.sym("b", 6)
    solve = ca.Function("s", [b], [factorise(ca.sparsify(ca.SX(ca.DM(matrix))))(b)])
    right = rng.uniform(-1, 1, 6)
    np.testing.assert_allclose(
        np.asarray(solve(right).full()).ravel(), np.linalg.solve(matrix, right), rtol=1e-12
    )
