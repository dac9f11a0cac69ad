"""Experiments on SPMe cells at rest, for the tables of circuits.

Open circuit, ageing in store and the power that rested cells foresee; ``pulses`` has those
that move charge.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from adapters.pybamm.ageing import sei_after
from adapters.pybamm.cells import Cells
from adapters.pybamm.circuit import TICK_S
from adapters.pybamm.constants import YEAR_S, ZERO_C_K
from adapters.pybamm.days import DAY_TICKS
from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.mounting import Mounting
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tick import BatteryTick, Floats, Request

SOC = np.linspace(0, 1, 21)
TEMPERATURE_C = np.linspace(-30, 60, 10)
"""States of charge of the tables and their temperatures [degC]."""
START_C = np.linspace(-30, 50, 9)
"""Temperatures at which the experiments begin [degC]."""
VOLTAGE_POINTS = 201
"""States of charge of the open-circuit voltage."""
FITTED_YEARS = 1.0
"""Age of the cells of the experiments."""
LATE_YEARS = 8.0
"""Age at which limits are looked for again."""
AGES = np.linspace(0, 3, 7) ** 2
OLDEST_YEARS = 30.0
"""Ages of stored cells, and the oldest, to which their capacity is continued [years]."""
PROBE_C_RATE = 1e-3
"""C-rate at which the voltage is the open-circuit voltage."""
LIMIT_C_RATES = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Ratings with which the limits are looked for."""


def single_cells(
    kernel: Kernel, soc: Floats, temperature_c: float, *, years: float = FITTED_YEARS,
    mounting: Mounting | None = None,
) -> Packs:  # fmt: skip
    """Packs of one cell each, with the largest ratings of the chemistry."""
    c, chemistry = kernel.constants, kernel.options.of_chemistry
    full = np.full(len(soc), c["new_energy_wh"] / 1000)
    most = chemistry.charge_c_rate * full, chemistry.discharge_c_rate * full
    spec = PackSpec.of(full, c["mean_v"], *most)
    life = Life(age_years=years)
    return Packs(kernel, spec, soc, life, initial_temperature_c=temperature_c, mounting=mounting)


def hold_rate(packs: Packs, c_rate: Floats | float, temperature_c: float) -> BatteryTick:
    """Ask the power of a C-rate at the plug for a tick, charging positive."""
    power_kw = c_rate * packs.spec.energy_kwh
    full = np.ones(packs.count)
    return packs.advance(0, Request(0 * full, power_kw * full, full, temperature_c * full))


def filled(table: Floats) -> Floats:
    """Replace what is not a number by its nearest along the state of charge, then temperature."""
    table = table.copy()
    for axis in (0, 1):
        rows = np.moveaxis(table, axis, 0)
        for index in np.ndindex(rows.shape[1:]):
            line = rows[(slice(None), *index)]
            good = np.isfinite(line)
            if good.any() and not good.all():
                at = np.arange(len(line))
                line[:] = np.interp(at, at[good], line[good])
    return table


def open_circuit_v(kernel: Kernel) -> Floats:
    """Open-circuit voltage at equal steps of the state of charge from 0 to 1 [V]."""
    soc = np.linspace(0, 1, VOLTAGE_POINTS)
    found: list[Floats] = []
    for rate in (-PROBE_C_RATE, PROBE_C_RATE):
        tick = hold_rate(single_cells(kernel, soc[1:-1], 25.0), rate, 25.0)
        held = tick.pack_energy_kwh - tick.pack_loss_kwh
        found.append(held * 1000 / np.where(tick.pack_charge_ah == 0, np.nan, tick.pack_charge_ah))
    c = kernel.constants
    return np.concatenate([[c["lower_v"]], np.nanmean(found, axis=0), [c["upper_v"]]])


def stored_ages(kernel: Kernel) -> dict[str, Floats]:
    """Interphase, state of health and resistance ratio of stored cells, from new to oldest."""
    packs = [single_cells(kernel, np.array([0.5]), 25.0, years=float(age)) for age in AGES]
    found = {
        "sei_m": [sei_after(kernel.constants, float(age)) for age in AGES],
        "soh": [float(p.soh[0]) for p in packs],
        "resistance_ratio": [float(p.resistance_ratio[0]) for p in packs],
    }
    # Both go straight with the thickness.
    oldest_m = sei_after(kernel.constants, OLDEST_YEARS)
    part = (oldest_m - found["sei_m"][-1]) / (found["sei_m"][-1] - found["sei_m"][-2])
    return {
        name: np.array([*line, line[-1] + part * (line[-1] - line[-2])])
        for name, line in found.items()
    }


