"""Trips as arrays, and a user's own trips as files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.errors import Problem, ScenarioError, UserError
from networks.demand.files import read_trips, write_trips
from networks.demand.trips import Trips, joined

START = datetime(2022, 9, 14, 6, 0)
EDGES = ("a1", "a2", "-b1", "b2#0")


def one(**changed: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "asked_s": [0.0, 5.0],
        "earliest_s": [0.0, 6.0],
        "deadline_s": [9.0, 9.0],
        "origin_edge": [0, 1],
        "destination_edge": [1, 0],
    }
    return columns | changed


def test_trips_stand_in_the_order_of_asking() -> None:
    trips = Trips.of(
        **one(asked_s=[5.0, 0.0], earliest_s=[6.0, 0.0], vehicle=[1, 2], via=[[3, -1, -1]])
    )
    assert trips.asked_s.tolist() == [0, 5]
    assert trips.vehicle.tolist() == [2, 1]
    assert trips.via.tolist() == [[3, -1, -1], [3, -1, -1]]
    assert trips.tour.tolist() == [-1, -1]
    assert len(trips.take(trips.vehicle == 2)) == 1
    assert len(Trips.none()) == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"earliest_s": [0.0, 4.0]}, "asked_s <= earliest_s"),
        ({"deadline_s": [0.0, 5.0]}, "<= deadline_s"),
        ({"deadline_s": [1.0, np.inf]}, "deadline_s must be finite"),
        ({"dwell_s": -1.0}, "dwell_s must be finite"),
        ({"origin_edge": [0, -1]}, "edges"),
        ({"vehicle": -2}, "vehicle, tour and via"),
    ],
)
def test_bad_trips_are_refused(changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Trips.of(**one(**changed))


def test_shapes_and_order_are_checked() -> None:
    good = Trips.of(**one())
    columns: dict[str, Any] = {name: getattr(good, name) for name in good.__dataclass_fields__}
    bad: list[tuple[str, Any, str]] = [
        ("dwell_s", np.zeros(3), "shape"),
        ("via", np.zeros((2, 2), np.int32), "shape"),
        ("tour", np.zeros(2), "float64"),
        ("asked_s", np.array([0.0, -1.0]), "not negative"),
        ("asked_s", np.array([5.0, 0.0]), "ascend"),
    ]
    for name, array, reason in bad:
        with pytest.raises(ValueError, match=reason):
            Trips(**(columns | {name: array}))


def test_segments_become_one_fleet() -> None:
    first = Trips.of(**one(vehicle=[0, 1]))
    second = Trips.of(**one(vehicle=[-1, 1]))
    both = joined([first, second], [0, 10])
    assert both.asked_s.tolist() == [0, 0, 5, 5]
    assert both.vehicle.tolist() == [0, -1, 1, 11]
    assert len(joined([], [])) == 0


@st.composite
def some_trips(draw: st.DrawFn) -> Trips:
    count = draw(st.integers(0, 6))
    seconds = st.lists(st.floats(0, 1e5), min_size=count, max_size=count)
    whole = st.lists(st.integers(0, 3), min_size=count, max_size=count)
    asked, wait, room, dwell = (np.array(draw(seconds)) for _ in range(4))
    vias = draw(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=count, max_size=count))
    via = np.array([(row + [-1] * 3)[:3] for row in vias]).reshape(count, 3)
    return Trips.of(
        asked_s=asked,
        earliest_s=asked + wait,
        deadline_s=asked + wait + room,
        origin_edge=draw(whole),
        destination_edge=draw(whole),
        at_arrival=np.array(draw(whole)) > 1,
        dwell_s=dwell,
        vehicle=np.array(draw(whole)) - 1,
        tour=np.array(draw(whole)) - 1,
        via=via,
    )


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@settings(max_examples=40, deadline=None)
@given(trips=some_trips())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, ending: str, trips: Trips
) -> None:
    path = tmp_path_factory.mktemp("trips") / f"trips{ending}"
    write_trips(path, trips, EDGES)
    found = read_trips(path, EDGES, 3, START)
    for name in trips.__dataclass_fields__:
        assert np.array_equal(getattr(found, name), getattr(trips, name)), name


def test_times_are_moments_or_seconds(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(
        "departure,origin,destination,deadline\n"
        "2022-09-14T07:30,a1,-b1,2022-09-14 07:45:30\n"
        "60,a2,b2#0,\n"
    )
    trips = read_trips(path, EDGES, 5, START)
    assert trips.earliest_s.tolist() == [60, 5400]
    assert trips.asked_s.tolist() == [60, 5400]
    assert trips.deadline_s.tolist() == [960, 6330]
    assert trips.destination_edge.tolist() == [3, 2]
    assert trips.vehicle.tolist() == [-1, -1]
    assert not trips.at_arrival.any()


def test_parquet_holds_moments_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "trips.parquet"
    table = {
        "vehicle": pa.array([2, None], pa.int64()),
        "departure": pa.array([datetime(2022, 9, 14, 8), datetime(2022, 9, 14, 7)]),
        "origin": ["a1", "a2"],
        "destination": ["a2", "a1"],
        "dwell_s": [1.5, None],
    }
    pq.write_table(pa.table(table), path)
    trips = read_trips(path, EDGES, 3, START)
    assert trips.earliest_s.tolist() == [3600, 7200]
    assert trips.vehicle.tolist() == [-1, 2]
    assert trips.dwell_s.tolist() == [0, 1.5]


def test_every_problem_of_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(
        "vehicle,departure,origin,destination,deadline,at_arrival,dwell_s,via\n"
        "3,2022-09-14T05:59,a1,a2,,,,\n"
        "1.5,soon,a3,,60,maybe,-1,a1 a2 a1 a2\n"
        "0,60,a1,b2,30,yes,5,zz\n"
    )
    with pytest.raises(ScenarioError) as caught:
        read_trips(path, EDGES, 3, START)
    found = {(problem.field, problem.value): problem for problem in caught.value.problems}
    assert list(found) == [
        ("row 2, column departure", "2022-09-14T05:59"),
        ("row 2, column vehicle", "3"),
        ("row 3, column departure", "soon"),
        ("row 3, column origin", "a3"),
        ("row 3, column destination", ""),
        ("row 3, column at_arrival", "maybe"),
        ("row 3, column dwell_s", "-1"),
        ("row 3, column vehicle", "1.5"),
        ("row 3, column via", "a1 a2 a1 a2"),
        ("row 4, column destination", "b2"),
        ("row 4, column via", "zz"),
        ("row 4, column deadline", "30"),
    ]
    assert "a vehicle from 0 to 2" in found["row 2, column vehicle", "3"].allowed
    assert found["row 4, column destination", "b2"].nearest == "b2#0"
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "departure,origin\n1,a1\n",
            Problem("row 1, column destination", "", "this column is needed"),
        ),
        ("", Problem("row 1, column departure", "", "this column is needed")),
    ],
)
def test_missing_columns(tmp_path: Path, text: str, problem: Problem) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_trips(path, EDGES, 3, START)
    assert caught.value.problems[0] == problem


def test_unknown_columns_name_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("departure,origin,destination,dwel\n1,a1,a2,3\n")
    with pytest.raises(ScenarioError) as caught:
        read_trips(path, EDGES, 3, START)
    (problem,) = caught.value.problems
    assert (problem.value, problem.nearest) == ("dwel", "dwell_s")


def test_a_row_with_too_many_cells(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("departure,origin,destination\n1,a1,a2,9\n")
    with pytest.raises(ScenarioError, match="as many cells as columns"):
        read_trips(path, EDGES, 3, START)


@pytest.mark.parametrize("name", ["none.csv", "none.parquet", "bad.parquet", "bad.csv"])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.startswith("bad"):
        path.write_bytes(b"\xff\xfe\x00nothing")
    with pytest.raises(UserError, match="cannot be read"):
        read_trips(path, EDGES, 3, START)


def test_a_file_without_rows_is_no_trips(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("departure,origin,destination\n")
    assert len(read_trips(path, EDGES, 3, START)) == 0
