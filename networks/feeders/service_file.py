"""Service transformers that a user describes: a CSV file, one row a transformer."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosim.errors import Problem, ScenarioError, UserError, nearest

NEEDED = ("id", "bus", "phases", "kva")
COLUMNS = (
    *NEEDED,
    "kv",
    "r_pct",
    "x_pct",
    "no_load_loss_pct",
    "exciting_current_pct",
    "stations",
    "kinds",
)
"""Columns of a file; those outside `NEEDED` may be missing or empty."""
MEDIUM_KV = 1.0
"""Voltage to neutral from which on a bus is one of the medium-voltage network [kV]."""
_PHASES = {"1": 1, "2": 2, "3": 3, "a": 1, "b": 2, "c": 3}
_MORE = "more cells than columns"
_Cells = Mapping[str, str | list[str] | None]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class ServiceTransformer:
    """A row of the file; what it leaves out is None."""

    id: str
    bus: str
    """Primary bus."""
    phases: tuple[int, ...]
    """One phase of that bus, two that its winding is between, or all three."""
    kva: float
    kv: float | None
    """Voltage of the secondary, line to line where there are three phases [kV]."""
    r_pct: float | None
    """Resistance of both windings together [% on `kva`]."""
    x_pct: float | None
    no_load_loss_pct: float | None
    exciting_current_pct: float | None
    stations: int | None
    """Most stations that it takes."""
    kinds: tuple[str, ...]
    """Kinds of stations that it takes, all where there are none."""


@dataclass(frozen=True)
class Bus:
    """What rows must fit."""

    phases: tuple[int, ...]
    kv: float
    """Voltage to neutral [kV]."""


def read_service(
    path: Path | str, buses: Mapping[str, Bus], taken: Collection[str], kinds: Sequence[str]
) -> tuple[ServiceTransformer, ...]:
    """Read a user's service transformers.

    Parameters
    ----------
    path
        CSV with the columns ``id``, ``bus``, ``phases`` (such as 2 or B, 12, or 123) and ``kva``,
        and if wanted ``kv``, ``r_pct``, ``x_pct``, ``no_load_loss_pct``, ``exciting_current_pct``,
        ``stations`` (most that it takes) and ``kinds`` (of stations, with spaces between).
    buses
        Buses of the circuit by their names in small letters.
    taken
        Names of its transformers, in small letters.
    kinds
        Kinds of stations that there are.

    Returns
    -------
    tuple
        In the order of the file; names in small letters.

    Raises
    ------
    ScenarioError
        Every problem of the file at once, with row (the header is row 1) and column.
    UserError
        The file cannot be read.
    """
    header, rows = _rows(Path(path))
    problems = [
        Problem(f"row 1, column {name}", "", "this column is needed")
        for name in NEEDED
        if name not in header
    ]
    for name in dict.fromkeys(header):
        if header.count(name) > 1:
            problems.append(Problem(f"row 1, column {name}", "", "must be there once"))
        if name not in COLUMNS:
            allowed = f"columns are {', '.join(COLUMNS)}"
            problems.append(Problem("row 1", name, allowed, nearest(name, COLUMNS)))
    if not rows:
        problems.append(Problem("the file", "", "needs a row for each service transformer"))
    if problems:
        raise ScenarioError(str(path), problems)
    first: dict[str, int] = {}
    found: list[ServiceTransformer] = []
    for number, cells in rows:
        row = _Row(number, cells, problems)
        name = row.name({**dict.fromkeys(taken, 0), **first}, buses)
        first.setdefault(name, number)
        found.append(row.read(name, buses, kinds))
    if problems:
        raise ScenarioError(str(path), problems)
    return tuple(found)


def _rows(path: Path) -> tuple[Sequence[str], list[tuple[int, _Cells]]]:
    """Return the header, and the rows that hold anything with their numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader: Any = csv.DictReader(file, restkey=_MORE)
            rows: list[tuple[int, _Cells]] = [
                (number, {str(name).strip(): value for name, value in row.items()})
                for number, row in enumerate(reader, 2)
                if any(row.values())
            ]
            return [str(name).strip() for name in reader.fieldnames or ()], rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


