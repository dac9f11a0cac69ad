"""Fits the circuits of ``reservoir`` to SPMe cells and measures their errors on held-out days.

``python -m adapters.pybamm.fit`` writes ``reservoir_nmc.toml``, ``reservoir_lfp.toml`` and the page
of their errors beside this file; it takes about half a minute and gives the same figures again.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.ageing import sei_after
from adapters.pybamm.cells import Cells
from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import FLAT, TICK_S, Circuit, path_of
from adapters.pybamm.constants import YEAR_S
from adapters.pybamm.days import DAY_TICKS, SITUATIONS, drive, measure, replay
from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import AMBIENT_RANGE_C, Life, PackSpec
from adapters.pybamm.tick import BatteryTick, Floats, Request

SOC = np.linspace(0, 1, 21)
TEMPERATURE_C = np.linspace(-30, 60, 10)
START_C = np.linspace(-30, 50, 9)
"""Temperatures at which the experiments begin [degC]."""
ROOTS = np.linspace(0.3, 2.3, 6)
"""Roots of the C-rates of the experiments."""
VOLTAGE_POINTS = 201
FITTED_YEARS = 1.0
"""Age of the cells of the experiments."""
AGES = np.linspace(0, 3, 7) ** 2
OLDEST_YEARS = 30.0
"""Ages of stored cells, and the oldest, to which their capacity is continued [years]."""
PROBE_C_RATE = 1e-3
"""C-rate at which the voltage is the open-circuit voltage."""
MEMORY_C_RATE = 0.5
"""C-rate of the tick whose memory is looked for."""
PROBED_RESTS = (0, 1, 2, 4, 8)
"""Ticks of rest after it at which its memory is looked for."""
LIMIT_C_RATES = (1.0, 2.0, 3.0, 4.0, 6.0)
"""Ratings with which the limits are looked for."""
REST_TICKS = 12
"""Ticks of rest after a pulse in which what it wears comes to an end."""
TRAINING = ("city", "v2g")
TRAINING_C = (-20.0, -10.0, 0.0, 10.0, 20.0, 30.0, 40.0)
"""Days that the scales of ageing are fitted to, and their temperatures [degC]."""
TRAINING_SEED = 1


def fit(kernel: Kernel) -> dict[str, Any]:
    """Fit a circuit to a kernel.

    Parameters
    ----------
    kernel
        The cell model of a chemistry.

    Returns
    -------
    dict
        What `Circuit.of` takes, without errors.
    """
    c = kernel.constants
    first = _ages(kernel)
    per_m, ratio_per_m, rest_loss = _rest_ageing(kernel)
    constants = {name: c[name] for name in (
        "new_capacity_ah", "new_energy_wh", "mean_v", "lower_v", "upper_v", "new_resistance_ohm",
        "heat_capacity_j_k", "sei_initial_m", "sei_activation_j_mol",
    )} | {
        "cooling_w_k": _cooling(kernel),
        "sei_growth_m2_s": (sei_after(c, 1.0) ** 2 - c["sei_initial_m"] ** 2) / YEAR_S,
        "fitted_ratio": float(_cells(kernel, np.array([0.5]), 25.0).resistance_ratio[0]),
        "soh_per_m": per_m,
        "ratio_per_m": ratio_per_m,
        "ratio_per_cycled": 0.0,
    }  # fmt: skip
    data: dict[str, Any] = {
        "constants": constants,
        "temperatures_c": TEMPERATURE_C,
        "roots": ROOTS,
        "open_circuit_v": _open_circuit(kernel),
        "ages": first,
    }
    ohm, wear = _pulses(kernel)
    charge_w, discharge_w = _limits(kernel)
    data["tables"] = {
        "resistance_ohm": ohm,
        "wear": wear,
        "charge_w": charge_w,
        "discharge_w": discharge_w,
        "charging_cost": _charging_cost(kernel),
        "rest_loss": rest_loss,
    } | _memory(kernel)
    _scale_ageing(kernel, data)
    return data


def _cells(
    kernel: Kernel, soc: Floats, temperature_c: float, *, years: float = FITTED_YEARS
) -> Packs:
    """Packs of one cell each, with the largest ratings of the chemistry."""
    c, chemistry = kernel.constants, kernel.options.of_chemistry
    full = np.full(len(soc), c["new_energy_wh"] / 1000)
    most = chemistry.charge_c_rate * full, chemistry.discharge_c_rate * full
    spec = PackSpec.of(full, c["mean_v"], *most)
    life = Life(age_years=years)
    return Packs(kernel, spec, soc, life, initial_temperature_c=temperature_c)


def _pass(packs: Packs, c_rate: Floats | float, temperature_c: float) -> BatteryTick:
    """Ask the power of a C-rate at the plug for a tick."""
    power_kw = c_rate * packs.spec.energy_kwh
    full = np.ones(packs.count)
    return packs.advance(0, Request(0 * full, power_kw * full, full, temperature_c * full))


def _open_circuit(kernel: Kernel) -> Floats:
    soc = np.linspace(0, 1, VOLTAGE_POINTS)
    found: list[Floats] = []
    for rate in (-PROBE_C_RATE, PROBE_C_RATE):
        tick = _pass(_cells(kernel, soc[1:-1], 25.0), rate, 25.0)
        held = tick.pack_energy_kwh - tick.pack_loss_kwh
        found.append(held * 1000 / np.where(tick.pack_charge_ah == 0, np.nan, tick.pack_charge_ah))
    c = kernel.constants
    return np.concatenate([[c["lower_v"]], np.nanmean(found, axis=0), [c["upper_v"]]])


def _cooling(kernel: Kernel) -> float:
    tick = _pass(_cells(kernel, np.array([0.5]), 40.0), 0.0, 10.0)
    left = (float(tick.vehicle_temperature_c[0]) - 10.0) / 30.0
    return -float(np.log(left)) * kernel.constants["heat_capacity_j_k"] / TICK_S


def _ages(kernel: Kernel) -> dict[str, Floats]:
    packs = [_cells(kernel, np.array([0.5]), 25.0, years=float(age)) for age in AGES]
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


def _rest_ageing(kernel: Kernel) -> tuple[float, float, Floats]:
    """Capacity lost and resistance gained at rest.

    Per metre of interphase, and the capacity that a tick takes beyond that, for side reactions
    that go with the state of charge, shape (soc, temperature).
    """
    c = kernel.constants
    start_m = sei_after(c, FITTED_YEARS)
    lost, grown = np.full((len(SOC), len(TEMPERATURE_C)), np.nan), np.zeros(len(TEMPERATURE_C))
    gained: list[float] = []
    for j, warm in enumerate(START_C):
        packs = _cells(kernel, SOC, warm)
        before, ratio = packs.soh, packs.resistance_ratio
        for _ in range(DAY_TICKS):
            _pass(packs, 0.0, warm)
        # The same square of the thickness at the reference temperature, later.
        pace = (sei_after(c, 1.0, warm) ** 2 - c["sei_initial_m"] ** 2) / YEAR_S
        grown[j] = (start_m**2 + pace * DAY_TICKS * TICK_S) ** 0.5 - start_m
        lost[:, j] = before - packs.soh
        gained.append(float(np.mean(packs.resistance_ratio - ratio)) / grown[j])
    at_25 = int(np.argmin(np.abs(TEMPERATURE_C - 25.0)))
    per_m = float(lost[0, at_25] / grown[at_25])
    more = np.maximum(_filled(lost - per_m * grown), 0) / DAY_TICKS
    return per_m, float(np.mean(gained)), more


def _pulses(kernel: Kernel) -> tuple[Floats, Floats]:
    """Resistance [Ohm] and wear of a tick from rest, shape (soc, temperature, 2, root)."""
    shape = (len(SOC), len(START_C), 2, len(ROOTS))
    ohm, wear, mean_c = (np.full(shape, np.nan) for _ in range(3))
    soc, root = (a.ravel() for a in np.meshgrid(SOC, ROOTS, indexing="ij"))
    grid = (len(SOC), len(ROOTS))
    new_ah = kernel.constants["new_capacity_ah"]
    for j, start_c in enumerate(START_C):
        idle = _cells(kernel, SOC, start_c)
        for _ in range(REST_TICKS + 1):
            _pass(idle, 0.0, start_c)
        for direction, sign in enumerate((-1, 1)):
            packs = _cells(kernel, soc, start_c)
            before = packs.soh
            tick = _pass(packs, sign * root**2, start_c)
            for _ in range(REST_TICKS):
                _pass(packs, 0.0, start_c)
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
    return np.exp(_filled(ohm)), np.maximum(_filled(wear), 0)


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


def _filled(table: Floats) -> Floats:
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


def _limits(kernel: Kernel) -> tuple[Floats, Floats]:
    """Power that rested cells of any rating hold through a tick [W], shape (soc, temperature)."""
    shape = (len(SOC), len(TEMPERATURE_C))
    charge, discharge = np.full(shape, np.nan), np.full(shape, np.nan)
    charge_a, discharge_a = np.full(shape, np.nan), np.full(shape, np.nan)
    for j, warm in enumerate(START_C):
        found = _foreseen(kernel, _cells(kernel, SOC, warm), warm)
        charge[:, j], discharge[:, j], charge_a[:, j], discharge_a[:, j] = found
    # A fuller cell never takes more, an emptier one never gives more: where it seems so, the
    # search for the limit stopped early.
    charge[charge_a < _running_max(charge_a[::-1])[::-1]] = np.nan
    discharge[discharge_a < _running_max(discharge_a)] = np.nan
    return _filled(charge), _filled(discharge)


def _foreseen(kernel: Kernel, packs: Packs, warm: float) -> Floats:
    """Power [W] and current [A] that packs hold, in and out, at the best of some ratings."""
    chemistry, new_ah = kernel.options.of_chemistry, kernel.constants["new_capacity_ah"]
    cells = Cells(kernel, packs.state()["states"])
    stored = packs.soc * packs.capacity_ah * 3600 / TICK_S
    room = (1 - packs.soc) * packs.capacity_ah * 3600 / TICK_S
    curves = chemistry.charge_derating, chemistry.discharge_derating
    into, out = (float(np.interp(warm, *np.array(curve).T)) for curve in curves)
    best = np.full((4, packs.count), np.nan)
    for rate in LIMIT_C_RATES:
        # Ratings that are these at this temperature.
        amperes = np.full(packs.count, rate * new_ah)
        into_a, out_a = amperes / max(into, 1e-9), amperes / max(out, 1e-9)
        found = cells.sustainable(stored, room, into_a, out_a)
        held = (found.charge_w, found.discharge_w, found.charge_a, found.discharge_a)
        for k, (values, share) in enumerate(zip(held, 2 * (into, out), strict=True)):
            if share > 0:
                best[k] = np.fmax(best[k], values)
    return best


def _running_max(table: Floats) -> Floats:
    return np.fmax.accumulate(table, axis=0) * (1 - 1e-3)


def _charging_cost(kernel: Kernel) -> Floats:
    """Wear of charging over the pack's price, shape (soc, temperature, rate) [1/kWh of 1 kWh]."""
    found = [
        _pass(_cells(kernel, SOC, warm), 0.0, warm).vehicle_wear_usd_per_kwh / Life().usd_per_kwh
        for warm in START_C
    ]
    table = np.full((len(SOC), len(TEMPERATURE_C), found[0].shape[1]), np.nan)
    table[:, : len(START_C)] = np.stack(found, axis=1)
    return _filled(table)


