"""One time step of a cell, as a CasADi function.

The time step is a two-stage linearly implicit Rosenbrock method (ROS2) in which the terminal power
is held and the current is solved inside each stage, within the limits that hold there.

References
----------
Verwer, Spee, Blom, Hundsdorfer 1999, A second-order Rosenbrock method applied to photochemical
dispersion problems, SIAM J. Sci. Comput. 20, 1456, doi:10.1137/S1064827597326651. The order is two
for any Jacobian, which is why only the stiff part, diffusion and plating, has to be in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from adapters.pybamm import limits
from adapters.pybamm.constants import FARADAY_C_PER_MOL
from adapters.pybamm.diffusion import Diffusion
from adapters.pybamm.export import FIELDS, Model, observed_slopes, warmth_state
from adapters.pybamm.plating import Stage, with_plating

STEP_INPUTS = (
    "current_a", "power_w", "ambient_k", "limit_v", "lowest_a", "highest_a", "charge_a",
    "discharge_a", "heater_w", "cooling_w_k", "heat_capacity_j_k", "step_s",
)  # fmt: skip
STEP_OUTPUTS = (
    "current_a", "first_v", "second_v", "energy_j", "charge_as", "loss_j", "heat_j",
)  # fmt: skip


def step(model: Model) -> Any:
    """Time step with the terminal power held.

    Parameters
    ----------
    model
        The cell model; its current is positive on discharge, and so is the power here.

    Returns
    -------
    casadi.Function
        (x, `STEP_INPUTS`) -> (`STEP_OUTPUTS`, x after the step). ``limit_v`` is the voltage limit
        of the direction asked for, ``lowest_a <= 0 <= highest_a`` bound the current so that the
        state of charge stays inside 0..1, ``charge_a`` and ``discharge_a`` >= 0 are rated currents,
        which temperature derates; ``heater_w`` warms the cell from outside, ``cooling_w_k`` is its
        conductance to the air and ``heat_capacity_j_k`` what its heat warms. Energy, charge, loss
        and heat are sums over the step, positive out of the cell: loss is current times the
        distance of the voltage from the open-circuit voltage of the mean composition, heat what
        PyBaMM's thermal model takes of it (without what gradients in the particles hold).

    Notes
    -----
    What diffuses, in the particles and in the electrolyte, is linearised: about the state at the
    begin for the current I1 that solves I V(x, I) = P within the limits, and about the middle of
    where that leads for the step itself. With J its Jacobian and g = 1 - 1/sqrt(2)::

        (1 - g h J) k1 = f(x)
        (1 - g h J) k2 = f(x) + h J k1 - 2 k1
        x~             = x + 3/2 h k1 + 1/2 h k2

    is where it goes at constant current. I2 solves I V(x~, I) = P there, or is what the voltage
    limit lets, and the answer to the ramp from I1 to I2 is added, by the same method. (The inner
    stage x + h k1 is no place to solve for the current: after a jump of the current its surface
    concentrations overshoot by up to 1 / g.)
    Temperature and ageing follow by the nonlinear rule with J = 0, which is Heun's; plated lithium,
    the one of them that is stiff, by a rule of its own, see `plating`.

    Between the stages a hot cell can lose all of its current, so its temperature at the second may
    be far from where the step ends. Cooling, which is linear, is that of the end.

    A linear invariant of f is kept, so the mean stoichiometry moves by exactly h (I1 + I2) / 2 and
    what side reactions bind: the negative particles lose exactly what interphase and plating take.
    """
    x = ca.SX.sym("x", model.f.size1_in(0))
    q = ca.SX.sym("q", len(STEP_INPUTS))
    guess, power, ambient, limit_v, lowest, highest, *rated = ca.vertsplit(q[:-4])
    heater, cooling, heat_capacity, h = ca.vertsplit(q[-4:])
    first = Diffusion(model, x, ambient, h)
    single = 1 - first.mask
    idle = x + first.answer(x, 0)
    unit = first.per_ampere(ca.SX.zeros(x.numel()))
    bounds = limits.inside(model, idle, unit, lowest, highest)
    ask = limits.Ask(power, limit_v, *bounds, *rated)

    current, voltage = limits.current_at(model, x, guess, ask)
    around = _Around(model, ambient, heater, cooling, heat_capacity)
    rate, _, ocv, heat = around.rate(x, current)
    begin = Stage(x, current, rate)
    k1, _ = with_plating(model, [begin], ambient, h, x, single * rate, heat_capacity)
    middle = 0.5 * (x + idle + unit * current + h * k1)
    moves = Diffusion(model, x, ambient, h, electrolyte_at=middle)
    if model.electrolyte is not None:
        # Salt moves otherwise than it does about the begin, so what leaves some of it is less.
        idle = x + moves.answer(x, 0)
        unit = moves.per_ampere(ca.SX.zeros(x.numel()))
        bounds = limits.inside(model, idle, unit, *bounds)
        ask = limits.Ask(power, limit_v, *bounds, *rated)
        current = limits.clip(current, *bounds)
        rate, voltage, ocv, heat = around.rate(x, current)
        begin = Stage(x, current, rate)
        k1, _ = with_plating(model, [begin], ambient, h, x, single * rate, heat_capacity)
    constant = x + moves.answer(x, current)
    side = _of_negative(model, x, unit)
    reached = moves.mask * constant + h * k1 + single * x + side * _side_current(model, k1)

    ramp = moves.ramp()
    current2, voltage2 = limits.current_after(
        model, reached, current, ask, lambda end: reached + (end - current) * ramp
    )
    rate2, _, ocv2, heat2 = around.rate(reached, current2)
    stages = [begin, Stage(reached, current2, rate2)]
    mean = single * 0.5 * (rate + rate2)
    change, stripping = with_plating(model, stages, ambient, h, x, mean, heat_capacity)
    aged = h * change
    ramped = constant + (current2 - current) * ramp
    after = moves.mask * ramped + single * x + aged + side * _side_current(model, aged / h)
    after = _with_lithium_of_lost_material(model, x, after)
    after = around.cooled_from_there(reached, after, h)

    energy = 0.5 * h * (current * voltage + current2 * voltage2)
    loss = 0.5 * h * (current * (ocv - voltage) + current2 * (ocv2 - voltage2))
    charge = 0.5 * h * (current + current2)
    warmed = h * (0.5 * (heat + heat2) + stripping)
    results = ca.vertcat(current2, voltage, voltage2, energy, charge, loss, warmed)
    return ca.Function("step", [x, q], [results, after])


@dataclass(frozen=True)
class _Around:
    """What warms and cools the cell."""

    model: Model
    ambient: Any
    heater: Any
    cooling: Any
    heat_capacity: Any

    def rate(self, x: Any, current: Any) -> tuple[Any, Any, Any, Any]:
        """Return what the model's f does, with the temperature as it changes in this mounting."""
        model = self.model
        rate, voltage, ocv, heat = model.f(x, ca.vertcat(current, self.ambient, 1))
        index, unit_k = warmth_state(model)
        cooled = self.cooling * (limits.temperature_k(model, x) - self.ambient)
        rate[index] = (heat + self.heater - cooled) / (unit_k * self.heat_capacity)
        return rate, voltage, ocv, heat

    def cooled_from_there(self, reached: Any, after: Any, h: Any) -> Any:
        """Return the state after a step with the cooling of its end, not of where it led."""
        index, _ = warmth_state(self.model)
        half = 0.5 * h * self.cooling / self.heat_capacity
        after[index] = (after[index] + half * reached[index]) / (1 + half)
        return after


