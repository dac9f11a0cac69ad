"""What every vehicle of the fleet does, tick by tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.fleet.charging import Chargers
from adapters.fleet.requests import Requests
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import LEGS, TICK_S, VIA
from cosim.team import Flags, Floats, Ints, RequestStatus, Status

FULL_SOC_MARGIN = 0.005
"""A session ends this close to its target: the last kilowatt-minutes would take a whole tick."""
SHORTFALL_KWH = 1e-6
"""A vehicle that lacks more than this for its driving has run empty; less is rounding."""


@dataclass(frozen=True)
class Feedback:
    """What the tick before left behind; fields are the signals of the same name."""

    vehicle_edge: Ints
    vehicle_driving: Flags
    legs_completed: Ints
    leg_arrival_s: Floats
    itinerary_refused: Flags
    vehicle_power_kw: Floats
    traction_shortfall_kwh: Floats
    vehicle_soc: Floats
    vehicle_charge_limit_kw: Floats
    vehicle_discharge_limit_kw: Floats


@dataclass(frozen=True)
class Orders:
    """What the team decided; fields are the signals of the same name."""

    request_vehicle: Ints
    vehicle_goto_station: Ints
    vehicle_charge_kw: Floats
    vehicle_target_soc: Floats


class Operations:
    """State of vehicles, requests and charging sessions."""

    def __init__(self, scenario: Scenario, assets: Assets) -> None:
        count = len(assets.vehicles.ids)
        self.requests = Requests.of(scenario, assets)
        self.chargers = Chargers(assets, scenario.rules.reserve_soc)
        self._roads = assets.roads
        self._towing_s = scenario.fleet.towing
        self._last_tick = scenario.ticks - 1
        self.status: NDArray[np.int8] = np.full(count, Status.IDLE, dtype=np.int8)
        self.station: Ints = np.full(count, -1, dtype=np.int32)
        """Station that the vehicle drives to, waits at or holds a port of."""
        self._request: Ints = np.full(count, -1, dtype=np.int32)
        self._since_s = np.zeros(count)
        """When the present status of a queued, plugged or towed vehicle began."""
        self._session_kwh = np.zeros(count)
        self.events: list[dict[str, Any]] = []

    def advance(self, tick: int, back: Feedback, orders: Orders) -> dict[str, Any]:
        """Take in the tick before and the team's orders; say what this tick is to bring."""
        now_s = float(tick * TICK_S)
        self.events = []
        itinerary = np.full((len(self.status), LEGS), -1, dtype=np.int32)
        if tick:
            self._follow_trips(back, now_s)
            self._follow_sessions(back, orders, now_s)
        tow_edge = self._tow_empty(back, now_s)
        self._assign(orders, back, itinerary, now_s)
        self._send_to_stations(orders, itinerary, now_s)
        self._expire(now_s)
        self._plug_in(now_s)
        if tick == self._last_tick:  # its own power is not known before the run is over
            self._report_open_sessions(back, now_s)
        self.requests.open_until(now_s + TICK_S)
        return {
            "itinerary_edge": itinerary,
            "itinerary_via_edge": np.full((*itinerary.shape, VIA), -1, np.int32),
            "itinerary_start_s": np.zeros(len(self.status)),
            "tow_edge": tow_edge,
            **self._charging(back, orders),
            **self._outlook(),
            "fleet_events": self.events,
        }

    # --- what the tick before brought

    def _follow_trips(self, back: Feedback, now_s: float) -> None:
        requests = self.requests
        serving = np.flatnonzero(self.status == Status.SERVING)
        mine = self._request[serving]
        picked = (back.legs_completed[serving] >= 1) & (
            requests.status[mine] == RequestStatus.ASSIGNED
        )
        requests.pickup_s[mine[picked]] = back.leg_arrival_s[serving[picked], 0]
        requests.status[mine[picked]] = RequestStatus.PICKED_UP
        ended = serving[~back.vehicle_driving[serving]]
        served = back.legs_completed[ended] >= 2
        for vehicle, ok in zip(ended, served, strict=True):
            arrival_s = float(back.leg_arrival_s[vehicle, 1]) if ok else now_s
            self._end_request(int(self._request[vehicle]), ok, arrival_s)
        self._request[ended] = -1
        self.status[ended] = Status.IDLE
        coming = np.flatnonzero((self.status == Status.TO_STATION) & ~back.vehicle_driving)
        there = (back.legs_completed[coming] >= 1) & ~back.itinerary_refused[coming]
        self._since_s[coming[there]] = back.leg_arrival_s[coming[there], 0]
        self.status[coming[there]] = Status.QUEUED
        self.status[coming[~there]] = Status.IDLE
        self.station[coming[~there]] = -1

    def _end_request(self, request: int, served: bool, time_s: float) -> None:
        requests = self.requests
        requests.status[request] = RequestStatus.SERVED if served else RequestStatus.FAILED
        late = requests.pickup_s[request] > requests.deadline_s[request]
        self._note(
            "request_served" if served else "request_failed",
            time_s,
            request=request,
            vehicle=int(requests.vehicle[request]),
            start_s=float(requests.asked_s[request]),
            value=float(requests.pickup_s[request] - requests.asked_s[request]) if served else None,
            detail="picked up late" if served and late else "",
        )

    def _follow_sessions(self, back: Feedback, orders: Orders, now_s: float) -> None:
        plugged = self.status == Status.PLUGGED
        self._session_kwh[plugged] += back.vehicle_power_kw[plugged] * TICK_S / 3600
        full = back.vehicle_soc >= orders.vehicle_target_soc - FULL_SOC_MARGIN
        # A full battery that is to feed back has work left at its port.
        giving = (orders.vehicle_charge_kw < 0) & (self.chargers.limits(self._holds).floor_kw < 0)
        for vehicle in np.flatnonzero(plugged & full & ~giving):
            self._unplug(int(vehicle), back, now_s)

    def _unplug(self, vehicle: int, back: Feedback, now_s: float) -> None:
        self._note_session(vehicle, back, now_s)
        self.status[vehicle] = Status.IDLE
        self.station[vehicle] = -1

    def _report_open_sessions(self, back: Feedback, now_s: float) -> None:
        known = (self.status == Status.PLUGGED) & (self._since_s < now_s)
        detail = "under way at the end; the last tick is not in it"
        for vehicle in np.flatnonzero(known):
            self._note_session(int(vehicle), back, now_s, detail)

    def _note_session(self, vehicle: int, back: Feedback, now_s: float, detail: str = "") -> None:
        self._note(
            "charging_session",
            now_s,
            vehicle=vehicle,
            station=int(self.station[vehicle]),
            start_s=float(self._since_s[vehicle]),
            energy_kwh=float(self._session_kwh[vehicle]),
            value=float(back.vehicle_soc[vehicle]),
            detail=detail,
        )

    def _tow_empty(self, back: Feedback, now_s: float) -> Ints:
        """Take vehicles that ran empty off the road, to the nearest station."""
        tow_edge = np.full(len(self.status), -1, dtype=np.int32)
        moving = (self.status == Status.SERVING) | (self.status == Status.TO_STATION)
        for vehicle in np.flatnonzero((back.traction_shortfall_kwh > SHORTFALL_KWH) & moving):
            request = int(self._request[vehicle])
            if request >= 0:
                self._end_request(request, served=False, time_s=now_s)
                self._request[vehicle] = -1
            km = self._roads.distance_km(
                back.vehicle_edge[vehicle : vehicle + 1], self.chargers.edge
            )
            station = int(np.argmin(km[0]))
            tow_edge[vehicle] = self.chargers.edge[station]
            self._note(
                "ran_empty",
                now_s,
                vehicle=int(vehicle),
                station=station,
                place=self._roads.edge_ids[back.vehicle_edge[vehicle]],
                energy_kwh=float(back.traction_shortfall_kwh[vehicle]),
                distance_km=float(km[0, station]),
                detail="towed to the nearest station",
            )
            self.status[vehicle] = Status.TOWED
            self.station[vehicle] = station
            self._since_s[vehicle] = now_s
        arrived = (self.status == Status.TOWED) & (now_s - self._since_s >= self._towing_s)
        self.status[arrived] = Status.QUEUED
        self._since_s[arrived] = now_s
        return tow_edge

    # --- what the team ordered

    def _assign(self, orders: Orders, back: Feedback, itinerary: Ints, now_s: float) -> None:
        requests = self.requests
        for request in np.flatnonzero(orders.request_vehicle >= 0):
            vehicle = int(orders.request_vehicle[request])
            reason = ""
            if requests.status[request] != RequestStatus.OPEN:
                reason = "the request is not open"
            elif self.status[vehicle] == Status.PLUGGED:
                self._unplug(vehicle, back, now_s)
            elif self.status[vehicle] != Status.IDLE:
                reason = f"the vehicle is {Status(self.status[vehicle]).name.lower()}"
            if reason:
                where = {"vehicle": vehicle, "request": int(request)}
                self._note("decision_refused", now_s, detail=reason, **where)
                continue
            requests.status[request] = RequestStatus.ASSIGNED
            requests.vehicle[request] = vehicle
            self._request[vehicle] = request
            self.status[vehicle] = Status.SERVING
            itinerary[vehicle, :2] = (
                requests.origin_edge[request],
                requests.destination_edge[request],
            )

    def _send_to_stations(self, orders: Orders, itinerary: Ints, now_s: float) -> None:
        ordered = orders.vehicle_goto_station >= 0
        ready = ordered & (self.status == Status.IDLE)
        for vehicle in np.flatnonzero(ordered & ~ready):
            reason = f"the vehicle is {Status(self.status[vehicle]).name.lower()}"
            station = orders.vehicle_goto_station[vehicle]
            where = {"vehicle": int(vehicle), "station": int(station)}
            self._note("decision_refused", now_s, detail=reason, **where)
        self.station[ready] = orders.vehicle_goto_station[ready]
        self.status[ready] = Status.TO_STATION
        itinerary[ready, 0] = self.chargers.edge[self.station[ready]]

    # --- what follows

    def _expire(self, now_s: float) -> None:
        requests = self.requests
        for request in requests.expire(now_s):
            self._note(
                "request_expired",
                float(requests.deadline_s[request]),
                request=int(request),
                start_s=float(requests.asked_s[request]),
                place=self._roads.edge_ids[requests.origin_edge[request]],
            )

    def _plug_in(self, now_s: float) -> None:
        waiting = self.status == Status.QUEUED
        admitted = self.chargers.admit(waiting, self.station, self._since_s, self._holds)
        self.status[admitted] = Status.PLUGGED
        self._since_s[admitted] = now_s
        self._session_kwh[admitted] = 0.0

    @property
    def _holds(self) -> Ints:
        return np.where(self.status == Status.PLUGGED, self.station, -1).astype(np.int32)

    def _charging(self, back: Feedback, orders: Orders) -> dict[str, Any]:
        holds = self._holds
        at_port = self.chargers.limits(holds)
        asked = self.chargers.ask(
            at_port,
            orders.vehicle_charge_kw,
            orders.vehicle_target_soc,
            back.vehicle_soc,
            back.vehicle_charge_limit_kw,
            back.vehicle_discharge_limit_kw,
        )
        return {
            "vehicle_station": holds,
            "plug_power_kw": np.where(holds >= 0, asked, 0.0),
            "plug_efficiency": at_port.efficiency,
            "plug_limit_kw": at_port.limit_kw,
            "plug_floor_kw": at_port.floor_kw,
        }

    def _outlook(self) -> dict[str, Any]:
        requests = self.requests
        known = requests.known
        coming = (self.status == Status.TO_STATION) | (self.status == Status.TOWED)
        queued = self.station[self.status == Status.QUEUED]
        promised = np.where(coming, self.station, -1)
        return {
            "vehicle_status": self.status.copy(),
            "request_status": requests.status.copy(),
            "request_origin_edge": np.where(known, requests.origin_edge, -1),
            "request_destination_edge": np.where(known, requests.destination_edge, -1),
            "request_deadline_s": np.where(known, requests.deadline_s, -1.0),
            "station_free_ports": self.chargers.free(self._holds, np.append(promised, queued)),
            "station_queue": np.bincount(queued, minlength=len(self.chargers.ports)).astype(
                np.int32
            ),
            "requests_known": known.sum(),
            "requests_in_time": requests.in_time.sum(),
            "requests_missed": requests.missed.sum(),
        }

    def _note(self, kind: str, time_s: float, **values: Any) -> None:
        self.events.append(
            {"kind": kind, "time_s": time_s, **{k: v for k, v in values.items() if v is not None}}
        )
