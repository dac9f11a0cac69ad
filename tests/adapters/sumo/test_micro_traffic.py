"""Microscopic traffic against SUMO's own meters and against mesoscopic traffic."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.state import IDLE
from networks.roads import RoadNetwork
from tests.adapters.sumo.test_meso_traffic import go, of_kind, random_day, tripinfo

PARTS = ("vehicle_distance_km", "vehicle_traction_kwh", "vehicle_driving_s")


def test_trips_add_up_to_the_ticks_and_end_where_they_are_to(town: RoadNetwork, start: Any) -> None:
    count = 12
    places = np.arange(len(town.edge_ids))
    traffic = start(town, places[:count], MicroTraffic)
    ticks, events = random_day(traffic, places, 3, 0.7)
    trips = of_kind(events, "trip")
    assert trips
    km, kwh, _ = (sum(getattr(tick, part).sum() for tick in ticks) for part in PARTS)
    assert sum(trip["distance_km"] for trip in trips) == pytest.approx(km)
    assert sum(trip["energy_kwh"] for trip in trips) == pytest.approx(kwh)
    assert kwh > 0
    assert not of_kind(events, "sumo_warning")
    ends = {trip["vehicle"]: trip["place"] for trip in trips}
    assert all(town.edge_ids[ticks[-1].vehicle_edge[v]] == place for v, place in ends.items())


def test_one_trip_is_as_long_as_its_route_and_draws_what_the_device_says(
    siouxfalls: RoadNetwork, start: Any
) -> None:
    home, target = int(siouxfalls.zone_edge[0]), int(siouxfalls.zone_edge[9])
    traffic = start(siouxfalls, np.array([home]), MicroTraffic)
    done = [go(traffic, 0, {0: [target]})]
    while done[-1].vehicle_driving.any():
        done.append(go(traffic, len(done)))
    (trip,) = of_kind([event for tick in done for event in tick.events], "trip")
    # SUMO counts from the vehicle's front, which starts a vehicle's length into the first edge.
    way_km = float(siouxfalls.distance_km([home], [target])[0, 0])
    assert way_km - 0.02 < trip["distance_km"] <= way_km
    assert 0.08 < trip["energy_kwh"] / trip["distance_km"] < 0.3


@pytest.mark.parametrize("place", ["siouxfalls", "town"])
def test_odometer_and_meter_are_those_of_tripinfo(
    request: pytest.FixtureRequest, start: Any, tmp_path: Path, place: str
) -> None:
    roads: RoadNetwork = request.getfixturevalue(place)
    record = tmp_path / "trips.xml"
    places = roads.zone_edge if len(roads.zone_edge) else np.arange(len(roads.edge_ids))
    home = np.random.default_rng(3).choice(places, 40)
    traffic = start(roads, home, MicroTraffic, options=["--tripinfo-output", str(record)])
    done, events = random_day(traffic, places, 6, 0.3)
    traffic.close()
    trips = [trip for trip in of_kind(events, "trip") if trip["distance_km"] > 0]
    theirs = tripinfo(record)
    assert len(trips) == len(theirs) > 50
    km = sum(each.vehicle_distance_km.sum() for each in done)
    sumo_km = sum(row["routeLength"] for row in theirs.values()) / 1000
    # SUMO writes centimetres.
    assert km == pytest.approx(sumo_km, abs=1e-5 * len(trips))
    number: dict[int, int] = {}
    for trip in trips:
        vehicle = trip["vehicle"]
        number[vehicle] = number.get(vehicle, 0) + 1
        row = theirs[f"{vehicle}#{number[vehicle]}"]
        assert 1000 * trip["distance_km"] == pytest.approx(row["routeLength"], abs=0.01)
        assert trip["time_s"] - trip["driving_s"] == row["depart"]
        # It goes when it was seen to be parked, a second later.
        assert 0 <= row["arrival"] - trip["time_s"] <= 2
    net_kwh = [
        (float(b.get("totalEnergyConsumed", "nan")) - float(b.get("totalEnergyRegenerated", "nan")))
        / 1000
        for b in ET.parse(record).getroot().iter("battery")
    ]
    kwh = sum(each.vehicle_traction_kwh.sum() for each in done)
    assert kwh == pytest.approx(sum(net_kwh), rel=2e-3)


def test_meso_is_near_micro_in_distance_and_time(siouxfalls: RoadNetwork, start: Any) -> None:
    found: dict[str, list[float]] = {}
    for kind in (MesoTraffic, MicroTraffic):
        rng = np.random.default_rng(1)
        home = rng.choice(siouxfalls.zone_edge, 60)
        traffic = start(siouxfalls, home, kind)
        ticks, events = random_day(traffic, siouxfalls.zone_edge, 2, 0.5)
        found[kind.engine] = [
            float(sum(getattr(tick, part).sum() for tick in ticks)) for part in PARTS
        ]
        assert not of_kind(events, "teleport")
        traffic.close()
    near = {"vehicle_distance_km": 0.002, "vehicle_traction_kwh": 0.35, "vehicle_driving_s": 0.06}
    for part, meso, micro in zip(PARTS, found["meso"], found["micro"], strict=True):
        assert meso == pytest.approx(micro, rel=near[part]), part


def test_a_restored_fleet_drives_on(town: RoadNetwork, start: Any, tmp_path: Path) -> None:
    traffic = start(town, np.arange(4), MicroTraffic)
    last = len(town.edge_ids) - 1
    go(traffic, 0, {v: [last] for v in range(4)}, start_s=280.0)
    assert (traffic.state.phase != IDLE).any()
    traffic.save(tmp_path)
    ahead = [go(traffic, tick) for tick in range(1, 4)]
    assert (traffic.state.phase == IDLE).all()
    traffic.restore(tmp_path)
    again = [go(traffic, tick) for tick in range(1, 4)]
    for one, other in zip(ahead, again, strict=True):
        for part in PARTS:
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert all((tick.vehicle_traction_kwh >= -0.05).all() for tick in again)
