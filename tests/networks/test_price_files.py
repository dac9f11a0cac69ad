"""A user's own prices: layouts, daylight saving, and everything wrong at once."""

from __future__ import annotations

import contextlib
import csv
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import ScenarioError, UserError
from networks import prices
from networks.prices.files import read_prices

CHICAGO = "America/Chicago"
REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "ercot_dam_spp_2021_2022.csv"


def write(path: Path, header: str, rows: Sequence[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def instants(first: datetime, hours: float, minutes: int) -> Iterator[datetime]:
    """Yield the local times of an interval of real time, as the clock on the wall has them."""
    zone = ZoneInfo(CHICAGO)
    at = first.replace(tzinfo=zone).astimezone(UTC)
    for _ in range(round(hours * 60 / minutes)):
        yield at.astimezone(zone)
        at += timedelta(minutes=minutes)


def dam(day: datetime, hours: int) -> list[str]:
    """Return rows of an ERCOT day-ahead report of two settlement points."""
    rows: list[str] = []
    for k, at in enumerate(instants(day, hours, 60)):
        late = "Y" if at.fold else "N"
        for point, more in (("HB_NORTH", 1000), ("LZ_AEN", 0)):
            rows.append(f"{at:%m/%d/%Y},{at.hour + 1:02d}:00,{point}, {k + more}.5,{late}")
    return rows


DAM = "DeliveryDate,HourEnding,SettlementPoint,SettlementPointPrice,DSTFlag"
RTM = (
    "Delivery Date,Delivery Hour,Delivery Interval,Repeated Hour Flag,Settlement Point Name,"
    "Settlement Point Type,Settlement Point Price"
)


def test_a_day_ahead_report(tmp_path: Path) -> None:
    file = write(tmp_path / "dam.csv", DAM, dam(datetime(2022, 7, 1), 24))
    found = read_prices(file, "LZ_AEN", CHICAGO)
    assert (found.start, found.step_minutes) == (datetime(2022, 7, 1), 60)
    assert found.usd_per_mwh.tolist() == [k + 0.5 for k in range(24)]
    path = prices.path_of(str(file), datetime(2022, 7, 1, 0, 55), 3, "LZ_AEN", CHICAGO)
    assert path.usd_per_mwh.tolist() == [0.5, 1.5, 1.5]
    assert path.zone == "LZ_AEN"


def test_a_real_time_report_with_weighted_zones(tmp_path: Path) -> None:
    rows: list[str] = []
    for k, at in enumerate(instants(datetime(2022, 7, 1, 23), 2, 15)):
        when = f"{at:%m/%d/%Y},{at.hour + 1},{at.minute // 15 + 1},N"
        rows += [f"{when},LZ_AEN,LZ,{k}", f"{when},LZ_AEN,LZEW,{k + 50}", f"{when},HB_PAN,HU,9"]
    found = read_prices(write(tmp_path / "rtm.csv", RTM, rows), "LZ_AEN", CHICAGO)
    assert (found.start, found.step_minutes) == (datetime(2022, 7, 1, 23), 15)
    assert found.usd_per_mwh.tolist() == list(range(8))
    path = prices.path_of(
        str(tmp_path / "rtm.csv"), datetime(2022, 7, 1, 23), 24, "LZ_AEN", CHICAGO
    )
    assert path.usd_per_mwh.tolist() == np.repeat(np.arange(8), 3).tolist()


@pytest.mark.skipif(not REFERENCE.exists(), reason="the full ERCOT extract is not beside the tree")
def test_two_years_of_the_extract_equal_what_ships() -> None:
    found = prices.path_of(str(REFERENCE), datetime(2022, 1, 1), 288 * 365, "LZ_AEN", CHICAGO)
    ours = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 1, 1), 288 * 365)
    assert (found.usd_per_mwh == ours).all()
    assert "2 h that daylight saving skips are filled" in found.about


