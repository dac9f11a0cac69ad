"""Which feeder supplies which station: equal power, whole sites, areas that do not overlap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.areas import areas
from cosim.assets import Assets
from cosim.scenario import Scenario

AMPLE_KW = 1e9


def town(seed: int, sites: int, stations: int) -> dict[str, Any]:
    """Return stations at random sites of a town of 10 km, most sites with several."""
    rng = np.random.default_rng(seed)
    site = np.append(np.arange(sites), rng.integers(0, sites, stations - sites)).astype(np.int32)
    x_m, y_m = rng.uniform(0, 10_000, (2, sites))
    power_kw = rng.choice([7.2, 14.4, 50.0], stations)
    return {"x_m": x_m[site], "y_m": y_m[site], "site": site, "power_kw": power_kw}


def test_one_feeder_supplies_everything() -> None:
    assert areas(**town(0, 5, 20), count=1, feeder_kw=1.0).tolist() == [0] * 20


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 30))
def test_areas_have_equal_power_and_whole_sites(seed: int, count: int) -> None:
    stations = town(seed, 300, 600)
    area = areas(**stations, count=count, feeder_kw=AMPLE_KW)
    assert set(area) == set(range(count))
    power_kw = np.bincount(area, stations["power_kw"])
    largest_kw = np.bincount(stations["site"], stations["power_kw"]).max()
    # Each cut is off by half a site at most, and passes on two thirds of that at most.
    assert np.abs(power_kw - power_kw.mean()).max() <= 1.5 * largest_kw
    for site in range(300):
        assert len(set(area[stations["site"] == site])) == 1


def test_areas_do_not_overlap() -> None:
    stations = town(3, 200, 200)
    area = areas(**stations, count=7, feeder_kw=AMPLE_KW)
    boxes = [
        [
            (stations[axis][area == i].min(), stations[axis][area == i].max())
            for axis in ("x_m", "y_m")
        ]
        for i in range(7)
    ]
    for i in range(7):
        for j in range(i):
            apart = [
                boxes[i][k][0] > boxes[j][k][1] or boxes[j][k][0] > boxes[i][k][1] for k in (0, 1)
            ]
            assert any(apart), (i, j)


def test_the_longer_side_is_cut() -> None:
    x_m = np.array([0.0, 100.0, 0.0, 100.0])
    y_m = np.array([0.0, 0.0, 900.0, 900.0])
    site, power_kw = np.arange(4, dtype=np.int32), np.full(4, 10.0)
    assert areas(x_m, y_m, site, power_kw, 2, AMPLE_KW).tolist() == [0, 0, 1, 1]
    assert areas(y_m, x_m, site, power_kw, 2, AMPLE_KW).tolist() == [0, 0, 1, 1]


def test_a_depot_beyond_a_feeder_is_cut_between_its_stations() -> None:
    # Eight stations of 600 kW in the middle, two of 50 kW on either side.
    x_m = np.array([0.0, 1.0, *[50.0] * 8, 99.0, 100.0])
    site = np.array([0, 1, *[2] * 8, 3, 4], dtype=np.int32)
    power_kw = np.array([50.0, 50.0, *[600.0] * 8, 50.0, 50.0])
    cut = areas(x_m, 0 * x_m, site, power_kw, 2, 3500.0)
    assert cut.tolist() == [0] * 6 + [1] * 6
    # Of equal parts it is too large for one as well, whatever a feeder is made for.
    assert areas(x_m, 0 * x_m, site, power_kw, 2, AMPLE_KW).tolist() == cut.tolist()
    # A site that a feeder carries stays whole, though the parts are less equal then.
    small = np.where(site == 2, 20.0, 50.0)
    assert len(set(areas(x_m, 0 * x_m, site, small, 2, 3500.0)[site == 2])) == 1


def test_more_feeders_than_sites() -> None:
    x_m = np.array([0.0, 100.0, 100.0])
    site, power_kw = np.array([0, 1, 1], dtype=np.int32), np.full(3, 1e-3)
    area = areas(x_m, 0 * x_m, site, power_kw, 5, AMPLE_KW)
    assert area[0] < area[1]
    assert area.max() < 5


@pytest.mark.parametrize("count", [1, 3])
def test_stations_of_a_scenario_know_their_feeder(count: int) -> None:
    scenario = Scenario.model_validate({"grid": {"feeders": count}})
    assets = Assets.of(scenario)
    stations = assets.stations
    assert set(stations.feeder) == set(range(count))
    for edge in np.unique(stations.edge):
        assert len(set(stations.feeder[stations.edge == edge])) == 1
    power_kw = np.bincount(stations.feeder, stations.rating_kw)
    assert power_kw.min() > 0.6 * power_kw.max()
    # More feeders change nothing else about the stations.
    alone = Assets.of(Scenario()).stations
    assert (alone.edge == stations.edge).all()
    assert (alone.rating_kw == stations.rating_kw).all()
