"""What the loads and generators of a circuit draw at any voltage, as OpenDSS has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class Branches:
    """Where loads, or generators, are connected; arrays have shape (branch,)."""

    load: NDArray[np.int64]
    """Load, or generator, of the branch."""
    ends: NDArray[np.int64]
    """Its two nodes, the number of nodes for ground, shape (2, branch)."""
    share: Floats
    """Share of the load's power."""
    base_v: Floats
    """Rated voltage across the branch [V]."""
    ends_v: Floats
    """Where the linear part at low voltage ends, and where the load's own model begins and ends,
    shape (3, branch) [V]."""
    exponents: Floats
    """Of active and reactive power over the voltage, shape (2, branch)."""

    @classmethod
    def joined(cls, parts: Sequence[Branches]) -> Branches:
        """Return branches one after the other; none where there are no parts."""
        none = np.zeros(0)
        nothing = cls(
            np.zeros(0, np.int64), np.zeros((2, 0), np.int64), none, none,
            np.zeros((3, 0)), np.zeros((2, 0)),
        )  # fmt: skip
        return cls(
            **{
                f.name: np.concatenate([getattr(part, f.name) for part in (nothing, *parts)], -1)
                for f in fields(cls)
            }
        )


def admittance(power: Complex, u: Floats, b: Branches) -> tuple[Complex, Complex]:
    """Admittance of each branch [S] and its slope over the voltage magnitude [S/V].

    Outside its window a load of OpenDSS is the impedance that continues it above, and below a
    current that falls in a straight line to that of its rated impedance.
    """
    lowest, low, high = b.ends_v
    held = np.clip(u, np.maximum(low, 1e-9), high)
    p, q = b.exponents

    def own(volts: Floats) -> tuple[Complex, Complex]:
        active = power.real * (volts / b.base_v) ** p / volts**2
        reactive = power.imag * (volts / b.base_v) ** q / volts**2
        slope = ((p - 2) * active - 1j * (q - 2) * reactive) / volts
        return active - 1j * reactive, slope

    y, slope = own(held)
    slope = np.where(u > high, 0, slope)
    rated = np.conj(power) / b.base_v**2
    below = u < low
    if below.any():
        first = rated * lowest
        rise = (y * low - first) / np.maximum(low - lowest, 1e-9)
        line = first + rise * (u - lowest)
        y = np.where(below, line / u, y)
        slope = np.where(below, rise / u - line / u**2, slope)
        still = u <= lowest
        y, slope = np.where(still, rated, y), np.where(still, 0, slope)
    return y, slope
