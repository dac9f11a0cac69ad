"""The packs of vehicles as a run is given them, and the checks of what they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.pybamm.tick import Floats, Request
from cosim.errors import BatteryError

Quantity = tuple[Floats, str]
"""Values, shape (vehicle,), and their unit."""

AMBIENT_RANGE_C = (-30.0, 50.0)
"""Ambient temperatures that are accepted [degC]."""
TEMPERATURE_RANGE_C = (-40.0, 110.0)
"""Cell temperatures outside which no model means anything [degC]."""
REQUEST_RANGES = {
    "traction_kwh": (-np.inf, np.inf),
    "plug_power_kw": (-np.inf, np.inf),
    "plug_efficiency": (1e-6, 1.0),
    "ambient_c": AMBIENT_RANGE_C,
}
"""What each field of a request may be."""


@dataclass(frozen=True)
class Layout:
    """How packs are made of cells; every array has shape (vehicle,)."""

    cells: Floats
    """Cells that the pack counts as: its energy over that of a new cell, a real number, so that the
    pack has exactly the energy of its specification. Every cell takes the same share of power."""
    series: Floats
    """Cells in series: nominal voltage over the mean voltage of a cell, rounded, at least 1."""
    parallel: Floats
    """Strings in parallel: energy over that of one string, rounded, at least 1."""
    charge_a: Floats
    """Current into each cell at the rated charging power and the mean voltage [A]."""
    discharge_a: Floats
    """Current out of each cell at the rated discharging power and the mean voltage [A]."""


@dataclass(frozen=True)
class PackSpec:
    """The packs of a group of vehicles; every array has shape (vehicle,).

    Raises
    ------
    cosim.errors.BatteryError
        If a value is not finite or out of its range, with the vehicle.
    """

    energy_kwh: Floats
    """Energy of each new pack between 0 and 100 % at open circuit [kWh]."""
    nominal_voltage_v: Floats
    """Nominal voltage [V]; only `Layout.series` and `Layout.parallel` follow from it."""
    max_charge_kw: Floats
    """Rated charging power, DC [kW]."""
    max_discharge_kw: Floats
    """Rated discharging power, DC [kW]."""
    ids: tuple[str, ...]
    """Names for messages."""

    @classmethod
    def of(
        cls, energy_kwh: ArrayLike, nominal_voltage_v: ArrayLike, max_charge_kw: ArrayLike,
        max_discharge_kw: ArrayLike, ids: Sequence[str] | None = None,
    ) -> PackSpec:  # fmt: skip
        """Make a specification of values that broadcast against the energies."""
        energy = np.atleast_1d(np.asarray(energy_kwh, dtype=float))
        names = tuple(ids or map(str, range(energy.size)))
        check = Check(names)
        return cls(
            check.input("energy_kwh", energy, low=1e-3),
            check.input("nominal_voltage_v", nominal_voltage_v, low=1.0),
            check.input("max_charge_kw", max_charge_kw, low=0.0),
            check.input("max_discharge_kw", max_discharge_kw, low=0.0),
            names,
        )

    def layout(self, constants: Mapping[str, float]) -> Layout:
        """Make the packs of cells.

        Parameters
        ----------
        constants
            Those of the cell, with ``new_energy_wh`` and ``mean_v``.
        """
        cells = self.energy_kwh * 1000 / constants["new_energy_wh"]
        series = np.maximum(1, np.rint(self.nominal_voltage_v / constants["mean_v"]))
        return Layout(
            cells=cells,
            series=series,
            parallel=np.maximum(1, np.rint(cells / series)),
            charge_a=self.max_charge_kw * 1000 / cells / constants["mean_v"],
            discharge_a=self.max_discharge_kw * 1000 / cells / constants["mean_v"],
        )


@dataclass(frozen=True)
class Life:
    """How packs age and what that costs."""

    age_years: float = 1.0
    """Calendar age at the start, at 25 degC [years]: the cells begin with the interphase of
    `ageing.sei_after` and without the lithium that is in it."""
    acceleration: float = 1.0
    """How many times over the ageing of every tick is counted."""
    usd_per_kwh: float = 100.0
    """Price of packs [USD/kWh]."""
    heater_kw: float = 0.0
    """Power of the heater that warms a pack at the plug; 0 for none [kW]."""
    heater_to_c: float = 15.0
    """Temperature that it warms to [degC]."""

    def heater_need_kw(
        self, temperature_c: Floats, cell_j_k: float, cells: Floats, tick_s: float
    ) -> Floats:
        """Power of the heaters that would warm packs to the temperature wanted in a tick.

        Parameters
        ----------
        temperature_c
            Cell temperature where it begins [degC], shape (vehicle,).
        cell_j_k
            Heat capacity of a cell and what is warmed along with it [J/K].
        cells
            Number of cells of each pack, shape (vehicle,).
        tick_s
            Length of the tick [s].
        """
        cold_k = np.maximum(self.heater_to_c - temperature_c, 0)
        return np.minimum(cold_k * cell_j_k * cells / tick_s / 1000, self.heater_kw)


def heating_kw(request: Request, need_kw: Floats, hours: float) -> Floats:
    """Power of the heaters in a tick: of what they need, what the plug gives."""
    given_kw = np.maximum(request.plug_dc_kwh(hours) / hours, 0)
    return np.where(request.at_port, np.minimum(need_kw, given_kw), 0.0)


SOH_RANGE = (0.5, 1 + 1e-6)
"""States of health for which the models mean something."""
MOST_ACCELERATION = 100.0
"""Times over that ageing may be counted: the error of that is known; see README.md."""


def check_saved(state: Mapping[str, Floats], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise BatteryError if a saved state is not of these shapes or not finite."""
    for name, shape in shapes.items():
        found = np.shape(state[name]) if name in state else None
        if found != shape:
            raise BatteryError(f"saved {name} has shape {found}, this fleet needs {shape}")
        if not np.isfinite(state[name]).all():
            raise BatteryError(f"saved {name} is not finite")


