"""Mesoscopic traffic: every leg of an itinerary is a SUMO vehicle of its own.

Between legs a vehicle does not exist in SUMO; where it stands and what it is about to do is kept
in `State`. SUMO is stepped second by second within a settlement interval, so that the next leg
departs when the one before has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from adapters.sumo import itineraries, readings, telling
from adapters.sumo.background import Background
from adapters.sumo.closures import Closure, Closures
from adapters.sumo.drives import Drives
from adapters.sumo.edge_times import EdgeTimes
from adapters.sumo.energy import MILD_C, TractionEnergy
from adapters.sumo.engine import Engine, Sumo
from adapters.sumo.legs import Legs
from adapters.sumo.state import DRIVING, IDLE, UNDER_WAY, State
from adapters.sumo.tick import Floats, Progress, TrafficTick, Trips, Work, joined
from adapters.sumo.unfinished import so_far
from cosim.errors import TrafficError
from cosim.signals import LEGS, TICK_S, VIA
from networks.demand.background import BackgroundTrips
from networks.roads import RoadNetwork
from networks.roads.routing import Router
from networks.vehicles import EnergyCurve, VehicleSpec, climate_load, shipped

Routing = Literal["current", "free_flow"]
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
        Seed of the vehicles' paces and of SUMO.
    dwell_s
        Time that a vehicle stands between two legs of an itinerary, for boarding [s].
    curves
        Consumption by name of the body type; those that ship if None.
    routing
        What ways are chosen by: the travel times of the moment, or those of empty roads.
    closures
        Edges that nobody may enter for a time.
    background
        Trips of other people.
    teleport_s
        Time stuck after which SUMO lifts a vehicle over a jam [s]; each time is an event, and
        the way that it skips counts as driven.
    insertion_s
        Wait for room on the road that is reported as an event [s].
    stuck_s
        Time without moving on the road that is reported as an event [s].
    options
        Further options of the ``sumo`` program.

    Raises
    ------
    TrafficError
        If this process already runs SUMO, or SUMO does not start.
    """

    engine: ClassVar[Engine] = "meso"
    _legs_of: ClassVar[type[Legs]] = Legs

    def __init__(
        self,
        roads: RoadNetwork,
        specs: Sequence[VehicleSpec],
        body_type: NDArray[np.integer],
        home_edge: NDArray[np.integer],
        *,
        seed: int,
        dwell_s: int = 60,
        curves: Mapping[str, EnergyCurve] | None = None,
        routing: Routing = "current",
        closures: Sequence[Closure] = (),
        background: BackgroundTrips | None = None,
        teleport_s: float = 300.0,
        insertion_s: float = 300.0,
        stuck_s: float = 600.0,
        options: Sequence[str] = (),
    ) -> None:
        self._roads = roads
        self._types = [specs[int(i)].name for i in body_type]
        self._insertion_s, self._stuck_s = insertion_s, stuck_s
        curves = curves or shipped()
        self._energy = TractionEnergy(
            [curves[spec.name] for spec in specs],
            body_type,
            [climate_load(spec) for spec in specs],
        )
        # SUMO would draw a pace for every leg from numbers that its saved state does not hold.
        rng = np.random.default_rng(seed)
        pace = np.clip(rng.normal(1.0, SPEED_DEVIATION, len(home_edge)), 0.8, 1.2)
        self.state = State.standing(home_edge)
        self._now = Work.of(-1, 0.0, 0)
        self._ambient_c = MILD_C
        self._sumo = Sumo(
            roads.net_file,
            specs,
            seed=seed,
            engine=self.engine,
            teleport_s=teleport_s,
            options=options,
        )
        self.pace = pace
        self.router = Router(roads)
        self._others = Background(background, self._sumo, self.router) if background else None
        self.edge_times = EdgeTimes(self.router) if routing == "current" else None
        self.drives = Drives(roads, len(home_edge))
        self._legs = self._legs_of(
            self._sumo, self.router, self.drives, self.state, self._types, pace, int(dwell_s)
        )

        self._closures = Closures(closures, self.router, self.drives, self._legs, self.state)

    def close(self) -> None:
        """End the simulation; harmless when it has ended."""
        self._sumo.close()

    def save(self, folder: Path) -> None:
        """Write everything to `folder` between two ticks, and go on from what was written.

        SUMO does not resume exactly where it was: a run that was saved and one that is restored
        follow the same path only because both load the file.
        """
        self._legs.before_save(self._now.tick)
        self._sumo.save(folder / _SUMO_FILE)
        arrays = self.state.arrays() | self.drives.arrays()
        if self.edge_times:
            arrays |= self.edge_times.arrays()
        np.savez(folder / _STATE_FILE, allow_pickle=False, **arrays)
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
            self.drives.take(arrays)
            if self.edge_times:
                self.edge_times.take(arrays)
        self._legs.recover(self._now.tick)
        self._closures.restore(self._sumo.time_s - TICK_S)

    def advance(
        self,
        tick: int,
        itinerary_edge: NDArray[np.integer],
        itinerary_start_s: Floats,
        tow_edge: NDArray[np.integer],
        ambient_c: float = MILD_C,
        itinerary_via_edge: NDArray[np.integer] | None = None,
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
        ambient_c
            Ambient temperature [degC], for heating and cooling.
        itinerary_via_edge
            Edges to pass on each leg, shape (vehicle, leg, via), -1 none; None for none at all.
            One that cannot be passed is replaced by the nearest that can, see `Router.way`.

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
        now = self._now = Work.of(tick, begin, count)
        self._ambient_c = ambient_c
        for vehicle in np.flatnonzero(tow_edge >= 0).tolist():
            self._tow(vehicle, int(tow_edge[vehicle]))
        if self._closures.begin(now) and self._others:
            self._others.lead_around(now)
        if self._others:
            self._others.set_out(now)
        under_way = self.state.phase != IDLE
        if itinerary_via_edge is None:
            itinerary_via_edge = np.full((count, LEGS, VIA), -1, np.int32)
        refused = self._accept(itinerary_edge, itinerary_via_edge, itinerary_start_s)
        set_out_s = np.where(under_way, 0.0, itinerary_start_s)
        under_way |= (itinerary_edge[:, 0] >= 0) & ~refused
        self._legs.drive(now, begin + TICK_S)
        heard = self._sumo.messages()
        self._legs.end_lifted(now, heard.ended)
        readings.read(
            self._sumo,
            self._legs,
            self.drives,
            self.state,
            self.pace,
            now,
            self._insertion_s,
            self._stuck_s,
        )
        telling.waits(now, self._roads.edge_ids, self.state, self.drives)
        if self.edge_times:
            others_s = self._all_edges_s() if self._others else None
            self.edge_times.measure(self.drives, joined(Progress, now.stretches), others_s)
        self.drives.drop(np.isin(self.state.phase, UNDER_WAY))
        telling.heard(now, heard)
        traction_kwh = self._draw_energy()
        state = self.state
        now.events.sort(key=lambda event: (event["time_s"], event.get("vehicle", -1)))
        return TrafficTick(
            vehicle_distance_km=now.moved_m / 1000.0,
            vehicle_traction_kwh=traction_kwh,
            vehicle_driving_s=now.moving_s,
            vehicle_busy_s=np.where(under_way, self._ended_s(begin) - set_out_s, 0.0),
            vehicle_edge=state.edge.copy(),
            vehicle_driving=state.phase != IDLE,
            legs_completed=state.done.copy(),
            leg_arrival_s=state.arrival_s.copy(),
            itinerary_refused=refused,
            background_vehicles=self._others.on_road(self._on_road()) if self._others else 0.0,
            events=now.events,
        )

    def _ended_s(self, begin: float) -> Floats:
        """Return when each itinerary ended after `begin`, the end of the tick if it has not [s]."""
        last_s = self.state.arrival_s.max(axis=1) - begin
        return np.where(self.state.phase == IDLE, last_s, float(TICK_S))

    def _accept(
        self,
        itinerary_edge: NDArray[np.integer],
        itinerary_via_edge: NDArray[np.integer],
        itinerary_start_s: Floats,
    ) -> NDArray[np.bool_]:
        state, now = self.state, self._now
        wanted, reason = itineraries.accept(
            state,
            self.router,
            itinerary_edge,
            itinerary_via_edge,
            itinerary_start_s,
            now.begin_s,
        )
        for vehicle, why in zip(wanted.tolist(), reason.tolist(), strict=True):
            if why:
                place = self._roads.edge_ids[state.edge[vehicle]]
                now.add("trip_refused", now.begin_s, place, why, vehicle=vehicle)
        refused = np.zeros(len(state.phase), np.bool_)
        refused[wanted[reason != ""]] = True
        return refused

    def _tow(self, vehicle: int, edge: int) -> None:
        state, names, now = self.state, self._roads.edge_ids, self._now
        taken_from, leg = names[state.edge[vehicle]], so_far(state, names, vehicle, now.begin_s)
        self._legs.take_off(vehicle, now.tick)
        state.edge[vehicle] = edge
        text = f"set down at {names[edge]}"
        now.add("tow", now.begin_s, taken_from, text, vehicle=vehicle, **leg)

    def _draw_energy(self) -> Floats:
        """Energy of the tick from the mean moving speed, shared among its legs by distance."""
        now, moved_km = self._now, self._now.moved_m / 1000.0
        speed_kmh = 3.6 * now.moved_m / np.maximum(now.moving_s, 1.0)
        drive_kwh = self._energy.kwh_per_km(speed_kmh)
        climate_kwh = self._energy.climate_kwh(now.moving_s, self._ambient_c)
        moved = now.moved_m > 0
        per_km = drive_kwh + np.divide(climate_kwh, moved_km, out=0.0 * moved_km, where=moved)
        trips = joined(Trips, now.trips)
        telling.trips(
            now, self._roads.edge_ids, trips, per_km[trips.vehicle] * trips.now_m / 1000.0
        )
        # Who stands in traffic for the whole tick still heats.
        self.state.leg_kwh[:] += np.where(moved, per_km * now.under_way_m / 1000.0, climate_kwh)
        return drive_kwh * moved_km + climate_kwh

    def _all_edges_s(self) -> Floats:
        """Return the time that each edge takes by SUMO's own measure of who is on it [s]."""
        with self._sumo.calling("reading travel times", self._now.tick) as api:
            read = api.edge.getTraveltime
            return np.array([read(edge) for edge in self._roads.edge_ids])

    def _on_road(self) -> int:
        return int((self.state.phase == DRIVING).sum())
