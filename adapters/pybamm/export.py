"""PyBaMM model to CasADi expression: the only module that discretises a PyBaMM model for a run."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
import pybamm
from numpy.typing import NDArray

from adapters.pybamm.chemistry import Chemistry
from adapters.pybamm.options import CellOptions
from adapters.pybamm.parts import HEATING, WARMTH, scaled, simulation_parts
from cosim.errors import BatteryError

CURRENT = "Current function [A]"
AMBIENT = "Ambient temperature [K]"
SIDE = "Side reactions"
INITIAL_NEGATIVE = "Initial concentration in negative electrode [mol.m-3]"
INITIAL_POSITIVE = "Initial concentration in positive electrode [mol.m-3]"
INITIAL_TEMPERATURE = "Initial temperature [K]"
INPUTS = (CURRENT, AMBIENT, SIDE, INITIAL_NEGATIVE, INITIAL_POSITIVE, INITIAL_TEMPERATURE)

VOLTAGE = "Voltage [V]"
BULK_OCV = "Bulk open-circuit voltage [V]"
OBSERVED = {
    "negative": "Average negative particle stoichiometry",
    "positive": "Average positive particle stoichiometry",
    "temperature_k": WARMTH,
    "side_mol": "Total lithium lost to side reactions [mol]",
    "negative_loss_mol": "Loss of lithium due to loss of active material in negative electrode "
    "[mol]",
    "positive_loss_mol": "Loss of lithium due to loss of active material in positive electrode "
    "[mol]",
    "negative_fraction": "X-averaged negative electrode active material volume fraction",
    "positive_fraction": "X-averaged positive electrode active material volume fraction",
}
"""Variables that are affine in the state, by the fields of a `CellView`, which has one more: the
lithium that is plated and can be stripped, ``plated_mol``."""
PLATED = "lithium plating concentration"
"""Part of the name of the state of plated lithium, the one stiff state of ageing."""
FIELDS = (*OBSERVED, "plated_mol")
"""Rows of `Model.observe`."""
SURFACE = (
    "X-averaged negative particle surface stoichiometry",
    "X-averaged positive particle surface stoichiometry",
)
ELECTROLYTE = "Electrolyte concentration [mol.m-3]"
SIDE_RATES = (
    "SEI solvent diffusivity [m2.s-1]",
    "Exchange-current density for plating [A.m-2]",
    "Exchange-current density for stripping [A.m-2]",
)
"""Parameters that every side reaction is proportional to."""
EXCHANGE_TOLERANCES = {"j0__c_e": 1.0, "j0__c_s": 1e-4}
"""Electrolyte concentration [mol/m3] and distance of a stoichiometry from 0 and 1 below which
exchange currents fall no further, by PyBaMM's names."""


@dataclass(frozen=True)
class Model:
    """A cell model as CasADi expressions of the state x, the current and the ambient temperature.

    The current I [A] is positive on discharge, as in PyBaMM.
    """

    f: Any
    """Function (x, [I, T_ambient, s]) -> (dx/dt, voltage, bulk open-circuit voltage, heating [W]).
    Side reactions are multiplied by s: with 0 they are not there and cost nothing to evaluate. The
    rate of the temperature is that of a loose cell; `method` puts that of its mounting in its
    place."""
    observe: Any
    """Function x -> the variables named by `FIELDS`."""
    surface: Any
    """Function x -> stoichiometries at the surface of the negative and the positive particles."""
    electrolyte: Any
    """Function x -> electrolyte concentration at both current collectors over the initial one;
    None without electrolyte."""
    x0: Any
    """Function (negative stoichiometry, positive stoichiometry, temperature [K]) -> x at rest."""
    groups: tuple[tuple[int, int], ...]
    """Slices (start, stop) of x that belong to one PyBaMM variable each."""
    names: tuple[str, ...]
    """PyBaMM's name of each group."""
    constants: dict[str, float]
    """Electrode capacities, voltage limits, ageing constants; the names say their units."""
    potentials: tuple[Any, Any]
    """Open-circuit potentials of the negative and the positive electrode, functions of arrays of
    stoichiometries [V]."""
    chemistry: Chemistry
    """What the cell is made of."""


