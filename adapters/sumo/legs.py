"""Legs on the road: SUMO vehicles that come, drive and go within a settlement interval."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.sumo.engine import Sumo
from adapters.sumo.routes import Route, Routes
from adapters.sumo.state import DRIVING, DUE, IDLE, INSERTING, State
from adapters.sumo.tick import Floats, Trip, Work
from cosim.errors import TrafficError
from cosim.signals import LEGS


class Legs:
    """Starts and ends the SUMO vehicles that drive the legs, and reads their odometers.

    Parameters
    ----------
    sumo
        The simulation.
    routes
        Ways between ends of edges.
    state
        Where every vehicle is; changed in place.
    types
        SUMO vehicle type of each vehicle.
    pace
        Speed that each vehicle drives relative to the limit, shape (vehicle,).
    dwell_s
        Time that a vehicle stands between two legs [s].
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
        self._sumo, self._routes, self._state = sumo, routes, state
        self._types, self._pace, self._dwell_s = types, pace, max(dwell_s, 1)
        self._on_road: dict[str, int] = {}
        self._route: dict[int, Route] = {}
        self._queue: list[tuple[float, int]] = []
        self._end_s = 0.0

    def recover(self, tick: int) -> None:
        """Find the vehicles on the road again after SUMO and the state were restored."""
        state = self._state
        self._on_road.clear()
        self._route.clear()
        for vehicle in np.flatnonzero(np.isin(state.phase, (INSERTING, DRIVING))).tolist():
            target = int(state.itinerary[vehicle, state.done[vehicle]])
            self._on_road[state.leg_id(vehicle)] = vehicle
            self._route[vehicle] = self._found(
                vehicle, int(state.stand_edge[vehicle]), target, tick
            )
        there = set(self._sumo.api.vehicle.getIDList())
        for leg, vehicle in self._on_road.items():
            if state.phase[vehicle] == DRIVING and leg not in there:
                raise TrafficError("not in SUMO's saved state", where=f"vehicle {vehicle}")

    def take_off(self, vehicle: int, tick: int) -> None:
        """Take a vehicle off the road and drop its itinerary; it stays where it is."""
        state = self._state
        if state.phase[vehicle] in (INSERTING, DRIVING):
            leg = state.leg_id(vehicle)
            with self._sumo.calling(f"vehicle {vehicle}", tick) as api:
                api.vehicle.remove(leg)
            del self._on_road[leg], self._route[vehicle]
        state.phase[vehicle] = IDLE
        state.due_s[vehicle] = np.inf

    def drive(self, now: Work, end: float) -> None:
        """Step SUMO to `end`, starting each leg in the second in which it is due."""
        state = self._state
        soon = np.flatnonzero((state.phase == DUE) & (state.due_s < end)).tolist()
        queue = self._queue = [(float(state.due_s[v]), int(v)) for v in soon]
        heapq.heapify(queue)
        time, self._end_s = now.begin_s, end
        with self._sumo.listening(), self._sumo.calling("stepping", now.tick) as api:
            while time < end:
                while queue and queue[0][0] <= time:
                    _, vehicle = heapq.heappop(queue)
                    self._depart(now, vehicle, time)
                # Nobody is on the road before the next departure: no need to look every second.
                free = min(end, float(np.ceil(queue[0][0]))) if queue else end
                until = time + 1.0 if self._on_road else free
                self._sumo.step(until)
                for leg in api.simulation.getDepartedIDList():
                    if leg in self._on_road:
                        vehicle = self._on_road[leg]
                        state.phase[vehicle] = DRIVING
                        state.departed_s[vehicle] = time
                for leg in self._ended(api):
                    # Towed vehicles, and traffic that is not of the fleet, are not known here.
                    if leg in self._on_road:
                        self._arrive(now, leg, time)
                time = until

    def _depart(self, now: Work, vehicle: int, time: float) -> None:
        state = self._state
        target = int(state.itinerary[vehicle, state.done[vehicle]])
        state.due_s[vehicle] = np.inf
        state.stand_edge[vehicle] = state.edge[vehicle]
        state.departed_s[vehicle] = state.asked_s[vehicle] = time
        state.leg_m[vehicle] = state.leg_kwh[vehicle] = 0.0
        state.warned[vehicle] = False
        if target == state.edge[vehicle]:
            self._finish(now, vehicle, time, 0.0)
            return
        route = self._found(vehicle, int(state.edge[vehicle]), target, now.tick)
        state.number[vehicle] += 1
        leg = state.leg_id(vehicle)
        with self._sumo.calling(f"vehicle {vehicle}", now.tick) as api:
            self._add(api, leg, route, self._types[vehicle])
            api.vehicle.setSpeedFactor(leg, float(self._pace[vehicle]))
        state.phase[vehicle] = INSERTING
        self._on_road[leg] = vehicle
        self._route[vehicle] = route

    def _found(self, vehicle: int, start: int, end: int, tick: int) -> Route:
        route = self._routes.find(start, end, tick)
        if isinstance(route, str):
            raise TrafficError(route, where=f"vehicle {vehicle}", tick=tick)
        return route

    def _add(self, api: Any, leg: str, route: Route, vehicle_type: str) -> None:
        """Bring a SUMO vehicle on its way."""
        api.vehicle.add(leg, route.id, typeID=vehicle_type, departPos="0", departSpeed="max")

    def _ended(self, api: Any) -> Sequence[str]:
        """Return the SUMO vehicles that reached their end in this second."""
        return api.simulation.getArrivedIDList()

    def _last_reading(self, leg: str, vehicle: int) -> tuple[float, float]:
        """Return distance [m] and net energy [kWh] of a leg that ended, since it was last read."""
        del leg
        return self._route[vehicle].length_m - float(self._state.leg_m[vehicle]), 0.0

    def _arrive(self, now: Work, leg: str, time: float) -> None:
        vehicle = self._on_road.pop(leg)
        since = max(float(self._state.departed_s[vehicle]), now.begin_s)
        left_m, left_kwh = self._last_reading(leg, vehicle)
        del self._route[vehicle]
        now.moving_s[vehicle] += time - since
        self._finish(now, vehicle, time, left_m, left_kwh)

    def _finish(
        self, now: Work, vehicle: int, time: float, left_m: float, left_kwh: float = 0.0
    ) -> None:
        state = self._state
        leg = int(state.done[vehicle])
        target = int(state.itinerary[vehicle, leg])
        now.moved_m[vehicle] += left_m
        now.drawn_kwh[vehicle] += left_kwh
        now.trips.append(
            Trip(
                vehicle=vehicle,
                start_s=float(state.asked_s[vehicle]),
                end_s=time,
                origin=int(state.stand_edge[vehicle]),
                edge=target,
                driving_s=time - float(state.departed_s[vehicle]),
                total_m=float(state.leg_m[vehicle]) + left_m,
                now_m=left_m,
                before_kwh=float(state.leg_kwh[vehicle]),
                now_kwh=left_kwh,
            )
        )
        state.leg_m[vehicle] = state.leg_kwh[vehicle] = 0.0
        state.edge[vehicle] = target
        state.arrival_s[vehicle, leg] = time
        state.done[vehicle] = leg + 1
        if leg + 1 < LEGS and state.itinerary[vehicle, leg + 1] >= 0:
            state.phase[vehicle] = DUE
            state.due_s[vehicle] = time + self._dwell_s
            if state.due_s[vehicle] < self._end_s:
                heapq.heappush(self._queue, (float(state.due_s[vehicle]), vehicle))
        else:
            state.phase[vehicle] = IDLE

    def read_odometers(self, now: Work, end: float, patience_s: float) -> None:
        """Add what the vehicles on the road drove; note who waits longer than `patience_s` [s]."""
        state = self._state
        vehicles: list[int] = []
        ways_m: list[float] = []
        edges: list[int] = []
        vehicle = -1
        try:
            for leg, vehicle in self._on_road.items():
                if state.phase[vehicle] == INSERTING:
                    if end - state.asked_s[vehicle] >= patience_s:
                        now.late.append(vehicle)
                    continue
                position, way_m = self._odometer(leg, vehicle)
                vehicles.append(vehicle)
                ways_m.append(way_m)
                edges.append(self._route[vehicle].edges[position])
        except self._sumo.refusals as error:
            raise TrafficError(str(error), where=f"vehicle {vehicle}", tick=now.tick) from error
        rows = np.array(vehicles, np.int64)
        ways = np.maximum(np.array(ways_m), state.leg_m[rows])
        driven_m = ways - state.leg_m[rows]
        now.under_way_m[rows] = driven_m
        now.moved_m[rows] += driven_m
        now.moving_s[rows] += end - np.maximum(state.departed_s[rows], now.begin_s)
        state.leg_m[rows] = ways
        state.edge[rows] = np.array(edges, np.int32)

    def _odometer(self, leg: str, vehicle: int) -> tuple[int, float]:
        """Return position in the route and distance driven [m]."""
        # Mesoscopic SUMO's own odometer is wrong.
        position = self._sumo.api.vehicle.getRouteIndex(leg)
        begun_m = self._route[vehicle].start_m[position]
        return position, begun_m + self._sumo.api.vehicle.getLanePosition(leg)

    def first_edge(self, vehicle: int) -> int:
        """Return the edge on which the leg under way begins."""
        return self._route[vehicle].edges[0]
