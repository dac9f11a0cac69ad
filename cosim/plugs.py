"""What flows between a vehicle and a port, by the limits of both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.tables import Floats, StationTable, VehicleTable

Rows = NDArray[np.integer]


class Plugs:
    """Limits of vehicles at ports.

    Parameters
    ----------
    vehicles, stations
        Static tables of a scenario.
    """

    def __init__(self, vehicles: VehicleTable, stations: StationTable) -> None:
        self._stations = stations
        self._ac_kw = vehicles.per_vehicle("ac_charge_kw")
        self._dc_kw = vehicles.per_vehicle("dc_charge_kw")
        self._ac_efficiency = vehicles.per_vehicle("ac_charge_efficiency")
        self._dc_efficiency = vehicles.per_vehicle("dc_charge_efficiency")

    def limits(self, vehicle: Rows, station: Rows) -> tuple[Floats, Floats]:
        """Return the most power that vehicles draw at stations, grid side [kW], and its efficiency.

        A DC port (DC fast, or bidirectional) is bounded by the vehicle's DC limit behind the
        charger's losses, an AC port by the vehicle's on-board charger.

        Parameters
        ----------
        vehicle, station
            Pairs, or shapes that broadcast to them.
        """
        direct, port_kw = self._stations.direct[station], self._stations.port_kw[station]
        efficiency = np.where(direct, self._dc_efficiency[vehicle], self._ac_efficiency[vehicle])
        vehicle_kw = np.where(direct, self._dc_kw[vehicle] / efficiency, self._ac_kw[vehicle])
        return np.minimum(port_kw, vehicle_kw), efficiency
