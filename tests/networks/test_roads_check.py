"""The check of a net, against reachability by brute force; ways of large networks."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.roads import RoadNetwork, network, ways
from networks.roads.check import examine, together

EDGES = 7
TURNS = st.sets(st.tuples(st.integers(0, EDGES - 1), st.integers(0, EDGES - 1)))
LENGTHS = st.lists(st.sampled_from([0.0, 10.0, 25.0, 300.0]), min_size=EDGES, max_size=EDGES)


def made(turns: set[tuple[int, int]], length_m: list[float]) -> RoadNetwork:
    count = len(length_m)
    pairs = np.array(sorted(turns), np.int32).reshape(-1, 2)
    node = np.arange(count, dtype=np.int32)
    return RoadNetwork(
        name="made",
        net_file=Path("none"),
        edge_ids=tuple(f"e{i}" for i in range(count)),
        length_m=np.array(length_m),
        speed_mps=np.full(count, 10.0),
        lanes=np.ones(count, np.int32),
        node_ids=tuple(f"n{i}" for i in range(count)),
        from_node=node,
        to_node=node,
        end_x_m=np.zeros(count),
        end_y_m=np.zeros(count),
        end_lon_deg=np.full(count, np.nan),
        end_lat_deg=np.full(count, np.nan),
        turn_from=pairs[:, 0],
        turn_to=pairs[:, 1],
        turn_length_m=np.zeros(len(pairs)),
        turn_time_s=np.zeros(len(pairs)),
    )


@given(TURNS, LENGTHS)
def test_what_is_kept_is_the_longest_part_in_which_all_reach_all(
    turns: set[tuple[int, int]], lengths: list[float]
) -> None:
    """Warshall's closure gives the parts; the rest is said, each edge once."""
    roads = made(turns, lengths)
    verdict = examine(roads)
    sound = np.array(lengths) > 0
    reach = np.eye(EDGES, dtype=bool)
    for a, b in turns:
        reach[a, b] = sound[a] and sound[b]
    for k in range(EDGES):
        reach |= reach[:, k : k + 1] & reach[k : k + 1, :]
    both = reach & reach.T & sound[:, None] & sound
    sizes = [float(np.array(lengths)[row].sum()) if row.sum() > 1 else 0.0 for row in both]
    kept = float(np.array(lengths)[verdict.keep].sum())
    assert kept == max(sizes)
    if verdict.keep.any():
        start = int(np.flatnonzero(verdict.keep)[0])
        np.testing.assert_array_equal(both[start], verdict.keep)
    assert sum(group.edges for group in verdict.dropped) == EDGES - verdict.keep.sum()
    lost = sum(group.km for group in verdict.dropped)
    assert lost == pytest.approx((sum(lengths) - kept) / 1000)


def test_groups_of_several_looks_add_up() -> None:
    first = examine(made({(0, 1), (1, 0), (1, 2)}, [100.0, 100.0, 50.0]))
    (group,) = together([first.dropped, first.dropped])
    assert (group.reason, group.edges, group.km) == ("entered but never left", 2, 0.1)
    assert group.examples == ("e2", "e2")


def test_ways_are_the_same_however_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against Floyd and Warshall's algorithm, with room for three rows of sixty."""
    rng = np.random.default_rng(3)
    count = 60
    turns = {(i, (i + 1) % count) for i in range(count)}
    turns |= {(int(a), int(b)) for a, b in rng.integers(0, count, (80, 2)) if a != b}
    lengths = np.round(rng.uniform(20, 400, count), 2).tolist()
    roads = made(turns, lengths)
    expected = np.full((count, count), np.inf)
    for a, b in turns:
        expected[a, b] = lengths[b] / 10
    np.fill_diagonal(expected, 0.0)
    for k in range(count):
        expected = np.minimum(expected, expected[:, k : k + 1] + expected[k : k + 1, :])
    every = np.arange(count)
    asked = np.concatenate([every, rng.integers(0, count, 100)])
    monkeypatch.setattr(ways, "AT_ONCE", 7)
    monkeypatch.setattr(network, "AT_ONCE", 7)
    for room in (3, 1000):
        monkeypatch.setattr(network, "_FORWARD_BYTES", room * 10 * count)
        monkeypatch.setattr(network, "_BACKWARD_BYTES", room * 10 * count)
        found = made(turns, lengths)
        for _ in range(2):
            np.testing.assert_allclose(
                found.travel_time_s(asked, every), expected[asked], atol=1e-4
            )
        assert len(found._from._kept) == min(room, count)
        few = np.array([7, 3, 7, 50, 12])
        from_all = found.travel_time_s(asked, few)
        np.testing.assert_allclose(from_all, expected[asked][:, few], atol=1e-4)
        np.testing.assert_allclose(
            found.distance_km(asked, few), expected[asked][:, few] / 100, atol=1e-5
        )
        assert len(found._to._kept) == min(room, 4), "few targets: followed back from them"
        np.testing.assert_allclose(
            found.distance_km(asked, every), expected[asked] / 100, atol=1e-5
        )
    way = roads.path(5, 41)
    assert (way[0], way[-1]) == (5, 41)
    assert all((a, b) in turns for a, b in pairwise(way))
    assert sum(lengths[e] for e in way[1:]) / 10 == pytest.approx(expected[5, 41])
