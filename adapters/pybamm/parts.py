"""PyBaMM's model of a cell, its parameter values and its mesh, as the options say."""

from __future__ import annotations

from typing import Any

import pybamm

from adapters.pybamm.chemistry import Activated, Chemistry
from adapters.pybamm.constants import GAS_J_PER_MOL_K
from adapters.pybamm.options import CellOptions

HEATING = "Total heating [W]"
WARMTH = "Volume-averaged cell temperature [K]"
FILM = "X-averaged SEI film overpotential [V]"


def simulation_parts(options: CellOptions) -> tuple[Any, Any, dict[str, Any]]:
    """PyBaMM model, parameter values and mesh arguments of the options.

    The tests build PyBaMM's own simulations from the same parts.

    Parameters
    ----------
    options
        The cell model.

    Returns
    -------
    tuple
        The undiscretised model without events, its parameter values (borrowed values included),
        and the keyword arguments ``var_pts`` and ``submesh_types`` of ``pybamm.Simulation``.
    """
    model = getattr(pybamm.lithium_ion, options.model)(model_options(options))
    model.events = []
    warm_by_film(model)
    return model, parameter_values(options.of_chemistry), mesh(options, model)


def warm_by_film(model: Any) -> None:
    """Let the resistance of the interphase warm a PyBaMM model.

    PyBaMM takes its overpotential from the voltage and leaves its heat out: 3 % of the loss in a
    new NMC cell, a third after ten years.
    """
    seen = model.variables
    watts = -seen["Current [A]"] * seen[FILM]
    capacity = seen["Volume-averaged effective heat capacity [J.K-1.m-3]"]
    model.rhs[seen[WARMTH]] += watts / (capacity * seen["Cell thermal volume [m3]"])
    seen[HEATING] = seen[HEATING] + watts


def parameter_values(chemistry: Chemistry) -> Any:
    """PyBaMM's parameter values of the chemistry, borrowed ones included."""
    values = pybamm.ParameterValues(chemistry.parameter_set)
    sets: dict[str, Any] = {}
    for item in chemistry.borrowed:
        value = item.value
        if isinstance(value, str):
            value = sets.setdefault(value, pybamm.ParameterValues(value))[item.parameter]
        values.update({item.parameter: value}, check_already_exists=False)
    reference_k = values["Reference temperature [K]"]
    for item in chemistry.activated:
        values.update({item.parameter: _arrhenius(values[item.parameter], item, reference_k)})
    for item in chemistry.calibrated:
        values.update({item.parameter: scaled(values[item.parameter], item.factor)})
    return values


def _arrhenius(value: float, item: Activated, reference_k: float) -> Any:
    def at(*arguments: Any) -> Any:
        # PyBaMM hands the temperature over last.
        warmth = 1 / reference_k - 1 / arguments[-1]
        return value * pybamm.exp(item.energy_j_mol / GAS_J_PER_MOL_K * warmth)

    return at


def scaled(value: Any, factor: Any) -> Any:
    """Return a parameter's value, a number or a function, times a factor."""
    if callable(value):
        return lambda *arguments: factor * value(*arguments)
    return factor * value


def model_options(options: CellOptions) -> dict[str, Any]:
    """PyBaMM's option dictionary of the options."""
    return {
        "thermal": "lumped",
        "voltage as a state": "false",
        "SEI film resistance": "average",
        "x-average side reactions": "true",
        **options.of_chemistry.mechanisms,
    }


def mesh(options: CellOptions, model: Any) -> dict[str, Any]:
    """Keyword arguments ``var_pts`` and ``submesh_types`` of ``pybamm.Simulation``."""
    across = dict.fromkeys(("x_n", "x_s", "x_p"), options.electrolyte_points)
    radial = dict.fromkeys(("r_n", "r_p"), options.radial_points)
    points = {**model.default_var_pts, **across, **radial}
    submeshes = dict(model.default_submesh_types)
    if options.radial_stretch > 0:
        clustered = pybamm.MeshGenerator(
            pybamm.Exponential1DSubMesh,
            {"side": "right", "stretch": float(options.radial_stretch)},
        )
        submeshes |= {"negative particle": clustered, "positive particle": clustered}
    return {"var_pts": points, "submesh_types": submeshes}
