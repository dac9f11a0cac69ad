"""What is told of packs of cells that leave the range of their model, and that range."""

from __future__ import annotations

import numpy as np

from adapters.pybamm.cells import CellTick, CellView
from adapters.pybamm.constants import ZERO_C_K
from adapters.pybamm.spec import SOH_RANGE, TEMPERATURE_RANGE_C, Life, Quantity
from adapters.pybamm.tick import Floats
from cosim.signals import TICK_S

VOLTAGE_MARGIN_V = 0.3
"""How far a voltage may lie outside its limits before the cell counts as broken [V]. The current is
held within the limits where a step begins; a cell emptied at 6C leaves them by 0.15 V within it."""
FINITE = {"sum of all states": (-np.inf, np.inf)}
"""What a cell must be before anything else can be told of it."""
BOUNDS = {
    # Side reactions go on in a cell that stands empty and take it below 0 %: its graphite has no
    # lithium left at -2.9 % (NMC) and -2.2 % (LFP).
    "negative stoichiometry": (1e-3, 1.0),
    # Above 1 by rounding and ageing.
    "state of charge": (-np.inf, 1.005),
    "temperature": TEMPERATURE_RANGE_C,
    "state of health": SOH_RANGE,
    "cyclable lithium": (0.5, 1 + 1e-6),
    "error of the lithium balance": (-1e-6, 1e-6),
}
"""For which states of cells the model means anything; lithium is over that of the new cell."""
TICK_BOUNDS = {"power": (-np.inf, np.inf), "voltage outside the limits": (0.0, VOLTAGE_MARGIN_V)}
"""The same for what cells did in a tick."""


def whole(states: Floats) -> dict[str, Quantity]:
    """Return what is finite if all states of a cell are, shape (states, cell)."""
    return {"sum of all states": (states.sum(axis=0), "")}


def of_cells(view: CellView, life: Life) -> dict[str, Quantity]:
    """Return what can be told of cells from their states alone."""
    return {
        "temperature": (view.temperature_k - ZERO_C_K, "degC"),
        "negative stoichiometry": (view.negative, ""),
        "positive stoichiometry": (view.positive, ""),
        "acceleration of ageing": (np.full(len(view.negative), life.acceleration), ""),
    }


def of_tick(
    passed: CellTick, asked_kw: Floats, cells: Floats, limits_v: tuple[float, float], soc: Floats
) -> dict[str, Quantity]:
    """Return what packs were asked and did in a tick.

    Parameters
    ----------
    passed
        What went through their cells.
    asked_kw
        Power asked at the terminals, positive into the pack, shape (pack,) [kW].
    cells
        Number of cells of each pack, shape (pack,).
    limits_v
        Lower and upper limit of the voltage of a cell [V].
    soc
        State of charge at the begin, shape (pack,).
    """
    # The voltage of a cell that stands empty falls on.
    below_v = np.where(soc < 0, 0, limits_v[0] - passed.lowest_v)
    outside_v = np.maximum(np.maximum(below_v, passed.highest_v - limits_v[1]), 0)
    return {
        "power": (passed.energy_j * cells / TICK_S / 1000 + 0.0, "kW"),
        "power asked": (asked_kw + 0.0, "kW"),
        "lowest voltage": (passed.lowest_v, "V"),
        "highest voltage": (passed.highest_v, "V"),
        "voltage outside the limits": (outside_v, "V"),
    }
