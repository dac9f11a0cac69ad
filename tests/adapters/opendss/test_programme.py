"""Programmes of bids whose answers are known by hand, or by the other way to solve them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.opendss.programme import Programme, Solution, _solved, solve


def two_bids() -> Programme:
    """Two connections with bids of 10 - x and 8 - x that share 4."""
    return Programme(
        value=np.array([10.0, 8.0]),
        slope=np.ones(2),
        most=np.full(2, 20.0),
        owner=np.arange(2),
        least=np.zeros(2),
        cost=np.zeros(2),
        size_cost=np.zeros(2),
        way=np.ones(2),
        curvature=np.zeros((2, 2)),
        centre=np.zeros(2),
        rows=np.ones((1, 2)),
        size_rows=np.zeros((1, 2)),
        room=np.array([4.0]),
        penalty=np.array([100.0]),
    )


def answer(programme: Programme) -> Solution:
    bids = len(programme.most)
    return solve(programme, np.zeros(len(programme.room)), np.zeros(bids, np.bool_))


def test_a_programme_by_hand() -> None:
    """They take 3 and 1, at a price of 7; where passing costs 5, they take 5 and 3."""
    found = answer(two_bids())
    np.testing.assert_allclose(found.drawn, [3, 1], atol=1e-7)
    np.testing.assert_allclose([found.dual[0], found.slack[0]], [7, 0], atol=1e-7)
    soft = answer(replace(two_bids(), penalty=np.array([5.0])))
    np.testing.assert_allclose(soft.drawn, [5, 3], atol=1e-7)
    np.testing.assert_allclose([soft.dual[0], soft.slack[0]], [5, 4], atol=1e-7)


def test_costs_and_what_is_fed_back_count() -> None:
    """The first costs 1 a unit, and feeds back 2 unless it bids them back."""
    found = answer(replace(two_bids(), least=np.array([-2.0, 0.0]), cost=np.array([1.0, 0.0])))
    # 10 - y - 1 = 8 - x = price, y - 2 + x = 4.
    np.testing.assert_allclose(found.taken, [3.5, 2.5], atol=1e-7)
    np.testing.assert_allclose(found.drawn, [1.5, 2.5], atol=1e-7)
    assert found.dual[0] == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("value", "drawn", "lean"), [(10.0, 3.5, 1.0), (5.5, 0.0, 0.5), (2.0, -0.5, -1.0)]
)
@pytest.mark.parametrize("limit", [0, 1])
def test_the_size_of_power_costs_either_way(
    value: float, drawn: float, lean: float, limit: int
) -> None:
    """One bid of value - y above a power of -1.5, which costs 3, and its size 2."""
    programme = Programme(
        value=np.array([value]),
        slope=np.ones(1),
        most=np.full(1, 20.0),
        owner=np.zeros(1, np.int64),
        least=np.array([-1.5]),
        cost=np.array([3.0]),
        size_cost=np.array([2.0]),
        way=np.zeros(1),
        curvature=np.zeros((1, 1)),
        centre=np.zeros(1),
        rows=np.ones((limit, 1)),
        size_rows=np.zeros((limit, 1)),
        room=np.full(limit, 100.0),
        penalty=np.full(limit, 100.0),
    )
    # It takes y where 10 - y = 3 + 2, 5.5 - 1.5 = 3 + 2 lean, 2 - y = 3 - 2.
    found = answer(programme)
    np.testing.assert_allclose(found.drawn, drawn, atol=1e-6)
    np.testing.assert_allclose(found.lean, lean, atol=1e-6)
    assert not found.apart.any()


def test_where_size_is_worth_having_it_is_told() -> None:
    programme = replace(
        two_bids(), least=np.full(2, -2.0), way=np.zeros(2), size_cost=np.array([-1.0, 1.0])
    )
    assert answer(programme).apart.tolist() == [True, False]


def programme(rng: np.random.Generator, limits: int) -> Programme:
    bids, connections = 60, 12
    most = rng.uniform(1, 10, bids)
    half = rng.normal(size=(connections, connections)) * (rng.random(connections) < 0.5)
    return Programme(
        value=rng.uniform(20, 60, bids),
        slope=1 / most,
        most=most,
        owner=np.sort(rng.integers(0, connections, bids)),
        least=rng.uniform(-10, 0, connections),
        cost=rng.uniform(20, 60, connections),
        size_cost=rng.uniform(0, 5, connections),
        way=rng.choice([-1.0, 0.0, 1.0], connections),
        curvature=0.1 * half.T @ half,
        centre=rng.uniform(-10, 20, connections),
        rows=rng.uniform(-0.2, 1, (limits, connections)),
        size_rows=rng.uniform(0, 0.1, (limits, connections)),
        room=rng.uniform(0, 40, limits),
        penalty=np.full(limits, 200.0),
    )


@pytest.mark.parametrize("limits", [0, 1, 5])
def test_to_leave_out_what_follows_from_prices_changes_nothing(limits: int) -> None:
    rng, left_out = np.random.default_rng(limits), 0
    for _ in range(20):
        p = programme(rng, limits)
        found, whole = answer(p), _solved(p)
        np.testing.assert_allclose(found.taken, whole.taken, atol=1e-3)
        np.testing.assert_allclose(found.dual, whole.dual, atol=1e-3)
        np.testing.assert_allclose(found.lean, whole.lean, atol=1e-3)
        left_out += int(((found.taken == 0) | (found.taken == p.most)).sum())
        # Each bid takes what its price leaves, and only limits at their penalty are passed.
        price = p.cost + found.lean * p.size_cost + p.curvature @ (found.drawn - p.centre)
        price += found.dual @ (p.rows + found.lean * p.size_rows)
        np.testing.assert_allclose(p.taken(price), found.taken, atol=0.01)
        over = p.level(found.drawn, found.lean) - p.room - found.slack
        assert over.max(initial=-1) < 1e-5
        assert np.abs(found.dual * over).max(initial=0) < 1e-3
        assert np.abs((p.penalty - found.dual) * found.slack).max(initial=0) < 1e-3
    assert left_out > 200
