"""A user's own trips as a file: CSV or Parquet, one row a trip."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cosim.errors import Problem, ScenarioError, UserError, nearest
from networks.demand.trips import VIA, Trips

NEEDED = ("departure", "origin", "destination")
COLUMNS = (
    "vehicle",
    "asked",
    *NEEDED,
    "deadline",
    "at_arrival",
    "dwell_s",
    "tour",
    "via",
)
"""Columns of a file; those outside `NEEDED` may be missing or empty."""
WAITING_LIMIT_S = 900.0
"""Time from departure to deadline where a row names none."""
_TIME = "a time such as 2022-09-14T07:30, or seconds after the start, not before it"
_HINTS = 20
"""Unknown edges for which the nearest is looked up; it takes long in large networks."""


def read_trips(
    path: Path | str,
    edge_ids: Sequence[str],
    vehicles: int,
    start: datetime,
    waiting_limit_s: float = WAITING_LIMIT_S,
) -> Trips:
    """Read a user's trips.

    Parameters
    ----------
    path
        CSV or Parquet (by its ending) with the columns ``departure`` (local ISO 8601 time or
        seconds after the start), ``origin`` and ``destination`` (SUMO edge ids), and if wanted
        ``vehicle`` (0 up; empty for whoever is sent), ``deadline`` and ``asked`` (as departure),
        ``at_arrival`` (whether the deadline is that of the arrival), ``dwell_s``, ``tour``, and
        ``via`` (up to three edge ids with spaces between).
    edge_ids
        Ids of the edges of the roads.
    vehicles
        Vehicles of the segment.
    start
        Local time of the start of the simulation.
    waiting_limit_s
        Time from departure to deadline where a row names none [s].

    Returns
    -------
    Trips
        Asked at their departure where ``asked`` is empty.

    Raises
    ------
    ScenarioError
        Every problem of the file at once, with its row (the header is row 1) and column.
    UserError
        The file cannot be read.
    """
    path = Path(path)
    header, rows = _rows(path)
    problems = [
        Problem(f"row 1, column {name}", "", "this column is needed")
        for name in NEEDED
        if name not in header
    ]
    for name in header:
        if name not in COLUMNS:
            allowed = f"columns are {', '.join(COLUMNS)}"
            problems.append(Problem("row 1", name, allowed, nearest(name, COLUMNS)))
    if problems:
        raise ScenarioError(str(path), problems)
    sheet = _Sheet(rows, start, edge_ids)
    count = len(rows)
    leave_s = sheet.times("departure", None)
    asked_s = sheet.times("asked", leave_s)
    deadline_s = sheet.times("deadline", leave_s + waiting_limit_s)
    columns: dict[str, Any] = {
        "origin_edge": sheet.edges("origin"),
        "destination_edge": sheet.edges("destination"),
        "at_arrival": sheet.flags("at_arrival"),
        "dwell_s": sheet.numbers("dwell_s", 0.0, "seconds of 0 or more", 0.0, np.inf),
        "vehicle": sheet.numbers(
            "vehicle", -1, f"a vehicle from 0 to {vehicles - 1}, or nothing", 0, vehicles - 1, True
        ),
        "tour": sheet.numbers("tour", -1, "a number from 0 up, or nothing", 0, 2**31 - 1, True),
        "via": sheet.vias(),
    }
    sheet.expect("asked", asked_s > leave_s, "it must not lie after the departure")
    sheet.expect("deadline", deadline_s < leave_s, "it must not lie before the departure")
    if sheet.problems:
        raise ScenarioError(str(path), sorted(sheet.problems, key=lambda p: _row(p.field)))
    return (
        Trips.of(asked_s=asked_s, earliest_s=leave_s, deadline_s=deadline_s, **columns)
        if count
        else Trips.none()
    )


def write_trips(path: Path | str, trips: Trips, edge_ids: Sequence[str]) -> None:
    """Write trips so that `read_trips` returns the same; CSV or Parquet by the path's ending."""
    names = np.array([*edge_ids, ""], dtype=object)
    seconds = {"asked": trips.asked_s, "departure": trips.earliest_s, "deadline": trips.deadline_s}
    table: dict[str, list[str]] = {
        "vehicle": ["" if v < 0 else str(v) for v in trips.vehicle.tolist()],
        **{name: [repr(value) for value in array.tolist()] for name, array in seconds.items()},
        "origin": names[trips.origin_edge].tolist(),
        "destination": names[trips.destination_edge].tolist(),
        "at_arrival": ["true" if flag else "false" for flag in trips.at_arrival.tolist()],
        "dwell_s": [repr(value) for value in trips.dwell_s.tolist()],
        "tour": ["" if t < 0 else str(t) for t in trips.tour.tolist()],
        "via": [" ".join(edge for edge in row if edge) for row in names[trips.via].tolist()],
    }
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        pq.write_table(pa.table({name: table[name] for name in COLUMNS}), path)
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(table[name] for name in COLUMNS), strict=True))


