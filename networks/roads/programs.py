"""SUMO's programs and its library, as the wheels bring them."""

from __future__ import annotations

import importlib
import os
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cosim.errors import TrafficError

TIMEOUT_S = 600
"""Longest that a program may take [s]."""
_QUIET = "LIBSUMO_AS_TRACI"


def sumo_version() -> str:
    """Version of the eclipse-sumo wheel that brings the binaries."""
    return version("eclipse-sumo")


def binary(name: str) -> Path:
    """Return the path of a SUMO program; TrafficError if it is not installed."""
    suffix = ".exe" if os.name == "nt" else ""
    file = Path(_home()) / "bin" / f"{name}{suffix}"
    if not file.is_file():
        raise TrafficError(
            f"{name} is not installed; run: pip install eclipse-sumo", where=str(file)
        )
    return file


def sumo_data() -> Path:
    """Return the folder of the tables that ship with SUMO."""
    return Path(_home()) / "data"


@cache
def _home() -> str:
    try:
        return str(importlib.import_module("sumo").SUMO_HOME)
    except ImportError as error:
        raise TrafficError(
            f"SUMO is not installed; run: pip install eclipse-sumo ({error})"
        ) from error


@cache
def libsumo() -> Any:
    """Return the libsumo module, imported without the notice that it prints about pyarrow."""
    before = os.environ.get(_QUIET)
    os.environ[_QUIET] = "quiet"
    try:
        return importlib.import_module("libsumo")
    finally:
        if before is None:
            del os.environ[_QUIET]
        else:
            os.environ[_QUIET] = before


def run_program(name: str, options: Sequence[str], folder: Path) -> None:
    """Run a SUMO program in `folder`; TrafficError with its own message if it fails."""
    try:
        done = subprocess.run(  # noqa: S603
            [str(binary(name)), *options],
            cwd=folder,
            env=os.environ | {"SUMO_HOME": _home()},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TrafficError(f"{name} did not end within {TIMEOUT_S} s", where=str(folder)) from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise TrafficError(f"{name} failed: {said}", where=str(folder))
