"""Whether the market works here: the published case."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np

import networks.markets
from adapters.market.five_bus import FiveBus
from cosim.errors import MarketError
from cosim.health import Check

PUBLISHED_USD_PER_MWH = (16.9774, 26.3845, 30.0, 39.9427, 10.0)
"""Prices of the PJM 5-bus system at its published loads (MATPOWER ``case5``)."""


def check() -> list[Check]:
    """Clear the published case and compare its prices."""
    engine: Any = highspy.Highs()
    version = Check("HiGHS", True, f"version {engine.version()}")
    data = networks.markets.load("pjm5bus")
    try:
        found = FiveBus(data).clear(data.load_mw).lmp_usd_per_mwh
    except MarketError as error:
        return [version, Check("five-bus prices", False, str(error))]
    worst = float(np.abs(found - PUBLISHED_USD_PER_MWH).max())
    return [
        version,
        Check(
            "five-bus prices",
            bool(worst < 1e-4),
            f"{np.round(found, 4).tolist()} USD/MWh, {worst:.1e} from the published ones",
        ),
    ]
