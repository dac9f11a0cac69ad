"""Roads that are closed for a time: who is led around, who waits, and what is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.drives import Drives
from adapters.sumo.legs import Legs
from adapters.sumo.state import DRIVING, HELD, INSERTING, UNDER_WAY, State
from adapters.sumo.tick import Work
from cosim.errors import TrafficError
from networks.roads.routing import Router, Turns


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

    A closed road is closed to ways: SUMO does not know. Who has another way takes it; who has none
    drives up to the closed road, leaves SUMO there and goes on when there is a way again. Who is on
    the road that closes, or too near to stop before it, drives on off it.

    Parameters
    ----------
    plan
        What is closed when.
    router, drives, legs, state
        Ways and vehicles; changed in place.
    """

    def __init__(
        self, plan: Sequence[Closure], router: Router, drives: Drives, legs: Legs, state: State
    ) -> None:
        self._plan, self._router = plan, router
        self._drives, self._legs, self._state = drives, legs, state

    def restore(self, time_s: float) -> None:
        """Close what was closed in the tick that began at a time [s]; nobody is led around."""
        if self._plan:
            self._router.update(self._router.edge_s, self._closed(time_s))

    def begin(self, now: Work) -> bool:
        """Close and open what is due, and lead vehicles around what is closed.

        Parameters
        ----------
        now
            The tick; receives events.

        Returns
        -------
        bool
            Whether a road closed.
        """
        if not self._plan:
            return False
        router, closed = self._router, self._closed(now.begin_s)
        changed = np.flatnonzero(closed != router.closed)
        for edge in changed.tolist():
            kind = "road_closed" if closed[edge] else "road_opened"
            now.add(kind, now.begin_s, router.roads.edge_ids[edge], "")
        if len(changed):
            router.update(router.edge_s, closed)
        if len(changed) or closed.any():
            self._lead_around(now)
        return bool(closed[changed].any())

    def _closed(self, time_s: float) -> NDArray[np.bool_]:
        closed = np.zeros_like(self._router.closed)
        for one in self._plan:
            closed[one.edge] |= one.begin_s <= time_s < one.end_s
        return closed

    def _lead_around(self, now: Work) -> None:
        state, drives, router = self._state, self._drives, self._router
        rows = np.flatnonzero(np.isin(state.phase, UNDER_WAY))
        # Who waits for room has not entered the next edge of the way yet.
        at = np.where(state.phase[rows] == DRIVING, state.position[rows], state.before[rows] - 1)
        crosses = drives.ahead(rows, at, router.closed)
        asks = crosses | state.cut[rows] | (state.phase[rows] == HELD)
        rows, at, crosses = rows[asks], at[asks], crosses[asks]
        place = np.where(at >= 0, drives.edge(rows, np.maximum(at, 0)), state.stand_edge[rows])
        leg = state.done[rows]
        via = [
            _ahead(points, [int(state.stand_edge[v]), *router.edges(drives.way(v)[: a + 1])])
            for points, v, a in zip(
                state.via[rows, leg].tolist(), rows.tolist(), at.tolist(), strict=True
            )
        ]
        ways = router.routes(place.tolist(), state.itinerary[rows, leg].tolist(), via)
        for vehicle, a, here, blocked, way in zip(
            rows.tolist(), at.tolist(), place.tolist(), crosses.tolist(), ways, strict=True
        ):
            if not isinstance(way, str):
                self._go_on(now, vehicle, a, here, way)
                text = "around a closed road" if blocked else "a way leads on again"
                name = router.roads.edge_ids[here]
                now.add("rerouted", now.begin_s, name, text, vehicle=vehicle)
            elif blocked and state.phase[vehicle] != HELD:
                self._hold(now, vehicle, a, here, way)
        drives.settle()

    def _go_on(self, now: Work, vehicle: int, at: int, place: int, way: Turns) -> None:
        state, driven = self._state, self._drives.way(vehicle)[: at + 1]
        if state.phase[vehicle] == HELD:
            self._legs.go_on(now, vehicle, driven, way)
        else:
            name = state.leg_id(vehicle)
            with self._legs.told(vehicle, now.tick):
                self._legs.lead(name, self._names(vehicle, place, way))
            self._settle(now, vehicle, at, place, driven + way)
        state.cut[vehicle] = False

    def _hold(self, now: Work, vehicle: int, at: int, place: int, why: str) -> None:
        state, closed = self._state, self._router.closed
        if state.phase[vehicle] == INSERTING:
            self._legs.recall(vehicle, now.tick)
        else:
            way = self._drives.way(vehicle)
            edges = self._router.edges(way)
            end = next(i for i in range(at + 1, len(way)) if closed[edges[i]])
            names = self._names(vehicle, place, way[at + 1 : end])
            with self._legs.told(vehicle, now.tick):
                if not self._legs.shorten(state.leg_id(vehicle), names):
                    return
            self._settle(now, vehicle, at, place, way[:end])
            if state.cut[vehicle]:
                return
            state.cut[vehicle] = True
        text = f"{why}; it waits before the closed road"
        now.add("no_way", now.begin_s, self._router.roads.edge_ids[place], text, vehicle=vehicle)

    def _names(self, vehicle: int, place: int, ahead: Turns) -> list[str]:
        """Return the SUMO ids of the edges ahead, with the one where a driving vehicle is."""
        ids = self._router.roads.edge_ids
        here = [place] if self._state.phase[vehicle] == DRIVING else []
        return [ids[edge] for edge in (*here, *self._router.edges(ahead))]

    def _settle(self, now: Work, vehicle: int, at: int, place: int, way: Turns) -> None:
        """Note the way that SUMO was given, counted from the start of the leg."""
        if self._state.phase[vehicle] == DRIVING:
            index, stands = self._legs.stands(self._state.leg_id(vehicle))
            there = self._router.roads.edge_ids[place]
            if stands != there:
                reason = f"led around from {there}, SUMO has it on {stands}"
                raise TrafficError(reason, where=f"vehicle {vehicle}", tick=now.tick)
            self._state.before[vehicle] = at - index
        self._drives.begin([vehicle], [way])


def _ahead(via: Sequence[int], driven: Sequence[int]) -> list[int]:
    """Return the via points that are still to be passed."""
    rest = [point for point in via if point >= 0]
    for edge in driven if rest else ():
        if rest and edge == rest[0]:
            del rest[0]
    return rest
