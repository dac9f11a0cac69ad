"""The grid face: own load by the clock, and charging where the facts say it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import networks.feeders
import networks.loads
from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import connect_stations
from adapters.opendss.simulator import Grid
from cosim.assets import Assets
from cosim.scenario import Scenario

STATIONS = 30
FLEET = {
    "vehicles": STATIONS,
    "stations": {"count": STATIONS, "level_2": 0.6, "dc_fast": 0.3, "v2g": 0.1},
}


def grid_at(start: str, scale: float = 1.0) -> Grid:
    plain = {"start": start, "duration": "1h", "fleet": FLEET, "grid": {"load_scale": scale}}
    scenario = Scenario.model_validate(plain)
    grid = Grid()
    grid.prepare(scenario, Assets.of(scenario))
    return grid


def tick(grid: Grid, index: int, power_kw: Any = 0.0) -> dict[str, Any]:
    """Step with one vehicle at each station."""
    given = {
        "vehicle_power_kw": np.broadcast_to(np.asarray(power_kw, dtype=float), STATIONS),
        "vehicle_station": np.arange(STATIONS, dtype=np.int32),
    }
    return grid.advance(index, given)


@pytest.fixture(scope="module")
def noon() -> Iterator[Grid]:
    grid = grid_at("2022-09-14 12:00")
    yield grid
    grid.close()


@pytest.fixture(scope="module")
def alone() -> Iterator[Feeder]:
    """The same feeder and service transformers, not driven by a clock."""
    scenario = Scenario.model_validate({"fleet": FLEET})
    stations = Assets.of(scenario).stations
    circuit = Circuit(networks.feeders.load("ieee123"))
    service, _ = connect_stations(circuit.layout, stations.rating_kw, stations.three_phase, 0.99)
    feeder = Feeder(circuit, service, 0.99)
    yield feeder
    feeder.close()


@pytest.mark.parametrize(
    ("start", "scale", "first"),
    [
        ("2022-09-14 00:00", 1.0, 0),
        ("2022-09-14 06:00", 1.0, 72),
        ("2022-09-14 12:00", 1.0, 144),
        ("2022-09-14 23:55", 0.5, 287),
    ],
)
def test_the_own_load_has_the_shape_of_the_hour(
    start: str, scale: float, first: int, alone: Feeder
) -> None:
    grid = grid_at(start, scale)
    shape = networks.loads.load_shape("opendss_default")
    assert shape[144] > 1.1 * shape[0]
    assert shape[83] > 1.05 * shape[72]
    for index in (0, 1, 11):
        slot = (first + index) % 288
        expected = alone.solve(scale * float(shape[slot]), np.zeros(len(alone.service)))
        # Regulators may stand elsewhere: loads that are no constant powers follow the voltage.
        assert tick(grid, index)["feeder_base_kw"] == pytest.approx(
            expected.feeder_base_kw, rel=0.01
        )
    grid.close()


def test_three_feeders_share_the_stations_by_area() -> None:
    plain = {
        "start": "2022-09-14 12:00",
        "duration": "1h",
        "fleet": FLEET,
        "grid": {"feeders": 3},
    }
    scenario = Scenario.model_validate(plain)
    stations = Assets.of(scenario).stations
    grid = Grid()
    grid.prepare(scenario, Assets.of(scenario))
    dims, facts = grid.dimensions(), grid.facts()
    assert dims["feeder"] == ["f00", "f01", "f02"]
    assert {name[:4] for name in dims["line"]} == {"f00.", "f01.", "f02."}
    assert facts["station_feeder"][1] == [dims["feeder"][i] for i in stations.feeder]
    named = zip(facts["station_feeder"][1], facts["station_transformer"][1], strict=True)
    assert all(transformer.startswith(f"{feeder}.st") for feeder, transformer in named)
    power_kw = 1.0 + 0.1 * np.arange(STATIONS)
    solved = tick(grid, 0, power_kw)
    fleet_kw = np.bincount(stations.feeder, power_kw)
    np.testing.assert_allclose(
        solved["feeder_head_kw"],
        solved["feeder_own_load_kw"] + fleet_kw + solved["feeder_own_losses_kw"],
        rtol=1e-6,
    )
    for total, part in (
        ("feeder_power_kw", "feeder_head_kw"),
        ("feeder_base_kw", "feeder_own_load_kw"),
        ("feeder_losses_kw", "feeder_own_losses_kw"),
    ):
        assert solved[total] == pytest.approx(solved[part].sum())
    assert solved["feeder_own_load_kw"].shape == (3,)
    grid.close()


def test_power_flows_where_the_facts_place_the_stations(noon: Grid) -> None:
    dim, names = noon.facts()["station_transformer"]
    transformers = noon.dimensions()["transformer"]
    assert (dim, len(names)) == ("station", STATIONS)
    assert len(set(names)) > 5
    # Every station has a power of its own, so that none passes for another.
    power_kw = 1.0 + 0.1 * np.arange(STATIONS)
    expected = np.zeros(len(transformers))
    for name, kw in zip(names, power_kw, strict=True):
        expected[transformers.index(name)] += kw
    found = tick(noon, 0, power_kw)["transformer_ev_kw"]
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_one_station_loads_its_own_transformer_alone(noon: Grid) -> None:
    _, names = noon.facts()["station_transformer"]
    transformers = noon.dimensions()["transformer"]
    before = tick(noon, 0)["transformer_loading_pct"]
    service = np.array([name in names for name in transformers])
    for station in (0, STATIONS // 2, STATIONS - 1):
        power_kw = np.zeros(STATIONS)
        power_kw[station] = 7.0
        rise = tick(noon, 0, power_kw)["transformer_loading_pct"] - before
        assert transformers[int(np.argmax(np.where(service, rise, 0)))] == names[station]


def test_ratings_in_the_facts_are_those_of_the_loading(noon: Grid) -> None:
    dim, rating_kva = noon.facts()["transformer_rating_kva"]
    _, names = noon.facts()["station_transformer"]
    transformers = noon.dimensions()["transformer"]
    assert (dim, len(rating_kva)) == ("transformer", len(transformers))
    solved = tick(noon, 0, 7.0)
    carried_kva = solved["transformer_loading_pct"] / 100 * np.array(rating_kva)
    at = [transformers.index(name) for name in dict.fromkeys(names)]
    # Power factor 0.99; the transformer's own losses come on top.
    asked_kva = solved["transformer_ev_kw"][at] / 0.99
    assert (carried_kva[at] > asked_kva).all()
    assert (carried_kva[at] < 1.1 * asked_kva).all()
