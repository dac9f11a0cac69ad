"""Quadratic programmes of bids under soft limits, solved by Clarabel's interior-point method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cosim.errors import ClearingError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

_TRIES = ((1e-10, False), (1e-10, True), (1e-8, False), (1e-8, True))
"""Relative gap and infeasibility at which the solver stops, and whether it scales the programme by
itself: one after the other until one has an answer."""
_MOST_ITERATIONS = 60
"""Of the solver; it takes 10 to 20."""
_WIDE = 0.1
"""How far from its price a bid is left to the solver, over the price."""
_MOST_STEPS = 30
"""Steps of Newton's method before a programme without limits is left to the solver as well."""
_STILL = 1e-6
"""Power of a connection that counts as none [kW]."""
_APART = 1e-4
"""How much a size may be larger than the power of its connection [kW]."""
_EXACT = 3
"""How often what the solver left near to a bound is put there."""
_BOUND = 1e-5
"""How near to a bound the solver leaves what is at it, over the width of a bid."""


@dataclass(frozen=True, eq=False)
class Programme:
    """Bids y at connections x = least + sum y, whose cost rises with their power.

    Maximise value y - slope y^2/2 - cost x - size_cost |x| - (x - centre) curvature (x - centre)/2
    - penalty s where rows x + size_rows |x| - s <= room, 0 <= y <= most, 0 <= s. The worth falls
    with power, so that the answer is one, and the limits can be passed, so that there is one.
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
    """Positive semidefinite, shape (connection, connection)."""
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

    def level(self, drawn: Floats, lean: Floats) -> Floats:
        """Return what rows come to, shape (limit,)."""
        return self.rows @ drawn + self.size_rows @ (lean * drawn)

    def part(self, inside: Mask, wide: Mask, taken: Floats, lean: Floats) -> Programme:
        """Return the programme of some connections and bids, what all others take being known.

        Parameters
        ----------
        inside
            The connections, shape (connection,).
        wide
            The bids, all of them at these, shape (bid,).
        taken, lean
            What the others take, and how the sizes of their connections lean.
        """
        known = self.drawn(np.where(wide, 0, taken))
        others = np.where(inside, 0, known)
        away = self.curvature @ np.where(inside, 0, known - self.centre)
        return Programme(
            value=self.value[wide],
            slope=self.slope[wide],
            most=self.most[wide],
            owner=(np.cumsum(inside) - 1)[self.owner[wide]],
            least=known[inside],
            cost=(self.cost + away)[inside],
            size_cost=self.size_cost[inside],
            way=self.way[inside],
            curvature=self.curvature[np.ix_(inside, inside)],
            centre=self.centre[inside],
            rows=self.rows[:, inside],
            size_rows=self.size_rows[:, inside],
            room=self.room - self.level(others, lean),
            penalty=self.penalty,
        )


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer to a programme."""

    taken: Floats
    """Of each bid, shape (bid,)."""
    drawn: Floats
    """Power of each connection, shape (connection,)."""
    price: Floats
    """What one more unit of it costs, shape (connection,)."""
    lean: Floats
    """How much |x| changes with x, shape (connection,): between -1 and 1 where x is 0 for this."""
    apart: Mask
    """Where |x| is larger than x, since that saves something, shape (connection,)."""
    slack: Floats
    """How far each limit is passed, shape (limit,)."""
    dual: Floats
    """What one more unit of room would save, shape (limit,)."""
    wide: Mask
    """Which bids the solver had, shape (bid,)."""


