"""Whether the batteries work on this machine."""

from __future__ import annotations

import tomllib
from importlib import metadata

import numpy as np

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import TICK_S, circuit, path_of
from adapters.pybamm.kernel import cache_path, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import PackSpec
from adapters.pybamm.tick import Request
from cosim.errors import VoltstepError
from cosim.health import Check

CAPACITY_AH = {"nmc": 5.153, "lfp": 2.303}
"""Capacity of the new cells between their voltage limits at open circuit, by PyBaMM 26.10's own
electrode state of health."""
TABLE_PLACE = (10, 1, 1)
"""Where the tick of a circuit is in its tables: half charge, charging, second of the C-rates."""


def check() -> list[Check]:
    """Check engine, cache, and a cell and a circuit of each chemistry against known figures.

    Returns
    -------
    list of Check
        Rows; nothing is raised.
    """
    rows = [Check("PyBaMM", True, f"{metadata.version('pybamm')} with CasADi "
                                  f"{metadata.version('casadi')}")]  # fmt: skip
    # Circuits need no engine: whatever is wrong with the cells, their row is there.
    for what, examine in {"model": _cells, "circuit": _circuit}.items():
        for name in CHEMISTRIES:
            try:
                rows += examine(name)
            except (VoltstepError, OSError, ImportError, LookupError, ValueError) as error:
                rows.append(Check(f"battery {what}, {name}", False, str(error)))
    return rows


def _cells(name: str) -> list[Check]:
    options = CellOptions(model="SPMe", chemistry=name)
    cached = cache_path(options).is_file()
    kernel = load(options)
    where = f"{'found in' if cached else 'built into'} {cache_path(options).parent}"
    rows = [Check(f"battery model, {name}", True, where)]
    if name == next(iter(CHEMISTRIES)):
        rows.append(_backend(kernel.backend, kernel.backend_detail))
    rows.append(_capacity(name, kernel.constants["new_capacity_ah"]))
    spec = PackSpec.of([75.0], [400.0], [150.0], [200.0])
    rows.append(_self_test(name, Packs(kernel, spec, [0.5])))
    return rows


def _backend(name: str, detail: str) -> Check:
    words = {"c": f"compiled by {detail}", "numpy": f"numpy, slower than C: {detail}"}
    return Check("battery backend", True, words[name])


def _capacity(name: str, found_ah: float) -> Check:
    expected = CAPACITY_AH[name]
    detail = f"{found_ah:.3f} Ah, expected {expected} Ah"
    return Check(f"battery capacity of a cell, {name}", abs(found_ah - expected) < 2e-3, detail)


def _self_test(name: str, packs: Packs) -> Check:
    """Charge for an hour and discharge for an hour: charge is counted, energy is lost."""
    start = packs.soc[0]
    counted = lost = 0.0
    one = np.ones(1)
    for tick in range(24):
        plug = 20 * one if tick < 12 else -20 * one
        found = packs.advance(tick, Request(0 * one, plug, one, 20 * one))
        counted += float(np.sum(found.pack_charge_ah / found.cell_capacity_ah))
        lost += float(found.pack_loss_kwh[0])
    error = abs(packs.soc[0] - start - counted)
    share = lost / 40
    return Check(
        f"battery charged and discharged by 20 kWh, {name}",
        bool(error < 1e-4 and 0.005 < share < 0.05),
        f"state of charge {error:.1e} from its coulomb count, {100 * share:.1f} % lost",
    )


def _circuit(name: str) -> list[Check]:
    """Charge a cell from rest for a tick: the resistance that its file states lies in its way."""
    data = tomllib.loads(path_of(name).read_text(encoding="utf-8"))
    c, tables = data["constants"], data["tables"]
    at_soc, direction, at_root = TABLE_PLACE
    cell_kwh, new_ah = c["new_energy_wh"] / 1000, c["new_capacity_ah"]
    spec = PackSpec.of([cell_kwh], [c["mean_v"]], [10 * cell_kwh], [10 * cell_kwh])
    one, hours = np.ones(1), TICK_S / 3600
    packs = Reservoirs(circuit(name), spec, [0.5])
    plug_kw = data["roots"][at_root] ** 2 * cell_kwh * one
    tick = packs.advance(0, Request(0 * one, plug_kw, one, 20 * one))
    current_a = float(tick.pack_charge_ah[0]) / hours
    found_ohm = float(tick.pack_loss_kwh[0]) * 1000 / hours / current_a**2
    mean_c = 0.5 * (20 + float(tick.vehicle_temperature_c[0]))
    line = [row[direction][at_root] for row in tables["resistance_ohm"][at_soc]]
    expected_ohm = float(np.interp(mean_c, data["temperatures_c"], line))
    ok = abs(found_ohm / expected_ohm - 1) < 0.01 and abs(new_ah - CAPACITY_AH[name]) < 2e-3
    found, expected = (
        f"{1000 * ohm:.1f} mOhm and {capacity_ah:.3f} Ah"
        for ohm, capacity_ah in ((found_ohm, new_ah), (expected_ohm, CAPACITY_AH[name]))
    )
    return [
        Check(f"battery circuit charged for a tick, {name}", ok, f"{found}, expected {expected}")
    ]
