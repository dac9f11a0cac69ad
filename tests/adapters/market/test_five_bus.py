"""The five-bus market against its published prices and an independent formulation."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog

from adapters.market.five_bus import FiveBus, transfer_factors
from cosim.errors import MarketError
from cosim.signals import TICK_HOURS
from networks import markets

DATA = markets.load("pjm5bus")
VALUE = 5000.0
FLAT = FiveBus(DATA, VALUE)
SLOPED = FiveBus(DATA, VALUE, 0.01)
Floats = NDArray[np.float64]
loads = st.lists(st.floats(0, 600), min_size=5, max_size=5).map(np.array)


def angles(load_mw: Floats, scale: float) -> tuple[float, Floats]:
    """Cost and prices of the same market as a linear program in bus angles."""
    generators, buses, lines = len(DATA.generator_ids), len(DATA.bus_ids), len(DATA.line_ids)
    incidence = np.zeros((lines, buses))
    incidence[np.arange(lines), DATA.line_from] = 1
    incidence[np.arange(lines), DATA.line_to] = -1
    flow = 100 / DATA.x_pu[:, None] * incidence
    at = np.zeros((buses, generators))
    at[DATA.generator_bus, np.arange(generators)] = 1
    balance = np.hstack([at, np.eye(buses), -incidence.T @ flow])
    cost = np.concatenate([scale * DATA.offer_usd_per_mwh, np.full(buses, VALUE), np.zeros(buses)])
    limited = np.isfinite(DATA.line_limit_mw)
    rows = np.hstack([np.zeros((limited.sum(), generators + buses)), flow[limited]])
    limit = DATA.line_limit_mw[limited]
    bounds = [
        *((0, top) for top in DATA.generator_limit_mw),
        *((0, load) for load in load_mw),
        (0, 0),
        *[(None, None)] * (buses - 1),
    ]
    solved: Any = linprog(
        cost,
        A_ub=np.vstack([rows, -rows]),
        b_ub=np.concatenate([limit, limit]),
        A_eq=balance,
        b_eq=load_mw,
        bounds=bounds,
        method="highs",
    )
    assert solved.status == 0
    return float(solved.fun), np.asarray(solved.eqlin.marginals)


def test_published_prices() -> None:
    # Li and Bo 2010 / MATPOWER case5.
    cleared = FLAT.clear(DATA.load_mw)
    assert cleared.lmp_usd_per_mwh == pytest.approx(
        [16.9774, 26.3845, 30.0, 39.9427, 10.0], abs=1e-4
    )
    assert cleared.cost_usd_per_h == pytest.approx(17_479.897, abs=1e-3)
    assert cleared.generator_mw == pytest.approx([40, 170, 323.49, 0, 466.51], abs=0.01)
    assert abs(cleared.line_flow_mw[5]) == pytest.approx(240)
    assert cleared.line_shadow_usd_per_mwh == pytest.approx([0, 0, 0, 0, 0, 62.32], abs=0.01)
    assert cleared.load_shed_mw == pytest.approx(np.zeros(5))


@pytest.mark.parametrize("scale", [0.3, 1.0, 60.0])
def test_independent_formulation_in_angles(scale: float) -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        load_mw = rng.uniform(0, 1, 5) * [100, 500, 500, 700, 100]
        cost, lmp = angles(load_mw, scale)
        cleared = FLAT.clear(load_mw, scale)
        assert cleared.cost_usd_per_h == pytest.approx(cost, rel=1e-9, abs=1e-6)
        assert cleared.lmp_usd_per_mwh == pytest.approx(lmp, abs=1e-5)


@pytest.mark.parametrize("market", [FLAT, SLOPED], ids=["flat", "sloped"])
def test_prices_are_marginal_costs(market: FiveBus) -> None:
    step = 1e-2
    for load_mw in ([10, 300, 300, 400, 10], [5, 200, 100, 500, 20], [5, 500, 500, 700, 5]):
        base = np.array(load_mw, dtype=float)
        lmp = market.clear(base, 2.0).lmp_usd_per_mwh
        for bus in range(5):
            up, down = base.copy(), base.copy()
            up[bus] += step
            down[bus] -= step
            difference = (
                market.clear(up, 2.0).cost_usd_per_h - market.clear(down, 2.0).cost_usd_per_h
            ) / (2 * step)
            assert difference == pytest.approx(lmp[bus], abs=1e-5)


def test_shadow_price_is_what_more_line_saves() -> None:
    from dataclasses import replace

    def cost(limit: float) -> float:
        limits = DATA.line_limit_mw.copy()
        limits[5] = limit
        wider = FiveBus(replace(DATA, line_limit_mw=limits), VALUE, 0.01)
        return wider.clear(DATA.load_mw).cost_usd_per_h

    shadow = SLOPED.clear(DATA.load_mw).line_shadow_usd_per_mwh[5]
    assert (cost(239.99) - cost(240.01)) / 0.02 == pytest.approx(shadow, rel=1e-6)


@settings(deadline=None, max_examples=60)
@given(load_mw=loads, scale=st.floats(0.01, 50), sloped=st.booleans())
def test_money_adds_up(load_mw: Floats, scale: float, sloped: bool) -> None:
    """Payments of the served load are the generators' revenue and the congestion rent."""
    cleared = (SLOPED if sloped else FLAT).clear(load_mw, scale)
    served = load_mw - cleared.load_shed_mw
    payments = float(cleared.lmp_usd_per_mwh @ served) * TICK_HOURS
    revenue = float(cleared.lmp_usd_per_mwh[DATA.generator_bus] @ cleared.generator_mw) * TICK_HOURS
    rent = float(cleared.line_shadow_usd_per_mwh @ np.abs(cleared.line_flow_mw)) * TICK_HOURS
    size = max(abs(payments), 1.0)
    assert payments == pytest.approx(revenue + cleared.congestion_rent_usd, abs=1e-9 * size)
    assert cleared.congestion_rent_usd == pytest.approx(rent, abs=1e-6 * size)


