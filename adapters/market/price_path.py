"""The prices that a run goes by, before its load has any influence."""

from __future__ import annotations

from dataclasses import replace

import networks.prices
from cosim.scenario import Scenario
from cosim.seeds import stream
from networks.prices import PricePath, tariffs
from networks.prices.real_time import factors

STREAM = "real_time_prices"
"""Random stream of the real-time prices."""


def price_path(scenario: Scenario) -> PricePath:
    """Return the prices that `market.prices` names, in real time where that is on.

    Raises
    ------
    UserError
        They cannot be read or do not cover the run.
    """
    market, ticks = scenario.market, scenario.ticks
    path = networks.prices.path_of(
        market.prices,
        scenario.start_time,
        ticks,
        market.prices_zone,
        market.prices_time_zone,
    )
    if market.real_time == "off":
        return path
    factor = factors(market.real_time_process, ticks, stream(scenario.seed, STREAM))
    about = f"{path.about}; real-time factor drawn, {factor.min():.2f} to {factor.max():.2f}"
    return replace(path, usd_per_mwh=path.usd_per_mwh * factor, about=about)


def tariff_path(scenario: Scenario) -> PricePath:
    """Return the prices of the scenario's tariff."""
    market = scenario.market
    start, ticks = scenario.start_time, scenario.ticks
    if market.periods:
        found = tariffs.usd_per_mwh(market.periods, start, ticks, market.holidays)
        return PricePath(found, "own tariff", "tariff of the scenario")
    tariff = tariffs.load(market.tariff)
    found = tariffs.usd_per_mwh(tariff.periods, start, ticks, tariff.holidays)
    return PricePath(found, tariff.name, tariff.title)
