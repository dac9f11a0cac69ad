"""Arrays in the messages between processes, which are JSON."""

from __future__ import annotations

import base64
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

_KEY = "ndarray"
_TYPES = frozenset("biufU")
"""Kinds of arrays that are numbers, truth values or texts: their bytes are their values."""


def packed(value: Any) -> Any:
    """Return a value with every array as text; numbers of numpy become those of Python."""
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(cast(NDArray[Any], value))
        content = base64.b64encode(array.tobytes()).decode("ascii")
        return {_KEY: [array.dtype.str, list(value.shape), content]}
    if isinstance(value, dict):
        return {key: packed(part) for key, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [packed(part) for part in cast("list[Any]", value)]
    return value.item() if isinstance(value, np.generic) else value


def unpacked(value: Any) -> Any:
    """Return a value with every text that stands for an array as the array, read-only.

    Raises
    ------
    ValueError
        What stands for an array is none.
    """
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        if found.keys() == {_KEY}:
            return _array(*found[_KEY])
        return {key: unpacked(part) for key, part in found.items()}
    return (
        [unpacked(part) for part in cast("list[Any]", value)] if isinstance(value, list) else value
    )


def _array(code: str, shape: list[int], content: str) -> NDArray[Any]:
    dtype = np.dtype(code)
    if dtype.kind not in _TYPES:
        raise ValueError(f"an array of type {code} is not taken from another process")
    return np.frombuffer(base64.b64decode(content), dtype).reshape(shape)
