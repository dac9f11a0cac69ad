"""Net traction energy of vehicles from distance and mean speed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from networks.vehicles import EnergyCurve

Floats = NDArray[np.float64]


class TractionEnergy:
    """Consumption of a fleet of several body types.

    Parameters
    ----------
    curves
        One fitted curve for each body type.
    body_type
        Index into `curves` for each vehicle, shape (vehicle,).

    Notes
    -----
    ``e(v) = a / v + b + c v + d v^2`` [kWh/km] with the mean moving speed `v` [km/h] held within
    the range of the fit; see ``networks/vehicles/README.md`` for its error.
    """

    def __init__(self, curves: Sequence[EnergyCurve], body_type: NDArray[np.integer]) -> None:
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

    def kwh_per_km(self, speed_kmh: Floats) -> Floats:
        """Return the net consumption [kWh/km] of each vehicle at its mean speed [km/h]."""
        a, b, c, d, low, high = self._of_vehicle
        v = np.clip(speed_kmh, low, high)
        return a / v + b + c * v + d * v * v
