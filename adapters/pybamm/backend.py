"""Who does the array functions of a cell model: C where there is a compiler, else numpy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from adapters.pybamm import compiler, numpy_code
from adapters.pybamm.tape import from_arrays
from cosim.errors import BatteryError, UnknownOptionError

Function = Callable[..., None]
"""Works on float64 arrays (rows, cell), contiguous over cells: its arguments, then the rows for the
results."""

BACKENDS = ("c", "numpy")
VARIABLE = "VOLTSTEP_BATTERY_BACKEND"
"""Environment variable that asks for one of `BACKENDS`."""


@dataclass(frozen=True)
class Backend:
    """The functions of a cell model, ready to be called."""

    name: str
    """One of `BACKENDS`."""
    detail: str
    """The compiler and its version, or why there is none."""
    functions: Mapping[str, Function]


def of_environment() -> str | None:
    """Return the backend that the environment asks for, or None."""
    return os.environ.get(VARIABLE) or None


def missing(name: str) -> str:
    """Return why there is no such backend here, empty if there is."""
    if name == "c":
        try:
            compiler.find()
        except compiler.CompilerError as error:
            return str(error)
    return ""


def load(arrays: Mapping[str, NDArray[Any]], asked: str | None = None) -> Backend:
    """Return the functions whose tapes are among the arrays.

    Parameters
    ----------
    arrays
        As `lowering.arrays` gave them; others are left alone.
    asked
        One of `BACKENDS`; if None, what the environment variable `VARIABLE` says; if that is not
        set, C where it can be compiled.

    Raises
    ------
    cosim.errors.UnknownOptionError
        If there is no such backend.
    cosim.errors.BatteryError
        If C is asked for and cannot be compiled.
    KeyError, ValueError
        If the arrays are no tapes.
    """
    asked = asked or of_environment()
    if asked not in (None, *BACKENDS):
        raise UnknownOptionError(VARIABLE, asked, BACKENDS)
    ending = ".operations"
    names = sorted(name.removesuffix(ending) for name in arrays if name.endswith(ending))
    tapes = {name: from_arrays(name, arrays) for name in names}
    if asked == "numpy":
        return Backend("numpy", "asked for", numpy_code.load(tapes))
    try:
        found = compiler.find()
        return Backend("c", str(found), compiler.load(tapes, _digest(arrays, names), found))
    except compiler.CompilerError as error:
        if asked == "c":
            raise BatteryError(f"the C backend was asked for: {error}") from error
        return Backend("numpy", str(error), numpy_code.load(tapes))


def _digest(arrays: Mapping[str, NDArray[Any]], names: list[str]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        if key.partition(".")[0] in names:
            array = arrays[key]
            digest.update(f"{key} {array.dtype} {array.shape} ".encode() + array.tobytes())
    return digest.hexdigest()
