"""PyBaMM model to CasADi expression: the only module that builds a PyBaMM model for a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
import pybamm
from numpy.typing import NDArray

from adapters.pybamm.options import CellOptions
from adapters.pybamm.parameters import BORROWED
from cosim.errors import BatteryError

CURRENT = "Current function [A]"
AMBIENT = "Ambient temperature [K]"
INITIAL_NEGATIVE = "Initial concentration in negative electrode [mol.m-3]"
INITIAL_POSITIVE = "Initial concentration in positive electrode [mol.m-3]"
INITIAL_TEMPERATURE = "Initial temperature [K]"
INPUTS = (CURRENT, AMBIENT, INITIAL_NEGATIVE, INITIAL_POSITIVE, INITIAL_TEMPERATURE)

VOLTAGE = "Voltage [V]"
BULK_OCV = "Bulk open-circuit voltage [V]"
OBSERVED = (
    "Average negative particle stoichiometry",
    "Average positive particle stoichiometry",
    "Volume-averaged cell temperature [K]",
    "X-averaged negative SEI thickness [m]",
)
"""Variables that are linear in the state; the fields of a `CellView` in this order."""
SURFACE = (
    "X-averaged negative particle surface stoichiometry",
    "X-averaged positive particle surface stoichiometry",
)


@dataclass(frozen=True)
class Model:
    """A cell model as CasADi expressions of the state x, the current and the ambient temperature.

    The current I [A] is positive on discharge, as in PyBaMM.
    """

    f: Any
    """Function (x, [I, T_ambient]) -> (dx/dt, voltage, bulk open-circuit voltage)."""
    observe: Any
    """Function x -> the variables of `OBSERVED`."""
    surface: Any
    """Function x -> stoichiometries at the surface of the negative and the positive particles."""
    x0: Any
    """Function (negative stoichiometry, positive stoichiometry, temperature [K]) -> x at rest."""
    groups: tuple[tuple[int, int], ...]
    """Slices (start, stop) of x that belong to one PyBaMM variable each."""
    constants: dict[str, float]
    """Electrode capacities, voltage limits, ageing constants; the names say their units."""


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
    model = pybamm.lithium_ion.SPM(model_options(options))
    model.events = []
    values = pybamm.ParameterValues(options.parameter_set)
    values.update({item.parameter: item.value for item in BORROWED[options.parameter_set]})
    return model, values, mesh(options, model)


def model_options(options: CellOptions) -> dict[str, str]:
    """PyBaMM's option dictionary of the options."""
    return {
        "SEI": options.sei,
        "SEI film resistance": "none",
        "thermal": options.thermal,
        "voltage as a state": "false",
    }


def mesh(options: CellOptions, model: Any) -> dict[str, Any]:
    """Keyword arguments ``var_pts`` and ``submesh_types`` of ``pybamm.Simulation``."""
    points = {**model.default_var_pts, "r_n": options.radial_points, "r_p": options.radial_points}
    submeshes = dict(model.default_submesh_types)
    if options.radial_stretch > 0:
        clustered = pybamm.MeshGenerator(
            pybamm.Exponential1DSubMesh,
            {"side": "right", "stretch": float(options.radial_stretch)},
        )
        submeshes |= {"negative particle": clustered, "positive particle": clustered}
    return {"var_pts": points, "submesh_types": submeshes}


def export(options: CellOptions) -> Model:
    """Build, discretise and export the cell model.

    Parameters
    ----------
    options
        The cell model.

    Returns
    -------
    Model
        CasADi functions in scalar (SX) form.

    Raises
    ------
    cosim.errors.BatteryError
        If the model has algebraic states or does not conserve the charge that passes.

    References
    ----------
    Sulzer et al. 2021, Python Battery Mathematical Modelling (PyBaMM), doi:10.5334/jors.309.
    """
    model, values, mesh_arguments = simulation_parts(options)
    numbers = _numbers(values)
    values.update(dict.fromkeys(INPUTS, "[input]"), check_already_exists=False)
    simulation = pybamm.Simulation(model, parameter_values=values, **mesh_arguments)
    simulation.build(inputs=dict.fromkeys(INPUTS, 1.0))
    built: Any = simulation.built_model
    parts = built.export_casadi_objects(
        [VOLTAGE, BULK_OCV, *OBSERVED, *SURFACE], input_parameter_order=list(INPUTS)
    )
    if parts["z"].numel() != 0:
        raise BatteryError(f"{options.model} has algebraic states, which the method cannot step")

    variables = parts["variables"]
    full = ca.Function(
        "full",
        [parts["x"], parts["inputs"]],
        [parts["rhs"], *(variables[name] for name in (VOLTAGE, BULK_OCV, *OBSERVED, *SURFACE))],
    ).expand()
    initial = ca.Function("initial", [parts["inputs"]], [parts["x0"]]).expand()
    kept, groups = _kept_states(full, built)

    x, u = ca.SX.sym("x", len(kept)), ca.SX.sym("u", 2)
    whole = ca.SX.zeros(full.size1_in(0))
    whole[kept] = x
    rate, voltage, ocv, *observed = full(whole, ca.vertcat(u, ca.SX.zeros(len(INPUTS) - 2)))
    start = ca.SX.sym("start", 3)
    concentrations = ca.vertcat(
        start[0] * numbers["negative_max_mol_m3"],
        start[1] * numbers["positive_max_mol_m3"],
        start[2],
    )
    result = Model(
        f=ca.Function("f", [x, u], [rate[kept], voltage, ocv]),
        observe=ca.Function("observe", [x], [ca.vertcat(*observed[: len(OBSERVED)])]),
        surface=ca.Function("surface", [x], [ca.vertcat(*observed[len(OBSERVED) :])]),
        x0=ca.Function("x0", [start], [initial(ca.vertcat(0, 0, concentrations))[kept]]),
        groups=groups,
        constants=numbers,
    )
    _check_conservation(result)
    return result


