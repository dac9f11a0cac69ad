"""Programmes of bids whose answers are known by hand, or by the other way to solve them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.opendss.programme import Programme, solve


def two_bids() -> Programme:
    """Two connections with bids of 10 - x and 8 - x that share 4."""
    return Programme(
        value=np.array([10.0, 8.0]),
        slope=np.ones(2),
        most=np.full(2, 20.0),
        owner=np.arange(2),
        least=np.zeros(2),
        cost=np.zeros(2),
        curvature=np.zeros(2),
        centre=np.zeros(2),
        rows=np.ones((1, 2)),
        room=np.array([4.0]),
        penalty=np.array([100.0]),
    )


def test_a_programme_by_hand() -> None:
    """They take 3 and 1, at a price of 7; where passing costs 5, they take 5 and 3."""
    found = solve(two_bids())
    np.testing.assert_allclose(found.drawn, [3, 1], atol=1e-7)
    np.testing.assert_allclose([found.dual[0], found.slack[0]], [7, 0], atol=1e-7)
    soft = solve(replace(two_bids(), penalty=np.array([5.0])))
    np.testing.assert_allclose(soft.drawn, [5, 3], atol=1e-7)
    np.testing.assert_allclose([soft.dual[0], soft.slack[0]], [5, 4], atol=1e-7)


def test_costs_and_what_is_fed_back_count() -> None:
    """The first costs 1 a unit, and feeds back 2 unless it bids them back."""
    programme = replace(
        two_bids(), least=np.array([-2.0, 0.0]), cost=np.array([1.0, 0.0]), room=np.array([4.0])
    )
    # 10 - y - 1 = 8 - x = price, y - 2 + x = 4.
    found = solve(programme)
    np.testing.assert_allclose(found.taken, [3.5, 2.5], atol=1e-7)
    np.testing.assert_allclose(found.drawn, [1.5, 2.5], atol=1e-7)
    assert found.dual[0] == pytest.approx(5.5)


def test_both_ways_to_solve_agree_where_no_limit_binds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        bids, connections = 40, 12
        most = rng.uniform(1, 10, bids)
        free = Programme(
            value=rng.uniform(20, 60, bids),
            slope=1 / most,
            most=most,
            owner=np.sort(rng.integers(0, connections, bids)),
            least=rng.uniform(-10, 0, connections),
            cost=rng.uniform(20, 60, connections),
            curvature=rng.uniform(0, 1, connections) * (rng.random(connections) < 0.7),
            centre=rng.uniform(-10, 20, connections),
            rows=np.zeros((0, connections)),
            room=np.zeros(0),
            penalty=np.zeros(0),
        )
        held = replace(
            free,
            rows=np.ones((1, connections)),
            room=np.array([1e3]),
            penalty=np.array([1e3]),
        )
        one, other = solve(free), solve(held)
        np.testing.assert_allclose(one.taken, other.taken, atol=1e-4)
        np.testing.assert_allclose(one.drawn, other.drawn, atol=1e-4)
        price = free.cost + free.curvature * (one.drawn - free.centre)
        np.testing.assert_allclose(free.taken(price), one.taken, atol=1e-9)
