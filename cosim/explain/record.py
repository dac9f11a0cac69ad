"""What a run folder knows, as explanations read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

from cosim.assets import Assets
from cosim.errors import UserError, nearest
from cosim.run_folder import RunFolder
from cosim.scenario import Scenario
from cosim.signals import TICK_S

SHOWN = 8
"""Names that a line lists."""


@dataclass(frozen=True)
class Line:
    """A part of a timeline."""

    begin: datetime
    """Local time at which it begins."""
    end: datetime
    """And ends; the same for what happens at one moment."""
    what: str
    """What happened."""
    why: str = ""
    """Why, if it is to be explained."""


class Record:
    """A run's arrays and events, read as they are needed; a context manager.

    Raises
    ------
    UserError
        The run has recorded nothing.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.scenario: Scenario = folder.scenario
        try:
            self._data = xr.open_zarr(folder.path / "timeseries.zarr", chunks=None)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{folder.path} has no record that can be read: {error}") from None
        # A run that was killed has room for ticks that it did not reach.
        self.ticks = min(self._data.sizes["tick"], folder.ticks_done)
        if not self.ticks:
            self._data.close()
            raise UserError(f"{folder.path} has recorded nothing yet")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data.close()

    @cached_property
    def assets(self) -> Assets:
        """Static tables of the scenario."""
        return Assets.of(self.scenario)

    def index(self, dim: str, name: str) -> int:
        """Return the position of an id.

        Raises
        ------
        UserError
            There is none of that name.
        """
        names = self.names(dim)
        if name in names:
            return names.index(name)
        if names and all(n.isdecimal() for n in names):
            known = f"{names[0]} to {names[-1]}"
            raise UserError(f"{self.folder.path} has no {dim} {name}: there are {known}")
        near = nearest(name, names)
        hint = f" Did you mean {near}?" if near else ""
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        some = ", ".join(names[:SHOWN]) or "none"
        raise UserError(f"{self.folder.path} has no {dim} {name}: there are {some}{more}.{hint}")

    def names(self, dim: str) -> list[str]:
        """Return the ids of a dimension."""
        return [str(n) for n in self._data[dim].to_numpy()] if dim in self._data.coords else []

    def fact(self, name: str) -> NDArray[Any]:
        """Return a static property of ids."""
        return self._data[name].to_numpy()

    def series(self, name: str, index: int | None = None) -> NDArray[Any]:
        """Return a recorded signal over the ticks, of one id or of all."""
        array = self._data[name]
        chosen = array if index is None else array[:, index]
        return chosen.to_numpy()[: self.ticks]

    def before(self, name: str, index: int, first: Any) -> NDArray[Any]:
        """Return what a signal was at the end of the tick before each, `first` before the first."""
        return np.append(first, self.series(name, index)[:-1])

    def knows(self, name: str) -> bool:
        """Whether the run recorded a signal; runs of earlier versions lack some."""
        return name in self._data

    def time(self, tick: int) -> datetime:
        """Return the local time at which a tick begins."""
        return self.at(float(tick * TICK_S))

    def at(self, time_s: float) -> datetime:
        """Return the local time of a simulation time [s]."""
        return self.scenario.start_time + timedelta(seconds=round(time_s))

    def moment(self, text: str, option: str) -> datetime | None:
        """Return a moment that a user names, None for an empty text.

        Raises
        ------
        UserError
            It is neither a date and time nor a time of day.
        """
        if not text:
            return None
        day = self.scenario.start_time.date().isoformat()
        for candidate in (text, f"{day} {text}"):
            try:
                return datetime.fromisoformat(candidate)
            except ValueError:
                continue
        raise UserError(f"{option} is {text!r}: must be a time such as 08:00 or '{day} 08:00'")

    def events(self, column: str, value: Any) -> list[dict[str, Any]]:
        """Return the events with a value in a column, in their order."""
        file = self.folder.path / "events.parquet"
        if not file.is_file():
            return []
        rows = pq.read_table(file)
        kept = rows.filter((pc.field(column) == value) & (pc.field("tick") < self.ticks))
        return kept.to_pylist()


def stretches(*keys: Sequence[Any] | NDArray[Any]) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of every stretch of ticks in which no key changes."""
    count = len(keys[0])
    start = 0
    for tick in range(1, count + 1):
        if tick == count or any(key[tick] != key[start] for key in keys):
            yield start, tick
            start = tick


def kw(value: float) -> str:
    """Return a power as text."""
    return f"{value:.1f} kW"


def some(names: Sequence[str]) -> str:
    """Return names, no more than `SHOWN`."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
