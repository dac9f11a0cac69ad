"""Cheaper tapes give the same values."""

from __future__ import annotations

from collections import Counter
from typing import Any

import casadi as ca
import numpy as np
import pytest

from adapters.pybamm.lowering import lower
from adapters.pybamm.numpy_code import NumpyFunction
from adapters.pybamm.tape import Constant, Tape


def _lowered(*rows: Any, of: Any) -> tuple[Any, Tape]:
    function = ca.Function("f", [of], [ca.vertcat(*rows)])
    return function, lower(function, ("a",))


def _counts(tape: Tape) -> Counter[str]:
    return Counter(operation.name for operation in tape.operations)


def _compare(function: Any, tape: Tape, values: Any, rtol: float = 1e-13) -> None:
    found = np.empty((tape.results, values.shape[1]))
    NumpyFunction("f", tape)(values, found)
    np.testing.assert_allclose(found, np.asarray(function(values).full()), rtol=rtol)


def test_a_product_divides_once_and_takes_one_root() -> None:
    a = ca.SX.sym("a", 4)
    x, y, z, u = ca.vertsplit(a)

    def regularised_root(value: Any) -> Any:
        return value / ca.sqrt(ca.hypot(1e-3, value))

    exchange = 2 * z * regularised_root(x) * regularised_root(y) / u
    function, tape = _lowered(u / (3 * exchange), of=a)
    counts = _counts(tape)
    # A fourth root is two.
    assert (counts["divide"], counts["reciprocal"], counts["sqrt"]) == (1, 0, 2)
    _compare(function, tape, np.random.default_rng(3).uniform(1e-4, 2, (4, 200)))


def test_what_others_need_stays_a_value_of_its_own() -> None:
    a = ca.SX.sym("a", 3)
    x, y, z = ca.vertsplit(a)
    root = ca.sqrt(x) / y
    function, tape = _lowered(root, root / z, ca.sqrt(root / z), of=a)
    assert _counts(tape)["sqrt"] == 2
    _compare(function, tape, np.random.default_rng(4).uniform(0.1, 2, (3, 50)))


def test_means_of_functions_take_the_function_once() -> None:
    a = ca.SX.sym("a", 5)
    third = 1 / 3
    thirds = (third, third * (1 + 2e-16), third)
    parts = ca.vertsplit(a)[:3]
    sines = sum(w * ca.asinh(x) for w, x in zip(thirds, parts, strict=True))
    logs = sum(w * ca.log(ca.fabs(x)) for w, x in zip(thirds, parts, strict=True))
    function, tape = _lowered(a[3] * sines - a[4] * logs, 0.2 * ca.asinh(a[0]) + a[4], of=a)
    counts = _counts(tape)
    assert (counts["arcsinh"], counts["log"]) == (2, 1)
    rng = np.random.default_rng(5)
    values = rng.uniform(-1, 1, (5, 400)) * 10 ** rng.uniform(-8, 4, (5, 400))
    values[:3] = np.abs(values[:3]) * np.sign(values[0])
    found = np.empty((2, 400))
    NumpyFunction("f", tape)(values, found)
    expected = np.asarray(function(values).full())
    logarithm = 1 + np.abs(np.log(np.abs(values[:3]))).max(axis=0)
    scale = (1 + np.abs(values[3:]).sum(axis=0)) * logarithm
    assert (np.abs(found - expected) <= 1e-15 * scale).all()


@pytest.mark.parametrize("distance", [1e-16, 1e-3])
def test_a_tiny_distance_from_zero_is_dropped_and_a_large_one_kept(distance: float) -> None:
    a = ca.SX.sym("a", 2)
    x, y = ca.vertsplit(a)
    kept_away = (2 * (x >= 0) - 1) * ca.hypot(distance, x)
    function, tape = _lowered(y / kept_away, of=a)
    assert ("sqrt" in _counts(tape)) == (distance > 1e-12)
    values = np.random.default_rng(6).uniform(-1, 1, (2, 100))
    _compare(function, tape, values)


def test_constants_in_products_become_one_factor() -> None:
    a = ca.SX.sym("a", 3)
    x, y, z = ca.vertsplit(a)
    function, tape = _lowered((4 * x / y) / (2 / z) / 8, of=a)
    assert _counts(tape)["divide"] + _counts(tape)["reciprocal"] == 1
    constants = [o for op in tape.operations for o in op.operands if isinstance(o, Constant)]
    assert len(constants) <= 2
    _compare(function, tape, np.random.default_rng(7).uniform(0.1, 2, (3, 20)))
