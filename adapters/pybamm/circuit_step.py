"""The step of equivalent circuits: cells that hold a power through a tick, and warm by it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.chemistry import Curve
from adapters.pybamm.circuit import TICK_S, Circuit
from adapters.pybamm.constants import HEAT_ERROR
from adapters.pybamm.options import CellOptions
from adapters.pybamm.tick import Floats

STEPS_S = CellOptions().substeps_s
"""Steps in which a cell is stepped that grows too warm for its rated current [s]."""
PASSES = 2
"""Passes of the search for the current at a power."""
HALVINGS = 8
"""Halvings of the interval in which the current is that a warming cell may carry to the end."""
REFERENCE_C = 25.0
"""Temperature above which more heat leaves less current, and below which less does [degC]."""
_GAUSS = 0.5 - 0.5 / 3**0.5


@dataclass(frozen=True)
class Ask:
    """A power to be held and all that it depends on; every field has shape (cell,)."""

    power_w: Floats
    """Power into the cell [W]."""
    ambient_c: Floats
    heater_w: Floats
    """Heat from the pack's heater [W]."""
    cooling_w_k: Floats
    """Conductance to the air, > 0 [W/K]."""
    heat_capacity_j_k: Floats
    """Of each cell and what is warmed along with it [J/K]."""
    soc: Floats
    temperature_c: Floats
    capacity_ah: Floats
    """Present capacity [A h]."""
    remembered_v: Floats
    """Voltage of what went before [V]."""
    more_ohm: Floats
    """Resistance beyond that of the fitted cell [Ohm]."""
    charge_a: Floats
    """Rated charging current, before derating, >= 0 [A]."""
    discharge_a: Floats
    """Rated discharging current, before derating, >= 0 [A]."""

    def of(self, at: NDArray[np.int64]) -> Ask:
        """Return what is asked of the cells at these positions."""
        return Ask(*(getattr(self, field.name)[at] for field in fields(self)))


@dataclass(frozen=True)
class Passed:
    """What cells did; every field has shape (cell,)."""

    current_a: Floats
    """Mean current into the cell [A]."""
    power_w: Floats
    """Mean power into the cell [W]."""
    temperature_c: Floats
    """Temperature at the end [degC]."""

    def put(self, at: NDArray[np.int64], found: Passed) -> None:
        """Write what the cells at these positions did."""
        for field in fields(self):
            getattr(self, field.name)[at] = getattr(found, field.name)


def step(circuit: Circuit, ask: Ask) -> Passed:
    """Hold a power through a tick, as far as charge, room and ratings last.

    Parameters
    ----------
    circuit
        The fitted cell.
    ask
        The power and the state of the cells.
    """
    idle = np.zeros(len(ask.power_w))
    at_rest_c = _warmed(ask, ask.heater_w, TICK_S)
    passed = Passed(idle, idle.copy(), at_rest_c)
    at = np.flatnonzero(ask.power_w)
    ask = ask.of(at)
    found = _hold(circuit, ask, TICK_S)
    passed.put(at, found)
    # Where the cell warms so much that its rated current falls below this one.
    least, most = rated_a(circuit, ask.charge_a, ask.discharge_a, found.temperature_c)
    hot = np.flatnonzero((found.current_a > most) | (found.current_a < least))
    if len(hot):
        passed.put(at[hot], _derated(circuit, ask.of(hot)))
    return passed


def rated_a(
    circuit: Circuit, charge_a: Floats, discharge_a: Floats, temperature_c: Floats
) -> tuple[Floats, Floats]:
    """Rated currents, derated at these temperatures, <= 0 and >= 0 [A]."""
    out = discharge_a * _share(circuit.discharge_derating, temperature_c)
    into = charge_a * _share(circuit.charge_derating, temperature_c)
    return -out, into


