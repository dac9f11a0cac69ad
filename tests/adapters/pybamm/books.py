"""Energy of cells, counted without the code under test.

Electrodes by quadrature of PyBaMM's open-circuit potentials, heat by what warmed the cell and by
what went into the air. Lithium outside the particles counts as metal, from which the potentials are
measured: what is in the interphase has less energy, 1e-5 of the cell's in a day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.constants import J_PER_KWH
from adapters.pybamm.export import FIELDS
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.method import STEP_INPUTS
from adapters.pybamm.packs import Packs
from adapters.pybamm.parts import parameter_values
from adapters.pybamm.tick import BatteryTick

Floats = NDArray[np.float64]
SIDES = ("negative", "positive")


@dataclass(frozen=True)
class _Electrode:
    mean: Floats
    """Mean stoichiometry."""
    charge_as: Floats
    """Capacity [A s]."""


class Books:
    """Books of packs of one cell each, from now on.

    Parameters
    ----------
    kernel, packs
        Packs whose energies are those of one new cell.
    """

    def __init__(self, kernel: Kernel, packs: Packs) -> None:
        values = _values(kernel.options.chemistry)
        self._kernel, self._packs = kernel, packs
        self._potentials = [values[f"{side.capitalize()} electrode OCP [V]"] for side in SIDES]
        origin = np.empty((len(FIELDS), 1))
        units = np.empty((len(FIELDS), kernel.states))
        kernel.observe(np.zeros((kernel.states, 1)), origin)
        kernel.observe(np.eye(kernel.states), units)
        self._weights = units - origin
        self._cooled_j = np.zeros(packs.count)
        self.energy_j = np.zeros(packs.count)
        self.passed_j = np.zeros(packs.count)
        self._watch_cooling()
        self._chemical_j = np.zeros(packs.count)
        self._last = self._electrodes()
        self._first = self.gradient_j(), packs.temperature_c

    def _watch_cooling(self) -> None:
        """Sum the heat that goes into the air, over every step of the time integration.

        By the conductance that the step is given.
        """
        cells, stock = self._packs._cells, self._kernel.step
        row = self._weights[FIELDS.index("temperature_k")]

        def step(x: Floats, q: Floats, r: Floats) -> None:
            before = row @ x
            stock(x, q, r)
            warmer = 0.5 * (before + row @ x) - q[STEP_INPUTS.index("ambient_k")]
            cooling_w_k = q[STEP_INPUTS.index("cooling_w_k")]
            joules = cooling_w_k * warmer * q[STEP_INPUTS.index("step_s")]
            self._cooled_j += joules[: self._packs.count]

        cells.kernel = replace(self._kernel, step=step)

    def note(self, tick: BatteryTick) -> None:
        """Count the energy into cell and heater in a tick, and what it did to the composition.

        Tick by tick, as material that is lost takes its energy along.
        """
        self.energy_j += (tick.pack_energy_kwh + tick.pack_heater_kwh) * J_PER_KWH
        self.passed_j += np.abs(tick.pack_energy_kwh) * J_PER_KWH
        now = self._electrodes()
        for potential, begin, end in zip(self._potentials, self._last, now, strict=True):
            charge_as = 0.5 * (begin.charge_as + end.charge_as)
            self._chemical_j -= charge_as * _integral(potential, begin.mean, end.mean, 100)
        self._last = now

    def missing_j(self) -> Floats:
        """Energy that went in and is found nowhere [J], shape (cell,)."""
        gradient_j, temperature_c = self._first
        warmed = self._packs.temperature_c - temperature_c
        heat = self._packs.surroundings.heat_capacity_j_k * warmed + self._cooled_j
        # What the terminals lost in the last tick beyond its heat warms the cell in the next.
        heat = heat + self._packs.state()["mixing_j"]
        stored = self._chemical_j + self.gradient_j() - gradient_j
        return self.energy_j - stored - heat

    def error(self) -> Floats:
        """Missing energy over what passed, or over the cell's energy where less passed."""
        capacity_j = self._kernel.constants["new_energy_wh"] * 3600
        return self.missing_j() / np.maximum(self.passed_j, capacity_j)

    def _electrodes(self) -> tuple[_Electrode, ...]:
        c, view = self._kernel.constants, self._packs._view
        negative_as, positive_as = (
            getattr(view, f"{side}_fraction")
            / c[f"{side}_fraction"]
            * (c[f"{side}_capacity_ah"] * 3600)
            for side in SIDES
        )
        return _Electrode(view.negative, negative_as), _Electrode(view.positive, positive_as)

    def gradient_j(self) -> Floats:
        """Energy of what is in the particles, above that of the mean composition."""
        states, total = self._packs._cells.states, np.zeros(self._packs.count)
        for side, potential, now in zip(SIDES, self._potentials, self._electrodes(), strict=True):
            weights = self._weights[FIELDS.index(side)]
            for place in np.flatnonzero(weights):
                there = states[place] * weights.sum()
                share = weights[place] / weights.sum()
                total -= now.charge_as * share * _integral(potential, now.mean, there, 40)
        return total


@cache
def _values(chemistry: str) -> Any:
    return parameter_values(CHEMISTRIES[chemistry])


def _integral(function: Any, begin: Floats, end: Floats, points: int) -> Floats:
    at, weights = np.polynomial.legendre.leggauss(points)
    places = begin + (0.5 + 0.5 * at)[:, None] * (end - begin)
    return 0.5 * (end - begin) * (weights @ np.asarray(function(places)))
