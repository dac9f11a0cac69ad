"""Offers of vehicles on their way to the clearing and back, and limits that bind as events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.opendss.bidding import HAIR, Bidding, BindingWatch
from adapters.opendss.cleared import Binding, Failure, FeedersCleared
from adapters.opendss.offers import Offers
from adapters.opendss.simulator import Grid
from cosim.assets import Assets
from cosim.scenario import LEAST_BAND_PU, Scenario

AT = np.array([2, 0, 2])
"""Connection of each of three stations."""


class HalfTaken:
    """Feeders of three connections and two nodes that take half of every offer."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, Offers, Any]] = []

    def clear(self, load_scale: float, offers: Offers, head_usd_per_mwh: Any) -> FeedersCleared:
        self.seen.append((load_scale, offers, head_usd_per_mwh))
        worth = float(len(self.seen))
        at, of = np.arange(3.0), np.arange(2.0)
        return FeedersCleared(
            power_kw=offers.power_kw / 2,
            charger_transformer_usd_per_mwh=at + 10 * worth,
            charger_line_usd_per_mwh=at + 20 * worth,
            charger_voltage_usd_per_mwh=at + 30 * worth,
            bus_transformer_usd_per_mwh=of + 10 * worth,
            bus_line_usd_per_mwh=of + 20 * worth,
            bus_voltage_usd_per_mwh=of + 30 * worth,
            charger_energy_usd_per_mwh=np.zeros(3),
            charger_loss_usd_per_mwh=np.zeros(3),
            bus_loss_usd_per_mwh=np.zeros(2),
            binding=(),
        )


def test_vehicles_get_their_own_offer_back_and_stations_the_price_of_their_connection() -> None:
    feeders = HalfTaken()
    bidding = Bidding(feeders, AT, 2)
    assert all((values == 0).all() for values in bidding.prices.values())
    offer_kw = np.array([0.0, 6.0, -4.0, 8.0, 0.0])
    usd = np.array([0.0, 100.0, 60.0, 50.0, 0.0])
    station = np.array([-1, 0, 1, 2, 0], dtype=np.int32)
    now_kw = np.zeros(5)
    cleared_kw, _, _ = bidding.clear(0.7, offer_kw, usd, station, now_kw, np.array([45.0]))
    assert cleared_kw.tolist() == [0.0, 3.0, -2.0, 4.0, 0.0]
    load_scale, offers, head = feeders.seen[0]
    assert (load_scale, head.tolist()) == (0.7, [45.0])
    assert offers.connection.tolist() == [2, 0, 2]
    assert offers.power_kw.tolist() == [6.0, -4.0, 8.0]
    assert offers.usd_per_mwh.tolist() == [100.0, 60.0, 50.0]
    assert bidding.prices["station_line_usd_per_mwh"].tolist() == [22.0, 20.0, 22.0]
    assert bidding.prices["dlmp_voltage_usd_per_mwh"].tolist() == [30.0, 31.0]
    # With no offers there is a price all the same.
    bidding.clear(0.7, np.zeros(5), np.zeros(5), station, now_kw, np.array([45.0]))
    assert feeders.seen[1][1].power_kw.size == 0
    assert bidding.prices["station_transformer_usd_per_mwh"].tolist() == [22.0, 20.0, 22.0]


class FirstFails(HalfTaken):
    """The same, connections 0 and 1 and the first node at a feeder that fails the second time."""

    def clear(self, load_scale: float, offers: Offers, head_usd_per_mwh: Any) -> FeedersCleared:
        found = super().clear(load_scale, offers, head_usd_per_mwh)
        time = len(self.seen)
        rows = [replace(bound(float(time), f"t{i}"), feeder=i) for i in (0, 1)]
        if time != 2:
            return replace(found, binding=tuple(rows))
        charger, node = np.array([True, True, False]), np.array([True, False])
        unknown = {
            name: np.where(charger if len(values) == 3 else node, np.nan, values)
            for name, values in vars(found).items()
            if name.endswith("_usd_per_mwh")
        }
        power_kw = np.where(charger[offers.connection], np.nan, found.power_kw)
        failed = (Failure(0, "f00", "no answer"),)
        return replace(found, power_kw=power_kw, **unknown, binding=(rows[1],), failed=failed)


def test_without_an_answer_what_was_found_last_stands() -> None:
    bidding = Bidding(FirstFails(), AT, 2)
    station = np.array([1, 1, 1, 1, 1, 2], dtype=np.int32)
    offer_kw = np.array([8.0, 8.0, 8.0, -6.0, -6.0, 8.0])
    now_kw = np.array([0.0, 5.0, 9.0, -2.0, 3.0, 1.0])
    given = (0.7, offer_kw, np.full(6, 50.0), station, now_kw, np.array([45.0, 45.0]))
    bidding.clear(*given)
    cleared_kw, binding, failed = bidding.clear(*given)
    # No more than now, and of what is offered; at the other feeder what was found.
    assert cleared_kw.tolist() == [0.0, 5.0, 8.0, -2.0, 0.0, 4.0]
    assert [one.id for one in failed] == ["f00"]
    assert bidding.prices["station_line_usd_per_mwh"].tolist() == [42.0, 20.0, 42.0]
    assert bidding.prices["dlmp_line_usd_per_mwh"].tolist() == [20.0, 41.0]
    assert {row.id: row.worth_usd_per_h for row in binding} == {"t0": 1.0, "t1": 2.0}
    cleared_kw, binding, failed = bidding.clear(*given)
    assert cleared_kw.tolist() == (offer_kw / 2).tolist()
    assert {row.id: row.worth_usd_per_h for row in binding} == {"t0": 3.0, "t1": 3.0}
    assert failed == ()