def _memory(kernel: Kernel) -> dict[str, Floats]:
    """Find what a tick remembers of the one before, tables of shape (soc, temperature)."""
    shape = (2, len(SOC), len(TEMPERATURE_C))
    volts, keep, watts = (np.full(shape, np.nan) for _ in range(3))
    new_ah = kernel.constants["new_capacity_ah"]
    for j, warm in enumerate(START_C):
        for direction, sign in enumerate((-1, 1)):
            begin = np.clip(SOC[1:-1] - sign * MEMORY_C_RATE * TICK_S / 3600, 0, 1)
            seen: list[Floats] = []
            for rests in PROBED_RESTS:
                packs = _cells(kernel, begin, warm)
                moved_ah = _pass(packs, sign * MEMORY_C_RATE, warm).pack_charge_ah
                for _ in range(rests):
                    _pass(packs, 0.0, warm)
                rate = moved_ah * 3600 / TICK_S / new_ah
                rate = np.where(np.abs(rate) > 0.5 * MEMORY_C_RATE, rate, np.nan)
                now_c = float(np.clip(packs.temperature_c.mean(), *AMBIENT_RANGE_C))
                rested = _cells(kernel, packs.soc, now_c)
                if rests == 0:
                    powers = (_foreseen(kernel, p, now_c)[1 - direction] for p in (packs, rested))
                    after, before = powers
                    more = np.where((after > 0) & (before > 0), after - before, np.nan)
                    # What moved one way leaves less room for more of it.
                    watts[direction, 1:-1, j] = sign * np.fmin(sign * more / rate, 0)
                more_v = _loss_v(_pass(packs, sign * 0.5 * MEMORY_C_RATE, now_c))
                more_v -= _loss_v(_pass(rested, sign * 0.5 * MEMORY_C_RATE, now_c))
                seen.append(more_v / rate)
            # What is remembered in all is the first over what is not kept.
            every = range(PROBED_RESTS[-1] + 1)
            whole = np.sum([_between(seen, rests) for rests in every], axis=0)
            keep[direction, 1:-1, j] = np.clip(1 - seen[0] / whole, 0.0, 0.9)
            volts[direction, 1:-1, j] = np.fmax(seen[0], 0)
    # One memory for both directions, the same at every state of charge.
    weight = np.abs(np.nan_to_num(volts)) * np.isfinite(keep)
    kept = (np.nan_to_num(keep) * weight).sum(axis=(0, 1))
    kept = _filled((kept / np.where(kept > 0, weight.sum(axis=(0, 1)), np.nan))[None])
    mean = np.nan_to_num(volts).sum(axis=0) / np.fmax(np.isfinite(volts).sum(axis=0), 1)
    mean[~np.isfinite(volts).any(axis=0)] = np.nan
    return {
        "memory_v": _filled(mean) / (1 - kept),
        "keep": np.repeat(kept, len(SOC), axis=0),
        "charge_memory_w": _filled(watts[1]) / (1 - kept),
        "discharge_memory_w": _filled(watts[0]) / (1 - kept),
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


def _scale_ageing(kernel: Kernel, data: dict[str, Any]) -> None:
    """Scale what cycles wear so that training days lose what SPMe cells lose in them."""
    constants, tables = data["constants"], data["tables"]
    scales: list[float] = []
    gained, cycled = 0.0, 0.0
    for warm in TRAINING_C:
        lost, drawn = 0.0, 0.0
        for situation in TRAINING:
            day = drive(kernel, situation, warm, TRAINING_SEED)
            circuit = Circuit.of(kernel.options.chemistry, data)
            packs, same = replay(circuit, day)
            grown = packs.state()["sei_m"] - sei_after(kernel.constants, FITTED_YEARS)
            seen = (same.of(f"vehicle_{name}").ravel() for name in ("soc", "temperature_c"))
            rest = float(circuit.at(circuit.place(*seen))[FLAT.index("rest_loss")].sum())
            rest += constants["soh_per_m"] * float(grown.sum())
            lost += float((day.start_soh - day.ticks[-1].vehicle_soh).sum() - rest)
            drawn += float((same.start_soh - same.ticks[-1].vehicle_soh).sum() - rest)
            more = day.ticks[-1].vehicle_resistance_ratio - day.start_ratio
            gained += float((more - constants["ratio_per_m"] * grown).sum())
        cycled += lost
        scales.append(lost / drawn)
    scale = np.interp(TEMPERATURE_C, TRAINING_C, scales)
    tables["wear"] *= scale[:, None, None]
    constants["ratio_per_cycled"] = gained / cycled


def render(chemistry: str, data: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Write the file of a circuit."""
    lines = [
        "# Written by python -m adapters.pybamm.fit; do not edit.",
        f"# Equivalent circuit of a cell, fitted to SPMe: {CHEMISTRIES[chemistry].label}.",
        "# Tables go along state of charge (0 to 1), temperature, then direction (discharge,",
        "# charge) and root of the C-rate, or the C-rates of wear; equal steps.",
        *(f"{name} = {_row(data[name])}" for name in ("temperatures_c", "roots")),
        f"open_circuit_v = {_row(data['open_circuit_v'], '.4f')}",
        "",
        "[constants]",
        *(f"{name} = {value:.8g}" for name, value in data["constants"].items()),
        "",
        "[ages]",
        *(f"{name} = {_row(values, '.7g')}" for name, values in data["ages"].items()),
        "",
        "[tables]",
    ]
    for name, table in data["tables"].items():
        lines.append(f"{name} = [")
        # The sum makes zero of minus zero.
        rows = (np.round(table, 12) + 0.0).tolist()
        lines += [f"  {_nested(row)}," for row in rows]
        lines.append("]")
    for situation, values in found.items():
        lines += ["", f"[errors.{situation}]"]
        lines += [f"{name} = {value:.3g}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _row(values: NDArray[np.float64], form: str = "g") -> str:
    return "[" + ", ".join(format(float(value), form) for value in values) + "]"


def _nested(values: Any) -> str:
    if isinstance(values, list):
        return "[" + ", ".join(_nested(value) for value in values) + "]"
    return f"{values:.4g}"


PAGE = Path(__file__).with_name("RESERVOIR.md")
SHOWN = {
    "soc_end_rms": "state of charge at the end of the day, rms",
    "soc_end_worst": "the same, worst vehicle",
    "drawn_of_pack": "energy drawn at the plug over the pack's, SPMe",
    "drawn_error_of_pack": "its error, mean",
    "loss_pct": "losses [%]",
    "temperature_rms_k": "temperature, rms [K]",
    "temperature_worst_k": "temperature, worst [K]",
    "charge_limit_rms_pct": "charging limit, rms [% of the rating]",
    "discharge_limit_rms_pct": "discharging limit, rms [% of the rating]",
    "capacity_loss_per_day": "capacity lost in the day, SPMe",
    "capacity_loss_pct": "its error [%]",
    "capacity_loss_correlation": "its correlation over vehicles",
    "wear_usd_at_1c": "wear of charging at 1C, SPMe, median [USD/kWh]",
    "wear_error_at_1c_usd": "its error",
}
"""Errors on the page and what they are."""


def page() -> str:
    """Write the page of the errors that the files of the circuits state."""
    lines = [
        "# Errors of the reservoir kind",
        "",
        "Written by `python -m adapters.pybamm.fit`. "
        "Days that are not in the fit, each of 200 vehicles and 288 ticks: SPMe packs drive, "
        "charge and feed back, and circuits are asked the same again, with nobody to correct "
        "them. Packs at 100 USD/kWh.",
    ]
    for chemistry, cell in CHEMISTRIES.items():
        found = tomllib.loads(path_of(chemistry).read_text(encoding="utf-8"))["errors"]
        days = [f"{name}, {SITUATIONS[name]:g} degC" for name in found]
        lines += ["", f"## {chemistry}: {cell.label}", ""]
        lines += [f"| error | {' | '.join(days)} |", "|---" * (len(days) + 1) + "|"]
        for name, words in SHOWN.items():
            values = " | ".join(f"{values[name]:.3g}" for values in found.values())
            lines.append(f"| {words} | {values} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Fit, measure and write every chemistry, and the page of their errors."""
    for chemistry in CHEMISTRIES:
        kernel = load(CellOptions(model="SPMe", chemistry=chemistry))
        data = fit(kernel)
        # The errors are those of the figures as they are written.
        written = Circuit.of(chemistry, tomllib.loads(render(chemistry, data, {})))
        text = render(chemistry, data, measure(kernel, written))
        path_of(chemistry).write_text(text, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
