"""The C backend: finds a compiler, compiles the tapes, keeps and loads the library."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm import c_code, cache
from adapters.pybamm.tape import Tape, check_rows
from cosim.errors import VoltstepError

Floats = NDArray[np.float64]

NAMES = ("cc", "gcc", "clang")
"""Compilers that are looked for where ``CC`` is not set."""
SCHEDULE = ("-fschedule-insns", "-fsched-pressure")
"""Operations that do not wait for each other side by side, as far as registers last: a fifth off a
step with GCC, which does not do so by itself on x86."""
VARIANTS = (("-march=native", *SCHEDULE), ("-march=native",), ("-mcpu=native",), ())
"""How to ask for the instructions of this machine; the first that the compiler knows is used."""
FLAGS = (
    "-std=gnu11", "-O2", "-fPIC", "-w", "-ffp-contract=fast", "-fno-math-errno",
    "-fno-trapping-math",
)  # fmt: skip
"""None of them lets the compiler reorder sums or assume that there is no NaN."""
TIMEOUT_S = 600
_DIGEST_BYTES = hashlib.sha256().digest_size


class CompilerError(VoltstepError):
    """No library could be made; the message says why, for ``cosim doctor``."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler that works."""

    command: tuple[str, ...]
    """How it is called, with the flags."""
    version: str
    identity: str
    """Digest of its version and of what it knows of machine and processor."""

    def __str__(self) -> str:
        return f"{shutil.which(self.command[0]) or self.command[0]} {self.version}"


class CFunction:
    """A compiled function of the cell model."""

    def __init__(self, name: str, tape: Tape, library: ctypes.CDLL) -> None:
        self._tape = tape
        self._library = library
        self._function = library[c_code.symbol(name)]
        self._function.restype = None
        arrays = len(tape.arguments) + 1
        self._function.argtypes = [ctypes.c_ssize_t, *[ctypes.c_void_p, ctypes.c_ssize_t] * arrays]

    def __call__(self, *arrays: Floats) -> None:
        """Work on the arguments and write the results, arrays (rows, cell), ``r`` last."""
        cells = check_rows(self._tape, arrays)
        places: list[int] = []
        for array in arrays:
            places += (array.__array_interface__["data"][0], array.strides[0] // array.itemsize)
        self._function(cells, *places)


def find() -> Compiler:
    """Return the compiler of this machine.

    Raises
    ------
    CompilerError
        If there is none or none works.
    """
    asked = shlex.split(os.environ.get("CC", ""))
    found = [command for name in NAMES if (command := shutil.which(name))]
    if not asked and not found:
        raise CompilerError(f"no C compiler ({', '.join(NAMES)}) is on the path")
    command = asked or found[:1]
    reasons: list[str] = []
    for variant in VARIANTS:
        call = (*command, *FLAGS, *variant)
        try:
            macros = _run([*call, "-dM", "-E", "-x", "c", os.devnull])
        except CompilerError as error:
            reasons.append(str(error))
            continue
        version = re.search(r'#define __VERSION__ "(.*)"', macros)
        text = "\n".join([*sorted(macros.splitlines()), *call[1:]])
        return Compiler(
            call, version[1] if version else "?", hashlib.sha256(text.encode()).hexdigest()
        )
    raise CompilerError(reasons[0])


def load(
    tapes: Mapping[str, Tape], digest: str, compiler: Compiler
) -> dict[str, Callable[..., None]]:
    """Return the functions of the tapes, compiled now or before.

    Parameters
    ----------
    tapes
        The functions by name.
    digest
        Changes with whatever is in the tapes.
    compiler
        As `find` returned it.

    Raises
    ------
    CompilerError
        If they cannot be compiled, kept or loaded.
    """
    path = library_path(digest, compiler)
    try:
        try:
            return _open(path, tapes)
        except (OSError, ValueError, AttributeError):
            # Absent, damaged or not ours: built anew.
            pass
        with tempfile.TemporaryDirectory(prefix="cells-") as work:
            built = _build(tapes, compiler, Path(work))
            data = built.read_bytes()
            if cache.private(path.parent):
                cache.write(path, data + hashlib.sha256(data).digest())
                return _open(path, tapes)
            # Others can put files into the cache's folder: nothing is loaded from there.
            return _functions(built, tapes)
    except (OSError, ValueError, AttributeError) as error:
        raise CompilerError(f"the compiled library cannot be used: {error}") from error


def library_path(digest: str, compiler: Compiler) -> Path:
    """File of a library: its name changes with model, emitter, compiler, flags and processor."""
    parts = (digest, c_code.PRELUDE, Path(c_code.__file__).read_text("utf-8"), compiler.identity)
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache.folder() / f"cells-{key[:24]}.so"


def _open(path: Path, tapes: Mapping[str, Tape]) -> dict[str, Callable[..., None]]:
    data = cache.read(path)
    # The digest stands behind the library, where no loader looks.
    if hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
        raise ValueError(f"{path} is damaged")
    return _functions(path, tapes)


def _functions(path: Path, tapes: Mapping[str, Tape]) -> dict[str, Callable[..., None]]:
    library = ctypes.CDLL(str(path))
    return {name: CFunction(name, tape, library) for name, tape in tapes.items()}


def _build(tapes: Mapping[str, Tape], compiler: Compiler, work: Path) -> Path:
    def compiled(name: str) -> str:
        source, target = work / f"{name}.c", work / f"{name}.o"
        source.write_text(c_code.c_source(name, tapes[name]), encoding="utf-8")
        _run([*compiler.command, "-c", "-o", str(target), str(source)])
        return str(target)

    # The longest first, so that no processor waits for one begun last.
    names = sorted(tapes, key=lambda name: (-len(tapes[name].operations), name))
    with ThreadPoolExecutor(min(len(names), os.cpu_count() or 1)) as pool:
        objects = list(pool.map(compiled, names))
    library = work / "cells.so"
    _run([*compiler.command, "-shared", "-o", str(library), *objects, "-lm"])
    return library


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise CompilerError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CompilerError(f"{command[0]}: no end after {TIMEOUT_S} s") from error
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise CompilerError(f"{command[0]}: {words[0]}")
    return done.stdout
