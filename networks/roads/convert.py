"""Running netconvert, with its results cached."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cosim.paths import cache_dir
from networks.roads.programs import run_program, sumo_version


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
    own and moved into place, so two processes that build at once both end with a whole file. Its
    digest is kept beside it: a net that was damaged or changed since is built anew.

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
    seal = target.with_suffix(".sha256")
    if target.is_file() and seal.is_file() and seal.read_text() == _digest(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=target.parent))
    try:
        for file, text in inputs.items():
            (work / file).write_text(text, encoding="utf-8")
        run_program("netconvert", [*options, "--output-file", "out.net.xml"], work)
        (work / "seal").write_text(_digest(work / "out.net.xml"))
        os.replace(work / "out.net.xml", target)
        os.replace(work / "seal", seal)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
