"""Layouts of price files: which columns hold time and price, and where one settlement point is."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cosim.errors import Problem, ScenarioError, UserError, nearest

ENDINGS = (".csv", ".parquet")
"""Ends of the names of price files, in small letters."""
ZONE_FIELD = "market.prices_zone"
Row = Sequence[Any]
Moment = Callable[[Row], datetime]

_LAYOUTS = (
    "time and one or more prices; or those of an ERCOT report: DeliveryDate, HourEnding, "
    "SettlementPoint, SettlementPointPrice (day-ahead), DeliveryDate, DeliveryHour, "
    "DeliveryInterval, SettlementPointName, SettlementPointPrice (real time), or date, "
    "hour_ending and a column for each zone"
)


@dataclass(frozen=True)
class Sheet:
    """Rows of one settlement point, as they stand in the file."""

    rows: Sequence[tuple[int, Row]]
    """Number in the file (the header is row 1) and cells of each row."""
    zone: str
    """Settlement point that they are of."""
    time_column: str
    """Column that messages on a time name."""
    price_column: str
    time: Moment
    """Local start of a row's interval, or with its offset from UTC; raises what a bad cell does."""
    price: Callable[[Row], Any]
    """Cell of the price."""
    repeated: Callable[[Row], bool]
    """Whether a row is marked as of the hour that daylight saving repeats."""
    step_minutes: int | None
    """Length of an interval that the layout tells."""


def read_sheet(path: Path, zone: str) -> Sheet:
    """Recognise the layout of a file and pick the rows of one settlement point.

    Parameters
    ----------
    path
        CSV or Parquet, by its ending.
    zone
        Settlement point or price column; empty where the file has one alone.

    Raises
    ------
    ScenarioError
        The columns are those of no known layout, or there is no such settlement point.
    UserError
        The file cannot be read.
    """
    header, rows = _cells(path)
    place = {_plain(name): index for index, name in reversed(list(enumerate(header)))}
    if {"deliverydate", "deliveryhour", "deliveryinterval", "settlementpointprice"} <= place.keys():
        return _report(path, header, place, rows, zone, _quarter(place), 15, "deliveryinterval")
    if {"deliverydate", "hourending", "settlementpointprice"} <= place.keys():
        moment = _hour(place["deliverydate"], place["hourending"])
        return _report(path, header, place, rows, zone, moment, 60, "hourending")
    if {"date", "hourending"} <= place.keys():
        moment = _hour(place["date"], place["hourending"])
        used = {place["date"], place["hourending"]}
        return _wide(path, header, rows, zone, moment, used, place["hourending"], 60)
    if "time" in place:
        column = place["time"]
        return _wide(path, header, rows, zone, _iso(column), {column}, column, None)
    found = ", ".join(header) or "nothing"
    raise ScenarioError(str(path), [Problem("row 1", found, f"columns must be {_LAYOUTS}")])


def _cells(path: Path) -> tuple[list[str], list[Row]]:
    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
            columns = [column.to_pylist() for column in table.columns]
            return list(table.column_names), list(zip(*columns, strict=True))
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows: list[Row] = list(csv.reader(file))
            return list(rows[0]) if rows else [], rows[1:]
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def _wide(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Row],
    zone: str,
    moment: Moment,
    used: set[int],
    time_column: int,
    step_minutes: int | None,
) -> Sheet:
    """Return the sheet of a file with a column for each settlement point."""
    names = [name for index, name in enumerate(header) if index not in used]
    chosen = _chosen(path, zone, names)
    price = list(header).index(chosen)
    return Sheet(
        rows=[(number, row) for number, row in enumerate(rows, start=2) if any(row)],
        zone=chosen,
        time_column=header[time_column],
        price_column=chosen,
        time=moment,
        price=lambda row: row[price],
        repeated=lambda _: False,
        step_minutes=step_minutes,
    )


def _report(
    path: Path,
    header: Sequence[str],
    place: Mapping[str, int],
    rows: Sequence[Row],
    zone: str,
    moment: Moment,
    step_minutes: int,
    time_column: str,
) -> Sheet:
    """Return the sheet of an ERCOT report, which has a row for each settlement point."""
    point = place.get("settlementpoint", place.get("settlementpointname"))
    price, kind = place["settlementpointprice"], place.get("settlementpointtype")
    flag = place.get("dstflag", place.get("repeatedhourflag"))
    if point is None:
        needed = Problem("row 1", "", "a column SettlementPoint or SettlementPointName is needed")
        raise ScenarioError(str(path), [needed])
    numbered = [(n, row) for n, row in enumerate(rows, start=2) if len(row) > point]
    chosen = _chosen(path, zone, list(dict.fromkeys(str(row[point]) for _, row in numbered)))

    def counts(row: Row) -> bool:
        # Load zones stand there twice: LZEW and DCEW are weighted by energy.
        weighted = kind is not None and len(row) > kind and str(row[kind]).endswith("EW")
        return row[point] == chosen and not weighted

    return Sheet(
        rows=[(number, row) for number, row in numbered if counts(row)],
        zone=chosen,
        time_column=header[place[time_column]],
        price_column=header[price],
        time=moment,
        price=lambda row: row[price],
        repeated=lambda row: flag is not None and str(row[flag]).strip().upper() == "Y",
        step_minutes=step_minutes,
    )


def _chosen(path: Path, zone: str, names: Sequence[str]) -> str:
    if zone in names:
        return zone
    if not zone and len(names) == 1:
        return names[0]
    if not names:
        raise ScenarioError(str(path), [Problem("row 1", "", "a column of prices is needed")])
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    problem = Problem(ZONE_FIELD, zone, f"must be one of {shown}", nearest(zone, names))
    raise ScenarioError(str(path), [problem])


def _iso(column: int) -> Moment:
    def moment(row: Row) -> datetime:
        cell = row[column]
        return cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())

    return moment


@lru_cache(maxsize=64)  # the rows of a day stand together
def _date(cell: Any) -> datetime:
    if isinstance(cell, str):
        american = "/" in cell
        return datetime.strptime(cell.strip(), "%m/%d/%Y" if american else "%Y-%m-%d")
    return datetime(cell.year, cell.month, cell.day)


def _hour(date: int, hour: int) -> Moment:
    def moment(row: Row) -> datetime:
        ending = int(str(row[hour]).strip().removesuffix(":00"))
        if not 1 <= ending <= 24:
            raise ValueError("hour ending")
        return _date(row[date]) + timedelta(hours=ending - 1)

    return moment


def _quarter(place: Mapping[str, int]) -> Moment:
    date, hour, quarter = (
        place[name] for name in ("deliverydate", "deliveryhour", "deliveryinterval")
    )
    of_hour = _hour(date, hour)

    def moment(row: Row) -> datetime:
        interval = int(row[quarter])
        if not 1 <= interval <= 4:
            raise ValueError("interval")
        return of_hour(row) + timedelta(minutes=15 * (interval - 1))

    return moment
