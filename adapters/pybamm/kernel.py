"""The cell model of a run: loaded from the cache, or built once and put there.

A warm start reads one file and imports neither PyBaMM nor CasADi.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm import backend as backends
from adapters.pybamm import cache
from adapters.pybamm.backend import Function
from adapters.pybamm.options import CellOptions

_RUNTIME = (
    "ageing.py", "backend.py", "balance.py", "batches.py", "bench.py", "c_code.py", "cache.py",
    "cells.py", "checks.py", "chemistry_page.py", "circuit.py", "circuit_ageing.py",
    "circuit_step.py", "compiler.py", "days.py", "doctor.py", "experiments.py", "fit.py",
    "fleet.py", "lithium.py", "mounting.py", "numpy_batches.py", "numpy_code.py", "packs.py",
    "pulses.py", "reservoir.py", "reservoir_files.py", "simulator.py", "slots.py", "spec.py",
    "tick.py", "watch.py",
)  # fmt: skip
"""Modules on which a built model does not depend."""


@dataclass(frozen=True)
class Kernel:
    """A cell model as array functions and constants.

    The functions work on float64 arrays (rows, cell), contiguous over cells, in place:
    ``step(x, q, r)``, ``predict(x, q, r)``, ``wear(x, q, r)``, ``balance(q, r)``,
    ``observe(x, r)``, ``resistance(x, r)`` and ``particle_energy(x, r)``; see ``method``,
    ``limits``, ``condition`` and ``export`` for what the rows of q and r are. Currents and powers
    are positive on discharge.
    """

    options: CellOptions
    """What was built."""
    backend: str
    """Who does the array functions, one of `backend.BACKENDS`."""
    backend_detail: str
    """The compiler and its version, or why there is none."""
    constants: Mapping[str, float]
    """Capacities, voltage limits, ageing constants; the names say their units."""
    states: int
    """Number of states of a cell."""
    step: Function
    observe: Function
    predict: Function
    balance: Function
    resistance: Function
    particle_energy: Function
    wear: Function
    rest_matrix: NDArray[np.float64]
    """Rows that give the state at rest as ``[1, x, y, T] @ rest_matrix``."""
    interphase: NDArray[np.float64]
    """Index of the interphase among the states and its units per metre; a row for that on the
    particles and one for that on cracks."""
    ageing: NDArray[np.int64]
    """Indices of the states that ageing moves."""

    def at_rest(
        self,
        negative: NDArray[np.float64],
        positive: NDArray[np.float64],
        temperature_k: NDArray[np.float64],
        sei_m: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """States (states, cell) of cells in equilibrium with these stoichiometries and SEI."""
        base = self.rest_matrix
        x = (
            base[0][:, None]
            + base[1][:, None] * negative
            + base[2][:, None] * positive
            + base[3][:, None] * temperature_k
        )
        for index, units_per_m in self.interphase:
            x[int(index)] = sei_m * units_per_m
        return np.ascontiguousarray(x)


def load(options: CellOptions | None = None, backend: str | None = None) -> Kernel:
    """Return the kernel of the options, from the cache if it is there.

    Parameters
    ----------
    options
        The cell model; the default one if None.
    backend
        ``c`` or ``numpy``; if None, what the environment variable `backend.VARIABLE` says; if that
        is not set, C where it can be compiled.

    Returns
    -------
    Kernel
        Ready to step cells.

    Raises
    ------
    cosim.errors.BatteryError
        If the model cannot be built, or not with the backend asked for.
    cosim.errors.UnknownOptionError
        If there is no such backend.
    """
    options = options or CellOptions()
    path = cache_path(options)
    try:
        return _read(options, cache.read(path), backend)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # Absent, damaged or not ours: built anew.
        pass
    from adapters.pybamm.build import build

    data = build(options)
    cache.write(path, data)
    return _read(options, data, backend)


def cache_path(options: CellOptions) -> Path:
    """File of the options' kernel: its name changes with whatever the kernel depends on."""
    folder = Path(__file__).parent
    builders = sorted(path for path in folder.glob("*.py") if path.name not in _RUNTIME)
    key = {
        "options": options.as_dict(),
        # Its figures come from `networks.batteries`, whose files are not among the builders.
        "chemistry": repr(options.of_chemistry),
        "versions": {name: metadata.version(name) for name in ("pybamm", "casadi")},
        "builders": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in builders},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache.folder() / f"{options.model}-{options.chemistry}-{digest[:24]}.npz"


def _read(options: CellOptions, data: bytes, backend: str | None) -> Kernel:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        parts: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    loaded = backends.load(parts, backend)
    prefix = "constant_"
    return Kernel(
        options=options,
        backend=loaded.name,
        backend_detail=loaded.detail,
        constants={
            name.removeprefix(prefix): float(value)
            for name, value in parts.items()
            if name.startswith(prefix)
        },
        states=parts["rest"].shape[1],
        **loaded.functions,
        rest_matrix=parts["rest"],
        interphase=parts["interphase"],
        ageing=parts["ageing"],
    )
