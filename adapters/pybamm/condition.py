"""State of health of a cell: electrode balance, resistance, and what charging and discharging wear.

CasADi functions of the state; the balance is of the three figures that ageing changes.
"""

from __future__ import annotations

from typing import Any

import casadi as ca
import numpy as np
from numpy.polynomial import chebyshev

from adapters.pybamm.constants import FARADAY_C_PER_MOL
from adapters.pybamm.diffusion import plating_slope
from adapters.pybamm.export import FIELDS, Model, observed_slopes, open_circuit_expression
from adapters.pybamm.forecast import ahead
from adapters.pybamm.limits import SURFACE_MARGIN, clip, inside, temperature_k
from adapters.pybamm.plating import per_watt
from cosim.errors import BatteryError
from cosim.signals import C_RATES

BALANCE_INPUTS = ("empty", "full", "lithium_ah", "negative_ah", "positive_ah")
BALANCE_OUTPUTS = (
    "empty", "full", "empty_per_lithium", "empty_per_negative", "empty_per_positive",
    "full_per_lithium", "full_per_negative", "full_per_positive",
)  # fmt: skip
MIXING_DEGREES = {"negative": 12, "positive": 10}
"""Degrees of numerator and denominator of what stands for the integral of a potential."""
MIXING_ERROR_V = 2e-6
"""Largest error of such an integral over the stoichiometry."""
WEAR_TIME = 0.4
"""When the gradients are those that wear on average, over the horizon."""
WEAR_LEAST_C = 0.02
"""Least current for which wear is told, over the capacity when new [1/h]."""
WEAR_INPUTS = (
    "per_lithium", "per_negative", "per_positive", "charge_a", "discharge_a", "heat_capacity_j_k",
)  # fmt: skip


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
        upper limit with the lithium shared between the electrodes, and how these stoichiometries
        change with each of the three figures [1/(A h)].

    Notes
    -----
    One Newton iteration from the stoichiometries given, where the slopes are. The cell is full at
    the upper limit or where graphite is, whichever comes first: with a sixth of it lost there is
    lithium for more than it can hold.

    References
    ----------
    Mohtat et al. 2019, J. Power Sources 427, 101, doi:10.1016/j.jpowsour.2019.03.104 (electrode
    state of health); the same equations as PyBaMM's ``ElectrodeSOHSolver``.
    """
    q = ca.SX.sym("q", len(BALANCE_INPUTS))
    empty, full, *figures = ca.vertsplit(q)
    limits_v = model.constants["lower_v"], model.constants["upper_v"]
    ends: list[Any] = []
    slopes: list[Any] = []
    for x, limit_v in zip((empty, full), limits_v, strict=True):
        end, by_figure = _at_voltage(model, x, ca.vertcat(*figures), limit_v)
        ends.append(ca.fmin(end, 1 - SURFACE_MARGIN))
        slopes.append(by_figure * (end < 1 - SURFACE_MARGIN))
    return ca.Function("balance", [q], [ca.vertcat(*ends, *slopes)])


def _at_voltage(model: Model, x: Any, figures: Any, limit_v: float) -> tuple[Any, Any]:
    """Return the stoichiometry at a voltage, and its slopes with lithium and electrodes."""
    s, f = ca.SX.sym("s"), ca.SX.sym("f", 3)
    voltage = open_circuit_expression(model, s, (f[0] - s * f[1]) / f[2])
    evaluate = ca.Function("v", [s, f], [voltage, ca.gradient(voltage, s), ca.gradient(voltage, f)])
    v, slope, by_figure = evaluate(x, figures)
    return x + (limit_v - v) / slope, -by_figure / slope


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


def particle_energy(model: Model) -> Any:
    """Chemical energy of the lithium in the particles.

    Parameters
    ----------
    model
        The cell model.

    Returns
    -------
    casadi.Function
        x -> energy of the negative and of the positive electrode over its capacity [J/(A s)], up to
        a constant. Against lithium metal, so what is plated has none.

    Notes
    -----
    Minus the mean over the particles of the integral of the open-circuit potential over the
    stoichiometry. Errors against quadrature, 5 h at up to 5C and from -20 to 45 degC, both models
    and chemistries: 0.05 J in a cell whose gradients hold up to 96 J.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    rows = observed_slopes(model)
    found: list[Any] = []
    for side, potential in zip(("negative", "positive"), model.potentials, strict=True):
        integral = _integral(potential, MIXING_DEGREES[side])
        weights = rows[FIELDS.index(side), :]
        # The state of a particle is its stoichiometry, scaled; the weights of the mean sum to 1
        # in stoichiometry.
        scale = ca.sum2(weights)
        energy = ca.SX(0)
        for place in weights.sparsity().get_triplet()[1]:
            energy = energy - weights[0, place] / scale * integral(x[place] * scale)
        found.append(energy)
    return ca.Function("particle_energy", [x], [ca.vertcat(*found)])


