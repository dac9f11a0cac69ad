"""Charging at stations: who holds a port, and how much power may be asked for there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosim.assets import Assets
from cosim.plugs import Plugs
from cosim.signals import TICKS_PER_HOUR
from cosim.team import Flags, Floats, Ints

RESERVE_SHARE = 0.5
"""Share of the energy above the reserve that one tick may feed back.

It is counted at the pack's energy when new. A nearly empty pack loses more charge for the same
energy, and the more the older and colder it is: a quarter more in the cell model at 20 years and
-20 degC. Half leaves room for that, so the reserve holds.
"""


@dataclass(frozen=True)
class PortLimits:
    """What a plugged-in vehicle may ask for; arrays have shape (vehicle,)."""

    limit_kw: Floats
    """Most it may draw, grid side."""
    floor_kw: Floats
    """Most it may feed back, grid side, negative or 0."""
    efficiency: Floats
    """DC over AC energy while charging, feeding back loses the same share; 1 where unplugged."""


class Chargers:
    """Ports, plug limits and set points of the stations.

    Parameters
    ----------
    assets
        Static tables of the scenario.
    reserve_soc
        State of charge below which no battery feeds back.
    """

    def __init__(self, assets: Assets, reserve_soc: float) -> None:
        stations, vehicles = assets.stations, assets.vehicles
        self._stations = stations
        self.ports = stations.ports
        self._plugs = Plugs(vehicles, stations)
        self._every = np.arange(len(vehicles.ids))
        self._v2g_kw = vehicles.per_vehicle("v2g_discharge_kw")
        self._reserve_soc = reserve_soc
        self._battery_kwh = vehicles.per_vehicle("battery_kwh")

    def limits(self, station: Ints) -> PortLimits:
        """Return the limits of every vehicle, given the station whose port it holds (-1: none)."""
        stations = self._stations
        plugged = station >= 0
        at = np.where(plugged, station, 0)
        most_kw, charger = self._plugs.limits(self._every, at)
        efficiency = np.where(plugged, charger, 1.0)
        limit_kw = np.where(plugged, most_kw, 0.0)
        feed_kw = np.minimum(stations.port_kw[at], self._v2g_kw)
        floor_kw = np.where(plugged & stations.bidirectional[at], -feed_kw, 0.0)
        return PortLimits(limit_kw, floor_kw, efficiency)

    def ask(
        self,
        at_port: PortLimits,
        set_point_kw: Floats,
        target_soc: Floats,
        soc: Floats,
        charge_limit_kw: Floats,
        discharge_limit_kw: Floats,
    ) -> Floats:
        """Return the power to ask for, grid side [kW], shape (vehicle,).

        The set point, held within the port's limits, what the battery can sustain through the
        tick, the energy that is missing to the target, and the energy above the reserve.
        """
        limits = at_port, target_soc, soc, charge_limit_kw, discharge_limit_kw
        return np.clip(set_point_kw, *self.reach(*limits))

    def reach(
        self,
        at_port: PortLimits,
        target_soc: Floats,
        soc: Floats,
        charge_limit_kw: Floats,
        discharge_limit_kw: Floats,
        times_an_hour: float = TICKS_PER_HOUR,
    ) -> tuple[Floats, Floats]:
        """Return the least and the most power to ask for, grid side [kW], shape (vehicle,).

        What is fed back is so little that the energy above the reserve lasts for an hour over
        `times_an_hour`.
        """
        efficiency = at_port.efficiency
        missing_kwh = np.maximum(target_soc - soc, 0.0) * self._battery_kwh
        most_kw = np.minimum(charge_limit_kw, missing_kwh * TICKS_PER_HOUR) / efficiency
        spare_kwh = RESERVE_SHARE * np.maximum(soc - self._reserve_soc, 0.0) * self._battery_kwh
        least_kw = -np.minimum(discharge_limit_kw, spare_kwh * times_an_hour) * efficiency
        least_kw = np.maximum(at_port.floor_kw, np.minimum(least_kw, 0.0))
        return least_kw, np.minimum(at_port.limit_kw, np.maximum(most_kw, 0.0))

    def share(
        self,
        holds: Ints,
        asked_kw: Floats,
        draw_withheld: Floats | float = 0.0,
        feed_withheld: Floats | float = 0.0,
    ) -> Floats:
        """Return the power of each vehicle within what its station and its site can carry [kW].

        What a station or a site cannot carry is taken from all its vehicles in proportion to what
        they ask for, separately for what they draw and what they feed back.

        Parameters
        ----------
        holds
            Station whose port each vehicle holds, -1 for none, shape (vehicle,).
        asked_kw
            Power within the limits of port and vehicle, 0 without a port, shape (vehicle,) [kW].
        draw_withheld, feed_withheld
            Share of its rating that each station may not draw, or feed back, shape (station,) [1].
        """
        stations = self._stations
        at = np.where(holds >= 0, holds, 0)
        site = stations.site[at]
        drawn_kw, fed_kw = np.maximum(asked_kw, 0.0), np.maximum(-asked_kw, 0.0)
        for one_way, withheld in ((drawn_kw, draw_withheld), (fed_kw, feed_withheld)):
            one_way *= _within(at, one_way, stations.rating_kw * (1 - withheld))
            one_way *= _within(site, one_way, stations.site_kw)
        return drawn_kw - fed_kw

    def free(self, holds: Ints, promised: Ints) -> Ints:
        """Return the ports of each station that are neither held nor promised."""
        count = len(self.ports)
        used = np.bincount(holds[holds >= 0], minlength=count)
        coming = np.bincount(promised[promised >= 0], minlength=count)
        return np.maximum(self.ports - used - coming, 0).astype(np.int32)

    def admit(self, waiting: Flags, station: Ints, since_s: Floats, holds: Ints) -> Ints:
        """Return the waiting vehicles that get a port now, first come first served.

        Parameters
        ----------
        waiting
            Vehicles in a queue, shape (vehicle,).
        station
            Station of each vehicle.
        since_s
            When each began to wait [s]; equal times go by vehicle.
        holds
            Station whose port each vehicle holds, -1 for none.
        """
        queue = np.flatnonzero(waiting)
        if not queue.size:
            return queue.astype(np.int32)
        order = queue[np.lexsort((queue, since_s[queue], station[queue]))]
        at = station[order]
        first = np.searchsorted(at, at, side="left")
        rank = np.arange(len(order)) - first
        return order[rank < self.free(holds, np.empty(0, dtype=np.int32))[at]].astype(np.int32)


def _within(place: Ints, power_kw: Floats, most_kw: Floats) -> Floats:
    """Return the share of its power that each vehicle keeps so that no place carries too much."""
    total_kw = np.bincount(place, power_kw, minlength=len(most_kw))
    over = total_kw > most_kw
    share = np.divide(most_kw, total_kw, out=np.ones_like(total_kw), where=over)
    return share[place]
