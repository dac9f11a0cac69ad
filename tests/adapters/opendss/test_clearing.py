"""Prices where limits bind, against what a little more load costs when all is cleared anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit
from adapters.opendss.clearing import Clearing
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import limits_of
from adapters.opendss.offers import Offers
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError
from networks import feeders
from tests.clearings import (
    CASES,
    FAST,
    HEAD_USD_PER_MWH,
    PROBES,
    RATING_KW,
    SCALE,
    STATIONS,
    STEP_KW,
    assert_complementary,
    assert_limits_hold,
    base_kw,
    built,
    case_of,
    cleared,
    free,
    offers_of,
    probe_node,
    share_of,
    solved,
)


@pytest.fixture(scope="module")
def feeder() -> Iterator[Feeder]:
    feeder = built()
    # Taps settle with some of it, and stay: what is cleared is told by OpenDSS without controls.
    feeder.solve(SCALE, base_kw(feeder))
    feeder.lock_taps()
    yield feeder
    feeder.close()


@pytest.mark.parametrize("name", list(CASES))
def test_prices_equal_differences_of_clearing_anew(feeder: Feeder, name: str) -> None:
    """At ten buses of the feeder, and at three connections, by 20 W more and less."""
    scale, offers, limits = case_of(feeder, name)
    found = cleared(feeder, limits, offers, scale)
    kinds = {row.kind for row in found.binding}
    assert kinds == {{"low": "voltage", "high": "voltage"}.get(k, k) for k in CASES[name][2]}
    assert max((row.passed_by for row in found.binding), default=0) < 1e-6
    assert_limits_hold(feeder, limits, solved(feeder, found, scale))
    parts = found.energy_usd_per_mwh + found.loss_usd_per_mwh + found.limits_usd_per_mwh.sum(axis=0)
    np.testing.assert_allclose(parts, found.price_usd_per_mwh, rtol=0, atol=1e-8)
    # What a connection pays is the mean of its phases.
    at_chargers = feeder._at_chargers(found.bus_limits_usd_per_mwh.sum(axis=0))
    np.testing.assert_allclose(at_chargers, found.limits_usd_per_mwh.sum(axis=0), atol=1e-8)
    clearing, errors = Clearing(feeder, limits), list[float]()

    def cost_usd_per_h(offers: Offers) -> float:
        feeder.solve(scale, base_kw(feeder))
        return clearing.clear(scale, offers, HEAD_USD_PER_MWH).cost_usd_per_h

    layout = feeder.layout
    at = {bus: i for i, bus in enumerate(feeder.bus_ids)}
    for probe in range(PROBES):
        load = layout.load_ids.index(f"probe{probe}")
        cost: list[float] = []
        for more_kw in (-STEP_KW, STEP_KW):
            layout.load_kw[load] = more_kw / scale
            layout.load_kvar[load] = more_kw / scale * feeder.tan_phi
            cost.append(cost_usd_per_h(offers))
        layout.load_kw[load] = layout.load_kvar[load] = 0.0
        node = at[probe_node(feeder, probe)]
        price = HEAD_USD_PER_MWH + found.bus_loss_usd_per_mwh[node]
        price += found.bus_limits_usd_per_mwh[:, node].sum()
        errors.append(float(1e3 * (cost[1] - cost[0]) / (2 * STEP_KW) / price - 1))
    assert np.abs(errors).max() < 1e-3
    for one in np.random.default_rng(6).choice(len(feeder.service), 3, replace=False):
        cost = []
        for more_kw in (-STEP_KW, STEP_KW):
            # An offer that is worth taking at any price, beside one that is always in.
            more = Offers(
                np.append(offers.connection, one),
                np.append(offers.power_kw, 1 + more_kw),
                np.append(offers.usd_per_mwh, 2e3),
            )
            cost.append(cost_usd_per_h(more) + 2e3 * (1 + more_kw) / 1e3)
        one_kw = Offers(more.connection, np.append(offers.power_kw, 1.0), more.usd_per_mwh)
        price = cleared(feeder, limits, one_kw, scale).price_usd_per_mwh[one]
        errors.append(float(1e3 * (cost[1] - cost[0]) / (2 * STEP_KW) / price - 1))
    assert np.abs(errors).max() < 1e-3


@pytest.mark.parametrize("name", list(CASES))
def test_offers_above_the_price_are_taken_whole_and_those_below_not(
    feeder: Feeder, name: str
) -> None:
    scale, offers, limits = case_of(feeder, name)
    found = cleared(feeder, limits, offers, scale)
    assert_complementary(offers, found)
    in_part = np.abs(found.power_kw / offers.power_kw - 0.5) < 0.499
    assert in_part.any() == bool(CASES[name][2])


def test_offers_of_one_price_at_one_connection_share_alike(feeder: Feeder) -> None:
    scale, one, limits = case_of(feeder, "transformer")
    half = one.power_kw / 3
    offers = Offers(
        np.append(one.connection, one.connection),
        np.append(one.power_kw - half, half),
        np.append(one.usd_per_mwh, one.usd_per_mwh),
    )
    found = cleared(feeder, limits, offers, scale)
    first, second = np.split(found.power_kw / offers.power_kw, 2)
    np.testing.assert_allclose(first, second, atol=1e-12)
    assert ((first > 0.01) & (first < 0.99)).sum() > 3
    whole = cleared(feeder, limits, one, scale)
    np.testing.assert_allclose(first, whole.power_kw / one.power_kw, atol=1e-3)


def test_without_binding_limits_the_price_is_that_of_the_head_and_losses(feeder: Feeder) -> None:
    offers = offers_of(feeder)
    found = cleared(feeder, free(feeder), offers)
    expected = HEAD_USD_PER_MWH * (1 + solved(feeder, found).charger_marginal_loss)
    np.testing.assert_allclose(found.price_usd_per_mwh, expected, rtol=1e-6)
    assert not found.binding
    assert not found.bus_limits_usd_per_mwh.any()
    assert found.loss_usd_per_mwh.max() > 1
    share = share_of(offers, expected)
    np.testing.assert_allclose(found.power_kw, share * offers.power_kw, atol=1e-3)


def test_offers_at_the_price_of_the_head_are_taken_by_their_losses(feeder: Feeder) -> None:
    """All are worth nearly what they cost, and each moves the price of the others."""
    one = offers_of(feeder)
    flat = Offers(one.connection, np.abs(one.power_kw), np.full(len(one.power_kw), 41.5))
    found = cleared(feeder, free(feeder), flat)
    assert_complementary(flat, found)
    share = found.power_kw / flat.power_kw
    assert 10 < ((share > 0.01) & (share < 0.99)).sum() < len(share)
    assert found.iterations < 12


def test_a_limit_that_nothing_can_hold_is_passed_at_its_penalty(feeder: Feeder) -> None:
    """Half of what the own loads of the feeder alone take through its first regulator."""
    nothing = Offers(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    own_kva = solved(feeder, cleared(feeder, free(feeder), nothing)).transformer_loading_pct[0]
    own_kva *= feeder.rating_kva[0] / 100
    limits = free(feeder)
    limits.transformer_kva[0] = own_kva / 2
    offers = offers_of(feeder, back=0)
    found = cleared(feeder, limits, offers)
    (row,) = found.binding
    assert (row.kind, row.id, row.limit) == ("transformer", "reg1a", own_kva / 2)
    assert row.passed_by == pytest.approx(own_kva / 2, rel=0.02)
    assert row.worth_usd_per_h == pytest.approx(limits.transformer_penalty_usd_per_kvah, rel=1e-6)
    assert not found.power_kw.any()
    # To feed back is worth much there, and is taken.
    back = Offers(offers.connection, -offers.power_kw / 4, np.full(len(offers.power_kw), 500.0))
    found = cleared(feeder, limits, back)
    np.testing.assert_array_equal(found.power_kw, back.power_kw)
    assert found.binding[0].passed_by < 0.9 * row.passed_by


def test_equal_offers_to_feed_back_share_what_a_limit_needs(feeder: Feeder) -> None:
    """All want the same price: losses say who is taken, and each moves those of the others."""
    limits = free(feeder)
    limits.transformer_kva[0] = 800.0
    one = offers_of(feeder, back=0)
    back = Offers(one.connection, -one.power_kw, np.full(len(one.power_kw), 500.0))
    found = cleared(feeder, limits, back)
    assert_limits_hold(feeder, limits, solved(feeder, found))
    assert_complementary(back, found)
    share = found.power_kw / back.power_kw
    assert ((share > 0.01) & (share < 0.99)).sum() > 10
    assert found.iterations < 12


def test_what_is_taken_falls_with_the_price_and_rises_with_its_worth(feeder: Feeder) -> None:
    scale, offers, limits = case_of(feeder, "transformer, line and low")
    clearing = Clearing(feeder, limits)
    taken: list[float] = []
    for price in (0.0, 30.0, 60.0, 120.0, 400.0):
        feeder.solve(scale, base_kw(feeder))
        taken.append(float(clearing.clear(scale, offers, price).power_kw.sum()))
    assert (np.diff(taken) <= 1e-2).all()
    assert taken[-1] < -100 < 1000 < taken[0]
    now = clearing.clear(scale, offers, 60.0).power_kw
    rises = 0
    for one in np.flatnonzero((now > 0.01) & (now < offers.power_kw - 0.01)):
        own: list[float] = []
        for more in (-40.0, 0.0, 40.0):
            usd_per_mwh = offers.usd_per_mwh.copy()
            usd_per_mwh[one] += more
            changed = replace(offers, usd_per_mwh=usd_per_mwh)
            own.append(float(clearing.clear(scale, changed, 60.0).power_kw[one]))
        assert (np.diff(own) >= -1e-3).all()
        rises += own[-1] > own[0] + 0.1
    assert rises >= 3


@pytest.mark.parametrize("kind", ["transformer", "line", "low", "high"])
def test_the_worth_of_limits_is_what_more_of_them_saves(feeder: Feeder, kind: str) -> None:
    """All limits of a kind are widened and tightened by the same share."""
    scale, offers, limits = case_of(
        feeder, "high" if kind == "high" else "transformer, line and low"
    )
    field, sign = {
        "transformer": ("transformer_kva", 1),
        "line": ("line_a", 1),
        "low": ("voltage_low_pu", -1),
        "high": ("voltage_high_pu", 1),
    }[kind]
    given, share = getattr(limits, field), 1e-5
    wider = replace(limits, **{field: given * (1 + sign * share)})
    tighter = replace(limits, **{field: given * (1 - sign * share)})
    saved = cleared(feeder, tighter, offers, scale).cost_usd_per_h
    saved -= cleared(feeder, wider, offers, scale).cost_usd_per_h
    rows = [r for r in cleared(feeder, limits, offers, scale).binding if r.kind in field]
    expected = sum(row.worth_usd_per_h * row.limit for row in rows)
    assert expected > 0
    assert saved / (2 * share) == pytest.approx(expected, rel=1e-3)


def test_more_than_the_feeder_could_carry_is_cut_to_its_ratings(feeder: Feeder) -> None:
    """Offers of 12 MW on a feeder made for 3.5: with all of them it has no solution."""
    one = offers_of(feeder, back=0)
    offers = replace(one, power_kw=one.power_kw * 6)
    feeder.solve(SCALE, np.zeros(len(feeder.service)))
    with pytest.raises(PowerFlowError):
        feeder.solve(SCALE, np.bincount(offers.connection, offers.power_kw).astype(float))
    limits = limits_of(feeder, voltage_low_pu=0.93)
    found = cleared(feeder, limits, offers)
    assert {row.kind for row in found.binding} >= {"transformer", "line"}
    assert_limits_hold(feeder, limits, solved(feeder, found))
    assert_complementary(offers, found)


@pytest.mark.parametrize("name", ["ieee123", "ieee13", "suburb"])
def test_what_is_found_fulfils_the_conditions_of_an_optimum(name: str) -> None:
    """Each offer takes what is worth its price, and only limits at their penalty are passed."""
    circuit = Circuit(feeders.load(name))
    home = np.full(STATIONS, name == "suburb")
    service, _ = connect_stations(circuit.layout, RATING_KW, FAST & ~home, home=home)
    feeder, iterations = Feeder(circuit, service), list[int]()
    count, kva = len(feeder.service), feeder.service.rating_kva
    for seed in range(12):
        rng = np.random.default_rng(seed)
        connection = rng.integers(0, count, 4 * count)
        power_kw = rng.uniform(-0.1, 0.5, 4 * count) * kva[connection]
        offers = Offers(connection, power_kw, np.round(rng.uniform(20, 300, 4 * count)))
        ratings, scale = limits_of(feeder), rng.uniform(0.2, 1)
        limits = replace(
            ratings,
            transformer_kva=ratings.transformer_kva * rng.uniform(0.5, 1.2, len(feeder.rating_kva)),
            line_a=ratings.line_a * rng.uniform(0.7, 1.2, len(feeder.line_ids)),
            voltage_low_pu=rng.uniform(0.94, 0.98),
            voltage_high_pu=rng.uniform(1.03, 1.06),
        )
        feeder.solve(scale, np.bincount(connection, 0.1 * power_kw, count).astype(float))
        found = Clearing(feeder, limits).clear(scale, offers, rng.uniform(-20, 200))
        iterations.append(found.iterations)
        assert_complementary(offers, found)
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
        feeder.lock_taps()
        used = solved(feeder, found, scale)
        feeder.lock_taps(False)
        used_kva = used.transformer_loading_pct * feeder.rating_kva / 100
        over = np.flatnonzero(used_kva > limits.transformer_kva * (1 + 2e-5))
        assert {feeder.transformer_ids[i] for i in over} <= passed
        low = np.flatnonzero(used.bus_voltage_pu < limits.voltage_low_pu - 2e-5)
        assert {f"{feeder.bus_ids[i]} low" for i in low} <= passed
    feeder.close()
    assert np.median(iterations) <= 8
    assert max(iterations) <= 30
