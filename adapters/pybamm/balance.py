"""Electrode balance of cells: where 0 and 100 % are, followed from tick to tick as they age."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from adapters.pybamm.kernel import Kernel
from adapters.pybamm.tick import Floats

START_STEPS = 16
"""Steps in which the balance of an aged cell is followed from that of the new one."""
CORRECTIONS = 3
"""Newton iterations where the figures moved by more than a tick's ageing."""


class Balance:
    """Stoichiometries of the negative electrode at 0 and 100 %, and what follows from them.

    Parameters
    ----------
    kernel
        The cell model.
    lithium_ah
        Cyclable lithium of each cell [A h], shape (cell,).
    electrodes_ah
        Capacities of both electrodes [A h], each of shape (cell,).
    """

    STATE = ("ends", "end_slopes", "figures")
    """Arrays that `state` gives."""

    def __init__(
        self, kernel: Kernel, lithium_ah: Floats, electrodes_ah: tuple[Floats, Floats]
    ) -> None:
        self._kernel, c = kernel, kernel.constants
        self.count = lithium_ah.size
        self.ends = np.array([[c["new_empty"]], [c["new_full"]]]).repeat(self.count, axis=1)
        self._end_slopes = np.zeros((6, self.count))
        new_ah = np.full(self.count, c["lithium_ah"])
        self.figures = np.vstack([new_ah, *electrodes_ah])
        bound = c["lithium_ah"] - lithium_ah
        for share in np.linspace(0, 1, START_STEPS):
            self.follow(c["lithium_ah"] - share * bound, electrodes_ah)
        self.follow(lithium_ah, electrodes_ah, CORRECTIONS)

    def follow(
        self, lithium_ah: Floats, electrodes_ah: tuple[Floats, Floats], corrections: int = 1
    ) -> None:
        """Go on to these figures, along the slopes of the last ones and then by Newton.

        From afar, Newton alone finds other roots.
        """
        figures, found = np.vstack([lithium_ah, *electrodes_ah]), np.empty((8, self.count))
        for _ in range(corrections):
            moved = (self._end_slopes.reshape(2, 3, -1) * (figures - self.figures)).sum(axis=1)
            self._kernel.balance(np.vstack([self.ends + moved, figures]), found)
            self.ends, self._end_slopes = found[:2].copy(), found[2:].copy()
            self.figures = figures

    @property
    def capacity_ah(self) -> Floats:
        """Charge between 0 and 100 % [A h], shape (cell,)."""
        return (self.ends[1] - self.ends[0]) * self.figures[1]

    @property
    def slopes(self) -> Floats:
        """How the capacity changes with lithium and with each electrode, shape (3, cell)."""
        slopes = self.figures[1] * (self._end_slopes[3:] - self._end_slopes[:3])
        slopes[1] += self.ends[1] - self.ends[0]
        return slopes

    def at(self, soc: Floats) -> Floats:
        """Return the stoichiometry of the negative electrode at a state of charge."""
        return self.ends[0] + soc * (self.ends[1] - self.ends[0])

    def soc(self, negative: Floats) -> Floats:
        """Return the state of charge at a stoichiometry of the negative electrode."""
        return (negative - self.ends[0]) / (self.ends[1] - self.ends[0])

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies."""
        parts = (self.ends, self._end_slopes, self.figures)
        return {name: part.copy() for name, part in zip(self.STATE, parts, strict=True)}

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`: the search is not done again."""
        self.ends, self._end_slopes, self.figures = (
            np.array(state[name], dtype=float) for name in self.STATE
        )
