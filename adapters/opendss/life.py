r"""Hot-spot temperature and loss of life of oil-immersed transformers, IEEE Std C57.91 clause 7.

Notes
-----
With the load :math:`K` over the rating and the ratio :math:`R` of load to no-load losses, the
temperature rises of the top oil over the air and of the hottest spot over the oil go towards

.. math::

    \Delta\Theta_{TO} = \Delta\Theta_{TO,R} \left(\frac{K^2 R + 1}{R + 1}\right)^n, \qquad
    \Delta\Theta_H = \Delta\Theta_{H,R}\, K^{2 m}

each with a time constant of its own. Insulation ages
:math:`F = \exp(15000/383 - 15000/(\Theta_H + 273))` times as fast as at 110 degC.

References
----------
IEEE Std C57.91-1995, Guide for Loading Mineral-Oil-Immersed Transformers, clauses 5 and 7. The
rated case and the table of factors are tests. The constants of `Design` are those of a self-cooled
unit for a mean winding rise of 65 K, as guides take them where the maker says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]

RATED_HOT_SPOT_C = 110.0
"""Hottest spot at the rated load in air of 30 degC, for a mean winding rise of 65 K [degC]."""
_SUBSTEPS = 5
"""Parts of a step over which the ageing is averaged: a winding warms within a few minutes."""


@dataclass(frozen=True)
class Design:
    """Constants of a type of transformer; see the module."""

    oil_rise_k: float = 55.0
    """Rise of the top oil over the air at rated load [K]."""
    winding_rise_k: float = 25.0
    """Rise of the hottest spot over the top oil at rated load [K]."""
    loss_ratio: float = 5.0
    """Load losses at rated load over no-load losses."""
    n: float = 0.8
    m: float = 0.8
    """Exponents of self-cooled units (ONAN)."""
    oil_time_constant_h: float = 3.0
    winding_time_constant_h: float = 0.08


@dataclass(frozen=True)
class LifeTick:
    """What a settlement interval did to the transformers; arrays have shape (transformer,)."""

    hot_spot_c: Floats
    """Hottest spot at the end of the interval [degC]."""
    ageing_factor: Floats
    """Mean speed of ageing over that at 110 degC."""


class TransformerLife:
    """Temperatures of transformers of one design from one interval to the next.

    They begin in equilibrium with the first load that they see.

    Parameters
    ----------
    count
        Number of transformers.
    design
        Their constants.
    """

    def __init__(self, count: int, design: Design | None = None) -> None:
        self._design = design or Design()
        self._oil_k = np.full(count, np.nan)
        self._winding_k = np.full(count, np.nan)

    def advance(self, load_pu: Floats, ambient_c: float, hours: float) -> LifeTick:
        """Let a load act for a time.

        Parameters
        ----------
        load_pu
            Apparent power over rating, shape (transformer,).
        ambient_c
            Temperature of the air [degC].
        hours
            How long [h].

        Raises
        ------
        PowerFlowError
            A load is not a finite number of at least 0.
        """
        bad = np.flatnonzero(~(np.isfinite(load_pu) & (load_pu >= 0)))
        if len(bad):
            raise PowerFlowError(f"load of transformer {int(bad[0])} is {load_pu[bad[0]]}")
        d = self._design
        oil_k = d.oil_rise_k * ((load_pu**2 * d.loss_ratio + 1) / (d.loss_ratio + 1)) ** d.n
        winding_k = d.winding_rise_k * load_pu ** (2 * d.m)
        fresh = np.isnan(self._oil_k)
        self._oil_k = np.where(fresh, oil_k, self._oil_k)
        self._winding_k = np.where(fresh, winding_k, self._winding_k)
        part_h = hours / _SUBSTEPS
        oil_left = np.exp(-part_h / d.oil_time_constant_h)
        winding_left = np.exp(-part_h / d.winding_time_constant_h)
        total = np.zeros_like(oil_k)
        hot_spot_c = total
        for _ in range(_SUBSTEPS):
            self._oil_k = oil_k + (self._oil_k - oil_k) * oil_left
            self._winding_k = winding_k + (self._winding_k - winding_k) * winding_left
            hot_spot_c = ambient_c + self._oil_k + self._winding_k
            total = total + ageing_factor(hot_spot_c)
        return LifeTick(hot_spot_c, total / _SUBSTEPS)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state by name, for a checkpoint."""
        return {"oil_k": self._oil_k.copy(), "winding_k": self._winding_k.copy()}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `arrays`; KeyError if one is missing."""
        self._oil_k, self._winding_k = arrays["oil_k"].copy(), arrays["winding_k"].copy()


def ageing_factor(hot_spot_c: Floats) -> Floats:
    """Speed of ageing over that at 110 degC, equation (2) of the standard."""
    return np.exp(15000 / (RATED_HOT_SPOT_C + 273) - 15000 / (hot_spot_c + 273))
