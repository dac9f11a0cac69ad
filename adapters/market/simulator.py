"""The mosaik face of the market: role ``market``, kind ``five_bus``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

import networks.feeders
import networks.markets
import networks.prices
from adapters.market.five_bus import FiveBus
from adapters.market.offers import (
    FEEDER_BUS,
    bus_loads_mw,
    offer_scale,
    reference_price_usd_per_mwh,
)
from adapters.market.settlement import settle
from cosim.assets import Assets
from cosim.errors import MarketError
from cosim.scenario import Scenario
from cosim.signals import TICK_S, Role
from cosim.simulator import Simulator

MARKET = "pjm5bus"
_NO_SHEDDING_MW = 1e-6


class Market(Simulator):
    """Clears the wholesale market with the feeders' load and bills every vehicle at bus D."""

    role: ClassVar[Role] = "market"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Build the market and scale its offers to the day-ahead prices of the run."""
        del assets
        chosen = scenario.market
        self._market = FiveBus(
            networks.markets.load(MARKET),
            chosen.value_of_lost_load_usd_per_mwh,
            chosen.offer_slope_usd_per_mwh_per_mw,
        )
        day_ahead = networks.prices.day_ahead_usd_per_mwh(
            chosen.prices, scenario.start_time, scenario.ticks
        )
        self._scale = offer_scale(day_ahead, reference_price_usd_per_mwh(self._market))
        self._nominal_kw = networks.feeders.load_kw(scenario.grid.feeder)
        self._multiplier = chosen.feeder_multiplier
        self._feeders = scenario.grid.feeders
        self._bus = self._market.data.bus_ids.index(FEEDER_BUS)

    def dimensions(self) -> dict[str, list[str]]:
        """Buses, generators and lines of the market."""
        data = self._market.data
        return {
            "zone": list(data.bus_ids),
            "generator": list(data.generator_ids),
            "market_line": list(data.line_ids),
        }

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """At which bus each generator stands."""
        data = self._market.data
        return {"generator_zone": ("generator", [data.bus_ids[i] for i in data.generator_bus])}

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Clear and settle one settlement interval."""
        try:
            load_mw = bus_loads_mw(
                self._market.data,
                float(given["feeder_power_kw"]),
                self._nominal_kw,
                self._multiplier,
                self._feeders,
            )
            cleared = self._market.clear(load_mw, float(self._scale[tick]))
            bill = settle(given["vehicle_power_kw"], float(cleared.lmp_usd_per_mwh[self._bus]))
        except MarketError as error:
            raise MarketError(error.reason, where=error.where, tick=tick) from error
        return {
            "lmp_usd_per_mwh": cleared.lmp_usd_per_mwh,
            "bus_load_mw": load_mw,
            "load_shed_mw": cleared.load_shed_mw,
            "generator_mw": cleared.generator_mw,
            "market_line_flow_mw": cleared.line_flow_mw,
            "market_line_shadow_usd_per_mwh": cleared.line_shadow_usd_per_mwh,
            "congestion_rent_usd": cleared.congestion_rent_usd,
            "vehicle_billed_kwh": bill.billed_kwh,
            "vehicle_cost_usd": bill.cost_usd,
            "market_events": [
                {
                    "time_s": float(tick * TICK_S),
                    "kind": "load_shed",
                    "place": self._market.data.bus_ids[bus],
                    "value": float(cleared.load_shed_mw[bus]),
                    "limit": 0.0,
                    "start_s": float(tick * TICK_S),
                    "detail": "MW not served in this interval",
                }
                for bus in np.flatnonzero(cleared.load_shed_mw > _NO_SHEDDING_MW)
            ],
        }