def _integral(potential: Any, degree: int) -> Any:
    """Return the integral of a potential over the stoichiometry as an expression's function.

    A line and a rational function, as a polynomial takes many times the terms to follow the steps
    of graphite; by linear least squares with the denominator of the pass before as weight
    (Sanathanan and Koerner 1963, IEEE Trans. Autom. Control 8, 56).
    """
    at = -np.cos(np.linspace(0, np.pi, 401))
    series = chebyshev.Chebyshev.interpolate(lambda t: potential(0.5 + 0.5 * t), 400).integ()
    exact = 0.5 * series(at)
    constant, slope = chebyshev.chebfit(at, exact, 1)
    exact -= constant + slope * at
    powers = chebyshev.chebvander(at, degree)
    upper = lower = np.eye(degree + 1)[0]
    for _ in range(5):
        below = powers @ lower
        matrix = np.hstack([powers, -exact[:, None] * powers[:, 1:]]) / below[:, None]
        upper, lower = np.split(np.linalg.lstsq(matrix, exact / below)[0], [degree + 1])
        lower = np.r_[1, lower]
    below = powers @ lower
    error = float(np.abs(powers @ upper / below - exact).max())
    if error > MIXING_ERROR_V or below.min() * below.max() <= 0:
        raise BatteryError(f"the integral of a potential is met to {error:.1g} V alone")
    parts = [chebyshev.cheb2poly(part) for part in (upper, lower)]

    def value(stoichiometry: Any) -> Any:
        t = 2 * stoichiometry - 1
        return float(slope) * t + _horner(parts[0], t) / _horner(parts[1], t)

    return value


def _horner(coefficients: Any, at: Any) -> Any:
    value = 0
    for coefficient in reversed(coefficients):
        value = value * at + float(coefficient)
    return value


def wear(model: Model, horizon_s: float) -> Any:
    """Capacity that charging and discharging cost, beyond what rest costs.

    Parameters
    ----------
    model
        The cell model.
    horizon_s
        Time that they last [s].

    Returns
    -------
    casadi.Function
        (x, `WEAR_INPUTS`) -> capacity lost per energy moved [A h/J] at each of `C_RATES`, or at the
        largest current that can be held (``charge_a`` and ``discharge_a`` [A], of
        `forecast.predict`) where that is less. The first three inputs say how the capacity changes
        with each figure of `balance`. The last says what the heat warms
        [J/K].

    Notes
    -----
    The rates are those of one moment, `WEAR_TIME`, of a cell that half the horizon has warmed and
    plated. What stress costs goes with the square of the gradients: with time while they grow by
    its root, so that its mean is that of the middle; where they are full before, it is that of an
    earlier moment. They are the smaller the faster lithium diffuses in the warmed particles, by the
    root of the diffusivity while they grow.

    README.md has the errors against what a tick costs.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    q = ca.SX.sym("q", len(WEAR_INPUTS))
    per_figure, charge_a, discharge_a, heat_capacity = q[:3], q[3], q[4], q[5]
    c = model.constants
    warm = temperature_k(model, x)
    half = 0.5 * horizon_s
    idle, unit = ahead(model, x, WEAR_TIME * horizon_s)
    rows = observed_slopes(model)

    def row(name: str) -> Any:
        return rows[FIELDS.index(name), :]

    # Plated lithium is not lost: it can be stripped.
    bound = row("side_mol") - row("plated_mol")
    bound = bound + row("negative_loss_mol") + row("positive_loss_mol")
    figures = ca.vertcat(
        -bound * FARADAY_C_PER_MOL / 3600,
        row("negative_fraction") * c["negative_capacity_ah"] / c["negative_fraction"],
        row("positive_fraction") * c["positive_capacity_ah"] / c["positive_fraction"],
    )

    particles = [_Particle(model, side) for side in ("negative", "positive")]
    per_joule = per_watt(model, heat_capacity)

    def lost(current: Any) -> tuple[Any, Any]:
        state = idle + unit * current
        rate, voltage, _, heating = model.f(state, ca.vertcat(current, warm, 1))
        slope = plating_slope(model, state, current, warm)
        plated = (slope != 0) * rate / (1 - half * slope)
        state = state + half * (plated + heating * per_joule)
        for particle in particles:
            mean = particle.mean(idle) + particle.mean(unit) * current
            share = ca.sqrt(particle.pace(x) / particle.pace(state))
            for i in particle.states:
                state[i] = share * state[i] + (1 - share) * mean
        rate = model.f(state, ca.vertcat(current, warm, 1))[0]
        return -ca.dot(per_figure, ca.mtimes(figures, rate)), voltage

    at_rest = lost(ca.SX(0))[0]
    lowest, highest = inside(model, idle, unit, -charge_a, discharge_a)
    results: list[Any] = []
    for c_rate in C_RATES:
        # Currents of the model are positive on discharge, rates on charge.
        sign, most = (-1, -lowest) if c_rate > 0 else (1, highest)
        low, high = (share * c["new_capacity_ah"] for share in (WEAR_LEAST_C, abs(c_rate)))
        current = clip(most, low, high)
        rate, voltage = lost(sign * current)
        results.append((rate - at_rest) / (current * voltage))
    return ca.Function("wear", [x, q], [ca.vertcat(*results)])


class _Particle:
    """Where lithium in the particles of an electrode is among the states."""

    def __init__(self, model: Model, side: str) -> None:
        weights = observed_slopes(model)[FIELDS.index(side), :]
        self._weights = weights / ca.sum2(weights)
        self.states = weights.sparsity().get_triplet()[1]
        x = ca.SX.sym("x", model.f.size1_in(0))
        rate = model.f(x, ca.vertcat(0, model.constants["reference_k"], 0))[0]
        first = self.states[0]
        self.pace = ca.Function("pace", [x], [ca.jacobian(rate[first], x[first])])
        """Something of a state that goes with the diffusivity."""

    def mean(self, x: Any) -> Any:
        """Mean of a state over the particles."""
        return ca.dot(self._weights.T, x)
