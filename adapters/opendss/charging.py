"""From the power of each vehicle to the power of each station and connection."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]


def station_power_kw(
    vehicle_power_kw: Floats, vehicle_station: NDArray[np.int32], stations: int
) -> Floats:
    """Power of every station.

    Parameters
    ----------
    vehicle_power_kw
        Power of each vehicle at its plug, negative where it feeds back, shape (vehicle,) [kW].
    vehicle_station
        Station of each vehicle, -1 for none, shape (vehicle,).
    stations
        Number of stations.

    Returns
    -------
    ndarray
        Shape (station,) [kW].

    Raises
    ------
    PowerFlowError
        A vehicle exchanges power without a station.
    """
    plugged = vehicle_station >= 0
    stray = np.flatnonzero(~plugged & (vehicle_power_kw != 0))
    if len(stray):
        vehicle = int(stray[0])
        raise PowerFlowError(
            f"{vehicle_power_kw[vehicle]:g} kW without a station", where=f"vehicle {vehicle}"
        )
    return np.bincount(
        vehicle_station[plugged], weights=vehicle_power_kw[plugged], minlength=stations
    ).astype(np.float64)


def station_kva_at_work(
    vehicle_power_kw: Floats, vehicle_station: NDArray[np.int32], port_kva: Floats
) -> Floats:
    """Return the rating of the ports that power flows through, by station.

    Parameters
    ----------
    vehicle_power_kw, vehicle_station
        See `station_power_kw`.
    port_kva
        Rating of a port of each station, shape (station,) [kVA].

    Returns
    -------
    ndarray
        Shape (station,) [kVA].
    """
    at = vehicle_station[vehicle_power_kw != 0]
    return np.bincount(at, minlength=len(port_kva)) * port_kva


def connection_power_kw(
    station_kw: Floats, connection_of_station: NDArray[np.int64], connections: int
) -> Floats:
    """Power of the stations of each connection, shape (connection,) [kW]."""
    power_kw = np.bincount(connection_of_station, weights=station_kw, minlength=connections)
    return power_kw.astype(np.float64)
