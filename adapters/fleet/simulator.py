"""The mosaik face of the fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from numpy.typing import NDArray

from adapters.fleet.operations import Feedback, Operations, Orders
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import Role
from cosim.simulator import Simulator


class Fleet(Simulator):
    """Runs the fleet's operations; defines the dimensions of what it holds."""

    role: ClassVar[Role] = "fleet"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Draw the requests and put every vehicle at its home."""
        self._assets = assets
        self._operations = Operations(scenario, assets)

    def dimensions(self) -> dict[str, list[str]]:
        """Return the ids of vehicles, segments, stations, sites, requests and edges."""
        return {
            "vehicle": list(self._assets.vehicles.ids),
            "segment": list(self._assets.vehicles.segments),
            "station": list(self._assets.stations.ids),
            "site": list(self._assets.stations.site_ids),
            "request": self._operations.requests.ids,
            "edge": list(self._assets.roads.edge_ids),
        }

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """Body type, model and segment of each vehicle, kind and place of each station."""
        vehicles, stations = self._assets.vehicles, self._assets.stations
        edges = self._assets.roads.edge_ids
        return {
            "vehicle_body_type": ("vehicle", [vehicles.specs[i].body for i in vehicles.model]),
            "vehicle_model": ("vehicle", [vehicles.specs[i].model for i in vehicles.model]),
            "vehicle_segment": ("vehicle", [vehicles.segments[i] for i in vehicles.segment]),
            **self._requests_made(),
            "station_kind": ("station", [stations.kinds[i] for i in stations.kind]),
            "station_edge": ("station", [edges[i] for i in stations.edge]),
        }

    def _requests_made(self) -> dict[str, tuple[str, list[Any]]]:
        """Return what each request of the run is, for whoever reads the record."""
        requests, edges = self._operations.requests, self._assets.roads.edge_ids
        segments = self._assets.vehicles.segments
        columns: dict[str, list[Any]] = {
            "segment": [segments[i] for i in requests.segment.tolist()],
            "owner": requests.owner.tolist(),
            "asked_s": requests.asked_s.tolist(),
            "earliest_s": requests.earliest_s.tolist(),
            "due_s": requests.deadline_s.tolist(),
            "from_edge": [edges[i] for i in requests.origin_edge.tolist()],
            "to_edge": [edges[i] for i in requests.destination_edge.tolist()],
        }
        return {f"request_{name}": ("request", values) for name, values in columns.items()}

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step the operations by one tick."""
        back = Feedback(**{f.name: given[f.name] for f in fields(Feedback)})
        orders = Orders(**{f.name: given[f.name] for f in fields(Orders)})
        done = self._operations.advance(tick, back, orders)
        return done | {"ambient_c": float(self._assets.ambient_c[tick])}

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the state of vehicles, requests and schedules."""
        return self._operations.save()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take it back."""
        self._operations.restore(state)