def test_without_any_answer_nothing_is_priced() -> None:
    feeders = FirstFails()
    nothing = np.zeros(0)
    feeders.seen = [(0.7, Offers(np.zeros(0, np.int64), nothing, nothing), None)]
    bidding = Bidding(feeders, AT, 2)
    one = np.array([1], dtype=np.int32)
    cleared_kw, binding, _ = bidding.clear(
        0.7, np.array([8.0]), np.array([50.0]), one, np.array([2.0]), np.array([45.0, 45.0])
    )
    assert cleared_kw.tolist() == [2.0]
    assert [row.id for row in binding] == ["t1"]
    assert bidding.prices["station_line_usd_per_mwh"].tolist() == [42.0, 0.0, 42.0]


def bound(worth: float, name: str = "t11", kind: str = "transformer") -> Binding:
    return Binding(kind=kind, id=name, limit=50.0, passed_by=0.0, worth_usd_per_h=worth)


def test_a_limit_that_binds_has_a_begin_and_an_end() -> None:
    watch = BindingWatch()
    (begin,) = watch.update(300.0, [bound(0.2)])
    assert (begin["kind"], begin["place"], begin["limit"]) == ("limit_binding", "t11", 50.0)
    assert (begin["time_s"], begin["start_s"], begin["value"]) == (300.0, 300.0, 0.2)
    assert begin["detail"] == "begin; transformer, worth in USD/kVAh"
    assert watch.update(600.0, [bound(0.5)]) == []
    # A line of the same name is another limit.
    (other,) = watch.update(900.0, [bound(0.3), bound(0.1, kind="line")])
    assert other["detail"] == "begin; line, worth in USD/Ah"
    (end,) = watch.update(1200.0, [bound(0.1, kind="line")])
    assert (end["time_s"], end["start_s"], end["value"]) == (1200.0, 300.0, 0.5)
    assert end["detail"] == "end after 900 s; transformer, highest worth in USD/kVAh"
    assert [e["time_s"] for e in watch.finish(1500.0)] == [1500.0]
    assert watch.finish(1800.0) == []


@pytest.mark.parametrize("worse_first", [True, False])
def test_the_end_tells_the_highest_worth(worse_first: bool) -> None:
    watch = BindingWatch()
    for time_s, worth in zip((300.0, 600.0), sorted((0.1, 0.9), reverse=worse_first), strict=True):
        watch.update(time_s, [bound(worth)])
    (end,) = watch.update(900.0, [])
    assert end["value"] == 0.9


@pytest.mark.parametrize("low_pu", [0.5, 1.0, 1.499])
def test_the_narrowest_band_of_a_scenario_can_be_held(low_pu: float) -> None:
    assert low_pu * (1 + HAIR) < (low_pu + LEAST_BAND_PU) * (1 - HAIR)


@pytest.mark.parametrize("lost_load_usd_per_mwh", [1000.0, 5000.0, 100_000.0])
def test_no_bid_is_worth_passing_a_limit(lost_load_usd_per_mwh: float) -> None:
    scenario = Scenario.model_validate(
        {
            "start": "2022-09-14 18:00",
            "duration": "10min",
            "fleet": {"vehicles": 40, "segments": {"consumer": 1}, "stations": {"count": 2}},
            "grid": {"feeder": "suburb", "limits": {"line_pct": 20, "transformer_pct": 1000}},
            "market": {"bids": "on", "value_of_lost_load_usd_per_mwh": lost_load_usd_per_mwh},
        }
    )
    grid, assets = Grid(), Assets.of(scenario)
    grid.prepare(scenario, assets)
    station = assets.vehicles.private_station.max(axis=1)
    home = station >= 0
    given = {
        "vehicle_power_kw": np.zeros(40),
        "vehicle_station": station,
        "vehicle_offer_kw": np.where(home, 7.0, 0.0),
        "vehicle_offer_usd_per_mwh": np.where(home, lost_load_usd_per_mwh, 0.0),
        "feeder_lmp_usd_per_mwh": np.array([50.0]),
    }
    cleared_kw = grid.advance(0, given)["vehicle_cleared_kw"]
    after = grid.advance(1, given | {"vehicle_power_kw": cleared_kw})
    grid.close()
    assert 0 < cleared_kw.sum() < given["vehicle_offer_kw"].sum()
    assert after["line_loading_pct"].max() <= 20
    assert after["line_loading_pct"].max() == pytest.approx(20, abs=0.01)
