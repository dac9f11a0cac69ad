"""The way to a customer's destination: of different ones the one that takes the least energy."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

import numpy as np

from cosim.assets import Surroundings
from cosim.scenario import Scenario
from cosim.team import Agent, Ints, Observation, Plan, RequestStatus
from networks.roads.alternatives import Alternative, alternatives, foreseen_kwh
from networks.roads.routing import Router
from networks.vehicles import calibrated, shipped

WAYS = 4
"""Ways that are compared for a trip."""
_PAIRS = 4096
"""Pairs of places whose ways are kept."""


class LeastEnergyWay(Agent):
    """Route planner: every trip that is assigned goes the way that takes the least energy.

    Ways take at most half as long again as the fastest (`networks.roads.alternatives.LONGEST`).
    Times and energies are those of empty roads, by the model's consumption without heating and
    cooling: a team does not see the travel times of the moment. It names one edge to pass; between
    it and the ends traffic takes the fastest ways of the moment.
    """

    name: ClassVar[str] = "route_planner"

    def __init__(self, scenario: Scenario, around: Surroundings) -> None:
        roads = around.roads
        known = calibrated(roads).curves if scenario.traffic.calibrates else shipped()
        self._curves = [known[spec.name] for spec in around.vehicles.specs]
        self._model = around.vehicles.model
        router = self._router = Router(roads)
        # The roads are empty for good: the same pair always has the same ways.
        self._ways = lru_cache(maxsize=_PAIRS)(lambda a, b: alternatives(router, a, b, WAYS))

    def due(self, seen: Observation) -> Ints:
        """Return the open requests."""
        return np.flatnonzero(seen.request_status == RequestStatus.OPEN).astype(np.int32)

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Name the edge to pass on each trip that this plan assigns."""
        rows = due[plan.request_vehicle[due] >= 0]
        vehicle = plan.request_vehicle[rows]
        trips = np.stack(
            [
                seen.request_origin_edge[rows],
                seen.request_destination_edge[rows],
                self._model[vehicle],
            ],
            axis=1,
        )
        kinds, which = np.unique(trips, axis=0, return_inverse=True)
        via = np.full((len(kinds), plan.vehicle_via_edge.shape[1]), -1, np.int32)
        for row, (origin, destination, model) in enumerate(kinds.tolist()):
            best = self.best(origin, destination, model)
            if best is not None:
                via[row, : len(best.via)] = best.via
        plan.vehicle_via_edge[vehicle] = via[which.ravel()]

    def best(self, origin: int, destination: int, model: int) -> Alternative | None:
        """Return the way of least energy, the faster of two alike; None if none leads there.

        Parameters
        ----------
        origin, destination
            Edges from whose end to whose end it leads.
        model
            Index into the models of the fleet.
        """
        curve = self._curves[model]
        return min(
            self._ways(origin, destination),
            key=lambda way: foreseen_kwh(self._router, way.edges, curve),
            default=None,
        )
