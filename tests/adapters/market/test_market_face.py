"""The market face: every tick clears at the day-ahead price of its own hour."""

from __future__ import annotations

import numpy as np
import pytest

import networks.feeders
import networks.prices
from adapters.market.simulator import Market
from cosim.assets import Assets
from cosim.scenario import Scenario

SCENARIO = Scenario.model_validate({"start": "2022-09-14 15:00", "duration": "8h"})


def test_each_hour_has_its_own_price() -> None:
    market = Market()
    market.prepare(SCENARIO, Assets.of(SCENARIO))
    bus = market.dimensions()["zone"].index("D")
    ticks = [0, 11, 12, 40, SCENARIO.ticks - 1]
    # At the feeder's nominal load the market has its published loads.
    given = {
        "feeder_power_kw": networks.feeders.load(SCENARIO.grid.feeder).load_kw,
        "vehicle_power_kw": np.array([12.0]),
    }
    out = [market.advance(tick, given) for tick in ticks]
    price = np.array([float(o["lmp_usd_per_mwh"][bus]) for o in out])
    day_ahead = networks.prices.day_ahead_usd_per_mwh(
        SCENARIO.market.prices, SCENARIO.start_time, SCENARIO.ticks
    )[ticks]
    assert price == pytest.approx(day_ahead)
    assert np.ptp(price) > 10
    assert price[0] == pytest.approx(price[1])
    # 12 kW for five minutes is a kilowatt-hour.
    cost = np.array([float(o["vehicle_cost_usd"][0]) for o in out])
    assert cost == pytest.approx(day_ahead / 1000)
