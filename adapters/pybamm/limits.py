"""Limits of a cell, as CasADi expressions.

The current at a power within voltage, state of charge, rating and temperature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import casadi as ca

from adapters.pybamm.chemistry import Curve
from adapters.pybamm.constants import FARADAY_C_PER_MOL, GAS_J_PER_MOL_K, ZERO_C_K
from adapters.pybamm.export import FIELDS, Model

POWER_ITERATIONS = 3
"""Newton iterations for the current at the power asked."""
FOLLOWING_ITERATIONS = 2
"""The same where a current that is nearly right is known."""
LIMIT_ITERATIONS = 2
"""Newton iterations for the current at the voltage limit."""
SURFACE_MARGIN = 0.005
"""Stoichiometry that is left at or below the surface of a particle at the end of a step."""
ELECTROLYTE_MARGIN = 0.05
"""Share of the electrolyte's salt that is left at a current collector at the end of a step."""


@dataclass(frozen=True)
class Ask:
    """What is asked of a cell in a step."""

    power: Any
    """Power out of the cell [W]."""
    limit_v: Any
    """Voltage limit of the direction asked for [V]."""
    lowest: Any
    """Least current, <= 0 [A], for what it leaves in the cell."""
    highest: Any
    """Greatest current, >= 0 [A], likewise."""
    charge_a: Any
    """Rated charging current, >= 0 [A], before derating."""
    discharge_a: Any
    """Rated discharging current, >= 0 [A], before derating."""


def temperature_k(model: Model, x: Any) -> Any:
    """Return the temperature of the cell [K]."""
    return model.observe(x)[FIELDS.index("temperature_k")]


def derated(model: Model, x: Any, charge_a: Any, discharge_a: Any) -> tuple[Any, Any]:
    """Return what is left of rated currents at the cell's temperature, <= 0 and >= 0."""
    warm = temperature_k(model, x) - ZERO_C_K
    chemistry = model.chemistry
    return (
        -charge_a * share(chemistry.charge_derating, warm),
        discharge_a * share(chemistry.discharge_derating, warm),
    )


def share(curve: Curve, at: Any) -> Any:
    """Value of a piecewise-linear curve, as an expression."""
    value = curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if y0 != y1:
            value = value + (y1 - y0) * clip((at - x0) / (x1 - x0), 0, 1)
    return value


def inside(model: Model, idle: Any, unit: Any, lowest: Any, highest: Any) -> tuple[Any, Any]:
    """Return currents between which nothing runs empty or full, <= 0 and >= 0.

    Outside, the open-circuit potentials are steep continuations in which no search for a current
    converges, and an electrolyte without salt has no voltage. Discharge empties the negative and
    fills the positive particles, and takes salt from the electrolyte of the positive electrode.

    Parameters
    ----------
    idle, unit
        State after a step at rest, and its change per ampere.
    lowest, highest
        Other bounds of the current [A].
    """
    negative, positive = ca.vertsplit(model.surface(idle))
    fall, rise = ca.vertsplit(_change(model.surface, idle, unit))
    most = ca.fmin((negative - SURFACE_MARGIN) / -fall, (1 - SURFACE_MARGIN - positive) / rise)
    least = ca.fmax((1 - SURFACE_MARGIN - negative) / fall, (positive - SURFACE_MARGIN) / -rise)
    if model.electrolyte is not None:
        first, last = ca.vertsplit(model.electrolyte(idle))
        gain, loss = ca.vertsplit(_change(model.electrolyte, idle, unit))
        most = ca.fmin(most, (last - ELECTROLYTE_MARGIN) / -loss)
        least = ca.fmax(least, (first - ELECTROLYTE_MARGIN) / -gain)
    return ca.fmax(lowest, ca.fmin(least, 0)), ca.fmin(highest, ca.fmax(most, 0))


def _change(function: Any, at: Any, direction: Any) -> Any:
    x = ca.SX.sym("x", at.numel())
    slope = ca.Function("slope", [x], [ca.jacobian(function(x), x)])
    return ca.mtimes(slope(at), direction)


