"""State of health of a cell: electrode balance, resistance, and what charging wears.

CasADi functions of the state; the balance is of the three figures that ageing changes.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
from numpy.polynomial import chebyshev

from adapters.pybamm.constants import FARADAY_C_PER_MOL
from adapters.pybamm.diffusion import Diffusion, plating_slope
from adapters.pybamm.export import FIELDS, Model, observed_slopes, open_circuit_expression
from adapters.pybamm.limits import clip, inside, temperature_k
from cosim.signals import C_RATES

BALANCE_ITERATIONS = 2
"""Newton iterations for the stoichiometries at 0 and 100 %, from those of the tick before."""
BALANCE_INPUTS = ("empty", "full", "lithium_ah", "negative_ah", "positive_ah")
BALANCE_OUTPUTS = (
    "empty", "full", "capacity_ah", "per_lithium", "per_negative", "per_positive",
)  # fmt: skip
MIXING_DEGREE = 40
"""Degree of the series of the open-circuit potentials for the energy of gradients."""
WEAR_INPUTS = ("per_lithium", "per_negative", "per_positive", "charge_a")


def balance(model: Model) -> Any:
    """Stoichiometries of the negative electrode at 0 and 100 % state of charge.

    Parameters
    ----------
    model
        The cell model.

    Returns
    -------
    casadi.Function
        `BALANCE_INPUTS` -> `BALANCE_OUTPUTS`: where the open-circuit voltage is the lower and the
        upper limit with the lithium shared between the electrodes, the capacity between them, and
        how it changes with each of the three figures.

    References
    ----------
    Mohtat et al. 2019, J. Power Sources 427, 101, doi:10.1016/j.jpowsour.2019.03.104 (electrode
    state of health); the same equations as PyBaMM's ``ElectrodeSOHSolver``.
    """
    q = ca.SX.sym("q", len(BALANCE_INPUTS))
    empty, full, *figures = ca.vertsplit(q)
    ends: list[Any] = []
    slopes: list[Any] = []
    for x, limit_v in ((empty, model.constants["lower_v"]), (full, model.constants["upper_v"])):
        found, by_figure = _at_voltage(model, x, ca.vertcat(*figures), limit_v)
        ends.append(found)
        slopes.append(by_figure)
    width = ends[1] - ends[0]
    negative_ah = figures[1]
    change = negative_ah * (slopes[1] - slopes[0]) + ca.vertcat(0, width, 0)
    return ca.Function("balance", [q], [ca.vertcat(*ends, width * negative_ah, change)])


def _at_voltage(model: Model, x: Any, figures: Any, limit_v: float) -> tuple[Any, Any]:
    """Return the stoichiometry at a voltage, and its slopes with lithium and electrodes."""
    s, f = ca.SX.sym("s"), ca.SX.sym("f", 3)
    voltage = open_circuit_expression(model, s, (f[0] - s * f[1]) / f[2])
    evaluate = ca.Function("v", [s, f], [voltage, ca.gradient(voltage, s), ca.gradient(voltage, f)])
    for _ in range(BALANCE_ITERATIONS):
        v, slope, _ = evaluate(x, figures)
        x = x + (limit_v - v) / slope
    _, slope, by_figure = evaluate(x, figures)
    return x, -by_figure / slope


def resistance(model: Model) -> Any:
    """Resistance of the aged cell at rest, at half charge and the reference temperature.

    Parameters
    ----------
    model
        The cell model.

    Returns
    -------
    casadi.Function
        x -> -dV/dI at no current [Ohm]: film, electrolyte and charge transfer, with the ageing
        states of x and everything else as in a new cell at rest.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    c = model.constants
    fresh = ca.SX(model.x0([c["half_negative"], c["half_positive"], c["reference_k"]]))
    for start, stop in model.groups:
        if stop - start == 1:
            fresh[start] = x[start]
    warm = FIELDS.index("temperature_k")
    row = observed_slopes(model)[warm, :]
    at = int(row.sparsity().get_triplet()[1][0])
    fresh[at] = model.x0([c["half_negative"], c["half_positive"], c["reference_k"]])[at]
    symbol = ca.SX.sym("i")
    voltage = model.f(fresh, ca.vertcat(symbol, c["reference_k"], 0))[1]
    return ca.Function("resistance", [x], [-ca.substitute(ca.jacobian(voltage, symbol), symbol, 0)])


