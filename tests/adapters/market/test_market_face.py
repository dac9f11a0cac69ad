"""The market face: bills at the price of the station's bus, and books that sum to zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import networks.feeders
import networks.prices
from adapters.market.simulator import LIMIT_KINDS, Market
from cosim.assets import Assets
from cosim.errors import MarketError
from cosim.scenario import Scenario

EVENING = {"start": "2022-09-14 15:00", "duration": "8h"}
STATIONS = 170
NOMINAL_KW = networks.feeders.load("ieee123").load_kw


def market_of(**fields: Any) -> tuple[Market, Scenario]:
    scenario = Scenario.model_validate(EVENING | fields)
    market = Market()
    market.prepare(scenario, Assets.of(scenario))
    return market, scenario


def given(
    head_kw: Any = NOMINAL_KW,
    power_kw: Any = (12.0,),
    station: Any = (0,),
    loss: float = 0.0,
    limits: float = 0.0,
) -> dict[str, NDArray[Any]]:
    return {
        "feeder_head_kw": np.atleast_1d(np.asarray(head_kw, dtype=float)),
        "feeder_head_kvar": 0.4 * np.atleast_1d(np.asarray(head_kw, dtype=float)),
        "vehicle_power_kw": np.array(power_kw, dtype=float),
        "vehicle_station": np.array(station, dtype=np.int32),
        "station_marginal_loss": np.full(STATIONS, loss),
        **{f"station_{kind}_usd_per_mwh": np.full(STATIONS, limits) for kind in LIMIT_KINDS},
        **{f"dlmp_{kind}_usd_per_mwh": np.array([0.0, limits]) for kind in LIMIT_KINDS},
        "bus_marginal_loss": np.array([0.0, loss]),
        "bus_feeder": np.zeros(2, dtype=np.int32),
        "plug_most_kw": np.maximum(power_kw, 20.0),
        "plug_least_kw": np.minimum(power_kw, 0.0),
        "vehicle_reserve_usd_per_mw_h": np.full(len(power_kw), -1.0),
    }


def paid_by_all(out: dict[str, Any]) -> float:
    return float(out["vehicle_cost_usd"].sum() + out["account_usd"].sum())


def test_each_hour_has_its_own_price() -> None:
    market, scenario = market_of()
    bus = market.dimensions()["zone"].index("D")
    ticks = [0, 11, 12, 40, scenario.ticks - 1]
    # At the feeder's nominal load the market has its published loads.
    out = [market.advance(tick, given()) for tick in ticks]
    price = np.array([float(o["lmp_usd_per_mwh"][bus]) for o in out])
    day_ahead = networks.prices.day_ahead_usd_per_mwh(
        scenario.market.prices, scenario.start_time, scenario.ticks
    )[ticks]
    assert price == pytest.approx(day_ahead)
    assert np.ptp(price) > 10
    assert price[0] == pytest.approx(price[1])
    # 12 kW for five minutes is a kilowatt-hour.
    cost = np.array([float(o["vehicle_cost_usd"][0]) for o in out])
    assert cost == pytest.approx(day_ahead / 1000)


def test_a_tick_settles_to_zero_and_every_party_is_there() -> None:
    market, _ = market_of()
    ids = market.dimensions()["account"]
    out = market.advance(0, given(power_kw=(12.0, -6.0, 0.0), station=(0, 3, -1)))
    assert paid_by_all(out) == pytest.approx(0, abs=1e-6)
    booked = dict(zip(ids, zip(out["account_kwh"], out["account_usd"], strict=True), strict=True))
    # 300 MW at bus B for five minutes; at D the vehicles' half kilowatt-hour is not other load.
    assert booked["load B"][0] == pytest.approx(25_000)
    assert booked["load D"][0] == pytest.approx(400_000 / 12 - 0.5)
    assert booked["load A"] == (0, 0)
    assert booked["Brighton"][1] < 0
    assert booked["operator"] == (0, -float(out["congestion_rent_usd"]))
    assert out["congestion_rent_usd"] > 0
    assert out["account_kwh"].sum() == pytest.approx(-0.5)


def test_what_a_station_makes_the_feeder_lose_is_in_its_price() -> None:
    market, _ = market_of()
    out = market.advance(0, given(power_kw=(12.0, -6.0), station=(0, 3), loss=0.07))
    price = float(out["lmp_usd_per_mwh"][market.dimensions()["zone"].index("D")])
    assert out["station_price_usd_per_mwh"] == pytest.approx(np.full(STATIONS, 1.07 * price))
    assert out["station_loss_usd_per_mwh"] == pytest.approx(np.full(STATIONS, 0.07 * price))
    assert out["vehicle_cost_usd"] == pytest.approx([1.07 * price / 1000, -0.535 * price / 1000])
    booked = dict(zip(market.dimensions()["account"], out["account_usd"], strict=True))
    assert booked["feeders"] == pytest.approx(-0.5 * 0.07 * price / 1000)
    assert paid_by_all(out) == pytest.approx(0, abs=1e-6)
    assert out["dlmp_usd_per_mwh"] == pytest.approx([price, 1.07 * price])
    parts = out["dlmp_energy_usd_per_mwh"] + out["dlmp_loss_usd_per_mwh"]
    assert out["dlmp_usd_per_mwh"] == pytest.approx(parts, abs=1e-8)


def test_what_limits_cost_is_in_the_price_and_goes_to_an_account_of_its_own() -> None:
    market, _ = market_of()
    out = market.advance(0, given(power_kw=(12.0, -6.0), station=(0, 3), loss=0.07, limits=20.0))
    price = float(out["lmp_usd_per_mwh"][market.dimensions()["zone"].index("D")])
    assert out["station_price_usd_per_mwh"] == pytest.approx(np.full(STATIONS, 1.07 * price + 60))
    assert out["vehicle_limits_usd"] == pytest.approx([0.06, -0.03])
    assert out["vehicle_cost_usd"] == pytest.approx(
        np.array([1.0, -0.5]) * (1.07 * price + 60) / 1000
    )
    booked = dict(zip(market.dimensions()["account"], out["account_usd"], strict=True))
    assert booked["limits"] == pytest.approx(-0.03)
    assert booked["feeders"] == pytest.approx(-0.5 * 0.07 * price / 1000)
    assert paid_by_all(out) == pytest.approx(0, abs=1e-6)
    assert out["dlmp_congestion_usd_per_mwh"] == pytest.approx([0, 40])
    assert out["dlmp_usd_per_mwh"] == pytest.approx([price, 1.07 * price + 60])


def test_the_price_at_the_head_is_told_for_the_next_clearing() -> None:
    fields = {"grid": {"feeders": 3}, "market": {"feeder_bus": ["B", "D", "D"]}}
    market, scenario = market_of(**fields)
    path = networks.prices.day_ahead_usd_per_mwh(
        scenario.market.prices, scenario.start_time, scenario.ticks
    )
    opening = market.initial()["feeder_lmp_usd_per_mwh"]
    assert opening == pytest.approx(np.full(3, path[0]))
    out = market.advance(0, given(np.full(3, NOMINAL_KW)))
    price = dict(zip("ABCDE", out["lmp_usd_per_mwh"], strict=True))
    assert out["feeder_lmp_usd_per_mwh"].tolist() == [price["B"], price["D"], price["D"]]


def test_lines_carry_the_dispatch_with_losses() -> None:
    market, _ = market_of()
    out = market.advance(0, given())
    lines, limit = market.dimensions()["market_line"], dict(zip(*_limits(market), strict=True))
    carried = dict(zip(lines, out["market_line_ac_mw"], strict=True))
    direct = dict(zip(lines, out["market_line_flow_mw"], strict=True))
    assert limit["D-E"] == 240
    assert direct["D-E"] == pytest.approx(-240)
    assert carried["D-E"] == pytest.approx(-240, abs=4)
    assert max(abs(carried[line] - direct[line]) for line in lines) < 6
    assert 3 < out["transmission_losses_mw"] < 10
    at_d = market.dimensions()["transmission_bus"].index("D")
    drop_pu = out["transmission_voltage_pu"][at_d] - out["substation_voltage_pu"][at_d]
    # 63 % of the rating at 0.4 reactive, over 0.5 + j8 %.
    assert drop_pu == pytest.approx(0.63 * (0.005 + 0.4 * 0.08), rel=0.15)
    market.close()


def _limits(market: Market) -> tuple[list[str], list[float]]:
    _, limits = market.facts()["market_line_limit_mw"]
    return market.dimensions()["market_line"], limits


def test_feeders_stand_at_their_buses_and_vehicles_pay_there() -> None:
    fields = {"grid": {"feeders": 3}, "market": {"feeder_bus": ["B", "D", "D"]}}
    market, scenario = market_of(**fields)
    assert market.facts()["feeder_zone"] == ("feeder", ["B", "D", "D"])
    assert market.facts()["feeder_weight"] == ("feeder", [40.0, 20.0, 20.0])
    feeder = Assets.of(scenario).stations.feeder
    stations = [int(np.argmax(feeder == f)) for f in range(3)]
    heads = np.array([500.0, 100.0, 300.0]) + NOMINAL_KW
    out = market.advance(0, given(heads, (12.0, 12.0, 12.0), stations))
    # 40 feeders with 500 kW more at B, 40 with 200 kW more at D.
    assert out["bus_load_mw"] == pytest.approx([0, 320, 300, 408, 0])
    price = dict(zip("ABCDE", out["lmp_usd_per_mwh"], strict=True))
    assert price["B"] != pytest.approx(price["D"], rel=0.01)
    expected = [price["B"] / 1000, price["D"] / 1000, price["D"] / 1000]
    assert out["vehicle_cost_usd"] == pytest.approx(expected)
    assert out["station_price_usd_per_mwh"][stations] == pytest.approx(1000 * np.array(expected))
    assert paid_by_all(out) == pytest.approx(0, abs=1e-6)


def test_load_beyond_the_generators_is_priced_at_its_value_and_told() -> None:
    market, _ = market_of(market={"value_of_lost_load_usd_per_mwh": 7000})
    # 40 feeders with 17 MW more each.
    out = market.advance(2, given(NOMINAL_KW + 17_000))
    bus = market.dimensions()["zone"].index("D")
    assert out["lmp_usd_per_mwh"][bus] == pytest.approx(7000)
    assert out["vehicle_cost_usd"] == pytest.approx([7.0])
    (event,) = out["market_events"]
    assert (event["kind"], event["place"], event["time_s"]) == ("load_shed", "D", 600.0)
    assert event["value"] == pytest.approx(float(out["load_shed_mw"][bus]))
    assert out["load_shed_mw"].sum() > 100
    # Cents of some hundred thousand dollars.
    assert paid_by_all(out) == pytest.approx(0, abs=0.01)


def test_failures_say_when_and_where() -> None:
    market, _ = market_of()
    with pytest.raises(MarketError, match=r"at tick 3.*lower market\.feeder_multiplier"):
        market.advance(3, given(-50_000.0))
    with pytest.raises(MarketError, match=r"vehicle 1.*without a station"):
        market.advance(3, given(power_kw=(1.0, 1.0), station=(0, -1)))
