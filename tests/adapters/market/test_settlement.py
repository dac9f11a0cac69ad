"""Bills, and how prices and the feeder's load reach the market."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.market import bench, doctor
from adapters.market.five_bus import FiveBus
from adapters.market.offers import (
    LEAST_SCALE,
    bus_loads_mw,
    offer_scale,
    reference_price_usd_per_mwh,
)
from adapters.market.settlement import settle
from cosim.errors import MarketError
from networks import markets

DATA = markets.load("pjm5bus")


def test_five_minutes_at_a_price() -> None:
    bill = settle(np.array([12.0, -24.0, 0.0]), 50.0)
    assert bill.billed_kwh.tolist() == [1.0, -2.0, 0.0]
    assert bill.cost_usd == pytest.approx([0.05, -0.10, 0.0])
    assert (bill.total_kwh, bill.total_usd) == (-1.0, pytest.approx(-0.05))


@given(power=st.lists(st.floats(-1000, 1000), max_size=20), price=st.floats(-1e4, 1e4))
def test_costs_are_energy_times_price(power: list[float], price: float) -> None:
    bill = settle(np.array(power), price)
    assert bill.total_usd == pytest.approx(bill.total_kwh * price / 1000, abs=1e-6)


def test_no_bill_without_a_number() -> None:
    with pytest.raises(MarketError, match="vehicle 1"):
        settle(np.array([1.0, np.nan]), 50.0)
    with pytest.raises(MarketError, match="price"):
        settle(np.array([1.0]), np.nan)


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_published_loads_clear_at_the_day_ahead_price(slope: float) -> None:
    market = FiveBus(DATA, 5000.0, slope)
    reference = reference_price_usd_per_mwh(market)
    if slope == 0:
        assert reference == pytest.approx(39.9427, abs=1e-4)
    day_ahead = np.array([8.65, 113.01, 2598.29])
    for price, scale in zip(day_ahead, offer_scale(day_ahead, reference), strict=True):
        assert market.clear(DATA.load_mw, scale).lmp_usd_per_mwh[3] == pytest.approx(price)


def test_negative_prices_are_floored() -> None:
    assert offer_scale(np.array([-12.39, 0.0]), 40.0).tolist() == [LEAST_SCALE, LEAST_SCALE]


def test_feeders_move_the_load_at_d() -> None:
    assert bus_loads_mw(DATA, 3490, 3490, 40).tolist() == DATA.load_mw.tolist()
    moved = bus_loads_mw(DATA, 4490, 3490, 40)
    assert (moved - DATA.load_mw).tolist() == [0, 0, 0, 40, 0]


def test_simulated_feeders_move_it_by_their_mean() -> None:
    one = bus_loads_mw(DATA, 4490, 3490, 40)
    np.testing.assert_allclose(bus_loads_mw(DATA, 3 * 4490, 3490, 40, 3), one)
    np.testing.assert_allclose(
        bus_loads_mw(DATA, 3 * 3490 + 900, 3490, 3, 3) - DATA.load_mw, [0, 0, 0, 0.9, 0]
    )
    with pytest.raises(MarketError, match="feeders of -20000 kW each"):
        bus_loads_mw(DATA, -40_000, 3490, 40, 2)


def test_feeders_that_feed_back_more_than_the_bus_holds() -> None:
    with pytest.raises(MarketError, match=r"bus D.*lower market.feeder_multiplier"):
        bus_loads_mw(DATA, -50_000, 3490, 40)


def test_doctor_and_bench_of_the_market(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = doctor.check()
    assert all(check.ok for check in checks)
    monkeypatch.setattr(bench, "_REPEATS", 5)
    assert all(row.value > 0 for row in bench.bench())
