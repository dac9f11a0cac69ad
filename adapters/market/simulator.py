"""The mosaik face of every kind of market: it prices the interval and bills every vehicle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.market.pricing import Clearing, Pricing
from adapters.market.retail import quadratic, series, time_of_use
from adapters.market.services import Services
from adapters.market.settlement import account_ids, book, counterparties, settle
from adapters.market.wholesale import Wholesale
from cosim.assets import Assets
from cosim.errors import MarketError
from cosim.scenario import Scenario
from cosim.signals import TICK_S, Role
from cosim.simulator import Simulator

KINDS: Mapping[str, Callable[[Scenario], Pricing]] = MappingProxyType(
    {"five_bus": Wholesale, "quadratic": quadratic, "series": series, "time_of_use": time_of_use}
)
"""What prices the energy, by kind."""
LIMIT_KINDS = ("transformer", "line", "voltage")
"""Kinds of limits that a feeder's prices have parts for."""
_NO_SHEDDING_MW = 1e-6


class Market(Simulator):
    """Prices the interval and bills every vehicle at the price of its station."""

    role: ClassVar[Role] = "market"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Build the pricing that the scenario's kind names."""
        self._pricing = KINDS[scenario.market.kind](scenario)
        self._layout = self._pricing.layout
        self._station_zone = self._layout.feeder_zone[assets.stations.feeder]
        self._services = Services(scenario, assets, self._layout)

    def dimensions(self) -> dict[str, list[str]]:
        """Zones, sellers, lines and parties of the market."""
        layout = self._layout
        return {
            "zone": list(layout.zone_ids),
            "generator": list(layout.generator_ids),
            "market_line": list(layout.line_ids),
            "transmission_bus": list(layout.bus_ids),
            "account": list(account_ids(layout)),
        }

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """Where generators and feeders stand, and who settles with whom."""
        layout = self._layout
        zones = layout.zone_ids
        return {
            "generator_zone": ("generator", [zones[i] for i in layout.generator_zone]),
            "market_line_limit_mw": ("market_line", layout.line_limit_mw.tolist()),
            "feeder_zone": ("feeder", [zones[i] for i in layout.feeder_zone]),
            "feeder_weight": ("feeder", layout.feeder_weight.tolist()),
            "station_billed_by": ("station", [layout.billed_by[i] for i in self._station_zone]),
            "zone_prices_losses": ("zone", [layout.prices_losses] * len(zones)),
            "account_counterparty": ("account", list(counterparties(layout))),
        }

    def initial(self) -> dict[str, Any]:
        """Price at the feeders' heads that bids are cleared at before the first tick."""
        layout = self._layout
        opening = np.full(len(layout.feeder_zone), layout.opening_usd_per_mwh)
        return {"feeder_lmp_usd_per_mwh": opening}

    def about(self) -> dict[str, str]:
        """Return what is worth knowing of the prices."""
        return {"prices": self._layout.about} if self._layout.about else {}

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Price and settle one settlement interval."""
        station = given["vehicle_station"]
        try:
            heads = given["feeder_head_kw"], given["feeder_head_kvar"]
            cleared = self._pricing.clear(tick, *heads)
            energy = cleared.lmp_usd_per_mwh[self._station_zone]
            loss = energy * given["station_marginal_loss"] * self._layout.prices_losses
            limits = _sum_of(given, "station", LIMIT_KINDS)
            price = energy + loss + limits
            bill = settle(given["vehicle_power_kw"], station, price, limits)
        except MarketError as error:
            raise MarketError(error.reason, where=error.where, tick=tick) from error
        vehicle_zone = np.where(station >= 0, self._station_zone[np.maximum(station, 0)], -1)
        at_bus = self._layout.feeder_zone[given["bus_feeder"]]
        bus_energy = cleared.lmp_usd_per_mwh[at_bus]
        bus_loss = bus_energy * given["bus_marginal_loss"] * self._layout.prices_losses
        congestion = _sum_of(given, "dlmp", ("transformer", "line"))
        bus_limits = congestion + given["dlmp_voltage_usd_per_mwh"]
        booking = book(self._layout, cleared, bill, vehicle_zone)
        services = self._services.step(tick, given, cleared)
        return services | {
            "lmp_usd_per_mwh": cleared.lmp_usd_per_mwh,
            "feeder_lmp_usd_per_mwh": cleared.lmp_usd_per_mwh[self._layout.feeder_zone],
            "station_price_usd_per_mwh": price,
            "station_loss_usd_per_mwh": loss,
            "dlmp_usd_per_mwh": bus_energy + bus_loss + bus_limits,
            "dlmp_energy_usd_per_mwh": bus_energy,
            "dlmp_loss_usd_per_mwh": bus_loss,
            "dlmp_congestion_usd_per_mwh": congestion,
            "bus_load_mw": cleared.load_mw,
            "load_shed_mw": cleared.load_shed_mw,
            "generator_mw": cleared.generator_mw,
            "market_line_flow_mw": cleared.line_flow_mw,
            "market_line_shadow_usd_per_mwh": cleared.line_shadow_usd_per_mwh,
            "market_line_ac_mw": cleared.carried.line_mw,
            "market_line_ac_mva": cleared.carried.line_mva,
            "transmission_voltage_pu": cleared.carried.voltage_pu,
            "substation_voltage_pu": cleared.carried.feeder_voltage_pu,
            "transmission_losses_mw": cleared.carried.losses_mw,
            "congestion_rent_usd": cleared.congestion_rent_usd,
            "vehicle_billed_kwh": bill.billed_kwh,
            "vehicle_cost_usd": bill.cost_usd,
            "vehicle_limits_usd": bill.limits_usd,
            "account_kwh": booking.energy_kwh,
            "account_usd": booking.paid_usd,
            "market_events": self._shedding(tick, cleared) + services["market_events"],
        }

    def close(self) -> None:
        """Empty the engine of the network, if there is one."""
        if hasattr(self, "_pricing"):
            self._pricing.close()

    def _shedding(self, tick: int, cleared: Clearing) -> list[dict[str, Any]]:
        start_s = float(tick * TICK_S)
        return [
            {
                "time_s": start_s,
                "kind": "load_shed",
                "place": self._layout.zone_ids[zone],
                "value": float(cleared.load_shed_mw[zone]),
                "limit": 0.0,
                "start_s": start_s,
                "detail": "MW not served in this interval",
            }
            for zone in np.flatnonzero(cleared.load_shed_mw > _NO_SHEDDING_MW)
        ]


def _sum_of(given: Mapping[str, Any], of: str, kinds: Sequence[str]) -> NDArray[np.float64]:
    """Return the sum of the parts of prices for some kinds of limits [USD/MWh]."""
    return np.sum([given[f"{of}_{kind}_usd_per_mwh"] for kind in kinds], axis=0)
