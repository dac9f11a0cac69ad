"""Taking over new itineraries, or saying why they cannot be driven."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.state import DUE, IDLE, State
from cosim.signals import LEGS


class Finds(Protocol):
    """What knows the ways between ends of edges."""

    def find(self, start: int, end: int, tick: int) -> object:
        """Return the way, or in words why there is none."""
        ...


def accept(
    state: State,
    routes: Finds,
    itinerary_edge: NDArray[np.integer],
    itinerary_start_s: NDArray[np.float64],
    begin_s: float,
    tick: int,
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Write the itineraries that can be driven into `state`.

    Parameters
    ----------
    state
        Changed in place. Of a refused vehicle that stood idle no leg counts as completed.
    routes
        Finds the way of each leg.
    itinerary_edge
        Edges to drive to, shape (vehicle, leg), -1 after the last; -1 first: no new itinerary.
    itinerary_start_s
        Departure after the start of the tick [s], shape (vehicle,).
    begin_s
        Start of the tick [s].
    tick
        Settlement interval.

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
    place = state.edge[wanted].astype(np.int64)
    for leg in range(LEGS):
        target = legs[:, leg]
        rows = np.flatnonzero((target >= 0) & (reason == ""))
        reason[rows] = _obstacles(routes, place[rows], target[rows], tick)
        place = np.where(target >= 0, target, place)

    good = reason == ""
    taken = wanted[good]
    state.itinerary[taken] = legs[good]
    state.phase[taken] = DUE
    state.due_s[taken] = begin_s + start_s[good]
    return wanted, reason


def _obstacles(
    routes: Finds, start: NDArray[np.int64], end: NDArray[np.int64], tick: int
) -> NDArray[np.object_]:
    """Say for each drive why it cannot be made, empty if it can."""
    found = [routes.find(a, b, tick) for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    why = np.full(len(found), "", dtype=object)
    for row, way in enumerate(found):
        if isinstance(way, str):
            why[row] = way
    return why
