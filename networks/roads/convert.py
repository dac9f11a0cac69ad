"""Running netconvert, with its results cached."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import sumo

from cosim.errors import TrafficError
from cosim.paths import cache_dir

TIMEOUT_S = 600
"""Longest that a conversion may take [s]."""


def sumo_version() -> str:
    """Version of the eclipse-sumo wheel that brings the binaries."""
    return version("eclipse-sumo")


def binary(name: str) -> Path:
    """Return the path of a SUMO program; TrafficError if it is not installed."""
    suffix = ".exe" if os.name == "nt" else ""
    file = Path(str(sumo.SUMO_HOME)) / "bin" / f"{name}{suffix}"
    if not file.is_file():
        raise TrafficError(f"{name} is not installed; run: pip install eclipse-sumo", where=str(file))
    return file


def cached_net(name: str, inputs: Mapping[str, str], options: Sequence[str]) -> Path:
    """Return a net converted from `inputs`, from the cache if it is there.

    Parameters
    ----------
    name
        Start of the file's name in the cache.
    inputs
        Text of netconvert's input files by file name.
    options
        netconvert's options, which name those files.

    Notes
    -----
    The key is a digest of inputs, options and SUMO's version. The net is built in a folder of its
    own and moved into place, so two processes that build at once both end with a whole file.

    Raises
    ------
    TrafficError
        If netconvert fails; carries its own message.
    """
    digest = hashlib.sha256(sumo_version().encode())
    for file, text in sorted(inputs.items()):
        digest.update(f"\0{file}\0{text}".encode())
    digest.update("\0".join(options).encode())
    target = cache_dir() / "roads" / f"{name}-{digest.hexdigest()[:16]}.net.xml"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=target.parent))
    try:
        for file, text in inputs.items():
            (work / file).write_text(text, encoding="utf-8")
        run_program("netconvert", [*options, "--output-file", "out.net.xml"], work)
        os.replace(work / "out.net.xml", target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def run_program(name: str, options: Sequence[str], folder: Path) -> None:
    """Run a SUMO program in `folder`; TrafficError with its own message if it fails."""
    try:
        done = subprocess.run(
            [str(binary(name)), *options],
            cwd=folder,
            env=os.environ | {"SUMO_HOME": str(sumo.SUMO_HOME)},
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
