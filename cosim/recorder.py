"""The run store: ``timeseries.zarr`` through xarray, and ``events.parquet``.

Ticks are written by blocks. The arrays are as long as the ticks that were recorded, but for the
first block, whose room is made before the first tick: a run that was killed before its first
write leaves arrays without a value, and a manifest that says that it is still running.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xarray as xr
import zarr
from numpy.typing import NDArray

from cosim.events import EventLog
from cosim.monitor import TickSink
from cosim.signals import SIGNALS, TICK_S, Ids, Signal, shape_of
from cosim.simulator import Facts

SCHEMA_VERSION = 1
"""Version of the layout of a run folder."""
BLOCK_TICKS = 288
"""Most ticks between two writes to the store: a day."""
BLOCK_BYTES = 32_000_000
"""Most bytes between two writes to the store."""

_CELL_METHODS = {
    "sum": "tick: sum",
    "mean": "tick: mean",
    "end": "tick: point",
    "start": "tick: point",
}
RECORDED = tuple(s for s in SIGNALS.values() if s.recorded)
"""Signals that the store keeps for every tick."""


class Recorder(TickSink):
    """Writes every tick of a run.

    Parameters
    ----------
    folder
        The run folder.
    start
        Local date and time of the first tick.
    ticks
        Ticks that are to come.
    ids
        Ids of every dimension.
    facts
        Static properties of ids: name, (dimension, values).
    resumed
        Ticks that the store has from before and that stay; what lies beyond them is dropped.
    """

    def __init__(
        self,
        folder: Path,
        start: datetime,
        ticks: int,
        ids: Ids,
        facts: Facts | None = None,
        resumed: int = 0,
    ) -> None:
        self.store = folder / "timeseries.zarr"
        self.events = EventLog(folder / "events.parquet", ids)
        self.facts: Facts = facts or {}
        self._start = np.datetime64(start.replace(tzinfo=None), "ns")
        self._ids = ids
        tick_bytes = sum(math.prod(shape_of(s, ids)) * np.dtype(s.dtype).itemsize for s in RECORDED)
        self._block_ticks = max(1, min(ticks, BLOCK_TICKS, BLOCK_BYTES // tick_bytes))
        self._block: dict[str, NDArray[Any]] = {
            s.name: np.zeros((self._block_ticks, *shape_of(s, ids)), s.dtype) for s in RECORDED
        }
        self._first = resumed - resumed % self._block_ticks
        """First tick of the block."""
        self.written_ticks = resumed
        """Ticks that are in the store."""
        self.last_tick = resumed - 1
        if not resumed:
            self._create()
        self._arrays = dict(zarr.open_group(self.store, mode="r+").arrays())
        self._resize(resumed or self._block_ticks)
        if resumed:
            self.events.resume(resumed)
            for name, block in self._block.items():
                block[: resumed - self._first] = self._arrays[name][self._first :]

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Record one tick; a full block is written first."""
        if tick - self._first >= self._block_ticks:
            self.flush()
            self._first = tick
        row = tick - self._first
        for name, block in self._block.items():
            block[row] = signals[name]
        self.events.take(tick, signals)
        self.last_tick = tick

    def save(self) -> dict[str, NDArray[Any]]:
        """Write all that was taken in, so that a checkpoint finds it in the store."""
        self.flush()
        return {}

    def flush(self) -> None:
        """Write what has been taken in since the last write."""
        self.events.write()
        if self.last_tick + 1 > self.written_ticks:
            self._write()
            self.written_ticks = self.last_tick + 1

    def close(self) -> None:
        """Write the rest, and leave the arrays as long as what was recorded."""
        self.flush()
        self._resize(self.written_ticks)

    def _create(self) -> None:
        """Write the store without a tick: names, dimensions, units and ids."""
        shapes = {s.name: (0, *shape_of(s, self._ids)) for s in RECORDED}
        none = np.empty(0, dtype=np.int64)
        dataset = xr.Dataset(
            {
                s.name: (("tick", *s.dims), np.empty(shapes[s.name], s.dtype), attributes(s))
                for s in RECORDED
            },
            coords={
                "tick": ("tick", none, {"long_name": "settlement interval"}),
                "time": (
                    "tick",
                    none.astype("datetime64[ns]"),
                    {"long_name": "local time at which the tick begins"},
                ),
                **self._static(),
            },
            attrs={"voltstep_schema_version": SCHEMA_VERSION},
        )
        encoding: dict[str, dict[str, Any]] = {
            name: {"chunks": (self._block_ticks, *shape[1:])} for name, shape in shapes.items()
        }
        along_ticks = {"chunks": (self._block_ticks,)}
        encoding["tick"] = along_ticks
        encoding["time"] = along_ticks | {
            "units": f"seconds since {self._start}",
            "dtype": "int64",
        }
        dataset.to_zarr(self.store, zarr_format=2, consolidated=True, encoding=encoding)

    def _resize(self, ticks: int) -> None:
        """Make every array `ticks` long, where it is not."""
        changed = False
        for name in self._along_ticks():
            array = self._arrays[name]
            if array.shape[0] != ticks:
                array.resize((ticks, *array.shape[1:]))
                changed = True
        if changed:
            zarr.consolidate_metadata(self.store, zarr_format=2)

    def _write(self) -> None:
        """Write the block, as far as it is filled."""
        end = self.last_tick + 1
        if end > self._arrays["tick"].shape[0]:
            self._resize(end)
        ticks = self._first + np.arange(self._block_ticks)
        block = self._block | {"tick": ticks, "time": ticks * TICK_S}

        def write(name: str) -> None:
            array = self._arrays[name]
            self._write_chunk(array, block[name].astype(array.dtype, copy=False))

        with ThreadPoolExecutor(4) as pool:
            # Gathered in a list, so that a failure of any of them is raised here.
            list(pool.map(write, block))

    def _write_chunk(self, array: Any, values: NDArray[Any]) -> None:
        """Write the block, which is one chunk of its array, as zarr's format 2 has it.

        zarr's own way through its asynchronous pipeline takes three times as long, which for some
        sixty arrays is 2 % of a default run. xarray's append takes as long again.
        """
        place = (self._first // self._block_ticks, *[0] * (array.ndim - 1))
        path = self.store / array.path / array.metadata.encode_chunk_key(place)
        part = path.with_name(path.name + ".part")
        part.write_bytes(array.metadata.compressor.encode(np.ascontiguousarray(values)))
        os.replace(part, path)

    def _along_ticks(self) -> list[str]:
        return ["tick", "time", *self._block]

    def _static(self) -> dict[str, Any]:
        coords: dict[str, Any] = {dim: (dim, _labels(names)) for dim, names in self._ids.items()}
        for name, (dim, values) in self.facts.items():
            coords[name] = (dim, np.asarray(values))
        return coords


def attributes(signal: Signal) -> dict[str, Any]:
    """Return the attributes of a signal's array in the store."""
    found: dict[str, Any] = {
        "units": signal.unit,
        "long_name": signal.meaning,
        "cell_methods": _CELL_METHODS[signal.over_tick],
    }
    if signal.index_of:
        found["index_of"] = signal.index_of
    if signal.volatile:
        found["volatile"] = 1
    return found


def digest(folder: Path, figures: Mapping[str, Any]) -> str:
    """Return the SHA-256 over every array, event and key figure that is not a wall time.

    Parameters
    ----------
    folder
        A run folder; arrays and events are read back from it, so that the digest is of what is
        stored. Arrays go in by name, type, shape and bytes: any difference in a bit shows.
    figures
        Key figures that do not rest on wall time.
    """
    total = hashlib.sha256()
    with xr.open_zarr(folder / "timeseries.zarr", chunks=None) as dataset:
        for name in sorted(str(key) for key in dataset.variables):
            if dataset[name].attrs.get("volatile"):
                continue
            values: NDArray[Any] = dataset[name].to_numpy()
            if values.dtype.hasobject:
                raise TypeError(f"{name} holds Python objects, which have no bytes of their own")
            total.update(f"{name} {values.dtype.str} {values.shape}".encode())
            total.update(np.ascontiguousarray(values).tobytes())
    events = pq.read_table(folder / "events.parquet")
    for name in events.column_names:
        total.update(repr((name, events[name].to_pylist())).encode())
    total.update(repr(sorted(figures.items())).encode())
    return total.hexdigest()


def _labels(names: tuple[str, ...]) -> NDArray[Any]:
    """Return ids as numbers where all of them are numbers."""
    if names and all(name.isdecimal() for name in names):
        return np.array([int(name) for name in names], dtype=np.int32)
    return np.array(names, dtype=str) if names else np.empty(0, dtype=np.int32)