def current_at(model: Model, x: Any, guess: Any, ask: Ask) -> tuple[Any, Any]:
    """Return current and voltage at the power asked, or as near to it as the limits let."""
    lowest, highest = _bounds(model, x, ask)
    evaluate = voltage_of(model, x)
    current = _for_power(evaluate, x, guess, ask.power, (lowest, highest), POWER_ITERATIONS)
    limit = _limit_guess(model, x, evaluate(x, 0), ask.limit_v)
    for _ in range(LIMIT_ITERATIONS):
        limit = clip(limit, lowest, highest)
        v, slope = evaluate(x, limit)
        limit = limit + (ask.limit_v - v) / slope
    limit = clip(limit, lowest, highest)
    current = clip(current, ca.fmin(limit, 0), ca.fmax(limit, 0))
    return current, evaluate(x, current)[0]


def current_after(
    model: Model, x: Any, guess: Any, ask: Ask, along: Callable[[Any], Any]
) -> tuple[Any, Any]:
    """Return current and voltage at the end of a step, likewise.

    Parameters
    ----------
    x
        State at the end with the current of the begin, where the power is to be held.
    along
        State at the end as a function of the current there, which the voltage limit is held on.

    Notes
    -----
    Where a flat potential ends, a step at constant current goes past the end, to where no current
    is within the limit: so it is sought along what a falling current leaves, by chords.
    """
    evaluate = voltage_of(model, x)
    bounds = _bounds(model, x, ask)
    asked = _for_power(evaluate, x, guess, ask.power, bounds, FOLLOWING_ITERATIONS)
    tiny = 1e-9 * ca.if_else(ask.power < 0, -1, 1)

    def voltage(current: Any) -> Any:
        return evaluate(along(current), current)[0]

    end_v = voltage(asked)
    current, v = ca.SX(0), voltage(ca.SX(0))
    for _ in range(model.chemistry.limit_chords):
        current = current + (asked - current) * clip((v - ask.limit_v) / (v - end_v + tiny), 0, 1)
        v = voltage(current)
    cut = ca.fabs(current) < ca.fabs(asked)
    return current, ca.if_else(cut, v, evaluate(x, current)[0])


def _bounds(model: Model, x: Any, ask: Ask) -> tuple[Any, Any]:
    most_in, most_out = derated(model, x, ask.charge_a, ask.discharge_a)
    return ca.fmax(ask.lowest, most_in), ca.fmin(ask.highest, most_out)


def _for_power(
    evaluate: Any, x: Any, guess: Any, power: Any, bounds: tuple[Any, Any], iterations: int
) -> Any:
    """Return the current at a power within bounds, by Newton."""
    current = clip(guess, *bounds)
    for _ in range(iterations):
        v, slope = evaluate(x, current)
        error = current * v - power
        current = clip(current - error / (v + current * slope), *bounds)
    return current


def voltage_of(model: Model, x: Any) -> Any:
    """Return the function (state, current) -> (voltage, its slope with the current)."""
    symbol = ca.SX.sym("i")
    state = ca.SX.sym("state", x.numel())
    v = model.f(state, ca.vertcat(symbol, model.constants["reference_k"], 0))[1]
    return ca.Function("v", [state, symbol], [v, ca.jacobian(v, symbol)])


def _limit_guess(model: Model, x: Any, at_rest: tuple[Any, Any], limit_v: Any) -> Any:
    """Return the current at a voltage limit as if both electrodes had the same kinetics.

    Unlike (symmetric Butler-Volmer) kinetics reach the limit at a larger current, so Newton starts
    inside the limit, from where it approaches without passing it; from outside it would be thrown
    back to zero.
    """
    ocv, slope = at_rest
    thermal_v = 2 * GAS_J_PER_MOL_K * temperature_k(model, x) / FARADAY_C_PER_MOL
    exponent = clip((ocv - limit_v) / (2 * thermal_v), -30, 30)
    return -2 * thermal_v / slope * ca.sinh(exponent)


def clip(value: Any, low: Any, high: Any) -> Any:
    """Return `value`, or the bound that it passes."""
    return ca.fmin(ca.fmax(value, low), high)
