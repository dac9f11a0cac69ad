"""Building, caching and loading of the cell model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adapters.pybamm import kernel as kernels
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.options import CellOptions
from cosim.errors import ScenarioError

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
        env={**os.environ, "VOLTSTEP_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_only_the_first_start_imports_the_engine(tmp_path: Path) -> None:
    assert _start(tmp_path) == "22 True True"
    assert _start(tmp_path) == "22 False False"
    assert {path.suffix for path in (tmp_path / "battery").iterdir()} <= {".npz", ".so"}


def test_a_damaged_cache_is_built_anew(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    path = kernels.cache_path(kernel.options)
    path.write_bytes(b"PK\x03\x04 cut off")
    again = kernels.load(kernel.options)
    assert again.constants == kernel.constants
    assert len(path.read_bytes()) > 10_000


def test_the_cache_key_follows_options_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    names = {kernels.cache_path(CellOptions())}
    names.add(kernels.cache_path(CellOptions(radial_points=20)))
    names.add(kernels.cache_path(CellOptions(substeps_s=(60.0,) * 5)))
    monkeypatch.setattr(kernels.metadata, "version", lambda name: f"{name} of tomorrow")
    names.add(kernels.cache_path(CellOptions()))
    assert len(names) == 4


def test_every_wrong_option_is_named_with_the_nearest_valid_one() -> None:
    with pytest.raises(ScenarioError) as caught:
        CellOptions(parameter_set="chen2021", model="SPMe", radial_points=3, substeps_s=(0.0,))
    problems = {problem.field: problem for problem in caught.value.problems}
    assert set(problems) == {
        "battery.parameter_set",
        "battery.model",
        "battery.radial_points",
        "battery.substeps_s",
    }
    assert problems["battery.parameter_set"].nearest == "Chen2020"
    assert "Chen2020" in problems["battery.parameter_set"].allowed


def test_array_code_equals_the_casadi_function(kernel: Kernel) -> None:
    from adapters.pybamm import method
    from adapters.pybamm.export import export

    length = kernel.options.substeps_s[0]
    model = export(kernel.options)
    function = method.step(model, length)
    rng = np.random.default_rng(3)
    n = 7
    soc = rng.uniform(0.1, 0.9, n)
    empty, full = kernel.balance(np.ones(n))
    c = kernel.constants
    negative = empty + soc * (full - empty)
    positive = (c["lithium_ah"] - negative * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
    x = kernel.at_rest(negative, positive, rng.uniform(260, 310, n), np.full(n, 3e-8))
    x += rng.uniform(-1e-3, 1e-3, x.shape)
    power = rng.uniform(-20, 20, n)
    limit = np.where(power > 0, 2.5, 4.2)
    ask = np.zeros((6, n))
    ask[1], ask[2], ask[3], ask[4], ask[5] = power, 290.0, limit, -9.0, 9.0
    results, after = (np.asarray(part.full()) for part in function(x, ask))
    out = np.empty((6, n))
    kernel.steps[0](x, ask, out)
    np.testing.assert_allclose(out, results, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(x, after, rtol=1e-11)


def test_sparse_factors_solve_the_system() -> None:
    import casadi as ca

    from adapters.pybamm.method import factorise

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
