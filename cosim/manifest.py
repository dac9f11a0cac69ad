"""``manifest.json``: what a run was made from, how it went, and what it came to."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import networks
import networks.feeders
from cosim import __version__, registry
from cosim.scenario import Scenario

ENGINES = (
    "mosaik",
    "mosaik-api-v3",
    "eclipse-sumo",
    "libsumo",
    "pybamm",
    "casadi",
    "opendssdirect.py",
    "dss-python",
    "dss_python_backend",
    "altdss",
    "highspy",
    "holidays",
    "numpy",
    "routingkit-cch",
    "scipy",
    "xarray",
    "zarr",
)
"""Distributions whose versions can change a result."""


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of the project, Python, the machine type and every engine."""
    found = {
        "voltstep": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for name in ENGINES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


@cache
def input_hashes() -> Mapping[str, str]:
    """Return the SHA-256 of every data file of ``networks``, by path in the package."""
    root = Path(networks.__path__[0])
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc"))
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def _own_files(scenario: Scenario) -> Mapping[str, str]:
    """Return the SHA-256 of the files that a scenario names by their paths."""
    found: dict[str, str] = {}
    for field in registry.PATHS:
        value: Any = scenario
        for part in field.split("."):
            value = getattr(value, part)
        # An absolute path: `loading` makes files so, and names of what ships are none.
        if (path := Path(value)).is_absolute() and path.is_file():
            circuit = path.suffix.lower() == networks.feeders.SUFFIX
            for file in networks.feeders.files_of(path) if circuit else (path,):
                found[str(file)] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def new(scenario: Scenario) -> dict[str, Any]:
    """Return the manifest of a run that begins; its status says that it is not whole."""
    return {
        "status": "running",
        "scenario": scenario.plain(),
        "scenario_sha256": scenario.sha256(),
        "seed": scenario.seed,
        "ticks": scenario.ticks,
        "last_tick": -1,
        "versions": dict(versions()),
        "engines": {},
        "inputs": {**input_hashes(), **_own_files(scenario)},
        "wall_s": {},
        "output_digest": None,
        "error": None,
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, replacing the file at once."""
    part = path.with_suffix(".part")
    try:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
