"""Kind ``five_bus``: feeders as part of the load of a wholesale market with a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import networks.feeders
import networks.markets
from adapters.market.five_bus import FiveBus
from adapters.market.offers import Attachment, offer_scale
from adapters.market.price_path import price_path
from adapters.market.pricing import Clearing, Layout
from adapters.market.settlement import OPERATOR
from adapters.market.transmission import Transmission
from cosim.scenario import Scenario

Floats = NDArray[np.float64]
MARKET = "pjm5bus"
NOMINAL_LOADING = 0.63
"""Nominal active load of the feeders over the rating of the transformer to them: 70 % at a power
factor of 0.9."""


class Wholesale:
    """Clears the five buses with the feeders' load at offers that follow real prices."""

    def __init__(self, scenario: Scenario) -> None:
        chosen = scenario.market
        market = FiveBus(
            networks.markets.load(MARKET),
            chosen.value_of_lost_load_usd_per_mwh,
            chosen.offer_slope_usd_per_mwh_per_mw,
        )
        prices = price_path(scenario)
        nominal_kw = networks.feeders.load_kw(scenario.grid.feeder)
        buses = chosen.feeder_bus
        at = buses if len(buses) > 1 else buses * scenario.grid.feeders
        self._market, self._data = market, market.data
        self._attachment = Attachment(market.data, at, nominal_kw, chosen.feeder_multiplier)
        self._scale = offer_scale(prices.usd_per_mwh, market)
        rating_mva = self._attachment.at_buses(np.full(len(at), nominal_kw)) / NOMINAL_LOADING
        self._transmission = Transmission(market.data, rating_mva)
        self.layout = Layout(
            zone_ids=market.data.bus_ids,
            generator_ids=market.data.generator_ids,
            generator_zone=market.data.generator_bus,
            line_ids=market.data.line_ids,
            line_limit_mw=market.data.line_limit_mw,
            bus_ids=market.data.bus_ids,
            feeder_zone=self._attachment.bus,
            feeder_weight=self._attachment.weight,
            billed_by=(OPERATOR,) * len(market.data.bus_ids),
            capacity_mw=float(market.data.generator_limit_mw.sum()),
            prices_losses=True,
            opening_usd_per_mwh=float(prices.usd_per_mwh[0]),
            about=prices.about,
        )

    def clear(self, tick: int, head_kw: Floats, head_kvar: Floats) -> Clearing:
        """Clear one settlement interval and let the lines carry it; see `FiveBus.clear`."""
        load_mw = self._attachment.loads_mw(head_kw)
        cleared = self._market.clear(load_mw, float(self._scale[tick]))
        carried = self._transmission.solve(
            load_mw - cleared.load_shed_mw,
            self._attachment.at_buses(head_kw),
            self._attachment.at_buses(head_kvar),
            cleared.generator_mw,
        )
        return replace(cleared, carried=carried)

    def close(self) -> None:
        """Empty the engine of the network."""
        self._transmission.close()
