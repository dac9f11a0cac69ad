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
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from adapters.pybamm import backend as backends
from adapters.pybamm import cache
from adapters.pybamm.backend import Function
from adapters.pybamm.options import CellOptions

_RUNTIME = (
    "ageing.py", "backend.py", "bench.py", "c_code.py", "cache.py", "cells.py", "compiler.py",
    "doctor.py", "numpy_code.py", "packs.py", "simulator.py",
)  # fmt: skip
"""Modules on which a built model does not depend."""
_LITHIUM_MIDDLE, _LITHIUM_HALF = 0.8, 0.2


@dataclass(frozen=True)
class Kernel:
    """A cell model as array functions and constants.

    The functions work on float64 arrays (rows, cell), contiguous over cells, in place:
    ``steps[i](x, q, r)``, ``observe(x, r)``, ``predict(x, q, r)``, see ``method`` for what the rows
    of q and r are. Currents and powers are positive on discharge in them.
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
    steps: tuple[Function, ...]
    """One for each of the options' substeps."""
    observe: Function
    predict: Function
    rest_matrix: NDArray[np.float64]
    sei_index: int
    sei_unit_m: float
    empty_series: NDArray[np.float64]
    full_series: NDArray[np.float64]

    def balance(
        self, lithium_fraction: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Negative stoichiometries at 0 and 100 % state of charge.

        Parameters
        ----------
        lithium_fraction
            Cyclable lithium over that of the new cell, 0.6 to 1.

        Returns
        -------
        tuple
            Two arrays of the shape given, equal to PyBaMM's electrode state of health.
        """
        at = (lithium_fraction - _LITHIUM_MIDDLE) / _LITHIUM_HALF
        return (
            np.asarray(chebyshev.chebval(at, self.empty_series), dtype=np.float64),
            np.asarray(chebyshev.chebval(at, self.full_series), dtype=np.float64),
        )

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
        x[self.sei_index] = sei_m / self.sei_unit_m
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
        "versions": {name: metadata.version(name) for name in ("pybamm", "casadi")},
        "builders": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in builders},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache.folder() / f"{options.parameter_set}-{digest[:24]}.npz"


def step_name(length_s: float) -> str:
    """Return the name of the array function that steps by this length."""
    return "step_" + format(length_s, "g").replace(".", "_").replace("-", "m")


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
        steps=tuple(loaded.functions[step_name(length)] for length in options.substeps_s),
        observe=loaded.functions["observe"],
        predict=loaded.functions["predict"],
        rest_matrix=parts["rest"],
        sei_index=int(parts["sei"][0]),
        sei_unit_m=float(parts["sei"][1]),
        empty_series=parts["empty"],
        full_series=parts["full"],
    )
