"""Quadratic programmes of bids under soft limits, solved by Clarabel's interior-point method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from cosim.errors import ClearingError

Floats = NDArray[np.float64]

_TOLERANCE = 1e-9
"""Relative gap and infeasibility at which the solver stops."""


@dataclass(frozen=True, eq=False)
class Programme:
    """Maximise value x - slope x^2/2 - penalty s where rows x - s <= room, 0 <= x <= most, 0 <= s.

    The utility falls with power, so that the answer is one, and the limits can be passed, so that
    there is one.
    """

    value: Floats
    """Shape (bid,)."""
    slope: Floats
    """Above 0, shape (bid,)."""
    most: Floats
    """Above 0, shape (bid,)."""
    rows: Floats
    """Shape (limit, bid)."""
    room: Floats
    """Shape (limit,)."""
    penalty: Floats
    """Above 0, shape (limit,)."""


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer to a programme."""

    power: Floats
    """Shape (bid,)."""
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
    engine: Any = clarabel
    bids, limits = len(programme.most), len(programme.room)
    settings = engine.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    diagonal = np.append(programme.slope, np.zeros(limits))
    right = np.concatenate([programme.room, programme.most, np.zeros(bids + limits)])
    solver: Any = engine.DefaultSolver(
        sp.diags_array(diagonal, format="csc"),
        np.append(-programme.value, programme.penalty),
        _left(programme.rows),
        right,
        [engine.NonnegativeConeT(len(right))],
        settings,
    )
    found = solver.solve()
    if found.status != engine.SolverStatus.Solved:
        raise ClearingError(f"the quadratic programme ended as {found.status}")
    answer, dual = np.array(found.x), np.array(found.z)
    return Solution(np.clip(answer[:bids], 0, programme.most), answer[bids:], dual[:limits])


def _left(rows: Floats) -> Any:
    """Return the left-hand sides: limits, most and least power, least slack; power, then slack."""
    limits, bids = rows.shape
    bid, limit = np.arange(bids), np.arange(limits)
    values = np.vstack([rows, np.ones(bids), -np.ones(bids)])
    places = np.vstack([np.tile(limit[:, None], bids), limits + bid, limits + bids + bid])
    slack_places = np.vstack([limit, limits + 2 * bids + limit])
    starts = np.append(bid * (limits + 2), values.size + 2 * np.arange(limits + 1))
    data = np.append(values.T.ravel(), -np.ones(2 * limits))
    indices = np.append(places.T.ravel(), slack_places.T.ravel())
    return sp.csc_array((data, indices, starts), (2 * (limits + bids), bids + limits))
