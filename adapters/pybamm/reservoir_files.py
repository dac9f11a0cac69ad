"""What a fit leaves in this folder: the file of each circuit, and the page of their errors."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import path_of
from adapters.pybamm.days import SITUATIONS

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
    "charge_wear_usd_at_1c": "wear told of charging at 1C, SPMe, median [USD/kWh]",
    "charge_wear_usd_at_1c_circuit": "the same, circuits",
    "discharge_wear_usd_at_0_5c": "wear told of discharging at 0.5C, SPMe, median [USD/kWh]",
    "discharge_wear_usd_at_0_5c_circuit": "the same, circuits",
}
"""Errors on the page and what they are."""


def render(chemistry: str, data: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Write the file of a circuit."""
    lines = [
        "# Written by python -m adapters.pybamm.fit; do not edit.",
        f"# Equivalent circuit of a cell, fitted to SPMe: {CHEMISTRIES[chemistry].label}.",
        "# Tables go along state of charge (0 to 1), temperature, then direction (discharge,",
        "# charge) and root of the C-rate; equal steps.",
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


def page() -> str:
    """Write the page of the errors that the files of the circuits state."""
    lines = [
        "# Errors of the reservoir kind",
        "",
        "Written by `python -m adapters.pybamm.fit`. "
        "Days that are not in the fit, each of 200 vehicles and 288 ticks: SPMe packs drive, "
        "charge and feed back, and circuits are asked the same again, with nobody to correct "
        "them. Packs at 100 USD/kWh.",
        "",
        "What no such day shows: circuits have no knee. Cells that lost much of their graphite "
        "lose the rest ever faster, circuits at the pace of the fitted, one-year-old cell: in "
        "accelerated ageing a circuit stood at a state of health of 0.76 where the SPMe cell had "
        "left the range of its model. Below some 0.8 use `spme`. Limits age by one power of the "
        "resistance: within 8 % of cells of 0 to 15 years on discharge, 18 % on charge.",
        "",
        "Wear told: SPMe cells tell what a kilowatt-hour costs in the tick in which it moves, "
        "circuits what it costs in all, with the hour after, as they lose it themselves. The table "
        "shows both.",
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


def _row(values: NDArray[np.float64], form: str = "g") -> str:
    return "[" + ", ".join(format(float(value), form) for value in values) + "]"


def _nested(values: Any) -> str:
    if isinstance(values, list):
        return "[" + ", ".join(_nested(value) for value in values) + "]"
    return f"{values:.4g}"
