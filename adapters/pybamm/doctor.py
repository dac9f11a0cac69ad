"""Whether the batteries work on this machine."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from adapters.pybamm.kernel import cache_path, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from cosim.errors import VoltstepError
from cosim.health import Check

LG_M50_CAPACITY_AH = 5.153
"""Capacity of the new Chen2020 cell between 2.5 and 4.2 V at open circuit, PyBaMM 26.10."""


def check() -> list[Check]:
    """Check the engine's version, the cache and a cell against known figures.

    Returns
    -------
    list of Check
        One row each; nothing is raised.
    """
    rows = [Check("PyBaMM", True, f"{metadata.version('pybamm')} with CasADi "
                                  f"{metadata.version('casadi')}")]  # fmt: skip
    options = CellOptions()
    cached = cache_path(options).is_file()
    try:
        kernel = load(options)
        detail = f"{'found in' if cached else 'built into'} {cache_path(options).parent}"
        rows.append(Check("battery model", True, detail))
        rows.append(_backend(kernel.backend, kernel.backend_detail))
        rows.append(_capacity(kernel.constants["new_capacity_ah"]))
        rows.append(_self_test(Packs(kernel, [75.0], [400.0], [0.5], [150.0], [300.0])))
    except (VoltstepError, OSError, ImportError) as error:
        rows.append(Check("battery model", False, str(error)))
    return rows


def _backend(name: str, detail: str) -> Check:
    words = {"c": f"compiled by {detail}", "numpy": f"numpy, slower than C: {detail}"}
    return Check("battery backend", True, words[name])


def _capacity(found_ah: float) -> Check:
    ok = abs(found_ah - LG_M50_CAPACITY_AH) < 2e-3
    return Check(
        "battery capacity of a cell", ok, f"{found_ah:.3f} Ah, expected {LG_M50_CAPACITY_AH} Ah"
    )


def _self_test(packs: Packs) -> Check:
    """Charge for an hour and discharge for an hour: charge is counted, energy is lost."""
    start = packs.soc[0]
    counted = lost = 0.0
    for tick in range(24):
        found = packs.advance(tick, 0.0, 20.0 if tick < 12 else -20.0, 1.0, 20.0)
        counted += float(np.sum(found.pack_charge_ah / found.cell_capacity_ah))
        lost += float(found.pack_loss_kwh[0])
    error = abs(packs.soc[0] - start - counted)
    share = lost / 40
    ok = error < 1e-5 and 0.005 < share < 0.05
    return Check(
        "battery charged and discharged by 20 kWh",
        bool(ok),
        f"state of charge {error:.1e} from its coulomb count, {100 * share:.1f} % lost",
    )