def gradient_energy(model: Model) -> Any:
    """Energy that the gradients in the particles hold.

    Parameters
    ----------
    model
        The cell model.

    Returns
    -------
    casadi.Function
        x -> [J], >= 0: chemical energy above that of the mean composition. It was lost to the
        terminals and is not heat yet; where gradients even out it becomes heat (of mixing).

    Notes
    -----
    The energy of an electrode is -Q times the mean over its particles of the integral of the
    open-circuit potential U over the stoichiometry; the integral is a Chebyshev series of degree
    `MIXING_DEGREE`.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    rows, observed = observed_slopes(model), model.observe(x)
    names, c = list(FIELDS), model.constants
    total = ca.SX(0)
    for side, potential in zip(("negative", "positive"), model.potentials, strict=True):
        index = names.index(side)
        capacity = c[f"{side}_capacity_ah"] * 3600
        capacity = capacity * observed[names.index(f"{side}_fraction")] / c[f"{side}_fraction"]
        integral = _integral(potential)
        weights = rows[index, :]
        spread = -integral(observed[index])
        # The state of a particle is its stoichiometry, scaled; the weights of the mean sum to 1
        # in stoichiometry.
        scale = ca.sum2(weights)
        for place in weights.sparsity().get_triplet()[1]:
            spread = spread + weights[0, place] / scale * integral(x[place] * scale)
        total = total - capacity * spread
    return ca.Function("gradient_energy", [x], [total])


def _integral(potential: Any) -> Any:
    """Return the integral of a potential over the stoichiometry as an expression's function."""
    fit = chebyshev.Chebyshev.interpolate(potential, MIXING_DEGREE, domain=[0, 1])
    series = [float(value) for value in fit.integ().coef]

    def at(stoichiometry: Any) -> Any:
        s = 4 * stoichiometry - 2
        first, second = 0, 0
        for value in reversed(series[1:]):
            first, second = value + s * first - second, first
        return series[0] + 0.5 * s * first - second

    return at


def wear(model: Model, horizon_s: float) -> Any:
    """Capacity that charging costs, beyond what rest costs.

    Parameters
    ----------
    model
        The cell model.
    horizon_s
        Time over which the charging lasts [s]; the rates are those at its middle.

    Returns
    -------
    casadi.Function
        (x, `WEAR_INPUTS`) -> capacity lost per energy taken in [A h/J] at each of `C_RATES`,
        or at the largest current that can be held (``charge_a`` [A], of `limits.predict`) where
        that is less. The first three inputs are outputs of `balance`. That charging warms the cell
        is left out.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    q = ca.SX.sym("q", len(WEAR_INPUTS))
    per_figure, charge_a = q[:3], q[3]
    c = model.constants
    warm = temperature_k(model, x)
    moves = Diffusion(model, x, warm, 0.5 * horizon_s)
    idle, unit = x + moves.answer(x, 0), moves.per_ampere(ca.SX.zeros(x.numel()))
    rows = observed_slopes(model)
    names = FIELDS

    def row(name: str) -> Any:
        return rows[names.index(name), :]

    # Plated lithium is not lost: it can be stripped.
    bound = row("side_mol") - row("plated_mol")
    bound = bound + row("negative_loss_mol") + row("positive_loss_mol")
    figures = ca.vertcat(
        -bound * FARADAY_C_PER_MOL / 3600,
        row("negative_fraction") * c["negative_capacity_ah"] / c["negative_fraction"],
        row("positive_fraction") * c["positive_capacity_ah"] / c["positive_fraction"],
    )

    def lost(current: Any) -> tuple[Any, Any]:
        state = idle + unit * current
        rate, voltage, _, _ = model.f(state, ca.vertcat(current, warm, 1))
        # Plating is fast: it is taken to where it is by then.
        slope = plating_slope(model, state, current, warm)
        half = 0.5 * horizon_s
        state = state + half * (slope != 0) * rate / (1 - half * slope)
        rate = model.f(state, ca.vertcat(current, warm, 1))[0]
        return -ca.dot(per_figure, ca.mtimes(figures, rate)), voltage

    at_rest = lost(ca.SX(0))[0]
    least, _ = inside(model, idle, unit, -charge_a, ca.SX(0))
    results: list[Any] = []
    for c_rate in C_RATES:
        current = -clip(
            ca.fmin(charge_a, -least), 1e-3 * c["new_capacity_ah"], c_rate * c["new_capacity_ah"]
        )
        rate, voltage = lost(current)
        results.append((rate - at_rest) / (-current * voltage))
    return ca.Function("wear", [x, q], [ca.vertcat(*results)])
