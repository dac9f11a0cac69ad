"""What vehicles need before their next trip, and what feeding back takes out of them."""

from __future__ import annotations

import numpy as np

from cosim.assets import Surroundings
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
        every = np.arange(len(seen.vehicle_soc))
        air_c = float(seen.ambient_c)
        kwh = self._vehicles.trip_kwh(every, seen.vehicle_next_km, air_c)
        return self._rules.reserve_soc + kwh / (self._battery_kwh * seen.vehicle_soh)

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
