"""`cosim explain`: what happened to one vehicle, station, transformer or request, and why.

Everything comes from the run folder, of a run that is whole or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from cosim.errors import UserError, nearest
from cosim.explain.places import station, transformer
from cosim.explain.record import Line, Record
from cosim.explain.requests import request
from cosim.explain.vehicles import vehicle
from cosim.run_folder import RunFolder

KINDS: Mapping[str, Callable[[Record, int], list[Line]]] = MappingProxyType(
    {"vehicle": vehicle, "station": station, "transformer": transformer, "request": request}
)
"""What can be explained, and who does it."""


def explain(folder: RunFolder, kind: str, name: str, first: str = "", last: str = "") -> list[Line]:
    """Return a timeline in plain words.

    Parameters
    ----------
    folder
        A run.
    kind, name
        One of `KINDS`, and the id of one of them.
    first, last
        Local date and time, or time of the first day, from which and until which it is told;
        empty for the whole run.

    Raises
    ------
    UserError
        There is no such kind or id, or nothing was recorded.
    """
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        hint = f" Did you mean {near}?" if near else ""
        raise UserError(f"{kind!r} cannot be explained: choose from {', '.join(KINDS)}.{hint}")
    with Record(folder) as record:
        index = record.index(kind, name)
        begin, end = record.moment(first, "--from"), record.moment(last, "--to")
        lines = KINDS[kind](record, index)
    return [
        line
        for line in sorted(lines, key=lambda line: (line.begin, line.end))
        if (begin is None or line.end >= begin) and (end is None or line.begin <= end)
    ]
