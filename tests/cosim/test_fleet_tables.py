"""Vehicles, trips and stations of a fleet of several segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim import demand
from cosim.assets import Assets, models
from cosim.errors import ScenarioError
from cosim.loading import check
from cosim.scenario import Scenario
from cosim.stations import STATION_KW

MIX = {"ride_share": 38, "delivery": 24, "commute": 18, "transit": 6, "consumer": 16}


def scenario(vehicles: int = 204, **more: object) -> Scenario:
    fleet = {"vehicles": vehicles, "segments": MIX, "stations": {"count": 40}}
    return Scenario.model_validate({"fleet": fleet | more})


def test_segments_divide_the_fleet_in_proportion() -> None:
    assert demand.sizes(scenario(10_200)) == {name: 100 * part for name, part in MIX.items()}
    assert sum(demand.sizes(scenario(7)).values()) == 7
    assert demand.sizes(Scenario()) == {"ride_share": 500}


def test_a_segment_draws_the_same_whoever_else_is_there() -> None:
    alone = scenario(18, segments={"ride_share": 0, "commute": 1})
    trips, found = Assets.of(alone).demand.trips, Assets.of(scenario()).demand
    # 204 vehicles have 36 commuters; with 36 alone the trips must be those.
    alone = scenario(36, segments={"ride_share": 0, "commute": 1})
    trips = Assets.of(alone).demand.trips
    mine = found.trips.take(found.trip_segment == found.segments.index("commute"))
    first = int(np.flatnonzero(found.segment == found.segments.index("commute"))[0])
    np.testing.assert_array_equal(mine.vehicle - first, trips.vehicle)
    for name in ("asked_s", "earliest_s", "deadline_s", "origin_edge", "destination_edge"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(trips, name))


def test_trips_belong_to_vehicles_of_their_segment() -> None:
    asked = Assets.of(scenario()).demand
    own = asked.trips.vehicle >= 0
    np.testing.assert_array_equal(asked.segment[asked.trips.vehicle[own]], asked.trip_segment[own])
    assert set(asked.trip_segment[~own].tolist()) == {asked.segments.index("ride_share")}


def test_buses_drive_transit_and_nothing_else() -> None:
    vehicles = Assets.of(scenario()).vehicles
    body = np.array([vehicles.specs[i].body for i in vehicles.model])
    transit = vehicles.segment == vehicles.segments.index("transit")
    np.testing.assert_array_equal(body == "bus", transit)


def test_brands_divide_the_body_types() -> None:
    brands = {"hyundai": 1, "volkswagen": 1, "ford": 1, "tesla": 1}
    total: dict[tuple[str, str], int] = {}
    for part in models(scenario(10_200, brands=brands)).values():
        for spec, number in part.items():
            key = spec.body, spec.brand
            total[key] = total.get(key, 0) + number
    assert sum(total.values()) == 10_200
    assert {brand for _, brand in total} == {*brands, "byd"}
    sedans = [number for (body, _), number in total.items() if body == "sedan"]
    assert sum(sedans) == pytest.approx(0.55 * 9600, abs=5)
    assert max(sedans) - min(sedans) <= 4


def test_private_stations_are_open_to_those_they_were_made_for() -> None:
    assets = Assets.of(scenario())
    stations, table = assets.stations, assets.vehicles.private_station
    public = int(stations.public.sum())
    assert public == 40
    assert stations.public[:public].all()
    used = np.unique(table[table >= 0])
    np.testing.assert_array_equal(used, np.arange(public, len(stations.ids)))
    for place in assets.demand.chargers:
        mine = np.flatnonzero((stations.edge == place.edge) & ~stations.public)
        for vehicle in place.vehicles:
            assert np.isin(table[vehicle], mine).any()
    ports = sum(place.ports for place in assets.demand.chargers)
    assert stations.ports[public:].sum() == ports


def test_a_large_depot_is_several_stations_at_one_site() -> None:
    large = Scenario.model_validate(
        {
            "fleet": {"vehicles": 100, "segments": {"ride_share": 0, "transit": 1}},
            "demand": {"transit": {"depot_share": 0.4}},
        }
    )
    stations = Assets.of(large).stations
    depot = np.flatnonzero(~stations.public)
    assert len(depot) == 5
    assert (stations.rating_kw[depot] <= STATION_KW).all()
    assert stations.direct[depot].all()
    assert stations.three_phase[depot].all()
    (site,) = np.unique(stations.site[depot])
    assert stations.site_ids[site].startswith("depot at ")
    assert stations.site_kw[site] == pytest.approx(0.4 * 50 * 60.0)


def test_sites_add_up_their_stations() -> None:
    stations = Assets.of(scenario()).stations
    np.testing.assert_allclose(stations.site_kw, stations.site_power_kw(stations.rating_kw))
    assert len(set(stations.site_ids)) == len(stations.site_ids)


def problems(data: dict[str, object]) -> dict[str, str]:
    with pytest.raises(ScenarioError) as found:
        check(data, "x.yaml")
    return {p.field: p.allowed for p in found.value.problems}


def test_a_fleet_needs_a_segment() -> None:
    found = problems({"fleet": {"segments": {"ride_share": 0}}})
    assert "must be above 0" in found["fleet.segments"]


def test_a_file_of_trips_is_read_before_the_run(tmp_path: Path) -> None:
    mix = {"segments": {"ride_share": 0, "own_trips": 1}, "vehicles": 2}
    found = problems({"fleet": mix})
    assert found == {"demand.own_trips.file": "must name the file of the segment's trips"}
    file = tmp_path / "trips.csv"
    file.write_text("vehicle,departure,origin,destination\n5,soon,in_1,in_99\n")
    found = problems({"fleet": mix, "demand": {"own_trips": {"file": str(file)}}})
    assert [name.removeprefix(f"{file}, ") for name in found] == [
        "row 2, column departure",
        "row 2, column destination",
        "row 2, column vehicle",
    ]


def test_durations_of_demand_take_units_or_seconds() -> None:
    plain = {"demand": {"ride_share": {"waiting_limit_s": "10min"}, "commute": {"late_s": 90}}}
    asked = check(plain, "x.yaml").demand
    assert (asked.ride_share.waiting_limit_s, asked.commute.late_s) == (600.0, 90.0)
    found = problems({"demand": {"transit": {"peak_hours": [[9, 6]]}}})
    assert list(found) == ["demand.transit.peak_hours.0"]
