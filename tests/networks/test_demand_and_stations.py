"""Demand over the day and the split of stations."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import networks.demand
import networks.stations


def test_hourly_profile_is_the_published_one() -> None:
    trips = networks.demand.trips_by_hour()
    # FHWA, Highway Statistics 2006, Table NT-3, Wednesday.
    assert (trips[3], trips[8], trips[17]) == (36, 2994, 4377)
    assert max(trips) == trips[17]


def test_start_times_follow_the_profile() -> None:
    rng = np.random.default_rng(1)
    times = networks.demand.start_times_s(50_000, 0, 86_400, rng)
    assert len(times) == 50_000
    drawn = np.histogram(times, bins=24, range=(0, 86_400))[0] / len(times)
    expected = np.array(networks.demand.trips_by_hour())
    np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.004)


@given(
    start_h=st.integers(0, 23),
    hours=st.integers(1, 80),
    per_day=st.floats(0, 500),
    seed=st.integers(0, 99),
)
def test_start_times_lie_in_the_run(start_h: int, hours: int, per_day: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = networks.demand.start_times_s(per_day, start_h * 3600, hours * 3600, rng)
    assert (times >= 0).all()
    assert (times < hours * 3600).all()
    assert (np.diff(times) >= 0).all()
    if hours % 24 == 0:
        assert len(times) == round(per_day * hours / 24)


def test_default_split_of_stations() -> None:
    shares = {"level_2": 0.65, "dc_fast": 0.30, "v2g": 0.05}
    parts = networks.stations.counts(170, shares)
    assert sum(parts.values()) == 170
    assert parts == {"level_2": 111, "dc_fast": 51, "v2g": 8}


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0, 1))
def test_splits_add_up(total: int, first: float, second: float) -> None:
    shares = {"a": first * second, "b": first * (1 - second), "c": 1 - first}
    parts = networks.stations.counts(total, shares)
    assert sum(parts.values()) == total
    assert all(abs(parts[name] - total * shares[name]) <= 1 for name in shares)


def test_stations_spread_by_weight() -> None:
    kind = np.repeat([0, 1], [60, 40]).astype(np.int8)
    sites = np.array([10, 20, 30], dtype=np.int32)
    edges = networks.stations.place(
        kind, sites, np.array([1.0, 2.0, 1.0]), np.random.default_rng(0)
    )
    assert [int((edges[kind == 0] == s).sum()) for s in sites] == [15, 30, 15]
    assert [int((edges[kind == 1] == s).sum()) for s in sites] == [10, 20, 10]


def test_every_kind_names_its_source() -> None:
    for kind in networks.stations.kinds().values():
        assert kind.source
        assert kind.ports > 0
        assert kind.port_kw > 0
