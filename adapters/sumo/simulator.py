"""The mosaik face of traffic: role ``traffic``, kinds ``meso``, ``micro`` and ``replay``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.sumo import background
from adapters.sumo.closures import schedule
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.orders import OrderLog, Orders
from adapters.sumo.record import read
from adapters.sumo.replay import ReplayTraffic
from adapters.sumo.tick import Event, TrafficTick
from adapters.sumo.unfinished import unfinished
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.seeds import engine_seed
from cosim.signals import LEGS, Role
from cosim.simulator import Simulator, Tell
from networks.roads import load
from networks.vehicles import calibrated

_FILE = "file."
KINDS: Mapping[str, type[MesoTraffic]] = {"meso": MesoTraffic, "micro": MicroTraffic}


class Traffic(Simulator):
    """Moves the fleet's vehicles over the road network."""

    role: ClassVar[Role] = "traffic"
    _traffic: MesoTraffic | ReplayTraffic | None = None

    def __init__(self) -> None:
        super().__init__()
        self._base: dict[str, NDArray[Any]] = {}
        self._log = OrderLog(0)

    @classmethod
    def make_ready(cls, scenario: Scenario, tell: Tell) -> None:
        """Fit the consumption on the network where the cache lacks it."""
        if scenario.traffic.calibrates:
            calibrated(load(scenario.traffic.roads), tell)

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Start SUMO with every vehicle at its home."""
        self._assets = assets
        self._log = OrderLog(len(assets.vehicles.ids))
        moves = KINDS[scenario.traffic.kind]
        curves, self._about = None, dict[str, str]()
        if scenario.traffic.calibrates:
            found = calibrated(assets.roads)
            curves, self._about = found.curves, {"calibration": found.digest}
            if few := [s.name for s in assets.vehicles.specs if s.name not in found.models]:
                self._about["curves_that_ship"] = " ".join(few)
        closures = schedule(
            scenario.traffic.incidents,
            assets.roads.edge_ids,
            scenario.start_time,
            float(scenario.duration),
        )
        self._traffic = moves(
            assets.roads,
            assets.vehicles.specs,
            assets.vehicles.model,
            assets.vehicles.home_edge,
            seed=engine_seed(scenario.seed, "traffic"),
            dwell_s=int(scenario.fleet.boarding),
            curves=curves,
            routing=scenario.traffic.routing,
            closures=closures,
            background=background.trips(scenario, assets.roads),
        )

    def about(self) -> dict[str, str]:
        """Return the digest of the roads, and what the kind rests on beside the scenario."""
        return self._about | {"roads_sha256": self._assets.roads.net_sha256}

    def initial(self) -> dict[str, Any]:
        """Return the fleet standing at home."""
        home = self._assets.vehicles.home_edge
        return {
            "vehicle_edge": home.copy(),
            "vehicle_driving": np.zeros(len(home), np.bool_),
            "legs_completed": np.zeros(len(home), np.int32),
            "leg_arrival_s": np.full((len(home), LEGS), -1.0),
            "itinerary_refused": np.zeros(len(home), np.bool_),
        }

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Drive one tick."""
        assert self._traffic is not None  # noqa: S101 - prepare comes first
        orders = Orders(**{f.name: given[f.name] for f in fields(Orders)})
        self._log.add(tick, orders)
        done = self._drive(tick, orders)
        events = done.events
        if tick == len(self._assets.ambient_c) - 1:
            events = events + unfinished(self._traffic.state, self._assets.roads, tick)
        _name_requests(events, given["vehicle_request"])
        names = [f.name for f in fields(TrafficTick) if f.name != "events"]
        return {name: getattr(done, name) for name in names} | {"traffic_events": events}

    def _drive(self, tick: int, orders: Orders) -> TrafficTick:
        assert self._traffic is not None  # noqa: S101 - prepare comes first
        return self._traffic.advance(
            tick,
            orders.itinerary_edge,
            orders.itinerary_start_s,
            orders.tow_edge,
            float(self._assets.ambient_c[tick]),
            orders.itinerary_via_edge,
        )

    def renew(self) -> None:
        """Go on from a state that SUMO has written and read."""
        assert self._traffic is not None  # noqa: S101 - prepare comes first
        with TemporaryDirectory(prefix="voltstep-state-") as name:
            self._traffic.save(Path(name))
            self._base = {
                file.name: np.frombuffer(file.read_bytes(), np.uint8)
                for file in sorted(Path(name).iterdir())
            }
        self._log.clear()

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the state that SUMO last began with, and all orders since."""
        files = {_FILE + name: content for name, content in self._base.items()}
        return files | self._log.arrays()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Begin with that state and drive the orders since again."""
        assert self._traffic is not None  # noqa: S101 - prepare comes first
        self._base = {
            key.removeprefix(_FILE): value for key, value in state.items() if key.startswith(_FILE)
        }
        self._log.take(state)
        if self._base:
            with TemporaryDirectory(prefix="voltstep-state-") as name:
                for file, content in self._base.items():
                    (Path(name) / file).write_bytes(content.tobytes())
                self._traffic.restore(Path(name))
        for tick, orders in self._log:
            self._drive(tick, orders)

    def close(self) -> None:
        """End SUMO."""
        if self._traffic is not None:
            self._traffic.close()


def _name_requests(events: list[Event], vehicle_request: NDArray[np.integer]) -> None:
    """Write into events of vehicles the request that each serves in the tick, if it does."""
    serves = vehicle_request.tolist()
    for event in events:
        vehicle = event.get("vehicle")
        if vehicle is not None and serves[vehicle] >= 0:
            event["request"] = serves[vehicle]


class ReplayedTraffic(Traffic):
    """Moves the fleet's vehicles as an earlier run recorded it."""

    @classmethod
    def make_ready(cls, scenario: Scenario, tell: Tell) -> None:
        """Need nothing."""

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Read the record and put every vehicle at its home."""
        self._assets = assets
        self._log = OrderLog(len(assets.vehicles.ids))
        self._traffic = ReplayTraffic(
            assets.roads,
            assets.vehicles.specs,
            assets.vehicles.model,
            assets.vehicles.home_edge,
            record=read(Path(scenario.traffic.replay), assets.roads),
            start=scenario.start_time,
            dwell_s=int(scenario.fleet.boarding),
        )
        self._about = self._traffic.about()

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the state as it is: a record resumes exactly."""
        self.renew()
        return super().save()
