"""What every vehicle of the fleet does, tick by tick."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.fleet.charging import Chargers
from adapters.fleet.offers import Offers
from adapters.fleet.requests import Requests
from adapters.fleet.service import Service
from adapters.fleet.sessions import Sessions
from adapters.fleet.state import Feedback, Itineraries, Journal, Orders, State
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import TICK_S
from cosim.team import Status

__all__ = ["Feedback", "Operations", "Orders"]
_REQUEST, _POSITION, _OFFERED_AT = "request.", "schedule_position", "offered_at"


class Operations:
    """Vehicles, requests and charging sessions of a run."""

    def __init__(self, scenario: Scenario, assets: Assets) -> None:
        self.state = State.standing(assets.vehicles.home_edge)
        self.requests = Requests(assets)
        self.chargers = Chargers(assets, scenario.rules.reserve_soc)
        self._journal = Journal()
        self._sessions = Sessions(
            assets, self.state, self.chargers, self._journal, scenario.fleet.towing
        )
        self._service = Service(
            assets,
            self.state,
            self.requests,
            self._sessions,
            self._journal,
            scenario.fleet.patience,
        )
        self._calls_an_hour = 60 / scenario.market.reserve.sustained_minutes
        self._offers = Offers(assets, self.chargers) if scenario.market.bids == "on" else None
        self._last_tick = scenario.ticks - 1

    def advance(self, tick: int, back: Feedback, orders: Orders) -> dict[str, Any]:
        """Take in the tick before and the team's orders; say what this tick is to bring."""
        now_s = float(tick * TICK_S)
        self._journal.events = []
        plan = Itineraries.none(len(self.state.status))
        service, sessions = self._service, self._sessions
        if tick:
            service.follow(back, now_s)
            sessions.follow(back, orders, now_s)
        towed_from = self.state.request.copy()
        empty = sessions.empty(back, now_s)
        service.fail(empty, now_s)
        tow_edge = sessions.tow(empty, back, now_s)
        self.requests.open_until(now_s)
        service.set_out(orders, back, plan, now_s)
        service.assign(orders, back, plan, now_s)
        sessions.send(orders, back, plan, now_s)
        service.expire(now_s)
        sessions.plug_in(now_s)
        if tick == self._last_tick:  # its own power is not known before the run is over
            sessions.report_open(back, now_s)
        self.requests.open_until(now_s + TICK_S)
        if tick == self._last_tick:
            service.report_open(now_s + TICK_S)
        return {
            **vars(plan),
            "tow_edge": tow_edge,
            "vehicle_request": np.where(tow_edge >= 0, towed_from, self.state.request),
            **self._charging(back, orders),
            **self._outlook(now_s),
            "fleet_events": self._journal.events,
        }

    def save(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes, by name, for a checkpoint."""
        return {
            **self.state.arrays(),
            **{_REQUEST + name: value for name, value in self.requests.arrays().items()},
            _POSITION: self._service.schedule.position.copy(),
            **({_OFFERED_AT: self._offers.offered_at} if self._offers else {}),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `save` returned; KeyError if something is missing."""
        self.state.take(state)
        self.requests.take(
            {k.removeprefix(_REQUEST): v for k, v in state.items() if k.startswith(_REQUEST)}
        )
        self._service.schedule.position[...] = state[_POSITION]
        if self._offers:
            self._offers.offered_at = state[_OFFERED_AT].astype(np.int32)

    def _charging(self, back: Feedback, orders: Orders) -> dict[str, Any]:
        holds = self.state.holds
        at_port = self.chargers.limits(holds)
        battery = (
            orders.vehicle_target_soc,
            back.vehicle_soc,
            back.vehicle_charge_limit_kw,
            back.vehicle_discharge_limit_kw,
        )
        withheld = back.station_draw_withheld, back.station_feed_withheld
        wanted_kw = orders.vehicle_charge_kw
        called_kw = np.minimum(wanted_kw, back.vehicle_call_kw)
        wanted_kw = np.where(back.vehicle_called, called_kw, wanted_kw)
        asked = np.where(holds >= 0, self.chargers.ask(at_port, wanted_kw, *battery), 0.0)
        if self._offers:
            asked = self._offers.within_cleared(holds, asked, back.vehicle_cleared_kw)
        power_kw = self.chargers.share(holds, asked, *withheld)
        offer_kw, usd_per_mwh = np.zeros(len(holds)), np.zeros(len(holds))
        if self._offers:
            offer_kw, usd_per_mwh = self._offers.made(holds, at_port, power_kw, back, orders)
        least_kw, most_kw = self.chargers.reach(at_port, *battery, self._calls_an_hour)
        return {
            "vehicle_station": holds,
            "plug_power_kw": power_kw,
            "plug_most_kw": self.chargers.share(holds, most_kw, *withheld),
            "plug_least_kw": self.chargers.share(holds, least_kw, *withheld),
            "vehicle_offer_kw": offer_kw,
            "vehicle_offer_usd_per_mwh": usd_per_mwh,
            "plug_efficiency": at_port.efficiency,
            "plug_limit_kw": at_port.limit_kw,
            "plug_floor_kw": at_port.floor_kw,
        }

    def _outlook(self, now_s: float) -> dict[str, Any]:
        requests, state = self.requests, self.state
        known = requests.known
        coming = (state.status == Status.TO_STATION) | (state.status == Status.TOWED)
        queued = state.station[state.status == Status.QUEUED]
        promised = np.where(coming, state.station, -1)
        departure_s, ahead_km = self._service.schedule.outlook(state.ready_s)
        return {
            "vehicle_status": state.status.copy(),
            "vehicle_next_departure_s": departure_s,
            "vehicle_next_km": ahead_km,
            "request_status": requests.status.copy(),
            "request_origin_edge": np.where(known, requests.origin_edge, -1),
            "request_destination_edge": np.where(known, requests.destination_edge, -1),
            "request_segment": np.where(known, requests.segment, -1).astype(np.int32),
            "request_deadline_s": np.where(known, requests.deadline_s, -1.0),
            "station_free_ports": self.chargers.free(state.holds, np.append(promised, queued)),
            "station_queue": np.bincount(queued, minlength=len(self.chargers.ports)).astype(
                np.int32
            ),
            "requests_known": requests.by_segment(known),
            "requests_in_time": requests.by_segment(requests.in_time),
            "requests_late": requests.by_segment(requests.late),
            "requests_missed": requests.by_segment(requests.missed(now_s)),
        }