@pytest.mark.parametrize("minutes", [5, 15, 60])
@pytest.mark.parametrize("kind", ["offset", "local", "utc", "parquet"])
@pytest.mark.parametrize("day", [datetime(2022, 3, 13), datetime(2022, 11, 6)])
def test_daylight_saving_leaves_a_clock_that_does_not_jump(
    tmp_path: Path, day: datetime, kind: str, minutes: int
) -> None:
    spring = day.month == 3
    times = list(instants(day, 23 if spring else 25, minutes))
    value = [at.hour + at.minute / 60 + 100 * at.fold for at in times]
    file = tmp_path / "prices.csv"
    if kind == "parquet":
        file = tmp_path / "prices.parquet"
        stamps = pa.array([at.astimezone(UTC) for at in times], pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({"time": stamps, "price": value}), file)
    else:
        form = {
            "offset": lambda at: at.isoformat(),
            "local": lambda at: at.replace(tzinfo=None).isoformat(),
            "utc": lambda at: at.astimezone(UTC).isoformat(),
        }[kind]
        write(file, "time,price", [f"{form(at)},{v}" for at, v in zip(times, value, strict=True)])
    found = read_prices(file, "", CHICAGO)
    assert found.step_minutes == minutes
    expected = np.arange(0, 24, minutes / 60)
    if spring:
        # From two to three o'clock there was nothing: the price before holds on.
        expected[(expected >= 2) & (expected < 3)] = 2 - minutes / 60
    assert found.usd_per_mwh == pytest.approx(expected)
    word = "skips are filled" if spring else "repeats are left out"
    assert f"1 h that daylight saving {word}" in found.about


def test_the_flag_tells_the_repeated_hour(tmp_path: Path) -> None:
    rows = dam(datetime(2022, 11, 6), 25)
    # In whatever order they stand.
    file = write(tmp_path / "dam.csv", DAM, rows[::-1])
    found = read_prices(file, "LZ_AEN", CHICAGO)
    assert found.usd_per_mwh.tolist() == [0.5, 1.5, *(k + 0.5 for k in range(3, 25))]


Span = tuple[datetime, datetime]


def told(
    path: Path, zone: str = "", time_zone: str = CHICAGO, span: Span | None = None
) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read_prices(path, zone, time_zone, span)
    assert str(path) in str(caught.value)
    return [str(problem) for problem in caught.value.problems]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = write(
        tmp_path / "prices.csv",
        "time,price",
        [
            "2022-09-14T00:00,10",
            "2022-09-14T01:00,ten",
            "2022-09-14T02:00,nan",
            "2022-09-14T03:00,",
            "2022-09-14T04:00",
            "2022-09-14T05:00,1e9",
            "2022-09-14T05:00,7",
            "2022-09-14T06:00,7",
            "2022-09-14T09:00,7",
            "2022-09-14T10:00,7",
        ],
    )
    found = told(file, span=(datetime(2022, 9, 14), datetime(2022, 9, 15)))
    reason = "must be a price from -10000 to 100000 USD/MWh."
    assert found == [
        f"row 3, column price is ten: {reason}",
        f"row 4, column price is nan: {reason}",
        f"row 5, column price: {reason}",
        f"row 6, column price: {reason}",
        f"row 7, column price is 1e9: {reason}",
        "row 8, column time is 2022-09-14 05:00:00: this time stands in row 7 already.",
        "row 10, column time is 2022-09-14 09:00:00: there is no price from 2022-09-14 07:00:00 "
        "on; rows are 60 minutes apart.",
        "the file: must cover the run from 2022-09-14 00:00 to 2022-09-15 00:00; it runs from "
        "2022-09-14 00:00 to 2022-09-14 11:00.",
    ]


def test_bad_times(tmp_path: Path) -> None:
    file = write(
        tmp_path / "prices.csv",
        "time,price",
        ["yesterday,1", "2022-03-13T02:30,1", "2022-03-13T03:01,1", "2022-03-13T04:00,x"],
    )
    found = told(file)
    assert found[0].startswith("row 2, column time is yesterday, 1: must be a time such as")
    assert "row 3, column time is 2022-03-13 02:30:00: daylight saving skips this time" in found[1]
    assert "row 4, column time is 2022-03-13 03:01:00: must lie on a whole 5 minutes" in found[2]
    assert "row 5, column price is x" in found[3]
    report = write(tmp_path / "dam.csv", DAM, ["07/01/2022,25:00,LZ_AEN,1,N"])
    assert told(report)[0].startswith("row 2, column HourEnding is 07/01/2022, 25:00, LZ_AEN, 1:")


def test_a_time_that_stands_three_times_is_more_than_daylight_saving_does(tmp_path: Path) -> None:
    rows = ["2022-11-06T00:00,1", *["2022-11-06T01:00,1"] * 3, "2022-11-06T02:00,1"]
    (found,) = told(write(tmp_path / "prices.csv", "time,price", rows))
    assert found.startswith("row 5, column time is 2022-11-06 01:00:00: this time stands in row 4")


