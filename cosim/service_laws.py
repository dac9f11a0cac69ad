"""The laws of what vehicles are paid for beside energy: demand response and reserve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.checking import Breach, Checker
from cosim.laws import BATTERY_LIMIT_REL, MONEY_USD, Before, Plates, behind_losses_kw
from cosim.scenario import Scenario
from cosim.signals import TICK_HOURS

Floats = NDArray[np.float64]
Signals = Mapping[str, Any]
FULL_REL = 1e-6
"""A station or site this near to its limit is at it."""


@dataclass(frozen=True)
class Terms:
    """What the scenario says of both."""

    reserve_soc: float
    sustained_h: float
    demand_kw: float
    """Most reserve that is bought."""
    scarce_below_mw: float

    @classmethod
    def of(cls, scenario: Scenario) -> Terms:
        """Return the terms of a scenario."""
        reserve = scenario.market.reserve
        return cls(
            scenario.rules.reserve_soc,
            reserve.sustained_minutes / 60,
            reserve.requirement_kw + reserve.extended_kw,
            scenario.market.scarce_below_mw,
        )


def response(check: Checker, s: Signals, plates: Plates, before: Before) -> Iterator[Breach]:
    """Demand response: what is delivered, settled and paid."""
    # What is given as reserve is no demand response too.
    power = s["vehicle_power_kw"] + s["vehicle_reserve_delivered_kw"]
    at = s["vehicle_station"]
    event = s["response_pay_usd_per_mwh"] > 0
    plugged = at >= 0
    feeder = plates.stations.feeder[at[plugged]]
    load_kw = np.bincount(feeder, power[plugged], len(event))
    held_kw = np.maximum(s["plug_most_kw"] - power, 0.0)[plugged]
    less_kw = s["response_baseline_kw"] - load_kw
    less_kw = np.minimum(less_kw, np.bincount(feeder, held_kw, len(event)))
    law = "response delivered = baseline less load, or all that is held back"
    expected = np.where(event, less_kw * TICK_HOURS, 0.0)
    yield from check.equal(law, "feeder", s["response_delivered_kwh"], expected, "kWh")
    law = "response delivered so far = settled and still open"
    known = expected + (0.0 if before.response_open_kwh is None else before.response_open_kwh)
    found = s["response_settled_kwh"] + s["response_open_kwh"]
    yield from check.equal(law, "feeder", found, known, "kWh")
    pay = s["response_pay_usd_per_mwh"] * np.maximum(s["response_settled_kwh"], 0.0) / 1000
    law = "pay for response = what is settled at the pay of its event"
    yield from check.equal_sum(law, s["vehicle_response_usd"], pay, "USD", MONEY_USD)
    law = "response is paid by the load of its feeder's zone"
    paid = np.bincount(plates.feeder_zone, pay, len(s["account_response_usd"]))
    yield from check.equal(law, "account", s["account_response_usd"], paid, "USD", MONEY_USD)


def reserve(
    check: Checker, s: Signals, plates: Plates, before: Before, terms: Terms
) -> Iterator[Breach]:
    """Reserve: that it is there, that it is called only when scarce, what is paid."""
    power, held_kw = s["vehicle_power_kw"], s["vehicle_reserve_kw"]
    asked = np.zeros(len(power), bool) if before.called is None else before.called
    yield from _available(check, s, plates, before, terms, np.where(asked, 0.0, held_kw))
    law = "reserve bought within what is asked for"
    bought_kw = float(held_kw.sum())
    yield from check.equal_sum(law, bought_kw, min(bought_kw, terms.demand_kw), "kW")
    law = "reserve is called only when scarce without it"
    at = s["vehicle_station"]
    weight = plates.feeder_weight[plates.stations.feeder[np.maximum(at, 0)]]
    given_mw = float((s["vehicle_reserve_delivered_kw"] * weight)[at >= 0].sum()) / 1000
    least_mw = np.where(s["vehicle_called"], s["reserve_mw"] - given_mw, -np.inf)
    most_mw = np.full(len(power), terms.scarce_below_mw)
    yield from check.at_most(law, "vehicle", least_mw, most_mw, "MW")
    if before.call_kw is not None:
        law = "a called vehicle is asked to come down"
        most_kw = np.maximum(before.call_kw, s["plug_least_kw"])
        # Where others feed back too, station and site share what they can carry.
        full = _full(s["plug_power_kw"], at, plates, before)
        asked_kw = np.where(asked & ~full, s["plug_power_kw"], -np.inf)
        yield from check.at_most(law, "vehicle", asked_kw, most_kw, "kW")
    law = "pay for reserve = what is held, or given when called, at its price"
    good_kw = np.where(asked, np.minimum(held_kw, s["vehicle_reserve_delivered_kw"]), held_kw)
    pay = good_kw * s["reserve_price_usd_per_mw_h"] * TICK_HOURS / 1000
    yield from check.equal(law, "vehicle", s["vehicle_reserve_usd"], pay, "USD", MONEY_USD)
    law = "reserve is paid by all load, by what is served"
    served = np.maximum(s["bus_load_mw"] - s["load_shed_mw"], 0.0)
    share = np.zeros(len(s["account_reserve_usd"]))
    share[: len(served)] = served / max(float(served.sum()), 1e-9)
    paid = share * float(s["vehicle_reserve_usd"].sum())
    yield from check.equal(law, "account", s["account_reserve_usd"], paid, "USD", MONEY_USD)


def _full(
    plug_kw: Floats, at: NDArray[np.int32], plates: Plates, before: Before
) -> NDArray[np.bool_]:
    """Whether the station of each vehicle, or its site, feeds back all that it can carry."""
    stations, plugged = plates.stations, at >= 0
    fed_kw = np.bincount(at[plugged], -np.minimum(plug_kw[plugged], 0.0), len(plates.rating_kw))
    most_kw = plates.rating_kw * (1 - before.feed_withheld)
    full = fed_kw >= most_kw * (1 - FULL_REL)
    site_kw = stations.site_power_kw(fed_kw.astype(np.float64))
    full |= (site_kw >= stations.site_kw * (1 - FULL_REL))[stations.site]
    return plugged & full[np.maximum(at, 0)]


def _available(
    check: Checker, s: Signals, plates: Plates, before: Before, terms: Terms, held_kw: Floats
) -> Iterator[Breach]:
    """Whether port, vehicle and battery could give what is held, for as long as is asked."""
    at, low_kw = s["vehicle_station"], s["vehicle_power_kw"] - held_kw
    law = "reserve within port and vehicle"
    feeds_kw = np.where(held_kw > 0, -low_kw, 0.0)
    yield from check.at_most(law, "vehicle", feeds_kw, -plates.least_kw(at), "kW")
    # What is fed back is more at the pack's terminals.
    fed_kw = -behind_losses_kw(np.minimum(low_kw, 0.0), plates.efficiency(at))
    fed_kw = np.where(held_kw > 0, fed_kw, 0.0)
    if before.discharge_limit_kw is not None:
        law = "reserve within the battery's limit"
        limit_kw = before.discharge_limit_kw
        yield from check.at_most(law, "vehicle", fed_kw, limit_kw, "kW", BATTERY_LIMIT_REL)
    law = "reserve lasts as long as it must above the battery's reserve"
    above_kwh = np.maximum(before.soc - terms.reserve_soc, 0.0) * plates.battery_kwh
    above_kwh = above_kwh * s["vehicle_soh"]
    yield from check.at_most(law, "vehicle", fed_kw * terms.sustained_h, above_kwh, "kWh")
