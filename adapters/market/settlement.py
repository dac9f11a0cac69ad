"""What every vehicle pays for the energy of a settlement interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.errors import MarketError
from cosim.signals import TICK_HOURS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bill:
    """Energy and cost of an interval."""

    billed_kwh: Floats
    """Energy of each vehicle, negative if it fed back, shape (vehicle,) [kWh]."""
    cost_usd: Floats
    """What each vehicle pays, negative if it is paid, shape (vehicle,) [USD]."""
    total_kwh: float
    total_usd: float


def settle(vehicle_power_kw: Floats, price_usd_per_mwh: float) -> Bill:
    """Bill the energy of one settlement interval at one price.

    Parameters
    ----------
    vehicle_power_kw
        Mean power of each vehicle at its plug, grid side, shape (vehicle,) [kW].
    price_usd_per_mwh
        Price of the interval.

    Raises
    ------
    MarketError
        A power or the price is not finite.
    """
    power_kw = np.asarray(vehicle_power_kw, dtype=float)
    bad = np.flatnonzero(~np.isfinite(power_kw))
    if len(bad):
        raise MarketError(f"power to bill is {power_kw[bad[0]]}", where=f"vehicle {int(bad[0])}")
    if not np.isfinite(price_usd_per_mwh):
        raise MarketError(f"price to bill at is {price_usd_per_mwh}")
    billed_kwh = power_kw * TICK_HOURS
    cost_usd = billed_kwh * (price_usd_per_mwh / 1000)
    return Bill(billed_kwh, cost_usd, float(billed_kwh.sum()), float(cost_usd.sum()))
