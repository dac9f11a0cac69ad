"""Taking over new itineraries, or saying why they cannot be driven."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.state import DUE, IDLE, State
from cosim.signals import LEGS
from networks.roads.routing import Router


def accept(
    state: State,
    router: Router,
    itinerary_edge: NDArray[np.integer],
    itinerary_via_edge: NDArray[np.integer],
    itinerary_start_s: NDArray[np.float64],
    begin_s: float,
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Write the itineraries that can be driven into `state`.

    Parameters
    ----------
    state
        Changed in place. Of a refused vehicle that stood idle no leg counts as completed.
    router
        Finds the way of each leg.
    itinerary_edge
        Edges to drive to, shape (vehicle, leg), -1 after the last; -1 first: no new itinerary.
    itinerary_via_edge
        Edges to pass on each leg, shape (vehicle, leg, via), -1 none; those that cannot be passed
        are replaced when the leg departs, see `Router.way`.
    itinerary_start_s
        Departure after the start of the tick [s], shape (vehicle,).
    begin_s
        Start of the tick [s].

    Returns
    -------
    wanted
        Vehicles with a new itinerary.
    reason
        For each of them why it is refused, empty if it is taken over.
    """
    wanted = np.flatnonzero(itinerary_edge[:, 0] >= 0)
    reason = np.full(len(wanted), "", dtype=object)
    reason[state.phase[wanted] != IDLE] = "an itinerary is under way"
    fresh = wanted[reason == ""]
    state.itinerary[fresh] = -1
    state.done[fresh] = 0
    state.arrival_s[fresh] = -1.0
    start_s = itinerary_start_s[wanted]
    early = ~(np.isfinite(start_s) & (start_s >= 0))
    reason[early & (reason == "")] = "its departure is not a time after the tick's start"

    legs = itinerary_edge[wanted].astype(np.int64)
    # What follows a gap does not count.
    legs[np.logical_or.accumulate(legs < 0, axis=1)] = -1
    via = itinerary_via_edge[wanted].astype(np.int64)
    place = state.edge[wanted].astype(np.int64)
    for leg in range(LEGS):
        target = legs[:, leg]
        rows = np.flatnonzero((target >= 0) & (reason == ""))
        reason[rows] = _obstacles(router, place[rows], target[rows], via[rows, leg])
        place = np.where(target >= 0, target, place)

    good = reason == ""
    taken = wanted[good]
    state.itinerary[taken] = legs[good]
    state.via[taken] = np.where(legs[good, :, None] >= 0, via[good], -1)
    state.phase[taken] = DUE
    state.due_s[taken] = begin_s + start_s[good]
    state.warned[taken] = False
    return wanted, reason


def _obstacles(
    router: Router, start: NDArray[np.int64], end: NDArray[np.int64], via: NDArray[np.int64]
) -> NDArray[np.object_]:
    """Say for each drive why it cannot be made, empty if it can."""
    why = np.full(len(start), "", dtype=object)
    # Most are settled without a look at the way: in one part of the network all leads to all.
    for row in np.flatnonzero((via >= 0).any(axis=1) | ~router.connected(start, end)).tolist():
        points: list[int] = via[row].tolist()
        why[row] = router.obstacle(int(start[row]), int(end[row]), points)
    return why
