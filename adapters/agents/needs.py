"""What vehicles need before their next trip, and what feeding back takes out of them."""

from __future__ import annotations

import numpy as np

from cosim.assets import Surroundings
from cosim.plugs import Plugs
from cosim.scenario import Rules
from cosim.team import Floats, Ints, Observation

LEAST_KW = 0.1
"""A pack that takes less, in the cold, is reckoned with as if it took this [kW]."""


class Needs:
    """Needs of vehicles by cautious reckoning.

    Parameters
    ----------
    around
        Vehicles and stations.
    rules
        What the team goes by.
    """

    def __init__(self, around: Surroundings, rules: Rules) -> None:
        vehicles, stations = around.vehicles, around.stations
        self._vehicles, self._stations, self._rules = vehicles, stations, rules
        self._plugs, self._every = Plugs(vehicles, stations), np.arange(len(vehicles.ids))
        self._battery_kwh = vehicles.per_vehicle("battery_kwh")
        self._v2g_kw = vehicles.per_vehicle("v2g_discharge_kw")
        # Two-way ports give direct current.
        self._efficiency = vehicles.per_vehicle("dc_charge_efficiency")

    def leaves_in_s(self, seen: Observation) -> Floats:
        """Return the time to the next own trip; inf without one, negative if it is overdue [s]."""
        departure_s = seen.vehicle_next_departure_s
        return np.where(departure_s >= 0, departure_s - seen.time_s, np.inf)

    def soc(self, seen: Observation) -> Floats:
        """Return the state of charge that the next trip, or the rest of the tour, takes."""
        air_c = float(seen.ambient_c)
        kwh = self._vehicles.trip_kwh(self._every, seen.vehicle_next_km, air_c)
        return self._rules.reserve_soc + kwh / (self._battery_kwh * seen.vehicle_soh)

    def charging_s(self, seen: Observation, missing_soc: Floats, station: Ints) -> Floats:
        """Return how long charging at full power takes, shape (vehicle,) [s].

        Parameters
        ----------
        seen
            What the team sees.
        missing_soc
            What is to be charged, shape (vehicle,).
        station
            Where, shape (vehicle,).
        """
        port_kw, efficiency = self._plugs.limits(self._every, station)
        into_pack_kw = np.minimum(port_kw * efficiency, seen.vehicle_charge_limit_kw)
        missing_kwh = missing_soc * self._battery_kwh * seen.vehicle_soh
        return 3600 * missing_kwh / np.maximum(into_pack_kw, LEAST_KW)

    def wear_usd_per_mwh(self, seen: Observation, who: Ints) -> Floats:
        """Return what a megawatt-hour fed back at the plug, and charged again, wears the packs.

        Parameters
        ----------
        seen
            What the team sees.
        who
            Vehicles at two-way ports, shape (n,).
        """
        efficiency = self._efficiency[who]
        port_kw = self._stations.port_kw[seen.vehicle_station[who]]
        power_kw = np.minimum(port_kw, self._v2g_kw[who]) / efficiency
        c_rate = power_kw / self._battery_kwh[who]
        usd_per_kwh = seen.wear_at(who, -c_rate) + seen.wear_at(who, c_rate)
        return 1000 * usd_per_kwh / efficiency
