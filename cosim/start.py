"""How full batteries are at the start: vehicles at chargers of their own have charged there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.plugs import Plugs
from cosim.tables import Floats, StationTable, VehicleTable


def soc_at_start(
    vehicles: VehicleTable, stations: StationTable, parked_s: Floats, charge_to_soc: float
) -> Floats:
    """Return the state of charge of every vehicle at the start, shape (vehicle,).

    Parameters
    ----------
    vehicles
        Vehicles; `initial_soc` is that with which each came to where it stands.
    stations
        Stations.
    parked_s
        How long each has stood there, inf for longer than is known, shape (vehicle,) [s].
    charge_to_soc
        Charging ends here.

    Notes
    -----
    Who stands at a charger of its own has drawn the power of vehicle and port since it came, unless
    its driver plugs in below a state of charge that it was not at. Where ports or the connection of
    a site are fewer than its vehicles need, all there have had the same part.
    """
    came_soc = vehicles.initial_soc
    own = vehicles.private_station
    here = (own >= 0) & (stations.edge[np.maximum(own, 0)] == vehicles.home_edge[:, None])
    habit = vehicles.plug_in_soc
    plugged = here.any(axis=1) & ~(came_soc >= np.where(np.isnan(habit), 1.0, habit))
    who = np.flatnonzero(plugged)
    station = own[who, np.argmax(here[who], axis=1)]
    limit_kw, efficiency = Plugs(vehicles, stations).limits(who, station)
    site = stations.site[station]
    ports = np.bincount(stations.site, stations.ports, len(stations.site_kw))
    site_kw = np.minimum(stations.site_kw, _mean(site, limit_kw, len(ports)) * ports)
    part = np.minimum(1.0, site_kw[site] / np.bincount(site, limit_kw, len(ports))[site])
    kwh = limit_kw * part * efficiency * parked_s[who] / 3600
    soc = came_soc.copy()
    charged_soc = came_soc[who] + kwh / vehicles.per_vehicle("battery_kwh")[who]
    soc[who] = np.maximum(came_soc[who], np.minimum(charged_soc, charge_to_soc))
    return soc


def _mean(group: NDArray[np.integer], values: Floats, groups: int) -> Floats:
    return np.bincount(group, values, groups) / np.maximum(np.bincount(group, minlength=groups), 1)
