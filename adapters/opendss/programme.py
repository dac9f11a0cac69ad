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
_STILL = 1e-6
"""Power of a connection that counts as none [kW]."""
_MOST_STEPS = 60
"""Steps to the price of a connection; halving alone comes to the last bit in fewer."""


@dataclass(frozen=True, eq=False)
class Programme:
    """Bids y at connections x = least + sum y, whose cost rises with their power.

    Maximise value y - slope y^2/2 - cost x - size_cost |x| - curvature (x - centre)^2/2 - penalty s
    where rows x + size_rows |x| - s <= room, 0 <= y <= most, 0 <= s. The worth falls with power, so
    that the answer is one, and the limits can be passed, so that there is one.
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
    size_cost: Floats
    """Shape (connection,)."""
    way: Floats
    """What |x| is over x, shape (connection,): 1 or -1 where x is taken to have that sign, 0 where
    it may have either. There |x| may be anything from the size of x on: see `Solution.apart`."""
    curvature: Floats
    """At least 0, shape (connection,)."""
    centre: Floats
    """Shape (connection,)."""
    rows: Floats
    """Shape (limit, connection)."""
    size_rows: Floats
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

    def price(self, drawn: Floats, lean: Floats, dual: Floats) -> Floats:
        """Return what one more unit of x costs, shape (connection,)."""
        price = self.cost + lean * self.size_cost + self.curvature * (drawn - self.centre)
        return price + dual @ (self.rows + lean * self.size_rows)


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
    lean: Floats
    """How much |x| changes with x, shape (connection,): between -1 and 1 where x is 0 for this."""
    apart: NDArray[np.bool_]
    """Where more |x| would save something, so that it is larger than x, shape (connection,)."""


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
    both = np.flatnonzero(p.way == 0)
    settings = engine.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    largest = np.maximum(-p.least, p.drawn(p.most))[both]
    nothing = np.zeros(bids + limits + 2 * len(both))
    right = np.concatenate([p.least, p.room, p.most, nothing, largest])
    cost = p.cost + p.way * p.size_cost - p.curvature * p.centre
    solver: Any = engine.DefaultSolver(
        _diagonal(np.concatenate([p.slope, p.curvature, np.zeros(limits + len(both))])),
        np.concatenate([-p.value, cost, p.penalty, p.size_cost[both]]),
        _left(p, both),
        right,
        [engine.ZeroConeT(connections), engine.NonnegativeConeT(len(right) - connections)],
        settings,
    )
    found = solver.solve()
    if found.status != engine.SolverStatus.Solved:
        raise ClearingError(f"the quadratic programme ended as {found.status}")
    answer, duals = np.array(found.x), np.array(found.z)
    dual, power = duals[connections:][:limits], answer[bids : bids + connections]
    # Where x is 0 for the sake of |x|, the price is what balances the connection.
    size_price = p.size_cost + dual @ p.size_rows
    lean = np.where(p.way == 0, np.sign(power), p.way)
    still = np.flatnonzero((p.way == 0) & (np.abs(power) < _STILL) & (size_price > 0))
    rest = -duals[:connections] - p.price(power, np.zeros(connections), dual)
    lean[still] = np.clip(rest[still] / size_price[still], -1, 1)
    taken = np.clip(answer[:bids], 0, p.most)
    # What is at a bound is there to the last bit.
    exact = p.taken(p.price(power, lean, dual))
    taken = np.where((exact <= 0) | (exact >= p.most), exact, taken)
    slack = answer[bids + connections :][:limits]
    return Solution(taken, p.drawn(taken), slack, dual, lean, (p.way == 0) & (size_price < 0))


def _unmoved(p: Programme) -> Solution:
    """Solve a programme without bids: limits are passed or not, whatever that costs."""
    slack = np.maximum(p.rows @ p.least + p.size_rows @ np.abs(p.least) - p.room, 0.0)
    return Solution(
        taken=np.zeros(0),
        drawn=p.least.copy(),
        slack=slack,
        dual=np.where(slack > 0, p.penalty, 0.0),
        lean=np.where(p.way == 0, np.sign(p.least), p.way),
        apart=np.zeros(len(p.least), np.bool_),
    )


def _free(p: Programme) -> Solution:
    """Solve a programme without limits: the price of each connection, between two bounds."""
    kink = np.where(p.way == 0, np.maximum(p.size_cost, 0), 0)
    cost = p.cost + p.way * p.size_cost
    lowest = cost - kink + p.curvature * (p.least - p.centre)
    range_kw = np.bincount(p.owner, p.most, len(p.least))
    highest = lowest + 2 * kink + p.curvature * range_kw
    price = np.clip(cost, lowest, highest)
    for _ in range(_MOST_STEPS):
        taken = p.taken(price)
        drawn = p.drawn(taken)
        over = price - (cost + p.curvature * (drawn - p.centre))
        still = np.abs(drawn) < _STILL
        over -= np.where(still, np.clip(over, -kink, kink), kink * np.sign(drawn))
        width = 1e-12 * max(1.0, float(np.abs(price).max(initial=0)))
        if not ((np.abs(over) > width) & (highest - lowest > width)).any():
            break
        highest, lowest = np.where(over > 0, price, highest), np.where(over < 0, price, lowest)
        inside = (taken > 0) & (taken < p.most)
        rise = np.bincount(p.owner, inside / p.slope, len(p.least))
        step = price - over / (1 + p.curvature * rise)
        between = (step > lowest) & (step < highest) & (kink == 0)
        price = np.where(over == 0, price, np.where(between, step, (lowest + highest) / 2))
    taken = p.taken(price)
    drawn, nothing = p.drawn(taken), np.zeros(0)
    lean = np.where(p.way == 0, np.sign(drawn), p.way)
    held = np.flatnonzero(kink > 0)
    rest = price - cost - p.curvature * (drawn - p.centre)
    lean[held] = np.clip(rest[held] / kink[held], -1, 1)
    return Solution(taken, drawn, nothing, nothing, lean, (p.way == 0) & (p.size_cost < 0))


def _diagonal(values: Floats) -> Any:
    count = len(values)
    return sp.csc_array((values, np.arange(count), np.arange(count + 1)), (count, count))


def _left(p: Programme, both: Indices) -> Any:
    """Return the left-hand sides of a programme; columns are bids, connections, slacks, sizes.

    Rows are the power of connections, limits, most and least of bids, least of slacks; and the sizes
    of those connections that may have either sign: at least x, at least -x, and at most.
    """
    (limits, connections), bids, sizes = p.rows.shape, len(p.most), len(both)
    bid, connection, limit = np.arange(bids), np.arange(connections), np.arange(limits)
    size, first = np.arange(sizes), connections + limits
    last = first + 2 * bids + limits
    rows = p.rows + p.way * p.size_rows
    entries = [
        (p.owner, bid, -1.0),
        (first + bid, bid, 1.0),
        (first + bids + bid, bid, -1.0),
        (connection, bids + connection, 1.0),
        (np.repeat(connections + limit, connections), bids + np.tile(connection, limits), rows),
        (connections + limit, bids + connections + limit, -1.0),
        (first + 2 * bids + limit, bids + connections + limit, -1.0),
        (last + size, bids + both, 1.0),
        (last + sizes + size, bids + both, -1.0),
        (last + size, bids + first + size, -1.0),
        (last + sizes + size, bids + first + size, -1.0),
        (last + 2 * sizes + size, bids + first + size, 1.0),
        (
            np.repeat(connections + limit, sizes),
            bids + first + np.tile(size, limits),
            p.size_rows[:, both],
        ),
    ]
    row = np.concatenate([r for r, _, _ in entries])
    column = np.concatenate([c for _, c, _ in entries])
    value = np.concatenate([np.broadcast_to(np.ravel(v), len(r)) for r, _, v in entries])
    shape = (last + 3 * sizes, bids + connections + limits + sizes)
    return sp.csc_array((value, (row, column)), shape)
