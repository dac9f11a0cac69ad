"""Messages between processes: mosaik's, with arrays as their bytes behind the JSON.

A message is the length of its JSON and of what follows it, the JSON, and the bytes of all arrays,
each once however often the JSON refers to it.
"""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import numpy as np
from mosaik_api_v3.connection import (
    FAILURE,
    REQUEST,
    SUCCESS,
    Channel,
    EndOfRequests,
    RemoteException,
    Request,
)
from numpy.typing import NDArray

MOST_BYTES = 1 << 30
"""Largest message that is read: a gigabyte."""
BUFFER_BYTES = 1 << 22
"""What a connection takes in before it waits for its reader."""
_HEAD = struct.Struct(">IQ")
_KEY = "ndarray"
_TYPES = frozenset("biufU")
"""Kinds of arrays that are numbers, truth values or texts: their bytes are their values."""
_ALIGNED = 64


def packed(value: Any) -> bytes:
    """Return a message; numbers of numpy become those of Python, tuples lists."""
    parts: list[Any] = []
    places: dict[int, list[Any]] = {}
    size = 0

    def plain(found: Any) -> Any:
        nonlocal size
        if isinstance(found, np.generic):
            return found.item()
        if not isinstance(found, np.ndarray):
            raise TypeError(f"{type(found).__name__} cannot be sent to another process")
        # What is sent holds on to the array, so that no other gets its id.
        if id(found) not in places:
            array: NDArray[Any] = np.ascontiguousarray(found)
            places[id(found)] = [array.dtype.str, list(found.shape), size]
            padding = bytes(-array.nbytes % _ALIGNED)
            parts.extend((array.reshape(-1).view(np.uint8) if array.size else b"", padding))
            size += array.nbytes + len(padding)
        return {_KEY: places[id(found)]}

    text = json.dumps(value, default=plain).encode()
    return b"".join((_HEAD.pack(len(text), size), text, *parts))


def unpacked(text: bytes, content: bytes) -> Any:
    """Return what a message says; arrays are read-only.

    Raises
    ------
    ValueError
        It is no message.
    """

    def whole(found: dict[str, Any]) -> Any:
        return _array(content, *found[_KEY]) if found.keys() == {_KEY} else found

    try:
        return json.loads(text, object_hook=whole)
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _array(content: bytes, code: str, shape: list[int], begin: int) -> NDArray[Any]:
    dtype = np.dtype(code)
    if dtype.kind not in _TYPES or min(shape, default=0) < 0:
        raise ValueError(f"an array {code} of shape {shape} is not taken from another process")
    count = int(np.prod(shape, dtype=np.int64))
    if not count:
        return np.empty(shape, dtype)
    return np.frombuffer(content, dtype, count, begin).reshape(shape)


class _Short(dict[str, Any]):
    """Inputs whose text is short: mosaik writes that of every request, read or not."""

    def __repr__(self) -> str:
        return f"<{len(self)} inputs>"


class ArrayChannel(Channel):
    """A connection of mosaik's whose messages carry arrays."""

    async def send(self, value: Any) -> Any:
        """Send a request and return the answer; see `Channel.send`."""
        number = next(self._msg_counter)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._outgoing_request_futures[number] = answer
        try:
            await self._write(REQUEST, number, value)
            return await answer
        finally:
            # Nobody waits for it any more, and nobody would hear of its failure.
            answer.cancel()

    async def _write_success(self, msg_id: int, value: Any) -> None:
        await self._write(SUCCESS, msg_id, value)

    async def _write_failure(self, msg_id: int, value: Any) -> None:
        await self._write(FAILURE, msg_id, value)

    async def _write(self, kind: int, number: int, value: Any) -> None:
        self._writer.write(packed([kind, number, value]))
        await self._writer.drain()

    async def _read(self) -> Any:
        length, size = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        for announced in (length, size):
            if announced > MOST_BYTES:
                raise ValueError(f"a message of {announced} bytes is announced")
        text = await self._reader.readexactly(length)
        return unpacked(text, await self._reader.readexactly(size))

    async def _receive_forever(self) -> None:
        waiting = self._outgoing_request_futures
        try:
            while True:
                kind, number, content = await self._read()
                if kind == REQUEST:
                    name, arguments, named = content
                    short = [_Short(a) if isinstance(a, dict) else a for a in arguments]
                    request = Request(self, number, (name, short, named))
                    await self._incoming_requests.put(request)
                elif kind == SUCCESS:
                    _settle(waiting.pop(number), content)
                elif kind == FAILURE:
                    _settle(waiting.pop(number), RemoteException(*content, source=self._name))
        except (EOFError, ConnectionError) as error:
            for answer in waiting.values():
                _settle(answer, error)
            self._incoming_requests.put_nowait(EndOfRequests())


def _settle(answer: asyncio.Future[Any], found: Any) -> None:
    """Give an answer to whoever waits for it."""
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
