"""Running SUMO's converters: what they make is cached, and free of the hour it was made at."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cosim.paths import cache_dir
from networks.roads.programs import run_program, sumo_version

_ROOT = re.compile(rb"<net[\s>]")
_COMMENT = re.compile(rb"<!--.*?-->\s*", re.DOTALL)
GEO_DIGITS = "7"
"""Digits of longitude and latitude: a centimetre."""


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
    if target.is_file() and seal.is_file() and seal.read_text() == file_sha256(target):
        return target
    with work_folder(target.parent, name) as work:
        for file, text in inputs.items():
            (work / file).write_text(text, encoding="utf-8")
        run_program("netconvert", [*options, "--output-file", "out.net.xml"], work)
        net = work / "out.net.xml"
        net.write_bytes(without_header(net.read_bytes()))
        (work / "seal").write_text(file_sha256(net))
        os.replace(net, target)
        os.replace(work / "seal", seal)
    return target


def node_lonlat(net_file: Path) -> dict[str, tuple[float, float]]:
    """Return longitude and latitude [deg] of every node of a net with a projection.

    netconvert computes them; they are cached under the net's digest.

    Raises
    ------
    TrafficError
        If netconvert fails; carries its own message.
    """
    key = hashlib.sha256(f"{sumo_version()}\0{file_sha256(net_file)}".encode()).hexdigest()[:16]
    target = cache_dir() / "roads" / f"nodes-{key}.npz"
    known = _read_places(target)
    if known is None:
        with work_folder(target.parent, "nodes") as work:
            options = ["--sumo-net-file", str(net_file.resolve()), "--plain-output-prefix", "p"]
            options += ["--proj.plain-geo", "true", "--precision.geo", GEO_DIGITS]
            run_program("netconvert", [*options, "--no-warnings", "true"], work)
            # Written by netconvert a moment ago.
            nodes = list(ET.parse(work / "p.nod.xml").getroot().iter("node"))  # noqa: S314
            places = [(float(n.get("x", "nan")), float(n.get("y", "nan"))) for n in nodes]
            ids = np.array([n.get("id", "") for n in nodes])
            np.savez(work / "nodes.npz", allow_pickle=False, ids=ids, places=np.array(places))
            os.replace(work / "nodes.npz", target)
        known = dict(zip(ids.tolist(), places, strict=True))
    return known


def _read_places(file: Path) -> dict[str, tuple[float, float]] | None:
    """Return what was kept; None if nothing was, or it is damaged."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            ids, places = found["ids"].tolist(), found["places"].tolist()
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return {node: (lon, lat) for node, (lon, lat) in zip(ids, places, strict=True)}


def without_header(net: bytes) -> bytes:
    """Return a net without the comment at its head, which holds the hour and local paths."""
    # Within the comment stands a <netconvertConfiguration>.
    root = _ROOT.search(net)
    return _COMMENT.sub(b"", net[: root.start()]) + net[root.start() :] if root else net


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def work_folder(parent: Path, name: str) -> Generator[Path]:
    """Give a new folder in `parent`, removed at the end with all that is left in it."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
