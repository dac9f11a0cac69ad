"""Ageing of equivalent circuits: state of health, resistance, and what moving charge costs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from adapters.pybamm.circuit import TICK_S, Circuit
from adapters.pybamm.constants import YEAR_S
from adapters.pybamm.spec import Life
from adapters.pybamm.tick import Floats
from cosim.signals import C_RATES


class Health:
    """What ageing changes in cells; every array has shape (cell,).

    Parameters
    ----------
    circuit
        The fitted cell.
    life
        How the cells age.
    count
        Number of cells.
    """

    STATE = ("sei_m", "soh", "ratio", "worn")
    """Names of what changes."""

    def __init__(self, circuit: Circuit, life: Life, count: int) -> None:
        self._circuit, self._c = circuit, circuit.constants
        self._acceleration = life.acceleration
        growth = circuit.growth_m2(np.array([25.0]), life.age_years * YEAR_S)
        sei_m = np.sqrt(self._c["sei_initial_m"] ** 2 + growth)
        thickness, soh, ratio = circuit.ages
        self.sei_m: Floats = np.full(count, sei_m)
        """Thickness of the interphase [m]."""
        self.soh: Floats = np.full(count, np.interp(sei_m, thickness, soh))
        """State of health, present over new capacity."""
        self.ratio: Floats = np.full(count, np.interp(sei_m, thickness, ratio))
        """Resistance over that when new."""
        self.worn: Floats = np.zeros(count)
        """Share of the new capacity that the last tick wore and that is still in `soh`."""

    @property
    def capacity_ah(self) -> Floats:
        """Present capacity [A h]."""
        return self.soh * self._c["new_capacity_ah"]

    @property
    def more_ohm(self) -> Floats:
        """Resistance beyond that of the fitted cell [Ohm]."""
        return (self.ratio - self._c["fitted_ratio"]) * self._c["new_resistance_ohm"]

    def wear_in(self) -> None:
        """Take what the tick before wore from the capacity."""
        self.soh = self.soh - self.worn

    def age(self, before_soc: Floats, current_a: Floats, mean_c: Floats, rest_loss: Floats) -> None:
        """Age by a tick.

        Parameters
        ----------
        before_soc
            State of charge where it began.
        current_a
            Mean current into the cell [A].
        mean_c
            Mean temperature [degC].
        rest_loss
            Share of the capacity that side reactions at rest take in a tick.
        """
        c, more = self._c, self._acceleration
        square = self.sei_m**2 + self._circuit.growth_m2(mean_c, TICK_S)
        grown_m = np.sqrt(square) - self.sei_m
        at = np.flatnonzero(current_a)
        moved = np.abs(current_a[at]) * (TICK_S / 3600 / c["new_capacity_ah"])
        place = self._circuit.place(before_soc[at], mean_c[at])
        cycled = np.zeros(len(current_a))
        cycled[at] = self._circuit.lost(place, current_a[at]) * moved
        self.worn = more * (c["soh_per_m"] * grown_m + rest_loss + cycled)
        self.sei_m = self.sei_m + more * grown_m
        growth = c["ratio_per_m"] * grown_m + c["ratio_per_cycled"] * cycled
        self.ratio = self.ratio + more * growth

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies."""
        return {name: getattr(self, name).copy() for name in self.STATE}

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back what is of `STATE` in a state."""
        for name in self.STATE:
            setattr(self, name, np.array(state[name], dtype=float))


def cost_held(at_rates: Floats, least_c_rate: Floats, most_c_rate: Floats) -> Floats:
    """Cost at `cosim.signals.C_RATES`, at no more than the largest that can be held.

    Parameters
    ----------
    at_rates
        Cost at these rates, whether they can be held or not, shape (c_rate, cell).
    least_c_rate, most_c_rate
        Largest C-rates that can be held on discharge, <= 0, and on charge, shape (cell,).

    Returns
    -------
    ndarray
        Shape (cell, c_rate), in the unit of `at_rates`.
    """
    cost = np.empty(at_rates.shape[::-1])
    charge = [k for k, rate in enumerate(C_RATES) if rate > 0]
    discharge = [k for k, rate in enumerate(C_RATES) if rate < 0][::-1]
    for way, bound in ((charge, most_c_rate), (discharge, least_c_rate)):
        cost[:, way[0]] = held = at_rates[way[0]]
        for low, high in pairwise(way):
            step = C_RATES[high] - C_RATES[low]
            part = np.clip((bound - C_RATES[low]) / step, 0, 1)
            cost[:, high] = held = held + part * (at_rates[high] - at_rates[low])
    return cost