def rest_ageing(kernel: Kernel) -> tuple[float, float, Floats]:
    """Capacity lost and resistance gained at rest.

    Per metre of interphase, and the capacity that a tick takes beyond that, for side reactions
    that go with the state of charge, shape (soc, temperature).
    """
    c = kernel.constants
    start_m = sei_after(c, FITTED_YEARS)
    lost, grown = np.full((len(SOC), len(TEMPERATURE_C)), np.nan), np.zeros(len(TEMPERATURE_C))
    gained: list[float] = []
    for j, warm in enumerate(START_C):
        packs = single_cells(kernel, SOC, warm)
        before, ratio = packs.soh, packs.resistance_ratio
        for _ in range(DAY_TICKS):
            hold_rate(packs, 0.0, warm)
        # The same square of the thickness at the reference temperature, later.
        pace = (sei_after(c, 1.0, warm) ** 2 - c["sei_initial_m"] ** 2) / YEAR_S
        grown[j] = (start_m**2 + pace * DAY_TICKS * TICK_S) ** 0.5 - start_m
        lost[:, j] = before - packs.soh
        gained.append(float(np.mean(packs.resistance_ratio - ratio)) / grown[j])
    at_25 = int(np.argmin(np.abs(TEMPERATURE_C - 25.0)))
    per_m = float(lost[0, at_25] / grown[at_25])
    more = np.maximum(filled(lost - per_m * grown), 0) / DAY_TICKS
    return per_m, float(np.mean(gained)), more


def power_limits_w(kernel: Kernel) -> tuple[Floats, Floats]:
    """Power that rested cells of any rating hold through a tick [W], shape (soc, temperature)."""
    shape = (len(SOC), len(TEMPERATURE_C))
    charge, discharge = np.full(shape, np.nan), np.full(shape, np.nan)
    charge_a, discharge_a = np.full(shape, np.nan), np.full(shape, np.nan)
    for j, warm in enumerate(START_C):
        found = foreseen(kernel, single_cells(kernel, SOC, warm), warm)
        charge[:, j], discharge[:, j], charge_a[:, j], discharge_a[:, j] = found
    # A fuller cell never takes more, an emptier one never gives more: where it seems so, the
    # search for the limit stopped early.
    charge[charge_a < _running_max(charge_a[::-1])[::-1]] = np.nan
    discharge[discharge_a < _running_max(discharge_a)] = np.nan
    return filled(charge), filled(discharge)


def foreseen(kernel: Kernel, packs: Packs, warm: float) -> Floats:
    """Power [W] and current [A] that packs hold, in and out, at the best of some ratings.

    Ratings that temperature does not derate: circuits do that by themselves.
    """
    new_ah = kernel.constants["new_capacity_ah"]
    held_by = Cells(_underated(kernel.options), packs.state()["states"])
    soc = np.clip(packs.soc, 0, 1)
    stored = soc * packs.capacity_ah * 3600 / TICK_S
    room = (1 - soc) * packs.capacity_ah * 3600 / TICK_S
    ambient_k = np.full(packs.count, warm + ZERO_C_K)
    around = replace(packs.surroundings, ambient_k=ambient_k)
    best = np.full((4, packs.count), np.nan)
    for rate in LIMIT_C_RATES:
        rated_a = np.full(packs.count, rate * new_ah)
        found = held_by.sustainable(stored, room, rated_a, rated_a, around)
        best = np.fmax(best, [found.charge_w, found.discharge_w, found.charge_a, found.discharge_a])
    return best


@cache
def _underated(options: CellOptions) -> Kernel:
    return load(replace(options, derated=False))


def limits_aged(kernel: Kernel) -> tuple[float, float]:
    """Powers of the resistance by which charging and discharging limits fall with age.

    Mean from 20 to 80 % charged at 25 degC: what diffusion limits falls less than what resistance
    does.
    """
    packs = [single_cells(kernel, SOC[4:17], 25.0, years=y) for y in (FITTED_YEARS, LATE_YEARS)]
    begin, late = (np.log(foreseen(kernel, p, 25.0)[:2]) for p in packs)
    grown = np.log(packs[1].resistance_ratio / packs[0].resistance_ratio)
    charge, discharge = ((begin - late) / grown).mean(axis=1)
    return float(charge), float(discharge)


def _running_max(table: Floats) -> Floats:
    return np.fmax.accumulate(table, axis=0) * (1 - 1e-3)
