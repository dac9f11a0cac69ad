"""Where two run folders differ: signal, tick, id, and both values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

from cosim.signals import SIGNALS

_NO_TICK = -1
"""Tick of what does not change in a run, such as ids."""


@dataclass(frozen=True)
class Difference:
    """The first value of an array, or event, that is not the same."""

    what: str
    """Signal, coordinate, or ``events``."""
    tick: int
    """Settlement interval; -1 for what does not change in a run."""
    where: str
    """Id, such as ``vehicle 17``; empty where there is none."""
    first: str
    """Value in the first folder."""
    second: str
    """Value in the second."""
    count: int
    """How many values, or events, are not the same."""
    largest: float
    """Largest distance between two numbers; 0 where they are none."""


def differences(first: Path, second: Path) -> list[Difference]:
    """Compare what two runs recorded, wall times left out.

    Returns
    -------
    list
        One entry for each array that differs in a bit, the one with the earliest tick first, in the
        order of the wire table where the tick is the same: what comes first there is closest to the
        cause.
    """
    found: list[Difference] = []
    with (
        xr.open_zarr(first / "timeseries.zarr", chunks=None) as one,
        xr.open_zarr(second / "timeseries.zarr", chunks=None) as other,
    ):
        names = dict.fromkeys(str(n) for data in (one, other) for n in data.variables)
        order = {name: i for i, name in enumerate(SIGNALS)}
        for name in sorted(names, key=lambda n: (order.get(n, -1), n)):
            if name not in one or name not in other:
                missing = "the first" if name not in one else "the second"
                found.append(_whole(name, f"missing in {missing}", ""))
            elif not one[name].attrs.get("volatile"):
                found += _array(name, one[name], other[name])
    found += _events(first, second)
    return sorted(found, key=lambda d: d.tick)


def _whole(what: str, first: str, second: str) -> Difference:
    return Difference(what, _NO_TICK, "", first, second, 1, 0.0)


def _array(name: str, one: xr.DataArray, other: xr.DataArray) -> list[Difference]:
    a, b = one.to_numpy(), other.to_numpy()
    if a.dtype != b.dtype or a.shape != b.shape:
        if "tick" not in one.dims or a.dtype != b.dtype or a.shape[1:] != b.shape[1:]:
            return [_whole(name, f"{a.dtype} {a.shape}", f"{b.dtype} {b.shape}")]
        # One run is shorter: it is compared as far as it goes.
        a, b = a[: len(b)], b[: len(a)]
    unequal = _bits(a) != _bits(b)
    if not unequal.any():
        return []
    at = tuple(int(axis[0]) for axis in np.nonzero(unequal))
    numbers = a.dtype.kind in "iuf"
    distance = np.abs(a[unequal].astype(float) - b[unequal].astype(float)) if numbers else None
    return [
        Difference(
            what=name,
            tick=at[0] if "tick" in one.dims else _NO_TICK,
            where=_where(one, at),
            first=str(a[at]),
            second=str(b[at]),
            count=int(unequal.sum()),
            largest=float(np.nanmax(distance, initial=0.0)) if distance is not None else 0.0,
        )
    ]


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """Return values so that they are equal only if their bytes are: also NaN, and 0 and -0."""
    if values.dtype.kind != "f":
        return values
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _where(array: xr.DataArray, at: tuple[int, ...]) -> str:
    parts: list[str] = []
    for dim, index in zip(array.dims, at, strict=True):
        if dim != "tick":
            name = array.coords[dim].to_numpy()[index] if dim in array.coords else index
            parts.append(f"{dim} {name}")
    return ", ".join(parts)


def _events(first: Path, second: Path) -> list[Difference]:
    rows = [pq.read_table(f / "events.parquet").to_pylist() for f in (first, second)]
    if repr(rows[0]) == repr(rows[1]):
        return []
    shared = min(len(rows[0]), len(rows[1]))
    unequal = [i for i in range(shared) if repr(rows[0][i]) != repr(rows[1][i])]
    at = unequal[0] if unequal else shared
    pair = [r[at] if at < len(r) else None for r in rows]
    one, other = (_event(row) for row in pair)
    count = len(unequal) + abs(len(rows[0]) - len(rows[1]))
    tick = min(row["tick"] for row in pair if row is not None)
    return [Difference("events", int(tick), f"row {at}", one, other, count, 0.0)]


def _event(row: dict[str, Any] | None) -> str:
    if row is None:
        return "none"
    return ", ".join(f"{key} {value}" for key, value in row.items() if value is not None)
