"""Fitted consumption of the models."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

CURVE_FILE = Path(__file__).parent / "energy.toml"


@dataclass(frozen=True)
class EnergyCurve:
    """Net consumption as a function of the mean speed over a settlement interval.

    ``e(v) = a / v + b + c v + d v^2`` with `v` in km/h and `e` in kWh/km, `v` held within the
    range of the fit.
    """

    name: str
    """Model: that of its body type, or a brand's."""
    a_kw: float
    """Power that does not depend on speed: auxiliaries, and standing in traffic [kW]."""
    b_kwh_per_km: float
    """Constant term [kWh/km]."""
    c_kwh_h_per_km2: float
    """Linear term [kWh h/km2]."""
    d_kwh_h2_per_km3: float
    """Quadratic term, mostly air drag [kWh h2/km3]."""
    low_kmh: float
    """Least mean speed of the fit [km/h]; slower intervals use the value there."""
    high_kmh: float
    """Greatest mean speed of the fit [km/h]; faster intervals use the value there."""
    rms_kwh_per_km: float
    """RMS error of an interval of a vehicle held out of the fit [kWh/km]."""
    bias_pct: float
    """Error of the total energy of the held-out vehicles [%]."""
    worst_situation_pct: float
    """Greatest error of their total in one traffic situation (limit, signals, crowding) [%]."""

    def kwh_per_km(self, speed_kmh: ArrayLike) -> NDArray[np.float64]:
        """Return the net consumption [kWh/km] at mean speeds [km/h], any shape."""
        v = np.clip(np.asarray(speed_kmh, dtype=np.float64), self.low_kmh, self.high_kmh)
        return (
            self.a_kw / v
            + self.b_kwh_per_km
            + self.c_kwh_h_per_km2 * v
            + (self.d_kwh_h2_per_km3 * v * v)
        )


@cache
def _read() -> tuple[EnergyCurve, ...]:
    table = tomllib.loads(CURVE_FILE.read_text(encoding="utf-8"))
    return tuple(EnergyCurve(name=name, **row) for name, row in table["curve"].items())


def shipped() -> dict[str, EnergyCurve]:
    """Return the fitted consumption curves that ship, by name of the model."""
    return {curve.name: curve for curve in _read()}
