"""Published specifications of the body types, and of the brands' models of each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType

from cosim.errors import UnknownOptionError

_FILE = Path(__file__).parent / "specs.toml"
_STANDARD = ("sedan", "suv", "van")
"""Body types of a fleet that asks for no others."""


@dataclass(frozen=True)
class VehicleSpec:
    """One model; see ``specs.toml`` for the source of each figure."""

    name: str
    """Name; that of the body type for its first model."""
    body: str
    """Body type: sedan, suv, van or bus."""
    brand: str
    """Who builds it."""
    model: str
    """Real model whose figures these are."""
    sumo_class: str
    """SUMO's vehicle class."""
    heating: str
    """How the cabin is heated: ``heat_pump`` or ``resistive``."""
    chemistry: str
    """Cathode chemistry of the cells."""
    battery_kwh: float
    """Usable energy of the new battery [kWh]."""
    nominal_voltage_v: float
    """Nominal voltage of the pack [V]."""
    mass_kg: float
    """Mass with driver and load [kg]."""
    epa_kwh_per_100km: float
    """Combined consumption at the wall, charging losses included [kWh/100 km]; of a bus, which
    has no label, the published one in urban service."""
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
                body=row.get("body", name),
                brand=row["brand"],
                model=row["model"],
                sumo_class=row.get("sumo_class", "passenger"),
                heating=row["heating"],
                chemistry=row["chemistry"],
                tuned=tuple(row["tuned"]),
                sources=MappingProxyType(common | row["sources"]),
                **{key: float(row[key]) for key in numbers},
            )
        )
    return tuple(specs)


def load() -> dict[str, VehicleSpec]:
    """Return the first model of each standard body type, in the order of ``specs.toml``.

    These are the cars and the van; `models` and `model` know the bus and further brands.
    """
    return {spec.name: spec for spec in _read() if spec.name in _STANDARD}


def models(body: str | None = None, brand: str | None = None) -> tuple[VehicleSpec, ...]:
    """Return all models in the order of ``specs.toml``, the first of a body type being its own.

    Parameters
    ----------
    body
        Only those of this body type; all if None.
    brand
        Only those of this brand; all if None.

    Raises
    ------
    UnknownOptionError
        If no model is of that body type or brand at all; the message lists what there is.
    """
    everything = _read()
    for what, wanted, known in (
        ("body type", body, {s.body: s.model for s in everything}),
        ("brand", brand, {s.brand: s.model for s in everything}),
    ):
        if wanted is not None and wanted not in known:
            raise UnknownOptionError(what, wanted, known)
    return tuple(s for s in everything if body in (None, s.body) and brand in (None, s.brand))


def model(body: str, brand: str | None = None) -> VehicleSpec:
    """Return the model of a body type by a brand; without a brand the body type's own.

    Raises
    ------
    UnknownOptionError
        If there is no such body type, or the brand builds none; the message lists who does.
    """
    of_body = models(body)
    found = [s for s in of_body if brand in (None, s.brand)]
    if not found:
        raise UnknownOptionError(
            f"brand of {body}", brand or "", {s.brand: s.model for s in of_body}
        )
    return found[0]


def by_brand(body: str, shares: Mapping[str, float]) -> dict[str, float]:
    """Return how a body type divides among its models, given the shares of the brands.

    Parameters
    ----------
    body
        Body type.
    shares
        Weight of each brand, in any unit; a brand that is not named has none.

    Returns
    -------
    dict
        Share of each model by name, of sum 1. Brands that build no such body are left out; if
        none of the brands does, or none is named, all vehicles are the body type's own model.

    Raises
    ------
    UnknownOptionError
        If a brand builds nothing at all, or there is no such body type.
    ValueError
        If a weight is negative or not finite.
    """
    for brand, share in shares.items():
        models(brand=brand)
        if not 0 <= share < float("inf"):
            raise ValueError(f"share of {brand} must be finite and not negative, not {share}")
    weights = {s.name: float(shares.get(s.brand, 0.0)) for s in models(body)}
    total = sum(weights.values())
    if not total:
        return {model(body).name: 1.0}
    return {name: weight / total for name, weight in weights.items() if weight}
