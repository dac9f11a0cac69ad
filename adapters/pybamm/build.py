"""Everything that a run needs of a cell model, computed once and put in the cache."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm import condition, forecast, lowering, method
from adapters.pybamm.export import (
    Model,
    export,
    new_balance,
    open_circuit,
)
from adapters.pybamm.options import CellOptions
from adapters.pybamm.parts import parameter_values
from cosim.errors import BatteryError

AGEING = (
    "SEI concentration",
    "SEI on cracks concentration",
    "dead lithium concentration",
    "crack length",
    "active material",
)
"""Parts of the names of the states that ageing moves."""


def build(options: CellOptions) -> bytes:
    """Export the model, write its tapes and its constants.

    Parameters
    ----------
    options
        The cell model.

    Returns
    -------
    bytes
        An npz archive: the tapes (`tape.Tape.arrays`), ``rest`` (4, states),
        ``interphase`` (index, units per metre; a row for the particles
        and one for cracks), ``ageing`` (indices), and one scalar per constant.

    Raises
    ------
    cosim.errors.BatteryError
        If the model cannot be stepped by the method.
    """
    model = export(options)
    model.constants.update(_new_cell(model))
    functions = array_functions(model, options.tick_s)
    model.constants["new_resistance_ohm"] = float(functions["resistance"][0](_half_charged(model)))
    archive = io.BytesIO()
    np.savez(
        archive,
        allow_pickle=False,
        **lowering.arrays(functions),
        rest=_rest_matrix(model),
        interphase=_interphase_states(model, options),
        ageing=_ageing_states(model),
        **{f"constant_{name}": np.float64(value) for name, value in model.constants.items()},
    )
    return archive.getvalue()


def array_functions(model: Model, tick_s: float) -> dict[str, tuple[Any, tuple[str, ...]]]:
    """Every function that a run calls, with the names of its arguments."""
    return {
        "step": (method.step(model), ("x", "q")),
        "observe": (model.observe, ("x",)),
        "predict": (forecast.predict(model, tick_s), ("x", "q")),
        "balance": (condition.balance(model), ("q",)),
        "resistance": (condition.resistance(model), ("x",)),
        "particle_energy": (condition.particle_energy(model), ("x",)),
        "wear": (condition.wear(model, tick_s), ("x", "q")),
    }


def _new_cell(model: Model) -> dict[str, float]:
    c = model.constants
    empty, full = new_balance(model)
    points, weights = np.polynomial.legendre.leggauss(400)
    x = 0.5 * (empty + full) + 0.5 * (full - empty) * points
    y = (c["lithium_ah"] - x * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
    capacity = float((full - empty) * c["negative_capacity_ah"])
    mean_v = float(0.5 * weights @ open_circuit(model, x, y))
    half = 0.5 * (empty + full)
    return {
        "new_capacity_ah": capacity,
        "new_energy_wh": capacity * mean_v,
        "mean_v": mean_v,
        "new_empty": empty,
        "new_full": full,
        "half_negative": half,
        "half_positive": (c["lithium_ah"] - half * c["negative_capacity_ah"])
        / c["positive_capacity_ah"],
    }


def _half_charged(model: Model) -> Any:
    c = model.constants
    return model.x0([c["half_negative"], c["half_positive"], c["reference_k"]])


def _rest_matrix(model: Model) -> NDArray[np.float64]:
    """Rows that give the state at rest as ``[1, x, y, T] @ matrix``."""
    base = np.array([0.5, 0.5, 300.0])
    origin = np.asarray(model.x0(np.zeros(3)).full()).ravel()
    rows = [np.asarray(model.x0(unit).full()).ravel() - origin for unit in np.eye(3)]
    matrix = np.vstack([origin, *rows])
    if not np.allclose(np.r_[1, base] @ matrix, np.asarray(model.x0(base).full()).ravel()):
        raise BatteryError("the initial state is not linear in stoichiometry and temperature")
    return matrix


def _interphase_states(model: Model, options: CellOptions) -> NDArray[np.float64]:
    """Index of the interphase and its units per metre; the same of the interphase on cracks.

    Both states are amounts; per metre of thickness on particles and cracks of the new cell.
    """
    values = parameter_values(options.of_chemistry)
    length, width, number = (
        float(values[f"Negative electrode {what}"])
        for what in (
            "initial crack length [m]",
            "initial crack width [m]",
            "number of cracks per unit area [m-2]",
        )
    )
    # Faces of the cracks over the area of the particles: two faces a crack (Ai et al. 2019,
    # doi:10.1149/2.0122001JES).
    faces = 2 * length * width * number
    [sei], [cracks] = _named(model, "SEI concentration"), _named(model, "SEI on cracks")
    initial_m = model.constants["sei_initial_m"]
    unit = float(_half_charged(model)[sei]) / initial_m
    return np.array([[sei, unit], [cracks, unit * faces]])


def _ageing_states(model: Model) -> NDArray[np.int64]:
    return np.array(sorted({i for part in AGEING for i in _named(model, part)}))


def _named(model: Model, part: str) -> list[int]:
    return [
        start for name, (start, _) in zip(model.names, model.groups, strict=True) if part in name
    ]
