"""What one row of each table of this folder is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cosim.errors import UnknownOptionError

VERIFIED = ("source", "secondary", "memory", "computed", "choice")
"""How a figure was checked: read in the source, read in another text, from memory and not checked,
worked out here, or our decision."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """One published number."""

    value: float
    """Value in `unit`."""
    unit: str
    """Unit."""
    source: str
    """Paper, report or data sheet."""
    verified: str
    """One of `VERIFIED`."""


@dataclass(frozen=True)
class Cell:
    """Figures of one cell."""

    name: str
    """Maker's name and PyBaMM parameter set."""
    chemistry: str
    """Cathode chemistry: NMC or LFP."""
    figures: Mapping[str, Figure] = field(hash=False)
    """Figures by name; the name ends in the unit."""

    def value(self, name: str) -> float:
        """Return the value of a figure; the unit is in its name.

        Raises
        ------
        UserError
            The cell has no figure of this name.
        """
        if name not in self.figures:
            raise UnknownOptionError("cell figure", name, tuple(self.figures))
        return self.figures[name].value


@dataclass(frozen=True)
class Entropic:
    """Entropic coefficient of one electrode material."""

    stoichiometry: tuple[float, ...]
    """Lithiation of the material, ascending from 0 to 1."""
    v_per_k: tuple[float, ...]
    """Change of the open-circuit potential with temperature [V/K]."""
    source: str
    """Where it comes from."""
    verified: str
    """One of `VERIFIED`."""


@dataclass(frozen=True)
class Law:
    """Constants of one closed-form ageing law; `networks.batteries.laws` evaluates it."""

    name: str
    """Name of the law and of its function."""
    cell: str
    """Cell that was measured."""
    form: str
    """The formula."""
    constants: Mapping[str, float] = field(hash=False)
    """Its constants."""
    source: str
    """Paper or package."""
    verified: str
    """One of `VERIFIED`."""
    note: str
    """Range and what it was compared with."""


@dataclass(frozen=True)
class AgeingPoint:
    """One point to calibrate to; what does not apply is NaN."""

    chemistry: str
    """NMC, LFP or all."""
    kind: str
    """calendar, cycle or field."""
    loss_pct: float
    """Capacity lost, share of the new capacity [%]."""
    source: str
    """Where it comes from."""
    verified: str
    """One of `VERIFIED`."""
    law: str = ""
    """Law that it follows from; empty if it was measured."""
    temperature_c: float = float("nan")
    """Cell temperature [degC]."""
    soc: float = float("nan")
    """State of charge, 0..1."""
    days: float = float("nan")
    """Storage [d]."""
    c_rate: float = float("nan")
    """C-rate [1/h]."""
    dod: float = float("nan")
    """Depth of discharge, 0..1."""
    cycles: float = float("nan")
    """Full equivalent cycles."""


@dataclass(frozen=True)
class ResistancePoint:
    """Growth of the resistance at one point; what does not apply is NaN."""

    chemistry: str
    """NMC or LFP."""
    kind: str
    """calendar or cycle."""
    growth_pct: float
    """Growth, share of the new resistance [%]."""
    source: str
    """Where it comes from."""
    verified: str
    """One of `VERIFIED`."""
    temperature_c: float = float("nan")
    """Cell temperature [degC]."""
    soc: float = float("nan")
    """State of charge, 0..1."""
    days: float = float("nan")
    """Storage [d]."""
    c_rate: float = float("nan")
    """C-rate [1/h]."""
    dod: float = float("nan")
    """Depth of discharge, 0..1."""
    cycles: float = float("nan")
    """Full equivalent cycles."""


@dataclass(frozen=True)
class Derating:
    """Share of the rated current that a cell takes or gives at a temperature."""

    chemistry: str
    """NMC or LFP."""
    charge: tuple[tuple[float, float], ...]
    """Knots (cell temperature [degC], share) of charging, ascending."""
    discharge: tuple[tuple[float, float], ...]
    """Knots of discharging."""
    charge_source: str
    """Published bands of charging."""
    charge_choice: str
    """What is ours in `charge`."""
    discharge_source: str
    """Published bands of discharging."""
    discharge_choice: str
    """What is ours in `discharge`."""
    verified: str
    """One of `VERIFIED`, of the published bands."""

    def charge_share(self, temperature_c: ArrayLike) -> Floats:
        """Share of the rated charge at cell temperatures [degC], any shape; 0..1."""
        return _interpolated(self.charge, temperature_c)

    def discharge_share(self, temperature_c: ArrayLike) -> Floats:
        """Share of the rated discharge at cell temperatures [degC], any shape; 0..1."""
        return _interpolated(self.discharge, temperature_c)


@dataclass(frozen=True)
class Observed:
    """What vehicles did at a temperature."""

    what: str
    """What was compared."""
    ratio: float
    """Ratio to the same at 25 degC."""
    temperature_c: float
    """Ambient temperature [degC]."""
    source: str
    """Where it comes from."""
    verified: str
    """One of `VERIFIED`."""


@dataclass(frozen=True)
class PackPrice:
    """Average price of packs in one survey."""

    year: int
    """Year of the survey."""
    scope: str
    """all, battery electric vehicles, LFP or NMC."""
    usd_per_kwh: float
    """Price [USD/kWh], of that year."""
    source: str
    """Where it comes from."""
    verified: str
    """One of `VERIFIED`."""


@dataclass(frozen=True)
class VehicleChemistry:
    """Chemistry really in a vehicle of ``networks/vehicles/specs.toml``."""

    model: str
    """Real model."""
    chemistry: str
    """Its cathode chemistry."""
    source: str
    """Where it comes from."""
    verified: str
    """One of `VERIFIED`."""


def _interpolated(knots: tuple[tuple[float, float], ...], temperature_c: ArrayLike) -> Floats:
    at, share = np.array(knots).T
    return np.asarray(np.interp(np.asarray(temperature_c, dtype=np.float64), at, share))
