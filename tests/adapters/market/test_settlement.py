"""Bills, and how prices and the feeder's load reach the market."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapters.market import bench, doctor
from adapters.market.five_bus import FiveBus
from adapters.market.offers import (
    LEAST_SCALE,
    Attachment,
    offer_scale,
    reference_price_usd_per_mwh,
)
from adapters.market.pricing import Clearing, Layout
from adapters.market.settlement import account_ids, book, counterparties, settle
from cosim.errors import MarketError
from cosim.signals import TICK_HOURS
from networks import markets

DATA = markets.load("pjm5bus")


STATIONS = np.array([0, 1, -1], dtype=np.int32)


def test_five_minutes_at_the_price_of_the_station() -> None:
    bill = settle(
        np.array([12.0, -24.0, 0.0]), STATIONS, np.array([50.0, 80.0]), np.array([5.0, 20.0])
    )
    assert bill.billed_kwh.tolist() == [1.0, -2.0, 0.0]
    assert bill.cost_usd == pytest.approx([0.05, -0.16, 0.0])
    assert bill.limits_usd == pytest.approx([0.005, -0.04, 0.0])


@pytest.mark.parametrize(
    ("power", "price", "message"),
    [
        ([1.0, np.nan, 0.0], [50.0, 50.0], "vehicle 1"),
        ([1.0, 1.0, 1.0], [50.0, 50.0], "vehicle 2.*without a station"),
        ([1.0, 1.0, 0.0], [50.0, np.nan], "station 1"),
    ],
)
def test_no_bill_without_a_number(power: list[float], price: list[float], message: str) -> None:
    with pytest.raises(MarketError, match=message):
        settle(np.array(power), STATIONS, np.array(price), np.zeros(2))


LAYOUT = Layout(
    zone_ids=("north", "south"),
    generator_ids=("wind", "gas"),
    generator_zone=np.array([0, 1]),
    line_ids=("north-south",),
    line_limit_mw=np.array([100.0]),
    bus_ids=("north", "south"),
    feeder_zone=np.array([1]),
    feeder_weight=np.ones(1),
    billed_by=("operator", "gas"),
)


def test_parties_and_whom_they_settle_with() -> None:
    assert account_ids(LAYOUT) == (
        "load north",
        "load south",
        "wind",
        "gas",
        "operator",
        "feeders",
        "limits",
    )
    assert counterparties(LAYOUT) == (
        "operator",
        "gas",
        "operator",
        "customers",
        "market",
        "operator",
        "operator",
    )


@given(
    power=st.lists(st.floats(-50, 50), min_size=4, max_size=4),
    load=st.floats(1, 500),
    price=st.tuples(st.floats(-100, 5000), st.floats(-100, 5000)),
    shed=st.floats(0, 1),
    limits=st.tuples(st.floats(-100, 10_000), st.floats(-100, 10_000)),
)
def test_all_payments_sum_to_zero(
    power: list[float],
    load: float,
    price: tuple[float, float],
    shed: float,
    limits: tuple[float, float],
) -> None:
    vehicle_zone = np.array([0, 1, 1, 0])
    held = np.array(limits)
    bill = settle(np.array(power), vehicle_zone, np.array(price) + held, held)
    # All load is in the south, half of it comes over the line.
    served = load * (1 - shed)
    cleared = Clearing(
        lmp_usd_per_mwh=np.array(price),
        load_mw=np.array([0.0, load]),
        load_shed_mw=np.array([0.0, load * shed]),
        generator_mw=np.array([served / 2, served / 2]),
        line_flow_mw=np.array([served / 2]),
        line_shadow_usd_per_mwh=np.array([abs(price[1] - price[0])]),
        congestion_rent_usd=served / 2 * (price[1] - price[0]) * TICK_HOURS,
    )
    booking = book(LAYOUT, cleared, bill, vehicle_zone)
    total = bill.cost_usd.sum() + booking.paid_usd.sum()
    assert total == pytest.approx(0, abs=1e-9 * max(1.0, load * max(map(abs, price + limits))))
    paid = dict(zip(account_ids(LAYOUT), booking.paid_usd, strict=True))
    expected = power @ held[vehicle_zone] * TICK_HOURS / 1000
    assert paid["limits"] == pytest.approx(-expected, abs=1e-9)
    assert paid["feeders"] == pytest.approx(0, abs=1e-9 * max(map(abs, price + limits)))
    drawn = bill.billed_kwh.sum() + booking.energy_kwh.sum()
    assert drawn == pytest.approx(0, abs=1e-9 * load * 1000)


def test_at_the_price_of_the_zone_feeders_keep_nothing_to_the_last_bit() -> None:
    power_kw = np.random.default_rng(3).uniform(-7, 11, 500)
    vehicle_zone, price, held = np.arange(500) % 2, np.array([180.3, 97.1]), np.zeros(2)
    bill = settle(power_kw, vehicle_zone, price, held)
    cleared = Clearing(
        lmp_usd_per_mwh=price,
        load_mw=np.array([0.0, 3.0]),
        load_shed_mw=np.zeros(2),
        generator_mw=np.array([1.0, 2.0]),
        line_flow_mw=np.ones(1),
        line_shadow_usd_per_mwh=np.zeros(1),
        congestion_rent_usd=0.0,
    )
    booking = book(LAYOUT, cleared, bill, vehicle_zone)
    assert dict(zip(account_ids(LAYOUT), booking.paid_usd, strict=True))["feeders"] == 0


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_published_loads_clear_at_the_day_ahead_price(slope: float) -> None:
    market = FiveBus(DATA, 5000.0, slope)
    reference = reference_price_usd_per_mwh(market)
    if slope == 0:
        assert reference == pytest.approx(39.9427, abs=1e-4)
    day_ahead = np.array([8.65, 113.01, 2598.29])
    for price, scale in zip(day_ahead, offer_scale(day_ahead, market), strict=True):
        assert market.clear(DATA.load_mw, scale).lmp_usd_per_mwh[3] == pytest.approx(price)


def test_offers_are_floored_and_capped() -> None:
    market = FiveBus(DATA, 5000.0)
    scale = offer_scale(np.array([-12.39, 0.0, 9000.0]), market)
    assert scale.tolist() == pytest.approx([LEAST_SCALE, LEAST_SCALE, 0.999 * 5000 / 40])
    cleared = market.clear(DATA.load_mw, float(scale[-1]))
    assert cleared.load_shed_mw.sum() == 0
    assert cleared.lmp_usd_per_mwh[3] == pytest.approx(0.999 * 5000 / 40 * 39.9427, abs=0.1)


def loads(head_kw: list[float], buses: str = "D", multiplier: float = 40.0) -> NDArray[np.float64]:
    return Attachment(DATA, tuple(buses), 3490.0, multiplier).loads_mw(np.array(head_kw))


def test_feeders_move_the_load_of_their_bus() -> None:
    assert loads([3490]).tolist() == DATA.load_mw.tolist()
    assert (loads([4490]) - DATA.load_mw).tolist() == [0, 0, 0, 40, 0]
    moved = loads([4490, 3390], "CB") - DATA.load_mw
    assert moved == pytest.approx([0, -4, 40, 0, 0])


def test_simulated_feeders_move_it_by_their_mean() -> None:
    np.testing.assert_allclose(loads([4490] * 3, "DDD"), loads([4490]))
    moved = loads([3490, 3490, 4390], "DDD", 3) - DATA.load_mw
    np.testing.assert_allclose(moved, [0, 0, 0, 0.9, 0])
    with pytest.raises(MarketError, match="40 feeders of -20000 kW each"):
        loads([-20_000, -20_000], "DD")


def test_feeders_that_feed_back_more_than_the_bus_holds() -> None:
    with pytest.raises(MarketError, match=r"bus B.*lower market.feeder_multiplier"):
        loads([3490, -50_000], "DB")


def test_doctor_and_bench_of_the_market(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = doctor.check()
    assert all(check.ok for check in checks)
    monkeypatch.setattr(bench, "_REPEATS", 5)
    assert all(row.value > 0 for row in bench.bench())
