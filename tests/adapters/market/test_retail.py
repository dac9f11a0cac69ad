"""Kinds with a supplier: the quadratic price, prices over time and the tariff, through the face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given as cases
from hypothesis import strategies as st
from numpy.typing import NDArray

import networks.feeders
import networks.prices
from adapters.market.retail import quadratic
from adapters.market.simulator import KINDS, LIMIT_KINDS, Market
from cosim.assets import Assets
from cosim.registry import BUILT_IN
from cosim.scenario import Scenario
from networks.prices import tariffs

NOMINAL_KW = networks.feeders.load("ieee123").load_kw
EVENING = {"start": "2022-09-14 15:00", "duration": "8h"}


def market_of(kind: str, feeders: int = 1, **fields: Any) -> tuple[Market, Scenario]:
    chosen = {"grid": {"feeders": feeders}, "market": {"kind": kind, **fields}}
    scenario = Scenario.model_validate(EVENING | chosen)
    market = Market()
    market.prepare(scenario, Assets.of(scenario))
    return market, scenario


STATIONS = 170


def given(
    head_kw: Any, power_kw: Any = (12.0,), station: Any = (0,), loss: float = 0.07
) -> dict[str, NDArray[Any]]:
    return {
        "feeder_head_kw": np.array(head_kw, dtype=float),
        "feeder_head_kvar": np.zeros(len(head_kw)),
        "vehicle_power_kw": np.array(power_kw, dtype=float),
        "vehicle_station": np.array(station, dtype=np.int32),
        "station_marginal_loss": np.full(STATIONS, loss),
        "bus_marginal_loss": np.array([0.0, loss]),
        "bus_feeder": np.zeros(2, dtype=np.int32),
        "plug_most_kw": np.maximum(np.array(power_kw, dtype=float), 0.0),
        "plug_least_kw": np.minimum(np.array(power_kw, dtype=float), 0.0),
        "vehicle_reserve_usd_per_mw_h": np.full(len(power_kw), -1.0),
        **{f"station_{kind}_usd_per_mwh": np.zeros(STATIONS) for kind in LIMIT_KINDS},
        **{f"dlmp_{kind}_usd_per_mwh": np.zeros(2) for kind in LIMIT_KINDS},
    }


def test_every_kind_that_ships_has_a_pricing() -> None:
    assert set(KINDS) == set(BUILT_IN["market"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_scenario_says_whether_losses_are_in_the_price(kind: str) -> None:
    market, scenario = market_of(kind)
    assert (market.facts()["zone_prices_losses"][1][0]) == scenario.market.prices_losses
    market.close()


def test_the_quadratic_price_is_that_of_the_feeder_of_the_station() -> None:
    market, scenario = market_of("quadratic", feeders=2)
    assert market.dimensions()["zone"] == ["f00", "f01"]
    feeder = Assets.of(scenario).stations.feeder
    stations = [int(np.argmax(feeder == f)) for f in range(2)]
    out = market.advance(0, given([1000.0, 3000.0], (12.0, -12.0), stations))
    # 8 L^2 + 8 L + 30 at 1 and 3 MW.
    assert out["lmp_usd_per_mwh"] == pytest.approx([46, 126])
    assert out["vehicle_cost_usd"] == pytest.approx([0.046, -0.126])
    ids = market.dimensions()["account"]
    own = ["operator", "feeders", "limits"]
    assert ids == ["load f00", "load f01", "supplier f00", "supplier f01", *own]
    # Other load draws 1 MW less the vehicle's power for five minutes.
    assert out["account_kwh"] == pytest.approx([1e3 / 12 - 1, 250 + 1, -1e3 / 12, -250, 0, 0, 0])
    assert out["vehicle_cost_usd"].sum() + out["account_usd"].sum() == pytest.approx(0)
    houses = market.facts()["account_counterparty"][1]
    assert houses == [
        "supplier f00",
        "supplier f01",
        "customers",
        "customers",
        "market",
        "operator",
        "operator",
    ]
    assert market.facts()["station_billed_by"][1][stations[1]] == "supplier f01"


CURVE = st.fixed_dictionaries(
    {
        "a_usd_per_mwh_per_mw2": st.floats(1e-3, 1e3),
        "b_usd_per_mwh_per_mw": st.floats(0, 1e3),
        "c_usd_per_mwh": st.floats(-100, 100),
    }
)


@cases(curve=CURVE, loads=st.lists(st.floats(0, 20_000), min_size=3, max_size=3, unique=True))
def test_the_quadratic_price_rises_and_is_convex(
    curve: dict[str, float], loads: list[float]
) -> None:
    """Assumptions 1 and 2 of the paper, for any coefficients that a scenario may have."""
    scenario = Scenario.model_validate({"market": {"kind": "quadratic", "quadratic": curve}})
    pricing = quadratic(scenario)
    low, middle, high = sorted(loads)

    def price(head_kw: float) -> float:
        return float(pricing.clear(0, np.array([head_kw]), np.zeros(1)).lmp_usd_per_mwh[0])

    share = (middle - low) / (high - low)
    chord = (1 - share) * price(low) + share * price(high)
    slack = 1e-9 * (1 + abs(price(high)))
    assert price(low) <= price(middle) + slack
    assert price(middle) <= chord + slack
    assert price(-high) == price(0) == curve["c_usd_per_mwh"]


def test_a_series_is_billed_as_it_stands() -> None:
    market, scenario = market_of("series", feeders=2)
    prices = networks.prices.day_ahead_usd_per_mwh("LZ_AEN", scenario.start_time, scenario.ticks)
    for tick in (0, 13, scenario.ticks - 1):
        out = market.advance(tick, given([3000.0, 5000.0]))
        assert out["lmp_usd_per_mwh"] == pytest.approx([prices[tick]])
        assert out["vehicle_cost_usd"] == pytest.approx([prices[tick] / 1000])
        assert out["bus_load_mw"] == pytest.approx([8.0])
    assert market.dimensions()["account"] == [
        "load LZ_AEN",
        "supplier",
        "operator",
        "feeders",
        "limits",
    ]
    assert market.about() == {"prices": "LZ_AEN, ERCOT day-ahead, hourly"}


def test_a_series_from_a_file_in_quarters_of_an_hour(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    rows = [f"2022-09-14T{15 + k // 4}:{k % 4 * 15:02d},{k},{-k}" for k in range(33)]
    file.write_text("\n".join(["time,north,south", *rows]))
    market, _ = market_of("series", prices=str(file), prices_zone="south")
    found = [
        float(market.advance(tick, given([0.0]))["lmp_usd_per_mwh"][0]) for tick in (0, 2, 3, 95)
    ]
    assert found == [0, 0, -1, -31]
    assert "south of mine.csv; every 15 min" in market.about()["prices"]
    five_bus, _ = market_of("five_bus", prices=str(file), prices_zone="north")
    out = five_bus.advance(95, given([NOMINAL_KW], loss=0.0))
    assert out["station_price_usd_per_mwh"][0] == pytest.approx(31)


def test_a_tariff_and_one_of_ones_own() -> None:
    market, _ = market_of("time_of_use")
    out = [market.advance(tick, given([3000.0])) for tick in (0, 59, 60)]
    # On-peak until eight o'clock in September.
    assert [float(o["vehicle_cost_usd"][0]) for o in out] == pytest.approx(
        [0.25145, 0.25145, 0.13786]
    )
    title = tariffs.load("wps_ev_charger_only").title
    assert market.about() == {"prices": title}
    own = [
        {"usd_per_kwh": 0.4, "hours": [[16, 21]]},
        {"usd_per_kwh": 0.1, "hours": [[0, 16], [21, 24]]},
    ]
    market, _ = market_of("time_of_use", periods=own)
    prices = [market.advance(tick, given([3000.0])) for tick in (11, 12, 71, 72)]
    found = [float(o["vehicle_cost_usd"][0]) for o in prices]
    assert found == pytest.approx([0.1, 0.4, 0.4, 0.1])
    assert market.dimensions()["zone"] == ["own tariff"]


@pytest.mark.parametrize("kind", ["five_bus", "series"])
def test_real_time_prices_settle_all_energy(kind: str) -> None:
    def bills(seed: int, real_time: str) -> NDArray[np.float64]:
        plain = {"seed": seed, "market": {"kind": kind, "real_time": real_time}}
        scenario = Scenario.model_validate(EVENING | plain)
        market = Market()
        market.prepare(scenario, Assets.of(scenario))
        out = [market.advance(tick, given([NOMINAL_KW])) for tick in range(scenario.ticks)]
        return np.array([float(o["vehicle_cost_usd"][0]) for o in out])

    day_ahead, moved = bills(1, "off"), bills(1, "on")
    ratio = moved / day_ahead
    assert len(np.unique(ratio.round(9))) == len(ratio)
    assert 0.05 < np.log(ratio).std() < 1.5
    assert bills(1, "on").tobytes() == moved.tobytes()
    assert not np.allclose(bills(2, "on"), moved)


def test_a_spike_never_offers_beyond_the_value_of_lost_load() -> None:
    spiky = {"spread": 0, "spikes_per_day": 100, "spike_h": 0.1, "spike_log_size": 0.9}
    market, _ = market_of(
        "five_bus",
        value_of_lost_load_usd_per_mwh=100,
        real_time="on",
        real_time_process=spiky,
    )
    out = [market.advance(tick, given([NOMINAL_KW])) for tick in range(96)]
    dearest = max(float(o["station_price_usd_per_mwh"][0]) for o in out)
    assert dearest == pytest.approx(100, rel=0.05)
    assert all(o["load_shed_mw"].sum() < 1e-6 for o in out)
