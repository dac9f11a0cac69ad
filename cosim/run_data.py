"""A run's record as key figures see it: of the whole fleet, or narrowed to one segment of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xarray as xr
from numpy.typing import NDArray

from cosim.signals import TICK_S


@dataclass(frozen=True)
class RunData:
    """What figures are made from."""

    data: xr.Dataset
    """``timeseries.zarr``."""
    loop_wall_s: float
    """Wall time from the first tick to the last."""
    audit_breaches: int
    ageing_acceleration: float = 1.0
    """How many times over ageing was counted."""
    events: pa.Table | None = None
    """``events.parquet``; None counts as no events."""
    segment: str = ""
    """Segment whose vehicles, requests and events alone are seen; empty: all are."""
    _read: dict[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    def array(self, name: str) -> NDArray[Any]:
        """Return a recorded array."""
        if name not in self._read:
            self._read[name] = self.data[name].to_numpy()
        values = self._read[name]
        for axis, dim in enumerate(self.data[name].dims):
            if self.segment and dim in ("vehicle", "segment"):
                values = np.compress(self._mine(str(dim)), values, axis)
        return values

    def total(self, name: str) -> float:
        """Return the sum of a recorded array."""
        return float(self.array(name).sum())

    def last(self, name: str) -> float:
        """Return the sum of a recorded array at the last tick."""
        return float(self.array(name)[-1].sum())

    def column(self, kind: str, name: str) -> NDArray[np.float64]:
        """Return a column of the events of a kind, without those that lack a value."""
        if self.events is None:
            return np.zeros(0)
        rows = self.events.filter(pc.field("kind") == kind)
        return rows[name].drop_null().to_numpy().astype(np.float64)

    def count(self, *kinds: str) -> float:
        """Return the number of events of some kinds."""
        return float(sum(self.column(kind, "time_s").size for kind in kinds))

    def forget(self) -> None:
        """Let go of the arrays that have been read."""
        self._read.clear()

    def parts(self) -> list[RunData]:
        """Return the part of each segment of the fleet, in the order of the record."""
        names = self.data["segment"].to_numpy().tolist() if "segment" in self.data.coords else []
        return [
            replace(part, events=None if self.events is None else part._own(self.events))
            for part in (replace(self, segment=name) for name in names)
        ]

    def _own(self, events: pa.Table) -> pa.Table:
        """Return the events of the segment: of its vehicles, or of requests that have none yet."""
        mine = np.zeros(len(events), np.bool_)
        for dim in ("request", "vehicle"):
            index = events[dim].fill_null(-1).to_numpy()
            mine = np.where(index >= 0, np.append(self._mine(dim), False)[index], mine)
        return events.filter(pa.array(mine))

    def _mine(self, dim: str) -> NDArray[np.bool_]:
        name = dim if dim == "segment" else f"{dim}_segment"
        return self.data[name].to_numpy() == self.segment

    @property
    def vehicles(self) -> int:
        """Number of vehicles."""
        return int(self._mine("vehicle").sum()) if self.segment else self.data.sizes["vehicle"]

    @property
    def days(self) -> float:
        """Simulated days."""
        return self.data.sizes["tick"] * TICK_S / 86_400