def solve(p: Programme, dual: Floats, wide: Mask) -> Solution:
    """Solve a programme.

    What follows from prices far away is left out: bids that are taken whole or not at all. The
    solver has the others, and those that do not agree with the prices that it finds.

    Parameters
    ----------
    p
        The programme.
    dual
        What it begins with, shape (limit,).
    wide
        Bids that are left to the solver from the beginning, beside others, shape (bid,).

    Raises
    ------
    ClearingError
        The solver did not end with an answer.
    """
    taken, lean, sure, price = _settled(p, dual)
    inside = ~sure | (p.curvature.diagonal() > 0)
    width = p.slope * p.most
    gap = np.abs(p.value - width / 2 - price[p.owner])
    wide = wide | (inside[p.owner] & (gap < _WIDE * np.abs(price[p.owner]) + width))
    inside |= np.bincount(p.owner[wide], minlength=len(inside)) > 0
    exact = 0
    while True:
        found = _solved(p.part(inside, wide, taken, lean))
        taken[wide], lean[inside] = found.taken, found.lean
        now, way, sure, price = _settled(p, found.dual)
        price[inside] = found.price
        now = np.where(inside[p.owner], p.taken(price), now)
        moved = np.bincount(p.owner[(now != taken) & ~wide], minlength=len(inside)) > 0
        wrong = moved | (~inside & (~sure | (way != lean)))
        at_bound = wide & ((now == 0) | (now == p.most)) & (now != taken)
        if not wrong.any() and at_bound.any() and exact < _EXACT:
            # What the solver left near to a bound is put there, and the rest solved once more.
            taken[at_bound], wide, exact = now[at_bound], wide & ~at_bound, exact + 1
            continue
        if not wrong.any():
            apart = np.zeros_like(inside)
            apart[inside] = found.apart
            drawn = p.drawn(taken)
            return Solution(taken, drawn, price, lean, apart, found.slack, found.dual, wide)
        inside |= wrong
        wide |= wrong[p.owner]


def _settled(p: Programme, dual: Floats) -> tuple[Floats, Floats, Mask, Floats]:
    """Return what follows from prices without curvature.

    What bids take, how sizes lean, where that is sure, and the prices.
    """
    price, more = p.cost + dual @ p.rows, p.size_cost + dual @ p.size_rows
    lean, sure = p.way.copy(), p.way != 0
    for sign in (1.0, -1.0):
        at = sign * p.drawn(p.taken(price + sign * more)) > _STILL
        found = ~sure & at & (more >= 0)
        lean[found], sure[found] = sign, True
    price += lean * more
    taken = p.taken(price)
    in_part = (taken > 0) & (taken < p.most)
    sure &= np.bincount(p.owner[in_part], minlength=len(sure)) == 0
    return taken, lean, sure, price


def _solved(p: Programme) -> Solution:
    """Solve a programme; limits that are passed or hold whatever bids take are left out."""
    largest = p.drawn(p.most)
    either = p.way == 0
    size = np.where(either, np.maximum(-p.least, largest), 0)
    rows, size_rows = p.rows + p.way * p.size_rows, np.where(either, p.size_rows, 0)
    low, high = np.minimum(rows, 0), np.maximum(rows, 0)
    lowest = high @ p.least + low @ largest + np.minimum(size_rows, 0) @ size
    highest = high @ largest + low @ p.least + np.maximum(size_rows, 0) @ size
    passed = lowest > p.room
    open_ = ~passed & (highest > p.room)
    dual = np.where(passed, p.penalty, 0)
    inner = replace(
        p,
        cost=p.cost + dual @ p.rows,
        size_cost=p.size_cost + dual @ p.size_rows,
        rows=p.rows[open_],
        size_rows=p.size_rows[open_],
        room=p.room[open_],
        penalty=p.penalty[open_],
    )
    found = _inner(inner)
    over = p.level(found.drawn, np.where(either, np.sign(found.drawn), p.way)) - p.room
    slack = np.where(passed, over, 0)
    slack[open_], dual[open_] = found.slack, found.dual
    return replace(found, slack=slack, dual=dual)


def _inner(p: Programme) -> Solution:
    """Solve a programme by the simplest that does."""
    limits, connections = p.rows.shape
    if not connections:
        nothing, mask, zero = np.zeros(0), np.zeros(0, np.bool_), np.zeros(limits)
        return Solution(nothing, nothing, nothing, nothing, mask, zero, zero, mask)
    if not limits and not ((p.way == 0) & (p.size_cost < 0)).any():
        found = _free(p)
        if found:
            return found
    return _by_interior_point(p)


