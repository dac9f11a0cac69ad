"""Microscopic traffic: cars that follow each other, their energy from SUMO's battery device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.sumo import telling
from adapters.sumo.drives import Drives
from adapters.sumo.engine import Engine, Sumo
from adapters.sumo.legs import Legs
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.state import DRIVING, State
from adapters.sumo.tick import Floats, Trips, Work, joined
from networks.roads.routing import Router
from networks.vehicles.micro import battery_wh

FOREVER_S = 1e6
BESIDE_THE_ROAD = 1
"""SUMO's flag of a stop that parks."""


class MicroLegs(Legs):
    """Legs that end in a stop beside the road, where SUMO's meters can still be read.

    A vehicle that arrives is gone before it can be asked; one that parks is taken off here.
    """

    on_edge: ClassVar[bool] = False

    def __init__(
        self,
        sumo: Sumo,
        router: Router,
        drives: Drives,
        state: State,
        types: Sequence[str],
        pace: Floats,
        dwell_s: int,
    ) -> None:
        super().__init__(sumo, router, drives, state, types, pace, dwell_s)
        self._parked: frozenset[str] = frozenset()
        self._meter_kwh: dict[str, float] = {}
        self._kerbs: dict[str, tuple[int, float]] = {}

    def recover(self, tick: int) -> None:
        """Find the vehicles and their meters again; SUMO's saved state does not hold meters."""
        super().recover(tick)
        driving = [leg for leg, v in self.on_road.items() if self._state.phase[v] == DRIVING]
        self._meter_kwh = dict.fromkeys(self.on_road, 0.0)
        self._meter_kwh |= {leg: self._net_kwh(leg) for leg in driving}

    def read_energy(self, now: Work) -> None:
        """Add what the vehicles on the road drew."""
        with self._sumo.calling("reading batteries", now.tick):
            for leg, vehicle in self.on_road.items():
                if self._state.phase[vehicle] == DRIVING:
                    drawn_kwh = self._read_meter(leg)
                    now.drawn_kwh[vehicle] += drawn_kwh
                    self._state.leg_kwh[vehicle] += drawn_kwh

    def take_off(self, vehicle: int, tick: int) -> None:
        """Take a vehicle off the road and drop its itinerary; it stays where it is."""
        self._meter_kwh.pop(self._state.leg_id(vehicle), None)
        super().take_off(vehicle, tick)

    def odometers(self, legs: Sequence[str]) -> tuple[list[int], list[float]]:
        """Return positions in the routes, and distances driven [m]."""
        api = self._sumo.api.vehicle
        position, driven_m = api.getRouteIndex, api.getDistance
        earlier_m = self._state.earlier_m[[self.on_road[leg] for leg in legs]]
        metres = [driven_m(leg) + m for leg, m in zip(legs, earlier_m.tolist(), strict=True)]
        return [position(leg) for leg in legs], metres

    def lead(self, leg: str, names: Sequence[str]) -> None:
        """Give a SUMO vehicle another way, from the edge where it is."""
        api = self._sumo.api.vehicle
        end = api.getRoute(leg)[-1]
        api.setRoute(leg, names)
        if end != names[-1]:
            # One that cannot stop there any more arrives without parking.
            with suppress(*self._sumo.refusals):
                self.park_at_end(leg, names[-1])
            if end in names:
                self.park_at_end(leg, end, 0.0)

    def shorten(self, leg: str, names: Sequence[str]) -> bool:
        """Let a SUMO vehicle's way end earlier; False if it cannot stop there any more."""
        try:
            self.park_at_end(leg, names[-1])
        except self._sumo.refusals:
            return False
        return super().shorten(leg, names)

    def recall(self, vehicle: int, tick: int) -> None:
        """Hold a vehicle that waits for room where it stands."""
        del self._meter_kwh[self._state.leg_id(vehicle)]
        super().recall(vehicle, tick)

    def _add(self, leg: str, vehicle: int, edges: list[str], moment: str) -> None:
        api = self._sumo.api.vehicle
        api.add(leg, "", self._types[vehicle], moment, departLane="best", departSpeed="0")
        api.setRoute(leg, edges)
        api.setSpeedFactor(leg, self._pace[vehicle])
        self.park_at_end(leg, edges[-1])
        self._meter_kwh[leg] = 0.0

    def park_at_end(self, leg: str, edge_id: str, for_s: float = FOREVER_S) -> None:
        """Let a SUMO vehicle park beside the road at the end of an edge, not at all for 0 s."""
        api = self._sumo.api
        lane, length_m = self._kerb(api, edge_id)
        api.vehicle.setStop(leg, edge_id, length_m, lane, for_s, BESIDE_THE_ROAD)

    def _kerb(self, api: Any, name: str) -> tuple[int, float]:
        """Return the outermost lane that cars may use, and its length [m]."""
        if name not in self._kerbs:
            for lane in range(api.edge.getLaneNumber(name)):
                allowed = api.lane.getAllowed(f"{name}_{lane}")
                barred = api.lane.getDisallowed(f"{name}_{lane}")
                if "passenger" in allowed or (not allowed and "passenger" not in barred):
                    self._kerbs[name] = lane, float(api.lane.getLength(f"{name}_{lane}"))
                    break
        return self._kerbs[name]

    def _ended(self, api: Any) -> Sequence[str]:
        # One that SUMO lifted over a jam past its stop arrives without having parked.
        parked = api.simulation.getParkingStartingVehiclesIDList()
        self._parked = frozenset(parked)
        return [*parked, *api.simulation.getArrivedIDList()]

    def _last_reading(self, leg: str, vehicle: int) -> tuple[float, float]:
        api = self._sumo.api
        if leg not in self._parked:
            self._meter_kwh.pop(leg)
            return super()._last_reading(leg, vehicle)
        way_m = float(api.vehicle.getDistance(leg)) + float(self._state.earlier_m[vehicle])
        left_kwh = self._read_meter(leg)
        del self._meter_kwh[leg]
        api.vehicle.remove(leg)
        return way_m, left_kwh

    def _read_meter(self, leg: str) -> float:
        """Return the net energy drawn since the meter was last read [kWh]."""
        net_kwh = self._net_kwh(leg)
        drawn_kwh = net_kwh - self._meter_kwh[leg]
        self._meter_kwh[leg] = net_kwh
        return drawn_kwh

    def _net_kwh(self, leg: str) -> float:
        drawn, returned = battery_wh(self._sumo.api, leg)
        return (drawn - returned) / 1000.0


class MicroTraffic(MesoTraffic):
    """A fleet on the road, car by car; arguments and results are those of `MesoTraffic`."""

    engine: ClassVar[Engine] = "micro"
    _legs_of: ClassVar[type[Legs]] = MicroLegs

    def _draw_energy(self) -> NDArray[np.float64]:
        """Energy of the tick as SUMO's battery device measured it, and heating and cooling."""
        now = self._now
        climate_kwh = self._energy.climate_kwh(now.moving_s, self._ambient_c)
        moved = now.moved_m > 0
        per_m = np.divide(climate_kwh, now.moved_m, out=0.0 * climate_kwh, where=moved)
        trips = joined(Trips, now.trips)
        telling.trips(
            now, self._roads.edge_ids, trips, trips.now_kwh + per_m[trips.vehicle] * trips.now_m
        )
        self.state.leg_kwh[:] += np.where(moved, per_m * now.under_way_m, climate_kwh)
        return now.drawn_kwh + climate_kwh
