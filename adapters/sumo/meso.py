"""Mesoscopic traffic: every leg of an itinerary is a SUMO vehicle of its own.

Between legs a vehicle does not exist in SUMO; where it stands and what it is about to do is kept
in `State`. SUMO is stepped second by second within a settlement interval, so that the next leg
departs when the one before has ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.sumo import itineraries
from adapters.sumo.energy import TractionEnergy
from adapters.sumo.engine import Sumo
from adapters.sumo.routes import Route, Routes
from adapters.sumo.state import DRIVING, DUE, IDLE, INSERTING, State
from adapters.sumo.tick import Floats, TrafficTick, Trip, Work
from cosim.errors import TrafficError
from cosim.signals import LEGS, TICK_S
from networks.roads import RoadNetwork
from networks.vehicles import VehicleSpec, load_energy

SPEED_DEVIATION = 0.1
"""Standard deviation of the vehicles' paces relative to the limit: SUMO's default for cars."""
_SUMO_FILE, _STATE_FILE = "sumo.xml.gz", "traffic.npz"


class MesoTraffic:
    """A fleet on the road, one settlement interval at a time.

    Parameters
    ----------
    roads
        Road network.
    specs
        Body types.
    body_type
        Index into `specs`, shape (vehicle,).
    home_edge
        Edge at whose end each vehicle stands at first, shape (vehicle,).
    seed
        Seed of SUMO.
    dwell_s
        Time that a vehicle stands between two legs of an itinerary, for boarding [s].
    teleport_s
        Time stuck after which SUMO lifts a vehicle over a jam [s]; each time is an event, and
        the way that it skips counts as driven.
    insertion_s
        Wait for room on the road that is reported as an event [s].
    options
        Further options of the ``sumo`` program.

    Raises
    ------
    TrafficError
        If this process already runs SUMO, or SUMO does not start.
    """

    def __init__(
        self,
        roads: RoadNetwork,
        specs: Sequence[VehicleSpec],
        body_type: NDArray[np.integer],
        home_edge: NDArray[np.integer],
        *,
        seed: int,
        dwell_s: int = 60,
        teleport_s: float = 300.0,
        insertion_s: float = 300.0,
        options: Sequence[str] = (),
    ) -> None:
        self._roads = roads
        self._types = [specs[int(i)].name for i in body_type]
        self._dwell_s, self._insertion_s = max(int(dwell_s), 1), insertion_s
        curves = load_energy()
        self._energy = TractionEnergy([curves[spec.name] for spec in specs], body_type)
        # SUMO would draw a pace for every leg from numbers that its saved state does not hold.
        rng = np.random.default_rng(seed)
        self._pace = np.clip(rng.normal(1.0, SPEED_DEVIATION, len(home_edge)), 0.8, 1.2)
        self.state = State.standing(home_edge)
        self._on_road: dict[str, int] = {}
        self._route: dict[int, Route] = {}
        self._now = Work(-1, 0.0, np.zeros(0), np.zeros(0), np.zeros(0))
        self._sumo = Sumo(roads.net_file, specs, seed=seed, teleport_s=teleport_s, options=options)
        self._routes = Routes(self._sumo, roads)

    def close(self) -> None:
        """End the simulation; harmless when it has ended."""
        self._sumo.close()

    def save(self, folder: Path) -> None:
        """Write everything to `folder` between two ticks, and go on from what was written.

        SUMO does not resume exactly where it was: a run that was saved and one that is restored
        follow the same path only because both load the file.
        """
        self._sumo.save(folder / _SUMO_FILE)
        np.savez(folder / _STATE_FILE, allow_pickle=False, **self.state.arrays())
        self.restore(folder)

    def restore(self, folder: Path) -> None:
        """Go on from what `save` wrote to `folder`.

        Raises
        ------
        TrafficError
            If SUMO cannot read its state, or the two files do not belong together.
        """
        self._sumo.load(folder / _SUMO_FILE)
        self._sumo.messages()
        with np.load(folder / _STATE_FILE, allow_pickle=False) as arrays:
            self.state.take(arrays)
        state = self.state
        self._routes.forget()
        self._on_road.clear()
        self._route.clear()
        for vehicle in np.flatnonzero(np.isin(state.phase, (INSERTING, DRIVING))).tolist():
            target = int(state.itinerary[vehicle, state.done[vehicle]])
            self._on_road[state.leg_id(vehicle)] = vehicle
            self._route[vehicle] = self._found(vehicle, int(state.stand_edge[vehicle]), target)
        there = set(self._sumo.api.vehicle.getIDList())
        for leg, vehicle in self._on_road.items():
            if state.phase[vehicle] == DRIVING and leg not in there:
                raise TrafficError("not in SUMO's saved state", where=f"vehicle {vehicle}")

    def advance(
        self,
        tick: int,
        itinerary_edge: NDArray[np.integer],
        itinerary_start_s: Floats,
        tow_edge: NDArray[np.integer],
    ) -> TrafficTick:
        """Move the fleet through one settlement interval.

        Parameters
        ----------
        tick
            Settlement interval, one after the other from 0.
        itinerary_edge
            Edges to drive to in order, shape (vehicle, leg), -1 after the last; a row that starts
            with -1 brings no new itinerary.
        itinerary_start_s
            Departure of a new itinerary after the start of the tick [s], shape (vehicle,).
        tow_edge
            Edge at whose end the vehicle is set down now, its itinerary dropped; -1 for none.

        Returns
        -------
        TrafficTick
            What the vehicles did. An itinerary that cannot be driven, or that comes while another
            is under way, is refused with an event and the vehicle stays.

        Raises
        ------
        TrafficError
            If SUMO refuses a command, loses a vehicle or is not at the start of the tick.
        """
        begin = float(tick * TICK_S)
        if self._sumo.time_s != begin:
            raise TrafficError(
                f"SUMO stands at {self._sumo.time_s:g} s, not {begin:g} s", tick=tick
            )
        count = len(self._types)
        now = self._now = Work(tick, begin, np.zeros(count), np.zeros(count), np.zeros(count))
        for vehicle in np.flatnonzero(tow_edge >= 0).tolist():
            self._tow(vehicle, int(tow_edge[vehicle]))
        refused = self._accept(itinerary_edge, itinerary_start_s)
        self._drive(begin + TICK_S)
        self._read_odometers(begin + TICK_S)
        self._hear()
        traction_kwh = self._draw_energy()
        state = self.state
        now.events.sort(key=lambda event: (event["time_s"], event.get("vehicle", -1)))
        return TrafficTick(
            vehicle_distance_km=now.moved_m / 1000.0,
            vehicle_traction_kwh=traction_kwh,
            vehicle_driving_s=now.moving_s,
            vehicle_edge=state.edge.copy(),
            vehicle_driving=state.phase != IDLE,
            legs_completed=state.done.copy(),
            leg_arrival_s=state.arrival_s.copy(),
            itinerary_refused=refused,
            events=now.events,
        )

    def _accept(
        self, itinerary_edge: NDArray[np.integer], itinerary_start_s: Floats
    ) -> NDArray[np.bool_]:
        state, now = self.state, self._now
        wanted, reason = itineraries.accept(
            state, self._routes, itinerary_edge, itinerary_start_s, now.begin_s, now.tick
        )
        for vehicle, why in zip(wanted.tolist(), reason.tolist(), strict=True):
            if why:
                self._tell("trip_refused", now.begin_s, vehicle, int(state.edge[vehicle]), why)
        refused = np.zeros(len(state.phase), np.bool_)
        refused[wanted[reason != ""]] = True
        return refused

    def _tow(self, vehicle: int, edge: int) -> None:
        state = self.state
        taken_from = int(state.edge[vehicle])
        if state.phase[vehicle] in (INSERTING, DRIVING):
            leg = state.leg_id(vehicle)
            with self._sumo.calling(f"vehicle {vehicle}", self._now.tick) as api:
                api.vehicle.remove(leg)
            del self._on_road[leg], self._route[vehicle]
        state.phase[vehicle] = IDLE
        state.due_s[vehicle] = np.inf
        state.edge[vehicle] = edge
        detail = f"set down at {self._roads.edge_ids[edge]}"
        self._tell("tow", self._now.begin_s, vehicle, taken_from, detail)

    def _drive(self, end: float) -> None:
        """Step SUMO to `end`, starting each leg in the second in which it is due."""
        state = self.state
        soon = np.flatnonzero((state.phase == DUE) & (state.due_s < end)).tolist()
        queue = [(float(state.due_s[v]), int(v)) for v in soon]
        heapq.heapify(queue)
        time = self._now.begin_s
        with self._sumo.calling("stepping", self._now.tick) as api:
            while time < end:
                while queue and queue[0][0] <= time:
                    _, vehicle = heapq.heappop(queue)
                    self._depart(api, vehicle, time, queue, end)
                # Nobody is on the road before the next departure: no need to look every second.
                free = min(end, float(np.ceil(queue[0][0]))) if queue else end
                until = time + 1.0 if self._on_road else free
                self._sumo.step(until)
                for leg in api.simulation.getDepartedIDList():
                    vehicle = self._on_road[leg]
                    state.phase[vehicle] = DRIVING
                    state.departed_s[vehicle] = time
                for leg in api.simulation.getArrivedIDList():
                    # A towed vehicle counts as arrived too, but is known no more.
                    if leg in self._on_road:
                        self._arrive(self._on_road.pop(leg), time, queue, end)
                time = until

    def _depart(
        self, api: Any, vehicle: int, time: float, queue: list[tuple[float, int]], end: float
    ) -> None:
        state = self.state
        target = int(state.itinerary[vehicle, state.done[vehicle]])
        state.due_s[vehicle] = np.inf
        state.stand_edge[vehicle] = state.edge[vehicle]
        state.departed_s[vehicle] = state.asked_s[vehicle] = time
        state.leg_m[vehicle] = state.leg_kwh[vehicle] = 0.0
        state.warned[vehicle] = False
        if target == state.edge[vehicle]:
            self._finish_leg(vehicle, time, 0.0, queue, end)
            return
        route = self._found(vehicle, int(state.edge[vehicle]), target)
        state.number[vehicle] += 1
        leg = state.leg_id(vehicle)
        with self._sumo.calling(f"vehicle {vehicle}", self._now.tick):
            api.vehicle.add(
                leg, route.id, typeID=self._types[vehicle], departPos="0", departSpeed="max"
            )
            api.vehicle.setSpeedFactor(leg, float(self._pace[vehicle]))
        state.phase[vehicle] = INSERTING
        self._on_road[leg] = vehicle
        self._route[vehicle] = route

    def _found(self, vehicle: int, start: int, end: int) -> Route:
        route = self._routes.find(start, end, self._now.tick)
        if isinstance(route, str):
            raise TrafficError(route, where=f"vehicle {vehicle}", tick=self._now.tick)
        return route

    def _arrive(
        self, vehicle: int, time: float, queue: list[tuple[float, int]], end: float
    ) -> None:
        state = self.state
        since = max(float(state.departed_s[vehicle]), self._now.begin_s)
        left_m = self._route.pop(vehicle).length_m - float(state.leg_m[vehicle])
        self._now.moving_s[vehicle] += time - since
        self._finish_leg(vehicle, time, left_m, queue, end)

    def _finish_leg(
        self, vehicle: int, time: float, left_m: float, queue: list[tuple[float, int]], end: float
    ) -> None:
        state = self.state
        leg = int(state.done[vehicle])
        target = int(state.itinerary[vehicle, leg])
        self._now.moved_m[vehicle] += left_m
        self._now.trips.append(
            Trip(
                vehicle=vehicle,
                start_s=float(state.asked_s[vehicle]),
                end_s=time,
                edge=target,
                total_m=float(state.leg_m[vehicle]) + left_m,
                now_m=left_m,
                before_kwh=float(state.leg_kwh[vehicle]),
            )
        )
        state.leg_m[vehicle] = state.leg_kwh[vehicle] = 0.0
        state.edge[vehicle] = target
        state.arrival_s[vehicle, leg] = time
        state.done[vehicle] = leg + 1
        if leg + 1 < LEGS and state.itinerary[vehicle, leg + 1] >= 0:
            state.phase[vehicle] = DUE
            state.due_s[vehicle] = time + self._dwell_s
            if state.due_s[vehicle] < end:
                heapq.heappush(queue, (float(state.due_s[vehicle]), vehicle))
        else:
            state.phase[vehicle] = IDLE

    def _read_odometers(self, end: float) -> None:
        state, now = self.state, self._now
        vehicles: list[int] = []
        ways_m: list[float] = []
        edges: list[int] = []
        vehicle = -1
        try:
            for leg, vehicle in self._on_road.items():
                if state.phase[vehicle] == INSERTING:
                    self._report_late(vehicle, end)
                    continue
                route = self._route[vehicle]
                position = self._sumo.api.vehicle.getRouteIndex(leg)
                vehicles.append(vehicle)
                ways_m.append(route.start_m[position] + self._sumo.api.vehicle.getLanePosition(leg))
                edges.append(route.edges[position])
        except self._sumo.refusals as error:
            raise TrafficError(str(error), where=f"vehicle {vehicle}", tick=now.tick) from error
        rows = np.array(vehicles, np.int64)
        way_m = np.maximum(np.array(ways_m), state.leg_m[rows])
        driven_m = way_m - state.leg_m[rows]
        now.under_way_m[rows] = driven_m
        now.moved_m[rows] += driven_m
        now.moving_s[rows] += end - np.maximum(state.departed_s[rows], now.begin_s)
        state.leg_m[rows] = way_m
        state.edge[rows] = np.array(edges, np.int32)

    def _report_late(self, vehicle: int, end: float) -> None:
        state = self.state
        waited = end - float(state.asked_s[vehicle])
        if waited >= self._insertion_s and not state.warned[vehicle]:
            state.warned[vehicle] = True
            edge, text = self._route[vehicle].edges[0], f"no room on the road for {waited:g} s"
            self._tell("insertion_delayed", end, vehicle, edge, text)

    def _draw_energy(self) -> Floats:
        """Energy of the tick from the mean moving speed, shared among its legs by distance."""
        state = self.state
        speed_kmh = 3.6 * self._now.moved_m / np.maximum(self._now.moving_s, 1.0)
        per_km = self._energy.kwh_per_km(speed_kmh)
        for trip in self._now.trips:
            energy_kwh = trip.before_kwh + float(per_km[trip.vehicle]) * trip.now_m / 1000.0
            self._tell(
                "trip",
                trip.end_s,
                trip.vehicle,
                trip.edge,
                "",
                start_s=trip.start_s,
                distance_km=trip.total_m / 1000.0,
                energy_kwh=energy_kwh,
            )
        state.leg_kwh[:] += per_km * self._now.under_way_m / 1000.0
        return per_km * self._now.moved_m / 1000.0

    def _hear(self) -> None:
        """Turn SUMO's warnings into events."""
        teleports, others = self._sumo.messages()
        now = self._now
        for t in teleports:
            vehicle = int(t.leg_id.split("#")[0])
            now.add("teleport", t.time_s, t.edge_id, t.reason, vehicle=vehicle)
        for text in others:
            now.add("sumo_warning", now.begin_s, "", text)

    def _tell(
        self, kind: str, time_s: float, vehicle: int, edge: int, detail: str, **values: float
    ) -> None:
        self._now.add(kind, time_s, self._roads.edge_ids[edge], detail, vehicle=vehicle, **values)