def _row(field: str) -> int:
    return int(field.removeprefix("row ").partition(",")[0])


def _rows(path: Path) -> tuple[list[str], list[Mapping[str, Any]]]:
    """Return the header and the rows of a file, with values as they stand in it."""
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
            return list(table.column_names), table.to_pylist()
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="more cells than columns")
            rows: list[Mapping[str, Any]] = list(reader)
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


class _Sheet:
    """Rows of a file that become columns, and the problems found on the way."""

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], start: datetime, edge_ids: Sequence[str]
    ) -> None:
        self.rows = rows
        self.problems: list[Problem] = []
        self._start = start
        self._edge_ids = edge_ids
        self._index = {name: number for number, name in enumerate(edge_ids)}
        self._hints: dict[str, str] = {}
        for number, row in enumerate(rows):
            for extra in row.keys() - set(COLUMNS):
                self._blame(number, str(extra), row[extra], "as many cells as columns")

    def _cells(self, column: str) -> Iterable[tuple[int, Any]]:
        """Return the number and value of every cell that is not empty."""
        for number, row in enumerate(self.rows):
            value = row.get(column)
            if isinstance(value, str):
                value = value.strip()
            if value is not None and value != "" and value == value:
                yield number, value
            elif column in NEEDED:
                self._blame(number, column, "", "a value is needed")

    def _blame(self, row: int, column: str, value: Any, allowed: str, hint: str = "") -> None:
        self.problems.append(Problem(f"row {row + 2}, column {column}", str(value), allowed, hint))

    def expect(self, column: str, wrong: np.ndarray[Any, Any], allowed: str) -> None:
        """Blame the cells of a column where a rule between columns is broken."""
        for row in np.flatnonzero(wrong).tolist():
            self._blame(row, column, self.rows[row].get(column) or "", allowed)

    def times(self, column: str, default: Any) -> np.ndarray[Any, Any]:
        """Return times after the start [s]; NaN where a cell is wrong."""
        found = np.full(len(self.rows), np.nan) if default is None else np.array(default, float)
        for row, value in self._cells(column):
            found[row] = self._seconds(value)
            if not (np.isfinite(found[row]) and found[row] >= 0):
                found[row] = np.nan
                self._blame(row, column, value, _TIME)
        return found

    def _seconds(self, value: Any) -> float:
        try:
            if not isinstance(value, datetime):
                try:
                    return float(value)
                except ValueError:
                    value = datetime.fromisoformat(value)
            return (value.replace(tzinfo=None) - self._start).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return np.nan

    def numbers(
        self,
        column: str,
        default: float,
        allowed: str,
        least: float,
        most: float,
        whole: bool = False,
    ) -> np.ndarray[Any, Any]:
        """Return numbers from `least` to `most`, whole ones if asked."""
        found = np.full(len(self.rows), float(default))
        for row, value in self._cells(column):
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = np.nan
            good = np.isfinite(number) and least <= number <= most
            if not good or (whole and number != int(number)):
                self._blame(row, column, value, allowed)
            else:
                found[row] = number
        return found

    def flags(self, column: str) -> np.ndarray[Any, Any]:
        """Return yes and no."""
        words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        found = np.zeros(len(self.rows), bool)
        for row, value in self._cells(column):
            word = str(value).lower()
            if word not in words:
                self._blame(row, column, value, "true or false")
            found[row] = words.get(word, False)
        return found

    def edges(self, column: str) -> np.ndarray[Any, Any]:
        """Return indices of edges."""
        found = np.zeros(len(self.rows), np.int32)
        for row, value in self._cells(column):
            found[row] = self._edge(row, column, str(value))
        return found

    def vias(self) -> np.ndarray[Any, Any]:
        """Return indices of edges to pass, -1 none."""
        found = np.full((len(self.rows), VIA), -1, np.int32)
        for row, value in self._cells("via"):
            names = str(value).split()
            if len(names) > VIA:
                self._blame(row, "via", value, f"at most {VIA} edges")
            for place, name in enumerate(names[:VIA]):
                found[row, place] = self._edge(row, "via", name)
        return found

    def _edge(self, row: int, column: str, name: str) -> int:
        if name in self._index:
            return self._index[name]
        if name not in self._hints:
            known = len(self._hints) < _HINTS
            self._hints[name] = nearest(name, self._edge_ids) if known else ""
        allowed = "it must be the id of an edge of the roads"
        self._blame(row, column, name, allowed, self._hints[name])
        return 0
