"""Networks that the user imported or made: a folder each, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.errors import UserError
from cosim.paths import data_dir
from networks.roads.check import Group
from networks.roads.convert import file_sha256, without_header, work_folder

NET = "roads.net.xml.gz"
ABOUT = "about.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True)
class About:
    """What is known of a network in the store."""

    name: str
    kind: str
    """``osm``, ``sumo``, ``grid``, ``spider`` or ``random``."""
    origin: str
    """Name of the file it came from, or of the program that made it."""
    origin_sha256: str
    """Digest of that file; empty where there was none."""
    options: tuple[str, ...]
    """Options it was converted or made with."""
    sumo_version: str
    edges: int
    km: float
    """Length of its edges together [km]."""
    lane_km: float
    """Length of its lanes together [km]."""
    nodes: int
    signals: int
    """Nodes with traffic signals."""
    geographic: bool
    """Whether its places have longitude and latitude."""
    ways_left_out: tuple[tuple[str, int], ...] = ()
    """Kinds of way that cars may not use, with their number; of OpenStreetMap only."""
    dropped: tuple[Group, ...] = ()
    doubtful: tuple[Group, ...] = ()
    net_sha256: str = ""

    @property
    def source(self) -> str:
        """Where it is from, in a line."""
        if self.kind == "osm":
            return f"{self.origin} (OpenStreetMap contributors, ODbL)"
        return f"{self.origin} (SUMO net)" if self.kind == "sumo" else self.origin


def folder() -> Path:
    """Return where the networks are; it need not exist yet."""
    return data_dir() / "roads"


def names() -> tuple[str, ...]:
    """Return the names of the networks, in alphabetical order."""
    if not folder().is_dir():
        return ()
    return tuple(sorted(f.name for f in folder().iterdir() if _NAME.fullmatch(f.name) and held(f)))


def held(place: Path) -> bool:
    """Whether a folder is a network."""
    return (place / ABOUT).is_file() and (place / NET).is_file()


def check_name(name: str) -> None:
    """Raise a UserError if `name` cannot name a network."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a network: 1 to 64 letters, digits, - and _, "
            "the first a letter or digit; --name gives another"
        )


def suggested(file_name: str) -> str:
    """Return a name for the network in a file."""
    stem = file_name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]", "_", stem).lstrip("-_")[:64] or "my_roads"


def read(place: Path) -> About:
    """Return what is known of the network in a folder.

    Raises
    ------
    UserError
        If its description is damaged.
    """
    try:
        text = (place / ABOUT).read_text(encoding="utf-8")
        plain: dict[str, Any] = tomllib.loads(text)
        for key in ("dropped", "doubtful"):
            plain[key] = tuple(
                Group(g["reason"], int(g["edges"]), float(g["km"]), tuple(g["examples"]))
                for g in plain.get(key, ())
            )
        plain["options"] = tuple(plain["options"])
        plain["ways_left_out"] = tuple(plain.get("ways_left_out", {}).items())
        return About(**plain)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{place / ABOUT} cannot be read: {error}; import it again") from None


def net_of(place: Path, about: About) -> Path:
    """Return the net file in a folder; UserError if it is not the one that was checked."""
    net = place / NET
    try:
        digest = file_sha256(net)
    except OSError as error:
        raise UserError(f"{net} cannot be read: {error.strerror}; import it again") from None
    if digest != about.net_sha256:
        raise UserError(f"{net} was changed since it was checked; import it again")
    return net


def packed(net: bytes) -> bytes:
    """Return a net as it is kept: the same bytes whenever and wherever it is made."""
    return gzip.compress(without_header(net), compresslevel=6, mtime=0)


def write(about: About, net: bytes, *, replace: bool = False) -> Path:
    """Put a network into the store and return its folder.

    Parameters
    ----------
    about
        What is known of it; its name is the folder's.
    net
        The net file as `packed` gives it.
    replace
        Whether one of that name gives way.

    Raises
    ------
    UserError
        If there is one of that name already, or the store cannot be written.
    """
    place = folder() / about.name
    check_free(about.name, replace=replace)
    try:
        with work_folder(place.parent, about.name) as work:
            new, old = work / "new", work / "old"
            new.mkdir()
            (new / NET).write_bytes(net)
            (new / ABOUT).write_text(_toml(about), encoding="utf-8")
            if place.exists():
                os.replace(place, old)
            try:
                os.replace(new, place)
            except OSError:
                if old.exists():
                    os.replace(old, place)
                raise
    except OSError as error:
        raise UserError(
            f"{place} cannot be written: {error.strerror or error}; "
            "VOLTSTEP_DATA_DIR names another folder"
        ) from None
    return place


def check_free(name: str, *, replace: bool) -> None:
    """Raise a UserError if there is a network of that name that must not give way."""
    place = folder() / name
    if place.exists() and not (replace and (held(place) or not any(place.iterdir()))):
        hint = "--force replaces it" if held(place) else "it is no network: remove it first"
        raise UserError(f"{place} exists already: {hint}, --name gives another name")


def _toml(about: About) -> str:
    lines = [
        "# Written by `cosim roads`; the net beside it is checked against net_sha256.",
        f"name = {_text(about.name)}",
        f"kind = {_text(about.kind)}",
        f"origin = {_text(about.origin)}",
        f"origin_sha256 = {_text(about.origin_sha256)}",
        f"options = {_list(about.options)}",
        f"sumo_version = {_text(about.sumo_version)}",
        f"edges = {about.edges}",
        f"km = {about.km:.3f}",
        f"lane_km = {about.lane_km:.3f}",
        f"nodes = {about.nodes}",
        f"signals = {about.signals}",
        f"geographic = {str(about.geographic).lower()}",
        f"net_sha256 = {_text(about.net_sha256)}",
    ]
    if about.ways_left_out:
        lines += ["", "[ways_left_out]"]
        lines += [f"{_text(kind)} = {number}" for kind, number in about.ways_left_out]
    for key, groups in (("dropped", about.dropped), ("doubtful", about.doubtful)):
        for group in groups:
            lines += ["", f"[[{key}]]", f"reason = {_text(group.reason)}"]
            lines += [f"edges = {group.edges}", f"km = {group.km:.3f}"]
            lines += [f"examples = {_list(group.examples)}"]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    # A JSON string is a TOML string but for DEL; lone surrogates (odd file names) are neither.
    plain = value.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"
