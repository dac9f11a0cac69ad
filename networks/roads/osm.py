"""A first look at an OpenStreetMap extract: is it one, and are there roads for cars in it."""

from __future__ import annotations

import bz2
import gzip
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, cast

from cosim.errors import UserError
from networks.roads.programs import sumo_data

PLAIN = (".osm", ".osm.gz", ".osm.bz2")
"""Endings of the files that can be read."""
BINARY = (".pbf", ".o5m")
"""Endings of those that must be converted first."""


@dataclass(frozen=True)
class Ways:
    """The ways of an extract."""

    for_cars: int
    others: Mapping[str, int]
    """Number of those that cars may not use, by what they are, most frequent first."""


def typemap() -> Path:
    """Return SUMO's table of what each kind of way is for."""
    return sumo_data() / "typemap" / "osmNetconvert.typ.xml"


def scan(file: Path) -> Ways:
    """Count the ways in an extract.

    Raises
    ------
    UserError
        If it is not an OpenStreetMap extract, cannot be read, or has no road for cars.
    """
    cars = _open_to_cars()
    found: dict[str, int] = {}
    try:
        with _opened(file) as stream:
            # The user's own file, and entities are not resolved.
            events = ET.iterparse(stream, ("start", "end"))  # noqa: S314
            _, root = next(events)
            if root.tag != "osm":
                raise UserError(f"{file} holds <{root.tag}>, no OpenStreetMap extract (<osm>)")
            for event, element in events:
                if event == "end" and element.tag == "way":
                    kind = _kind(element)
                    found[kind] = found.get(kind, 0) + 1
                if event == "end" and element.tag in ("node", "way", "relation"):
                    root.clear()
    except ET.ParseError as error:
        raise UserError(f"{file} is not XML: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    found.pop("", None)
    others = {k: n for k, n in found.items() if k not in cars}
    ways = Ways(sum(found.values()) - sum(others.values()), _by_number(others))
    if not ways.for_cars:
        has = ", ".join(f"{n} {kind}" for kind, n in list(ways.others.items())[:5])
        raise UserError(
            f"{file} has no roads for cars"
            + (f": only {has}" if has else ": it has no ways at all")
        )
    return ways


def decompressed(file: Path, folder: Path) -> Path:
    """Return a file that netconvert reads: itself, or for .bz2 its content in `folder`."""
    if file.suffix != ".bz2":
        return file.resolve()
    target = folder / "extract.osm"
    with bz2.open(file, "rb") as packed, target.open("wb") as plain:
        while block := packed.read(1 << 20):
            plain.write(block)
    return target


def _opened(file: Path) -> IO[bytes]:
    if file.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(file, "rb"))
    return bz2.open(file, "rb") if file.suffix == ".bz2" else file.open("rb")


def _kind(way: ET.Element) -> str:
    tags = {tag.get("k", ""): tag.get("v", "") for tag in way.iter("tag")}
    for key in ("highway", "railway", "waterway", "aeroway", "aerialway"):
        if key in tags:
            return f"{key}.{tags[key]}"
    return ""


@cache
def _open_to_cars() -> frozenset[str]:
    """Kinds of way that netconvert's table opens to cars."""
    cars: set[str] = set()
    # Ships with SUMO.
    for kind in ET.parse(typemap()).getroot().iter("type"):  # noqa: S314
        allow, disallow = kind.get("allow"), (kind.get("disallow") or "").split()
        if allow is not None:
            is_open = not {"passenger", "all"}.isdisjoint(allow.split())
        else:
            is_open = {"passenger", "all"}.isdisjoint(disallow)
        if is_open and kind.get("discard") != "true":
            cars.add(kind.get("id", ""))
    return frozenset(cars)


def _by_number(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
