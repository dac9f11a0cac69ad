"""Serving requests: who sets out, what was picked up and served, and what was missed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.fleet.requests import Requests
from adapters.fleet.schedule import Schedule, due
from adapters.fleet.sessions import Sessions
from adapters.fleet.state import Feedback, Itineraries, Journal, Orders, State
from cosim.assets import Assets
from cosim.signals import TICK_S
from cosim.team import Flags, Floats, Ints, RequestStatus, Status

RESERVE_SOC = 0.08
"""Nobody sets out on a trip of their own that would end below this: packs give little there."""
RETRY_S = 900.0
"""A trip whose way was refused is tried again after this [s]."""
Rows = NDArray[np.integer]
_UNFINISHED = (
    RequestStatus.OPEN,
    RequestStatus.SCHEDULED,
    RequestStatus.ASSIGNED,
    RequestStatus.PICKED_UP,
)


class Service:
    """Requests under way.

    Parameters
    ----------
    assets
        Static tables of the scenario.
    state
        Vehicles; changed in place.
    requests
        Requests; changed in place.
    sessions
        Charging sessions, which end when a vehicle sets out.
    journal
        Where events go.
    patience_s
        An own trip that has not begun this long after its deadline is missed [s].
    """

    def __init__(
        self,
        assets: Assets,
        state: State,
        requests: Requests,
        sessions: Sessions,
        journal: Journal,
        patience_s: float,
    ) -> None:
        self._state, self.requests, self._sessions = state, requests, sessions
        self._journal, self._patience_s = journal, patience_s
        self._roads = assets.roads
        self._segments = assets.vehicles.segments
        self._segment = assets.vehicles.segment
        self._vehicles, self._ambient_c = assets.vehicles, assets.ambient_c
        self._battery_kwh = assets.vehicles.per_vehicle("battery_kwh")
        self.schedule = Schedule(requests, len(state.status))

    # --- what the tick before brought

    def follow(self, back: Feedback, now_s: float) -> None:
        """Take in which legs ended in the tick before."""
        state, requests = self._state, self.requests
        serving = np.flatnonzero(state.status == Status.SERVING)
        mine, loaded = state.request[serving], state.loaded_leg[serving]
        picked = (back.legs_completed[serving] >= loaded) & (
            requests.status[mine] == RequestStatus.ASSIGNED
        )
        arrived_s = back.leg_arrival_s[serving, np.maximum(loaded - 1, 0)]
        requests.pickup_s[mine[picked]] = arrived_s[picked]
        requests.status[mine[picked]] = RequestStatus.PICKED_UP
        refused = back.itinerary_refused[serving]
        ended = ~back.vehicle_driving[serving] & ~refused
        served = ended & (back.legs_completed[serving] > loaded)
        requests.done_s[mine[served]] = back.leg_arrival_s[serving, loaded][served]
        self._give_back(serving[refused], now_s)
        self._free(serving[ended], served[ended], now_s)

    def _give_back(self, vehicles: Rows, now_s: float) -> None:
        """Take back the trips of vehicles that have no way: traffic has told why."""
        state, requests = self._state, self.requests
        mine = state.request[vehicles]
        own = requests.owner[mine] >= 0
        requests.status[mine] = np.where(own, RequestStatus.SCHEDULED, RequestStatus.OPEN)
        requests.vehicle[mine] = -1
        requests.pickup_s[mine] = -1.0
        self.schedule.take_back(vehicles[own])
        state.ready_s[vehicles] = np.maximum(state.ready_s[vehicles], now_s + RETRY_S)
        state.request[vehicles] = -1
        state.status[vehicles] = Status.IDLE

    def _free(self, vehicles: Rows, served: Flags, now_s: float) -> None:
        """End the requests of vehicles, which are idle then."""
        state, requests = self._state, self.requests
        mine = state.request[vehicles]
        requests.status[mine] = np.where(served, RequestStatus.SERVED, RequestStatus.FAILED)
        state.ready_s[vehicles[served]] = (requests.done_s + requests.dwell_s)[mine[served]]
        # What customers ask for does not move a vehicle's own chain of trips.
        own = requests.owner[mine] >= 0
        there = vehicles[served & own]
        state.place_edge[there] = requests.destination_edge[mine[served & own]]
        state.missed[vehicles[own]] = ~served[own]
        service_s = requests.service_s
        for request, ok in zip(mine.tolist(), served.tolist(), strict=True):
            late = service_s[request] > requests.deadline_s[request]
            how = "arrived" if requests.at_arrival[request] else "picked up"
            waited_s = requests.pickup_s[request] - requests.asked_s[request]
            self._tell(
                "request_served" if ok else "request_failed",
                request,
                float(requests.done_s[request]) if ok else now_s,
                value=float(waited_s) if ok and requests.owner[request] < 0 else None,
                distance_km=float(requests.km[request]) if ok else None,
                detail=f"{how} late" if ok and late else "",
            )
        state.request[vehicles] = -1
        state.status[vehicles] = Status.IDLE

    def fail(self, vehicles: Rows, now_s: float) -> None:
        """End the requests of vehicles that cannot go on; those without one stay as they are."""
        busy = vehicles[self._state.request[vehicles] >= 0]
        self._free(busy, np.zeros(len(busy), dtype=np.bool_), now_s)

    # --- the vehicles' own trips

    def set_out(self, orders: Orders, back: Feedback, plan: Itineraries, now_s: float) -> None:
        """Begin the own trips that are due, those that the battery can make."""
        while self._miss(now_s):
            pass
        requests, state = self.requests, self._state
        vehicle, trip = self.schedule.next()
        soon, leave_s = due(requests, trip, state.ready_s[vehicle], now_s, now_s + TICK_S)
        free = np.isin(state.status[vehicle], (Status.IDLE, Status.QUEUED, Status.PLUGGED))
        free &= ~state.flat[vehicle]
        vehicle, trip, leave_s = vehicle[soon & free], trip[soon & free], leave_s[soon & free]
        at = back.vehicle_edge[vehicle]
        # Within a tour a vehicle goes on from wherever it is.
        direct = (requests.tour[trip] >= 0) | (at == requests.origin_edge[trip])
        km = requests.km[trip] + self._deadhead_km(at, trip, direct)
        air_c = float(self._ambient_c[int(now_s // TICK_S)])
        need_kwh = self._vehicles.trip_kwh(vehicle, km, air_c)
        have_kwh = (back.vehicle_soc[vehicle] - RESERVE_SOC) * self._battery_kwh[vehicle]
        able = need_kwh <= have_kwh
        self._postpone(trip[~able], need_kwh[~able], now_s)
        vehicle, trip, direct, leave_s = vehicle[able], trip[able], direct[able], leave_s[able]
        self._sessions.end(vehicle[state.status[vehicle] == Status.PLUGGED], back, now_s)
        plan.itinerary_start_s[vehicle] = leave_s - now_s
        self._begin(vehicle, trip, direct, orders, plan)
        gone = trip[direct]
        requests.status[gone] = RequestStatus.PICKED_UP
        requests.pickup_s[gone] = leave_s[direct]
        self.schedule.pass_on(vehicle)

    def _miss(self, now_s: float) -> bool:
        """Give up the next trips that cannot take place; whether there were any."""
        requests, state = self.requests, self._state
        vehicle, trip = self.schedule.next()
        soon, _ = due(requests, trip, state.ready_s[vehicle], now_s, now_s + TICK_S)
        free = state.status[vehicle] != Status.SERVING
        late = requests.deadline_s[trip] + self._patience_s < now_s
        # Nobody can return from where they never went.
        elsewhere = requests.origin_edge[trip] != state.place_edge[vehicle]
        broken = state.missed[vehicle] & elsewhere & (requests.tour[trip] < 0)
        gone = soon & free & (late | broken)
        for request, why in zip(trip[gone].tolist(), broken[gone].tolist(), strict=True):
            detail = "the trip before it did not take place" if why else "it could not begin"
            self._tell("request_expired", request, now_s, detail=detail)
        requests.status[trip[gone]] = RequestStatus.EXPIRED
        state.missed[vehicle[gone]] = True
        self.schedule.pass_on(vehicle[gone])
        return bool(gone.any())

    def _deadhead_km(self, at: Ints, trip: Rows, direct: Flags) -> Floats:
        """Return the way to the origin of each trip, 0 where the vehicle goes on directly [km]."""
        km = np.zeros(len(trip))
        rows = np.flatnonzero(~direct)
        if rows.size:
            origin = self.requests.origin_edge[trip[rows]]
            km[rows] = np.diagonal(self._roads.distance_km(at[rows], origin))
        return np.where(np.isfinite(km), km, 0.0)

    def _postpone(self, trip: Rows, need_kwh: Floats, now_s: float) -> None:
        detail = "the battery holds too little for it"
        for request, kwh in zip(trip.tolist(), need_kwh.tolist(), strict=True):
            if not self.requests.postponed[request]:
                self._tell("trip_postponed", request, now_s, energy_kwh=kwh, detail=detail)
        self.requests.postponed[trip] = True

    # --- what the team ordered

    def assign(self, orders: Orders, back: Feedback, plan: Itineraries, now_s: float) -> None:
        """Send vehicles to the requests that the team assigned them to."""
        state = self._state
        wanted = np.flatnonzero(orders.request_vehicle >= 0)
        vehicle = orders.request_vehicle[wanted]
        taken = np.zeros(len(wanted), dtype=np.bool_)
        for row, (request, who) in enumerate(zip(wanted.tolist(), vehicle.tolist(), strict=True)):
            reason = self._obstacle(request, who)
            if reason:
                self._journal.refuse(now_s, reason, vehicle=who, request=request)
                continue
            if state.status[who] == Status.PLUGGED:
                self._sessions.end(np.array([who]), back, now_s)
            state.status[who] = Status.SERVING
            taken[row] = True
        wanted, vehicle = wanted[taken], vehicle[taken]
        self._begin(vehicle, wanted, np.zeros(len(wanted), dtype=np.bool_), orders, plan)

    def _obstacle(self, request: int, vehicle: int) -> str:
        if self.requests.status[request] != RequestStatus.OPEN:
            return "the request is not open"
        if self._segment[vehicle] != self.requests.segment[request]:
            return f"the vehicle is one of {self._segments[self._segment[vehicle]]}"
        status = Status(self._state.status[vehicle])
        if status not in (Status.IDLE, Status.PLUGGED):
            return f"the vehicle is {status.name.lower()}"
        return ""

    def _begin(
        self, vehicle: Rows, request: Rows, direct: Flags, orders: Orders, plan: Itineraries
    ) -> None:
        """Write the itineraries of vehicles, past the origin or straight to the destination."""
        requests, state = self.requests, self._state
        requests.status[request] = RequestStatus.ASSIGNED
        requests.vehicle[request] = vehicle
        state.request[vehicle] = request
        state.status[vehicle] = Status.SERVING
        state.station[vehicle] = -1
        loaded = np.where(direct, 0, 1)
        state.loaded_leg[vehicle] = loaded
        plan.itinerary_edge[vehicle, 0] = requests.origin_edge[request]
        plan.itinerary_edge[vehicle, loaded] = requests.destination_edge[request]
        # A line's own way stands above what a route agent would like.
        own = requests.via[request]
        wished = np.where(own[:, :1] >= 0, own, orders.vehicle_via_edge[vehicle])
        plan.itinerary_via_edge[vehicle, loaded] = wished

    # --- what follows

    def expire(self, now_s: float) -> None:
        """End the open requests that nobody took in time."""
        for request in self.requests.expire(now_s).tolist():
            deadline_s = float(self.requests.deadline_s[request])
            self._tell("request_expired", request, deadline_s, detail="nobody came in time")

    def report_open(self, end_s: float) -> None:
        """Report the requests that the end of the run leaves open or under way."""
        status = self.requests.status
        for request in np.flatnonzero(np.isin(status, _UNFINISHED)).tolist():
            name = RequestStatus(status[request]).name.lower().replace("_", " ")
            self._tell("request_unfinished", request, end_s, detail=f"{name} at the end of the run")

    def _tell(self, kind: str, request: int, time_s: float, **more: Any) -> None:
        """Note what became of a request: whose it is, when it was asked, from where to where."""
        requests, names = self.requests, self._roads.edge_ids
        vehicle = int(max(requests.vehicle[request], requests.owner[request]))
        self._journal.note(
            kind,
            time_s,
            request=request,
            vehicle=vehicle if vehicle >= 0 else None,
            start_s=float(requests.asked_s[request]),
            origin=names[requests.origin_edge[request]],
            place=names[requests.destination_edge[request]],
            **more,
        )
