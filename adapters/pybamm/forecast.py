"""Power that a cell can hold through the next tick, as a CasADi function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from adapters.pybamm.chemistry import Curve
from adapters.pybamm.constants import HEAT_ERROR, ZERO_C_K
from adapters.pybamm.diffusion import Diffusion, salt_states
from adapters.pybamm.export import Model, warmth_state
from adapters.pybamm.limits import clip, derated, inside, share, temperature_k

STEPS = 2
"""Steps of the time integration over the horizon."""
SALT = 0.95
"""Concentration at which salt diffuses in a forecast, over that at rest: it runs out where there
is less of it, and moves faster there."""
HALVINGS = 3
"""Halvings of the interval in which the current is that a warming cell may carry to the end."""
NEAR = 0.3
"""How far from a current found that of better known heat is sought, over it."""
TINY = 1e-9

PREDICT_INPUTS = (
    "stored_a", "room_a", "charge_a", "discharge_a", "ambient_k", "heat_w", "cooling_w_k",
    "heat_capacity_j_k",
)  # fmt: skip
PREDICT_OUTPUTS = ("discharge_w", "charge_w", "discharge_a", "charge_a")

Expression = Any


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
        (x, `PREDICT_INPUTS`: currents [A] that empty and fill the cell over the horizon, rated
        currents [A], all >= 0; ambient temperature [K], heat from outside [W], conductance to the
        ambient temperature, > 0 [W/K], and heat capacity [J/K]) -> `PREDICT_OUTPUTS` [W] and [A],
        all >= 0.

    Notes
    -----
    What diffuses answers a constant current in two ROS2 steps, affine in the current:
    x(h) = a + b I, the surface within 0.3 % of the exact answer (LG M50, 300 s; one step: 5 %).
    Salt diffuses faster where there is less of it: linearised about what driving left behind, an
    electrolyte seems to run dry at a quarter of the current that it bears. So it diffuses as it
    does from an even concentration, see `SALT`.

    The current at the voltage limit then solves V(x(h), I) = V_limit, at the temperature to which
    the cell goes at rest. At constant power the current is not constant; its mean is taken as P
    over the mean of the first and the last voltage. The cell warms by the mean of the heat at both
    ends, T(h) = T_rest + c I^1.5 with c from the heat at a current that is nearly right, and the
    current must be within the rating there, too, as ratings are derated step by step. What is found
    is corrected once more for what it does to temperature, voltage and heat.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    q = ca.SX.sym("q", len(PREDICT_INPUTS))
    stored, room, charge_a, discharge_a, ambient, heat_w, cooling, heat_capacity = ca.vertsplit(q)
    c, chemistry = model.constants, model.chemistry
    # The margin is for what is searched: a rating or the charge left, where it binds, is exact.
    margin = 1 - chemistry.power_margin
    most_in, most_out = derated(model, x, charge_a, discharge_a)
    idle, unit = ahead(model, x, horizon_s)
    least, most = inside(model, idle, unit, most_in / margin, most_out / margin)
    left = ca.exp(-horizon_s * cooling / heat_capacity)
    per_watt = (1 - left) / cooling
    rest_k = ambient + (temperature_k(model, x) - ambient) * left + per_watt * heat_w
    tick = _Tick(model, x, q, (idle, unit), rest_k, per_watt)
    results: list[Any] = []
    for sign, limit_v, bound, reach, rating, curve in (
        (1, c["lower_v"], stored, most, discharge_a, chemistry.discharge_derating),
        (-1, c["upper_v"], room, -least, charge_a, chemistry.charge_derating),
    ):
        way = _Way(sign, limit_v, ca.fmin(bound / margin, reach), reach, rating / margin, curve)
        current, end_v, begin_v = _sustained(tick, way, margin)
        power = current * end_v
        if sign < 0:
            # Charging, the current is largest at the beginning, where the voltage is lowest.
            power = ca.fmin(power, ca.fmin(bound, -most_in) * ca.fmin(begin_v, end_v))
        results.append((power, current))
    (out_w, out_a), (in_w, in_a) = results
    return ca.Function("predict", [x, q], [ca.vertcat(out_w, in_w, out_a, in_a)])


@dataclass(frozen=True)
class _Way:
    """A direction of the current, whose size alone is sought."""

    sign: int
    """1 on discharge, -1 on charge."""
    limit_v: float
    bound: Expression
    """Largest current at the end [A]."""
    reach: Expression
    """Largest mean current that particles and electrolyte bear [A]."""
    rating: Expression
    """Rated current before derating [A]."""
    curve: Curve

    def rated_at(self, warm_k: Expression) -> Expression:
        return self.rating * share(self.curve, warm_k - ZERO_C_K)


class _Tick:
    """What a current does to a cell by the end of the horizon."""

    def __init__(
        self, model: Model, x: Any, q: Any, ahead: tuple[Any, Any], rest_k: Any, per_watt: Any
    ) -> None:
        self.x, self._q = x, q
        self._idle, self._unit = ahead
        self.iterations = model.chemistry.limit_iterations
        self.rest_k = rest_k
        self._per_watt, self._salt = per_watt, model.electrolyte is not None
        self._warm = rest_k > model.constants["reference_k"]
        self._index, self._unit_k = warmth_state(model)
        state, symbol = ca.SX.sym("state", x.numel()), ca.SX.sym("i")
        _, v, _, heat = model.f(state, ca.vertcat(symbol, model.constants["reference_k"], 0))
        slope = ca.jacobian(v, symbol)
        self._at = ca.Function("at", [state, symbol], [v, slope, heat])

    def begin(self, way: _Way, current: Any) -> tuple[Any, Any]:
        """Voltage and heat [W] at the begin."""
        v, _, heat = self._at(self.x, way.sign * current)
        return v, heat

    def end(self, way: _Way, current: Any, ratio: Any, warm_k: Any) -> tuple[Any, Any, Any]:
        """Voltage at the end, its slope with the size of the current, and heat [W].

        The mean current, over the last one by `ratio`, may be more than the last, but not more
        than what the particles and the electrolyte bear. Newton needs no exact slope: how the
        exchange current changes with the surface is left out.
        """
        size, share_of, warm = ca.SX.sym("size"), ca.SX.sym("ratio"), ca.SX.sym("warm")
        last = self._last(way, ca.fmin(share_of * size, way.reach), warm)
        v, kinetics, heat = self._at(last, way.sign * size)
        slope = way.sign * kinetics + ca.jacobian(self._at(last, 0)[0], size)
        found = ca.Function("end", [self.x, self._q, size, share_of, warm], [v, slope, heat])
        return found(self.x, self._q, current, ratio, warm_k)

    def warm_k(self, way: _Way, heat: Any, current: Any) -> Any:
        """Temperature at the end."""
        error = HEAT_ERROR if self._salt and way.sign > 0 else 1.0
        rise_k = self._per_watt * heat * _power(current)
        return self.rest_k + rise_k * ca.if_else(self._warm, error, 1 / error)

    def _last(self, way: _Way, mean: Any, warm_k: Any) -> Any:
        state = ca.SX(self._idle + self._unit * (way.sign * mean))
        state[self._index] = warm_k / self._unit_k
        return state


def _sustained(tick: _Tick, way: _Way, margin: float) -> tuple[Any, Any, Any]:
    """Return the size of the current at the end, and voltages at end and begin."""
    current, ratio, slope, (begin_w, cold_w) = _at_voltage(tick, way)
    heat = 0.5 * (begin_w + cold_w) * _power(ratio)
    current = _within_rating(tick, way, heat, current)
    # Once more, with what is known of the end.
    end_v, _, end_w = tick.end(way, current, ratio, tick.warm_k(way, heat, current))
    begin_v, begin_w = tick.begin(way, current)
    ratio = 2 * end_v / (begin_v + end_v)
    # By Simpson's rule. In the middle the salt is as at the end, and the cell half as warm.
    end_w, begin_w = _over_power(end_w, current), _over_power(begin_w, current)
    heat = (begin_w + 2 * cold_w + 3 * end_w) / 6 * _power(ratio)
    most = clip(current + (way.limit_v - end_v) / slope, 0, way.bound)
    lower, lower_v = margin * current, end_v
    current = margin * _nearby(tick, way, heat, current, most)
    # At a smaller current the voltage falls less, so the mean of the current is nearer to its last.
    ratio = ca.fmax(ratio, 0.5 * (1 + ratio))
    end_v = tick.end(way, current, ratio, tick.warm_k(way, heat, current))[0]
    # Where the last step leads outside the limit, the chord leads back inside it.
    holds = way.sign * lower_v >= way.sign * way.limit_v
    chord = clip((lower_v - way.limit_v) / (lower_v - end_v + way.sign * TINY), 0, 1)
    current = ca.if_else(holds, lower + (current - lower) * chord, current)
    return current, way.sign * ca.fmax(way.sign * end_v, way.sign * way.limit_v), begin_v


def _at_voltage(tick: _Tick, way: _Way) -> tuple[Any, Any, Any, tuple[Any, Any]]:
    """Return the current at the voltage limit if the cell did not warm, and what belongs to it.

    Its mean over it, the slope of the voltage, and the heat at begin and end over a power of it.
    """
    rest_v = tick.end(way, ca.SX(0), ca.SX(1), tick.rest_k)[0]
    current, ratio, slope, begin_v, begin_w = ca.SX(0), ca.SX(1), ca.SX(0), rest_v, ca.SX(0)
    # Where a flat potential ends, Newton runs past the end and is thrown back to rest: it is kept
    # between the largest current known inside the limit and the least known outside.
    good, good_v = ca.SX(0), rest_v
    bad = TINY + (1 + TINY) * way.bound
    for _ in range(tick.iterations):
        v, slope, _ = tick.end(way, current, ratio, tick.rest_k)
        holds = way.sign * v >= way.sign * way.limit_v
        good, good_v = ca.if_else(holds, current, good), ca.if_else(holds, v, good_v)
        bad = ca.if_else(holds, bad, current)
        newton = clip(current + (way.limit_v - v) / slope, 0, way.bound)
        between = ca.logic_and(good < newton, newton < bad)
        # Where the search has converged, rounding says on which side of the limit it is.
        stays = ca.fabs(newton - current) < 1e-6 * bad
        current = ca.if_else(ca.logic_or(between, stays), newton, 0.5 * (good + bad))
        begin_v, begin_w = tick.begin(way, current)
        ratio = 2 * way.limit_v / (begin_v + way.limit_v)
    end_v, _, end_w = tick.end(way, current, ratio, tick.rest_k)
    # Where a rating binds, the voltage ends inside the limit.
    ratio = 2 * end_v / (begin_v + end_v)
    heats = _over_power(begin_w, current), _over_power(end_w, current)
    # Where the search stopped outside the limit, the chord leads back inside it.
    chord = clip((good_v - way.limit_v) / (good_v - end_v + way.sign * TINY), 0, 1)
    return good + (current - good) * chord, ratio, slope, heats


def _power(current: Any) -> Any:
    """Return what heat goes with: between the current (kinetics) and its square (ohms)."""
    return current * ca.sqrt(current)


def _over_power(heat_w: Any, current: Any) -> Any:
    return heat_w / (_power(current) + TINY)


def _within_rating(tick: _Tick, way: _Way, heat: Any, current: Any) -> Any:
    """Return the current, or the largest below it that the cell may carry at the end."""

    def spare(at: Any) -> Any:
        return way.rated_at(tick.warm_k(way, heat, at)) - at

    good, good_a = ca.SX(0), spare(ca.SX(0))
    bad, bad_a = current, spare(current)
    fits = bad_a >= 0
    for _ in range(HALVINGS):
        middle = 0.5 * (good + bad)
        middle_a = spare(middle)
        holds = middle_a >= 0
        good, good_a = ca.if_else(holds, middle, good), ca.if_else(holds, middle_a, good_a)
        bad, bad_a = ca.if_else(holds, bad, middle), ca.if_else(holds, bad_a, middle_a)
    return ca.if_else(fits, current, _crossing(good, good_a, bad, bad_a))


def _nearby(tick: _Tick, way: _Way, heat: Any, near: Any, most: Any) -> Any:
    """Return the same for a current that is nearly known."""

    def spare(at: Any) -> Any:
        return way.rated_at(tick.warm_k(way, heat, at)) - at

    low, high = (1 - NEAR) * near, ca.fmin((1 + NEAR) * near, most)
    found = _crossing(low, spare(low), high, spare(high))
    return ca.if_else(spare(most) >= 0, most, ca.fmin(found, most))


def _crossing(low: Any, low_a: Any, high: Any, high_a: Any) -> Any:
    """Return where the line through two points passes zero, not beyond the upper one."""
    return low + (high - low) * clip(low_a / (low_a - high_a + TINY), 0, 1)


def ahead(model: Model, x: Any, horizon_s: float) -> tuple[Any, Any]:
    """State at the horizon at rest, and its change per ampere.

    Parameters
    ----------
    model
        The cell model.
    x
        State now.
    horizon_s
        Time till then [s].

    Notes
    -----
    What diffuses moves; see `predict`.
    """

    def linear(electrolyte_at: Any) -> tuple[Any, Any]:
        step_s = horizon_s / STEPS
        moves = Diffusion(model, x, temperature_k(model, x), step_s, electrolyte_at)
        idle, unit = x, ca.SX.zeros(x.numel())
        for _ in range(STEPS):
            idle, unit = idle + moves.answer(idle, 0), moves.per_ampere(unit)
        return idle, unit

    if model.electrolyte is None:
        return linear(None)
    c = model.constants
    at_rest = model.x0([c["half_negative"], c["half_positive"], c["reference_k"]])
    salt = salt_states(model)
    return linear(SALT * salt * at_rest + (1 - salt) * x)
