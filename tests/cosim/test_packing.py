"""Messages between processes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from cosim.packing import packed, unpacked

ARRAYS = (
    np.arange(6.0).reshape(2, 3),
    np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2],
    np.array([True, False]),
    np.array(["in_1", "a"]),
    np.zeros((0, 4), np.int8),
    np.array(3.5),
)


def there_and_back(value: Any) -> Any:
    message = packed(value)
    length, size = struct.unpack_from(">IQ", message)
    assert len(message) == 12 + length + size
    return unpacked(message[12 : 12 + length], message[12 + length :])


def test_arrays_arrive_as_they_were() -> None:
    found = there_and_back({"arrays": list(ARRAYS), "tick": np.int64(3), "pair": (1, None)})
    assert (found["tick"], found["pair"]) == (3, [1, None])
    for before, after in zip(ARRAYS, found["arrays"], strict=True):
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        np.testing.assert_array_equal(after, before)


def test_an_array_goes_once() -> None:
    array = np.arange(1000.0)
    once, twice = packed([array]), packed([array, {"again": array}])
    assert len(twice) - len(once) < 100
    found = there_and_back([array, array])
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize(
    "text",
    [
        b"nope",
        b'{"ndarray": 3}',
        b'{"ndarray": ["|O", [1], 0]}',
        b'{"ndarray": ["<f8", [9], 0]}',
        b'{"ndarray": ["<f8", [-1], 0]}',
        b'{"ndarray": ["<f8", [1], 64]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unpacked(text, bytes(16))


def test_what_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="set cannot be sent to another process"):
        packed({1, 2})
