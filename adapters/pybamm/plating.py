"""Plated lithium over a step: the one stiff state of ageing, as CasADi expressions.

Where the potential of graphite rises, what is plated is stripped within seconds, by rates that
change a thousandfold in a step. An explicit rule makes it negative and amplifies its error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from adapters.pybamm.diffusion import plating_slope
from adapters.pybamm.export import PLATED, Model, warmth_state


@dataclass(frozen=True)
class Stage:
    """Where f is evaluated, and what it gives there."""

    state: Any
    current: Any
    rate: Any
    """df/dt of the state."""


def with_plating(
    model: Model, stages: list[Stage], ambient: Any, h: Any, x: Any, rate: Any, heat_capacity: Any
) -> tuple[Any, Any]:
    """Return the rate of change over a step from x, and the heat [W] to add to that of the stages.

    Parameters
    ----------
    model
        The cell model.
    stages
        One or more, of equal weight.
    ambient
        Ambient temperature [K].
    h
        Length of the step [s].
    x
        State at the begin.
    rate
        Mean rate of change of the other states, with the heat of the stages.
    heat_capacity
        Heat capacity that the cell warms [J/K].

    Notes
    -----
    Plated lithium p follows dp/dt = a - b p with a, b >= 0. With their means over the stages and
    z = b h, it goes to (p + a h (1 + z / 2)) / (1 + z + z^2 / 2), by way of the mean
    (p (1 + z / 2) + a h (1 + z) / 2) / (1 + z + z^2 / 2): of second order and never negative. The
    heat of stripping is that of the mean.
    """
    result, heat = ca.SX(rate), ca.SX(0)
    for i in plated_states(model):
        loss = sum(_loss(model, s, ambient, i) for s in stages) / len(stages)
        gain = sum(s.rate[i] + _loss(model, s, ambient, i) * s.state[i] for s in stages)
        z, gained = h * loss, h * gain / len(stages)
        below = 1 / (1 + z + 0.5 * z * z)
        mean = (x[i] * (1 + 0.5 * z) + 0.5 * gained * (1 + z)) * below
        excess = [_heat(model, s, ambient, i) * (mean - s.state[i]) for s in stages]
        heat = heat + sum(excess) / len(stages)
        result[i] = ((x[i] + gained * (1 + 0.5 * z)) * below - x[i]) / h
    return result + heat * per_watt(model, heat_capacity), heat


def plated_states(model: Model) -> list[int]:
    """Return the indices of the states of plated lithium."""
    return [
        start for name, (start, _) in zip(model.names, model.groups, strict=True) if PLATED in name
    ]


def per_watt(model: Model, heat_capacity: Any) -> Any:
    """Return the rate of the state [1/s] per watt of heat: the temperature's."""
    index, unit_k = warmth_state(model)
    rate = ca.SX(model.f.size1_in(0), 1)
    rate[index] = 1 / (unit_k * heat_capacity)
    return rate


def _loss(model: Model, stage: Stage, ambient: Any, i: int) -> Any:
    return -plating_slope(model, stage.state, stage.current, ambient)[i]


def _heat(model: Model, stage: Stage, ambient: Any, i: int) -> Any:
    """Return the heat [W] per unit of the state of plated lithium."""
    state, symbol = ca.SX.sym("state", stage.state.numel()), ca.SX.sym("i")
    heat = model.f(state, ca.vertcat(symbol, ambient, 1))[3]
    slope = ca.jacobian(heat, state[i])
    return ca.substitute(slope, ca.vertcat(state, symbol), ca.vertcat(stage.state, stage.current))
