"""Pulses from rest on SPMe cells: resistance, wear, and what the next ticks remember of them.

On loose cells: in a pack the warmth of a pulse would stay, and what it wears would count as wear.
"""

from __future__ import annotations

import numpy as np

from adapters.pybamm.circuit import TICK_S
from adapters.pybamm.experiments import (
    SOC,
    START_C,
    TEMPERATURE_C,
    filled,
    foreseen,
    hold_rate,
    single_cells,
)
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.mounting import Mounting
from adapters.pybamm.spec import AMBIENT_RANGE_C
from adapters.pybamm.tick import BatteryTick, Floats

ROOTS = np.linspace(0.3, 2.3, 6)
"""Roots of the C-rates of the pulses."""
REST_TICKS = 12
"""Ticks of rest after a pulse in which what it wears comes to an end."""
MEMORY_C_RATE = 0.5
"""C-rate of the tick whose memory is looked for."""
PROBED_RESTS = (0, 1, 2, 4, 8)
"""Ticks of rest after it at which its memory is looked for."""


def resistance_and_wear(kernel: Kernel) -> tuple[Floats, Floats]:
    """Resistance [Ohm] and wear of a tick from rest, shape (soc, temperature, 2, root)."""
    shape = (len(SOC), len(START_C), 2, len(ROOTS))
    ohm, wear, mean_c = (np.full(shape, np.nan) for _ in range(3))
    soc, root = (a.ravel() for a in np.meshgrid(SOC, ROOTS, indexing="ij"))
    grid = (len(SOC), len(ROOTS))
    new_ah = kernel.constants["new_capacity_ah"]
    loose = Mounting.loose(kernel.constants)
    for j, start_c in enumerate(START_C):
        idle = single_cells(kernel, SOC, start_c, mounting=loose)
        for _ in range(REST_TICKS + 1):
            hold_rate(idle, 0.0, start_c)
        for direction, sign in enumerate((-1, 1)):
            packs = single_cells(kernel, soc, start_c, mounting=loose)
            before = packs.soh
            tick = hold_rate(packs, sign * root**2, start_c)
            for _ in range(REST_TICKS):
                hold_rate(packs, 0.0, start_c)
            lost = (before - packs.soh).reshape(grid) - (before[0] - idle.soh)[:, None]
            moved = np.abs(tick.pack_charge_ah).reshape(grid)
            roots = np.sqrt(moved * 3600 / TICK_S / new_ah)
            values = (
                tick.pack_loss_kwh.reshape(grid) * 1000 * 3600 / TICK_S,
                lost,
                0.5 * (start_c + tick.vehicle_temperature_c).reshape(grid),
            )
            for i in range(len(SOC)):
                good = roots[i] > 0.5 * ROOTS[0]
                if good.any():
                    amperes = roots[i, good] ** 2 * new_ah
                    per = (amperes**2, moved[i, good] / new_ah, 1.0)
                    for table, value, unit in zip((ohm, wear, mean_c), values, per, strict=True):
                        table[i, j, direction] = _at_roots(roots[i, good], value[i, good] / unit)
    ohm, wear = _at_means(np.log(ohm), mean_c), _at_means(wear, mean_c)
    return np.exp(filled(ohm)), np.maximum(filled(wear), 0)


def _at_means(table: Floats, mean_c: Floats) -> Floats:
    """Values at `TEMPERATURE_C` of those at mean temperatures, constant beyond them."""
    shape = (table.shape[0], len(TEMPERATURE_C), *table.shape[2:])
    found = np.full(shape, np.nan)
    for i, direction, k in np.ndindex(table.shape[0], *table.shape[2:]):
        line, warm = table[i, :, direction, k], mean_c[i, :, direction, k]
        good = np.isfinite(line)
        if good.any():
            found[i, :, direction, k] = np.interp(TEMPERATURE_C, warm[good], line[good])
    return found


def _at_roots(found: Floats, values: Floats) -> Floats:
    """Values at `ROOTS` of those at the rates that the cell took, constant beyond them."""
    found, first = np.unique(np.round(found, 6), return_index=True)
    return np.interp(ROOTS, found, values[first])


