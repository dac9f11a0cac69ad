"""Background traffic: hours, limits and origin-destination files of the user."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cosim import loading
from cosim.errors import ScenarioError, UserError
from networks import roads
from networks.demand.background import Pairs, file_pairs, make, table_pairs

START = datetime(2022, 9, 14, 6)


@pytest.fixture(scope="module")
def siouxfalls() -> roads.RoadNetwork:
    return roads.load("siouxfalls")


def pairs() -> Pairs:
    places = (np.array([3], np.int32), np.array([5, 6], np.int32))
    return Pairs(np.array([0, 1]), np.array([1, 0]), np.array([3.0, 1.0]), places)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    short, long = (
        make(pairs(), 2000, START, hours * 3600, np.random.default_rng(1)) for hours in (24, 48)
    )
    in_both = long.depart_s < 6 * 3600
    assert len(long.depart_s) == pytest.approx(2 * len(short.depart_s), rel=0.2)
    assert (np.diff(short.depart_s) >= 0).all()
    assert short.depart_s[-1] < 24 * 3600
    np.testing.assert_array_equal(short.depart_s[: in_both.sum()], long.depart_s[in_both])
    assert (short.origin_edge == 3).mean() == pytest.approx(0.75, abs=0.03)
    assert set(short.destination_edge.tolist()) == {3, 5, 6}


def test_the_table_of_the_roads_is_taken_as_it_stands(siouxfalls: roads.RoadNetwork) -> None:
    found = table_pairs(siouxfalls, np.random.default_rng(0))
    assert found.per_day.sum() == 360_600
    assert [edges.tolist() for edges in found.places] == [[e] for e in siouxfalls.zone_edge]


def test_too_many_trips_are_refused() -> None:
    with pytest.raises(UserError, match="at most 2,000,000 trips"):
        make(pairs(), 3e6, START, 86_400, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("origin,destination\n1,2\n", "has no column trips"),
        ("origin,destination,trips\n1,6_88,5\n", "line 2: '6_88' is neither a zone nor an edge"),
        ("origin,destination,trips\n1,6_88,5\n", "Did you mean 6_8?"),
        ("origin,destination,trips\n1,2,3\n1,2,many\n", "line 3: trips is 'many'"),
        ("origin,destination,trips\n1,2,-1\n", "must be a number >= 0"),
        ("origin,destination,trips\n1,2,0\n", "holds no trips"),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    siouxfalls: roads.RoadNetwork, tmp_path: Path, text: str | None, words: str
) -> None:
    file = tmp_path / "od.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        file_pairs(file, siouxfalls, np.random.default_rng(0))
    assert words in str(caught.value)
    assert "od.csv" in str(caught.value)
    with pytest.raises(ScenarioError) as refused:
        loading.check({"traffic": {"background": {"trips": str(file)}}}, "my.yaml")
    (problem,) = refused.value.problems
    assert problem.field == "traffic.background.trips"
    assert words in problem.allowed


def test_one_measure_of_the_amount_at_a_time() -> None:
    for wish, words in (
        ({"share_of_capacity": 0.1, "trips": "trip_table"}, "not both"),
        ({"per_day": 10.0}, "name them"),
        ({"share_of_capacity": 1.5}, "at most 1"),
    ):
        with pytest.raises(ScenarioError) as caught:
            loading.check({"traffic": {"background": wish}}, "my.yaml")
        assert words in str(caught.value)
