"""One time step of a cell, and the power it can sustain, as CasADi functions.

The time step is a two-stage linearly implicit Rosenbrock method (ROS2) in which the terminal power
is held and the current is solved inside each stage.

References
----------
Verwer, Spee, Blom, Hundsdorfer 1999, A second-order Rosenbrock method applied to photochemical
dispersion problems, SIAM J. Sci. Comput. 20, 1456, doi:10.1137/S1064827597326651. The order is two
for any Jacobian, which is why only the stiff part, diffusion in the particles, has to be in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from adapters.pybamm.constants import FARADAY_C_PER_MOL, GAS_J_PER_MOL_K
from adapters.pybamm.export import Model

GAMMA = 1 - 0.5**0.5
POWER_ITERATIONS = 3
"""Newton iterations for the current at the power asked."""
LIMIT_ITERATIONS = 2
"""Newton iterations for the current at the voltage limit."""

SURFACE_MARGIN = 0.005
"""Stoichiometry that is left at or below the surface of a particle at the end of a step."""
PREDICT_STEPS = 2
"""Steps of the time integration over the horizon of a prediction."""
PREDICT_MARGIN = 0.01
"""Share by which a predicted power is lowered, for the error of the prediction."""
PREDICT_ITERATIONS = 4
"""Newton iterations for the current that reaches the voltage limit at the horizon."""

STEP_INPUTS = ("current_a", "power_w", "ambient_k", "limit_v", "lowest_a", "highest_a")
STEP_OUTPUTS = ("current_a", "first_v", "second_v", "energy_j", "charge_as", "loss_j")
PREDICT_INPUTS = ("discharge_a", "charge_a")
PREDICT_OUTPUTS = ("discharge_w", "charge_w")


def step(model: Model, step_s: float) -> Any:
    """Time step with the terminal power held.

    Parameters
    ----------
    model
        The cell model; its current is positive on discharge, and so is the power here.
    step_s
        Length of the step [s], a constant of the function: where diffusivity does not depend on
        the state the factors of its matrix become numbers.

    Returns
    -------
    casadi.Function
        (x, `STEP_INPUTS`) -> (`STEP_OUTPUTS`, x after the step). ``limit_v`` is the voltage limit
        of the direction asked for, ``lowest_a <= 0 <= highest_a`` bound the current; energy,
        charge and loss are sums over the step, positive out of the cell (loss always positive).

    Notes
    -----
    With J the part of df/dx that is diffusion in the particles, g = 1 - 1/sqrt(2), I1 solving
    I V(x, I) = P within the limits and f of the particles at I1::

        (1 - g h J) k1 = f(x)
        (1 - g h J) k2 = f(x + h k1) - 2 k1
        x~             = x + 3/2 h k1 + 1/2 h k2

    is where the particles go at constant current. I2 solves I V(x~, I) = P there, and the answer of
    the particles to the ramp from I1 to I2 is added, by the same method. (The inner stage x + h k1
    is no place to solve for the current: after a jump of the current its surface concentrations
    overshoot by up to 1 / g.) Temperature and interphase follow by Heun's rule.

    A linear invariant of f is kept, so the mean stoichiometry moves by exactly h (I1 + I2) / 2.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    q = ca.SX.sym("q", len(STEP_INPUTS))
    guess, power, ambient, limit_v, lowest, highest = ca.vertsplit(q)
    h = step_s
    particles = _particles(model)
    solve = factorise(ca.SX.eye(x.numel()) - GAMMA * h * _diffusion_jacobian(model, x, ambient))

    idle = x + _ros2(model, x, 0, ambient, solve, h)
    unit = _unit(model, x, ambient, solve, h, ca.SX.zeros(x.numel()))
    least, most = _surface_bounds(model, idle, unit)
    ask = _Ask(power, ambient, limit_v, ca.fmax(lowest, least), ca.fmin(highest, most))
    current, voltage = _current(model, x, guess, ask)
    rate, _, ocv = model.f(x, ca.vertcat(current, ambient))
    constant = x + _ros2(model, x, current, ambient, solve, h)
    reached = particles * constant + (1 - particles) * (x + h * rate)
    current2, voltage2 = _current(model, reached, current, ask)
    rate2, _, ocv2 = model.f(reached, ca.vertcat(current2, ambient))
    ramped = constant + (current2 - current) * _ramp(model, x, ambient, solve, h)
    after = particles * ramped + (1 - particles) * (x + 0.5 * h * (rate + rate2))

    energy = 0.5 * h * (current * voltage + current2 * voltage2)
    loss = 0.5 * h * (current * (ocv - voltage) + current2 * (ocv2 - voltage2))
    charge = 0.5 * h * (current + current2)
    results = ca.vertcat(current2, voltage, voltage2, energy, charge, loss)
    return ca.Function("step", [x, q], [results, after])


