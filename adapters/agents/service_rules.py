"""Demand response and reserve by rule: charging that can wait does, batteries hold what is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.agents.needs import Needs
from cosim.assets import Surroundings
from cosim.scenario import Rules
from cosim.team import Agent, Flags, Ints, Observation, Plan, Status

_REMEMBERED = ("mine", "bound_for", "written_kw", "others_kw")


class AnswerEvents(Agent):
    """Event manager: while an event of demand response lasts, charging that can wait does.

    What can wait is charging that the vehicle's next trip does not need, or that full power brings
    in time when it begins after the event; that of vehicles without a trip that is known always
    can. They hold their ports, or come to them, and draw nothing; one that feeds back goes on.
    Where the scenario lets vehicles feed back, those at two-way ports do so if price and pay of the
    event, less the wear, reach what it asks. When the event is over all go on with what others have
    set. Nothing is charged ahead of an event.
    """

    name: ClassVar[str] = "event_manager"

    def __init__(self, around: Surroundings, rules: Rules) -> None:
        self._rules = rules
        self._needs = Needs(around, rules)
        self._stations, self._feeder = around.stations, around.stations.feeder
        count = len(around.vehicles.ids)
        self._every = np.arange(count, dtype=np.int32)
        # Whose set points are this agent's, what it wrote, and what stood there by others.
        self._mine = np.zeros(count, dtype=np.bool_)
        self._bound_for = np.zeros(count, dtype=np.int32)
        self._written_kw, self._others_kw = np.zeros(count), np.zeros(count)

    def save(self) -> dict[str, NDArray[Any]]:
        """Return whose set points are this agent's, and what was there before."""
        return {name: getattr(self, f"_{name}").copy() for name in _REMEMBERED}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take them back."""
        for name in _REMEMBERED:
            setattr(self, f"_{name}", state[name].copy())

    def due(self, seen: Observation) -> Ints:
        """Return all vehicles: those on the way are told before they plug in."""
        del seen
        return self._every

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Hold those that can wait, let those feed back that gain by it, free the others."""
        sent = plan.vehicle_goto_station >= 0
        self._bound_for = np.where(sent, plan.vehicle_goto_station, self._bound_for)
        coming = np.isin(seen.vehicle_status, (Status.TO_STATION, Status.QUEUED, Status.PLUGGED))
        asked = self._asked(seen)[self._feeder[self._at(seen)]]
        waits = (sent | coming) & asked & self._can_wait(seen)
        # What somebody has set in the meantime counts; what was taken away comes back.
        untouched = self._mine & (plan.vehicle_charge_kw == self._written_kw)
        others_kw = np.where(untouched, self._others_kw, plan.vehicle_charge_kw)
        written_kw = np.where(waits, np.minimum(others_kw, 0.0), others_kw)
        feeds = self._gains(seen, np.flatnonzero(waits & (seen.vehicle_station >= 0)))
        written_kw[feeds] = -self._stations.port_kw[seen.vehicle_station[feeds]]
        plan.vehicle_charge_kw[due] = written_kw[due]
        self._mine, self._written_kw, self._others_kw = waits, written_kw, others_kw

    def _gains(self, seen: Observation, plugged: NDArray[np.intp]) -> Ints:
        """Return those that gain by feeding back for price and pay, with charge to spare."""
        above, who = self._rules.feed_back_above_usd_per_mwh, plugged.astype(np.int32)
        who = who[self._stations.bidirectional[seen.vehicle_station[who]]]
        if above is None or not who.size:
            return who[:0]
        station = seen.vehicle_station[who]
        pay = seen.response_offer_usd_per_mwh[self._feeder[station]]
        gain = seen.station_price_usd_per_mwh[station] + pay
        gain = gain - self._needs.wear_usd_per_mwh(seen, who)
        keep = np.maximum(self._rules.feed_back_to_soc, self._needs.soc(seen)[who])
        return who[(seen.vehicle_soc[who] > keep) & (gain >= above)]

    def _asked(self, seen: Observation) -> Flags:
        """Whether each feeder has an event in the next tick that pays enough."""
        above = self._rules.respond_above_usd_per_mwh
        now = (seen.response_begin_s >= 0) & (seen.response_begin_s <= seen.time_s)
        if above is None:
            return np.zeros_like(now)
        return (
            now & (seen.response_end_s > seen.time_s) & (seen.response_offer_usd_per_mwh >= above)
        )

    def _can_wait(self, seen: Observation) -> Flags:
        lacks_soc = np.maximum(self._needs.soc(seen) - seen.vehicle_soc, 0.0)
        at = self._at(seen)
        left_s = self._needs.leaves_in_s(seen) - (
            seen.response_end_s[self._feeder[at]] - seen.time_s
        )
        return (lacks_soc == 0) | (left_s >= self._needs.charging_s(seen, lacks_soc, at))

    def _at(self, seen: Observation) -> Ints:
        """Return the station that each vehicle is at, or was sent to last."""
        return np.where(seen.vehicle_station >= 0, seen.vehicle_station, self._bound_for)


class OfferReserve(Agent):
    """Reserve trader: vehicles at two-way ports offer to hold reserve for the wear of a call.

    They want what feeding back, and charging again, would wear their packs if they were called all
    the time, so that no call is a loss, and offer as long as they have more than `feed_back_to_soc`
    of the rules and what their next trip takes. The fleet says how much that can be.
    """

    name: ClassVar[str] = "reserve_trader"

    def __init__(self, around: Surroundings, rules: Rules) -> None:
        self._rules, self._needs = rules, Needs(around, rules)
        self._two_way = around.stations.bidirectional

    def due(self, seen: Observation) -> Ints:
        """Return the vehicles at two-way ports."""
        there = self._two_way[np.maximum(seen.vehicle_station, 0)]
        return np.flatnonzero(there & (seen.vehicle_status == Status.PLUGGED)).astype(np.int32)

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Name the price of those that have charge to spare."""
        keep = np.maximum(self._rules.feed_back_to_soc, self._needs.soc(seen)[due])
        who = due[seen.vehicle_soc[due] > keep]
        wear = self._needs.wear_usd_per_mwh(seen, who)
        plan.vehicle_reserve_usd_per_mw_h[who] = np.maximum(wear, 0.0)