@contextmanager
def _inside() -> Generator[None]:
    """Build a model for where `limits.inside` keeps a cell, which costs less.

    PyBaMM adds walls at stoichiometries 0 and 1 to the open-circuit potentials: less than 1e-11 V
    where particles come, and a seventh of the search for a current. Exchange currents stop short
    of zero, so that no trial of a search divides by it.
    """
    module: Any = importlib.import_module("pybamm.parameters.lithium_ion_parameters")
    walls, tolerances = module.U_asymptotes, pybamm.settings.tolerances
    module.U_asymptotes = lambda _sto: pybamm.Scalar(0)
    pybamm.settings.tolerances = {**tolerances, **EXCHANGE_TOLERANCES}
    try:
        yield
    finally:
        module.U_asymptotes, pybamm.settings.tolerances = walls, tolerances


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
        If the model has algebraic states or does not conserve lithium.

    References
    ----------
    Sulzer et al. 2021, Python Battery Mathematical Modelling (PyBaMM), doi:10.5334/jors.309.
    """
    with _inside():
        model, values, mesh_arguments = simulation_parts(options)
    numbers = _numbers(values)
    potentials = tuple(values[f"{side} electrode OCP [V]"] for side in ("Negative", "Positive"))
    for name in SIDE_RATES:
        values.update({name: scaled(values[name], pybamm.InputParameter(SIDE))})
    values.update(dict.fromkeys(INPUTS, "[input]"), check_already_exists=False)
    simulation = pybamm.Simulation(model, parameter_values=values, **mesh_arguments)
    simulation.build(inputs=dict.fromkeys(INPUTS, 1.0))
    built: Any = simulation.built_model
    seen = [VOLTAGE, BULK_OCV, HEATING, *OBSERVED.values(), *SURFACE, ELECTROLYTE]
    parts = built.export_casadi_objects(seen, input_parameter_order=list(INPUTS))
    if parts["z"].numel() != 0:
        raise BatteryError(f"{options.model} has algebraic states, which the method cannot step")

    full = ca.Function(
        "full",
        [parts["x"], parts["inputs"]],
        [parts["rhs"], *(parts["variables"][name] for name in seen)],
    ).expand()
    initial = ca.Function("initial", [parts["inputs"]], [parts["x0"]]).expand()
    kept, groups, names = _kept_states(full, built)

    x, u = ca.SX.sym("x", len(kept)), ca.SX.sym("u", 3)
    whole = ca.SX.zeros(full.size1_in(0))
    whole[kept] = x
    rate, voltage, ocv, heating, *rest = full(whole, ca.vertcat(u, ca.SX.zeros(len(INPUTS) - 3)))
    observed, surface = rest[: len(OBSERVED)], rest[len(OBSERVED) : -1]
    ends = ca.vertcat(rest[-1][0], rest[-1][-1]) / numbers["electrolyte_mol_m3"]
    start = ca.SX.sym("start", 3)
    concentrations = ca.vertcat(
        start[0] * numbers["negative_max_mol_m3"],
        start[1] * numbers["positive_max_mol_m3"],
        start[2],
    )
    result = Model(
        f=ca.Function("f", [x, u], [rate[kept], voltage, ocv, heating]),
        observe=ca.Function(
            "observe", [x], [ca.vertcat(*observed, _plated(x, observed, groups, names))]
        ),
        surface=ca.Function("surface", [x], [ca.vertcat(*surface)]),
        electrolyte=ca.Function("ends", [x], [ends]) if any(ca.which_depends(ends, x, 1)) else None,
        x0=ca.Function("x0", [start], [initial(ca.vertcat(0, 0, 0, concentrations))[kept]]),
        groups=groups,
        names=names,
        constants=numbers,
        potentials=potentials,
        chemistry=options.of_chemistry,
    )
    _check_conservation(result)
    return result


def _plated(x: Any, observed: list[Any], groups: Any, names: tuple[str, ...]) -> Any:
    """Plated lithium [mol], from its share in what side reactions bind."""
    side = observed[list(OBSERVED).index("side_mol")]
    found = ca.SX(0)
    for name, (start, stop) in zip(names, groups, strict=True):
        if PLATED in name:
            states = x[start:stop]
            found = found + ca.mtimes(ca.jacobian(side, states), states)
    return found


def _numbers(values: Any) -> dict[str, float]:
    cell = pybamm.LithiumIonParameters()
    negative, positive = cell.n.prim, cell.p.prim
    symbols = {
        "negative_capacity_ah": cell.n.Q_init,
        "positive_capacity_ah": cell.p.Q_init,
        "lithium_ah": cell.Q_Li_particles_init,
        "negative_max_mol_m3": negative.c_max,
        "positive_max_mol_m3": positive.c_max,
        "electrolyte_mol_m3": cell.c_e_init,
        "reference_k": cell.T_ref,
        "lower_v": cell.voltage_low_cut,
        "upper_v": cell.voltage_high_cut,
        "sei_initial_m": negative.L_sei_0,
        "sei_molar_volume_m3_mol": negative.V_bar_sei,
        "sei_lithium_per_sei": negative.z_sei,
        "sei_activation_j_mol": negative.E_sei,
        "sei_area_m2": negative.a_typ * cell.n.L * cell.A_cc,
    }
    numbers = {name: _number(values, symbol) for name, symbol in symbols.items()}
    for side in ("negative", "positive"):
        name = f"{side.capitalize()} electrode active material volume fraction"
        numbers[f"{side}_fraction"] = float(values[name])
    numbers["sei_diffusivity_m2_s"] = float(values["SEI solvent diffusivity [m2.s-1]"])
    numbers["sei_solvent_mol_m3"] = float(values["Bulk solvent concentration [mol.m-3]"])
    numbers["cooling_w_k"] = float(
        values["Total heat transfer coefficient [W.m-2.K-1]"]
        * values["Cell cooling surface area [m2]"]
    )
    volume = _number(values, cell.V_cell)
    if "Cell heat capacity [J.K-1.m-3]" in values.keys():  # noqa: SIM118 - not a dictionary
        numbers["heat_capacity_j_k"] = volume * float(values["Cell heat capacity [J.K-1.m-3]"])
    else:
        numbers["heat_capacity_j_k"] = volume * _number(values, cell.rho_c_p_eff(cell.T_ref))
    return numbers


def _number(values: Any, symbol: Any) -> float:
    return float(np.mean(values.evaluate(symbol)))


def _kept_states(
    full: Any, built: Any
) -> tuple[list[int], tuple[tuple[int, int], ...], tuple[str, ...]]:
    """States that something depends on (counters of throughput are not), and their groups."""
    x = ca.SX.sym("x", full.size1_in(0))
    rate, *seen = full(x, ca.SX.sym("u", full.size1_in(1)))
    needed = np.any(_pattern(ca.vertcat(*seen), x), axis=0)
    depends = _pattern(rate, x)
    for _ in range(x.numel()):
        needed = needed | np.any(depends[needed], axis=0)
    found = [(s.start, -s.stop, str(name)) for name, [s] in built.y_slices.items()]
    groups: list[tuple[int, int]] = []
    names: list[str] = []
    kept: list[int] = []
    end = 0
    for start, minus_stop, name in sorted(found):
        stop = -minus_stop
        # The parts of a variable of several domains come after the whole of it.
        if start >= end and np.any(needed[start:stop]):
            groups.append((len(kept), len(kept) + stop - start))
            names.append(name)
            kept += range(start, stop)
        end = max(end, stop)
    return kept, tuple(groups), tuple(names)


def _pattern(expression: Any, x: Any) -> NDArray[np.bool_]:
    return np.asarray(ca.DM(ca.jacobian_sparsity(expression, x), 1).full()) != 0


def _check_conservation(model: Model) -> None:
    """Raise if the particles do not move by exactly the charge that passes."""
    c = model.constants
    x_ = ca.SX.sym("x", model.f.size1_in(0))
    slopes = ca.Function("w", [x_], [ca.jacobian(model.observe(x_), x_)])
    x = model.x0([0.5, 0.5, c["reference_k"]])
    current = 3.0
    loaded = model.f(x, [current, c["reference_k"], 0.0])[0]
    rest = model.f(x, [0.0, c["reference_k"], 0.0])[0]
    moved = np.asarray(ca.mtimes(slopes(x)[:2, :], loaded - rest).full()).ravel() * 3600
    found = (-moved[0] * c["negative_capacity_ah"], moved[1] * c["positive_capacity_ah"])
    if not np.allclose(found, current, rtol=1e-9):
        raise BatteryError(f"a current of {current} A moves {found} A of lithium in the electrodes")


def observed_slopes(model: Model) -> Any:
    """Rows of the observed variables over the state: numbers, as they are affine."""
    x = ca.SX.sym("x", model.f.size1_in(0))
    slopes = ca.Function("w", [x], [ca.jacobian(model.observe(x), x)])
    return ca.sparsify(slopes(ca.DM.zeros(x.numel())))


def warmth_state(model: Model) -> tuple[int, float]:
    """Return the index of the temperature among the states, and its unit [K]."""
    row = observed_slopes(model)[FIELDS.index("temperature_k"), :]
    [index] = row.sparsity().get_triplet()[1]
    return index, float(row[0, index])


def open_circuit_expression(model: Model, x: Any, y: Any) -> Any:
    """Open-circuit voltage [V] at negative and positive stoichiometry, as an expression."""
    warm = model.constants["reference_k"]
    return model.f(model.x0(ca.vertcat(x, y, warm)), ca.vertcat(0, warm, 0))[2]


def open_circuit(model: Model, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[Any]:
    """Open-circuit voltage [V] at negative and positive stoichiometries `x` and `y`."""
    start = ca.SX.sym("start", 2)
    function = ca.Function("ocv", [start], [open_circuit_expression(model, start[0], start[1])])
    return np.asarray(function(np.vstack([x, y])).full()).ravel()


def new_balance(model: Model) -> tuple[float, float]:
    """Negative stoichiometries of the new cell at 0 and 100 % state of charge, by bisection."""
    c = model.constants

    def solve(target_v: float) -> float:
        low = max(1e-6, (c["lithium_ah"] - c["positive_capacity_ah"]) / c["negative_capacity_ah"])
        high = min(1 - 1e-6, c["lithium_ah"] / c["negative_capacity_ah"])
        for _ in range(80):
            x = np.array([0.5 * (low + high)])
            y = (c["lithium_ah"] - x * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
            if open_circuit(model, x, y)[0] > target_v:
                high = float(x[0])
            else:
                low = float(x[0])
        return 0.5 * (low + high)

    return solve(c["lower_v"]), solve(c["upper_v"])
