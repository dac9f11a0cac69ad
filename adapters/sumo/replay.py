"""Replayed traffic: the trips of an earlier run drive the fleet, and no SUMO runs.

A leg that the recorded run drove too goes as it went then; any other is predicted from the
recorded trips.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.sumo import itineraries
from adapters.sumo.record import Record
from adapters.sumo.replay_legs import ReplayLegs
from adapters.sumo.replay_plan import Arrivals
from adapters.sumo.state import IDLE, State
from adapters.sumo.tick import Event, Floats, TrafficTick, Work
from adapters.sumo.unfinished import so_far
from adapters.sumo.via import detail_of
from cosim.errors import EngineError
from cosim.signals import TICK_S, VIA
from networks.roads import RoadNetwork
from networks.vehicles import MILD_C, VehicleSpec, climate_load

_STATE_FILE = "traffic.npz"


class ReplayTraffic:
    """A fleet that drives as an earlier run recorded it, one settlement interval at a time.

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
    record
        What was recorded on these roads.
    start
        Local date and time of the first tick.
    dwell_s
        Time that a vehicle stands between two legs of an itinerary, for boarding [s].

    Notes
    -----
    Legs are the recorded ones where vehicle, origin, target and the tick of departure are the
    same; see `adapters.sumo.prediction` for the others. Arrays and checks are those of
    `MesoTraffic`.
    """

    def __init__(
        self,
        roads: RoadNetwork,
        specs: Sequence[VehicleSpec],
        body_type: NDArray[np.integer],
        home_edge: NDArray[np.integer],
        *,
        record: Record,
        start: datetime,
        dwell_s: int = 60,
    ) -> None:
        self._roads, self._body_type = roads, body_type
        self._climates = [climate_load(spec) for spec in specs]
        self._climate_kw = np.zeros(len(home_edge))
        self._ambient_c = MILD_C
        self._next_tick = 0
        self.record = record
        self.state = State.standing(home_edge)
        self.legs = ReplayLegs(
            roads, record, specs, body_type, home_edge, self.state, start, int(dwell_s)
        )

    def about(self) -> dict[str, str]:
        """Return what is replayed, and how far its predictions are from what was recorded."""
        record = self.record
        return {
            "replayed_kind": record.kind,
            "replayed_digest": record.digest,
            "replayed_trips": str(record.trips),
            "replayed_vehicles": f"{self.legs.known_vehicles} of {len(self.state.phase)}",
            **self.legs.prediction.about(),
        }

    def close(self) -> None:
        """End; there is nothing to let go of."""

    def save(self, folder: Path) -> None:
        """Write everything to `folder` between two ticks."""
        arrays = self.state.arrays() | self.legs.plan.arrays()
        np.savez(
            folder / _STATE_FILE,
            allow_pickle=False,
            next_tick=np.array(self._next_tick),
            **arrays,
        )

    def restore(self, folder: Path) -> None:
        """Go on from what `save` wrote to `folder`.

        Raises
        ------
        EngineError
            If it cannot be read.
        """
        file = folder / _STATE_FILE
        try:
            with np.load(file, allow_pickle=False) as arrays:
                self.state.take(arrays)
                self.legs.plan.take(arrays)
                self._next_tick = int(arrays["next_tick"])
        except (OSError, KeyError, ValueError) as error:
            reason = f"the saved state cannot be read: {error}"
            raise EngineError(reason, where=str(file)) from error
        self.legs.recover()

    def advance(
        self,
        tick: int,
        itinerary_edge: NDArray[np.integer],
        itinerary_start_s: Floats,
        tow_edge: NDArray[np.integer],
        ambient_c: float = MILD_C,
        itinerary_via_edge: NDArray[np.integer] | None = None,
    ) -> TrafficTick:
        """Move the fleet through one settlement interval; see `MesoTraffic.advance`.

        Raises
        ------
        EngineError
            If the ticks do not come one after the other.
        """
        if tick != self._next_tick:
            reason = f"replayed traffic stands before tick {self._next_tick}"
            raise EngineError(reason, tick=tick)
        self._next_tick = tick + 1
        state, begin = self.state, float(tick * TICK_S)
        end = begin + TICK_S
        now = Work.of(tick, begin, len(state.phase))
        for vehicle in np.flatnonzero(tow_edge >= 0).tolist():
            self._tow(now, vehicle, int(tow_edge[vehicle]))
        under_way = state.phase != IDLE
        refused = np.zeros(len(under_way), np.bool_)
        if (itinerary_edge[:, 0] >= 0).any():
            refused = self._accept(now, itinerary_edge, itinerary_via_edge, itinerary_start_s)
        set_out_s = np.where(under_way, 0.0, itinerary_start_s)
        under_way |= (itinerary_edge[:, 0] >= 0) & ~refused
        ended = self.legs.drive(now, end)
        traction_kwh = self._draw(now, ended, ambient_c)
        if len(now.events) > 1:
            now.events.sort(key=itemgetter("time_s", "vehicle"))
        driving = state.phase != IDLE
        ended_s = np.where(driving, float(TICK_S), state.arrival_s.max(axis=1) - begin)
        return TrafficTick(
            vehicle_distance_km=now.moved_m / 1000.0,
            vehicle_traction_kwh=traction_kwh,
            vehicle_driving_s=now.moving_s,
            vehicle_busy_s=np.where(under_way, ended_s - set_out_s, 0.0),
            vehicle_edge=state.edge.copy(),
            vehicle_driving=driving,
            legs_completed=state.done.copy(),
            leg_arrival_s=state.arrival_s.copy(),
            itinerary_refused=refused,
            background_vehicles=0.0,
            events=now.events,
        )

    def _accept(
        self,
        now: Work,
        itinerary_edge: NDArray[np.integer],
        itinerary_via_edge: NDArray[np.integer] | None,
        itinerary_start_s: Floats,
    ) -> NDArray[np.bool_]:
        state = self.state
        if itinerary_via_edge is None:
            itinerary_via_edge = np.full((*itinerary_edge.shape, VIA), -1, np.int32)
        wanted, reason = itineraries.accept(
            state,
            self.legs.router,
            itinerary_edge,
            itinerary_via_edge,
            itinerary_start_s,
            now.begin_s,
        )
        bad = np.flatnonzero(reason != "")
        for row in bad.tolist():
            vehicle = int(wanted[row])
            place = self._roads.edge_ids[state.edge[vehicle]]
            now.add("trip_refused", now.begin_s, place, str(reason[row]), vehicle=vehicle)
        refused = np.zeros(len(state.phase), np.bool_)
        refused[wanted[bad]] = True
        return refused

    def _tow(self, now: Work, vehicle: int, edge: int) -> None:
        state, names = self.state, self._roads.edge_ids
        taken_from, leg = names[state.edge[vehicle]], so_far(state, names, vehicle, now.begin_s)
        self.legs.take_off(vehicle)
        state.edge[vehicle] = edge
        text = f"set down at {names[edge]}"
        now.add("tow", now.begin_s, taken_from, text, vehicle=vehicle, **leg)
        state.leg_m[vehicle] = state.leg_kwh[vehicle] = 0.0

    def _draw(self, now: Work, ended: Sequence[Arrivals], ambient_c: float) -> Floats:
        """Add heating and cooling, which the legs of a tick share by distance; tell the trips."""
        if ambient_c != self._ambient_c:
            self._ambient_c = ambient_c
            power_kw = [float(load.power_kw(np.array(ambient_c))) for load in self._climates]
            self._climate_kw = np.array(power_kw)[self._body_type]
        climate_kwh = self._climate_kw * now.moving_s / 3600.0
        moved = now.moved_m > 0
        per_m = np.divide(climate_kwh, now.moved_m, out=np.zeros(len(moved)), where=moved)
        for some in ended:
            now.events += self._trips(some, per_m)
        self.state.leg_kwh[:] += np.where(moved, per_m * now.under_way_m, climate_kwh)
        return now.drawn_kwh + climate_kwh

    def _trips(self, ended: Arrivals, per_m: Floats) -> list[Event]:
        """Return the events of legs that ended; one to where the vehicle stood is none."""
        names = self._roads.edge_ids
        rows = ended.vehicle
        kwh = ended.before_kwh + ended.now_kwh + per_m[rows] * ended.now_m
        columns = (
            *(rows, ended.origin, ended.target, ended.via, ended.start_s, ended.end_s),
            *(ended.driving_s, ended.total_m / 1000.0, kwh),
        )
        return [
            {
                "time_s": end_s,
                "kind": "trip",
                "place": names[target],
                "vehicle": vehicle,
                "origin": names[origin],
                "start_s": start_s,
                "driving_s": driving_s,
                "distance_km": km,
                "energy_kwh": energy_kwh,
                **detail_of(via, names),
            }
            for vehicle, origin, target, via, start_s, end_s, driving_s, km, energy_kwh in zip(
                *(column.tolist() for column in columns), strict=True
            )
            if km
        ]
