"""Power of cabin heating and cooling by ambient temperature."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from networks.vehicles.specs import VehicleSpec

MILD_C = 20.0
"""Ambient temperature without heating or cooling, to which the consumption curves belong [C]."""
_FILE = Path(__file__).parent / "climate.toml"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClimateLoad:
    """What heating and cooling of a model take; see ``climate.toml`` for the sources.

    Notes
    -----
    Heat demand is proportional to the distance of the ambient temperature from the comfort band
    and limited by the heater; a heat pump draws it divided by its coefficient of performance.
    Losses of a cold battery, of cold tyres and of denser air are not in it.
    """

    low_c: float
    """Heated below this ambient temperature [C]."""
    high_c: float
    """Cooled above this ambient temperature [C]."""
    heating_w_per_k: float
    """Heat for each kelvin below `low_c` [W/K]."""
    heater_max_kw: float
    """Most heat [kW]."""
    cooling_w_per_k: float
    """Electric power for each kelvin above `high_c` [W/K]."""
    cooling_max_kw: float
    """Most electric power of cooling [kW]."""
    cop_c: tuple[float, ...]
    """Ambient temperatures of `cop`, ascending [C]."""
    cop: tuple[float, ...]
    """Heat over electric power there; 1 of a resistive heater."""

    def power_kw(self, ambient_c: ArrayLike) -> Floats:
        """Return the electric power [kW] at ambient temperatures [C], any shape."""
        air = np.asarray(ambient_c, dtype=np.float64)
        heat = np.minimum(self.heating_w_per_k / 1000 * (self.low_c - air), self.heater_max_kw)
        cold = np.minimum(self.cooling_w_per_k / 1000 * (air - self.high_c), self.cooling_max_kw)
        return np.maximum(heat, 0.0) / np.interp(air, self.cop_c, self.cop) + np.maximum(cold, 0.0)


@cache
def _read() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def climate_load(spec: VehicleSpec) -> ClimateLoad:
    """Return the heating and cooling of a model: its body type's, with its own kind of heater."""
    table = _read()
    body, pump = table["body"][spec.body], table["heat_pump"]
    is_pump = spec.heating == "heat_pump"
    return ClimateLoad(
        low_c=table["comfort"]["low_c"],
        high_c=table["comfort"]["high_c"],
        heating_w_per_k=body["heating_w_per_k"],
        heater_max_kw=body["heater_max_kw"],
        cooling_w_per_k=body["cooling_w_per_k"],
        cooling_max_kw=body["cooling_max_kw"],
        cop_c=tuple(pump["ambient_c"]) if is_pump else (MILD_C,),
        cop=tuple(pump["cop"]) if is_pump else (1.0,),
    )
