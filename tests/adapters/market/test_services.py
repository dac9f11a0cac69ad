"""Demand response and reserve in the market's face: calls, who pays, what is not paid twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.market.simulator import Market
from cosim.assets import Assets
from cosim.scenario import Scenario
from tests.adapters.market.test_market_face import NOMINAL_KW, given

# At its published load the market has 530 MW to spare; here and there 40 feeders hang at bus D.
ENOUGH_KW, SCARCE_KW = NOMINAL_KW, NOMINAL_KW + 500.0
COUNT = 4


def market_of(**fields: Any) -> Market:
    scenario = Scenario.model_validate(
        {
            "start": "2022-09-14 15:00",
            "duration": "8h",
            "fleet": {"vehicles": COUNT},
            "market": {"scarce_below_mw": 520} | fields,
        }
    )
    market = Market()
    market.prepare(scenario, Assets.of(scenario))
    return market


def tick(market: Market, number: int, head_kw: float, *power_kw: float) -> dict[str, Any]:
    """Advance by a tick in which two vehicles offer to fall to -10 kW, and all could draw 20."""
    heard = given(head_kw, power_kw, (0,) * COUNT) | {
        "plug_most_kw": np.full(COUNT, 20.0),
        "plug_least_kw": np.full(COUNT, -10.0),
        "vehicle_reserve_usd_per_mw_h": np.array([50.0, 70.0, -1.0, -1.0]),
    }
    out = market.advance(number, heard)
    for name in ("response", "reserve"):
        sides = out[f"vehicle_{name}_usd"].sum() - out[f"account_{name}_usd"].sum()
        assert sides == pytest.approx(0, abs=1e-12)
    return out


def kinds(out: dict[str, Any]) -> list[str]:
    return [event["kind"] for event in out["market_events"]]


def test_reserve_is_called_until_there_would_be_enough_without_it() -> None:
    market = market_of(reserve={"requirement_kw": 15.0})
    quiet = tick(market, 0, ENOUGH_KW, 0, 5, 5, 5)
    assert quiet["reserve_mw"] == pytest.approx(530)
    assert quiet["vehicle_reserve_kw"] == pytest.approx([10, 5, 0, 0])
    assert quiet["reserve_price_usd_per_mw_h"] == 70
    assert not quiet["vehicle_called"].any()
    scarce = tick(market, 1, SCARCE_KW, 0, 5, 5, 5)
    assert scarce["reserve_mw"] == pytest.approx(510)
    assert scarce["vehicle_called"].tolist() == [True, True, False, False]
    assert scarce["vehicle_call_kw"] == pytest.approx([-10, 0, 0, 0])
    assert kinds(scarce) == ["reserve_called"]
    # 15 kW at 40 feeders are 0.6 MW: with 520.5 there would be too little without them.
    enough_kw = NOMINAL_KW + (530 - 520.5) * 1000 / 40
    assert tick(market, 2, enough_kw, -10, 0, 5, 5)["vehicle_called"].any()
    assert not tick(market, 3, enough_kw - 20, -10, 0, 5, 5)["vehicle_called"].any()


def test_reserve_is_paid_by_what_is_served_at_each_bus() -> None:
    market = market_of(reserve={"requirement_kw": 15.0})
    out = tick(market, 0, ENOUGH_KW, 0, 5, 5, 5)
    paid = dict(zip(market.dimensions()["account"], out["account_reserve_usd"], strict=True))
    usd = 15 * 70 / 12 / 1000
    assert paid["load B"] == pytest.approx(0.3 * usd)
    assert paid["load D"] == pytest.approx(0.4 * usd)
    assert sum(paid[name] for name in paid if not name.startswith("load")) == 0


def test_an_event_is_called_and_what_is_given_as_reserve_is_not_in_it() -> None:
    calls = {"per_day": 1, "minutes": 10, "pay_usd_per_mwh": 1000.0}
    market = market_of(demand_response_calls=calls, reserve={"requirement_kw": 10.0})
    out = tick(market, 0, SCARCE_KW, 0, 5, 5, 5)
    assert kinds(out) == ["demand_response_announced", "reserve_called"]
    assert out["response_begin_s"].tolist() == [300]
    assert out["response_offer_usd_per_mwh"].tolist() == [1000]
    # One feeds back 10 kW as reserve, another draws nothing for the event.
    out = tick(market, 1, SCARCE_KW, -10, 5, 0, 5)
    assert out["vehicle_reserve_delivered_kw"] == pytest.approx([10, 0, 0, 0])
    assert out["response_baseline_kw"] == pytest.approx([15])
    assert out["response_delivered_kwh"] == pytest.approx([5 / 12])
    out = tick(market, 2, SCARCE_KW, -10, 5, 0, 5)
    assert out["response_settled_kwh"] == pytest.approx([10 / 12])
    assert out["vehicle_response_usd"].sum() == pytest.approx(10 / 12)
    # All could have drawn up to 20 kW; the one that is called no more than the others.
    assert out["vehicle_response_usd"] == pytest.approx(np.array([20, 15, 20, 15]) / 70 * 10 / 12)
    paid = dict(zip(market.dimensions()["account"], out["account_response_usd"], strict=True))
    assert paid["load D"] == pytest.approx(10 / 12)
    assert kinds(out)[0] == "demand_response"


def test_with_a_tariff_events_are_paid_by_the_load_of_the_feeder() -> None:
    scenario = Scenario.model_validate(
        {
            "duration": "2h",
            "fleet": {"vehicles": COUNT},
            "market": {
                "kind": "series",
                "demand_response": [
                    {"start": "2022-09-14 01:05", "minutes": 5, "pay_usd_per_mwh": 500}
                ],
            },
        }
    )
    market = Market()
    market.prepare(scenario, Assets.of(scenario))
    for number in range(13):
        tick(market, number, 3000.0, 8, 8, 0, 0)
    out = tick(market, 13, 3000.0, 2, 2, 0, 0)
    assert out["reserve_mw"] == 0
    assert out["response_settled_kwh"] == pytest.approx([1.0])
    assert out["account_response_usd"] == pytest.approx([0.5, 0, 0, 0, 0])
