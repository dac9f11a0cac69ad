"""The rule-based team: the nearest vehicle drives, a low battery goes to charge."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from adapters.agents.bid_rules import BidByUrgency
from adapters.agents.charge_rules import ChargeWhenLow
from adapters.agents.route_rules import LeastEnergyWay
from adapters.agents.service_rules import AnswerEvents, OfferReserve
from cosim.assets import Surroundings
from cosim.scenario import Rules, Scenario
from cosim.team import Agent, Ints, Observation, Plan, RequestStatus, Team


class NearestVehicle(Agent):
    """Dispatcher: each open request, oldest first, gets the nearest vehicle that can make it.

    A vehicle can make a trip if it reaches the pick-up by the deadline on an empty road, and if
    it would end with at least the reserve, by its EPA combined consumption with a margin, over
    the deadhead and the trip.
    """

    name: ClassVar[str] = "fleet_dispatcher"

    def __init__(self, around: Surroundings, rules: Rules) -> None:
        self._roads = around.roads
        self._battery_kwh = around.vehicles.per_vehicle("battery_kwh")
        self._kwh_per_km = around.vehicles.cautious_kwh_per_km
        self._segment = around.vehicles.segment
        self._rules = rules

    def due(self, seen: Observation) -> Ints:
        """Return the open requests."""
        return np.flatnonzero(seen.request_status == RequestStatus.OPEN).astype(np.int32)

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Assign vehicles to requests, by deadline."""
        # A vehicle with a low battery waits for the charging scheduler.
        fit = seen.vehicle_soc >= self._rules.plug_in_below_soc
        asked = np.isin(self._segment, seen.request_segment[due])
        free = np.flatnonzero(seen.idle & fit & ~plan.taken & asked)
        if not free.size:
            return
        order = due[np.argsort(seen.request_deadline_s[due], kind="stable")]
        origin, destination = seen.request_origin_edge, seen.request_destination_edge
        deadhead_km = self._roads.distance_km(seen.vehicle_edge[free], origin[order])
        spare_kwh = (
            (seen.vehicle_soc[free] - self._rules.reserve_soc)
            * self._battery_kwh[free]
            * seen.vehicle_soh[free]
        )
        pick_up_s = seen.time_s + self._roads.travel_time_s(seen.vehicle_edge[free], origin[order])
        in_time = pick_up_s <= seen.request_deadline_s[order]
        trip_km = np.diagonal(self._roads.distance_km(origin[order], destination[order]))
        for column, request in enumerate(order):
            need_kwh = (deadhead_km[:, column] + trip_km[column]) * self._kwh_per_km[free]
            able = (need_kwh <= spare_kwh) & in_time[:, column]
            able &= self._segment[free] == seen.request_segment[request]
            cost_km = np.where(able, deadhead_km[:, column], np.inf)
            best = int(np.argmin(cost_km))
            if np.isfinite(cost_km[best]):
                plan.request_vehicle[request] = free[best]
                spare_kwh[best] = -np.inf


def team(scenario: Scenario, around: Surroundings) -> Team:
    """Return the rule-based team of `scenario`."""
    rules = scenario.rules
    market = scenario.market
    reserve = market.reserve.requirement_kw + market.reserve.extended_kw > 0
    seats: list[Agent] = [ChargeWhenLow(around, rules, stays_full=reserve)]
    if market.demand_response or market.demand_response_calls.per_day:
        seats.append(AnswerEvents(around, rules))
    if reserve:
        seats.append(OfferReserve(around, rules))
    if market.bids == "on":
        seats.append(BidByUrgency(around, rules, market.value_of_lost_load_usd_per_mwh))
    seats.append(NearestVehicle(around, rules))
    if rules.route == "least_energy":
        seats.append(LeastEnergyWay(scenario, around))
    return Team(tuple(seats))
