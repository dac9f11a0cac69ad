"""Static tables over the vehicles and the stations of a scenario."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from networks.vehicles import VehicleSpec, climate_load

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]
CONSUMPTION_MARGIN = 1.15
"""Allowance over the EPA combined consumption when a trip's energy is estimated."""
SLOW_KMH = 25.0
"""Speed at which heating and cooling are reckoned for a trip [km/h]."""


@dataclass(frozen=True)
class VehicleTable:
    """Vehicles of the fleet, those of a segment side by side; arrays have shape (vehicle,)."""

    ids: tuple[str, ...]
    specs: tuple[VehicleSpec, ...]
    """Specification of each model that is there."""
    model: NDArray[np.int8]
    """Index into `specs`."""
    segments: tuple[str, ...]
    """Segments that have vehicles."""
    segment: NDArray[np.int8]
    """Index into `segments`."""
    home_edge: Ints
    """Edge where the vehicle stands at the start."""
    initial_soc: Floats
    """State of charge at the start."""
    plug_in_soc: Floats
    """State of charge below which the driver plugs in; NaN where that is the team's to say."""
    private_station: Ints
    """Stations that are not public and that the vehicle may use, padded with -1, shape
    (vehicle, place)."""

    def per_vehicle(self, field: str) -> Floats:
        """Return the field of the specification for every vehicle."""
        return np.array([float(getattr(spec, field)) for spec in self.specs])[self.model]

    @property
    def cautious_kwh_per_km(self) -> Floats:
        """Consumption that plans reckon with: EPA combined, at the wall, and a margin [kWh/km]."""
        return CONSUMPTION_MARGIN * self.per_vehicle("epa_kwh_per_100km") / 100

    def trip_kwh(self, vehicles: NDArray[np.integer], km: Floats, ambient_c: float) -> Floats:
        """Return what trips of vehicles take by a cautious reckoning, heating included [kWh].

        Parameters
        ----------
        vehicles
            Vehicle of each trip.
        km
            Length of each trip [km].
        ambient_c
            Ambient temperature [degC].
        """
        air_c = np.array([ambient_c])
        climate_kw = np.array([climate_load(spec).power_kw(air_c)[0] for spec in self.specs])
        per_km = self.cautious_kwh_per_km + climate_kw[self.model] / SLOW_KMH
        return km * per_km[vehicles]

    def may_use(self, vehicle: NDArray[np.integer], station: NDArray[np.integer]) -> Flags:
        """Whether stations that are not public are open to vehicles, pair by pair."""
        return (self.private_station[vehicle] == station[:, None]).any(axis=1)


@dataclass(frozen=True)
class StationTable:
    """Charging stations, public ones first; arrays have shape (station,)."""

    ids: tuple[str, ...]
    kinds: tuple[str, ...]
    """Kinds of public stations, and the access of those that are not: home, depot, work."""
    kind: NDArray[np.int8]
    """Index into `kinds`."""
    public: Flags
    """Whether every vehicle may use it; see `VehicleTable.private_station` for the others."""
    edge: Ints
    """Edge at whose end the station stands."""
    ports: Ints
    """Vehicles that can charge at once."""
    port_kw: Floats
    """Most AC power of a port [kW]."""
    rating_kw: Floats
    """Most AC power of the station, all ports together [kW]."""
    three_phase: Flags
    """Whether it needs a three-phase supply."""
    direct: Flags
    """Whether its ports give direct current, past the vehicle's own charger."""
    bidirectional: Flags
    """Whether it can feed back."""
    site: Ints
    """Site that the station belongs to: stations of one access at one place."""
    site_ids: tuple[str, ...]
    """Names of the sites, such as ``depot at 12``."""
    site_kw: Floats
    """Most AC power of each site, shape (site,) [kW]."""
    feeder: Ints
    """Feeder that supplies the station, from 0; see `cosim.areas`."""

    def site_power_kw(self, station_kw: Floats) -> Floats:
        """Return the power of every site, shape (site,) [kW]."""
        return np.bincount(self.site, station_kw, len(self.site_kw)).astype(np.float64)
