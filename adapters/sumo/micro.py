"""Microscopic traffic: cars that follow each other, their energy from SUMO's battery device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.engine import Engine, Sumo
from adapters.sumo.legs import Legs
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.routes import Route, Routes
from adapters.sumo.state import DRIVING, State
from adapters.sumo.tick import Floats, Work
from networks.vehicles.micro import battery_wh

FOREVER_S = 1e6
BESIDE_THE_ROAD = 1
"""SUMO's flag of a stop that parks."""


class MicroLegs(Legs):
    """Legs that end in a stop beside the road, where SUMO's meters can still be read.

    A vehicle that arrives is gone before it can be asked; one that parks is taken off here.
    """

    def __init__(
        self,
        sumo: Sumo,
        routes: Routes,
        state: State,
        types: Sequence[str],
        pace: Floats,
        dwell_s: int,
    ) -> None:
        super().__init__(sumo, routes, state, types, pace, dwell_s)
        self._parked: frozenset[str] = frozenset()
        self._meter_kwh: dict[str, float] = {}
        self._kerbs: dict[int, tuple[int, float]] = {}

    def recover(self, tick: int) -> None:
        """Find the vehicles and their meters again; SUMO's saved state does not hold meters."""
        super().recover(tick)
        driving = [leg for leg, v in self._on_road.items() if self._state.phase[v] == DRIVING]
        self._meter_kwh = dict.fromkeys(self._on_road, 0.0)
        self._meter_kwh |= {leg: self._net_kwh(leg) for leg in driving}

    def read_odometers(self, now: Work, end: float, patience_s: float) -> None:
        """Add what the vehicles on the road drove and drew."""
        super().read_odometers(now, end, patience_s)
        with self._sumo.calling("reading batteries", now.tick):
            for leg, vehicle in self._on_road.items():
                if self._state.phase[vehicle] == DRIVING:
                    drawn_kwh = self._read_meter(leg)
                    now.drawn_kwh[vehicle] += drawn_kwh
                    self._state.leg_kwh[vehicle] += drawn_kwh

    def take_off(self, vehicle: int, tick: int) -> None:
        """Take a vehicle off the road and drop its itinerary; it stays where it is."""
        self._meter_kwh.pop(self._state.leg_id(vehicle), None)
        super().take_off(vehicle, tick)

    def _add(self, api: Any, leg: str, route: Route, vehicle_type: str) -> None:
        last = route.edges[-1]
        lane, length_m = self._kerb(api, last)
        api.vehicle.add(leg, route.id, typeID=vehicle_type, departLane="best", departSpeed="0")
        api.vehicle.setStop(
            leg, self._routes.roads.edge_ids[last], length_m, lane, FOREVER_S, BESIDE_THE_ROAD
        )
        self._meter_kwh[leg] = 0.0

    def _kerb(self, api: Any, edge: int) -> tuple[int, float]:
        """Return the outermost lane that cars may use, and its length [m]."""
        if edge not in self._kerbs:
            name = self._routes.roads.edge_ids[edge]
            for lane in range(api.edge.getLaneNumber(name)):
                allowed = api.lane.getAllowed(f"{name}_{lane}")
                barred = api.lane.getDisallowed(f"{name}_{lane}")
                if "passenger" in allowed or (not allowed and "passenger" not in barred):
                    self._kerbs[edge] = lane, float(api.lane.getLength(f"{name}_{lane}"))
                    break
        return self._kerbs[edge]

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
        left_m = float(api.vehicle.getDistance(leg)) - float(self._state.leg_m[vehicle])
        left_kwh = self._read_meter(leg)
        del self._meter_kwh[leg]
        api.vehicle.remove(leg)
        return left_m, left_kwh

    def _odometer(self, leg: str, vehicle: int) -> tuple[int, float]:
        del vehicle
        api = self._sumo.api
        return api.vehicle.getRouteIndex(leg), float(api.vehicle.getDistance(leg))

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
        self._tell_trips([t.now_kwh + float(per_m[t.vehicle]) * t.now_m for t in now.trips])
        self.state.leg_kwh[:] += np.where(moved, per_m * now.under_way_m, climate_kwh)
        return now.drawn_kwh + climate_kwh
