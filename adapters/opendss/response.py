"""What chargers do about the voltage at their terminals: volt-var and volt-watt.

Notes
-----
Volt-var curves are the default settings of IEEE Std 1547-2018 for voltage-reactive power control,
Table 8, and the volt-watt curve those of voltage-active power control, Table 10, for what is fed
back. The standard was not at hand: the volt-var curves were read in public software that carries
them, the volt-watt settings and the numbers of the tables are from memory. The standard sets no
volt-watt curve for low voltages, at which what is drawn matters: ours mirrors that for high
voltages about 1 pu. Both controls are off in the standard, too, unless the grid's operator asks
for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]
Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Voltages, rising [pu], and values there; flat beyond the ends."""

VOLT_VAR: Mapping[str, Curve] = MappingProxyType(
    {
        "category_a": ((0.9, 1.1), (0.25, -0.25)),
        "category_b": ((0.92, 0.98, 1.02, 1.08), (0.44, 0.0, 0.0, -0.44)),
    }
)
"""Reactive power that is fed back over the rating, by the category of IEEE Std 1547-2018."""
FEED_WITHHELD: Curve = ((1.06, 1.1), (0.0, 1.0))
"""Share of the rating that a charger may not feed back."""
DRAW_WITHHELD: Curve = ((0.9, 0.94), (1.0, 0.0))
"""Share of the rating that a charger may not draw."""
DAMPING = 0.5
"""Part of the way to what the curves ask for, at each step.

A step converges where the voltage moves back by less than three times what moved the curve.
"""
TOLERANCE = 1e-3
"""Reactive power that may be missing to the curve, over the rating."""
STEPS = 60
"""Solutions of the feeder after which volt-var is given up."""


def settled_kvar(
    curve: Curve,
    kw: Floats,
    kva: Floats,
    voltage_pu: Callable[[Floats], Floats],
    names: Sequence[str],
) -> Floats:
    """Return the reactive power that chargers draw on a volt-var curve [kvar].

    Active power goes first: what is left of the rating bounds reactive power. The last call of
    `voltage_pu` is with what is returned.

    Parameters
    ----------
    curve
        See `VOLT_VAR`.
    kw, kva
        Power of the chargers, of either sign, and rating of those that are at work, shape
        (connection,).
    voltage_pu
        Solves the feeder with reactive power drawn by the chargers, shape (connection,) [kvar], and
        returns the voltage at their terminals, same shape.
    names
        Names of the connections.

    Raises
    ------
    PowerFlowError
        Voltages and reactive power do not settle.
    """
    most_kvar = np.sqrt(np.maximum(kva**2 - kw**2, 0.0))
    kvar = np.zeros(len(kw))
    gap = kvar
    for _ in range(STEPS):
        asked = -kva * np.interp(voltage_pu(kvar), *curve)
        gap = np.clip(asked, -most_kvar, most_kvar) - kvar
        if (np.abs(gap) <= TOLERANCE * kva).all():
            return kvar
        kvar = kvar + DAMPING * gap
    worst = int(np.argmax(np.abs(gap)))
    raise PowerFlowError(
        f"volt-var does not settle within {STEPS} solutions: {gap[worst]:.3g} kvar are still "
        "missing to its curve",
        where=f"charger {names[worst]}",
    )


def withheld(before: Floats, voltage_pu: Floats, curve: Curve) -> Floats:
    """Return the share of its rating that volt-watt takes from each charger in the next interval.

    The standard's response takes seconds, and settles within an interval. Here a charger hears of
    its voltage one interval later, so it goes half of the way each time and does not swing.

    Parameters
    ----------
    before
        The share in this interval, shape (connection,) [1].
    voltage_pu
        Voltage at the terminals, shape (connection,) [1].
    curve
        `FEED_WITHHELD` or `DRAW_WITHHELD`.
    """
    share: Floats = before + DAMPING * (np.interp(voltage_pu, *curve) - before)
    # A share that fades would be one for ever.
    return np.where(share < TOLERANCE, 0.0, share)
