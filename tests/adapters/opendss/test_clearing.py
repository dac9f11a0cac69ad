"""Prices where limits bind, against what one more kilowatt costs when all is cleared anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from adapters.opendss import clearing as module
from adapters.opendss.circuit import Circuit
from adapters.opendss.clearing import Bids, Cleared, Clearing
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import Limits, rated
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.programme import Programme, solve
from adapters.opendss.service import connect_stations
from cosim.errors import ClearingError, PowerFlowError, ScenarioError
from networks import feeders

STATIONS = 60
FAST = np.arange(STATIONS) % 3 == 0
RATING_KW = np.where(FAST, 50.0, 14.4)
SCALE = 0.4
HEAD_USD_PER_MWH = 40.0


def built(name: str = "ieee123") -> Feeder:
    circuit = Circuit(feeders.load(name))
    service, _ = connect_stations(circuit.layout, RATING_KW, FAST)
    return Feeder(circuit, service)


@pytest.fixture(scope="module")
def feeder() -> Iterator[Feeder]:
    feeder = built()
    # Taps settle with what is fixed, and the engine is as exact as differences ask for.
    feeder.solve(SCALE, fixed_kw(feeder))
    feeder._dss.Text.Command("set tolerance=1e-11")
    yield feeder
    feeder.close()


def fixed_kw(feeder: Feeder) -> np.ndarray:
    return np.random.default_rng(1).uniform(2, 6, len(feeder.service))


def bids_of(feeder: Feeder) -> Bids:
    rng, count = np.random.default_rng(2), len(feeder.service)
    return Bids(
        most_kw=rng.uniform(10, 40, count),
        price_usd_per_mwh=rng.uniform(60, 300, count),
        slope_usd_per_mwh_per_kw=rng.uniform(2, 6, count),
    )


def free(feeder: Feeder) -> Limits:
    return Limits(
        transformer_kva=np.full(len(feeder.transformer_ids), np.inf),
        line_a=np.full(len(feeder.line_ids), np.inf),
        voltage_low_pu=0.7,
        voltage_high_pu=1.3,
    )


def limits_of(feeder: Feeder, *kinds: str) -> Limits:
    """Return limits that bind, each kind where those before it hold."""
    limits = free(feeder)
    for kind in kinds:
        used = cleared(feeder, limits).solved
        kva = used.transformer_loading_pct * feeder.rating_kva / 100
        line_a = used.line_loading_pct * feeder.line_rating_a / 100
        if kind == "transformer":
            share = np.where(np.arange(len(kva)) % 3 == 0, 0.8, 1.2)
            # Of the feeder's own, a regulator binds.
            share[: feeder.first_service] = 1.2
            share[feeder.transformer_ids.index("reg4a")] = 0.97
            limits = replace(limits, transformer_kva=share * kva)
        elif kind == "line":
            held = np.isin(feeder.line_ids, ("l115", "l67"))
            limits = replace(limits, line_a=np.where(held, 0.97 * line_a, np.inf))
        elif kind == "low":
            limits = replace(limits, voltage_low_pu=used.bus_voltage_pu.min() + 0.006)
        elif kind == "high":
            limits = replace(limits, voltage_high_pu=used.bus_voltage_pu.max() - 0.0005)
    return limits


def cleared(feeder: Feeder, limits: Limits, fixed: np.ndarray | None = None) -> Cleared:
    fixed = fixed_kw(feeder) if fixed is None else fixed
    return Clearing(feeder, limits).clear(SCALE, fixed, bids_of(feeder), HEAD_USD_PER_MWH)


def test_without_binding_limits_the_price_is_that_of_the_head_and_losses(feeder: Feeder) -> None:
    found = cleared(feeder, free(feeder))
    expected = HEAD_USD_PER_MWH * (1 + found.solved.charger_marginal_loss)
    np.testing.assert_allclose(found.price_usd_per_mwh, expected, rtol=1e-12)
    assert not found.binding
    assert found.loss_usd_per_mwh.min() > 0
    # Bids that are neither at nothing nor at their most take what is worth its price.
    bids = bids_of(feeder)
    inside = (found.power_kw > 0.01) & (found.power_kw < bids.most_kw - 0.01)
    worth = bids.price_usd_per_mwh - bids.slope_usd_per_mwh_per_kw * found.power_kw
    assert 10 < inside.sum() < len(inside)
    np.testing.assert_allclose(worth[inside], found.price_usd_per_mwh[inside], atol=0.01)


@pytest.mark.parametrize(
    "binding",
    [(), ("transformer",), ("line",), ("low",), ("high",), ("transformer", "line", "low")],
    ids=" ".join,
)
def test_prices_equal_differences_of_clearing_anew(
    feeder: Feeder, binding: tuple[str, ...]
) -> None:
    limits = limits_of(feeder, *binding)
    found = cleared(feeder, limits)
    kinds = {row.kind for row in found.binding}
    assert kinds == {{"low": "voltage", "high": "voltage"}.get(kind, kind) for kind in binding}
    assert max((row.passed_by for row in found.binding), default=0) < 1e-6
    step, errors = 0.5, list[float]()
    for one in np.random.default_rng(3).choice(len(feeder.service), 10, replace=False):
        more = np.zeros(len(feeder.service))
        more[one] = step
        up = cleared(feeder, limits, fixed_kw(feeder) + more).cost_usd_per_h
        down = cleared(feeder, limits, fixed_kw(feeder) - more).cost_usd_per_h
        price = 1e3 * (up - down) / (2 * step)
        errors.append(float(price / found.price_usd_per_mwh[one] - 1))
    assert np.abs(errors).max() < 1e-4
    parts = (
        found.energy_usd_per_mwh
        + found.loss_usd_per_mwh
        + found.transformer_usd_per_mwh
        + found.line_usd_per_mwh
        + found.voltage_usd_per_mwh
    )
    np.testing.assert_allclose(parts, found.price_usd_per_mwh, rtol=0, atol=1e-8)
    # Limits hold in the solution of OpenDSS at the end.
    solved, tolerance = found.solved, 1e-5
    kva = solved.transformer_loading_pct * feeder.rating_kva / 100
    line_a = solved.line_loading_pct * feeder.line_rating_a / 100
    assert (kva <= limits.transformer_kva * (1 + tolerance)).all()
    assert (line_a <= limits.line_a * (1 + tolerance)).all()
    assert solved.bus_voltage_pu.min() >= limits.voltage_low_pu - tolerance
    assert solved.bus_voltage_pu.max() <= limits.voltage_high_pu + tolerance


def test_a_limit_that_nothing_can_hold_is_passed_at_its_penalty(feeder: Feeder) -> None:
    one, limits = 3, free(feeder)
    limits.transformer_kva[feeder.first_service + one] = 1.0
    found = cleared(feeder, limits)
    (row,) = found.binding
    assert (row.kind, row.id, row.limit) == ("transformer", feeder.service.ids[one], 1.0)
    assert row.passed_by == pytest.approx(fixed_kw(feeder)[one] / 0.99 - 1, rel=0.05)
    assert row.worth_usd_per_h == pytest.approx(limits.transformer_penalty_usd_per_kvah, rel=1e-6)
    assert found.power_kw[one] == pytest.approx(0, abs=1e-3)


def test_what_bids_take_falls_with_the_price_and_rises_with_their_worth(feeder: Feeder) -> None:
    limits, bids = limits_of(feeder, "transformer", "line", "low"), bids_of(feeder)
    clearing, fixed = Clearing(feeder, limits), fixed_kw(feeder)
    taken = [
        float(clearing.clear(SCALE, fixed, bids, price).power_kw.sum())
        for price in (0.0, 30.0, 60.0, 120.0, 400.0)
    ]
    assert (np.diff(taken) <= 1e-3).all()
    assert taken[-1] < 1e-3 < taken[0]
    now = clearing.clear(SCALE, fixed, bids, 60.0).power_kw
    rises = 0
    for one in np.flatnonzero((now > 0.01) & (now < bids.most_kw - 0.01))[::4]:
        own: list[float] = []
        for more in (-40.0, 0.0, 40.0):
            price = bids.price_usd_per_mwh.copy()
            price[one] += more
            changed = replace(bids, price_usd_per_mwh=price)
            own.append(float(clearing.clear(SCALE, fixed, changed, 60.0).power_kw[one]))
        assert (np.diff(own) >= -1e-3).all()
        rises += own[-1] > own[0] + 0.1
    assert rises >= 3


@pytest.mark.parametrize("kind", ["transformer", "line", "low", "high"])
def test_the_worth_of_limits_is_what_more_of_them_saves(feeder: Feeder, kind: str) -> None:
    """All limits of a kind are widened and tightened by the same share."""
    kinds = ("transformer", "line", "low") if kind != "high" else ("high",)
    limits = limits_of(feeder, *kinds)
    field, sign = {
        "transformer": ("transformer_kva", 1),
        "line": ("line_a", 1),
        "low": ("voltage_low_pu", -1),
        "high": ("voltage_high_pu", 1),
    }[kind]
    given, share = getattr(limits, field), 1e-4
    wider = replace(limits, **{field: given * (1 + sign * share)})
    tighter = replace(limits, **{field: given * (1 - sign * share)})
    saved = cleared(feeder, tighter).cost_usd_per_h - cleared(feeder, wider).cost_usd_per_h
    rows = [row for row in cleared(feeder, limits).binding if row.kind in field]
    expected = sum(row.worth_usd_per_h * row.limit for row in rows)
    assert expected > 0
    assert saved / (2 * share) == pytest.approx(expected, rel=1e-3)


def test_nearly_linear_bids_come_to_rest_too(feeder: Feeder) -> None:
    """Equal bids that hardly fall share a line by their losses; without more they would cycle."""
    limits, count = limits_of(feeder, "line"), len(feeder.service)
    flat = Bids(bids_of(feeder).most_kw, np.full(count, 100.0), np.full(count, 0.01))
    found = Clearing(feeder, limits).clear(SCALE, fixed_kw(feeder), flat, HEAD_USD_PER_MWH)
    assert {row.kind for row in found.binding} == {"line"}
    inside = (found.power_kw > 0.01) & (found.power_kw < flat.most_kw - 0.01)
    assert inside.sum() > 5
    worth = 100 - 0.01 * found.power_kw
    np.testing.assert_allclose(worth[inside], found.price_usd_per_mwh[inside], atol=0.01)


@pytest.mark.parametrize("name", ["ieee123", "ieee13"])
def test_what_is_found_fulfils_the_conditions_of_an_optimum(name: str) -> None:
    """Each bid takes what is worth its price, and only limits at their penalty are passed."""
    feeder = built(name)
    count, kva, iterations = len(feeder.service), feeder.service.rating_kva, list[int]()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        back = rng.random(count) < 0.1
        fixed = np.where(back, -1, 1) * rng.uniform(0, 0.3, count) * kva
        slope = np.full(count, 10 ** rng.uniform(-3, 1))
        most = np.where(back, 0, rng.uniform(0, 1.2, count) * kva)
        bids = Bids(most, rng.uniform(20, 300, count), slope)
        ratings, scale = rated(feeder), rng.uniform(0.2, 1)
        limits = replace(
            ratings,
            transformer_kva=ratings.transformer_kva * rng.uniform(0.5, 1.2, len(feeder.rating_kva)),
            line_a=ratings.line_a * rng.uniform(0.7, 1.2, len(feeder.line_ids)),
            voltage_low_pu=rng.uniform(0.94, 0.98),
            voltage_high_pu=rng.uniform(1.03, 1.06),
        )
        feeder.solve(scale, fixed)
        found = Clearing(feeder, limits).clear(scale, fixed, bids, rng.uniform(-20, 200))
        iterations.append(found.iterations)
        worth = bids.price_usd_per_mwh - slope * found.power_kw
        gain = (worth - found.price_usd_per_mwh)[most > 0]
        taken, full = found.power_kw[most > 0], most[most > 0]
        assert gain[taken > 0.01].min(initial=0) > -0.05
        assert gain[taken < full - 0.01].max(initial=0) < 0.05
        passed = {row.id for row in found.binding if row.passed_by > 1e-5 * row.limit}
        penalty = {
            "transformer": limits.transformer_penalty_usd_per_kvah,
            "line": limits.line_penalty_usd_per_ah,
            "voltage": limits.voltage_penalty_usd_per_puh,
        }
        for row in found.binding:
            assert row.worth_usd_per_h <= penalty[row.kind] * (1 + 1e-6)
            if row.id in passed:
                assert row.worth_usd_per_h == pytest.approx(penalty[row.kind], rel=1e-4)
        used_kva = found.solved.transformer_loading_pct * feeder.rating_kva / 100
        over = np.flatnonzero(used_kva > limits.transformer_kva * (1 + 2e-5))
        assert {feeder.transformer_ids[i] for i in over} <= passed
        voltage_pu = found.solved.bus_voltage_pu
        low = np.flatnonzero(voltage_pu < limits.voltage_low_pu - 2e-5)
        assert {f"{feeder.bus_ids[i]} low" for i in low} <= passed
    feeder.close()
    assert np.median(iterations) <= 4
    assert max(iterations) <= 20


def test_who_feeds_back_is_priced_too(feeder: Feeder) -> None:
    bids, fixed = bids_of(feeder), fixed_kw(feeder)
    fixed[5], bids.most_kw[5] = -8.0, 0.0
    clearing = Clearing(feeder, free(feeder))
    found = clearing.clear(SCALE, fixed, bids, HEAD_USD_PER_MWH)
    cost: list[float] = []
    for step in (-0.5, 0.5):
        fixed[5] = -8 + step
        cost.append(clearing.clear(SCALE, fixed, bids, HEAD_USD_PER_MWH).cost_usd_per_h)
    assert 1e3 * (cost[1] - cost[0]) == pytest.approx(found.price_usd_per_mwh[5], rel=1e-3)
    assert found.power_kw[5] == 0


def test_taps_are_held_and_controls_go_on_after(feeder: Feeder) -> None:
    before, mode = feeder.state(), feeder._dss.Solution.ControlMode()
    one, other = cleared(feeder, free(feeder)), cleared(feeder, free(feeder))
    np.testing.assert_array_equal(feeder.state().tap_pu, before.tap_pu)
    assert feeder._dss.Solution.ControlMode() == mode
    # Nothing is remembered from one clearing to the next.
    assert one.price_usd_per_mwh.tobytes() == other.price_usd_per_mwh.tobytes()


def test_all_that_is_wrong_is_told_at_once(feeder: Feeder) -> None:
    bids, fixed, first = bids_of(feeder), fixed_kw(feeder), feeder.service.ids[0]
    bids.slope_usd_per_mwh_per_kw[0], bids.most_kw[1], fixed[2] = 0.0, -1.0, np.nan
    bids.price_usd_per_mwh[3], fixed[4] = np.inf, -3.0
    with pytest.raises(ScenarioError) as raised:
        Clearing(feeder, free(feeder)).clear(SCALE, fixed, bids, np.nan)
    text = str(raised.value)
    assert "6 problems" in text
    assert f"bids.slope_usd_per_mwh_per_kw[{first}] is 0: a finite number above 0" in text
    assert f"fixed_kw[{feeder.service.ids[4]}] is -3: at least 0 beside a bid" in text
    assert "head_usd_per_mwh is nan" in text
    short = replace(bids_of(feeder), most_kw=np.ones(3))
    with pytest.raises(ScenarioError, match=r"bids.most_kw is of shape \(3,\)"):
        Clearing(feeder, free(feeder)).clear(SCALE, fixed_kw(feeder), short, 40.0)


def test_wrong_limits_are_told_at_once(feeder: Feeder) -> None:
    limits = replace(rated(feeder), voltage_low_pu=1.1, line_penalty_usd_per_ah=0.0)
    limits.transformer_kva[0], limits.line_a[1] = np.nan, 0.0
    with pytest.raises(ScenarioError) as raised:
        Clearing(feeder, limits)
    text = str(raised.value)
    assert "4 problems" in text
    assert "limits.transformer_kva[reg1a] is nan: a number above 0" in text
    assert "limits.voltage_low_pu is 1.1: above 0 and below 1.05" in text


def test_without_bids_or_without_an_answer(feeder: Feeder, monkeypatch: pytest.MonkeyPatch) -> None:
    bids = replace(bids_of(feeder), most_kw=np.zeros(len(feeder.service)))
    clearing = Clearing(feeder, rated(feeder))
    found = clearing.clear(SCALE, fixed_kw(feeder), bids, HEAD_USD_PER_MWH)
    assert found.iterations == 1
    assert found.price_usd_per_mwh.min() > HEAD_USD_PER_MWH
    monkeypatch.setattr(module, "MOST_ITERATIONS", 2)
    with pytest.raises(ClearingError, match=r"transformer st\w+\): no answer after 2 solutions"):
        clearing.clear(SCALE, fixed_kw(feeder), bids_of(feeder), HEAD_USD_PER_MWH)


def test_a_feeder_that_follows_between_solutions_is_refused() -> None:
    circuit = Circuit(feeders.load("ieee13"))
    service, _ = connect_stations(circuit.layout, RATING_KW, FAST)
    feeder = LinearFeeder(circuit, service)
    with pytest.raises(PowerFlowError, match="solves every time"):
        Clearing(feeder, rated(feeder))
    feeder.close()


def test_a_programme_by_hand() -> None:
    """Two bids of 10 - x and 8 - x share 4: 3 and 1, at a price of 7; passing costs 5: 5 and 3."""
    programme = Programme(
        value=np.array([10.0, 8.0]),
        slope=np.ones(2),
        most=np.full(2, 20.0),
        rows=np.ones((1, 2)),
        room=np.array([4.0]),
        penalty=np.array([100.0]),
    )
    found = solve(programme)
    np.testing.assert_allclose(found.power, [3, 1], atol=1e-7)
    np.testing.assert_allclose([found.dual[0], found.slack[0]], [7, 0], atol=1e-7)
    soft = solve(replace(programme, penalty=np.array([5.0])))
    np.testing.assert_allclose(soft.power, [5, 3], atol=1e-7)
    np.testing.assert_allclose([soft.dual[0], soft.slack[0]], [5, 4], atol=1e-7)
