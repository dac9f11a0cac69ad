"""Reads and checks the tables of this folder."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cosim.errors import UnknownOptionError
from networks.batteries.records import (
    VERIFIED,
    AgeingPoint,
    Cell,
    Derating,
    Entropic,
    Figure,
    Law,
    Observed,
    PackPrice,
    ResistancePoint,
    VehicleChemistry,
)

_FOLDER = Path(__file__).parent
_SIDES = ("charge", "discharge")


def _checked(what: str, verified: str, source: str) -> None:
    if verified not in VERIFIED:
        raise ValueError(f"{what}: verified is {verified!r}, not one of {', '.join(VERIFIED)}")
    if not source:
        raise ValueError(f"{what}: names no source")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / name).read_text(encoding="utf-8"))


@cache
def cells() -> Mapping[str, Cell]:
    """Return the cells: ``lfp_26650`` and ``nmc_21700``."""
    found: dict[str, Cell] = {}
    for key, row in _read("cells.toml").items():
        if key == "entropic":
            continue
        figures = {name: Figure(**figure) for name, figure in row["figures"].items()}
        for name, figure in figures.items():
            _checked(f"{key}.{name}", figure.verified, figure.source)
        found[key] = Cell(row["name"], row["chemistry"], MappingProxyType(figures))
    return MappingProxyType(found)


@cache
def entropic(material: str) -> Entropic:
    """Return the entropic coefficient of an electrode material: ``lfp``.

    Raises
    ------
    UserError
        No table of this material.
    """
    table = _read("cells.toml")["entropic"]
    if material not in table:
        raise UnknownOptionError("electrode material", material, tuple(table))
    row = table[material]
    _checked(material, row["verified"], row["source"])
    at, values = tuple(map(float, row["stoichiometry"])), tuple(map(float, row["v_per_k"]))
    if len(at) != len(values) or list(at) != sorted(at):
        raise ValueError(
            f"entropic table of {material}: lithiation must ascend with one value each"
        )
    return Entropic(at, values, row["source"], row["verified"])


@cache
def ageing_laws() -> Mapping[str, Law]:
    """Return the ageing laws by name."""
    found: dict[str, Law] = {}
    for name, row in _read("ageing.toml")["law"].items():
        _checked(name, row["verified"], row["source"])
        constants = MappingProxyType({k: float(v) for k, v in row["constants"].items()})
        found[name] = Law(name=name, **(row | {"constants": constants}))
    return MappingProxyType(found)


@cache
def ageing_points() -> tuple[AgeingPoint, ...]:
    """Return the points to calibrate to: of the laws, measured, and from vehicles in the field."""
    points = tuple(AgeingPoint(**row) for row in _read("ageing.toml")["point"])
    for point in points:
        _checked(f"{point.kind} point", point.verified, point.source)
        if point.law and point.law not in ageing_laws():
            raise UnknownOptionError("ageing law", point.law, tuple(ageing_laws()))
    return points


@cache
def resistance_points() -> tuple[ResistancePoint, ...]:
    """Return the published growth of the resistance."""
    points = tuple(ResistancePoint(**row) for row in _read("ageing.toml")["resistance"])
    for point in points:
        _checked(f"resistance {point.kind} point", point.verified, point.source)
    return points


@cache
def derating(chemistry: str) -> Derating:
    """Return the power limits of a chemistry, NMC or LFP.

    Raises
    ------
    UserError
        No table of this chemistry.
    """
    table = {name: row for name, row in _read("derating.toml").items() if name != "observed"}
    if chemistry not in table:
        raise UnknownOptionError("chemistry", chemistry, tuple(table))
    row = table[chemistry]
    _checked(chemistry, row["verified"], row["charge_source"])
    curves = {side: tuple((float(t), float(s)) for t, s in row[side]) for side in _SIDES}
    for side, knots in curves.items():
        at, shares = zip(*knots, strict=True)
        if any(b <= a for a, b in pairwise(at)):
            raise ValueError(f"{side} limits of {chemistry}: temperatures must ascend")
        if min(shares) < 0 or max(shares) > 1:
            raise ValueError(f"{side} limits of {chemistry}: shares must be within 0..1")
    return Derating(chemistry=chemistry, **(row | curves))


@cache
def derating_observed() -> tuple[Observed, ...]:
    """Return what vehicles did in the cold."""
    found = tuple(Observed(**row) for row in _read("derating.toml")["observed"])
    for row in found:
        _checked(row.what, row.verified, row.source)
    return found


@cache
def pack_heat() -> Mapping[str, Figure]:
    """Return the figures of how packs in vehicles warm and cool, by name."""
    found = {name: Figure(**figure) for name, figure in _read("packs.toml")["heat"].items()}
    for name, figure in found.items():
        _checked(f"heat of packs: {name}", figure.verified, figure.source)
    return MappingProxyType(found)


@cache
def pack_prices() -> tuple[PackPrice, ...]:
    """Return the surveyed pack prices, oldest first."""
    found = tuple(PackPrice(**row) for row in _read("prices.toml")["price"])
    for row in found:
        _checked(f"price {row.year} {row.scope}", row.verified, row.source)
    return found


@cache
def vehicle_chemistries() -> Mapping[str, VehicleChemistry]:
    """Return the chemistry really in each body type's model."""
    rows = _read("vehicles.toml")
    found = {name: VehicleChemistry(**row) for name, row in rows.items()}
    for name, row in found.items():
        _checked(name, row.verified, row.source)
    return MappingProxyType(found)
