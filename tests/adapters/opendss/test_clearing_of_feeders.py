"""Clearings between the intervals of a run: no trace of them, several feeders, what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from adapters.opendss import clearing as module
from adapters.opendss.circuit import Circuit
from adapters.opendss.clearing import Clearing, refused
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.limits import KINDS, limits_of
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.offers import Offers
from adapters.opendss.response import VOLT_VAR
from adapters.opendss.service import connect_stations
from cosim.errors import ClearingError, PowerFlowError, ScenarioError
from networks import feeders
from tests.clearings import (
    FAST,
    HEAD_USD_PER_MWH,
    RATING_KW,
    SCALE,
    STATIONS,
    base_kw,
    built,
    case_of,
    cleared,
    free,
    offers_of,
)


@pytest.fixture(scope="module")
def feeder() -> Iterator[Feeder]:
    feeder = built()
    # Taps settle with some of it, and stay: what is cleared is told by OpenDSS without controls.
    feeder.solve(SCALE, base_kw(feeder))
    feeder.lock_taps()
    yield feeder
    feeder.close()


def test_clearing_leaves_no_trace(feeder: Feeder) -> None:
    """Days with and without clearings in between are the same to the last bit."""
    offers, limits = offers_of(feeder), limits_of(feeder)
    days: list[list[bytes]] = []
    for with_clearings in (False, True):
        one, day = built(), list[bytes]()
        clearing = Clearing(one, limits)
        for k in range(8):
            kw = np.random.default_rng(k).uniform(0, 20, len(one.service))
            tick, state = one.solve(0.3 + 0.1 * k, kw), one.state()
            if with_clearings:
                found = clearing.clear(0.4 + 0.1 * k, offers, HEAD_USD_PER_MWH)
                again = clearing.clear(0.4 + 0.1 * k, offers, HEAD_USD_PER_MWH)
                assert found.price_usd_per_mwh.tobytes() == again.price_usd_per_mwh.tobytes()
            for value in (*vars(tick).values(), *vars(state).values(), *vars(one.state()).values()):
                day.append(np.asarray(value).tobytes())
        assert np.ptp(one.state().tap_pu) > 0
        one.close()
        days.append(day)
    assert days[0] == days[1]


def test_all_that_is_wrong_is_told_at_once(feeder: Feeder) -> None:
    offers = offers_of(feeder)
    offers.power_kw[1], offers.usd_per_mwh[3], offers.connection[0] = np.nan, np.inf, 60
    with pytest.raises(ScenarioError) as raised:
        Clearing(feeder, free(feeder)).clear(-1.0, offers, np.nan)
    text = str(raised.value)
    assert "5 problems" in text
    assert f"offers.connection[0] is 60: from 0 to {len(feeder.service) - 1}" in text
    assert "offers.power_kw[1] is nan: a finite number" in text
    assert "offers.usd_per_mwh[3] is inf: a finite number" in text
    assert "head_usd_per_mwh[0] is nan" in text
    assert "load_scale is -1: a finite number at least 0" in text
    short = replace(offers_of(feeder), power_kw=np.ones(3))
    with pytest.raises(ScenarioError, match=r"offers.power_kw is of shape \(3,\): \(240,\)"):
        Clearing(feeder, free(feeder)).clear(SCALE, short, 40.0)


def test_wrong_limits_are_told_at_once(feeder: Feeder) -> None:
    limits = replace(limits_of(feeder), voltage_low_pu=1.1, line_penalty_usd_per_ah=0.0)
    limits.transformer_kva[0], limits.line_a[1] = np.nan, 0.0
    with pytest.raises(ScenarioError) as raised:
        Clearing(feeder, limits)
    text = str(raised.value)
    assert "4 problems" in text
    assert "limits.transformer_kva[reg1a] is nan: a number above 0" in text
    assert "limits.voltage_low_pu is 1.1: above 0 and below 1.05" in text


def test_limits_are_shares_of_ratings(feeder: Feeder) -> None:
    limits = limits_of(feeder, 80.0, 90.0, 0.97, 1.03)
    np.testing.assert_allclose(limits.transformer_kva, 0.8 * feeder.rating_kva)
    rated = feeder.layout.line_rated
    np.testing.assert_allclose(limits.line_a[rated], 0.9 * feeder.line_rating_a[rated])
    assert np.isinf(limits.line_a[~rated]).all()
    assert (limits.voltage_low_pu, limits.voltage_high_pu) == (0.97, 1.03)


def test_without_offers_or_without_an_answer(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = offers_of(feeder)
    nothing = replace(one, power_kw=np.zeros(len(one.power_kw)))
    found = cleared(feeder, free(feeder), nothing)
    assert not found.power_kw.any()
    assert not found.connection_kw.any()
    assert found.price_usd_per_mwh.min() > 0.9 * HEAD_USD_PER_MWH
    scale, offers, limits = case_of(feeder, "line")
    monkeypatch.setattr(module, "MOST_ITERATIONS", 2)
    with pytest.raises(ClearingError, match=r"connection st\w+\): no answer after 2 programmes"):
        cleared(feeder, limits, offers, scale)


def test_a_feeder_that_was_not_solved_since_it_was_restored_is_told(feeder: Feeder) -> None:
    one = built()
    clearing = Clearing(one, limits_of(one))
    with pytest.raises(PowerFlowError, match="has not been solved"):
        clearing.clear(SCALE, offers_of(one), 40.0)
    one.solve(SCALE, base_kw(one))
    one.restore(one.state())
    with pytest.raises(PowerFlowError, match="has not been solved"):
        clearing.clear(SCALE, offers_of(one), 40.0)
    one.close()


def test_feeders_that_cannot_be_cleared_are_refused() -> None:
    layout = Circuit(feeders.load("ieee13"))
    service, _ = connect_stations(layout.layout, RATING_KW, FAST)
    linear = LinearFeeder(layout, service)
    assert "solves every time" in refused(linear)
    with pytest.raises(PowerFlowError, match="solves every time"):
        Clearing(linear, limits_of(linear))
    linear.close()
    volt_var = Feeder(Circuit(feeders.load("ieee13")), service, volt_var=VOLT_VAR["category_b"])
    assert "without volt-var" in refused(volt_var)
    volt_var.close()
    circuit = Circuit(feeders.load("ieee13"))
    circuit.engine.Text.Command("new load.odd bus1=680 phases=3 kv=4.16 kw=1 model=7")
    other = Feeder(circuit, service)
    assert "nodal equations" in refused(other)
    assert "load odd" in refused(other)
    other.close()
    circuit = Circuit(feeders.load("ieee13"))
    circuit.engine.Text.Command(
        "new generator.g bus1=680 phases=3 kv=4.16 kw=10 model=3 maxkvar=50 minkvar=-50"
    )
    other = Feeder(circuit, service)
    assert "hold no voltage, unlike Generator.g" in refused(other)
    other.close()


def several() -> tuple[Feeders, Offers]:
    """Two feeders of 60 stations that take turns, and an offer at each station."""
    of_station = np.arange(2 * STATIONS) % 2
    grid = Feeders(
        feeders.load("ieee123"), 2, of_station, np.repeat(RATING_KW, 2), np.repeat(FAST, 2)
    )
    grid.solve(SCALE, np.full(grid.connection_count, 3.0))
    rng = np.random.default_rng(4)
    power_kw = rng.uniform(-0.3, 0.7, 2 * STATIONS) * np.repeat(RATING_KW, 2)
    offers = Offers(grid.connection_of_station, power_kw, rng.uniform(60, 300, 2 * STATIONS))
    return grid, offers


def test_several_feeders_are_cleared_each_by_itself() -> None:
    grid, offers = several()
    head = np.array([40.0, 90.0])
    free_of_limits = grid.clear(SCALE, offers, head)
    assert free_of_limits.power_kw.shape == offers.power_kw.shape
    held = [limits_of(one, transformer_pct=25, voltage_low_pu=0.99) for one in grid.each]
    grid.hold_to(held)
    found = grid.clear(SCALE, offers, head)
    assert {row.kind for row in found.binding} == {"transformer", "voltage"}
    known = {*grid.transformer_ids}
    known |= {f"{bus} {side}" for bus in grid.bus_ids for side in ("low", "high")}
    assert {row.id for row in found.binding} <= known
    assert {row.id[:4] for row in found.binding} == {"f00.", "f01."}
    first = len(grid.each[0].service)
    for i, one in enumerate(grid.each):
        here, own = offers.at(i * first, len(one.service))
        alone = Clearing(one, held[i]).clear(SCALE, own, head[i])
        assert found.power_kw[here].tobytes() == alone.power_kw.tobytes()
        mine = slice(i * first, i * first + len(one.service))
        parts = (
            found.charger_energy_usd_per_mwh
            + found.charger_loss_usd_per_mwh
            + found.charger_transformer_usd_per_mwh
            + found.charger_line_usd_per_mwh
            + found.charger_voltage_usd_per_mwh
        )
        np.testing.assert_allclose(parts[mine], alone.price_usd_per_mwh, rtol=0, atol=1e-8)
        assert found.charger_energy_usd_per_mwh[mine].tolist() == [head[i]] * len(one.service)
        buses = grid.feeder_of_bus == i
        np.testing.assert_array_equal(found.bus_loss_usd_per_mwh[buses], alone.bus_loss_usd_per_mwh)
        for kind, prices in zip(
            KINDS,
            (
                found.bus_transformer_usd_per_mwh,
                found.bus_line_usd_per_mwh,
                found.bus_voltage_usd_per_mwh,
            ),
            strict=True,
        ):
            expected = alone.bus_limits_usd_per_mwh[KINDS.index(kind)]
            np.testing.assert_array_equal(prices[buses], expected)
    assert found.bus_transformer_usd_per_mwh.max() > 0
    grid.close()


def test_a_feeder_without_an_answer_leaves_the_others_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid, offers = several()
    # Only at the first one limits bind, for which more than two programmes are needed.
    grid.hold_to(
        [limits_of(one, transformer_pct=p) for one, p in zip(grid.each, (25, 500), strict=True)]
    )
    with pytest.raises(ScenarioError, match=r"head_usd_per_mwh is of shape \(1,\): \(2,\)"):
        grid.clear(SCALE, offers, np.array([40.0]))
    whole = grid.clear(SCALE, offers, np.array([40.0, 40.0]))
    assert whole.failed == ()
    monkeypatch.setattr(module, "MOST_ITERATIONS", 2)
    found = grid.clear(SCALE, offers, np.array([40.0, 40.0]))
    (failure,) = found.failed
    assert (failure.feeder, failure.id) == (0, "f00")
    assert re.match(r"Clarabel \(feeder f00, connection st\w+\): no answer", failure.reason)
    assert {row.feeder for row in whole.binding} == {0}
    assert found.binding == ()
    first = offers.connection < len(grid.each[0].service)
    assert np.isnan(found.power_kw[first]).all()
    np.testing.assert_array_equal(found.power_kw[~first], whole.power_kw[~first])
    connections = np.arange(grid.connection_count) < len(grid.each[0].service)
    for name, there in (("charger", connections), ("bus", grid.feeder_of_bus == 0)):
        prices = getattr(found, f"{name}_transformer_usd_per_mwh")
        assert np.isnan(prices[there]).all()
        assert not prices[~there].any()
    grid.close()


def test_with_all_taken_the_next_solution_is_that_of_the_offers() -> None:
    """What is taken is what was offered, to the last bit, and so is what the feeders do next."""
    grid, offers = several()
    offers = replace(offers, usd_per_mwh=np.where(offers.power_kw < 0, 0.0, 1e3))
    state = grid.state()
    found = grid.clear(SCALE, offers, np.full(2, 40.0))
    assert found.power_kw.tobytes() == offers.power_kw.tobytes()
    ticks: list[bytes] = []
    for power_kw in (found.power_kw, offers.power_kw):
        grid.restore(state)
        kw = np.bincount(offers.connection, power_kw, grid.connection_count).astype(float)
        ticks.append(grid.solve(SCALE, kw).bus_voltage_pu.tobytes())
    assert ticks[0] == ticks[1]
    grid.close()
