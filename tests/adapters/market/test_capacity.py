"""Reserve of vehicles: merit order, price, calls, what is paid for what is delivered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.market.capacity import Reserves, ReserveTick, clear
from cosim.response_section import Reserve

TWO_STEPS = ((100.0, 850.0), (50.0, 300.0))


def bought(kw: list[float], usd: list[float], demand: Any = TWO_STEPS) -> tuple[list[float], float]:
    found = clear(np.array(kw), np.array(usd), demand)
    return found.kw.tolist(), found.usd_per_mw_h


def test_the_cheapest_offers_are_bought_at_the_price_of_the_last() -> None:
    kw, price = bought([80, 100, 40], [20, 90, 5])
    assert kw == pytest.approx([80, 30, 40])
    assert price == 90


def test_offers_of_one_price_share_alike() -> None:
    kw, price = bought([100, 50, 100], [10, 40, 40])
    assert kw == pytest.approx([100, 50 / 3, 100 / 3])
    assert price == 40


def test_the_price_of_what_is_missing() -> None:
    assert bought([60], [20]) == ([60], 850)
    assert bought([120], [20]) == ([120], 300)
    assert bought([], []) == ([], 850)
    # All is met, and all of the offers are bought.
    assert bought([150], [20]) == ([150], 20)
    # Dear offers serve the requirement alone; what is beyond it stays unmet.
    kw, price = bought([70, 200], [20, 500])
    assert (kw, price) == (pytest.approx([70, 30]), 500)
    kw, price = bought([100, 200], [20, 500])
    assert (kw, price) == ([100, 0], 300)
    # Nobody is paid more than reserve is worth.
    assert bought([60, 60], [20, 900]) == ([60, 0], 850)


def test_nothing_is_asked_for() -> None:
    assert bought([60], [20], ((0.0, 850.0), (0.0, 300.0))) == ([0], 0)


_KW = st.integers(0, 20_000).map(lambda n: n / 100)
_USD = st.sampled_from([0.0, 10.0, 10.5, 299.0, 300.0, 600.0, 900.0])
_OFFER = st.tuples(st.integers(1, 6000).map(lambda n: n / 100), _USD)


@settings(deadline=None)
@given(offers=st.lists(_OFFER, max_size=12), first=_KW, more=_KW)
def test_the_clearing_is_the_best_there_is(
    offers: list[tuple[float, float]], first: float, more: float
) -> None:
    kw, usd = (np.array([offer[i] for offer in offers]) for i in (0, 1))
    demand = ((first, 850.0), (more, 300.0))
    found = clear(kw, usd, demand)
    price, total = found.usd_per_mw_h, found.kw.sum()
    assert (found.kw >= 0).all()
    assert (found.kw <= kw * (1 + 1e-12)).all()
    assert total <= first + more + 1e-6
    # Nobody who is bought wants more, nobody wants less who is left out; nor does the demand.
    assert (usd[found.kw > 1e-9] <= price).all()
    assert (usd[found.kw < kw * (1 - 1e-6)] >= price - 1e-9).all() or total >= first + more - 1e-6
    served = [min(total, first), max(total - first, 0.0)]
    for (step_kw, worth), met in zip(demand, served, strict=True):
        assert met <= 1e-6 or worth >= price
        assert met >= step_kw - 1e-6 or worth <= price
    # The surplus is that of the best matching, unit by unit.
    supply = np.sort(np.repeat(usd, np.round(kw * 100).astype(int)))
    worth = np.repeat([850.0, 300.0], [round(first * 100), round(more * 100)])
    common = min(len(supply), len(worth))
    best = np.maximum(worth[:common] - supply[:common], 0).sum() / 100
    surplus = served[0] * 850 + served[1] * 300 - found.kw @ usd
    assert surplus == pytest.approx(best, rel=1e-9, abs=1e-6)


class Market:
    """Two vehicles that can feed back 10 kW each, of which 12 kW are wanted."""

    def __init__(self, ticks: int = 100, **rules: Any) -> None:
        asked = {"requirement_kw": 12.0, "sustained_minutes": 15} | rules
        self.reserves = Reserves(Reserve.model_validate(asked), ticks)
        self.tick = 0

    def step(self, *kw: float, scarce: bool = False, usd: tuple[float, float] = (30, 60)) -> Any:
        self.tick += 1
        least = np.array([-10.0, -10.0])
        return self.reserves.step(self.tick - 1, np.array(kw), least, np.array(usd), scarce)


def test_what_can_fall_is_bought_and_paid() -> None:
    market = Market()
    quiet: ReserveTick = market.step(0.0, 4.0)
    assert quiet.kw == pytest.approx([10, 2])
    assert quiet.usd_per_mw_h == 60
    assert quiet.vehicle_usd == pytest.approx([60 * 10 / 12 / 1000, 60 * 2 / 12 / 1000])
    assert not quiet.called.any()
    assert not quiet.delivered_kw.any()
    # Who feeds back all it can has nothing to hold, and who makes no offer holds nothing.
    assert market.step(-10.0, 4.0, usd=(30, -1)).kw.tolist() == [0, 0]


def test_a_call_lasts_until_there_is_enough_again() -> None:
    market = Market()
    called = market.step(0.0, 4.0, scarce=True)
    assert called.called.tolist() == [True, True]
    assert called.call_kw == pytest.approx([-10, 2])
    assert [e["kind"] for e in called.happened] == ["reserve_called"]
    # The second one gives half of it: told once, and paid for that half.
    first = market.step(-10.0, 3.0, scarce=True)
    assert first.kw == pytest.approx([10, 2])
    assert first.delivered_kw == pytest.approx([10, 1])
    assert first.vehicle_usd == pytest.approx([60 * 10 / 12 / 1000, 60 * 1 / 12 / 1000])
    (told,) = first.happened
    assert (told["kind"], told["vehicle"]) == ("reserve_not_delivered", 1)
    assert (told["value"], told["limit"]) == (pytest.approx(1), pytest.approx(2))
    second = market.step(-10.0, 5.0, scarce=False)
    assert not second.happened
    assert second.vehicle_usd[1] == 0
    assert not second.called.any()
    assert not second.call_kw.any()
    assert market.step(0.0, 4.0).kw == pytest.approx([10, 2])


def test_a_call_ends_when_it_need_not_be_sustained_any_longer() -> None:
    market = Market()
    called = [market.step(0.0, 4.0, scarce=True)]
    called += [market.step(-10.0, 2.0, scarce=True) for _ in range(3)]
    assert [c.called.any() for c in called] == [True, True, True, False]


def test_nothing_is_called_after_the_run() -> None:
    market = Market(ticks=3)
    market.step(0.0, 0.0)
    assert market.step(0.0, 0.0, scarce=True).called.all()
    assert not market.step(-10.0, 0.0, scarce=True).called.any()
    market = Market(ticks=1)
    assert not market.step(0.0, 0.0, scarce=True).called.any()


def test_no_reserve_is_bought_unless_asked_for() -> None:
    market = Market(requirement_kw=0.0)
    off = market.step(0.0, 4.0, scarce=True)
    assert not off.kw.any()
    assert not off.called.any()
    assert off.usd_per_mw_h == 0


def test_what_is_given_is_told_before_the_step() -> None:
    market = Market()
    power = np.array([-10.0, 3.0])
    assert not market.reserves.given_kw(power).any()
    market.step(0.0, 4.0, scarce=True)
    assert market.reserves.given_kw(power) == pytest.approx([10, 1])