def memory(kernel: Kernel) -> dict[str, Floats]:
    """Find what a tick remembers of the one before, tables of shape (soc, temperature)."""
    shape = (2, len(SOC), len(TEMPERATURE_C))
    volts, keep, watts = (np.full(shape, np.nan) for _ in range(3))
    new_ah = kernel.constants["new_capacity_ah"]
    loose = Mounting.loose(kernel.constants)
    for j, warm in enumerate(START_C):
        for direction, sign in enumerate((-1, 1)):
            begin = np.clip(SOC[1:-1] - sign * MEMORY_C_RATE * TICK_S / 3600, 0, 1)
            seen: list[Floats] = []
            for rests in PROBED_RESTS:
                packs = single_cells(kernel, begin, warm, mounting=loose)
                moved_ah = hold_rate(packs, sign * MEMORY_C_RATE, warm).pack_charge_ah
                for _ in range(rests):
                    hold_rate(packs, 0.0, warm)
                rate = moved_ah * 3600 / TICK_S / new_ah
                rate = np.where(np.abs(rate) > 0.5 * MEMORY_C_RATE, rate, np.nan)
                now_c = float(np.clip(packs.temperature_c.mean(), *AMBIENT_RANGE_C))
                level = np.clip(packs.soc, 0, 1)
                rested = single_cells(kernel, level, now_c, mounting=loose)
                if rests == 0:
                    powers = (foreseen(kernel, p, now_c)[1 - direction] for p in (packs, rested))
                    after, before = powers
                    more = np.where((after > 0) & (before > 0), after - before, np.nan)
                    # What moved one way leaves less room for more of it.
                    watts[direction, 1:-1, j] = sign * np.fmin(sign * more / rate, 0)
                more_v = _loss_v(hold_rate(packs, sign * 0.5 * MEMORY_C_RATE, now_c))
                more_v -= _loss_v(hold_rate(rested, sign * 0.5 * MEMORY_C_RATE, now_c))
                seen.append(more_v / rate)
            # What is remembered in all is the first over what is not kept.
            every = range(PROBED_RESTS[-1] + 1)
            whole = np.sum([_between(seen, rests) for rests in every], axis=0)
            keep[direction, 1:-1, j] = np.clip(1 - seen[0] / whole, 0.0, 0.9)
            volts[direction, 1:-1, j] = np.fmax(seen[0], 0)
    # One memory for both directions, the same at every state of charge.
    weight = np.abs(np.nan_to_num(volts)) * np.isfinite(keep)
    kept = (np.nan_to_num(keep) * weight).sum(axis=(0, 1))
    kept = filled((kept / np.where(kept > 0, weight.sum(axis=(0, 1)), np.nan))[None])
    mean = np.nan_to_num(volts).sum(axis=0) / np.fmax(np.isfinite(volts).sum(axis=0), 1)
    mean[~np.isfinite(volts).any(axis=0)] = np.nan
    return {
        "memory_v": filled(mean) / (1 - kept),
        "keep": np.repeat(kept, len(SOC), axis=0),
        "charge_memory_w": filled(watts[1]) / (1 - kept),
        "discharge_memory_w": filled(watts[0]) / (1 - kept),
    }


def _between(seen: list[Floats], rests: int) -> Floats:
    """Interpolate what was seen after `PROBED_RESTS`."""
    k = int(np.searchsorted(PROBED_RESTS, rests, side="right")) - 1
    if PROBED_RESTS[k] == rests:
        return seen[k]
    part = (rests - PROBED_RESTS[k]) / (PROBED_RESTS[k + 1] - PROBED_RESTS[k])
    return (1 - part) * seen[k] + part * seen[k + 1]


def _loss_v(tick: BatteryTick) -> Floats:
    charge = np.where(tick.pack_charge_ah == 0, np.nan, tick.pack_charge_ah)
    return tick.pack_loss_kwh * 1000 / charge
