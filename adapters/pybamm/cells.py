"""Cells stepped together: whole arrays over cells, in blocks that fit the processor's cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.kernel import Kernel

Floats = NDArray[np.float64]
BLOCK = 4096
"""Cells stepped together; see ``bench``."""
_LANES = 8
"""Blocks are filled up to a multiple of this, so that every cell takes the same vector code."""


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
    lowest_v: Floats
    """Lowest terminal voltage at the begin of a step of the time integration [V]."""
    highest_v: Floats
    """Highest terminal voltage there [V]."""


@dataclass(frozen=True)
class CellView:
    """State of cells; every array has shape (cell,)."""

    negative: Floats
    """Mean stoichiometry of the negative particles."""
    positive: Floats
    """Mean stoichiometry of the positive particles."""
    temperature_k: Floats
    """Temperature [K]."""
    sei_m: Floats
    """Thickness of the solid-electrolyte interphase [m]."""


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
        self, power_w: Floats, ambient_k: Floats, charge_a: Floats, discharge_a: Floats,
        room_as: Floats, stored_as: Floats,
    ) -> CellTick:  # fmt: skip
        """Step every cell through a tick with its power held as far as its limits allow.

        Parameters
        ----------
        power_w
            Power asked at the terminals, positive into the cell [W], shape (cell,).
        ambient_k
            Ambient temperature [K], shape (cell,).
        charge_a, discharge_a
            Bounds of the current in either direction, both >= 0 [A], shape (cell,).
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
        ambient = self._filled(ambient_k)
        charge_a = np.where(fills, self._filled(charge_a), 0)
        discharge_a = np.where(draws, self._filled(discharge_a), 0)
        room, stored = self._filled(room_as), self._filled(stored_as)
        energy, charge, loss = np.zeros(width), np.zeros(width), np.zeros(width)
        lowest, highest = np.full(width, np.inf), np.full(width, -np.inf)
        asked, results = np.empty((2, 6, self._block))
        for start in self._starts:
            stop = min(start + self._block, width)
            n = stop - start
            at = slice(start, stop)
            x, q, r = self._x[:, at], asked[:, :n], results[:, :n]
            current, low, high = q[0], q[4], q[5]
            q[0], q[1], q[2], q[3] = self._current[at], power[at], ambient[at], limit_v[at]
            for h, step in zip(self.kernel.options.substeps_s, self.kernel.steps, strict=True):
                moved = charge[at]
                np.minimum(discharge_a[at], np.maximum(stored[at] - moved, 0) / h, out=high)
                np.minimum(charge_a[at], np.maximum(room[at] + moved, 0) / h, out=low)
                np.negative(low, out=low)
                step(x, q, r)
                current[:] = r[0]
                np.minimum(lowest[at], r[1], out=lowest[at])
                np.maximum(highest[at], r[1], out=highest[at])
                energy[at] += r[3]
                charge[at] += r[4]
                loss[at] += r[5]
            self._current[at] = current
        only = slice(self.count)
        return CellTick(
            energy_j=-energy[only],
            charge_as=-charge[only],
            loss_j=loss[only],
            lowest_v=lowest[only],
            highest_v=highest[only],
        )

    def view(self) -> CellView:
        """Return what can be said of every cell from its state alone."""
        out = np.empty((4, self._width))
        for start in self._starts:
            at = slice(start, min(start + self._block, self._width))
            self.kernel.observe(self._x[:, at], out[:, at])
        return CellView(*(row[: self.count] for row in out))

    def sustainable_w(self, charge_a: Floats, discharge_a: Floats) -> tuple[Floats, Floats]:
        """Power that every cell can hold through the next tick, in and out.

        Parameters
        ----------
        charge_a, discharge_a
            Bounds of the current in either direction, both >= 0 [A], shape (cell,).

        Returns
        -------
        tuple
            Charging and discharging power [W], both >= 0, shape (cell,) each.
        """
        bounds = np.vstack([self._filled(discharge_a), self._filled(charge_a)])
        out = np.empty((2, self._width))
        for start in self._starts:
            at = slice(start, min(start + self._block, self._width))
            self.kernel.predict(self._x[:, at], bounds[:, at], out[:, at])
        out = np.maximum(out[:, : self.count], 0)
        return out[1], out[0]

    def _filled(self, values: Floats) -> Floats:
        filled = np.empty(self._width)
        filled[: self.count] = values
        filled[self.count :] = filled[self.count - 1]
        return filled
