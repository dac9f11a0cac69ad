"""Everything that a run needs of a cell model, computed once and put in the cache."""

from __future__ import annotations

import io

import casadi as ca
import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from adapters.pybamm import lowering, method
from adapters.pybamm.export import Model, balance, export, open_circuit
from adapters.pybamm.kernel import step_name
from adapters.pybamm.options import CellOptions
from cosim.errors import BatteryError

LITHIUM_RANGE = (0.6, 1.0)
"""Cyclable lithium over that of the new cell for which the electrode balance is tabulated."""
BALANCE_DEGREE = 48
BALANCE_ERROR = 1e-7
"""Largest error of a tabulated stoichiometry that is accepted."""


def build(options: CellOptions) -> bytes:
    """Export the model, write its tapes and its constants.

    Parameters
    ----------
    options
        The cell model.

    Returns
    -------
    bytes
        An npz archive: the tapes (`tape.Tape.arrays`), ``rest`` (4, states), ``sei`` (index,
        metres per unit), ``empty`` and ``full`` (Chebyshev coefficients over `LITHIUM_RANGE`),
        and one scalar per constant.

    Raises
    ------
    cosim.errors.BatteryError
        If the model cannot be stepped by the method or its balance cannot be tabulated.
    """
    model = export(options)
    functions = {
        **{
            step_name(length): (method.step(model, length), ("x", "q"))
            for length in sorted(set(options.substeps_s))
        },
        "observe": (model.observe, ("x",)),
        "predict": (method.predict(model, options.tick_s), ("x", "q")),
    }
    empty, full = _balance_series(model)
    constants = dict(model.constants)
    constants |= _new_cell(model)
    archive = io.BytesIO()
    np.savez(
        archive,
        allow_pickle=False,
        **lowering.arrays(functions),
        rest=_rest_matrix(model),
        sei=_sei_state(model),
        empty=empty,
        full=full,
        **{f"constant_{name}": np.float64(value) for name, value in constants.items()},
    )
    return archive.getvalue()


def _balance_series(model: Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = LITHIUM_RANGE

    def fractions(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return 0.5 * (low + high) + 0.5 * (high - low) * points

    nodes = np.asarray(chebyshev.chebpts1(2 * BALANCE_DEGREE), dtype=np.float64)
    between = np.linspace(-1, 1, 101)
    series: list[NDArray[np.float64]] = []
    for at_nodes, exact in zip(
        balance(model, fractions(nodes)),
        balance(model, fractions(between)),
        strict=True,
    ):
        coefficients = chebyshev.chebfit(nodes, at_nodes, BALANCE_DEGREE)
        error = np.abs(chebyshev.chebval(between, coefficients) - exact).max()
        if error > BALANCE_ERROR:
            raise BatteryError(f"the electrode balance is tabulated to {error:.1e} only")
        series.append(np.asarray(coefficients, dtype=np.float64))
    return series[0], series[1]


def _new_cell(model: Model) -> dict[str, float]:
    c = model.constants
    (empty,), (full,) = balance(model, np.ones(1))
    points, weights = np.polynomial.legendre.leggauss(400)
    x = 0.5 * (empty + full) + 0.5 * (full - empty) * points
    y = (c["lithium_ah"] - x * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
    capacity = float((full - empty) * c["negative_capacity_ah"])
    mean_v = float(0.5 * weights @ open_circuit(model, x, y))
    return {"new_capacity_ah": capacity, "new_energy_wh": capacity * mean_v, "mean_v": mean_v}


def _rest_matrix(model: Model) -> NDArray[np.float64]:
    """Rows that give the state at rest as ``[1, x, y, T] @ matrix``."""
    base = np.array([0.5, 0.5, 300.0])
    origin = np.asarray(model.x0(np.zeros(3)).full()).ravel()
    rows = [np.asarray(model.x0(unit).full()).ravel() - origin for unit in np.eye(3)]
    matrix = np.vstack([origin, *rows])
    if not np.allclose(np.r_[1, base] @ matrix, np.asarray(model.x0(base).full()).ravel()):
        raise BatteryError("the initial state is not linear in stoichiometry and temperature")
    return matrix


def _sei_state(model: Model) -> NDArray[np.float64]:
    """Index of the state that holds the SEI, and its thickness [m] per unit of that state."""
    x = ca.SX.sym("x", model.f.size1_in(0))
    row = ca.jacobian(model.observe(x)[3], x)
    [(_, index)] = list(zip(*row.sparsity().get_triplet(), strict=True))
    return np.array([index, float(ca.Function("s", [x], [row])(np.ones(x.numel())).nonzeros()[0])])
