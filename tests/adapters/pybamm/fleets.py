"""Packs and requests as the tests of the batteries need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.pybamm.kernel import Kernel
from adapters.pybamm.mounting import Mounting
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tick import BatteryTick, Request

Floats = NDArray[np.float64]
HOUR = 300 / 3600


def single_cells(
    kernel: Kernel,
    soc: ArrayLike,
    life: Life | None = None,
    initial_temperature_c: float = 20.0,
    ids: Sequence[str] | None = None,
    mounting: Mounting | None = None,
) -> Packs:
    """Make packs of one cell each, with the largest ratings of the chemistry.

    Their cells are loose, as those of a laboratory, unless a mounting is given.
    """
    level = np.atleast_1d(np.asarray(soc, dtype=float))
    energy_kwh = np.full(level.shape, cell_kwh(kernel))
    rated = kernel.options.of_chemistry
    spec = PackSpec.of(
        energy_kwh, 3.5, rated.charge_c_rate * energy_kwh, rated.discharge_c_rate * energy_kwh, ids
    )
    mounting = mounting or Mounting.loose(kernel.constants)
    return Packs(
        kernel, spec, level, life, initial_temperature_c=initial_temperature_c, mounting=mounting
    )


def pack_cells(kernel: Kernel, soc: ArrayLike, **given: Any) -> Packs:
    """Make the same of cells that are mounted in the packs of vehicles."""
    new_wh = kernel.constants["new_energy_wh"]
    mounting = Mounting.in_pack(kernel.options.of_chemistry, new_wh)
    return single_cells(kernel, soc, mounting=mounting, **given)


def cell_kwh(kernel: Kernel) -> float:
    """Energy of a new cell [kWh]."""
    return kernel.constants["new_energy_wh"] / 1000


def ask(
    count: int,
    plug_kw: ArrayLike = 0.0,
    traction_kwh: ArrayLike = 0.0,
    ambient_c: ArrayLike = 20.0,
    efficiency: ArrayLike = 1.0,
) -> Request:
    """Make a request of values that broadcast to the number of vehicles."""
    traction, plug, share, ambient = (
        np.broadcast_to(np.asarray(value, dtype=float), (count,))
        for value in (traction_kwh, plug_kw, efficiency, ambient_c)
    )
    return Request(traction, plug, share, ambient)


def as_dict(tick: BatteryTick) -> dict[str, Floats]:
    """Return the arrays of a tick by name."""
    return {field.name: getattr(tick, field.name) for field in fields(tick)}


def random_ticks(packs: Packs, ticks: int, seed: int, c_rate: float = 1.0) -> list[BatteryTick]:
    """Drive and charge single cells at random, up to this rate."""
    rng, n = np.random.default_rng(seed), packs.count
    energy_kwh = packs.spec.energy_kwh
    found: list[BatteryTick] = []
    for tick in range(ticks):
        drives = rng.random(n) < 0.5
        traction = np.where(drives, rng.uniform(-0.3, 1, n) * c_rate * HOUR * energy_kwh, 0)
        plug = np.where(drives, 0, rng.uniform(-1, 1, n) * c_rate * energy_kwh)
        request = ask(n, plug, traction, rng.uniform(0, 35), 0.92)
        found.append(packs.advance(tick, request))
    return found
