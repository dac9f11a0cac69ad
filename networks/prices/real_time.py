r"""Five-minute real-time prices around the day-ahead price, as a random factor.

Notes
-----
The logarithm of real-time over day-ahead price is a mean-reverting Gaussian process with spikes,

.. math::

    f_k = \exp(x_k - \sigma^2/2 + J_k) / m,\qquad
    x_{k+1} = \varphi x_k + \sigma\sqrt{1 - \varphi^2}\,\varepsilon_k,\qquad
    \varphi = 2^{-1/(12 h)}

with half-life :math:`h` in hours. Spikes come and go like a two-state Markov chain with the mean
durations of a spike and of the time between; each has a height :math:`J` with an exponential
distribution of mean :math:`\mu`, 0 between spikes. With the share of time :math:`p` in spikes the
mean of :math:`\exp J` is :math:`m = 1 - p + p/(1 - \mu)`, so that the factor has mean 1: real time
is on average no dearer than day ahead. The form is the mean-reverting jump diffusion that is usual
for electricity prices, with spikes that last instead of jumps that decay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.signal import lfilter

from cosim.section import Section

TICKS_PER_HOUR = 12


class RealTime(Section):
    """Parameters of the process; the defaults are fitted to ERCOT's Houston zone."""

    together = ("spikes_per_day", "spike_h")

    spread: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.26, description="standard deviation of the log ratio to day ahead between spikes"
    )
    half_life_h: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=2.5, description="time in which half of a deviation is gone [h]"
    )
    spikes_per_day: Annotated[float, Field(ge=0, le=100)] = Field(
        default=1.1, description="mean number of spikes a day"
    )
    spike_h: Annotated[float, Field(ge=1 / TICKS_PER_HOUR, le=100)] = Field(
        default=2.0, description="mean duration of a spike [h]"
    )
    spike_log_size: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.58, description="mean height of a spike in the log ratio"
    )

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        per_day, hours = numbers.values()
        most = 24 / per_day if per_day > 0 else np.inf
        least_gap_h = 1 / TICKS_PER_HOUR
        fits = hours + least_gap_h <= most
        return "" if fits else "spikes_per_day times spike_h must leave time between spikes in 24 h"

    @property
    def spike_share(self) -> float:
        """Share of time in spikes."""
        return self.spikes_per_day * self.spike_h / 24


def factors(process: RealTime, ticks: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the factor on the day-ahead price for every tick of a run at once.

    Parameters
    ----------
    process
        Parameters of the process.
    ticks
        Intervals of 5 minutes.
    rng
        Random generator.

    Returns
    -------
    ndarray
        Shape (ticks,) [1], above 0. A longer run begins with the same values only by chance.
    """
    keep = 2 ** (-1 / (TICKS_PER_HOUR * process.half_life_h))
    shocks = process.spread * rng.standard_normal(ticks)
    # The first value is drawn from the long run, so no part of the run is special.
    shocks[1:] *= np.sqrt(1 - keep**2)
    deviation = np.asarray(lfilter([1.0], [1.0, -keep], shocks), dtype=np.float64)
    p, size = process.spike_share, process.spike_log_size
    mean = np.exp(process.spread**2 / 2) * (1 - p + p / (1 - size))
    return np.exp(deviation + _spikes(process, ticks, rng)) / mean


def _spikes(process: RealTime, ticks: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Heights of the spikes, 0 between them, shape (ticks,)."""
    if not process.spikes_per_day:
        return np.zeros(ticks)
    spike_ticks = TICKS_PER_HOUR * process.spike_h
    gap_ticks = TICKS_PER_HOUR * (24 / process.spikes_per_day - process.spike_h)
    # Every stay lasts a tick or more, so these are enough.
    pairs = ticks // 2 + 1
    stays = np.empty((pairs, 2), dtype=np.int64)
    stays[:, 0] = rng.geometric(1 / spike_ticks, pairs)
    stays[:, 1] = rng.geometric(1 / gap_ticks, pairs)
    heights = np.zeros((pairs, 2))
    heights[:, 0] = rng.exponential(process.spike_log_size, pairs)
    # The chain begins in either state; a stay's rest is as long as a whole one.
    first = 0 if rng.random() < process.spike_share else 1
    ends = np.cumsum(stays.ravel()[first:])
    inside = int(np.searchsorted(ends, ticks)) + 1
    return np.repeat(heights.ravel()[first:][:inside], stays.ravel()[first:][:inside])[:ticks]