def predict(model: Model, horizon_s: float) -> Any:
    """Power that the cell can hold constant from now to the end of the horizon.

    Parameters
    ----------
    model
        The cell model.
    horizon_s
        How long the power must be held [s].

    Returns
    -------
    casadi.Function
        (x, `PREDICT_INPUTS`: bounds of the current [A], both >= 0) -> `PREDICT_OUTPUTS` [W], both
        >= 0.

    Notes
    -----
    The particles' answer to a constant current is taken in two ROS2 steps, affine in the current:
    x(h) = a + b I, the surface within 0.3 % of the exact answer (Chen2020, 300 s; one step: 5 %).
    The current at the voltage limit then solves V(x(h), I) = V_limit. At constant power the current
    is not constant; its mean is taken as P over the mean of the first and the last voltage.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    bounds = ca.SX.sym("bounds", 2)
    c = model.constants
    t_now = model.observe(x)[2]
    idle, unit = _response(model, x, t_now, horizon_s)

    symbol, ratio_, fixed = ca.SX.sym("i"), ca.SX.sym("ratio"), ca.SX.sym("fixed", x.numel())
    last_x = idle + unit * (ratio_ * symbol)
    last = model.f(last_x, ca.vertcat(symbol, t_now))[1]
    # Newton needs no exact slope: how the exchange current changes with the surface is left out.
    kinetics = ca.jacobian(model.f(fixed, ca.vertcat(symbol, t_now))[1], symbol)
    slope = ca.substitute(kinetics, fixed, last_x) + ca.jacobian(
        model.f(last_x, ca.vertcat(0, t_now))[1], symbol
    )
    evaluate = ca.Function("v", [x, symbol, ratio_], [last, slope])

    least, most = _surface_bounds(model, idle, unit)
    rest_v = evaluate(x, 0, 1)[0]

    def sustained(limit_v: float, bound: Any, sign: int) -> Any:
        lowest, highest = (0, ca.fmin(bound, most)) if sign > 0 else (ca.fmax(-bound, least), 0)
        current, ratio, begin = ca.SX(0), ca.SX(1), ca.SX(limit_v)
        for _ in range(PREDICT_ITERATIONS):
            v, slope = evaluate(x, current, ratio)
            current = _clip(current + (limit_v - v) / slope, lowest, highest)
            begin = model.f(x, ca.vertcat(current, t_now))[1]
            ratio = 2 * limit_v / (begin + limit_v)
        end = evaluate(x, current, ratio)[0]
        # Where the search stopped outside the limit, the chord from rest leads back inside it.
        inside = (rest_v - limit_v) / (rest_v - end + sign * 1e-9)
        current = current * _clip(inside, 0, 1)
        end = sign * ca.fmax(sign * end, sign * limit_v)
        current = (1 - PREDICT_MARGIN) * current
        if sign > 0:
            return current * end
        # Charging, the current is largest at the beginning, where the voltage is lowest.
        return ca.fmin(-current * end, bound * ca.fmin(begin, end))

    powers = ca.vertcat(
        sustained(c["lower_v"], bounds[0], 1), sustained(c["upper_v"], bounds[1], -1)
    )
    return ca.Function("predict", [x, bounds], [powers])


def factorise(matrix: Any) -> Any:
    """Solver of ``matrix @ y = b`` by sparse LU without pivoting, written out as expressions.

    Stable for the diagonally dominant matrices of an implicit diffusion step.
    """
    n = matrix.shape[0]
    upper: list[dict[int, Any]] = [{} for _ in range(n)]
    lower: list[dict[int, Any]] = [{} for _ in range(n)]
    rows, columns = matrix.sparsity().get_triplet()
    for i, j in zip(rows, columns, strict=True):
        upper[i][j] = matrix[i, j]
    inverse: list[Any] = []
    for k in range(n):
        inverse.append(1 / upper[k][k])
        for i in range(k + 1, n):
            if k in upper[i]:
                factor = lower[i][k] = upper[i].pop(k) * inverse[k]
                for j, value in upper[k].items():
                    if j > k:
                        upper[i][j] = upper[i].get(j, 0) - factor * value

    def solve(b: Any) -> Any:
        y = [b[i] for i in range(n)]
        for i in range(n):
            for k, factor in lower[i].items():
                y[i] = y[i] - factor * y[k]
        for i in reversed(range(n)):
            known = sum(value * y[j] for j, value in upper[i].items() if j > i)
            y[i] = (y[i] - known) * inverse[i]
        return ca.vertcat(*y)

    return solve


def _diffusion_jacobian(model: Model, x: Any, ambient: Any) -> Any:
    """df/dx at no current, of the particles alone; the other states change slowly in a step."""
    full = ca.jacobian(model.f(x, ca.vertcat(0, ambient))[0], x)
    block = ca.SX(*full.shape)
    for start, stop in model.groups:
        if stop - start > 1:
            block[start:stop, start:stop] = full[start:stop, start:stop]
    return ca.sparsify(block)


def _particles(model: Model) -> Any:
    """Return 1 for the states that diffuse in particles and 0 for the others."""
    mask = ca.DM.zeros(model.f.size1_in(0))
    for start, stop in model.groups:
        if stop - start > 1:
            mask[start:stop] = 1
    return mask


def _ros2(model: Model, x: Any, current: Any, ambient: Any, solve: Any, h: float) -> Any:
    """Return the change of the particles in a step of constant current."""
    particles = _particles(model)
    u = ca.vertcat(current, ambient)
    k1 = solve(particles * model.f(x, u)[0])
    k2 = solve(particles * model.f(x + h * k1, u)[0] - 2 * k1)
    return h * (1.5 * k1 + 0.5 * k2)


def _per_ampere(model: Model, x: Any, ambient: Any) -> Any:
    """Return how the rate of the particles changes with the current."""
    symbol = ca.SX.sym("i")
    rate = _particles(model) * model.f(x, ca.vertcat(symbol, ambient))[0]
    return ca.substitute(ca.jacobian(rate, symbol), symbol, 0)


def _ramp(model: Model, x: Any, ambient: Any, solve: Any, h: float) -> Any:
    """Return the particles' answer to a current that rises from 0 to 1 A in a step.

    ROS2 in its form for a right-hand side that depends on time, where h J k1 is known from k1.
    """
    b = _per_ampere(model, x, ambient)
    k1 = solve(GAMMA * b)
    k2 = solve(b + (k1 - GAMMA * b) / GAMMA - GAMMA * b - 2 * k1)
    return h * (1.5 * k1 + 0.5 * k2)


def _response(model: Model, x: Any, ambient: Any, horizon_s: float) -> tuple[Any, Any]:
    """Return the state after the horizon at rest, and its change per ampere."""
    h = horizon_s / PREDICT_STEPS
    solve = factorise(ca.SX.eye(x.numel()) - GAMMA * h * _diffusion_jacobian(model, x, ambient))
    idle, unit = x, ca.SX.zeros(x.numel())
    for _ in range(PREDICT_STEPS):
        idle = idle + _ros2(model, idle, 0, ambient, solve, h)
        unit = _unit(model, x, ambient, solve, h, unit)
    return idle, unit


def _unit(model: Model, x: Any, ambient: Any, solve: Any, h: float, before: Any) -> Any:
    """Return the particles' answer per ampere after one more step of constant current."""
    rate = ca.mtimes(_diffusion_jacobian(model, x, ambient), before)
    rate = rate + _per_ampere(model, x, ambient)
    k1 = solve(rate)
    k2 = solve(rate + (k1 - rate) / GAMMA - 2 * k1)
    return before + h * (1.5 * k1 + 0.5 * k2)


