"""Wholesale markets as tables, each with its source; see README.md in this folder."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UnknownOptionError

_FOLDER = Path(__file__).parent
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class MarketData:
    """Buses, lines and generators of a market; arrays have one entry per element."""

    name: str
    bus_ids: tuple[str, ...]
    load_mw: Floats
    """Published load, shape (bus,) [MW]."""
    load_mvar: Floats
    line_ids: tuple[str, ...]
    line_from: Indices
    """Bus index, shape (line,)."""
    line_to: Indices
    x_pu: Floats
    """Reactance on 100 MVA, shape (line,) [1]."""
    r_pu: Floats
    b_pu: Floats
    """Susceptance of the whole line on 100 MVA, shape (line,) [1]."""
    line_limit_mw: Floats
    """Infinite where there is none, shape (line,) [MW]."""
    generator_ids: tuple[str, ...]
    generator_bus: Indices
    generator_limit_mw: Floats
    generator_limit_mvar: Floats
    """Most reactive power in either direction, shape (generator,) [Mvar]."""
    offer_usd_per_mwh: Floats
    """Published offer, shape (generator,) [USD/MWh]."""


def names() -> tuple[str, ...]:
    """Names of the markets that ship with Voltstep, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/generators.csv")))


def load(name: str) -> MarketData:
    """Read a shipped market.

    Raises
    ------
    UserError
        No market has this name; the message lists those that exist.
    """
    known = names()
    if name not in known:
        raise UnknownOptionError("market", name, known)
    buses, lines, generators = (
        _columns(_FOLDER / name / f"{table}.csv") for table in ("buses", "lines", "generators")
    )
    position = {bus: i for i, bus in enumerate(buses["id"])}

    def index(column: list[str]) -> Indices:
        return np.array([position[bus] for bus in column], dtype=np.int64)

    return MarketData(
        name=name,
        bus_ids=tuple(buses["id"]),
        load_mw=_floats(buses["load_mw"]),
        load_mvar=_floats(buses["load_mvar"]),
        line_ids=tuple(lines["id"]),
        line_from=index(lines["from_bus"]),
        line_to=index(lines["to_bus"]),
        x_pu=_floats(lines["x_pu"]),
        r_pu=_floats(lines["r_pu"]),
        b_pu=_floats(lines["b_pu"]),
        line_limit_mw=_floats(lines["limit_mw"]),
        generator_ids=tuple(generators["id"]),
        generator_bus=index(generators["bus"]),
        generator_limit_mw=_floats(generators["limit_mw"]),
        generator_limit_mvar=_floats(generators["limit_mvar"]),
        offer_usd_per_mwh=_floats(generators["offer_usd_per_mwh"]),
    )


def _columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {column: [row[column] for row in rows] for column in rows[0]}


def _floats(column: list[str]) -> Floats:
    return np.array([float(text) if text else np.inf for text in column])