@settings(deadline=None, max_examples=60)
@given(load_mw=loads)
def test_power_adds_up(load_mw: Floats) -> None:
    cleared = SLOPED.clear(load_mw)
    served = load_mw - cleared.load_shed_mw
    assert cleared.generator_mw.sum() == pytest.approx(served.sum(), abs=1e-6)
    injected = np.bincount(DATA.generator_bus, weights=cleared.generator_mw, minlength=5) - served
    out = np.bincount(DATA.line_from, weights=cleared.line_flow_mw, minlength=5)
    into = np.bincount(DATA.line_to, weights=cleared.line_flow_mw, minlength=5)
    assert out - into == pytest.approx(injected, abs=1e-6)
    assert (np.abs(cleared.line_flow_mw) <= DATA.line_limit_mw + 1e-6).all()


def test_load_beyond_the_generators_is_shed_at_its_value() -> None:
    load_mw = np.array([0.0, 700, 700, 700, 0])
    cleared = FLAT.clear(load_mw, 3.0)
    assert cleared.load_shed_mw.sum() >= 2100 - 1530
    assert cleared.lmp_usd_per_mwh.max() == pytest.approx(VALUE)
    assert cleared.generator_mw.sum() + cleared.load_shed_mw.sum() == pytest.approx(2100)


def test_a_slope_smooths_the_price() -> None:
    # The published price at D jumps from 31.46 to 39.94 USD/MWh within one MW.
    def at(market: FiveBus, megawatt: float) -> float:
        return market.clear(np.array([0, 300, 300, megawatt, 0.0])).lmp_usd_per_mwh[3]

    steps = np.arange(170.0, 200.0, 0.25)
    jump = np.abs(np.diff([at(FLAT, x) for x in steps])).max()
    gentle = FiveBus(DATA, VALUE, 0.05)
    smooth = np.abs(np.diff([at(gentle, x) for x in steps])).max()
    assert jump > 8
    assert smooth < 1


def test_blocks_follow_the_slope() -> None:
    # Average of offers along a straight line: 40 MW of Alta cost 14 + 0.01 * 40 / 2 each.
    cleared = SLOPED.clear(np.array([40.0, 0, 0, 0, 450]))
    assert cleared.generator_mw == pytest.approx([40, 0, 0, 0, 450])
    expected = 40 * (14 + 0.2) + 450 * (10 + 2.25)
    assert cleared.cost_usd_per_h == pytest.approx(expected, rel=1e-9)


def test_a_clearing_does_not_depend_on_the_one_before() -> None:
    fresh = FiveBus(DATA, VALUE, 0.01).clear(DATA.load_mw, 1.5)
    used = FiveBus(DATA, VALUE, 0.01)
    used.clear(np.array([0, 700, 700, 700, 0.0]), 20.0)
    again = used.clear(DATA.load_mw, 1.5)
    assert again.lmp_usd_per_mwh.tobytes() == fresh.lmp_usd_per_mwh.tobytes()
    assert again.generator_mw.tobytes() == fresh.generator_mw.tobytes()


def test_transfer_factors_are_superposition() -> None:
    factors = transfer_factors(DATA)
    assert factors[:, 0] == pytest.approx(np.zeros(6))
    assert np.abs(factors).max() <= 1


@pytest.mark.parametrize(
    ("load_mw", "scale", "message"),
    [
        ([0, 300, 300, -1, 0], 1.0, r"bus D.*not -1 MW"),
        ([0, np.nan, 300, 400, 0], 1.0, r"bus B.*not nan"),
        ([0, 300, 300, 400], 1.0, r"shape \(4,\), not \(5,\)"),
        ([0, 300, 300, 400, 0], 0.0, "offer scale"),
        ([0, 300, 300, 400, 0], np.inf, "offer scale"),
    ],
)
def test_bad_input_is_refused(load_mw: list[float], scale: float, message: str) -> None:
    with pytest.raises(MarketError, match=message):
        FLAT.clear(np.array(load_mw, dtype=float), scale)


def test_a_failed_solve_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    market = FiveBus(DATA, VALUE)
    infeasible = highspy.HighsModelStatus.kInfeasible
    monkeypatch.setattr(market._engine, "getModelStatus", lambda: infeasible, raising=False)
    with pytest.raises(MarketError, match="no optimum: Infeasible"):
        market.clear(DATA.load_mw)


def test_a_wrong_optimum_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    market = FiveBus(DATA, VALUE)
    wrong = market._engine.getSolution

    class Off:
        def __init__(self, field: str, by: float) -> None:
            true = wrong()
            self.col_value = list(true.col_value)
            self.row_dual = list(true.row_dual)
            getattr(self, field)[2 if field == "col_value" else 0] += by

    for field, by, condition in (("col_value", 1.0, "balance"), ("row_dual", 1.0, "offer")):
        monkeypatch.setattr(
            market._engine, "getSolution", lambda f=field, b=by: Off(f, b), raising=False
        )
        with pytest.raises(MarketError, match=f"breaks its {condition} condition"):
            market.clear(DATA.load_mw)