def _surface_bounds(model: Model, idle: Any, unit: Any) -> tuple[Any, Any]:
    """Return the currents between which no surface is emptied or filled, <= 0 and >= 0.

    Outside, the open-circuit potentials are steep continuations in which no search for a current
    converges. Discharge empties the negative and fills the positive particles.
    """
    negative, positive = ca.vertsplit(model.surface(idle))
    x = ca.SX.sym("x", model.surface.size1_in(0))
    slope = ca.Function("slope", [x], [ca.jacobian(model.surface(x), x)])(idle)
    fall, rise = ca.vertsplit(ca.mtimes(slope, unit))
    most = ca.fmin((negative - SURFACE_MARGIN) / -fall, (1 - SURFACE_MARGIN - positive) / rise)
    least = ca.fmax(-(1 - SURFACE_MARGIN - negative) / -fall, -(positive - SURFACE_MARGIN) / rise)
    return ca.fmin(least, 0), ca.fmax(most, 0)


@dataclass(frozen=True)
class _Ask:
    """What is asked of a cell in a step."""

    power: Any
    ambient: Any
    limit_v: Any
    lowest: Any
    highest: Any


def _current(model: Model, x: Any, guess: Any, ask: _Ask) -> tuple[Any, Any]:
    """Return current and voltage at the power asked, or as near to it as the limits let."""
    symbol = ca.SX.sym("i")
    state = ca.SX.sym("state", x.numel())
    warm = ca.SX.sym("ambient")
    v = model.f(state, ca.vertcat(symbol, warm))[1]
    evaluate = ca.Function("v", [state, symbol, warm], [v, ca.jacobian(v, symbol)])

    current = _clip(guess, ask.lowest, ask.highest)
    for _ in range(POWER_ITERATIONS):
        v, slope = evaluate(x, current, ask.ambient)
        error = current * v - ask.power
        current = _clip(current - error / (v + current * slope), ask.lowest, ask.highest)
    limit = _limit_guess(model, x, evaluate(x, 0, ask.ambient), ask.limit_v)
    for _ in range(LIMIT_ITERATIONS):
        limit = _clip(limit, ask.lowest, ask.highest)
        v, slope = evaluate(x, limit, ask.ambient)
        limit = limit + (ask.limit_v - v) / slope
    limit = _clip(limit, ask.lowest, ask.highest)
    current = _clip(current, ca.fmin(limit, 0), ca.fmax(limit, 0))
    return current, evaluate(x, current, ask.ambient)[0]


def _limit_guess(model: Model, x: Any, at_rest: tuple[Any, Any], limit_v: Any) -> Any:
    """Return the current at a voltage limit as if both electrodes had the same kinetics.

    Unlike (symmetric Butler-Volmer) kinetics reach the limit at a larger current, so Newton starts
    inside the limit, from where it approaches without passing it; from outside it would be thrown
    back to zero.
    """
    ocv, slope = at_rest
    thermal_v = 2 * GAS_J_PER_MOL_K * model.observe(x)[2] / FARADAY_C_PER_MOL
    exponent = _clip((ocv - limit_v) / (2 * thermal_v), -30, 30)
    return -2 * thermal_v / slope * ca.sinh(exponent)


def _clip(value: Any, low: Any, high: Any) -> Any:
    return ca.fmin(ca.fmax(value, low), high)
