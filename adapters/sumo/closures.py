"""Roads that are closed for a time: who is led around, who waits, and what is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.drives import Drives
from adapters.sumo.engine import Sumo
from adapters.sumo.legs import Legs
from adapters.sumo.state import DRIVING, INSERTING, State
from adapters.sumo.tick import Work
from cosim.errors import TrafficError
from networks.roads.routing import Router, Turns

_WHO_IS_ON_IT = "custom1"
"""SUMO's class of vehicles that may still use a closed road: those that are on it."""


@dataclass(frozen=True)
class Closure:
    """An edge that nobody may enter for a time."""

    edge: int
    """Edge."""
    begin_s: float
    """From when on, after the start of the simulation [s]."""
    end_s: float
    """Until when [s]."""


class _Incident(Protocol):
    @property
    def edge(self) -> str: ...
    @property
    def begin(self) -> str: ...
    @property
    def end(self) -> str: ...


def schedule(
    incidents: Iterable[_Incident], edge_ids: Sequence[str], start: datetime, duration_s: float
) -> list[Closure]:
    """Return the closures that incidents of a scenario mean, one a day for times of day.

    Parameters
    ----------
    incidents
        Edge id, begin and end: both moments, or both times of day that hold on every day; an end
        before the begin is on the next day.
    edge_ids
        SUMO ids of the network's edges.
    start, duration_s
        When the simulation starts and how long it lasts [s].
    """
    found: list[Closure] = []
    index = {edge_id: i for i, edge_id in enumerate(edge_ids)}
    midnight = datetime.combine(start.date(), time())
    for incident in incidents:
        if ":" in incident.begin and "-" not in incident.begin:
            days = range(-1, int(duration_s // 86_400) + 2)
            first, last = (time.fromisoformat(text) for text in (incident.begin, incident.end))
            over = timedelta(days=int(last <= first))
            spans = [
                (datetime.combine(day, first), datetime.combine(day + over, last))
                for day in (midnight.date() + timedelta(days=n) for n in days)
            ]
        else:
            spans = [(datetime.fromisoformat(incident.begin), datetime.fromisoformat(incident.end))]
        for begin, end in spans:
            begin_s, end_s = ((moment - start).total_seconds() for moment in (begin, end))
            if end_s > 0 and begin_s < duration_s:
                found.append(Closure(index[incident.edge], begin_s, end_s))
    return found


class Closures:
    """Closes and opens roads at the start of a tick and leads vehicles under way around them.

    Parameters
    ----------
    plan
        What is closed when.
    sumo, router, drives, legs, state
        The simulation, its ways and vehicles; changed in place.
    """

    def __init__(
        self,
        plan: Sequence[Closure],
        sumo: Sumo,
        router: Router,
        drives: Drives,
        legs: Legs,
        state: State,
    ) -> None:
        self._plan, self._sumo, self._router = plan, sumo, router
        self._drives, self._legs, self._state = drives, legs, state
        self._usual: dict[str, Sequence[str]] = {}

    def forget(self) -> None:
        """Start over with open roads, after SUMO was started anew."""
        self._usual.clear()
        self._router.update(self._router.edge_s, np.zeros_like(self._router.closed))

    def begin(self, now: Work, *, silent: bool = False) -> None:
        """Close and open what is due, and lead vehicles around what is closed.

        Parameters
        ----------
        now
            The tick; receives events.
        silent
            The roads were told to be closed before: a restored run.
        """
        if not self._plan:
            return
        closed = np.zeros_like(self._router.closed)
        for one in self._plan:
            closed[one.edge] |= one.begin_s <= now.begin_s < one.end_s
        changed = np.flatnonzero(closed != self._router.closed)
        ids = self._router.roads.edge_ids
        for edge in changed.tolist():
            with self._sumo.calling(f"edge {ids[edge]}", now.tick):
                self._shut(ids[edge]) if closed[edge] else self._open(ids[edge])
            if not silent:
                kind = "road_closed" if closed[edge] else "road_opened"
                now.add(kind, now.begin_s, ids[edge], "")
        if len(changed):
            self._router.update(self._router.edge_s, closed)
        if closed.any() and not silent:
            self._lead_around(now)

    def _shut(self, edge_id: str) -> None:
        api = self._sumo.api
        for n in range(api.edge.getLaneNumber(edge_id)):
            lane = f"{edge_id}_{n}"
            self._usual[lane] = api.lane.getAllowed(lane)
            api.lane.setAllowed(lane, [_WHO_IS_ON_IT])
        # Mesoscopic SUMO holds vehicles on a closed edge at the next of its segments.
        for leg in api.edge.getLastStepVehicleIDs(edge_id):
            api.vehicle.setVehicleClass(leg, _WHO_IS_ON_IT)

    def _open(self, edge_id: str) -> None:
        api = self._sumo.api
        for n in range(api.edge.getLaneNumber(edge_id)):
            lane = f"{edge_id}_{n}"
            api.lane.setAllowed(lane, self._usual.pop(lane))

    def _lead_around(self, now: Work) -> None:
        state, drives = self._state, self._drives
        rows = np.flatnonzero(np.isin(state.phase, (INSERTING, DRIVING)))
        # Who waits for room has not entered the first edge of the way yet.
        position = np.where(state.phase[rows] == DRIVING, state.position[rows], -1)
        led = drives.ahead(rows, position, self._router.closed)
        for vehicle, at in zip(rows[led].tolist(), position[led].tolist(), strict=True):
            self._reroute(now, vehicle, at)
        drives.settle()

    def _reroute(self, now: Work, vehicle: int, at: int) -> None:
        state, router = self._state, self._router
        ids = router.roads.edge_ids
        leg = int(state.done[vehicle])
        driven: Turns = self._drives.way(vehicle)[: at + 1]
        passed = router.edges(driven)
        place = passed[-1] if passed else int(state.stand_edge[vehicle])
        via = _ahead(state.via[vehicle, leg], [int(state.stand_edge[vehicle]), *passed])
        way = router.way(place, int(state.itinerary[vehicle, leg]), via)
        if isinstance(way, str):
            if not state.warned[vehicle]:
                state.warned[vehicle] = True
                text = f"{way}; it drives up to the closed road"
                now.add("no_way", now.begin_s, ids[place], text, vehicle=vehicle)
            return
        name = state.leg_id(vehicle)
        names = self._drives.names(way)
        with self._sumo.calling(f"vehicle {vehicle}", now.tick) as api:
            # SUMO would let a vehicle jump to a route that is not from where it is.
            api.vehicle.setRoute(name, [ids[place], *names] if at >= 0 else names)
            index = api.vehicle.getRouteIndex(name)
            stands = api.vehicle.getRoute(name)[max(index, 0)]
        if at >= 0:
            if stands != ids[place]:
                reason = f"led around from {ids[place]}, SUMO has it on {stands}"
                raise TrafficError(reason, where=f"vehicle {vehicle}", tick=now.tick)
            state.before[vehicle] = at - index
        state.warned[vehicle] = False
        self._drives.begin(vehicle, driven + way)
        now.add("rerouted", now.begin_s, ids[place], "around a closed road", vehicle=vehicle)


def _ahead(via: NDArray[np.int32], driven: Sequence[int]) -> list[int]:
    """Return the via points that are still to be passed."""
    rest: list[int] = [point for point in via.tolist() if point >= 0]
    for edge in driven:
        if rest and edge == rest[0]:
            del rest[0]
    return rest
