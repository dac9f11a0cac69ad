"""Published specifications of the body types."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType

_FILE = Path(__file__).parent / "specs.toml"


@dataclass(frozen=True)
class VehicleSpec:
    """One body type; see ``specs.toml`` for the source of each figure."""

    name: str
    """Name of the body type."""
    model: str
    """Real model whose figures these are."""
    chemistry: str
    """Cathode chemistry of the cells."""
    battery_kwh: float
    """Usable energy of the new battery [kWh]."""
    nominal_voltage_v: float
    """Nominal voltage of the pack [V]."""
    mass_kg: float
    """Mass with driver and load [kg]."""
    epa_kwh_per_100km: float
    """Combined consumption at the wall, charging losses included [kWh/100 km]."""
    ac_charge_kw: float
    """Most power of the on-board charger, at the plug [kW]."""
    dc_charge_kw: float
    """Most power of fast charging, into the battery [kW]."""
    motor_kw: float
    """Rated power of the motors [kW]."""
    v2g_discharge_kw: float
    """Most power fed back to the grid, at the plug [kW]."""
    length_m: float
    """Length bumper to bumper [m]."""
    frontal_area_m2: float
    """Frontal area [m2]."""
    drag_coefficient: float
    """Aerodynamic drag coefficient."""
    rolling_coefficient: float
    """Rolling resistance coefficient."""
    rotating_mass_kg: float
    """Mass equivalent of wheels, gear and rotor [kg]."""
    auxiliary_power_w: float
    """Constant draw of climate control, steering and electronics while driving [W]."""
    propulsion_efficiency: float
    """Battery to wheel."""
    recuperation_efficiency: float
    """Wheel to battery."""
    ac_charge_efficiency: float
    """Battery over wall energy through the on-board charger."""
    dc_charge_efficiency: float
    """Battery over wall energy at a fast charger."""
    tuned: tuple[str, ...] = ()
    """Fields that were tuned to `epa_kwh_per_100km` instead of published."""
    sources: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType(dict[str, str]()), hash=False
    )
    """Source of each field."""

    @property
    def epa_battery_kwh_per_100km(self) -> float:
        """Consumption behind the charger, which the traction energy is compared with."""
        return self.epa_kwh_per_100km * self.ac_charge_efficiency


@cache
def _read() -> tuple[VehicleSpec, ...]:
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    common: dict[str, str] = table.pop("common")["sources"]
    numbers = [f.name for f in fields(VehicleSpec) if f.type == "float"]
    specs: list[VehicleSpec] = []
    for name, row in table.items():
        specs.append(
            VehicleSpec(
                name=name,
                model=row["model"],
                chemistry=row["chemistry"],
                tuned=tuple(row["tuned"]),
                sources=MappingProxyType(common | row["sources"]),
                **{key: float(row[key]) for key in numbers},
            )
        )
    return tuple(specs)


def load() -> dict[str, VehicleSpec]:
    """Return the specifications by body type, in the order of ``specs.toml``."""
    return {spec.name: spec for spec in _read()}
