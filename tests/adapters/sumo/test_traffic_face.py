"""The mosaik face of traffic against the wire table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.sumo.simulator import Traffic
from cosim.assets import Assets
from cosim.errors import TrafficError
from cosim.scenario import Scenario
from cosim.signals import LEGS, VIA, produced_by

VEHICLES = 12
REQUEST = np.arange(VEHICLES, dtype=np.int32)[::-1] - 1
"""The last vehicle drives for nobody."""


@pytest.fixture
def scenario() -> Scenario:
    return Scenario.model_validate(
        {"duration": "1h", "fleet": {"vehicles": VEHICLES, "boarding": "90s"}}
    )


def bind(face: Traffic, assets: Assets) -> None:
    ids = {
        "vehicle": list(assets.vehicles.ids),
        "edge": list(assets.roads.edge_ids),
        "request": [str(i) for i in range(VEHICLES)],
    }
    face.bind(ids, {})


def inputs(plan: np.ndarray | None = None) -> dict[str, Any]:
    itinerary = np.full((VEHICLES, LEGS), -1, np.int32) if plan is None else plan
    return {
        "all": {
            "itinerary_edge": {"fleet": itinerary},
            "itinerary_via_edge": {"fleet": np.full((VEHICLES, LEGS, VIA), -1, np.int32)},
            "itinerary_start_s": {"fleet": np.zeros(VEHICLES)},
            "tow_edge": {"fleet": np.full(VEHICLES, -1, np.int32)},
            "vehicle_request": {"fleet": REQUEST},
        }
    }


def test_every_signal_of_the_role_is_produced(scenario: Scenario) -> None:
    assets = Assets.of(scenario)
    face = Traffic()
    try:
        face.init("traffic", 300, scenario=scenario.model_dump(mode="json"))
        (entity,) = face.create(1, "Traffic")
        initial = entity["extra_info"]["initial"]
        np.testing.assert_array_equal(initial["vehicle_edge"], assets.vehicles.home_edge)
        shifted = {s.name for s in produced_by("traffic") if s.shifted}
        assert shifted == set(initial)
        bind(face, assets)

        plan = np.full((VEHICLES, LEGS), -1, np.int32)
        zones = assets.roads.zone_edge
        plan[:, 0], plan[:, 1] = zones[3], zones[7]
        assert face.step(0, inputs(plan), 1) == 1
        names = [s.name for s in produced_by("traffic")]
        first = face.get_data({"all": names})["all"]
        assert set(first) == set(names)
        assert first["vehicle_distance_km"].sum() > 0
        trips: list[dict[str, Any]] = []
        for tick in range(1, 12):
            assert face.step(tick, inputs(), tick + 1) == tick + 1
            trips += face.get_data({"all": ["traffic_events"]})["all"]["traffic_events"]
        assert {t["kind"] for t in trips} == {"trip"}
        assert {t["vehicle"] for t in trips} == set(range(VEHICLES))
        for trip in trips:
            assert trip.get("request", -1) == REQUEST[trip["vehicle"]]
        last = face.get_data({"all": names})["all"]
        assert last["legs_completed"].tolist() == [2] * VEHICLES
        assert set(last["vehicle_edge"].tolist()) == {int(zones[7])}
        with pytest.raises(TrafficError, match="a process of its own"):
            Traffic().prepare(scenario, assets)
    finally:
        face.finalize()
    face.finalize()


def test_closing_before_the_start_is_harmless() -> None:
    Traffic().close()
