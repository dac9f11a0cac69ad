"""The route planner: the way of least energy among different ones, and traffic takes it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from adapters.agents import rule_based
from adapters.agents.route_rules import LeastEnergyWay
from adapters.agents.synthetic import empty_plan, observation
from adapters.sumo.meso import MesoTraffic
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import LEGS, VIA
from networks.roads.alternatives import LONGEST, alternatives, foreseen_kwh
from networks.roads.routing import Router
from networks.vehicles import calibrated

SCENARIO = Scenario.model_validate(
    {
        "fleet": {"vehicles": 40, "stations": {"count": 20}},
        "traffic": {"roads": "metro"},
        "rules": {"route": "least_energy"},
    }
)
ASSETS = Assets.of(SCENARIO)


@pytest.fixture(scope="module")
def planner() -> LeastEnergyWay:
    return LeastEnergyWay(SCENARIO, ASSETS)


def test_trips_that_are_assigned_go_the_way_of_least_energy(planner: LeastEnergyWay) -> None:
    seen = observation(ASSETS, 30, np.random.default_rng(0))
    plan = empty_plan(seen)
    rule_based.team(SCENARIO, ASSETS).decide(seen, plan)
    usual = empty_plan(seen)
    fastest = SCENARIO.model_copy(update={"rules": type(SCENARIO.rules)()})
    rule_based.team(fastest, ASSETS).decide(seen, usual)
    np.testing.assert_array_equal(plan.request_vehicle, usual.request_vehicle)
    assert (usual.vehicle_via_edge == -1).all()
    assigned = np.flatnonzero(plan.request_vehicle >= 0)
    assert len(assigned) > 3
    router, curves = Router(ASSETS.roads), calibrated(ASSETS.roads).curves
    others = np.ones(len(plan.vehicle_via_edge), np.bool_)
    saved = 0
    for request in assigned.tolist():
        vehicle = int(plan.request_vehicle[request])
        others[vehicle] = False
        ends = seen.request_origin_edge[request], seen.request_destination_edge[request]
        way = router.way(int(ends[0]), int(ends[1]), plan.vehicle_via_edge[vehicle].tolist())
        assert not isinstance(way, str)
        curve = curves[ASSETS.vehicles.specs[ASSETS.vehicles.model[vehicle]].name]
        ways = alternatives(router, int(ends[0]), int(ends[1]), 4, curve)
        least = min(one.energy_kwh or 0.0 for one in ways)
        assert foreseen_kwh(router, router.edges(way), curve) == pytest.approx(least)
        saved += least < 0.98 * (ways[0].energy_kwh or 0.0)
    assert saved > 1
    assert (plan.vehicle_via_edge[others] == -1).all()


@pytest.fixture
def detour(planner: LeastEnergyWay) -> Iterator[tuple[int, int, MesoTraffic]]:
    """A pair of zones between which the way of least energy is not the fastest."""
    zones = ASSETS.roads.zone_edge.tolist()
    pairs = zip(zones, zones[50:] + zones[:50], strict=True)
    a, b = next((a, b) for a, b in pairs if (best := planner.best(a, b, 0)) and best.via)
    traffic = MesoTraffic(
        ASSETS.roads, ASSETS.vehicles.specs, np.zeros(2, int), np.full(2, a), seed=1,
        curves=calibrated(ASSETS.roads).curves, routing="free_flow",
    )  # fmt: skip
    yield a, b, traffic
    traffic.close()


def test_traffic_drives_that_way_and_uses_less(
    planner: LeastEnergyWay, detour: tuple[int, int, MesoTraffic]
) -> None:
    a, b, traffic = detour
    best = planner.best(a, b, 0)
    assert best is not None
    itinerary = np.full((2, LEGS), -1, np.int32)
    itinerary[:, 0] = b
    via = np.full((2, LEGS, VIA), -1, np.int32)
    via[0, 0, : len(best.via)] = best.via
    nowhere = np.full(2, -1, np.int32)
    events = []
    for tick in range(20):
        done = traffic.advance(tick, itinerary, np.zeros(2), nowhere, itinerary_via_edge=via)
        events += [event for event in done.events if event["kind"] == "trip"]
        itinerary[:] = -1
    trips = {event["vehicle"]: event for event in events}
    assert trips[0]["distance_km"] == pytest.approx(best.distance_km, rel=0.01)
    assert trips[0]["energy_kwh"] < trips[1]["energy_kwh"]
    assert trips[1]["driving_s"] < trips[0]["driving_s"] < LONGEST * trips[1]["driving_s"]
    assert trips[0]["energy_kwh"] == pytest.approx(
        foreseen_kwh(
            Router(ASSETS.roads),
            best.edges,
            calibrated(ASSETS.roads).curves[ASSETS.vehicles.specs[0].name],
        ),
        rel=0.1,
    )
