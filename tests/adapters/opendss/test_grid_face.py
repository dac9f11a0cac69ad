"""The faces of grid and market, driven by hand as mosaik would drive them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from adapters.market.simulator import Market
from adapters.opendss import clearing
from adapters.opendss.simulator import Grid, LinearGrid
from cosim.assets import Assets
from cosim.errors import MarketError, PowerFlowError
from cosim.scenario import Scenario
from cosim.signals import SIGNALS, read_by
from cosim.simulator import EID

PLAIN: dict[str, Any] = {
    "start": "2022-09-14 23:50",
    "duration": "20min",
    "fleet": {"vehicles": 12, "stations": {"count": 8}},
}
CONSUMERS: dict[str, Any] = {
    **PLAIN,
    "start": "2022-09-14 18:00",
    "fleet": {"vehicles": 12, "segments": {"consumer": 1}, "stations": {"count": 2}},
}
SCENARIO = Scenario.model_validate(PLAIN)
NO_BIDS: dict[str, Any] = {
    "vehicle_offer_kw": np.zeros(12),
    "vehicle_offer_usd_per_mwh": np.zeros(12),
    "feeder_lmp_usd_per_mwh": np.zeros(1),
    "plug_most_kw": np.zeros(12),
    "plug_least_kw": np.zeros(12),
    "vehicle_reserve_usd_per_mw_h": np.full(12, -1.0),
}


def started(cls: type[Grid] | type[Market]) -> tuple[Any, dict[str, list[str]]]:
    simulator = cls()
    simulator.init("sid", scenario=SCENARIO.plain())
    (entity,) = simulator.create(1, next(iter(simulator.meta["models"])))
    info = entity["extra_info"]
    for dim, values in info["facts"].values():
        others = dim not in info["dimensions"]
        assert others or len(values) == len(info["dimensions"][dim])
    return simulator, info["dimensions"]


def stepped(simulator: Any, tick: int, given: dict[str, Any]) -> dict[str, Any]:
    given = {**NO_BIDS, **given}
    wanted = [signal.name for signal in read_by(simulator.role)]
    assert simulator.step(tick, {EID: {name: {"x": given[name]} for name in wanted}}, 10) == (
        tick + 1
    )
    return simulator._outputs


@pytest.fixture(scope="module")
def faces() -> Any:
    assets = Assets.of(SCENARIO)
    grid, grid_dims = started(Grid)
    market, market_dims = started(Market)
    ids = {
        "vehicle": list(assets.vehicles.ids),
        "station": list(assets.stations.ids),
        **grid_dims,
        **market_dims,
    }
    grid.bind(ids, {})
    market.bind(ids, {})
    yield grid, market, ids
    grid.finalize()
    market.finalize()


def test_a_tick_through_grid_and_market(faces: Any) -> None:
    grid, market, ids = faces
    power_kw = np.zeros(12)
    power_kw[:3] = [7.0, -5.0, 6.0]
    station = np.full(12, -1, dtype=np.int32)
    station[:3] = [0, 1, 0]
    given = {"vehicle_power_kw": power_kw, "vehicle_station": station}
    solved = stepped(grid, 0, given)
    assert solved["station_power_kw"].tolist() == [13.0, -5.0, 0, 0, 0, 0, 0, 0]
    assert solved["transformer_ev_kw"].sum() == pytest.approx(8.0)
    balance = solved["feeder_base_kw"] + 8.0 + solved["feeder_losses_kw"]
    assert float(solved["feeder_power_kw"]) == pytest.approx(float(balance), rel=1e-6)
    cleared = stepped(market, 0, {**given, **solved})
    price = cleared["lmp_usd_per_mwh"][ids["zone"].index("D")]
    assert cleared["vehicle_billed_kwh"].sum() == pytest.approx(8 / 12)
    at_station = price * (1 + solved["station_marginal_loss"])
    assert cleared["station_price_usd_per_mwh"] == pytest.approx(at_station)
    assert cleared["vehicle_cost_usd"][:2] == pytest.approx(
        [7 / 12 * at_station[0] / 1000, -5 / 12 * at_station[1] / 1000]
    )
    assert -0.02 < solved["station_marginal_loss"].min() < solved["station_marginal_loss"].max()
    feeder_mw = 40 * (float(solved["feeder_power_kw"]) - 3490) / 1000
    assert cleared["bus_load_mw"].tolist() == pytest.approx([0, 300, 300, 400 + feeder_mw, 0])


def test_the_load_follows_the_time_of_day(faces: Any) -> None:
    grid, _, _ = faces
    idle = {"vehicle_power_kw": np.zeros(12), "vehicle_station": np.full(12, -1, dtype=np.int32)}
    base = [float(stepped(grid, tick, idle)["feeder_base_kw"]) for tick in range(4)]
    # From 23:50 over midnight the shape falls without a jump.
    assert base == sorted(base, reverse=True)
    assert base[0] - base[-1] < 100


def test_facts_place_every_station_and_generator(faces: Any) -> None:
    grid, market, ids = faces
    dim, names = grid.facts()["station_transformer"]
    assert (dim, len(names)) == ("station", 8)
    assert set(names) <= set(ids["transformer"])
    assert market.facts()["generator_zone"] == ("generator", ["A", "A", "C", "D", "E"])


def test_errors_carry_the_tick(faces: Any) -> None:
    grid, market, _ = faces
    idle = {"vehicle_power_kw": np.zeros(12), "vehicle_station": np.full(12, -1, dtype=np.int32)}
    solved = stepped(grid, 1, idle)
    stray = {"vehicle_power_kw": np.ones(12), "vehicle_station": np.full(12, -1, dtype=np.int32)}
    with pytest.raises(PowerFlowError, match="at tick 2: 1 kW without a station") as info:
        stepped(grid, 2, stray)
    assert info.value.tick == 2
    with pytest.raises(MarketError, match=r"at tick 3.*lower market\.feeder_multiplier"):
        stepped(
            market,
            3,
            {**solved, **stray, "feeder_head_kw": np.array([-50_000.0])},
        )


def test_violations_become_events(faces: Any) -> None:
    grid, _, _ = faces
    power_kw = np.zeros(12)
    station = np.full(12, -1, dtype=np.int32)
    power_kw[0], station[0] = 60.0, 0
    idle = {"vehicle_power_kw": np.zeros(12), "vehicle_station": np.full(12, -1, dtype=np.int32)}
    begun = stepped(grid, 1, {"vehicle_power_kw": power_kw, "vehicle_station": station})
    overloads = [event for event in begun["grid_events"] if event["kind"] == "overload"]
    assert any(event["detail"] == "begin" and event["value"] > 100 for event in overloads)
    ended = stepped(grid, 2, idle)["grid_events"]
    assert any(event["detail"] == "end after 300 s" for event in ended)


@pytest.mark.parametrize("cls", [Grid, LinearGrid])
def test_volt_var_and_volt_watt_answer_low_voltage(cls: type[Grid]) -> None:
    """A heavily loaded feeder: chargers give reactive power at once and draw less a tick later."""
    signals: dict[str, dict[str, Any]] = {}
    station = Assets.of(Scenario.model_validate(CONSUMERS)).vehicles.private_station.max(axis=1)
    power_kw = np.where(station >= 0, 6.0, 0.0)
    for switch in ("off", "on"):
        volt_var = "category_b" if switch == "on" else "off"
        grid: dict[str, Any] = {"feeder": "suburb", "load_scale": 3.6}
        grid |= {"volt_watt": switch, "volt_var": volt_var}
        scenario = Scenario.model_validate({**CONSUMERS, "grid": grid})
        simulator = cls()
        assets = Assets.of(scenario)
        simulator.prepare(scenario, assets)
        given = {"vehicle_power_kw": power_kw, "vehicle_station": station}
        signals[switch] = [simulator.advance(tick, given) for tick in range(2)][-1]
        simulator.close()
    off, on = signals["off"], signals["on"]
    low = np.minimum(on["station_voltage_pu"], off["station_voltage_pu"]) < 0.98
    assert low.any()
    assert (on["station_voltage_pu"] > off["station_voltage_pu"])[low].all()
    assert off["transformer_ev_kvar"].min() >= 0 > on["transformer_ev_kvar"].min()
    assert not off["station_draw_withheld"].any()
    held = on["station_draw_withheld"] > 0
    assert (held == (on["station_voltage_pu"] < 0.94)).all()
    assert held.any()
    assert not on["station_feed_withheld"].any()


BIDDING: dict[str, Any] = {
    **CONSUMERS,
    "fleet": {"vehicles": 40, "segments": {"consumer": 1}, "stations": {"count": 2}},
    "duration": "10min",
    "grid": {"feeder": "suburb"},
    "market": {"bids": "on"},
}


def bidding_grid(**changes: Any) -> tuple[Grid, dict[str, Any], Any]:
    """Return a grid, inputs in which everybody at home offers 7 kW, and who feeds each home."""
    scenario = Scenario.model_validate(BIDDING | changes)
    simulator, assets = Grid(), Assets.of(scenario)
    simulator.prepare(scenario, assets)
    station = assets.vehicles.private_station.max(axis=1)
    names = np.array(simulator.facts()["station_transformer"][1])
    given = {
        "vehicle_power_kw": np.zeros(40),
        "vehicle_station": station,
        "vehicle_offer_kw": np.where(station >= 0, 7.0, 0.0),
        "vehicle_offer_usd_per_mwh": np.where(station >= 0, 100.0, 0.0) + np.arange(40),
        "feeder_lmp_usd_per_mwh": np.array([50.0]),
    }
    return simulator, given, np.where(station >= 0, names[station], "")


def test_offers_are_cleared_for_the_next_tick_and_priced_in_it() -> None:
    grid, given, fed_by = bidding_grid()
    first = grid.advance(0, given)
    assert not first["station_transformer_usd_per_mwh"].any()
    cleared_kw, offer_kw = first["vehicle_cleared_kw"], given["vehicle_offer_kw"]
    assert ((cleared_kw >= 0) & (cleared_kw <= offer_kw)).all()
    cut = cleared_kw < offer_kw - 1e-3
    assert cut.any()
    assert (cleared_kw[~cut] == offer_kw[~cut]).all()
    (event, *_) = [e for e in first["grid_events"] if e["kind"] == "limit_binding"]
    assert (event["time_s"], event["limit"]) == (300.0, pytest.approx(50.0, rel=2e-4))
    assert event["place"] in fed_by[cut]
    # What was cleared is drawn: nobody is above the rating, and those who were cut are at it.
    second = grid.advance(
        1, given | {"vehicle_power_kw": cleared_kw, "vehicle_offer_kw": np.zeros(40)}
    )
    loading = dict(
        zip(grid.dimensions()["transformer"], second["transformer_loading_pct"], strict=True)
    )
    assert max(loading.values()) <= 100.0
    assert all(loading[name] == pytest.approx(100.0, abs=0.02) for name in fed_by[cut])
    # Behind one transformer those with the lower bids are cut, and the price is theirs.
    price = second["station_transformer_usd_per_mwh"][given["vehicle_station"]]
    bid = given["vehicle_offer_usd_per_mwh"]
    for name in np.unique(fed_by[cut]):
        mine = fed_by == name
        assert bid[mine & cut].max() < bid[mine & ~cut].min(initial=np.inf)
        assert np.ptp(price[mine]) < 0.1 * price[mine].max()
    assert (price[cut] > 0).all()
    assert not price[(fed_by != "") & ~np.isin(fed_by, fed_by[cut])].any()
    assert second["dlmp_transformer_usd_per_mwh"].max() > 0
    # At the last tick all that binds has an end.
    assert any("end after 300 s" in e["detail"] for e in second["grid_events"])
    grid.close()


def test_a_clearing_without_an_answer_leaves_power_and_prices_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid, given, _ = bidding_grid(duration="15min")
    first = grid.advance(0, given)
    now_kw = first["vehicle_cleared_kw"]
    monkeypatch.setattr(clearing, "MOST_ITERATIONS", 1)
    second = grid.advance(1, given | {"vehicle_power_kw": now_kw})
    (event,) = [e for e in second["grid_events"] if e["kind"] == "clearing_failed"]
    assert (event["time_s"], event["place"]) == (600.0, "f00")
    assert re.match(r"Clarabel \(connection \w+\): no answer after 1", event["detail"])
    np.testing.assert_array_equal(second["vehicle_cleared_kw"], now_kw)
    third = grid.advance(2, given | {"vehicle_power_kw": now_kw})
    for name in ("station_transformer_usd_per_mwh", "dlmp_transformer_usd_per_mwh"):
        assert second[name].any()
        np.testing.assert_array_equal(third[name], second[name])
    # What bound goes on until the run ends; nothing follows the last tick.
    bound = [e for e in third["grid_events"] if e["kind"] == "limit_binding"]
    assert {e["detail"][:15] for e in bound} == {"end after 600 s"}
    assert not [e for e in third["grid_events"] if e["kind"] == "clearing_failed"]
    grid.close()


def test_the_highest_penalty_is_a_price_that_signals_carry() -> None:
    """A voltage that nothing can reach, at the highest value of lost load that a scenario has."""
    market = {"bids": "on", "value_of_lost_load_usd_per_mwh": 100_000.0}
    limits = {"feeder": "suburb", "limits": {"voltage_low_pu": 1.04}}
    grid, given, _ = bidding_grid(market=market, grid=limits)
    grid.advance(0, given)
    out = grid.advance(1, given | {"vehicle_offer_kw": np.zeros(40)})
    grid.close()
    for name in ("station_voltage_usd_per_mwh", "dlmp_voltage_usd_per_mwh"):
        assert out[name].max() > 1e7
        assert SIGNALS[name].low <= out[name].min()
        assert out[name].max() <= SIGNALS[name].high
    assert SIGNALS["station_price_usd_per_mwh"].high >= out["station_voltage_usd_per_mwh"].max()


def test_a_scenario_sets_the_limits() -> None:
    grid, given, _ = bidding_grid(grid={"feeder": "suburb", "limits": {"transformer_pct": 150}})
    assert (grid.advance(0, given)["vehicle_cleared_kw"] == given["vehicle_offer_kw"]).all()
    grid.close()
    limits = {"transformer_pct": 150, "voltage_low_pu": 1.01}
    grid, given, _ = bidding_grid(grid={"feeder": "suburb", "limits": limits})
    found = grid.advance(0, given)
    grid.close()
    assert (found["vehicle_cleared_kw"] < given["vehicle_offer_kw"]).any()
    binding = [e for e in found["grid_events"] if e["kind"] == "limit_binding"]
    assert binding
    assert all("voltage" in e["detail"] for e in binding)


def test_offers_that_are_all_taken_change_nothing_else() -> None:
    """Taps, voltages and losses are as without bids, to the last bit."""
    found: list[dict[str, Any]] = []
    for bids in ("on", "off"):
        wide = {"limits": {"voltage_high_pu": 1.1, "voltage_low_pu": 0.9}}
        scenario = Scenario.model_validate(PLAIN | {"market": {"bids": bids}, "grid": wide})
        grid = Grid()
        grid.prepare(scenario, Assets.of(scenario))
        rng, out = np.random.default_rng(0), dict[str, Any]()
        for tick in range(4):
            station = rng.integers(0, 8, 12).astype(np.int32)
            offer_kw = rng.uniform(-3, 3, 12)
            given = {"vehicle_power_kw": rng.uniform(-3, 3, 12), "vehicle_station": station}
            given |= {"vehicle_offer_kw": offer_kw, "feeder_lmp_usd_per_mwh": np.array([50.0])}
            given["vehicle_offer_usd_per_mwh"] = np.where(offer_kw > 0, 900.0, -900.0)
            out = grid.advance(tick, given)
            assert bids == "off" or (out.pop("vehicle_cleared_kw") == offer_kw).all()
        found.append(out)
        grid.close()
    for name, values in found[0].items():
        assert np.array_equal(values, found[1][name]), name


@pytest.mark.parametrize("cls", [Grid, LinearGrid])
def test_marginal_losses_are_taken_where_a_price_has_them(cls: type[Grid]) -> None:
    idle = {"vehicle_power_kw": np.zeros(12), "vehicle_station": np.full(12, -1, dtype=np.int32)}
    out: list[dict[str, Any]] = []
    for kind in ("five_bus", "time_of_use"):
        scenario = Scenario.model_validate({**PLAIN, "market": {"kind": kind}})
        simulator = cls()
        simulator.prepare(scenario, Assets.of(scenario))
        out.append([simulator.advance(tick, idle) for tick in range(2)][-1])
        simulator.close()
    for name in ("bus_marginal_loss", "station_marginal_loss"):
        priced, billed = (signals.pop(name) for signals in out)
        assert priced.shape == billed.shape
        assert np.abs(priced).min() > 0
        assert not billed.any()
    # Nothing else knows.
    for name, value in out[0].items():
        assert np.array_equal(value, out[1][name]), name
