"""Events of a run: what happened to whom, where and when; one row each in ``events.parquet``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cosim.errors import SignalError
from cosim.signals import ROLES, Ids

SCHEMA = pa.schema(
    [
        pa.field("tick", pa.int32(), metadata={"meaning": "tick in which it became known"}),
        pa.field("time_s", pa.float64(), metadata={"meaning": "simulation time of the event"}),
        pa.field("role", pa.string(), metadata={"meaning": "simulator that reported it"}),
        pa.field("kind", pa.string(), metadata={"meaning": "for example trip, charging_session"}),
        pa.field("vehicle", pa.int32()),
        pa.field("station", pa.int32()),
        pa.field("request", pa.int32()),
        pa.field("place", pa.string(), metadata={"meaning": "edge, bus, transformer or line"}),
        pa.field("origin", pa.string(), metadata={"meaning": "edge at whose end a trip begins"}),
        pa.field("start_s", pa.float64(), metadata={"meaning": "simulation time of its begin"}),
        pa.field("driving_s", pa.float64(), metadata={"meaning": "time on the road"}),
        pa.field("distance_km", pa.float64()),
        pa.field("energy_kwh", pa.float64()),
        pa.field("value", pa.float64(), metadata={"meaning": "figure of the event"}),
        pa.field("limit", pa.float64(), metadata={"meaning": "limit that the value is held to"}),
        pa.field("detail", pa.string(), metadata={"meaning": "in words"}),
    ]
)
"""Columns of ``events.parquet``."""

_COLUMNS = frozenset(SCHEMA.names)
_NEEDED = frozenset(("kind", "time_s"))
_INDEX = {"vehicle": "vehicle", "station": "station", "request": "request"}


class EventLog:
    """Collects the events of all roles and writes them as one Parquet file."""

    def __init__(self, path: Path, ids: Ids) -> None:
        self._path = path
        self._ids = ids
        self.rows: list[dict[str, Any]] = []

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Add the events of a tick, in the order of the roles."""
        for role in ROLES[:-1]:
            self.add(tick, role, signals[f"{role}_events"])

    def add(self, tick: int, role: str, events: Iterable[Mapping[str, Any]]) -> None:
        """Add events; an unknown column or id is an error of the simulator that sent it."""
        for event in events:
            if not event.keys() <= _COLUMNS or not event.keys() >= _NEEDED:
                unknown = [key for key in event if key not in _COLUMNS]
                reason = f"an event needs kind and time_s, and has no {', '.join(unknown) or '-'}"
                raise SignalError(f"{role}_events", tick, "", reason)
            for key, dim in _INDEX.items():
                index = event.get(key)
                if index is not None and not 0 <= index < len(self._ids[dim]):
                    raise SignalError(f"{role}_events", tick, f"{key} {index}", "is not an id")
            self.rows.append({"tick": tick, "role": role, **event})

    def resume(self, ticks: int) -> None:
        """Read back what was written of the first ticks."""
        for row in pq.read_table(self._path).to_pylist():
            if row["tick"] < ticks:
                self.rows.append(row)

    def table(self) -> pa.Table:
        """Return the events as a table."""
        return pa.Table.from_pylist(self.rows, schema=SCHEMA)

    def write(self) -> None:
        """Write the events, replacing the file at once."""
        part = self._path.with_suffix(".part")
        pq.write_table(self.table(), part)
        os.replace(part, self._path)
