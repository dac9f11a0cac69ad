"""From a CasADi function to the tape that the backends write."""

from __future__ import annotations

from collections import Counter
from typing import Any

import casadi as ca
import numpy as np
import pytest

from adapters.pybamm.lowering import lower
from adapters.pybamm.numpy_code import NumpyFunction
from adapters.pybamm.tape import Constant, Operation, Tape
from cosim.errors import BatteryError


def _function(expression: Any, *arguments: Any) -> Any:
    return ca.Function("f", list(arguments), [expression])


def _counts(tape: Tape) -> Counter[str]:
    return Counter(operation.name for operation in tape.operations)


def test_the_tape_gives_what_casadi_gives() -> None:
    a = ca.SX.sym("a", 3)
    x, y, z = ca.vertsplit(a)
    function = _function(
        ca.vertcat(
            x**2.5 + y**-1.3,
            ca.if_else(ca.logic_and(x < y, ca.logic_not(y > z)), ca.exp(x), ca.log(z)),
            ca.fmin(x / z, ca.sqrt(y) / z) + ca.fmax(x, 2) / 3,
            ca.hypot(x, 2) + ca.asinh(y) * ca.expm1(z),
            7,
        ),
        a,
    )
    values = np.random.default_rng(2).uniform(0.1, 2, (3, 50))
    found = np.empty((5, 50))
    NumpyFunction("f", lower(function, ("a",)))(values, found)
    np.testing.assert_allclose(found, np.asarray(function(values).full()), rtol=1e-13)


def test_a_shared_divisor_is_inverted_once() -> None:
    a = ca.SX.sym("a", 4)
    x, y, z, once = ca.vertsplit(a)
    tape = lower(_function(ca.vertcat(x / z, y / z, 1 / z, x / once), a), ("a",))
    counts = _counts(tape)
    assert (counts["reciprocal"], counts["divide"], counts["multiply"]) == (1, 1, 2)


def test_a_constant_divisor_is_a_factor() -> None:
    a = ca.SX.sym("a")
    tape = lower(_function(a / 8, a), ("a",))
    assert tape.operations[-1] == Operation("multiply", (0, Constant(0.125)))


def test_half_integer_powers_need_no_power() -> None:
    a = ca.SX.sym("a")
    powers = [ca.constpow(a, k / 2) for k in range(1, 9)]
    tape = lower(_function(ca.vertcat(*powers), a), ("a",))
    assert _counts(tape)["power"] == 0
    x = np.array([[0.3, 1.7]])
    found = np.empty((8, 2))
    NumpyFunction("f", tape)(x, found)
    np.testing.assert_allclose(found, x ** (np.arange(1, 9)[:, None] / 2), rtol=1e-14)


def test_what_no_backend_can_write_is_refused() -> None:
    a = ca.SX.sym("a")
    with pytest.raises(BatteryError, match="no array code"):
        lower(_function(ca.erf(a), a), ("a",))
    matrix = ca.SX(2, 2)
    matrix[0, 0] = a
    with pytest.raises(BatteryError, match="not one dense column"):
        lower(_function(matrix, a), ("a",))
