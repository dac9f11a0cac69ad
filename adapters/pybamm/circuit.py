"""Equivalent circuits of cells: tables fitted to SPMe, and how they are looked up.

The tables are data of this folder, written by ``fit``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.chemistry import CHEMISTRIES, Curve
from adapters.pybamm.constants import GAS_J_PER_MOL_K, ZERO_C_K
from adapters.pybamm.options import CellOptions
from adapters.pybamm.tick import Floats
from cosim.errors import UnknownOptionError
from cosim.signals import C_RATES

TICK_S = CellOptions().tick_s
"""Length of the tick that the tables are fitted for [s]."""
FINER = 4
"""Intervals that an interval of the temperatures is divided into when the tables are read."""
FLAT = (
    "charge_w", "discharge_w", "memory_v", "keep", "charge_memory_w", "discharge_memory_w",
    "rest_loss",
)  # fmt: skip
"""Tables over state of charge and temperature."""


@dataclass(frozen=True)
class Circuit:
    """The equivalent circuit of a cell; currents are positive into it.

    Notes
    -----
    Over a tick from the state of charge s, the mean voltage at the mean current I is::

        V = mean of U(s) along the way + R(s, T, I) I + M(s, T) z

    with z the current over the capacity when new, averaged with a memory that keeps the share
    ``keep`` over a tick: what diffusion in the particles remembers.
    """

    chemistry: str
    constants: Mapping[str, float]
    """Capacity, energy, voltages, heat and interphase of the cell; the names say their units."""
    open_circuit_v: Floats
    """Open-circuit voltage [V] at equal steps of the state of charge from 0 to 1."""
    stored_v: Floats
    """Its integral from 0 [V]."""
    temperatures_c: Floats
    """Temperatures of the tables [degC], equal steps."""
    roots: Floats
    """Roots of the C-rates of the tables, equal steps."""
    flat: Floats
    """Tables `FLAT`, then what a kilowatt-hour out of or into the pack wears at
    `cosim.signals.C_RATES`, over the price of one, shape (soc times temperature, table)."""
    resistance_ohm: Floats
    """Resistance [Ohm], flat from (soc, temperature, direction, root of the C-rate); the direction
    is 0 on discharge."""
    wear: Floats
    """Capacity lost beyond rest, over the capacity when new, for a charge of that capacity
    [1], as the resistance."""
    socs: int
    """Number of states of charge of the tables."""
    charge_derating: Curve
    discharge_derating: Curve
    ages: Floats
    """Interphase [m], state of health and resistance ratio of stored cells, shape (3, age)."""
    errors: Mapping[str, Mapping[str, float]]
    """Measured errors against SPMe on held-out days."""

    @classmethod
    def of(cls, chemistry: str, data: Mapping[str, Any]) -> Circuit:
        """Make a circuit of what the file of a chemistry holds."""
        tables = {name: np.array(table, dtype=float) for name, table in data["tables"].items()}
        tables["resistance_ohm"] = np.exp(_finer(np.log(tables["resistance_ohm"])))
        tables["wear"] = _finer(tables["wear"])
        flat = [_finer(tables[name]) for name in FLAT]
        voltage = np.array(data["open_circuit_v"], dtype=float)
        roots, constants = np.array(data["roots"], dtype=float), dict(data["constants"])
        costs = _costs(tables["wear"], tables["resistance_ohm"], voltage, roots, constants)
        steps = 0.5 * (voltage[1:] + voltage[:-1]) / (len(voltage) - 1)
        return cls(
            chemistry=chemistry,
            constants=constants,
            open_circuit_v=voltage,
            stored_v=np.concatenate([[0.0], np.cumsum(steps)]),
            temperatures_c=_finer(np.array([data["temperatures_c"]], dtype=float))[0],
            roots=roots,
            flat=np.stack([*flat, *costs], axis=-1).reshape(-1, len(flat) + len(costs)),
            resistance_ohm=tables["resistance_ohm"].ravel(),
            wear=tables["wear"].ravel(),
            socs=len(tables["charge_w"]),
            charge_derating=CHEMISTRIES[chemistry].charge_derating,
            discharge_derating=CHEMISTRIES[chemistry].discharge_derating,
            ages=np.array([data["ages"][n] for n in ("sei_m", "soh", "resistance_ratio")]),
            errors=data.get("errors", {}),
        )

    def open_circuit(self, soc: Floats) -> Floats:
        """Open-circuit voltage [V], shape as given."""
        k, part = self._interval(soc)
        low = self.open_circuit_v.take(k)
        return low + (self.open_circuit_v.take(k + 1) - low) * part

    def stored(self, soc: Floats) -> Floats:
        """Integral of the open-circuit voltage over the state of charge from 0 [V]."""
        k, part = self._interval(soc)
        low = self.open_circuit_v.take(k)
        rise = self.open_circuit_v.take(k + 1) - low
        return self.stored_v.take(k) + part * (low + 0.5 * part * rise) / (
            len(self.open_circuit_v) - 1
        )

    def place(self, soc: Floats, temperature_c: Floats) -> Place:
        """Where cells are in the tables."""
        warm = self.temperatures_c
        i, x = _interval(soc * (self.socs - 1), self.socs)
        j, y = _interval((temperature_c - warm[0]) / (warm[1] - warm[0]), len(warm))
        first = i * len(warm) + j
        at = np.stack([first, first + 1, first + len(warm), first + len(warm) + 1])
        xy, shares = x * y, np.empty((4, len(soc)))
        shares[0], shares[1], shares[2], shares[3] = 1 - x - y + xy, y - xy, x - xy, xy
        return Place(at, shares)

    def at(self, place: Place) -> Floats:
        """All flat tables, shape (table, cell)."""
        found = self.flat.take(place.at, axis=0)
        return np.einsum("kn,knt->tn", place.shares, found)

    def resistance(self, place: Place, current_a: Floats) -> Floats:
        """Resistance over a tick at these currents [Ohm]."""
        return self._of_current(self.resistance_ohm, place, current_a)

    def lost(self, place: Place, current_a: Floats) -> Floats:
        """Capacity lost beyond rest, over charge moved [1]."""
        return self._of_current(self.wear, place, current_a)

    def growth_m2(self, temperature_c: Floats, seconds: float) -> Floats:
        """Growth of the square of the interphase's thickness [m2]; see `ageing.sei_after`."""
        c = self.constants
        warmth = 1 / (25.0 + ZERO_C_K) - 1 / (temperature_c + ZERO_C_K)
        factor = np.exp(c["sei_activation_j_mol"] / GAS_J_PER_MOL_K * warmth)
        return c["sei_growth_m2_s"] * seconds * factor

    def _of_current(self, table: Floats, place: Place, current_a: Floats) -> Floats:
        roots, count = self.roots, len(self.roots)
        c_rate = np.abs(current_a) / self.constants["new_capacity_ah"]
        k, part = _interval((np.sqrt(c_rate) - roots[0]) / (roots[1] - roots[0]), count)
        k += (current_a > 0) * count
        at = place.at * (2 * count) + k
        low = table.take(at)
        low += (table.take(at + 1) - low) * part
        low *= place.shares
        return low[0] + low[1] + low[2] + low[3]

    def _interval(self, soc: Floats) -> tuple[NDArray[np.int64], Floats]:
        count = len(self.open_circuit_v)
        return _interval(soc * (count - 1), count)


