"""What vehicles are paid for beside energy: demand response and reserve, and who pays it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.market.capacity import Reserves
from adapters.market.demand_response import DemandResponse
from adapters.market.pricing import Clearing, Layout
from adapters.market.settlement import account_ids
from cosim.assets import Assets
from cosim.scenario import Scenario

Floats = NDArray[np.float64]


class Services:
    """Runs both programmes tick by tick.

    Demand response is paid by the other load of the zone whose feeder is asked, reserve by the load
    of all zones, in proportion to what is served there.

    Parameters
    ----------
    scenario
        Its market says what is bought.
    assets
        Static tables of the scenario.
    layout
        The market's zones and what its sellers can give.
    """

    def __init__(self, scenario: Scenario, assets: Assets, layout: Layout) -> None:
        self._layout = layout
        self._accounts = len(account_ids(layout))
        self._feeder = assets.stations.feeder
        self._scarce_below_mw = scenario.market.scarce_below_mw
        self._response = DemandResponse(scenario, len(assets.vehicles.ids))
        self._reserves = Reserves(scenario.market.reserve, scenario.ticks)

    def step(self, tick: int, given: Mapping[str, Any], cleared: Clearing) -> dict[str, Any]:
        """Return the signals of demand response and reserve, events among them.

        Parameters
        ----------
        tick
            Settlement interval.
        given
            Signals that the market reads.
        cleared
            The interval's dispatch.
        """
        station, power_kw = given["vehicle_station"], given["vehicle_power_kw"]
        feeder = np.where(station >= 0, self._feeder[np.maximum(station, 0)], -1)
        reserve_mw = self._reserve_mw(cleared)
        given_mw = self._at_buses_mw(self._reserves.given_kw(power_kw), feeder)
        scarce = self._is_scarce(reserve_mw - given_mw)
        offers = given["vehicle_reserve_usd_per_mw_h"]
        reserve = self._reserves.step(tick, power_kw, given["plug_least_kw"], offers, scarce)
        # What is given as reserve is paid once, and is no demand response too.
        metered_kw = power_kw + reserve.delivered_kw
        response = self._response.step(tick, metered_kw, given["plug_most_kw"], feeder)
        called = self._response.call(tick) if self._is_scarce(reserve_mw) else []
        outlook, announced = self._response.outlook(tick)
        return {
            "reserve_mw": reserve_mw,
            "response_pay_usd_per_mwh": response.pay_usd_per_mwh,
            "response_baseline_kw": response.baseline_kw,
            "response_delivered_kwh": response.delivered_kwh,
            "response_open_kwh": response.open_kwh,
            "response_settled_kwh": response.settled_kwh,
            "response_begin_s": outlook.begin_s,
            "response_end_s": outlook.end_s,
            "response_offer_usd_per_mwh": outlook.pay_usd_per_mwh,
            "vehicle_response_usd": response.vehicle_usd,
            "account_response_usd": self._of_zones(response.paid_usd),
            "reserve_price_usd_per_mw_h": reserve.usd_per_mw_h,
            "vehicle_reserve_kw": reserve.kw,
            "vehicle_reserve_delivered_kw": reserve.delivered_kw,
            "vehicle_reserve_usd": reserve.vehicle_usd,
            "account_reserve_usd": self._of_load(float(reserve.vehicle_usd.sum()), cleared),
            "vehicle_called": reserve.called,
            "vehicle_call_kw": reserve.call_kw,
            "market_events": [*response.happened, *called, *announced, *reserve.happened],
        }

    def _is_scarce(self, reserve_mw: float) -> bool:
        return reserve_mw < self._scarce_below_mw and self._layout.capacity_mw > 0

    def _at_buses_mw(self, power_kw: Floats, feeder: NDArray[np.int64]) -> float:
        """Return what power of vehicles is of the load at the market's buses [MW]."""
        there, weight = feeder >= 0, self._layout.feeder_weight
        return float((power_kw[there] * weight[feeder[there]]).sum()) / 1000

    def _reserve_mw(self, cleared: Clearing) -> float:
        """Return what sellers could give beyond the load; 0 where that has no limit [MW]."""
        capacity_mw = self._layout.capacity_mw
        return capacity_mw - float(cleared.load_mw.sum()) if capacity_mw else 0.0

    def _of_zones(self, feeder_usd: Floats) -> Floats:
        """Return what accounts pay where the load of a feeder's zone does, shape (account,)."""
        paid = np.bincount(self._layout.feeder_zone, feeder_usd, self._accounts)
        return paid.astype(np.float64)

    def _of_load(self, usd: float, cleared: Clearing) -> Floats:
        """Return what accounts pay where all load does, shape (account,)."""
        paid = np.zeros(self._accounts)
        served_mw = np.maximum(cleared.load_mw - cleared.load_shed_mw, 0.0)
        if usd:
            paid[: len(served_mw)] = usd * served_mw / served_mw.sum()
        return paid
