"""Fits the circuits of ``reservoir`` to SPMe cells and measures their errors on held-out days.

``python -m adapters.pybamm.fit`` writes ``reservoir_nmc.toml``, ``reservoir_lfp.toml`` and the page
of their errors beside this file; it takes about half a minute and gives the same figures again.
"""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np

from adapters.pybamm.ageing import sei_after
from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import FLAT, Circuit, path_of
from adapters.pybamm.constants import YEAR_S
from adapters.pybamm.days import drive, measure, replay
from adapters.pybamm.experiments import (
    FITTED_YEARS,
    TEMPERATURE_C,
    limits_aged,
    open_circuit_v,
    power_limits_w,
    rest_ageing,
    single_cells,
    stored_ages,
)
from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.pulses import ROOTS, memory, resistance_and_wear
from adapters.pybamm.reservoir_files import PAGE, page, render

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
    per_m, ratio_per_m, rest_loss = rest_ageing(kernel)
    charge_aged, discharge_aged = limits_aged(kernel)
    constants = {name: c[name] for name in (
        "new_capacity_ah", "new_energy_wh", "mean_v", "lower_v", "upper_v", "new_resistance_ohm",
        "heat_capacity_j_k", "sei_initial_m", "sei_activation_j_mol",
    )} | {
        "sei_growth_m2_s": (sei_after(c, 1.0) ** 2 - c["sei_initial_m"] ** 2) / YEAR_S,
        "fitted_ratio": float(single_cells(kernel, np.array([0.5]), 25.0).resistance_ratio[0]),
        "soh_per_m": per_m,
        "ratio_per_m": ratio_per_m,
        "ratio_per_cycled": 0.0,
        "charge_limit_aged": charge_aged,
        "discharge_limit_aged": discharge_aged,
    }  # fmt: skip
    data: dict[str, Any] = {
        "constants": constants,
        "temperatures_c": TEMPERATURE_C,
        "roots": ROOTS,
        "open_circuit_v": open_circuit_v(kernel),
        "ages": stored_ages(kernel),
    }
    ohm, wear = resistance_and_wear(kernel)
    charge_w, discharge_w = power_limits_w(kernel)
    data["tables"] = {
        "resistance_ohm": ohm,
        "wear": wear,
        "charge_w": charge_w,
        "discharge_w": discharge_w,
        "rest_loss": rest_loss,
    } | memory(kernel)
    _scale_ageing(kernel, data)
    return data


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
