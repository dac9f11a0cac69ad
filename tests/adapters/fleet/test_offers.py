"""What plugged-in vehicles offer, and how they keep to what is cleared."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from adapters.fleet.operations import Feedback, Operations, Orders
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import LEGS, VIA

FLEET = {"vehicles": 4, "stations": {"count": 3, "level_2": 0, "dc_fast": 0, "v2g": 1}}


class Parked:
    """A fleet that stands where its first station is; `CARS` are sent to plug in there."""

    def __init__(self, bids: str = "on") -> None:
        self.scenario = Scenario.model_validate({"fleet": FLEET, "market": {"bids": bids}})
        self.assets = Assets.of(self.scenario)
        self.count, stations = len(self.assets.vehicles.ids), self.assets.stations
        self.operations = Operations(self.scenario, self.assets)
        edge = np.full(self.count, stations.edge[0], np.int32)
        self.heard: dict[str, Any] = {
            "vehicle_edge": edge,
            "vehicle_driving": np.zeros(self.count, bool),
            "legs_completed": np.zeros(self.count, np.int32),
            "leg_arrival_s": np.full((self.count, LEGS), -1.0),
            "itinerary_refused": np.zeros(self.count, bool),
            "vehicle_power_kw": np.zeros(self.count),
            "battery_traction_kwh": np.zeros(self.count),
            "traction_shortfall_kwh": np.zeros(self.count),
            "vehicle_soc": np.full(self.count, 0.5),
            "vehicle_charge_limit_kw": np.full(self.count, 60.0),
            "vehicle_discharge_limit_kw": np.full(self.count, 60.0),
            "station_draw_withheld": np.zeros(len(stations.ids)),
            "station_feed_withheld": np.zeros(len(stations.ids)),
            "vehicle_cleared_kw": np.zeros(self.count),
            "vehicle_called": np.zeros(self.count, bool),
            "vehicle_call_kw": np.zeros(self.count),
        }
        self.ordered: dict[str, Any] = {
            "request_vehicle": np.full(len(self.operations.requests.asked_s), -1, np.int32),
            "vehicle_goto_station": np.full(self.count, -1, np.int32),
            "vehicle_charge_kw": np.full(self.count, 6.0),
            "vehicle_target_soc": np.full(self.count, 0.9),
            "vehicle_bid_usd_per_mwh": np.arange(self.count) + 100.0,
            "vehicle_ask_usd_per_mwh": np.arange(self.count) + 300.0,
            "vehicle_via_edge": np.full((self.count, VIA), -1, np.int32),
        }
        self.tick = 0

    def step(self, goto: int = -1) -> dict[str, Any]:
        """Play a tick, in which vehicle 0 may be sent to a station."""
        self.ordered["vehicle_goto_station"][0] = goto
        back = Feedback(**{f.name: self.heard[f.name].copy() for f in fields(Feedback)})
        orders = Orders(**{f.name: self.ordered[f.name].copy() for f in fields(Orders)})
        out = self.operations.advance(self.tick, back, orders)
        self.tick += 1
        return out

    def hear(self, name: str, value: float) -> None:
        self.heard[name][0] = value


def plugged(bids: str = "on") -> tuple[Parked, dict[str, Any]]:
    """Return a fleet with vehicle 0 just plugged in at station 0, and that tick."""
    fleet = Parked(bids)
    out = fleet.step(goto=0)
    assert out["vehicle_station"].tolist() == [0, -1, -1, -1]
    return fleet, out


def test_one_that_has_just_plugged_in_offers_and_waits_a_tick() -> None:
    fleet, out = plugged()
    assert out["plug_power_kw"].tolist() == [0, 0, 0, 0]
    assert out["vehicle_offer_kw"].tolist() == [6.0, 0, 0, 0]
    assert out["vehicle_offer_usd_per_mwh"].tolist() == [100.0, 0, 0, 0]
    fleet.hear("vehicle_cleared_kw", 6.0)
    assert fleet.step()["plug_power_kw"].tolist() == [6.0, 0, 0, 0]


def test_without_bids_nothing_is_offered_and_nobody_waits() -> None:
    _, out = plugged("off")
    assert out["plug_power_kw"].tolist() == [6.0, 0, 0, 0]
    assert not out["vehicle_offer_kw"].any()
    assert not out["vehicle_offer_usd_per_mwh"].any()


@pytest.mark.parametrize(
    ("set_point_kw", "cleared_kw", "power_kw"),
    [(6.0, 6.0, 6.0), (6.0, 2.5, 2.5), (1.0, 2.5, 1.0), (6.0, -2.5, 0.0), (-6.0, -2.5, -2.5),
     (-6.0, 2.5, 0.0), (-1.0, -2.5, -1.0)],
)  # fmt: skip
def test_power_keeps_to_what_was_cleared_and_its_direction(
    set_point_kw: float, cleared_kw: float, power_kw: float
) -> None:
    fleet, _ = plugged()
    fleet.hear("vehicle_cleared_kw", cleared_kw)
    fleet.ordered["vehicle_charge_kw"][0] = set_point_kw
    assert fleet.step()["plug_power_kw"][0] == power_kw


def test_who_feeds_back_asks_and_who_draws_bids() -> None:
    fleet, _ = plugged()
    fleet.ordered["vehicle_charge_kw"][0] = -5.0
    out = fleet.step()
    assert (out["vehicle_offer_kw"][0], out["vehicle_offer_usd_per_mwh"][0]) == (-5.0, 300.0)


def test_what_is_cleared_at_a_station_holds_there_alone() -> None:
    fleet, _ = plugged()
    # Full: it leaves, and goes to the next station, where it plugs in at once.
    fleet.hear("vehicle_soc", 0.95)
    fleet.hear("vehicle_cleared_kw", 6.0)
    assert fleet.step()["vehicle_station"][0] == -1
    fleet.hear("vehicle_soc", 0.5)
    fleet.heard["vehicle_edge"][:] = fleet.assets.stations.edge[1]
    out = fleet.step(goto=1)
    assert out["vehicle_station"][0] == 1
    assert out["plug_power_kw"][0] == 0
    assert fleet.step()["plug_power_kw"][0] == 6.0


def test_the_offer_is_of_the_charge_after_this_tick() -> None:
    fleet, _ = plugged()
    battery_kwh = fleet.assets.vehicles.per_vehicle("battery_kwh")[0]
    efficiency = fleet.assets.vehicles.per_vehicle("dc_charge_efficiency")[0]
    # 0.8 kWh are missing at the target; at 6 kW this tick brings 0.5 kWh less losses.
    fleet.hear("vehicle_soc", 0.9 - 0.8 / battery_kwh)
    fleet.hear("vehicle_cleared_kw", 6.0)
    out = fleet.step()
    assert out["plug_power_kw"][0] == 6.0
    left_kwh = 0.8 - 0.5 * efficiency
    assert out["vehicle_offer_kw"][0] == pytest.approx(12 * left_kwh / efficiency)
