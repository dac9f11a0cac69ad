"""Legs on the road: SUMO vehicles that come, drive and go within a settlement interval."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.drives import Drives, Ints, Progress
from adapters.sumo.engine import Sumo
from adapters.sumo.state import DRIVING, DUE, HELD, IDLE, INSERTING, State
from adapters.sumo.tick import Floats, Trips, Work
from cosim.errors import TrafficError
from cosim.signals import LEGS
from networks.roads.routing import Router, Turns


class Legs:
    """Starts and ends the SUMO vehicles that drive the legs.

    Parameters
    ----------
    sumo
        The simulation.
    router
        Ways between ends of edges.
    drives
        Ways of the legs under way.
    state
        Where every vehicle is; changed in place.
    types
        SUMO vehicle type of each vehicle.
    pace
        Speed that each vehicle drives relative to the limit, shape (vehicle,).
    dwell_s
        Time that a vehicle stands between two legs [s].
    """

    on_edge: ClassVar[bool] = True
    """Whether `odometers` counts from the start of the edge, not of the way."""

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
        self._sumo, self._router, self._drives, self._state = sumo, router, drives, state
        self._types, self._dwell_s = types, max(dwell_s, 1)
        self._pace_of, self._pace = pace, pace.tolist()
        self.on_road: dict[str, int] = {}
        """Vehicles by the SUMO id of the leg under way, inserted or not."""
        self._departed: list[tuple[int, float]] = []
        self._arrived: list[tuple[int, float, float, float]] = []

    def recover(self, tick: int) -> None:
        """Find the vehicles on the road again after SUMO and the state were restored."""
        state = self._state
        self.on_road.clear()
        for vehicle in np.flatnonzero(np.isin(state.phase, (INSERTING, DRIVING))).tolist():
            self.on_road[state.leg_id(vehicle)] = vehicle
        there = set(self._sumo.api.vehicle.getIDList())
        for leg, vehicle in self.on_road.items():
            if leg not in there and not self._sumo.knows(leg):
                where = f"vehicle {vehicle}"
                raise TrafficError("not in SUMO's saved state", where=where, tick=tick)
        self._list_routes(tick, listed=False)

    def before_save(self, tick: int) -> None:
        """Let SUMO list the routes that its saved state refers to; `recover` undoes it."""
        self._list_routes(tick, listed=True)

    def _list_routes(self, tick: int, *, listed: bool) -> None:
        for leg, vehicle in self.on_road.items():
            with self.told(vehicle, tick) as api:
                # Routes of vehicles that were led another way SUMO lists and forgets by itself.
                if api.vehicle.getRouteID(leg) != leg:
                    continue
                if listed:
                    api.route.add(leg, api.vehicle.getRoute(leg))
                else:
                    api.route.remove(leg)

    def take_off(self, vehicle: int, tick: int) -> None:
        """Take a vehicle off the road and drop its itinerary; it stays where it is."""
        state = self._state
        if state.phase[vehicle] in (INSERTING, DRIVING):
            leg = state.leg_id(vehicle)
            with self.told(vehicle, tick) as api:
                api.vehicle.remove(leg)
            del self.on_road[leg]
        state.phase[vehicle] = IDLE
        state.cut[vehicle] = False
        state.due_s[vehicle] = np.inf

    def told(self, vehicle: int, tick: int) -> AbstractContextManager[Any]:
        """Let SUMO refuse what it is told about a vehicle with an error that names it."""
        return self._sumo.calling(f"vehicle {vehicle}", tick)

    def stands(self, leg: str) -> tuple[int, str]:
        """Return the position in its route where a SUMO vehicle is, and the edge there."""
        api = self._sumo.api.vehicle
        index = max(api.getRouteIndex(leg), 0)
        return index, api.getRoute(leg)[index]

    def lead(self, leg: str, names: Sequence[str]) -> None:
        """Give a SUMO vehicle another way, from the edge where it is."""
        # SUMO would let a vehicle jump to a route that is not from where it is.
        self._sumo.api.vehicle.setRoute(leg, names)

    def shorten(self, leg: str, names: Sequence[str]) -> bool:
        """Let a SUMO vehicle's way end earlier; False if it cannot stop there any more."""
        self._sumo.api.vehicle.setRoute(leg, names)
        return True

    def recall(self, vehicle: int, tick: int) -> None:
        """Hold a vehicle that waits for room where it stands."""
        leg = self._state.leg_id(vehicle)
        with self.told(vehicle, tick) as api:
            api.vehicle.remove(leg)
        del self.on_road[leg]
        self._state.phase[vehicle] = HELD

    def go_on(self, now: Work, vehicle: int, driven: Turns, way: Turns) -> None:
        """Bring a vehicle that was held on the rest of its way."""
        state = self._state
        state.number[vehicle] += 1
        state.phase[vehicle] = INSERTING
        state.asked_s[vehicle] = now.begin_s
        state.still_s[vehicle], state.warned[vehicle] = 0.0, False
        self._set_out(now, [vehicle], [now.begin_s], [way])
        self._drives.begin([vehicle], [driven + way])

    def drive(self, now: Work, end: float) -> None:
        """Step SUMO to `end`, starting each leg in the second in which it is due."""
        state = self._state
        self._depart(now, np.flatnonzero((state.phase == DUE) & (state.due_s < end)), end)
        time = now.begin_s
        on_road, step = self.on_road, self._sumo.step
        has_more = ((state.itinerary >= 0).sum(axis=1) > state.done + 1).tolist()
        due_s = np.inf
        with self._sumo.listening(), self._sumo.calling("stepping", now.tick) as api:
            departed = api.simulation.getDepartedIDList
            while time < end:
                # With nobody of the fleet on the road there is no need to look every second.
                until = time + 1.0 if on_road else end
                step(until)
                # Towed vehicles, and traffic that is not of the fleet, are not known here.
                self._departed += [(on_road[leg], time) for leg in departed() if leg in on_road]
                for leg in self._ended(api):
                    if leg in on_road:
                        vehicle = on_road.pop(leg)
                        self._arrived.append((vehicle, time, *self._last_reading(leg, vehicle)))
                        if has_more[vehicle]:
                            due_s = min(due_s, time + self._dwell_s)
                # Taken in many at a time, but before the first of them is due again.
                if due_s <= until or not on_road:
                    self._take_in(now, end)
                    due_s = np.inf
                time = until
            self._take_in(now, end)

    def end_lifted(self, now: Work, lifted: Sequence[tuple[str, float]]) -> None:
        """End legs that SUMO lifted over a jam to their end, and took off without a word.

        Parameters
        ----------
        now
            The tick, at its end.
        lifted
            SUMO vehicles, with the time [s].
        """
        for leg, time_s in lifted:
            if leg in self.on_road and not self._sumo.knows(leg):
                vehicle = self.on_road.pop(leg)
                reading = self._last_reading(leg, vehicle)
                self._arrived.append((vehicle, time_s, *reading))
        self._take_in(now, now.begin_s)

    def _depart(self, now: Work, vehicles: Ints, end: float) -> None:
        """Bring legs that are due on their way, in the order in which they are due."""
        state = self._state
        # SUMO begins a second with those that depart in it.
        moment_s = np.maximum(np.ceil(state.due_s[vehicles]), now.begin_s)
        order = np.lexsort((vehicles, state.due_s[vehicles]))
        vehicles, moment_s = vehicles[order], moment_s[order]
        leg = state.done[vehicles]
        start, target = state.edge[vehicles], state.itinerary[vehicles, leg]
        ways = self._router.routes(start.tolist(), target.tolist(), self._via(vehicles, leg))
        blocked = np.array([isinstance(way, str) for way in ways], np.bool_)
        empty = np.array([not way for way in ways], np.bool_)
        gone = vehicles[~blocked]
        state.due_s[gone] = np.inf
        state.stand_edge[gone] = start[~blocked]
        state.begun_s[gone] = state.asked_s[gone] = state.departed_s[gone] = moment_s[~blocked]
        state.leg_m[gone] = state.leg_kwh[gone] = state.still_s[gone] = 0.0
        state.earlier_m[gone] = state.earlier_s[gone] = 0.0
        state.position[gone] = state.before[gone] = 0
        state.warned[gone] = False
        drives = ~blocked & ~empty
        moving = vehicles[drives]
        state.number[moving] += 1
        state.phase[moving] = INSERTING
        found = [way for way in ways if way and not isinstance(way, str)]
        self._set_out(now, moving.tolist(), moment_s[drives].tolist(), found)
        for row in np.flatnonzero(blocked).tolist():
            # A road may open again: the vehicle stays and asks anew.
            vehicle = int(vehicles[row])
            if not state.warned[vehicle]:
                place = int(state.edge[vehicle])
                now.stranded.append((float(moment_s[row]), vehicle, place, str(ways[row])))
        state.warned[vehicles[blocked]] = True
        state.due_s[vehicles[blocked]] = end
        there = vehicles[empty]
        if len(there):
            nothing = np.zeros(len(there))
            self._finish(now, there, moment_s[empty], nothing, nothing, end)

    def _via(self, vehicles: Ints, leg: NDArray[np.int32]) -> list[list[int]] | None:
        via = self._state.via[vehicles, leg]
        return via.tolist() if (via >= 0).any() else None

    def _set_out(
        self, now: Work, vehicles: list[int], moment_s: list[float], ways: list[Turns]
    ) -> None:
        """Bring SUMO vehicles on their ways, one after the other."""
        names = self._drives.begin(vehicles, ways)
        number = self._state.number[vehicles].tolist()
        legs = [f"{v}#{n}" for v, n in zip(vehicles, number, strict=True)]
        vehicle = -1
        try:
            for vehicle, leg, moment, edges in zip(vehicles, legs, moment_s, names, strict=True):
                self._add(leg, vehicle, edges, f"{moment:.0f}")
                self.on_road[leg] = vehicle
        except self._sumo.refusals as error:
            where = f"vehicle {vehicle}"
            raise TrafficError(str(error).strip(), where=where, tick=now.tick) from error

    def _add(self, leg: str, vehicle: int, edges: list[str], moment: str) -> None:
        """Bring a SUMO vehicle on its way."""
        api = self._sumo.api
        # Listed for good, the routes would pile up; the vehicle keeps its own. To add a vehicle
        # without a route and to set one takes longer.
        api.route.add(leg, edges)
        api.vehicle.add(leg, leg, self._types[vehicle], moment, "first", "0", "max")
        api.route.remove(leg)
        api.vehicle.setSpeedFactor(leg, self._pace[vehicle])

    def _ended(self, api: Any) -> Sequence[str]:
        """Return the SUMO vehicles that reached their end in this second."""
        return api.simulation.getArrivedIDList()

    def _last_reading(self, leg: str, vehicle: int) -> tuple[float, float]:
        """Return distance [m] and net energy since the last reading [kWh] of a leg that ended.

        The distance is that of the whole leg, NaN if it is the length of the way.
        """
        del leg, vehicle
        return np.nan, 0.0

    def _take_in(self, now: Work, end: float) -> None:
        """Let departures and arrivals since the last call take effect."""
        state, drives = self._state, self._drives
        drives.settle()
        if self._departed:
            vehicle, time_s = np.array(self._departed, np.float64).T
            gone = vehicle.astype(np.int64)
            state.phase[gone] = DRIVING
            state.departed_s[gone] = time_s
            self._departed.clear()
        if not self._arrived:
            return
        vehicle, time_s, way_m, left_kwh = np.array(self._arrived, np.float64).T
        self._arrived.clear()
        there = vehicle.astype(np.int64)
        way_m = np.where(np.isnan(way_m), drives.length_m[there], way_m)
        seconds = time_s - np.maximum(state.departed_s[there], now.begin_s)
        now.moving_s[there] += seconds
        now.stretches.append(
            Progress(
                first=drives.first[there],
                from_position=state.position[there],
                to_position=drives.number[there] - 1,
                from_m=state.leg_m[there],
                to_m=way_m,
                seconds=seconds,
                pace=self._pace_of[there],
            )
        )
        left_m = way_m - state.leg_m[there]
        now.moved_m[there] += left_m
        now.drawn_kwh[there] += left_kwh
        held = state.cut[there]
        self._hold(now, there[held], time_s[held], left_m[held], left_kwh[held])
        over = ~held
        self._finish(now, there[over], time_s[over], left_m[over], left_kwh[over], end)

    def _hold(
        self, now: Work, vehicles: Ints, time_s: Floats, left_m: Floats, left_kwh: Floats
    ) -> None:
        """Let vehicles stand before a closed road, with their legs under way."""
        state, drives = self._state, self._drives
        now.under_way_m[vehicles] += left_m
        state.leg_m[vehicles] += left_m
        state.leg_kwh[vehicles] += left_kwh
        state.earlier_m[vehicles] = state.leg_m[vehicles]
        state.earlier_s[vehicles] += time_s - state.departed_s[vehicles]
        state.before[vehicles] = drives.number[vehicles]
        state.position[vehicles] = drives.number[vehicles] - 1
        state.edge[vehicles] = drives.edge(vehicles, state.position[vehicles])
        state.phase[vehicles] = HELD
        state.cut[vehicles] = False

    def _finish(
        self,
        now: Work,
        vehicles: Ints,
        time_s: Floats,
        left_m: Floats,
        left_kwh: Floats,
        end: float,
    ) -> None:
        """End legs of different vehicles, and begin those that are due next before `end`."""
        state = self._state
        leg = state.done[vehicles]
        target = state.itinerary[vehicles, leg]
        now.trips.append(
            Trips(
                vehicle=vehicles,
                start_s=state.begun_s[vehicles],
                end_s=time_s,
                origin=state.stand_edge[vehicles],
                edge=target,
                via=state.via[vehicles, leg],
                driving_s=state.earlier_s[vehicles] + time_s - state.departed_s[vehicles],
                total_m=state.leg_m[vehicles] + left_m,
                now_m=left_m,
                before_kwh=state.leg_kwh[vehicles],
                now_kwh=left_kwh,
            )
        )
        state.leg_m[vehicles] = state.leg_kwh[vehicles] = 0.0
        state.edge[vehicles] = target
        state.arrival_s[vehicles, leg] = time_s
        state.done[vehicles] = leg + 1
        following = state.itinerary[vehicles, np.minimum(leg + 1, LEGS - 1)]
        more = (leg + 1 < LEGS) & (following >= 0)
        state.phase[vehicles] = np.where(more, DUE, IDLE)
        state.due_s[vehicles] = np.where(more, time_s + self._dwell_s, np.inf)
        soon = vehicles[state.due_s[vehicles] < end]
        if len(soon):
            self._depart(now, soon, end)

    def read_energy(self, now: Work) -> None:
        """Add what the vehicles on the road drew, where SUMO measures it."""

    def odometers(self, legs: Sequence[str]) -> tuple[list[int], list[float]]:
        """Return positions in the routes, and distances on the edges there [m]."""
        # Mesoscopic SUMO's own odometer is wrong.
        api = self._sumo.api.vehicle
        position, on_edge_m = api.getRouteIndex, api.getLanePosition
        return [position(leg) for leg in legs], [on_edge_m(leg) for leg in legs]
