"""Fleet operations against a toy city: whatever a team orders, the fleet's laws hold."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fleet.operations import Feedback, Operations, Orders
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import LEGS, TICK_S, VIA
from cosim.team import RequestStatus, Status

SCENARIO = Scenario.model_validate(
    {
        "duration": "6h",
        "start": "2022-09-14 08:00",
        "fleet": {
            "vehicles": 12,
            "stations": {"count": 4, "level_2": 0.5, "dc_fast": 0.25, "v2g": 0.25},
        },
        "demand": {"ride_share": {"trips_per_vehicle_day": 40}},
    }
)
ASSETS = Assets.of(SCENARIO)
COUNT = 12
MIXED = Scenario.model_validate(
    {
        "duration": "12h",
        "start": "2022-09-14 06:00",
        "fleet": {
            "vehicles": COUNT,
            "segments": {
                "ride_share": 1, "delivery": 1, "commute": 1, "transit": 1, "consumer": 1,
            },
            "stations": {
                "count": 4, "level_2": 0.5, "dc_fast": 0.25, "v2g": 0.25, "site_share": 0.6,
            },
        },
        "demand": {
            "ride_share": {"trips_per_vehicle_day": 40},
            "delivery": {"depot_share": 0.5},
            "commute": {"work_ports_per_vehicle": 1.0},
        },
    }
)  # fmt: skip


NO_VIA = np.full((COUNT, VIA), -1, dtype=np.int32)
ENDED = (RequestStatus.SERVED, RequestStatus.EXPIRED, RequestStatus.FAILED)


class ToyCity:
    """Stands in for traffic and battery: legs take a random time, batteries drain and fill."""

    def __init__(self, seed: int, scenario: Scenario = SCENARIO) -> None:
        self.rng = np.random.default_rng(seed)
        self.assets = Assets.of(scenario)
        self.operations = Operations(scenario, self.assets)
        self.itinerary = np.full((COUNT, LEGS), -1)
        self.edge = self.assets.vehicles.home_edge.copy()
        self.done = np.zeros(COUNT, dtype=np.int32)
        self.arrival = np.full((COUNT, LEGS), -1.0)
        self.driving = np.zeros(COUNT, dtype=bool)
        self.refused = np.zeros(COUNT, dtype=bool)
        self.power = np.zeros(COUNT)
        self.shortfall = np.zeros(COUNT)
        self.soc = self.assets.vehicles.initial_soc.copy()
        self.tick = 0
        self.events: list[dict[str, Any]] = []

    def feedback(self) -> Feedback:
        return Feedback(
            vehicle_edge=self.edge.copy(),
            vehicle_driving=self.driving.copy(),
            legs_completed=self.done.copy(),
            leg_arrival_s=self.arrival.copy(),
            itinerary_refused=self.refused.copy(),
            vehicle_power_kw=self.power.copy(),
            battery_traction_kwh=np.zeros(COUNT),
            traction_shortfall_kwh=self.shortfall.copy(),
            vehicle_soc=self.soc.copy(),
            vehicle_charge_limit_kw=np.full(COUNT, 60.0),
            vehicle_discharge_limit_kw=np.full(COUNT, 60.0),
            station_draw_withheld=np.zeros(len(self.assets.stations.ids)),
            station_feed_withheld=np.zeros(len(self.assets.stations.ids)),
            vehicle_called=np.zeros(COUNT, dtype=bool),
            vehicle_call_kw=np.zeros(COUNT),
            vehicle_cleared_kw=np.zeros(COUNT),
        )

    def step(self, orders: Orders) -> dict[str, Any]:
        out = self.operations.advance(self.tick, self.feedback(), orders)
        self.events += out["fleet_events"]
        new = out["itinerary_edge"][:, 0] >= 0
        assert not (new & self.driving).any(), "a vehicle under way got a second itinerary"
        self.itinerary[new] = out["itinerary_edge"][new]
        self.done[new] = 0
        self.arrival[new] = -1
        self.refused = new & (self.rng.random(COUNT) < 0.05)
        self.driving = (self.driving | new) & ~self.refused
        towed = out["tow_edge"] >= 0
        self.driving &= ~towed
        self.edge[towed] = out["tow_edge"][towed]
        legs = (self.itinerary >= 0).sum(axis=1)
        for vehicle in np.flatnonzero(self.driving & (self.rng.random(COUNT) < 0.5)):
            leg = self.done[vehicle]
            self.edge[vehicle] = self.itinerary[vehicle, leg]
            self.arrival[vehicle, leg] = self.tick * TICK_S + 120.0 + leg
            self.done[vehicle] += 1
            self.driving[vehicle] = self.done[vehicle] < legs[vehicle]
        self.shortfall = np.where(self.driving & (self.rng.random(COUNT) < 0.02), 0.5, 0.0)
        self.power = out["plug_power_kw"].copy()
        self.soc = np.clip(self.soc + self.power / 12 / 60 - 0.02 * self.driving, 0.0, 1.0)
        self.tick += 1
        return out


def orders(rng: np.random.Generator, requests: int, wild: float, stations: int = 4) -> Orders:
    """Return random orders, most of which cannot be carried out."""
    request_vehicle = np.where(
        rng.random(requests) < wild, rng.integers(0, COUNT, requests), -1
    ).astype(np.int32)
    goto = np.where(rng.random(COUNT) < wild, rng.integers(0, stations, COUNT), -1).astype(np.int32)
    return Orders(
        request_vehicle,
        goto,
        rng.uniform(-30, 30, COUNT),
        rng.uniform(0.3, 1, COUNT),
        np.zeros(COUNT),
        np.zeros(COUNT),
        NO_VIA,
    )


@pytest.mark.parametrize("scenario", [SCENARIO, MIXED], ids=["ride_share", "mixed"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), wild=st.floats(0.02, 0.5))
def test_laws_of_the_fleet(scenario: Scenario, seed: int, wild: float) -> None:
    city, rng = ToyCity(seed, scenario), np.random.default_rng(seed)
    requests = city.operations.requests
    stations, vehicles = city.assets.stations, city.assets.vehicles
    ports, count = stations.ports, len(stations.ids)
    for _ in range(60):
        before = requests.status.copy()
        out = city.step(orders(rng, len(before), wild, count))
        status, holds = out["vehicle_status"], out["vehicle_station"]
        # A vehicle holds a port exactly while it is plugged in, and no port holds two.
        np.testing.assert_array_equal(holds >= 0, status == Status.PLUGGED)
        held = np.bincount(holds[holds >= 0], minlength=count)
        assert (held <= ports).all()
        assert (out["station_free_ports"] <= ports - held).all()
        # Nobody charges where only others may.
        plugged = np.flatnonzero(holds >= 0)
        assert (stations.public[holds[plugged]] | vehicles.may_use(plugged, holds[plugged])).all()
        # Power stays within port and vehicle, station and site, and only two-way ports feed back.
        power = out["plug_power_kw"]
        assert (power <= out["plug_limit_kw"] + 1e-9).all()
        assert (power >= out["plug_floor_kw"] - 1e-9).all()
        assert (power[holds < 0] == 0).all()
        for one_way in (np.maximum(power, 0), np.maximum(-power, 0)):
            at_station = np.bincount(holds[plugged], one_way[plugged], count).astype(float)
            assert (at_station <= stations.rating_kw + 1e-9).all()
            assert (stations.site_power_kw(at_station) <= stations.site_kw + 1e-9).all()
        # A request only moves forward, and one vehicle serves one request.
        after = requests.status
        np.testing.assert_array_equal(after[np.isin(before, ENDED)], before[np.isin(before, ENDED)])
        active = np.isin(after, (RequestStatus.ASSIGNED, RequestStatus.PICKED_UP))
        drivers = requests.vehicle[active]
        assert len(set(drivers.tolist())) == len(drivers)
        np.testing.assert_array_equal(np.sort(drivers), np.flatnonzero(status == Status.SERVING))
        # Own trips are driven by their vehicles, the others by one of their segment.
        own = requests.owner[active]
        np.testing.assert_array_equal(drivers[own >= 0], own[own >= 0])
        np.testing.assert_array_equal(vehicles.segment[drivers], requests.segment[active])
        # What has been made known is open, under way, served, expired or failed: none is lost.
        of_segment = np.bincount(requests.segment[after > 0], minlength=len(vehicles.segments))
        np.testing.assert_array_equal(out["requests_known"], of_segment)
        fates = out["requests_in_time"] + out["requests_missed"]
        assert (fates <= out["requests_known"]).all()
        assert (out["requests_late"] <= out["requests_missed"]).all()
    ends = Counter(
        e["request"]
        for e in city.events
        if e["kind"] in ("request_served", "request_failed", "request_expired")
    )
    assert max(ends.values(), default=1) == 1, "a request ended twice"
    finished = np.isin(requests.status, ENDED)
    assert set(ends) == set(np.flatnonzero(finished).tolist())


def nothing(requests: int) -> Orders:
    return Orders(
        np.full(requests, -1, dtype=np.int32),
        np.full(COUNT, -1, dtype=np.int32),
        np.zeros(COUNT),
        np.ones(COUNT),
        np.zeros(COUNT),
        np.zeros(COUNT),
        NO_VIA,
    )


def test_a_request_nobody_takes_expires_at_its_deadline() -> None:
    city = ToyCity(0)
    requests = city.operations.requests
    for _ in range(SCENARIO.ticks):
        city.step(nothing(len(requests.asked_s)))
    due = requests.deadline_s <= (SCENARIO.ticks - 1) * TICK_S
    assert due.sum() > 50
    np.testing.assert_array_equal(requests.status[due], RequestStatus.EXPIRED)
    assert (requests.status[~due] == RequestStatus.OPEN).all()


def test_ports_are_given_first_come_first_served() -> None:
    chargers = Operations(SCENARIO, ASSETS).chargers
    two_ports = int(np.flatnonzero(ASSETS.stations.ports == 2)[0])
    waiting = np.zeros(COUNT, dtype=bool)
    waiting[[3, 5, 7, 9]] = True
    since = np.zeros(COUNT)
    since[[3, 5, 7, 9]] = 40.0, 10.0, 10.0, 5.0
    station = np.full(COUNT, two_ports, dtype=np.int32)
    nobody = np.full(COUNT, -1, dtype=np.int32)
    admitted = chargers.admit(waiting, station, since, nobody)
    assert admitted.tolist() == [9, 5]
    one_taken = nobody.copy()
    one_taken[0] = two_ports
    assert chargers.admit(waiting, station, since, one_taken).tolist() == [9]


def test_plug_limits_are_the_least_of_port_and_vehicle() -> None:
    chargers = Operations(SCENARIO, ASSETS).chargers
    kinds = [ASSETS.stations.kinds[k] for k in ASSETS.stations.kind]
    vehicles = ASSETS.vehicles
    for station, name in enumerate(kinds):
        at = chargers.limits(np.full(COUNT, station, dtype=np.int32))
        if name == "level_2":
            expected = np.minimum(7.2, vehicles.per_vehicle("ac_charge_kw"))
        else:
            limit = vehicles.per_vehicle("dc_charge_kw") / vehicles.per_vehicle(
                "dc_charge_efficiency"
            )
            expected = np.minimum(50.0 if name == "dc_fast" else 11.5, limit)
        np.testing.assert_allclose(at.limit_kw, expected)
        if name == "v2g":
            most = np.minimum(11.5, vehicles.per_vehicle("v2g_discharge_kw"))
            np.testing.assert_allclose(at.floor_kw, -most)
        else:
            assert (at.floor_kw == 0).all()


def test_charging_slows_to_the_target() -> None:
    chargers = Operations(SCENARIO, ASSETS).chargers
    at = chargers.limits(np.zeros(COUNT, dtype=np.int32))
    battery_kwh = ASSETS.vehicles.per_vehicle("battery_kwh")
    soc = np.full(COUNT, 0.9) - 0.1 / battery_kwh
    full = np.full(COUNT, 100.0)
    asked = chargers.ask(at, full, np.full(COUNT, 0.9), soc, full, full)
    np.testing.assert_allclose(asked * at.efficiency / 12, 0.1)


@pytest.mark.parametrize("seed", [1, 2])
def test_requests_follow_the_trip_table(seed: int) -> None:
    scenario = Scenario.model_validate(
        {"seed": seed, "demand": {"ride_share": {"trips_per_vehicle_day": 40}}}
    )
    assets = Assets.of(scenario)
    requests = Operations(scenario, assets).requests
    assert len(requests.asked_s) == 20_000
    assert (np.diff(requests.asked_s) >= 0).all()
    assert (requests.origin_edge != requests.destination_edge).all()
    table = assets.roads.trip_table
    assert table is not None
    drawn = np.array([(requests.origin_edge == edge).mean() for edge in assets.roads.zone_edge])
    np.testing.assert_allclose(drawn, table.sum(axis=1) / table.sum(), atol=0.01)