def within_rating(circuit: Circuit, ask: Ask, current_a: Floats) -> Floats:
    """Currents that cells may carry to the end of a tick in which they warm by them.

    Parameters
    ----------
    circuit
        The fitted cell.
    ask
        The state of the cells and their ratings; the power is not looked at.
    current_a
        Currents [A], which they may carry where the tick begins.

    Returns
    -------
    ndarray
        These currents, or less, where what is rated falls below them.
    """

    def spare(ask: Ask, current: Floats, passes: int = PASSES) -> Floats:
        end_c = ask.temperature_c
        for _ in range(passes):
            warm = 0.5 * (ask.temperature_c + end_c)
            ohm = circuit.resistance(circuit.place(ask.soc, warm), current) + ask.more_ohm
            heat_w = current * (ohm * current + ask.remembered_v) + ask.heater_w
            end_c = _warmed(ask, heat_w, TICK_S)
        rest_c = _warmed(ask, ask.heater_w, TICK_S)
        error = np.where(rest_c > REFERENCE_C, HEAT_ERROR, 1 / HEAT_ERROR)
        end_c = np.where(current < 0, rest_c + error * (end_c - rest_c), end_c)
        least, most = rated_a(circuit, ask.charge_a, ask.discharge_a, end_c)
        return np.where(current < 0, current - least, most - current)

    # The error of heat is that which the cells reckon with.
    found = current_a.copy()
    # Resistance falls as a cell warms, so one pass misses none.
    at = np.flatnonzero(spare(ask, current_a, 1) < 0)
    if not len(at):
        return found
    ask, good, bad = ask.of(at), np.zeros(len(at)), current_a[at]
    whole = spare(ask, bad) >= 0
    for _ in range(HALVINGS):
        middle = 0.5 * (good + bad)
        fits = spare(ask, middle) >= 0
        good, bad = np.where(fits, middle, good), np.where(fits, bad, middle)
    found[at] = np.where(whole, current_a[at], good)
    return found


def _hold(
    circuit: Circuit, ask: Ask, seconds: float, least_a: Floats | None = None,
    most_a: Floats | None = None,
) -> Passed:  # fmt: skip
    """Mean current, power and last temperature of a time through which a power is held."""
    soc = ask.soc
    per_hour = 3600 / seconds
    least = -soc * ask.capacity_ah * per_hour
    most = (1 - soc) * ask.capacity_ah * per_hour
    if least_a is not None and most_a is not None:
        least, most = np.maximum(least, least_a), np.minimum(most, most_a)
    warm, end_c = ask.temperature_c, ask.temperature_c
    current = np.clip(ask.power_w / circuit.open_circuit(soc), least, most)
    rest_v, ohm, asked = current, current, ask.power_w
    for _ in range(PASSES):
        moved = current / (ask.capacity_ah * per_hour)
        rest_v = ask.remembered_v + 0.5 * (
            circuit.open_circuit(soc + _GAUSS * moved)
            + circuit.open_circuit(soc + (1 - _GAUSS) * moved)
        )
        ohm = circuit.resistance(circuit.place(soc, warm), current) + ask.more_ohm
        # Power is voltage times current: R I^2 + V I = P, the root that goes to P / V. There is
        # none beyond the most power that any current gives.
        asked = np.maximum(ask.power_w, -(rest_v**2) / (4 * ohm))
        square = np.maximum(rest_v**2 + 4 * ohm * asked, 0)
        current = np.clip(2 * asked / (rest_v + np.sqrt(square)), least, most)
        heat_w = current * (ohm * current + ask.remembered_v) + ask.heater_w
        end_c = _warmed(ask, heat_w, seconds)
        warm = 0.5 * (ask.temperature_c + end_c)
    cut = (current == least) | (current == most)
    power = np.where(cut, current * (rest_v + ohm * current), asked)
    return Passed(current, power, end_c)


def _derated(circuit: Circuit, ask: Ask) -> Passed:
    """Hold a power in the steps of `options.CellOptions`, derated where each begins."""
    current, power = np.zeros(len(ask.soc)), np.zeros(len(ask.soc))
    for seconds in STEPS_S:
        most = rated_a(circuit, ask.charge_a, ask.discharge_a, ask.temperature_c)
        found = _hold(circuit, ask, seconds, *most)
        current += found.current_a * (seconds / TICK_S)
        power += found.power_w * (seconds / TICK_S)
        moved = found.current_a * (seconds / 3600) / ask.capacity_ah
        soc = np.clip(ask.soc + moved, 0, 1)
        ask = replace(ask, soc=soc, temperature_c=found.temperature_c)
    return Passed(current, power, ask.temperature_c)


def _warmed(ask: Ask, heat_w: Floats, seconds: float) -> Floats:
    """Exact answer of one thermal node to constant heat [degC]."""
    left = np.exp(-seconds * ask.cooling_w_k / ask.heat_capacity_j_k)
    end_c = ask.ambient_c + heat_w / ask.cooling_w_k
    return end_c + (ask.temperature_c - end_c) * left


def _share(curve: Curve, temperature_c: Floats) -> Floats:
    corners = np.array(curve)
    return np.interp(temperature_c, corners[:, 0], corners[:, 1])
