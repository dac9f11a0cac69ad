"""How real prices and the feeders' load reach the five-bus market."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.market.five_bus import FiveBus
from cosim.errors import MarketError
from networks.markets import MarketData

Floats = NDArray[np.float64]
REFERENCE_BUS = "D"
"""Market bus that clears at the given price when every bus carries its published load."""
LEAST_SCALE = 0.01
"""Least factor on the offers.

A day-ahead price can be zero or negative; offers scaled by it would turn the merit order round.
They are floored here, at a price of about 0.4 USD/MWh at bus D.
"""


def reference_price_usd_per_mwh(market: FiveBus) -> float:
    """Price at the reference bus for the published loads and unscaled offers [USD/MWh].

    39.9427 in the published case, a little more with an offer slope.
    """
    bus = market.data.bus_ids.index(REFERENCE_BUS)
    return float(market.clear(market.data.load_mw).lmp_usd_per_mwh[bus])


def offer_scale(price_usd_per_mwh: Floats, market: FiveBus) -> Floats:
    """Factor on the offers that makes the published loads clear at the given price.

    Parameters
    ----------
    price_usd_per_mwh
        Shape (tick,) [USD/MWh].
    market
        The market; no offer is scaled beyond its value of lost load.

    Returns
    -------
    ndarray
        Shape (tick,) [1], at least `LEAST_SCALE`.
    """
    scale = np.asarray(price_usd_per_mwh) / reference_price_usd_per_mwh(market)
    return np.clip(scale, LEAST_SCALE, market.most_scale)


class Attachment:
    """Feeders at the buses of the market.

    The published load of a bus with feeders is taken to hold `multiplier` of them at their nominal
    load; those follow the mean of the simulated ones there, the rest stays.

    Parameters
    ----------
    data
        Tables of the market.
    feeder_bus
        Bus of each simulated feeder, shape (feeder,).
    nominal_kw
        Nominal load of one feeder [kW].
    multiplier
        Feeders at each of their buses, the simulated ones among them.
    """

    def __init__(
        self, data: MarketData, feeder_bus: tuple[str, ...], nominal_kw: float, multiplier: float
    ) -> None:
        self._data, self._nominal_kw = data, nominal_kw
        self.bus = np.array([data.bus_ids.index(bus) for bus in feeder_bus], dtype=np.int64)
        self.weight: Floats = multiplier / np.bincount(self.bus)[self.bus]
        """Change of the bus's load over that of each simulated feeder, shape (feeder,) [1]."""

    def at_buses(self, head_kw: Floats) -> Floats:
        """Return what all feeders at each bus draw, those not simulated too [MW or Mvar].

        Parameters
        ----------
        head_kw
            At the head of each simulated feeder, shape (feeder,) [kW or kvar].
        """
        drawn = np.bincount(self.bus, self.weight * head_kw / 1000, len(self._data.bus_ids))
        return drawn.astype(np.float64)

    def loads_mw(self, head_kw: Floats) -> Floats:
        """Load at every market bus, shape (bus,) [MW].

        Parameters
        ----------
        head_kw
            Power at the head of each simulated feeder, shape (feeder,) [kW].

        Raises
        ------
        MarketError
            The feeders feed back more than their bus holds.
        """
        data = self._data
        load_mw = data.load_mw + self.at_buses(head_kw - self._nominal_kw)
        if (load_mw < 0).any():
            bus = int(np.argmax(load_mw < 0))
            here = self.bus == bus
            raise MarketError(
                f"load would be {load_mw[bus]:.1f} MW with "
                f"{self.weight[here].sum():g} feeders of {head_kw[here].mean():.0f} kW each: "
                "lower market.feeder_multiplier",
                where=f"bus {data.bus_ids[bus]}",
            )
        return load_mw
