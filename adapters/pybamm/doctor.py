"""Whether the batteries work on this machine."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.kernel import cache_path, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import PackSpec
from adapters.pybamm.tick import Request
from cosim.errors import VoltstepError
from cosim.health import Check

CAPACITY_AH = {"nmc": 5.153, "lfp": 2.303}
"""Capacity of the new cells between their voltage limits at open circuit, by PyBaMM 26.10's own
electrode state of health."""


def check() -> list[Check]:
    """Check the engine's version, the cache and a cell of each chemistry against known figures.

    Returns
    -------
    list of Check
        Rows; nothing is raised.
    """
    rows = [Check("PyBaMM", True, f"{metadata.version('pybamm')} with CasADi "
                                  f"{metadata.version('casadi')}")]  # fmt: skip
    try:
        for name in CHEMISTRIES:
            rows += _of_chemistry(name)
    except (VoltstepError, OSError, ImportError) as error:
        rows.append(Check("battery model", False, str(error)))
    return rows


def _of_chemistry(name: str) -> list[Check]:
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
