"""Linear equations with a few more unknowns, each of which holds a figure where it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Held:
    r"""Factors of the matrix that has rows and columns added to one whose factors are known.

    Parameters
    ----------
    factors
        Factors of the matrix :math:`A` of the equations.
    per_unit
        How one more unit of each added unknown enters the equations, shape (added, size).
    figure
        Each added equation: this times the unknowns does not change, shape (added, size).

    Notes
    -----
    With :math:`B` and :math:`C` from `per_unit` and `figure` the equations are
    :math:`A x + B q = b, C x = 0`, and by elimination of :math:`q`

    .. math:: x = A^{-1} b - X S^{-1} C A^{-1} b, \quad X = A^{-1} B, \quad S = C X .
    """

    def __init__(self, factors: Any, per_unit: Floats, figure: Floats) -> None:
        self._factors, self._figure = factors, figure
        self._moves: Floats = factors.solve(per_unit.T)
        self._between = figure @ self._moves

    def solve(self, right: Floats, trans: str = "N") -> Floats:
        """Return the solution for right sides, shape (size,) or (size, side).

        Parameters
        ----------
        right
            Right sides; those of the added equations are zero.
        trans
            ``N``, or ``T`` for the transposed matrix.
        """
        if trans == "T":
            worth = np.linalg.solve(self._between.T, self._moves.T @ right)
            return self._factors.solve(right - self._figure.T @ worth, trans="T")
        free: Floats = self._factors.solve(right)
        return free - self._moves @ np.linalg.solve(self._between, self._figure @ free)