def _side_current(model: Model, rate: Any) -> Any:
    """Return the current [A] that side reactions take, from the rate of the ageing states."""
    row = observed_slopes(model)[FIELDS.index("side_mol"), :]
    return FARADAY_C_PER_MOL * ca.mtimes(row, rate)


def _with_lithium_of_lost_material(model: Model, before: Any, after: Any) -> Any:
    """Return the state with exactly the lithium lost that was in the material that was lost.

    The mean stoichiometry moves as if the capacity were that of the begin, so what the lost
    material held is its share at the stoichiometry of the end.
    """
    rows, c = observed_slopes(model), model.constants
    was, now = model.observe(before), model.observe(after)
    for side in ("negative", "positive"):
        lost = rows[FIELDS.index(f"{side}_loss_mol"), :]
        fraction = FIELDS.index(f"{side}_fraction")
        per_fraction = c[f"{side}_capacity_ah"] / c[f"{side}_fraction"] * 3600 / FARADAY_C_PER_MOL
        held = now[FIELDS.index(side)] * per_fraction * (was[fraction] - now[fraction])
        for index in lost.sparsity().get_triplet()[1]:
            after[index] = before[index] + held / lost[0, index]
    return after


def _of_negative(model: Model, x: Any, unit: Any) -> Any:
    """Return the part of an answer that is in the negative particles."""
    row = observed_slopes(model)[FIELDS.index("negative"), :]
    mask = ca.DM.zeros(x.numel())
    for start, stop in model.groups:
        if row[0, start:stop].nnz():
            mask[start:stop] = 1
    return mask * unit