class Check:
    """Checks arrays over vehicles and names the vehicle that is wrong."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids

    def input(
        self, name: str, value: ArrayLike, tick: int = -1, low: float = -np.inf,
        high: float = np.inf,
    ) -> Floats:  # fmt: skip
        """Return the value as an array over vehicles.

        Raises
        ------
        cosim.errors.BatteryError
            If its shape is wrong, or an entry is not finite or outside the bounds.
        """
        try:
            array = np.broadcast_to(np.asarray(value, dtype=float), (len(self._ids),))
        except ValueError:
            shape = np.shape(value)
            raise BatteryError(
                f"{name} has shape {shape}, not ({len(self._ids)},)", tick=tick
            ) from None
        wrong = _outside(array, low, high)
        if wrong.any():
            i = int(np.argmax(wrong))
            reason = f"{name} is {array[i]:.6g}, must be {_span(low, high)}"
            raise BatteryError(reason, where=f"vehicle {self._ids[i]}", tick=tick)
        return array

    def request(self, tick: int, request: Request) -> None:
        """Check what is asked in a tick; errors as of `input`."""
        for name, bounds in REQUEST_RANGES.items():
            self.input(name, getattr(request, name), tick, *bounds)

    def life(self, life: Life) -> None:
        """Raise if packs cannot age, be priced or be heated so."""
        bounds = {
            "age_years": (0.0, 30.0),
            "acceleration": (1.0, MOST_ACCELERATION),
            "usd_per_kwh": (0.0, np.inf),
            "heater_kw": (0.0, np.inf),
            "heater_to_c": AMBIENT_RANGE_C,
        }
        for name, (low, high) in bounds.items():
            self.input(name, getattr(life, name), low=low, high=high)

    def state(
        self, tick: int, state: Mapping[str, Quantity], bounds: Mapping[str, tuple[float, float]]
    ) -> None:
        """Check the state of vehicles' batteries.

        Parameters
        ----------
        tick
            Settlement interval, for messages.
        state
            What is to be told of a battery, by name.
        bounds
            What values of these names may be.

        Raises
        ------
        cosim.errors.BatteryError
            If one is not finite or out of its bounds: with the vehicle and all of its state.
        """
        for name, (low, high) in bounds.items():
            wrong = _outside(state[name][0], low, high)
            if wrong.any():
                i = int(np.argmax(wrong))
                told = {n: f"{v[i]:.6g} {unit}".rstrip() for n, (v, unit) in state.items()}
                reason = f"{name} is {told.pop(name)}, must be {_span(low, high)}; "
                reason += ", ".join(f"{other} {value}" for other, value in told.items())
                raise BatteryError(reason, where=f"vehicle {self._ids[i]}", tick=tick)


def _outside(array: Floats, low: float, high: float) -> NDArray[np.bool_]:
    return ~((array >= low) & (array <= high) & np.isfinite(array))


def _span(low: float, high: float) -> str:
    return f"{low:g} to {high:g}" if np.isfinite([low, high]).any() else "finite"
