"""What a little more power changes, against power flows with a little more."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from adapters.opendss import points as module
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import Watched, limits_of
from adapters.opendss.offers import Bids, Offers
from adapters.opendss.points import Chargers, Point, Points
from tests.clearings import SCALE, base_kw, built

STEP_KW = 0.5
PRICE = 40.0


@pytest.fixture(scope="module")
def feeder() -> Iterator[Feeder]:
    feeder = built()
    feeder.solve(SCALE, base_kw(feeder))
    yield feeder
    feeder.close()


@pytest.fixture
def points(feeder: Feeder) -> Points:
    count = len(feeder.service)
    bids = Bids(Offers(np.arange(count), np.full(count, 20.0), np.full(count, 50.0)), count)
    return Points(feeder, Chargers(feeder), Watched(feeder, limits_of(feeder)), SCALE, bids)


def some_limits(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    """Return a few limits of each kind, and what one more unit of each is worth."""
    watched = Watched(feeder, limits_of(feeder))
    kinds = [np.flatnonzero(watched.kind == k) for k in range(3)]
    bus = len(feeder.bus_ids)
    which = np.concatenate([kinds[0][[0, 3, 20]], kinds[1][[2, 9]], kinds[2][[40, bus + 70]]])
    return which, np.array([1e4, 2e3, 1e4, 1e3, 2e3, 1e6, 1e6])


def test_levels_and_power_at_the_head_change_as_told(feeder: Feeder, points: Points) -> None:
    rng, count = np.random.default_rng(0), len(feeder.service)
    x = rng.uniform(2, 9, count) * np.where(np.arange(count) % 4 == 0, -1, 1)
    here = points.next(points.start(), x)
    which, _ = some_limits(feeder)
    lean = np.sign(x)
    per_kw = points.changes(here, which).leaning(lean)
    for one in range(0, count, 7):
        more = np.where(np.arange(count) == one, STEP_KW, 0)
        up, down = points.next(here, x + more), points.next(here, x - more)
        found = (up.levels - down.levels)[which] / (2 * STEP_KW)
        scale = np.abs(per_kw[:, one]).max()
        np.testing.assert_allclose(found, per_kw[:, one], atol=1e-4 * scale)
        head = (points.head_kw(up) - points.head_kw(down)) / (2 * STEP_KW)
        assert head == pytest.approx(here.head.leaning(lean)[one], rel=1e-4)
        # And all levels as predicted, to the square of the step.
        np.testing.assert_allclose(points.levels(here, x + more), up.levels, rtol=0, atol=2e-3)


def test_prices_change_as_curvature_tells(
    feeder: Feeder, points: Points, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out of it is less than 1 %."""
    monkeypatch.setattr(module, "_convex", lambda matrix: matrix)
    count = len(feeder.service)
    x, lean = np.random.default_rng(0).uniform(5, 9, count), np.ones(count)
    here, at = points.next(points.start(), x), np.arange(0, count, 7)
    which, worth = some_limits(feeder)

    def price(point: Point) -> np.ndarray:
        of_limits = worth @ points.changes(point, which).leaning(lean)
        return (PRICE * point.head.leaning(lean) + of_limits)[at]

    told = points.curvature(here, PRICE, worth, which, lean, at)
    np.testing.assert_allclose(told, told.T, atol=1e-12)
    for column, one in enumerate(at):
        more = np.where(np.arange(count) == one, STEP_KW, 0)
        rise = price(points.next(here, x + more)) - price(points.next(here, x - more))
        size = np.abs(told).max()
        np.testing.assert_allclose(rise / (2 * STEP_KW), told[:, column], atol=0.01 * size)


def test_what_is_not_convex_becomes_so() -> None:
    bent = module._convex(np.array([[1.0, 0.0], [0.0, -2.0]]))
    np.testing.assert_allclose(bent, [[1, 0], [0, 0]], atol=1e-12)
    round_ = np.array([[2.0, 1.0], [1.0, 2.0]])
    assert module._convex(round_) is round_
