"""Quadratic programmes of bids under soft limits.

Without limits the answer at each connection follows from its own price; with them Clarabel's
interior-point method finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cosim.errors import ClearingError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_TOLERANCE = 1e-9
"""Relative gap and infeasibility at which the solver stops."""
_MOST_STEPS = 60
"""Steps to the price of a connection; halving alone comes to the last bit in fewer."""


@dataclass(frozen=True, eq=False)
class Programme:
    """Bids y at connections x = least + sum y, whose cost rises with their power.

    Maximise value y - slope y^2/2 - cost x - curvature (x - centre)^2/2 - penalty s where
    rows x - s <= room, 0 <= y <= most, 0 <= s. The worth falls with power, so that the answer is
    one, and the limits can be passed, so that there is one.
    """

    value: Floats
    """Shape (bid,)."""
    slope: Floats
    """Above 0, shape (bid,)."""
    most: Floats
    """Above 0, shape (bid,)."""
    owner: Indices
    """Connection of each bid, shape (bid,)."""
    least: Floats
    """Shape (connection,)."""
    cost: Floats
    """Shape (connection,)."""
    curvature: Floats
    """At least 0, shape (connection,)."""
    centre: Floats
    """Shape (connection,)."""
    rows: Floats
    """Shape (limit, connection)."""
    room: Floats
    """Shape (limit,)."""
    penalty: Floats
    """Above 0, shape (limit,)."""

    def taken(self, price: Floats) -> Floats:
        """Return what bids take at prices, shape (connection,)."""
        return np.clip((self.value - price[self.owner]) / self.slope, 0, self.most)

    def drawn(self, taken: Floats) -> Floats:
        """Return the power of each connection with bids taken, shape (bid,)."""
        return self.least + np.bincount(self.owner, taken, len(self.least))


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer to a programme."""

    taken: Floats
    """Of each bid, shape (bid,)."""
    drawn: Floats
    """Power of each connection, shape (connection,)."""
    slack: Floats
    """How far each limit is passed, shape (limit,)."""
    dual: Floats
    """What one more unit of room would save, shape (limit,)."""


def solve(programme: Programme) -> Solution:
    """Solve a programme.

    Raises
    ------
    ClearingError
        The solver did not end with an answer.
    """
    if not len(programme.room):
        return _free(programme)
    if not len(programme.most):
        return _unmoved(programme)
    engine: Any = clarabel
    p, (limits, connections), bids = programme, programme.rows.shape, len(programme.most)
    settings = engine.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    right = np.concatenate([p.least, p.room, p.most, np.zeros(bids + limits)])
    solver: Any = engine.DefaultSolver(
        _diagonal(np.concatenate([p.slope, p.curvature, np.zeros(limits)])),
        np.concatenate([-p.value, p.cost - p.curvature * p.centre, p.penalty]),
        _left(p),
        right,
        [engine.ZeroConeT(connections), engine.NonnegativeConeT(len(right) - connections)],
        settings,
    )
    found = solver.solve()
    if found.status != engine.SolverStatus.Solved:
        raise ClearingError(f"the quadratic programme ended as {found.status}")
    answer, dual = np.array(found.x), np.array(found.z)[connections:][:limits]
    # What is at a bound is there to the last bit.
    taken = np.clip(answer[:bids], 0, p.most)
    power = answer[bids : bids + connections]
    exact = p.taken(p.cost + p.curvature * (power - p.centre) + dual @ p.rows)
    taken = np.where((exact <= 0) | (exact >= p.most), exact, taken)
    return Solution(taken, p.drawn(taken), answer[bids + connections :], dual)


def _unmoved(p: Programme) -> Solution:
    """Solve a programme without bids: limits are passed or not, whatever that costs."""
    slack = np.maximum(p.rows @ p.least - p.room, 0.0)
    return Solution(np.zeros(0), p.least.copy(), slack, np.where(slack > 0, p.penalty, 0.0))


def _free(p: Programme) -> Solution:
    """Solve a programme without limits: the price of each connection, between two bounds."""
    lowest = p.cost + p.curvature * (p.least - p.centre)
    highest = lowest + p.curvature * np.bincount(p.owner, p.most, len(p.least))
    price = np.clip(p.cost, lowest, highest)
    for _ in range(_MOST_STEPS):
        taken = p.taken(price)
        drawn = p.drawn(taken)
        over = price - (p.cost + p.curvature * (drawn - p.centre))
        if np.abs(over).max(initial=0) <= 1e-12 * np.abs(price).max(initial=1):
            break
        highest, lowest = np.where(over > 0, price, highest), np.where(over < 0, price, lowest)
        inside = (taken > 0) & (taken < p.most)
        rise = np.bincount(p.owner, inside / p.slope, len(p.least))
        step = price - over / (1 + p.curvature * rise)
        between = (step > lowest) & (step < highest)
        halfway = (lowest + highest) / 2
        price = np.where(over == 0, price, np.where(between, step, halfway))
    taken = p.taken(price)
    return Solution(taken, p.drawn(taken), np.zeros(0), np.zeros(0))


def _diagonal(values: Floats) -> Any:
    count = len(values)
    return sp.csc_array((values, np.arange(count), np.arange(count + 1)), (count, count))


def _left(p: Programme) -> Any:
    """Return the left-hand sides of a programme; columns are bids, connections, slacks.

    Rows are the power of connections, limits, most and least of bids, least of slacks.
    """
    (limits, connections), bids = p.rows.shape, len(p.most)
    bid, connection, limit = np.arange(bids), np.arange(connections), np.arange(limits)
    first = connections + limits
    of_bids = np.vstack([p.owner, first + bid, first + bids + bid])
    inside = np.tile(connections + limit[:, None], connections)
    of_connections = np.vstack([connection, inside])
    of_slacks = np.vstack([connections + limit, first + 2 * bids + limit])
    signs = np.tile([[-1.0], [1.0], [-1.0]], bids)
    values = np.vstack([np.ones(connections), p.rows])
    widths = np.repeat([3, 1 + limits, 2], [bids, connections, limits])
    data = [signs.T.ravel(), values.T.ravel(), -np.ones(2 * limits)]
    indices = [of_bids.T.ravel(), of_connections.T.ravel(), of_slacks.T.ravel()]
    return sp.csc_array(
        (np.concatenate(data), np.concatenate(indices), np.append(0, np.cumsum(widths))),
        (first + 2 * bids + limits, bids + connections + limits),
    )
