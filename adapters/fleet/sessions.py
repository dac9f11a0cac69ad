"""Charging sessions: driving to a station, waiting there, plugging in, leaving; and tows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.fleet.charging import Chargers
from adapters.fleet.state import Feedback, Itineraries, Journal, Orders, State
from cosim.assets import Assets
from cosim.signals import TICK_S
from cosim.team import Flags, Ints, Status

FULL_SOC_MARGIN = 0.005
"""A session ends this close to its target: the last kilowatt-minutes would take a whole tick."""
SHORTFALL_KWH = 1e-6
"""A vehicle that lacks more than this for its driving has run empty; less is rounding."""
EMPTY_SOC = 0.05
"""A battery that cannot give what driving takes at or below this is empty."""
TOW_TO_H = 12.0
"""An empty vehicle is towed to a station that can fill it in so many hours, if there is one [h]."""
LEAST_CHARGE_S = 1800.0
"""A towed vehicle charges for so long before it sets out again [s]."""
Rows = NDArray[np.integer]


class Sessions:
    """Vehicles on their way to stations, in queues and at ports.

    Parameters
    ----------
    assets
        Static tables of the scenario.
    state
        Vehicles; changed in place.
    chargers
        Ports and their limits.
    journal
        Where events go.
    towing_s
        Time until an empty vehicle stands at the nearest public station [s].
    """

    def __init__(
        self,
        assets: Assets,
        state: State,
        chargers: Chargers,
        journal: Journal,
        towing_s: float,
    ) -> None:
        self._vehicles, self._stations, self._roads = assets.vehicles, assets.stations, assets.roads
        self._state, self._chargers, self._journal = state, chargers, journal
        self._towing_s = towing_s
        self._battery_kwh = assets.vehicles.per_vehicle("battery_kwh")

    def follow(self, back: Feedback, orders: Orders, now_s: float) -> None:
        """Take in who arrived in the tick before and whose battery is full."""
        state = self._state
        coming = np.flatnonzero((state.status == Status.TO_STATION) & ~back.vehicle_driving)
        there = (back.legs_completed[coming] >= 1) & ~back.itinerary_refused[coming]
        state.since_s[coming[there]] = back.leg_arrival_s[coming[there], 0]
        state.status[coming[there]] = Status.QUEUED
        state.status[coming[~there]] = Status.IDLE
        state.station[coming[~there]] = -1
        plugged = state.status == Status.PLUGGED
        state.session_kwh[plugged] += back.vehicle_power_kw[plugged] * TICK_S / 3600
        state.flat[plugged & (now_s - state.since_s >= LEAST_CHARGE_S)] = False
        full = back.vehicle_soc >= orders.vehicle_target_soc - FULL_SOC_MARGIN
        # A full battery that is to feed back has work left at its port.
        floor_kw = self._chargers.limits(state.holds).floor_kw
        giving = ((orders.vehicle_charge_kw < 0) | back.vehicle_called) & (floor_kw < 0)
        self.end(np.flatnonzero(plugged & full & ~giving), back, now_s)

    def end(self, vehicles: Rows, back: Feedback, now_s: float) -> None:
        """Unplug vehicles."""
        for vehicle in vehicles.tolist():
            self._note(vehicle, back, now_s)
        self._state.status[vehicles] = Status.IDLE
        self._state.station[vehicles] = -1
        self._state.flat[vehicles] = False

    def report_open(self, back: Feedback, now_s: float) -> None:
        """Report the sessions under way at the end of a run."""
        state = self._state
        known = (state.status == Status.PLUGGED) & (state.since_s < now_s)
        detail = "under way at the end; the last tick is not in it"
        for vehicle in np.flatnonzero(known).tolist():
            self._note(vehicle, back, now_s, detail)

    def _note(self, vehicle: int, back: Feedback, now_s: float, detail: str = "") -> None:
        state = self._state
        self._journal.note(
            "charging_session",
            now_s,
            vehicle=vehicle,
            station=int(state.station[vehicle]),
            start_s=float(state.since_s[vehicle]),
            energy_kwh=float(state.session_kwh[vehicle]),
            value=float(back.vehicle_soc[vehicle]),
            detail=detail,
        )

    def empty(self, back: Feedback, now_s: float) -> Rows:
        """Return the vehicles under way that ran empty in the tick before.

        A battery that holds charge may give less power than driving asks for, in the cold for
        example. That is told; the vehicle stops only if it got less than half.
        """
        state = self._state
        moving = (state.status == Status.SERVING) | (state.status == Status.TO_STATION)
        short = (back.traction_shortfall_kwh > SHORTFALL_KWH) & moving
        stops = (back.vehicle_soc <= EMPTY_SOC) | (
            back.battery_traction_kwh < back.traction_shortfall_kwh
        )
        for vehicle in np.flatnonzero(short & ~stops).tolist():
            self._journal.note(
                "power_limited",
                now_s,
                vehicle=vehicle,
                place=self._roads.edge_ids[back.vehicle_edge[vehicle]],
                energy_kwh=float(back.traction_shortfall_kwh[vehicle]),
                value=float(back.vehicle_soc[vehicle]),
                detail="the battery gave less than driving asked for",
            )
        return np.flatnonzero(short & stops)

    def tow(self, empty: Rows, back: Feedback, now_s: float) -> Ints:
        """Take empty vehicles off the road; those towed for long enough are at their station.

        Returns
        -------
        ndarray
            Edge at which each vehicle is set down, -1 for none, shape (vehicle,).
        """
        state = self._state
        tow_edge = np.full(len(state.status), -1, dtype=np.int32)
        public = np.flatnonzero(self._stations.public)
        for vehicle in empty.tolist():
            at = back.vehicle_edge[vehicle : vehicle + 1]
            km = self._roads.distance_km(at, self._stations.edge[public])[0]
            slow = self._stations.port_kw[public] * TOW_TO_H < self._battery_kwh[vehicle]
            nearest = int(np.argmin(np.where(slow & ~slow.all(), np.inf, km)))
            station = int(public[nearest])
            tow_edge[vehicle] = self._stations.edge[station]
            self._journal.note(
                "ran_empty",
                now_s,
                vehicle=vehicle,
                station=station,
                place=self._roads.edge_ids[back.vehicle_edge[vehicle]],
                energy_kwh=float(back.traction_shortfall_kwh[vehicle]),
                distance_km=float(km[nearest]),
                detail="towed to the nearest station that suits it",
            )
            state.status[vehicle] = Status.TOWED
            state.flat[vehicle] = True
            state.station[vehicle] = station
            state.since_s[vehicle] = now_s
        arrived = (state.status == Status.TOWED) & (now_s - state.since_s >= self._towing_s)
        for vehicle in np.flatnonzero(arrived).tolist():
            station = int(state.station[vehicle])
            self._journal.note(
                "tow_ended",
                now_s,
                vehicle=vehicle,
                station=station,
                place=self._roads.edge_ids[self._stations.edge[station]],
                start_s=float(state.since_s[vehicle]),
            )
        state.status[arrived] = Status.QUEUED
        state.since_s[arrived] = now_s
        return tow_edge

    def send(self, orders: Orders, back: Feedback, plan: Itineraries, now_s: float) -> None:
        """Send idle vehicles to the stations that the team names; some stand there already."""
        state = self._state
        ordered = np.flatnonzero(orders.vehicle_goto_station >= 0)
        station = orders.vehicle_goto_station[ordered]
        open_ = self._stations.public[station] | self._vehicles.may_use(ordered, station)
        ready = (state.status[ordered] == Status.IDLE) & open_
        self._refuse(ordered[~ready], station[~ready], open_[~ready], now_s)
        ordered, station = ordered[ready], station[ready]
        state.station[ordered] = station
        edge = self._stations.edge[station]
        there = back.vehicle_edge[ordered] == edge
        state.status[ordered] = np.where(there, Status.QUEUED, Status.TO_STATION)
        state.since_s[ordered[there]] = now_s
        plan.itinerary_edge[ordered[~there], 0] = edge[~there]

    def _refuse(self, vehicles: Rows, stations: Rows, open_: Flags, now_s: float) -> None:
        for vehicle, station, ok in zip(vehicles, stations, open_, strict=True):
            status = Status(self._state.status[vehicle]).name.lower()
            reason = f"the vehicle is {status}" if ok else "the station is not open to the vehicle"
            self._journal.refuse(now_s, reason, vehicle=int(vehicle), station=int(station))

    def plug_in(self, now_s: float) -> None:
        """Give free ports to those who wait longest."""
        state = self._state
        waiting = state.status == Status.QUEUED
        admitted = self._chargers.admit(waiting, state.station, state.since_s, state.holds)
        state.status[admitted] = Status.PLUGGED
        state.since_s[admitted] = now_s
        state.session_kwh[admitted] = 0.0
