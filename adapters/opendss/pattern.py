"""The sparse real matrix of the nodal equations: where its entries stand, and filling it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Complex = NDArray[np.complex128]


class Pattern:
    """Where the entries of the real matrix stand, found once for a circuit.

    Parameters
    ----------
    places, starts
        Rows and column starts of the engine's complex matrix, by columns.
    ends
        Nodes of the branches of the loads, see `load_models.Branches`.
    """

    def __init__(
        self, places: NDArray[np.int32], starts: NDArray[np.int32], ends: NDArray[np.int64]
    ) -> None:
        count = len(starts) - 1
        self._count, self._given = count, (places.copy(), starts.copy())
        self._row = places.astype(np.int64)
        self._column = np.repeat(np.arange(count), np.diff(starts))
        # A branch enters the rows and the columns of both of its ends, with opposite signs.
        pairs = [(ends[i], ends[j], 1.0 if i == j else -1.0) for i in (0, 1) for j in (0, 1)]
        self._kept = [(row < count) & (column < count) for row, column, _ in pairs]
        self._sign = [sign for *_, sign in pairs]
        row = [self._row, *(r[k] for (r, _, _), k in zip(pairs, self._kept, strict=True))]
        column = [self._column, *(c[k] for (_, c, _), k in zip(pairs, self._kept, strict=True))]
        rows, columns = np.concatenate(row), np.concatenate(column)
        # Four blocks: real and imaginary currents by real and imaginary voltages.
        at = np.concatenate(
            [
                (columns + right * count) * 2 * count + rows + down * count
                for down, right in ((0, 0), (0, 1), (1, 0), (1, 1))
            ]
        )
        entries, self._entry = np.unique(at, return_inverse=True)
        self._indices = (entries % (2 * count)).astype(np.int32)
        widths = np.bincount(entries // (2 * count), minlength=2 * count)
        self._starts = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)

    def fits(self, places: NDArray[np.int32], starts: NDArray[np.int32]) -> bool:
        """Whether the engine's matrix still has this pattern."""
        return np.array_equal(starts, self._given[1]) and np.array_equal(places, self._given[0])

    def times(self, passive: Complex, v: Complex) -> Complex:
        """Return the engine's matrix times voltages."""
        part = passive * v[self._column]
        real = np.bincount(self._row, part.real, self._count)
        return real + 1j * np.bincount(self._row, part.imag, self._count)

    def matrix(self, passive: Complex, same: Complex, mirrored: Complex) -> Any:
        """Return the real matrix.

        Parameters
        ----------
        passive
            Entries of the engine's matrix.
        same, mirrored
            What the current of each branch changes by with its voltage, and with the conjugate.
        """
        signed = list(zip(self._kept, self._sign, strict=True))
        one = np.concatenate([passive, *(sign * same[kept] for kept, sign in signed)])
        other = np.concatenate([0 * passive, *(sign * mirrored[kept] for kept, sign in signed)])
        blocks = (
            one.real + other.real,
            other.imag - one.imag,
            one.imag + other.imag,
            one.real - other.real,
        )
        values = np.bincount(self._entry, np.concatenate(blocks), len(self._indices))
        size = 2 * self._count
        return sp.csc_matrix((values, self._indices, self._starts), (size, size))
