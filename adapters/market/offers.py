"""How real prices and the feeder's load reach the five-bus market."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.market.five_bus import FiveBus
from cosim.errors import MarketError
from networks.markets import MarketData

Floats = NDArray[np.float64]
FEEDER_BUS = "D"
"""Market bus that supplies the feeders."""
LEAST_SCALE = 0.01
"""Least factor on the offers.

A day-ahead price can be zero or negative; offers scaled by it would turn the merit order round.
They are floored here, at a price of about 0.4 USD/MWh at bus D.
"""


def reference_price_usd_per_mwh(market: FiveBus) -> float:
    """Price at the feeders' bus for the published loads and unscaled offers [USD/MWh].

    39.9427 in the published case, a little more with an offer slope.
    """
    bus = market.data.bus_ids.index(FEEDER_BUS)
    return float(market.clear(market.data.load_mw).lmp_usd_per_mwh[bus])


def offer_scale(day_ahead_usd_per_mwh: Floats, reference_usd_per_mwh: float) -> Floats:
    """Factor on the offers that makes the published loads clear at the day-ahead price.

    Parameters
    ----------
    day_ahead_usd_per_mwh
        Shape (tick,) [USD/MWh].
    reference_usd_per_mwh
        See `reference_price_usd_per_mwh`.

    Returns
    -------
    ndarray
        Shape (tick,) [1], at least `LEAST_SCALE`.
    """
    return np.maximum(np.asarray(day_ahead_usd_per_mwh) / reference_usd_per_mwh, LEAST_SCALE)


def bus_loads_mw(
    data: MarketData,
    feeder_power_kw: float,
    feeder_nominal_kw: float,
    multiplier: float,
    feeders: int = 1,
) -> Floats:
    """Load at every market bus, shape (bus,) [MW].

    The published load at the feeders' bus is taken to hold `multiplier` feeders at their nominal
    load; those follow the mean of the simulated ones, the rest stays.

    Parameters
    ----------
    data
        Tables of the market.
    feeder_power_kw
        Power of the simulated feeders together [kW].
    feeder_nominal_kw
        Nominal load of one feeder [kW].
    multiplier
        Feeders at the bus, the simulated ones among them.
    feeders
        Number of simulated feeders.

    Raises
    ------
    MarketError
        The feeders feed back more than the bus holds.
    """
    load_mw = data.load_mw.copy()
    bus = data.bus_ids.index(FEEDER_BUS)
    load_mw[bus] += multiplier / feeders * (feeder_power_kw - feeders * feeder_nominal_kw) / 1000
    if load_mw[bus] < 0:
        raise MarketError(
            f"load would be {load_mw[bus]:.1f} MW with {multiplier:g} feeders of "
            f"{feeder_power_kw / feeders:.0f} kW each: lower market.feeder_multiplier",
            where=f"bus {FEEDER_BUS}",
        )
    return load_mw
