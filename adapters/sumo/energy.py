"""Net traction energy of vehicles from distance, mean speed and ambient temperature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from networks.vehicles import MILD_C, ClimateLoad, EnergyCurve

Floats = NDArray[np.float64]


class TractionEnergy:
    """Consumption of a fleet of several body types.

    Parameters
    ----------
    curves
        One fitted curve for each body type.
    body_type
        Index into `curves` for each vehicle, shape (vehicle,).
    climates
        Heating and cooling of each body type; without them the weather costs nothing.

    Notes
    -----
    ``e(v) = a / v + b + c v + d v^2`` [kWh/km] with the mean moving speed `v` [km/h] held within
    the range of the fit; see ``networks/vehicles/README.md`` for its error. Heating and cooling
    come on top as a power for as long as the vehicle is under way.

    Raises
    ------
    ValueError
        If there are climates, but not one for each curve.
    """

    def __init__(
        self,
        curves: Sequence[EnergyCurve],
        body_type: NDArray[np.integer],
        climates: Sequence[ClimateLoad] = (),
    ) -> None:
        if climates and len(climates) != len(curves):
            raise ValueError(f"{len(curves)} body types need as many climates, not {len(climates)}")
        table = np.array(
            [
                (
                    c.a_kw,
                    c.b_kwh_per_km,
                    c.c_kwh_h_per_km2,
                    c.d_kwh_h2_per_km3,
                    c.low_kmh,
                    c.high_kmh,
                )
                for c in curves
            ],
            np.float64,
        )
        self._of_vehicle = table[body_type].T.copy()
        self._climates = [
            (climate, np.flatnonzero(body_type == i)) for i, climate in enumerate(climates)
        ]

    def kwh_per_km(self, speed_kmh: Floats, ambient_c: Floats | float = MILD_C) -> Floats:
        """Return the net consumption of each vehicle [kWh/km], heating and cooling included.

        Parameters
        ----------
        speed_kmh
            Mean moving speed, shape (vehicle,) [km/h]. Of a vehicle that did not move it is 0
            and its heating is not in the result, which is for a distance: see `climate_kwh`.
        ambient_c
            Ambient temperature, one or shape (vehicle,) [C].
        """
        a, b, c, d, low, high = self._of_vehicle
        v = np.clip(speed_kmh, low, high)
        moving = a / v + b + c * v + d * v * v
        climate_kw = self.climate_kw(ambient_c)
        if not climate_kw.any():
            return moving
        return moving + np.divide(
            climate_kw, speed_kmh, out=np.zeros_like(climate_kw), where=speed_kmh > 0
        )

    def climate_kw(self, ambient_c: Floats | float) -> Floats:
        """Return the power of heating and cooling of each vehicle under way [kW].

        Parameters
        ----------
        ambient_c
            Ambient temperature, one or shape (vehicle,) [C].
        """
        air = np.broadcast_to(np.asarray(ambient_c, np.float64), self._of_vehicle.shape[1:])
        power_kw = np.zeros(air.shape)
        for climate, rows in self._climates:
            power_kw[rows] = climate.power_kw(air[rows])
        return power_kw

    def climate_kwh(self, driving_s: Floats, ambient_c: Floats | float) -> Floats:
        """Return the energy of heating and cooling over a time under way [kWh].

        Parameters
        ----------
        driving_s
            Time under way, standing in traffic included, shape (vehicle,) [s].
        ambient_c
            Ambient temperature, one or shape (vehicle,) [C].
        """
        return self.climate_kw(ambient_c) * driving_s / 3600.0