def _by_interior_point(p: Programme) -> Solution:
    """Solve a programme by Clarabel."""
    engine: Any = clarabel
    (limits, connections), bids = p.rows.shape, len(p.most)
    both = np.flatnonzero(p.way == 0)
    largest = np.maximum(-p.least, p.drawn(p.most))[both]
    nothing = np.zeros(bids + limits + 2 * len(both))
    right = np.concatenate([p.least, p.room, p.most, nothing, largest])
    cost = p.cost + p.way * p.size_cost - p.curvature @ p.centre
    given = (
        _quadratic(p, len(both)),
        np.concatenate([-p.value, cost, p.penalty, p.size_cost[both]]),
        _left(p, both),
        right,
        [engine.ZeroConeT(connections), engine.NonnegativeConeT(len(right) - connections)],
    )
    found: Any = None
    for tolerance, scaled in _TRIES:
        settings = engine.DefaultSettings()
        settings.verbose, settings.max_threads = False, 1
        settings.max_iter, settings.equilibrate_enable = _MOST_ITERATIONS, scaled
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
        found = engine.DefaultSolver(*given, settings).solve()
        if found.status == engine.SolverStatus.Solved:
            break
    else:
        raise ClearingError(f"the quadratic programme ended as {found.status}")
    answer, duals = np.array(found.x), np.array(found.z)
    dual, power = duals[connections:][:limits], answer[bids:][:connections]
    more = p.size_cost + dual @ p.size_rows
    plain = p.cost + p.curvature @ (power - p.centre) + dual @ p.rows
    # Where x is 0 for the sake of |x|, the price is what balances the connection.
    rest = -duals[:connections] - plain
    lean = np.where(p.way == 0, np.clip(rest / np.maximum(more, 1e-12), -1, 1), p.way)
    # What is at a bound is there to the last bit.
    price = plain + lean * more
    taken, exact = np.clip(answer[:bids], 0, p.most), p.taken(price)
    bound = np.where(taken < p.most / 2, 0, p.most)
    at_bound = (exact == bound) & (np.abs(taken - bound) < _BOUND * p.most)
    taken = np.where(at_bound, bound, taken)
    slack = answer[bids + connections :][:limits]
    apart = (p.way == 0) & (more < 0)
    apart[both] |= answer[bids + connections + limits :] > np.abs(power[both]) + _APART
    wide = np.ones(bids, np.bool_)
    return Solution(taken, p.drawn(taken), price, lean, apart, slack, dual, wide)


def _free(p: Programme) -> Solution | None:
    """Solve a programme without limits by Newton's method; None where that does not come to rest.

    It looks for the power at which what bids take is what they are taken to draw.
    """
    drawn, nothing, either = p.centre, np.zeros(0), p.way == 0
    for _ in range(_MOST_STEPS):
        lean = np.where(either, np.sign(drawn), p.way)
        price = p.cost + lean * p.size_cost + p.curvature @ (drawn - p.centre)
        taken = p.taken(price)
        off = p.drawn(taken) - drawn
        if np.abs(off).max() < _STILL:
            if (either & (np.abs(drawn) < 2 * _STILL)).any():
                return None
            apart, wide = np.zeros(len(drawn), np.bool_), np.ones(len(taken), np.bool_)
            return Solution(taken, p.drawn(taken), price, lean, apart, nothing, nothing, wide)
        inside = (taken > 0) & (taken < p.most)
        falls = np.bincount(p.owner, inside / p.slope, len(drawn))
        drawn = drawn + np.linalg.solve(np.eye(len(drawn)) + falls[:, None] * p.curvature, off)
    return None


def _quadratic(p: Programme, sizes: int) -> Any:
    """Return the upper half of the matrix of a programme; columns as in `_left`."""
    (limits, connections), bids = p.rows.shape, len(p.most)
    row, column = np.nonzero(np.triu(p.curvature))
    at, count = np.arange(bids), bids + connections + limits + sizes
    values = np.append(p.slope, p.curvature[row, column])
    return _sparse(np.append(at, bids + row), np.append(at, bids + column), values, (count, count))


def _left(p: Programme, both: Indices) -> Any:
    """Return the left-hand sides of a programme; columns are bids, connections, slacks, sizes.

    Rows are the power of connections, limits, most and least of bids, least of slacks; and for
    connections that may have either sign their sizes: at least x, at least -x, and at most.
    """
    (limits, connections), bids, sizes = p.rows.shape, len(p.most), len(both)
    bid, connection, limit = np.arange(bids), np.arange(connections), np.arange(limits)
    size, first = np.arange(sizes), connections + limits
    last = first + 2 * bids + limits
    rows = p.rows + p.way * p.size_rows
    entries: list[tuple[Indices, Indices, Floats | float]] = [
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
    return _sparse(row, column, value, shape)


def _sparse(row: Indices, column: Indices, value: Floats, shape: tuple[int, int]) -> Any:
    """Return a matrix by columns, no entry of which is there twice."""
    order = np.lexsort((row, column))
    starts = np.append(0, np.cumsum(np.bincount(column, minlength=shape[1])))
    return sp.csc_array((value[order], row[order], starts), shape)
