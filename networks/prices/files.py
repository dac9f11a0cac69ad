"""A user's own prices as a file, in one of the layouts of `networks.prices.layouts`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from cosim.errors import Problem, ScenarioError, nearest
from networks.prices.layouts import ENDINGS, Row, Sheet, read_sheet

LOW_USD_PER_MWH, HIGH_USD_PER_MWH = -10_000.0, 100_000.0
"""Prices outside are slips."""
STEPS_MINUTES = (5, 10, 15, 20, 30, 60)
"""Resolutions that a file may have."""
TIME_ZONE_FIELD = "market.prices_time_zone"
_MOST = 20
"""Problems of one kind that are told one by one."""
_TIMES = "must be a time such as 2022-09-14T07:30, or a date and an hour ending of the report"

Minutes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PriceFile:
    """Prices of one settlement point on a clock that does not jump."""

    start: datetime
    """Local start of the first interval."""
    end: datetime
    """Local end of the last interval."""
    step_minutes: int
    usd_per_mwh: Floats
    """Shape (interval,) [USD/MWh]."""
    zone: str
    about: str
    """Resolution, span, and what daylight saving did, in words."""


def is_file(name: str) -> bool:
    """Whether `market.prices` names a file."""
    return name.lower().endswith(ENDINGS)


def read_prices(
    path: Path | str, zone: str, time_zone: str, span: tuple[datetime, datetime] | None = None
) -> PriceFile:
    """Read a file of prices.

    Parameters
    ----------
    path
        CSV or Parquet. A row's price holds from its time on, in USD/MWh.
    zone
        Settlement point or price column; empty where the file has one alone.
    time_zone
        IANA name of the zone of the run's clock, and of times without an offset from UTC. The
        clock of a run does not jump: of the hour that daylight saving repeats the first is taken,
        the hour that it skips has the price before it.
    span
        Local time from and to which there must be prices, if there must.

    Raises
    ------
    ScenarioError
        Every problem of the file at once, with row (the header is row 1) and column.
    UserError
        The file cannot be read.
    """
    path = Path(path)
    if time_zone not in available_timezones():
        near = nearest(time_zone, sorted(available_timezones()))
        allowed = "must be an IANA time zone such as America/Chicago"
        raise ScenarioError(str(path), [Problem(TIME_ZONE_FIELD, time_zone, allowed, near)])
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    found, problems = _read(path, zone, time_zone, changed)
    if found is not None and span is not None:
        problems = (*problems, *_lacking(found, *span))
    if found is None or problems:
        raise ScenarioError(str(path), problems)
    return found


def _lacking(found: PriceFile, start: datetime, end: datetime) -> tuple[Problem, ...]:
    if found.start <= start and end <= found.end:
        return ()
    form = "%Y-%m-%d %H:%M"
    allowed = (
        f"must cover the run from {start:{form}} to {end:{form}}; it runs from "
        f"{found.start:{form}} to {found.end:{form}}"
    )
    return (Problem("the file", "", allowed),)


@lru_cache(maxsize=8)
def _read(
    path: Path, zone: str, time_zone: str, changed: int
) -> tuple[PriceFile | None, tuple[Problem, ...]]:
    del changed  # a part of the key: a file that was written again is read again
    sheet = read_sheet(path, zone)
    reader = _Reader(sheet, ZoneInfo(time_zone))
    found = reader.read(path.name)
    return found, tuple(reader.told())


class _Reader:
    """Rows become prices on an even grid; what is wrong is collected."""

    def __init__(self, sheet: Sheet, zone: ZoneInfo) -> None:
        self._sheet, self._zone = sheet, zone
        self.problems: dict[str, list[Problem]] = {}

    def told(self) -> list[Problem]:
        """Return the problems, the first of each kind."""
        found: list[Problem] = []
        for kind, problems in self.problems.items():
            found += problems[:_MOST]
            if (more := len(problems) - _MOST) > 0:
                found.append(Problem(f"{more} more rows", "", f"have {kind}"))
        return found

    def read(self, name: str) -> PriceFile | None:
        """Return the prices; None where there is too little to make sense of."""
        row, minute, repeated, price = self._columns()
        row, minute, price, dropped = self._once(row, minute, repeated, price)
        if "bad times" in self.problems:
            return None
        step = self._step(row, minute)
        if step is None:
            return None
        price, skipped = self._filled(row, minute, price, step)
        start, end = _moment(int(minute[0])), _moment(int(minute[-1]) + step)
        hours = [
            f"{count * step / 60:g} h that daylight saving {word}"
            for count, word in ((dropped, "repeats are left out"), (skipped, "skips are filled"))
            if count
        ]
        span = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {self._zone.key}"
        about = "; ".join([f"{self._sheet.zone} of {name}", f"every {step} min", span, *hours])
        price.flags.writeable = False
        return PriceFile(start, end, step, price, self._sheet.zone, about)

    def _blame(self, kind: str, row: int, column: str, value: object, allowed: str) -> None:
        problem = Problem(f"row {row}, column {column}", str(value).strip(), allowed)
        self.problems.setdefault(kind, []).append(problem)

    def _columns(self) -> tuple[Minutes, Minutes, NDArray[np.bool_], Floats]:
        """Return row, local minute, whether of a repeated hour, and price of every good time."""
        sheet = self._sheet
        kept: list[tuple[int, int, bool, float]] = []
        for number, cells in sheet.rows:
            price = self._price(number, cells)
            try:
                time, late, reason = self._local(cells)
            except (ValueError, TypeError, IndexError, AttributeError, OverflowError):
                shown = ", ".join(str(cell) for cell in cells[:4])
                self._blame("bad times", number, sheet.time_column, shown, _TIMES)
                continue
            if reason:
                self._blame("bad times", number, sheet.time_column, time, reason)
                continue
            kept.append((number, _minute(time), late, price))
        columns = np.array(kept, dtype=np.float64).reshape(-1, 4).T
        row, minute = columns[0].astype(np.int64), columns[1].astype(np.int64)
        return row, minute, columns[2] > 0, columns[3]

    def _local(self, cells: Row) -> tuple[datetime, bool, str]:
        """Return a row's local time, whether of a repeated hour, and what is wrong with it."""
        time, late = self._sheet.time(cells), self._sheet.repeated(cells)
        if time.tzinfo is not None:
            local = time.astimezone(self._zone)
            time, late = local.replace(tzinfo=None), local.fold == 1
        elif self._never(time):
            return time, late, f"daylight saving skips this time in {self._zone.key}"
        off = time.second or time.microsecond or time.minute % 5
        return time, late, "must lie on a whole 5 minutes" if off else ""

    def _price(self, number: int, cells: Row) -> float:
        value: Any = ""
        try:
            value = self._sheet.price(cells)
            price = float(value)
        except (ValueError, TypeError, IndexError):
            price = np.nan
        if not LOW_USD_PER_MWH <= price <= HIGH_USD_PER_MWH:
            allowed = f"must be a price from {LOW_USD_PER_MWH:g} to {HIGH_USD_PER_MWH:g} USD/MWh"
            self._blame("bad prices", number, self._sheet.price_column, value, allowed)
        return price

    def _never(self, time: datetime) -> bool:
        """Whether the clock never showed this time."""
        there = time.replace(tzinfo=self._zone)
        return there.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != time

    def _twice(self, minute: int) -> bool:
        """Whether the clock showed this time twice."""
        there = _moment(minute).replace(tzinfo=self._zone)
        return there.utcoffset() != there.replace(fold=1).utcoffset()

    def _once(
        self, row: Minutes, minute: Minutes, repeated: NDArray[np.bool_], price: Floats
    ) -> tuple[Minutes, Minutes, Floats, int]:
        """Sort by time and leave one row for each; more than the repeated hour has is wrong."""
        order = np.lexsort((row, repeated, minute))
        row, minute, price = row[order], minute[order], price[order]
        again = np.flatnonzero(np.diff(minute) == 0) + 1
        third = set(again[1:][np.diff(again) == 1].tolist())
        for index in again.tolist():
            if index in third or not self._twice(int(minute[index])):
                first = int(row[index - 1])
                reason = f"this time stands in row {first} already"
                at, number = _moment(int(minute[index])), int(row[index])
                self._blame("duplicates", number, self._sheet.time_column, at, reason)
        keep = np.ones(len(row), dtype=bool)
        keep[again] = False
        return row[keep], minute[keep], price[keep], len(again)

    def _step(self, row: Minutes, minute: Minutes) -> int | None:
        if len(minute) < 2:
            problem = Problem("the file", "", f"needs two rows of {self._sheet.zone} or more")
            self.problems.setdefault("too few rows", []).append(problem)
            return None
        if self._sheet.step_minutes:
            return self._sheet.step_minutes
        gaps, counts = np.unique(np.diff(minute), return_counts=True)
        step = int(gaps[np.argmax(counts)])
        if step in STEPS_MINUTES:
            return step
        allowed = f"times must be {', '.join(map(str, STEPS_MINUTES))} minutes apart"
        self._blame(
            "bad steps", int(row[1]), self._sheet.time_column, f"{step} minutes on", allowed
        )
        return None

    def _filled(
        self, row: Minutes, minute: Minutes, price: Floats, step: int
    ) -> tuple[Floats, int]:
        """Return prices on the grid; what daylight saving skips has the price before it."""
        gap = np.diff(minute)
        repeat = np.ones(len(minute), dtype=np.int64)
        skipped = 0
        for index in np.flatnonzero(gap != step).tolist():
            start, end = int(minute[index]) + step, int(minute[index + 1])
            if end > start and not gap[index] % step:
                missing = range(start, end, step)
                if all(self._never(_moment(at)) for at in missing):
                    repeat[index] += len(missing)
                    skipped += len(missing)
                    continue
            reason = f"there is no price from {_moment(start)} on; rows are {step} minutes apart"
            if gap[index] % step:
                reason = f"must be {step} minutes after the row before, as most are"
            at, number = _moment(end), int(row[index + 1])
            self._blame("gaps before them", number, self._sheet.time_column, at, reason)
        return np.repeat(price, repeat), skipped


_EPOCH = datetime(1970, 1, 1)


def _minute(time: datetime) -> int:
    return int((time - _EPOCH) / timedelta(minutes=1))


def _moment(minute: int) -> datetime:
    return _EPOCH + timedelta(minutes=minute)
