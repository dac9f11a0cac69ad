"""Cells stepped together: whole arrays over cells, in blocks that fit the processor's cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.backend import Function
from adapters.pybamm.kernel import Kernel
from cosim.signals import C_RATES

Floats = NDArray[np.float64]
BLOCK = 4096
"""Cells stepped together; see ``bench``."""
_LANES = 8
"""Blocks are filled up to a multiple of this, so that every cell takes the same vector code."""


@dataclass(frozen=True)
class Surroundings:
    """What warms and cools cells through a tick; every array has shape (cell,)."""

    ambient_k: Floats
    """Temperature of the air [K]."""
    heat_w: Floats
    """Heat from outside [W]."""
    cooling_w_k: Floats
    """Conductance to the air, > 0 [W/K]."""
    heat_capacity_j_k: float
    """Of each cell and what is warmed along with it [J/K]."""


@dataclass(frozen=True)
class CellTick:
    """What went through cells in a tick; every array has shape (cell,), positive into the cell."""

    energy_j: Floats
    """Electrical energy at the terminals [J]."""
    charge_as: Floats
    """Charge [A s]."""
    loss_j: Floats
    """Energy that turned into heat: current times the distance of the voltage from the
    open-circuit voltage of the mean composition [J]."""
    heat_j: Floats
    """Heat of kinetics and electrolyte [J]: loss less what gradients in the particles took."""
    lowest_v: Floats
    """Lowest terminal voltage at the begin of a step of the time integration [V]."""
    highest_v: Floats
    """Highest terminal voltage there [V]."""


@dataclass(frozen=True)
class CellView:
    """State of cells, in the order of `export.FIELDS`; every array has shape (cell,)."""

    negative: Floats
    """Mean stoichiometry of the negative particles."""
    positive: Floats
    """Mean stoichiometry of the positive particles."""
    temperature_k: Floats
    """Temperature [K]."""
    side_mol: Floats
    """Lithium in interphase and plating, above that of the new cell [mol]."""
    negative_loss_mol: Floats
    """Lithium in lost negative material [mol]."""
    positive_loss_mol: Floats
    """Lithium in lost positive material [mol]."""
    negative_fraction: Floats
    """Volume fraction of active material in the negative electrode."""
    positive_fraction: Floats
    """Volume fraction of active material in the positive electrode."""
    plated_mol: Floats
    """Lithium that is plated and can be stripped [mol]."""


@dataclass(frozen=True)
class Sustainable:
    """What cells can hold through the next tick; every array has shape (cell,) and is >= 0."""

    discharge_w: Floats
    charge_w: Floats
    discharge_a: Floats
    charge_a: Floats


class Cells:
    """All cells of a run.

    Parameters
    ----------
    kernel
        The cell model.
    states
        Initial states, shape (states, cell), see `Kernel.at_rest`.
    block
        Cells stepped together.

    Notes
    -----
    A cell's result does not depend on which others are stepped with it, to the last bit: every
    operation is elementwise, and blocks are filled up to whole vector registers.
    """

    def __init__(self, kernel: Kernel, states: Floats, block: int = BLOCK) -> None:
        self.kernel = kernel
        self.count = states.shape[1]
        self._width = -(-self.count // _LANES) * _LANES
        self._starts = range(0, self._width, block)
        self._block = min(block, self._width)
        self._x = np.empty((kernel.states, self._width))
        self._current = np.zeros(self._width)
        self.states = states

    @property
    def states(self) -> Floats:
        """States (states, cell), a copy."""
        return self._x[:, : self.count].copy()

    @states.setter
    def states(self, states: Floats) -> None:
        self._x[:, : self.count] = states
        self._x[:, self.count :] = states[:, -1:]

    @property
    def current_a(self) -> Floats:
        """Last current [A], positive into the cell; where the search for the next one starts."""
        return -self._current[: self.count]

    @current_a.setter
    def current_a(self, current: Floats) -> None:
        self._current[:] = self._filled(-current)

    def advance(
        self, power_w: Floats, around: Surroundings, charge_a: Floats, discharge_a: Floats,
        room_as: Floats, stored_as: Floats,
    ) -> CellTick:  # fmt: skip
        """Step every cell through a tick with its power held as far as its limits allow.

        Parameters
        ----------
        power_w
            Power asked at the terminals, positive into the cell [W], shape (cell,).
        around
            What warms and cools them.
        charge_a, discharge_a
            Rated currents, both >= 0 [A], which temperature derates, shape (cell,).
        room_as, stored_as
            Charge that still fits and that is still there; the current of a step never moves
            more [A s], shape (cell,).

        Returns
        -------
        CellTick
            Sums over the tick.
        """
        width, c = self._width, self.kernel.constants
        power = self._filled(-power_w)
        draws, fills = power > 0, power < 0
        limit_v = np.where(draws, c["lower_v"], c["upper_v"])
        given = [
            self._filled(v)
            for v in (
                around.ambient_k, charge_a, discharge_a, around.heat_w, around.cooling_w_k,
                around.heat_capacity_j_k,
            )
        ]  # fmt: skip
        room = np.where(fills, self._filled(room_as), 0)
        stored = np.where(draws, self._filled(stored_as), 0)
        energy, charge, loss, heat = np.zeros((4, width))
        lowest, highest = np.full(width, np.inf), np.full(width, -np.inf)
        asked = np.empty((12, self._block))
        results = np.empty((7, self._block))
        for start in self._starts:
            stop = min(start + self._block, width)
            n = stop - start
            at = slice(start, stop)
            x, q, r = self._x[:, at], asked[:, :n], results[:, :n]
            current, low, high = q[0], q[4], q[5]
            q[0], q[1], q[3] = self._current[at], power[at], limit_v[at]
            q[2], q[6], q[7], q[8], q[9], q[10] = (values[at] for values in given)
            for h in self.kernel.options.substeps_s:
                q[11] = h
                moved = charge[at]
                np.maximum(stored[at] - moved, 0, out=high)
                high /= h
                np.minimum(-room[at] - moved, 0, out=low)
                low /= h
                self.kernel.step(x, q, r)
                current[:] = r[0]
                np.minimum(lowest[at], r[1], out=lowest[at])
                np.maximum(highest[at], r[1], out=highest[at])
                energy[at] += r[3]
                charge[at] += r[4]
                loss[at] += r[5]
                heat[at] += r[6]
            self._current[at] = current
        only = slice(self.count)
        return CellTick(
            energy_j=-energy[only],
            charge_as=-charge[only],
            loss_j=loss[only],
            heat_j=heat[only],
            lowest_v=lowest[only],
            highest_v=highest[only],
        )

    def view(self) -> CellView:
        """Return what can be said of every cell from its state alone."""
        return CellView(*self._of_states(self.kernel.observe, 9))

    def resistance_ohm(self) -> Floats:
        """Resistance of every cell at half charge and the reference temperature [Ohm]."""
        return self._of_states(self.kernel.resistance, 1)[0]

    def particle_energy_v(self) -> Floats:
        """Chemical energy in the particles of both electrodes over the electrode's capacity.

        Up to a constant [J/(A s)]; shape (2, cell), the negative electrode first.
        """
        return self._of_states(self.kernel.particle_energy, 2)

    def sustainable(
        self, stored_a: Floats, room_a: Floats, charge_a: Floats, discharge_a: Floats,
        around: Surroundings,
    ) -> Sustainable:  # fmt: skip
        """Power that every cell can hold through the next tick, in and out.

        Parameters
        ----------
        stored_a, room_a
            Currents that would empty and fill the cell in a tick, both >= 0 [A], shape (cell,).
        charge_a, discharge_a
            Rated currents, both >= 0 [A], shape (cell,).
        around
            What warms and cools them in it.
        """
        given = (
            stored_a, room_a, charge_a, discharge_a, around.ambient_k, around.heat_w,
            around.cooling_w_k, around.heat_capacity_j_k,
        )  # fmt: skip
        asked = np.vstack([self._filled(v) for v in given])
        out = np.maximum(self._of_states(self.kernel.predict, 4, asked), 0)
        return Sustainable(discharge_w=out[0], charge_w=out[1], discharge_a=out[2], charge_a=out[3])

    def wear_ah_per_j(self, slopes: Floats, held: Sustainable, heat_capacity_j_k: float) -> Floats:
        """Capacity lost per energy moved, beyond what rest costs, at `cosim.signals.C_RATES`.

        Parameters
        ----------
        slopes
            How the capacity changes with lithium and with each electrode, of `balance`, shape
            (3, cell).
        held
            What can be held.
        heat_capacity_j_k
            Of each cell and what is warmed along with it.

        Returns
        -------
        ndarray
            Shape (rates, cell) [A h/J].
        """
        given = (*slopes, held.charge_a, held.discharge_a, heat_capacity_j_k)
        asked = np.vstack([self._filled(v) for v in given])
        return self._of_states(self.kernel.wear, len(C_RATES), asked)

    def shift(self, negative: Floats, positive: Floats) -> None:
        """Move the stoichiometries of all particles of every cell by these, shape (cell,)."""
        rest = self.kernel.rest_matrix
        self._x[:, : self.count] += rest[1][:, None] * negative + rest[2][:, None] * positive

    def _of_states(self, function: Function, rows: int, asked: Floats | None = None) -> Floats:
        out = np.empty((rows, self._width))
        for start in self._starts:
            at = slice(start, min(start + self._block, self._width))
            given = () if asked is None else (asked[:, at],)
            function(self._x[:, at], *given, out[:, at])
        return out[:, : self.count]

    def _filled(self, values: Floats | float) -> Floats:
        filled = np.empty(self._width)
        filled[: self.count] = values
        filled[self.count :] = filled[self.count - 1]
        return filled
