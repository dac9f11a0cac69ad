"""The rule-based team: the nearest vehicle drives, a low battery goes to charge."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from cosim.assets import Assets
from cosim.scenario import Rules, Scenario
from cosim.team import Agent, Flags, Floats, Ints, Observation, Plan, RequestStatus, Status, Team

CONSUMPTION_MARGIN = 1.15
"""Allowance over the EPA combined consumption when a trip's energy is estimated."""


class NearestVehicle(Agent):
    """Dispatcher: each open request, oldest first, gets the nearest vehicle that can make it.

    A vehicle can make a trip if it reaches the pick-up by the deadline on an empty road, and if
    it would end with at least the reserve, by its EPA combined consumption with a margin, over
    the deadhead and the trip.
    """

    name: ClassVar[str] = "fleet_dispatcher"

    def __init__(self, assets: Assets, rules: Rules) -> None:
        self._roads = assets.roads
        self._battery_kwh = assets.vehicles.per_vehicle("battery_kwh")
        self._kwh_per_km = kwh_per_km(assets)
        self._rules = rules

    def due(self, seen: Observation) -> Ints:
        """Return the open requests."""
        return np.flatnonzero(seen.request_status == RequestStatus.OPEN).astype(np.int32)

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Assign vehicles to requests, by deadline."""
        # A vehicle with a low battery waits for the charging scheduler.
        fit = seen.vehicle_soc >= self._rules.plug_in_below_soc
        free = np.flatnonzero(seen.idle & fit & ~plan.taken)
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
            cost_km = np.where(able, deadhead_km[:, column], np.inf)
            best = int(np.argmin(cost_km))
            if np.isfinite(cost_km[best]):
                plan.request_vehicle[request] = free[best]
                spare_kwh[best] = -np.inf


class ChargeWhenLow(Agent):
    """Charging scheduler: below a threshold to the nearest free port, then charge at once.

    Of ports at the same distance the fastest is taken.
    """

    name: ClassVar[str] = "charging_scheduler"
    every_ticks: ClassVar[int] = 3

    def __init__(self, assets: Assets, rules: Rules) -> None:
        self._roads = assets.roads
        self._station_edge = assets.stations.edge
        self._port_kw = assets.stations.per_station("port_kw")
        self._rules = rules

    def due(self, seen: Observation) -> Ints:
        """Return the idle vehicles with a low battery and those at a station, lowest first."""
        low = seen.idle & (seen.vehicle_soc < self._rules.plug_in_below_soc)
        vehicles = np.flatnonzero(low | _at_station(seen))
        return vehicles[np.argsort(seen.vehicle_soc[vehicles], kind="stable")].astype(np.int32)

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Send vehicles to ports and set full power up to the target."""
        plan.vehicle_charge_kw[due] = self._port_kw.max()
        plan.vehicle_target_soc[due] = self._rules.charge_to_soc
        due = due[~_at_station(seen)[due]]
        free_ports = seen.station_free_ports.copy()
        distance_km = self._roads.distance_km(seen.vehicle_edge[due], self._station_edge)
        # A metre a kilowatt only breaks ties; distances on the map differ by more.
        cost = distance_km - 1e-3 * self._port_kw
        taken = plan.taken
        for row, vehicle in enumerate(due):
            if taken[vehicle]:
                continue
            open_cost = np.where(free_ports > 0, cost[row], np.inf)
            station = int(np.argmin(open_cost))
            if not np.isfinite(open_cost[station]):
                continue
            free_ports[station] -= 1
            plan.vehicle_goto_station[vehicle] = station


def _at_station(seen: Observation) -> Flags:
    return np.isin(seen.vehicle_status, (Status.QUEUED, Status.PLUGGED, Status.TOWED))


def kwh_per_km(assets: Assets) -> Floats:
    """Return a cautious consumption of every vehicle [kWh/km], shape (vehicle,)."""
    return CONSUMPTION_MARGIN * assets.vehicles.per_vehicle("epa_kwh_per_100km") / 100


def team(scenario: Scenario, assets: Assets) -> Team:
    """Return the rule-based team of `scenario`."""
    return Team((ChargeWhenLow(assets, scenario.rules), NearestVehicle(assets, scenario.rules)))
