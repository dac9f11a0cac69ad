"""The cell model of a run: loaded from the cache, or built once and put there.

A warm start reads one file and imports neither PyBaMM nor CasADi.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from adapters.pybamm.options import CellOptions
from cosim.paths import cache_dir

Rows = Sequence[NDArray[np.float64]]
"""One array over cells per quantity."""

_BUILDERS = ("build.py", "constants.py", "export.py", "method.py", "parameters.py", "tape.py")
_LITHIUM_MIDDLE, _LITHIUM_HALF = 0.8, 0.2


@dataclass(frozen=True)
class Kernel:
    """A cell model as array functions and constants.

    The functions work on lists of equal arrays over cells, in place:
    ``steps[i](x, q, r, w)``, ``observe(x, r, w)``, ``predict(x, q, r, w)``, see ``method`` for what
    the rows of q and r are. Currents and powers are positive on discharge in them.
    """

    options: CellOptions
    """What was built."""
    constants: Mapping[str, float]
    """Capacities, voltage limits, ageing constants; the names say their units."""
    states: int
    """Number of states of a cell."""
    work: int
    """Scratch rows that the functions need."""
    steps: tuple[Callable[[Rows, Rows, Rows, Rows], None], ...]
    """One for each of the options' substeps."""
    observe: Callable[[Rows, Rows, Rows], None]
    predict: Callable[[Rows, Rows, Rows, Rows], None]
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


def load(options: CellOptions | None = None) -> Kernel:
    """Return the kernel of the options, from the cache if it is there.

    Parameters
    ----------
    options
        The cell model; the default one if None.

    Returns
    -------
    Kernel
        Ready to step cells.

    Raises
    ------
    cosim.errors.BatteryError
        If the model cannot be built.
    """
    options = options or CellOptions()
    path = cache_path(options)
    try:
        return _read(options, path.read_bytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # Absent or damaged: built anew.
        pass
    from adapters.pybamm.build import build

    data = build(options)
    _write(path, data)
    return _read(options, data)


def cache_path(options: CellOptions) -> Path:
    """File of the options' kernel: its name changes with whatever the kernel depends on."""
    folder = Path(__file__).parent
    key = {
        "options": options.as_dict(),
        "versions": {name: metadata.version(name) for name in ("pybamm", "casadi")},
        "builders": {
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in _BUILDERS
        },
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_dir() / "battery" / f"{options.parameter_set}-{digest[:24]}.npz"


def step_name(length_s: float) -> str:
    """Return the name of the array function that steps by this length."""
    return "step_" + format(length_s, "g").replace(".", "_").replace("-", "m")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _read(options: CellOptions, data: bytes) -> Kernel:
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        parts: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    names: dict[str, Any] = {
        name: getattr(np, name)
        for name in ("array", "copyto", "add", "subtract", "multiply", "divide", "power",
                     "minimum", "maximum", "less", "less_equal", "equal", "not_equal",
                     "negative", "exp", "log", "sqrt", "square", "absolute", "tanh", "sinh",
                     "cosh", "sin", "cos", "arcsinh", "sign", "reciprocal")
    }  # fmt: skip
    # The source was written by this package's own emitter into the user's own cache folder.
    exec(compile(parts["source"].tobytes(), "<cell kernel>", "exec"), names)  # noqa: S102
    step_names = [step_name(length) for length in options.substeps_s]
    prefix = "constant_"
    return Kernel(
        options=options,
        constants={
            name.removeprefix(prefix): float(value)
            for name, value in parts.items()
            if name.startswith(prefix)
        },
        states=parts["rest"].shape[1],
        work=max(names[f"{name}_WORK"] for name in (*step_names, "observe", "predict")),
        steps=tuple(names[name] for name in step_names),
        observe=names["observe"],
        predict=names["predict"],
        rest_matrix=parts["rest"],
        sei_index=int(parts["sei"][0]),
        sei_unit_m=float(parts["sei"][1]),
        empty_series=parts["empty"],
        full_series=parts["full"],
    )
