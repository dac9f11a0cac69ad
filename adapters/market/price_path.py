"""The prices that a run goes by, before its load has any influence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import networks.prices
from cosim.scenario import Scenario


@dataclass(frozen=True)
class PricePath:
    """Price of every tick of a run."""

    usd_per_mwh: NDArray[np.float64]
    """Shape (tick,) [USD/MWh]."""
    about: str = ""
    """Where they come from."""


def price_path(scenario: Scenario) -> PricePath:
    """Return the prices that `market.prices` names.

    Raises
    ------
    UserError
        They do not cover the run.
    """
    name = scenario.market.prices
    found = networks.prices.day_ahead_usd_per_mwh(name, scenario.start_time, scenario.ticks)
    return PricePath(found, f"{name}, ERCOT day-ahead, hourly")