def test_uneven_steps_and_single_rows(tmp_path: Path) -> None:
    rows = [f"2022-09-14T{k // 60:02d}:{k % 60:02d},1" for k in (0, 25, 50, 75)]
    (found,) = told(write(tmp_path / "odd.csv", "time,price", rows))
    assert "is 25 minutes on: times must be 5, 10, 15, 20, 30, 60 minutes apart" in found
    rows = [f"2022-09-14T{k // 60:02d}:{k % 60:02d},1" for k in (0, 15, 30, 35, 50, 65)]
    (found,) = told(write(tmp_path / "off.csv", "time,price", rows))
    assert "row 5, column time" in found
    assert "must be 15 minutes after the row before" in found
    (found,) = told(write(tmp_path / "one.csv", "time,price", rows[:1]))
    assert found == "the file: needs two rows of price or more."


def test_many_problems_are_told_in_few_lines(tmp_path: Path) -> None:
    rows = [f"{datetime(2022, 9, 14) + timedelta(hours=k)},x" for k in range(500)]
    found = told(write(tmp_path / "prices.csv", "time,price", rows))
    assert len(found) == 21
    assert found[-1] == "480 more rows: have bad prices."


def test_columns_and_zones(tmp_path: Path) -> None:
    file = write(tmp_path / "prices.csv", "when,price", ["2022-09-14T00:00,1"])
    assert told(file)[0].startswith("row 1 is when, price: columns must be time and")
    assert told(write(tmp_path / "t.csv", "time", ["2022-09-14"]))[0] == (
        "row 1: a column of prices is needed."
    )
    assert told(write(tmp_path / "none.csv", "", []))[0].startswith("row 1 is nothing: columns")
    file = write(tmp_path / "dam.csv", DAM, dam(datetime(2022, 7, 1), 24))
    (found,) = told(file)
    assert found == "market.prices_zone: must be one of HB_NORTH, LZ_AEN."
    (found,) = told(file, "LZ_AN")
    assert found.endswith("must be one of HB_NORTH, LZ_AEN. Did you mean LZ_AEN?")
    (found,) = told(file, "LZ_AEN", "America/Chicag")
    assert found.startswith("market.prices_time_zone is America/Chicag: must be an IANA")
    assert found.endswith("Did you mean America/Chicago?")
    lacking = write(tmp_path / "lacking.csv", DAM.replace("SettlementPoint,", "Where,"), [])
    assert "a column SettlementPoint or SettlementPointName is needed" in told(lacking)[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_prices(tmp_path / "nowhere.csv", "", CHICAGO)
    (tmp_path / "no.parquet").write_text("time,price")
    with pytest.raises(UserError, match="cannot be read"):
        read_prices(tmp_path / "no.parquet", "", CHICAGO)


def test_a_file_that_is_too_short_and_one_that_was_written_again(tmp_path: Path) -> None:
    file = write(tmp_path / "dam.csv", DAM, dam(datetime(2022, 7, 1), 24))
    start = datetime(2022, 7, 1, 12)
    with pytest.raises(ScenarioError, match=r"from 2022-07-01 00:00 to 2022-07-02 00:00"):
        prices.path_of(str(file), start, 145, "LZ_AEN", CHICAGO)
    with pytest.raises(ScenarioError, match="must cover the run from 2022-06-30"):
        prices.path_of(str(file), datetime(2022, 6, 30, 23, 55), 12, "LZ_AEN", CHICAGO)
    assert prices.path_of(str(file), start, 144, "LZ_AEN", CHICAGO).usd_per_mwh[0] == 12.5
    write(file, DAM, dam(datetime(2022, 7, 1), 48))
    assert len(prices.path_of(str(file), start, 145, "LZ_AEN", CHICAGO).usd_per_mwh) == 145


JUNK = st.sampled_from(
    ["", "x", "nan", "-1e400", "25:00", "2022-09-14", "9999-12-31T23:55", "0001-01-01T00:00Z", "Y"]
)
GOOD = st.integers(0, 23).map(lambda hour: f"2022-11-06T{hour:02d}:00")
HEADERS = st.sampled_from(["time,price", "time,north,south", DAM, RTM, "date,hour_ending,LZ", ""])


@settings(deadline=None)
@given(
    header=HEADERS,
    rows=st.lists(st.lists(JUNK | GOOD | st.text(max_size=5), max_size=8), max_size=8),
    zone=st.sampled_from(["", "north", "x"]),
)
def test_any_file_is_read_or_refused(header: str, rows: list[list[str]], zone: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prices.csv"
        with file.open("w", newline="", encoding="utf-8", errors="replace") as text:
            text.write(header + "\n")
            csv.writer(text).writerows(rows)
        with contextlib.suppress(UserError):
            assert np.isfinite(read_prices(file, zone, CHICAGO).usd_per_mwh).all()