class _Row:
    """A row whose cells become values; what is wrong is collected."""

    def __init__(self, number: int, cells: _Cells, problems: list[Problem]) -> None:
        self._number, self._problems = number, problems
        self._cells = {n: v.strip() for n, v in cells.items() if isinstance(v, str)}
        if _MORE in cells:
            problems.append(Problem(f"row {number}", "", "must have as many cells as columns"))

    def _blame(self, column: str, allowed: str, near: str = "") -> None:
        value = self._cells.get(column, "")
        self._problems.append(Problem(f"row {self._number}, column {column}", value, allowed, near))

    def _needed(self, column: str) -> str:
        value = self._cells.get(column, "").lower()
        if not value:
            self._blame(column, "a value is needed")
        return value

    def name(self, taken: Mapping[str, int], buses: Mapping[str, Bus]) -> str:
        name = self._needed("id")
        if not name:
            return name
        if not _NAME.fullmatch(name):
            self._blame("id", "must be letters, digits, - and _, and start with a letter or digit")
        elif name in taken:
            other = f"row {taken[name]}" if taken[name] else "a transformer of the circuit"
            self._blame("id", f"must be a name of its own: {other} has it")
        elif f"{name}_lv" in buses:
            self._blame("id", f"its secondary would be {name}_lv, which is a bus of the circuit")
        return name

    def read(self, name: str, buses: Mapping[str, Bus], kinds: Sequence[str]) -> ServiceTransformer:
        bus = self._bus(buses)
        stations = self._number_in("stations", 0, 1e6)
        if stations is not None and stations != int(stations):
            self._blame("stations", "must be a whole number")
        return ServiceTransformer(
            id=name,
            bus=bus,
            phases=self._phases(buses.get(bus)),
            kva=self._number_in("kva", 0, 10_000, above=True) or 0.0,
            kv=self._number_in("kv", 0.1, 1),
            r_pct=self._number_in("r_pct", 0, 20),
            x_pct=self._number_in("x_pct", 0, 20, above=True),
            no_load_loss_pct=self._number_in("no_load_loss_pct", 0, 10),
            exciting_current_pct=self._number_in("exciting_current_pct", 0, 20),
            stations=None if stations is None else int(stations),
            kinds=self._kinds(kinds),
        )

    def _bus(self, buses: Mapping[str, Bus]) -> str:
        bus = self._needed("bus")
        if bus and bus not in buses:
            self._blame("bus", "must be a bus of the feeder", nearest(bus, buses))
        elif bus and buses[bus].kv < MEDIUM_KV:
            volts = f"has {buses[bus].kv:.3g} kV to neutral"
            self._blame("bus", f"must be a bus of medium voltage, from 1 kV; this one {volts}")
        return bus

    def _phases(self, bus: Bus | None) -> tuple[int, ...]:
        text = self._needed("phases")
        phases = tuple(sorted(_PHASES.get(letter, 0) for letter in text))
        if text and (0 in phases or len(set(phases)) < len(phases)):
            self._blame(
                "phases", "must be one phase, such as 2 or B, two, or all three, 123 or ABC"
            )
        elif text and bus is not None and not set(phases) <= set(bus.phases):
            have = "".join(str(phase) for phase in bus.phases)
            self._blame("phases", f"must be among those of its bus, which has {have}")
        return phases

    def _kinds(self, known: Sequence[str]) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(self._cells.get("kinds", "").lower().split()))
        for name in names:
            if name not in known:
                allowed = f"must be kinds of stations with spaces between: {', '.join(known)}"
                self._blame("kinds", allowed, nearest(name, known))
        return names

    def _number_in(
        self, column: str, least: float, most: float, above: bool = False
    ) -> float | None:
        text = self._needed(column) if column in NEEDED else self._cells.get(column, "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or (above and value == least):
            span = f"above {least:g} and at most" if above else f"from {least:g} to"
            self._blame(column, f"must be a number {span} {most:g}")
            return None
        return value
