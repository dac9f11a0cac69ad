"""Array checks at every boundary: shape, type, finite, range, as the wire table promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cosim.errors import SignalError
from cosim.signals import FIXED_DIMS, SIGNALS, Ids, Signal, shape_of

_DTYPES = {code: np.dtype(code) for code in sorted({s.dtype for s in SIGNALS.values()})}


class Boundary:
    """The checks of one role's outputs, all arrays of a type in one go.

    A tick's arrays are mostly short, so the calls cost more than the comparisons: arrays of one
    type are laid end to end and compared once. Only if that finds something is each of them
    checked alone, for the message.

    Parameters
    ----------
    signals
        What the role produces.
    ids
        Ids of every dimension.
    """

    def __init__(self, signals: Iterable[Signal], ids: Ids) -> None:
        self._signals, self._ids = tuple(signals), ids
        self._plan = [
            (s, s.name, s.is_events, None if s.is_events else (_DTYPES[s.dtype], shape_of(s, ids)))
            for s in self._signals
        ]
        self._batches = [
            _Batch([s for s in self._signals if s.dtype == code and not s.is_events], ids)
            for code in _DTYPES
        ]

    def check(self, values: Mapping[str, Any], tick: int) -> dict[str, Any]:
        """Return every signal as the array that the wire table promises.

        Raises
        ------
        SignalError
            Naming signal, id and tick, if the shape, a NaN or the range is wrong.
        """
        found: dict[str, Any] = {}
        for signal, name, is_events, wanted in self._plan:
            value = values[name]
            if is_events:
                found[name] = checked(signal, value, self._ids, tick)
            elif isinstance(value, np.ndarray) and (value.dtype, value.shape) == wanted:
                found[name] = value
            elif isinstance(value, float) and not signal.dims:
                found[name] = np.array(value)
            else:
                found[name] = checked(signal, value, self._ids, tick)
        if not all(batch.within(found) for batch in self._batches):
            for signal in self._signals:
                checked(signal, found[signal.name], self._ids, tick)
        return found


class _Batch:
    """Signals of one type, laid end to end."""

    def __init__(self, signals: list[Signal], ids: Ids) -> None:
        self._names = [s.name for s in signals if s.dtype != "?"]
        sizes = [int(np.prod(shape_of(SIGNALS[name], ids))) for name in self._names]
        self._all = np.empty(sum(sizes), signals[0].dtype if signals else "f8")
        self._inside = np.empty(self._all.shape, dtype=bool)
        bounds = [_bounds(SIGNALS[name], ids, self._all.dtype) for name in self._names]
        self._low = np.repeat([low for low, _ in bounds], sizes).astype(self._all.dtype)
        self._high = np.repeat([high for _, high in bounds], sizes).astype(self._all.dtype)

    def within(self, values: Mapping[str, Any]) -> bool:
        if not self._all.size:
            return True
        np.concatenate([values[name].ravel() for name in self._names], out=self._all)
        # A NaN fails every comparison, an infinity that with the greatest number.
        np.greater_equal(self._all, self._low, out=self._inside)
        if not self._inside.all():
            return False
        np.less_equal(self._all, self._high, out=self._inside)
        return bool(self._inside.all())


def _bounds(signal: Signal, ids: Ids, dtype: np.dtype[Any]) -> tuple[float, float]:
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    high = _highest(signal, ids)
    return max(signal.low, float(limits.min)), min(high, float(limits.max))


def _highest(signal: Signal, ids: Ids) -> float:
    return len(ids[signal.index_of]) - 1 if signal.index_of else signal.high


def checked(signal: Signal, value: Any, ids: Ids, tick: int) -> Any:
    """Return `value` as the array that the wire table promises.

    Parameters
    ----------
    signal
        Line of the wire table.
    value
        Array, nested list or number; a list of dictionaries for events.
    ids
        Ids of every dimension.
    tick
        Settlement interval, for the message.

    Raises
    ------
    SignalError
        Naming signal, id and tick, if the shape, a NaN or the range is wrong.
    """
    if signal.is_events:
        if not isinstance(value, list):
            raise SignalError(
                signal.name, tick, "", f"not a list of events: {type(value).__name__}"
            )
        return value
    bounded = not signal.dims and isinstance(value, float) and abs(value) < np.inf
    if bounded and signal.low <= value <= signal.high:
        return np.array(value)
    array = _cast(signal, value, tick)
    shape = shape_of(signal, ids)
    if array.shape != shape:
        raise SignalError(signal.name, tick, "", f"shape {array.shape}, not {shape}")
    if signal.dtype == "?":
        return array
    high = _highest(signal, ids)
    # A NaN is both least and greatest, and fails every comparison. Most arrays end here.
    if not array.size:
        return array
    least, most = array.min(), array.max()
    if least >= signal.low and most <= high and abs(least) < np.inf and most < np.inf:
        return array
    bad = ~((array >= signal.low) & (array <= high))
    if np.isinf(high) and array.dtype.kind == "f":
        bad |= ~np.isfinite(array)
    if bad.any():
        position = tuple(int(i) for i in np.argwhere(bad)[0])
        found = array[position]
        raise SignalError(
            signal.name,
            tick,
            _place(signal, position, ids),
            f"{found:.9g} is not within {signal.low:g} to {high:g} {signal.unit}"
            f" ({int(bad.sum())} of {bad.size} values)",
        )
    return array


def _cast(signal: Signal, value: Any, tick: int) -> NDArray[Any]:
    wanted = _DTYPES[signal.dtype]
    if isinstance(value, np.ndarray) and value.dtype == wanted:
        return cast(NDArray[Any], value)
    try:
        array: NDArray[Any] = np.asarray(value)
        array = array.astype(wanted, copy=False) if _castable(array, signal) else array
    except (TypeError, ValueError) as error:
        raise SignalError(signal.name, tick, "", f"not an array of numbers: {error}") from None
    if array.dtype != wanted:
        raise SignalError(signal.name, tick, "", f"type {array.dtype}, not {wanted}")
    return array


def _castable(array: NDArray[Any], signal: Signal) -> bool:
    target = np.dtype(signal.dtype)
    if target.kind == "f":
        return array.dtype.kind in "fiub"
    if target.kind == "i":
        return array.dtype.kind in "iu"
    return array.dtype.kind == target.kind


def _place(signal: Signal, position: tuple[int, ...], ids: Ids) -> str:
    names = [
        f"{dim} {index if dim in FIXED_DIMS else ids[dim][index]}"
        for dim, index in zip(signal.dims, position, strict=True)
    ]
    return ", ".join(names)
