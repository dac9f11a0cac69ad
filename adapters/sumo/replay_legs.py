"""Legs of replayed traffic: as they were recorded, or as the recorded trips suggest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.journeys import Journeys
from adapters.sumo.lookup import Lookup
from adapters.sumo.prediction import HOURS, Prediction
from adapters.sumo.profiles import Profiles
from adapters.sumo.record import UNFINISHED, Record
from adapters.sumo.replay_plan import Arrivals, Plan
from adapters.sumo.state import DRIVING, DUE, IDLE, State
from adapters.sumo.tick import Floats, Work
from adapters.sumo.via import packed
from cosim.errors import EngineError
from cosim.signals import LEGS, TICK_S
from networks.roads import RoadNetwork
from networks.roads.routing import Router
from networks.vehicles import VehicleSpec

Ints = NDArray[np.int64]


class ReplayLegs:
    """Starts and ends the legs of the fleet, and says how far they have come.

    Parameters
    ----------
    roads
        Road network.
    record
        What was recorded on it.
    specs, body_type, home_edge
        Body types, index into them and first place of each vehicle of the fleet.
    state
        Where every vehicle is; changed in place.
    start
        Local date and time of the first tick.
    dwell_s
        Time that a vehicle stands between two legs [s].

    Notes
    -----
    A vehicle is the recorded one if id, model and first place are the same.
    """

    def __init__(
        self,
        roads: RoadNetwork,
        record: Record,
        specs: Sequence[VehicleSpec],
        body_type: NDArray[np.integer],
        home_edge: NDArray[np.integer],
        state: State,
        start: datetime,
        dwell_s: int,
    ) -> None:
        self._state, self._dwell_s = state, max(dwell_s, 1)
        self._body_type = body_type.astype(np.int64)
        self.router = Router(roads)
        self._journeys = Journeys(self.router)
        self._profiles = Profiles.of(record)
        self.prediction = Prediction.of(record, self._profiles, self._journeys, specs)
        self._wait_s = _finish(record, self._profiles, self.prediction, self._journeys, specs)
        self._via = record.via[self._profiles.leg]
        self._lookup = Lookup(record, self._profiles, len(roads.edge_ids))
        self._recorded = _recorded(record, specs, body_type, home_edge)
        self.known_vehicles = int((self._recorded >= 0).sum())
        pace = np.append(self.prediction.pace, 1.0)
        self._pace = pace[self._recorded]
        self._shift_s = (start - record.start).total_seconds()
        self._clock_s = 3600 * start.hour + 60 * start.minute + start.second
        self.plan = Plan.empty(len(home_edge))
        self.replayed = self.predicted = 0

    def drive(self, now: Work, end: float) -> list[Arrivals]:
        """Start and end legs up to the end of the tick, and move those under way."""
        state = self._state
        on_road = float(np.count_nonzero(state.phase == DRIVING))
        found: list[Arrivals] = []
        while True:
            # SUMO starts legs on whole seconds.
            due = np.flatnonzero((state.phase == DUE) & (np.ceil(state.due_s) < end))
            if due.size:
                self._depart(due, on_road)
            there = np.flatnonzero((state.phase == DRIVING) & (self.plan.ends_s < end))
            if not there.size:
                break
            found.append(self._arrive(now, there))
        self._move(now, end)
        return found

    def take_off(self, vehicle: int) -> None:
        """Take a vehicle off the road and drop its itinerary; it stays where it is."""
        self._state.phase[vehicle] = IDLE
        self._state.due_s[vehicle] = np.inf

    def recover(self) -> None:
        """Find the ways of predicted legs again after the state and the plan were restored."""
        state, plan = self._state, self.plan
        for vehicle in np.flatnonzero((state.phase == DRIVING) & (plan.profile < 0)).tolist():
            leg = int(state.done[vehicle])
            target, via = int(state.itinerary[vehicle, leg]), state.via[vehicle, leg].tolist()
            plan.way[vehicle] = self._way(vehicle, int(state.stand_edge[vehicle]), target, via)

    def _way(self, vehicle: int, start: int, end: int, via: Sequence[int]) -> int:
        found = self._journeys.find(start, end, [point for point in via if point >= 0])
        if isinstance(found, str):
            raise EngineError(found, where=f"vehicle {vehicle}")
        return found

    def _depart(self, rows: Ints, on_road: float) -> None:
        state, plan = self._state, self.plan
        asked_s = np.ceil(state.due_s[rows])
        origin = state.edge[rows].astype(np.int64)
        target = state.itinerary[rows, state.done[rows]].astype(np.int64)
        state.phase[rows] = DRIVING
        state.due_s[rows] = np.inf
        state.stand_edge[rows] = origin
        state.begun_s[rows] = state.departed_s[rows] = plan.ends_s[rows] = asked_s
        state.leg_m[rows] = state.leg_kwh[rows] = 0.0
        plan.total_m[rows] = plan.total_kwh[rows] = plan.bare_kwh[rows] = 0.0
        record_s = asked_s + self._shift_s
        profile = self._lookup.find(self._recorded[rows], origin, target, record_s)
        via = packed(state.via[rows, state.done[rows]])
        stays = (origin == target) & (via[:, 0] < 0)
        profile[stays | (self._via[profile] != via).any(axis=1)] = -1
        plan.profile[rows] = profile
        known = profile >= 0
        self._follow(rows[known], profile[known], asked_s[known])
        new = ~known & ~stays
        self._predict(rows[new], origin[new], target[new], via[new], asked_s[new], on_road)

    def _follow(self, rows: Ints, profile: Ints, asked_s: Floats) -> None:
        plan, past = self.plan, self._profiles
        first, last = past.first[profile], past.first[profile + 1] - 1
        plan.later_s[rows] = asked_s - past.time_s[first]
        plan.ends_s[rows] = past.time_s[last] + plan.later_s[rows]
        plan.total_m[rows] = 1000.0 * past.km[last]
        plan.total_kwh[rows] = past.kwh[last]
        self._state.departed_s[rows] += self._wait_s[profile]
        self.replayed += len(rows)

    def _predict(
        self,
        rows: Ints,
        origin: Ints,
        target: Ints,
        via: Ints,
        asked_s: Floats,
        on_road: float,
    ) -> None:
        if not rows.size:
            return
        plan = self.plan
        legs = zip(*(x.tolist() for x in (rows, origin, target, via)), strict=True)
        ways = np.array([self._way(*leg) for leg in legs], np.int64)
        km, free_s = self._journeys.figures(ways)
        hour = ((self._clock_s + asked_s) // 3600).astype(np.int64) % HOURS
        time_s = self.prediction.time_s(free_s, hour, on_road, self._pace[rows])
        plan.way[rows] = ways
        plan.ends_s[rows] = asked_s + time_s
        km = km * self.prediction.detour
        plan.total_m[rows] = 1000.0 * km
        plan.total_kwh[rows] = self.prediction.energy_kwh(self._body_type[rows], km, time_s)
        self.predicted += len(rows)

    def _arrive(self, now: Work, rows: Ints) -> Arrivals:
        state, plan = self._state, self.plan
        end_s, total_m = plan.ends_s[rows], plan.total_m[rows]
        leg = state.done[rows]
        target = state.itinerary[rows, leg]
        ended = Arrivals(
            vehicle=rows,
            origin=state.stand_edge[rows],
            target=target,
            via=state.via[rows, leg],
            start_s=state.begun_s[rows],
            end_s=end_s,
            driving_s=end_s - state.departed_s[rows],
            total_m=total_m,
            now_m=total_m - state.leg_m[rows],
            before_kwh=state.leg_kwh[rows],
            now_kwh=plan.total_kwh[rows] - plan.bare_kwh[rows],
        )
        now.moved_m[rows] += ended.now_m
        now.drawn_kwh[rows] += ended.now_kwh
        now.moving_s[rows] += end_s - np.maximum(state.departed_s[rows], now.begin_s)
        state.edge[rows] = target
        state.arrival_s[rows, leg] = end_s
        state.leg_m[rows] = state.leg_kwh[rows] = 0.0
        state.done[rows] = leg + 1
        following = state.itinerary[rows, np.minimum(leg + 1, LEGS - 1)]
        more = (leg + 1 < LEGS) & (following >= 0)
        state.phase[rows] = np.where(more, DUE, IDLE)
        state.due_s[rows] = np.where(more, end_s + self._dwell_s, np.inf)
        return ended

    def _move(self, now: Work, end: float) -> None:
        state, plan = self._state, self.plan
        rows = np.flatnonzero(state.phase == DRIVING)
        if not rows.size:
            return
        span_s = plan.ends_s[rows] - state.departed_s[rows]
        share = np.clip((end - state.departed_s[rows]) / np.maximum(span_s, 1.0), 0.0, 1.0)
        way_m, kwh = share * plan.total_m[rows], share * plan.total_kwh[rows]
        edge = np.empty(len(rows), np.int32)
        known = plan.profile[rows] >= 0
        if known.any():
            whose = rows[known]
            time_s = end - plan.later_s[whose]
            km, kwh[known], edge[known] = self._profiles.at(plan.profile[whose], time_s)
            way_m[known] = 1000.0 * km
        edge[~known] = self._journeys.edge_at(plan.way[rows[~known]], share[~known])
        way_m = np.maximum(way_m, state.leg_m[rows])
        now.under_way_m[rows] = way_m - state.leg_m[rows]
        now.moved_m[rows] += now.under_way_m[rows]
        now.drawn_kwh[rows] += kwh - plan.bare_kwh[rows]
        state.leg_kwh[rows] += kwh - plan.bare_kwh[rows]
        on_s = end - np.maximum(state.departed_s[rows], now.begin_s)
        now.moving_s[rows] += np.maximum(on_s, 0.0)
        state.leg_m[rows], plan.bare_kwh[rows], state.edge[rows] = way_m, kwh, edge


def _recorded(
    record: Record,
    specs: Sequence[VehicleSpec],
    body_type: NDArray[np.integer],
    home_edge: NDArray[np.integer],
) -> Ints:
    """Return the vehicle of the record that each vehicle is, -1 for none."""
    place = {name: i for i, name in enumerate(record.vehicle_ids)}
    found = np.array([place.get(str(i), -1) for i in range(len(home_edge))], np.int64)
    names = np.array([spec.name for spec in specs])[body_type]
    same = (np.array(record.body_type)[found] == names) & (record.home_edge[found] == home_edge)
    return np.where(same, found, -1)


def _finish(
    record: Record,
    profiles: Profiles,
    prediction: Prediction,
    journeys: Journeys,
    specs: Sequence[VehicleSpec],
) -> Floats:
    """Predict the rest of legs that the end of the record cut off; return all waits for room [s].

    They arrive after the last tick of the record, as they did not within it.
    """
    leg = profiles.leg
    last = profiles.first[1:] - 1
    wait_s = record.end_s[leg] - record.start_s[leg] - record.driving_s[leg]
    body = {spec.name: i for i, spec in enumerate(specs)}
    end_s = float(record.ticks * TICK_S)
    clock_s = 3600 * record.start.hour + 60 * record.start.minute + record.start.second
    for profile in np.flatnonzero(record.ending[leg] == UNFINISHED).tolist():
        row = int(leg[profile])
        via = [point for point in record.via[row].tolist() if point >= 0]
        way = journeys.find(int(record.origin[row]), int(record.target[row]), via)
        name = record.body_type[int(record.vehicle[row])]
        if isinstance(way, str) or name not in body:
            continue
        km, free_s = journeys.figures(np.array([way]))
        km = km * prediction.detour
        hour = np.array([(clock_s + record.start_s[row]) // 3600], np.int64) % HOURS
        pace = prediction.pace[record.vehicle[[row]]]
        usual = float(prediction.usual[hour[0]])
        time_s = prediction.time_s(free_s, hour, usual, pace)
        kwh = prediction.energy_kwh(np.array([body[name]]), km, time_s)
        knot = int(last[profile])
        rest = max(1.0 - float(profiles.km[knot] / km[0]), 0.0)
        profiles.km[knot] = max(float(profiles.km[knot]), float(km[0]))
        profiles.kwh[knot] += rest * float(kwh[0])
        profiles.time_s[knot] = max(record.start_s[row] + float(time_s[0]), end_s + 1.0)
    return wait_s