def _numbers(values: Any) -> dict[str, float]:
    cell = pybamm.LithiumIonParameters()
    negative, positive = cell.n.prim, cell.p.prim
    sei = {
        "negative_capacity_ah": cell.n.Q_init,
        "positive_capacity_ah": cell.p.Q_init,
        "lithium_ah": cell.Q_Li_particles_init,
        "negative_max_mol_m3": negative.c_max,
        "positive_max_mol_m3": positive.c_max,
        "reference_k": cell.T_ref,
        "lower_v": cell.voltage_low_cut,
        "upper_v": cell.voltage_high_cut,
        "sei_initial_m": negative.L_sei_0,
        "sei_molar_volume_m3_mol": negative.V_bar_sei,
        "sei_lithium_per_sei": negative.z_sei,
        "sei_activation_j_mol": negative.E_sei,
        "sei_area_m2": negative.a_typ * cell.n.L * cell.A_cc,
    }
    numbers = {name: float(values.evaluate(symbol)) for name, symbol in sei.items()}
    numbers["sei_diffusivity_m2_s"] = float(values["SEI solvent diffusivity [m2.s-1]"])
    numbers["sei_solvent_mol_m3"] = float(values["Bulk solvent concentration [mol.m-3]"])
    return numbers


def _kept_states(full: Any, built: Any) -> tuple[list[int], tuple[tuple[int, int], ...]]:
    """States that something depends on (counters of throughput are not), and their groups."""
    x = ca.SX.sym("x", full.size1_in(0))
    rate, *seen = full(x, ca.SX.sym("u", full.size1_in(1)))
    needed = np.any(_pattern(ca.vertcat(*seen), x), axis=0)
    depends = _pattern(rate, x)
    for _ in range(x.numel()):
        needed = needed | np.any(depends[needed], axis=0)
    slices = sorted((s.start, s.stop) for [s] in built.y_slices.values())
    groups: list[tuple[int, int]] = []
    kept: list[int] = []
    for start, stop in slices:
        if np.any(needed[start:stop]):
            groups.append((len(kept), len(kept) + stop - start))
            kept += range(start, stop)
    return kept, tuple(groups)


def _pattern(expression: Any, x: Any) -> NDArray[np.bool_]:
    return np.asarray(ca.DM(ca.jacobian_sparsity(expression, x), 1).full()) != 0


def _check_conservation(model: Model) -> None:
    """Raise if the averages do not move by exactly the charge that passes."""
    c = model.constants
    x = model.x0([0.5, 0.5, c["reference_k"]])
    weights = ca.Function("w", [x_ := ca.SX.sym("x", x.numel())], [_jacobian(model.observe, x_)])(x)
    current = 3.0
    loaded = model.f(x, [current, c["reference_k"]])[0]
    rest = model.f(x, [0.0, c["reference_k"]])[0]
    moved = np.asarray(ca.mtimes(weights, loaded - rest).full()).ravel() * 3600
    found = (-moved[0] * c["negative_capacity_ah"], moved[1] * c["positive_capacity_ah"])
    if not np.allclose(found, current, rtol=1e-9):
        raise BatteryError(f"a current of {current} A moves {found} A of lithium in the electrodes")


def _jacobian(function: Any, x: Any) -> Any:
    return ca.jacobian(function(x), x)


def open_circuit(model: Model, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[Any]:
    """Open-circuit voltage [V] at negative and positive stoichiometries `x` and `y`."""
    start = ca.SX.sym("start", 2)
    t_ref = model.constants["reference_k"]
    voltage = model.f(model.x0(ca.vertcat(start, t_ref)), ca.vertcat(0, t_ref))[2]
    function = ca.Function("ocv", [start], [voltage])
    return np.asarray(function(np.vstack([x, y])).full()).ravel()


def balance(
    model: Model, fractions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Negative stoichiometries at 0 and 100 % state of charge by cyclable lithium.

    Parameters
    ----------
    model
        The cell model.
    fractions
        Cyclable lithium over that of the new cell.

    Returns
    -------
    tuple
        x at 0 % and x at 100 %, one entry per fraction: where the open-circuit voltage is the
        lower and the upper limit with the lithium shared between the electrodes.

    References
    ----------
    Mohtat et al. 2019, J. Power Sources 427, 101, doi:10.1016/j.jpowsour.2019.03.104 (electrode
    state of health); the same equations as PyBaMM's ``ElectrodeSOHSolver``.
    """
    c = model.constants
    lithium = fractions * c["lithium_ah"]

    def solve(target_v: float) -> NDArray[np.float64]:
        low = np.maximum(1e-6, (lithium - c["positive_capacity_ah"]) / c["negative_capacity_ah"])
        high = np.minimum(1 - 1e-6, lithium / c["negative_capacity_ah"])
        for _ in range(60):
            middle = 0.5 * (low + high)
            y = (lithium - middle * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
            above = open_circuit(model, middle, y) > target_v
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return 0.5 * (low + high)

    return solve(c["lower_v"]), solve(c["upper_v"])