@dataclass(frozen=True)
class Place:
    """Corners of the tables around cells, shape (4, cell), and the shares that they have."""

    at: NDArray[np.int64]
    shares: Floats


@cache
def circuit(chemistry: str) -> Circuit:
    """Return the fitted circuit of a chemistry.

    Raises
    ------
    cosim.errors.UnknownOptionError
        If there is none.
    """
    path = path_of(chemistry)
    if chemistry not in CHEMISTRIES or not path.exists():
        raise UnknownOptionError("fitted chemistry", chemistry, CHEMISTRIES)
    return Circuit.of(chemistry, tomllib.loads(path.read_text(encoding="utf-8")))


def path_of(chemistry: str) -> Path:
    """File of a chemistry's circuit."""
    return Path(__file__).with_name(f"reservoir_{chemistry}.toml")


def _costs(
    wear: Floats, ohm: Floats, voltage: Floats, roots: Floats, constants: Mapping[str, float]
) -> list[Floats]:
    """Return what a kilowatt-hour wears, over the price of one, a table (soc, temperature) a rate.

    That is the capacity lost over that when new by the energy moved over that of the new cell.
    """
    soc = np.linspace(0, 1, len(wear))
    open_v = np.interp(soc, np.linspace(0, 1, len(voltage)), voltage)[:, None]
    found: list[Floats] = []
    for c_rate in C_RATES:
        k, part = _interval((abs(c_rate) ** 0.5 - roots[0]) / (roots[1] - roots[0]), len(roots))
        lost, rise = (
            (1 - part) * table[:, :, int(c_rate > 0), k]
            + part * table[:, :, int(c_rate > 0), k + 1]
            for table in (wear, ohm)
        )
        held_v = open_v + rise * c_rate * constants["new_capacity_ah"]
        held_v = np.clip(held_v, constants["lower_v"], constants["upper_v"])
        found.append(lost * constants["mean_v"] / held_v)
    return found


def _interval(at: Floats, count: int) -> tuple[NDArray[np.int64], Floats]:
    """Return the interval among `count` points that a place lies in, and how far along."""
    inside = np.clip(at, 0, count - 1)
    k = np.minimum(inside.astype(np.int64), count - 2)
    return k, inside - k


def _finer(table: Floats) -> Floats:
    """Divide the intervals of the temperature, the second axis."""
    count = table.shape[1]
    at = np.arange((count - 1) * FINER + 1) / FINER
    k = np.minimum(at.astype(int), count - 2)
    part = (at - k).reshape(-1, *[1] * (table.ndim - 2))
    return (1 - part) * table[:, k] + part * table[:, k + 1]
