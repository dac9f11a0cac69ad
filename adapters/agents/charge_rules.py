"""Charging by rule: at one's own charger when parked, elsewhere when the battery is low."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from adapters.agents.needs import LEAST_KW, Needs
from cosim.assets import Surroundings
from cosim.plugs import Plugs
from cosim.scenario import Rules
from cosim.signals import TICK_S
from cosim.team import Agent, Flags, Floats, Ints, Observation, Plan, Status

LEAST_STOP_S = 1800.0
"""A vehicle that sets out on a trip of its own sooner than this drives to no public station [s]."""
LEAST_STAY_S = 600.0
"""A vehicle that sets out sooner than this does not plug in where it is parked [s]."""
HYSTERESIS_SOC = 0.05
"""A parked vehicle plugs in again when it is this far below where charging ends."""


class ChargeWhenLow(Agent):
    """Charging scheduler: full power at once, where a vehicle is back in service first.

    A vehicle that is parked where it has a charger of its own plugs in there: when below the state
    of charge at which its driver does, or else below where charging ends. A vehicle with a low
    battery goes to the public station from which it is back in service first, by the time of the
    way, the wait for a port and charging; of those from which it is back before its next trip it
    takes the nearest. Vehicles with trips of their own go only if there is time, or if the next
    trip already waits for the battery. Where the scenario says so, plugged-in vehicles feed back at
    prices that are high beyond what it wears their batteries, down to what they need for their next
    trip. There, or where reserve is bought (`stays_full`), full vehicles stay at their own ports.
    """

    name: ClassVar[str] = "charging_scheduler"
    every_ticks: ClassVar[int] = 3

    def __init__(self, around: Surroundings, rules: Rules, stays_full: bool = False) -> None:
        vehicles, stations = around.vehicles, around.stations
        self._roads, self._rules = around.roads, rules
        self._stays_full = stays_full or rules.feed_back_above_usd_per_mwh is not None
        self._stations, self._needs = stations, Needs(around, rules)
        self._public = np.flatnonzero(stations.public)
        self._plugs = Plugs(vehicles, stations)
        # Public stations whose ports are alike count as one sort.
        sort = np.stack([stations.direct, stations.port_kw])[:, self._public]
        _, one, alike = np.unique(sort, axis=1, return_index=True, return_inverse=True)
        self._one_of_each, self._alike = self._public[one], alike.ravel()
        self._battery_kwh = vehicles.per_vehicle("battery_kwh")
        # A driver with a habit plugs in by it, the others whenever it is worth the while.
        habit = vehicles.plug_in_soc
        self._habit_soc = np.where(np.isnan(habit), 1.0, habit)
        private = vehicles.private_station
        self._private = private
        self._private_edge = np.where(private >= 0, stations.edge[np.maximum(private, 0)], -1)

    def due(self, seen: Observation) -> Ints:
        """Return the vehicles at stations and those that should go to one, lowest first."""
        vehicles = np.flatnonzero(_at_station(seen) | self._at_own(seen) | self._low(seen))
        return vehicles[np.argsort(seen.vehicle_soc[vehicles], kind="stable")].astype(np.int32)

    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Send vehicles to ports and set full power up to the target."""
        plan.vehicle_charge_kw[due] = self._stations.port_kw.max()
        plan.vehicle_target_soc[due] = self._target_soc(seen)[due]
        self._feed_back(seen, due, plan)
        due = due[~_at_station(seen)[due] & ~plan.taken[due]]
        parked = self._at_own(seen)[due]
        self._plug_in_parked(seen, due[parked], plan)
        self._send_to_public(seen, due[~parked], plan)

    # --- who

    def _target_soc(self, seen: Observation) -> Floats:
        """Return where charging ends: further up where a long tour needs it."""
        return np.clip(self._needs.soc(seen), self._rules.charge_to_soc, 1.0)

    def _at_own(self, seen: Observation) -> Flags:
        there = (self._private_edge == seen.vehicle_edge[:, None]).any(axis=1)
        leaves_s = self._needs.leaves_in_s(seen)
        stays = (leaves_s >= LEAST_STAY_S) | (leaves_s < -TICK_S)
        low = np.minimum(self._habit_soc, self._target_soc(seen) - HYSTERESIS_SOC)
        return seen.idle & there & stays & (seen.vehicle_soc < low)

    def _low(self, seen: Observation) -> Flags:
        leaves_s = self._needs.leaves_in_s(seen)
        # One that should have left by now lacks the charge for it.
        waits = (leaves_s < -TICK_S) & (seen.vehicle_status == Status.IDLE)
        low = seen.vehicle_soc < self._rules.plug_in_below_soc
        return seen.idle & ((low & (leaves_s >= LEAST_STOP_S)) | waits)

    # --- where

    def _plug_in_parked(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Send vehicles to a charger of their own where they stand; several take turns."""
        here = self._private_edge[due] == seen.vehicle_edge[due][:, None]
        turn = due % np.maximum(here.sum(axis=1), 1)
        column = np.argmax(np.cumsum(here, axis=1) > turn[:, None], axis=1)
        plan.vehicle_goto_station[due] = self._private[due, column]

    def _send_to_public(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Send vehicles, one after the other, to where each is back in service first.

        Wanted back is a vehicle for its next own trip, at once where none is known: a customer may
        ask. Of those who wait at a station and those who were sent there just now, each is taken to
        charge as long as the vehicle itself would.
        """
        public = self._public
        way_s = self._roads.travel_time_s(seen.vehicle_edge[due], self._stations.edge[public])
        charging_s = self._charging_s(seen, due)
        leaves_s = self._needs.leaves_in_s(seen)[due]
        spare_s = np.where(np.isfinite(leaves_s), np.maximum(leaves_s, 0.0), 0.0)
        ports = self._stations.ports[public]
        ahead = (seen.station_queue - seen.station_free_ports)[public] + 1
        for row, vehicle in enumerate(due.tolist()):
            late_s = way_s[row] + (charging_s[row] - spare_s[row])[self._alike]
            full = np.flatnonzero(ahead > 0)
            late_s[full] += charging_s[row, self._alike[full]] * ahead[full] / ports[full]
            # A second an hour of the way breaks ties, of all that are early enough for example.
            best = int(np.argmin(np.maximum(late_s, 0.0) + way_s[row] / 3600))
            if np.isfinite(late_s[best]):
                ahead[best] += 1
                plan.vehicle_goto_station[vehicle] = public[best]

    def _charging_s(self, seen: Observation, due: Ints) -> Floats:
        """Return how long vehicles charge at ports of each sort, shape (vehicle, sort) [s]."""
        port_kw, efficiency = self._plugs.limits(due[:, None], self._one_of_each)
        into_pack_kw = np.minimum(port_kw * efficiency, seen.vehicle_charge_limit_kw[due, None])
        missing_soc = np.maximum(self._target_soc(seen) - seen.vehicle_soc, 0.0)[due]
        missing_kwh = missing_soc * self._battery_kwh[due] * seen.vehicle_soh[due]
        return 3600 * missing_kwh[:, None] / np.maximum(into_pack_kw, LEAST_KW)

    # --- feeding back

    def _feed_back(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Let vehicles at two-way ports feed back while the price is high, else hold them full."""
        above = self._rules.feed_back_above_usd_per_mwh
        station = seen.vehicle_station[due]
        both_ways = (station >= 0) & self._stations.bidirectional[np.maximum(station, 0)]
        who = due[both_ways]
        if not self._stays_full or not who.size:
            return
        keep = np.maximum(self._rules.feed_back_to_soc, self._needs.soc(seen)[who])
        price = seen.station_price_usd_per_mwh[station[both_ways]]
        gain = price - self._needs.wear_usd_per_mwh(seen, who)
        feeds = (seen.vehicle_soc[who] > keep) & (gain >= (np.inf if above is None else above))
        plan.vehicle_charge_kw[who[feeds]] = -self._stations.port_kw[station[both_ways][feeds]]
        who = who[~feeds]
        # A full one stays at a port of its own that nobody waits for, for the next high price or
        # to hold reserve.
        port = seen.vehicle_station[who]
        who = who[~self._stations.public[port] & (seen.station_queue[port] == 0)]
        full = seen.vehicle_soc[who] >= self._rules.charge_to_soc - HYSTERESIS_SOC
        plan.vehicle_charge_kw[who[full]] = 0.0
        plan.vehicle_target_soc[who] = 1.0


def _at_station(seen: Observation) -> Flags:
    return np.isin(seen.vehicle_status, (Status.QUEUED, Status.PLUGGED, Status.TOWED))
