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

from typing import Any

import casadi as ca

from adapters.pybamm.export import FARADAY_C_PER_MOL, GAS_J_PER_MOL_K, Model

GAMMA = 1 - 0.5**0.5
POWER_ITERATIONS = (3, 2)
"""Newton iterations for the current at the power asked, in the first and the second stage."""
LIMIT_ITERATIONS = (2, 2)
"""Newton iterations for the current at the voltage limit."""

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
    With J the part of df/dx that is diffusion in the particles, g = 1 - 1/sqrt(2), and I solving
    I V(x, I) = P within the limits::

        (1 - g h J) k1 = f(x, I1)
        (1 - g h J) k2 = f(x + h k1, I2) - 2 k1
        x'             = x + 3/2 h k1 + 1/2 h k2

    A linear invariant of f is kept, so the mean stoichiometry moves by exactly h (I1 + I2) / 2.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    q = ca.SX.sym("q", len(STEP_INPUTS))
    guess, power, ambient, limit_v, lowest, highest = ca.vertsplit(q)
    h = step_s

    current, voltage = _current(
        model, x, guess, power, ambient, limit_v, (lowest, highest), POWER_ITERATIONS[0],
        LIMIT_ITERATIONS[0],
    )  # fmt: skip
    rate, _, ocv = model.f(x, ca.vertcat(current, ambient))
    solve = factorise(ca.SX.eye(x.numel()) - GAMMA * h * _diffusion_jacobian(model, x, ambient))
    k1 = solve(rate)
    x2 = x + h * k1
    current2, voltage2 = _current(
        model, x2, current, power, ambient, limit_v, (lowest, highest), POWER_ITERATIONS[1],
        LIMIT_ITERATIONS[1],
    )  # fmt: skip
    rate2, _, ocv2 = model.f(x2, ca.vertcat(current2, ambient))
    k2 = solve(rate2 - 2 * k1)

    energy = 0.5 * h * (current * voltage + current2 * voltage2)
    loss = 0.5 * h * (current * (ocv - voltage) + current2 * (ocv2 - voltage2))
    charge = 0.5 * h * (current + current2)
    results = ca.vertcat(current2, voltage, voltage2, energy, charge, loss)
    return ca.Function("step", [x, q], [results, x + 1.5 * h * k1 + 0.5 * h * k2])


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
    The particles' answer to a constant current is one ROS2 step over the horizon, affine in the
    current: x(h) = a + b I. The current at the voltage limit then solves V(x(h), I) = V_limit. At
    constant power the current is not constant; its mean is taken as P over the mean of the first
    and the last voltage.
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

    def sustained(limit_v: float, bound: Any, sign: int) -> Any:
        lowest, highest = (0, bound) if sign > 0 else (-bound, 0)
        current = ca.SX(0)
        ratio = ca.SX(1)
        for _ in range(PREDICT_ITERATIONS):
            v, slope = evaluate(x, current, ratio)
            current = _clip(current + (limit_v - v) / slope, lowest, highest)
            begin = model.f(x, ca.vertcat(current, t_now))[1]
            ratio = 2 * limit_v / (begin + limit_v)
        end = evaluate(x, current, ratio)[0]
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


def _response(model: Model, x: Any, ambient: Any, horizon_s: float) -> tuple[Any, Any]:
    """State after one ROS2 step at rest, and its change per ampere, temperature held."""
    h = horizon_s
    symbol = ca.SX.sym("i")
    rate = model.f(x, ca.vertcat(symbol, ambient))[0]
    particles = ca.SX.zeros(x.numel())
    for start, stop in model.groups:
        if stop - start > 1:
            particles[start:stop] = 1
    rate = rate * particles
    at_rest = ca.substitute(rate, symbol, 0)
    per_ampere = ca.substitute(ca.jacobian(rate, symbol), symbol, 0)
    solve = factorise(ca.SX.eye(x.numel()) - GAMMA * h * _diffusion_jacobian(model, x, ambient))

    def advanced(b: Any) -> Any:
        k1 = solve(b)
        k2 = solve(b + (k1 - b) / GAMMA - 2 * k1)
        return h * (1.5 * k1 + 0.5 * k2)

    return x + advanced(at_rest), advanced(per_ampere)


def _current(
    model: Model, x: Any, guess: Any, power: Any, ambient: Any, limit_v: Any,
    bounds: tuple[Any, Any], power_iterations: int, limit_iterations: int,
) -> tuple[Any, Any]:  # fmt: skip
    """Current and voltage at the power asked, or as near to it as the limits let."""
    symbol = ca.SX.sym("i")
    state = ca.SX.sym("state", x.numel())
    warm = ca.SX.sym("ambient")
    v = model.f(state, ca.vertcat(symbol, warm))[1]
    evaluate = ca.Function("v", [state, symbol, warm], [v, ca.jacobian(v, symbol)])
    lowest, highest = bounds

    current = _clip(guess, lowest, highest)
    for _ in range(power_iterations):
        v, slope = evaluate(x, current, ambient)
        error = current * v - power
        current = _clip(current - error / (v + current * slope), lowest, highest)
    limit = _limit_guess(model, x, evaluate(x, 0, ambient), limit_v)
    for _ in range(limit_iterations):
        limit = _clip(limit, lowest, highest)
        v, slope = evaluate(x, limit, ambient)
        limit = limit + (limit_v - v) / slope
    limit = _clip(limit, lowest, highest)
    current = _clip(current, ca.fmin(limit, 0), ca.fmax(limit, 0))
    return current, evaluate(x, current, ambient)[0]


def _limit_guess(model: Model, x: Any, at_rest: tuple[Any, Any], limit_v: Any) -> Any:
    """Current at a voltage limit if both electrodes had the same symmetric Butler-Volmer kinetics.

    Unlike kinetics reach the limit at a larger current, so Newton starts inside the limit, from
    where it approaches without passing it; from outside it would be thrown back to zero.
    """
    ocv, slope = at_rest
    thermal_v = 2 * GAS_J_PER_MOL_K * model.observe(x)[2] / FARADAY_C_PER_MOL
    return -2 * thermal_v / slope * ca.sinh((ocv - limit_v) / (2 * thermal_v))


def _clip(value: Any, low: Any, high: Any) -> Any:
    return ca.fmin(ca.fmax(value, low), high)
