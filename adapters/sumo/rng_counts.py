"""How many random numbers SUMO has drawn, as its saved states tell.

A state has the numbers drawn from each generator, and loading it draws as many anew. Counters are
those of the process: a simulation that is not the first in it saves more than it drew, and would go
on with other numbers than the same simulation in a process of its own.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from pathlib import Path

_GENERATORS = re.compile(rb"<rngState [^>]*>")
_NAMED = re.compile(rb'([\w.]+)="(\d+)"')
_LANE = re.compile(rb'<rngLane index="(\d+)" state="(\d+)"/>')


def read(file: Path) -> dict[bytes, int]:
    """Return the count of every generator in a saved state."""
    text = gzip.decompress(file.read_bytes())
    found = _GENERATORS.search(text)
    named = _NAMED.findall(found[0]) if found else []
    return {name: int(count) for name, count in [*named, *_LANE.findall(text)]}


def reduce(file: Path, before: Mapping[bytes, int]) -> None:
    """Take counts from before a simulation began off those in its saved state."""

    def less(found: re.Match[bytes]) -> bytes:
        name, count = found[1], int(found[2])
        return found[0].replace(b'"%d"' % count, b'"%d"' % (count - before.get(name, 0)))

    def of_lane(found: re.Match[bytes]) -> bytes:
        left = int(found[2]) - before.get(found[1], 0)
        return b'<rngLane index="%s" state="%d"/>' % (found[1], left)

    text = gzip.decompress(file.read_bytes())
    text = _GENERATORS.sub(lambda found: _NAMED.sub(less, found[0]), text, count=1)
    file.write_bytes(gzip.compress(_LANE.sub(of_lane, text), mtime=0))
