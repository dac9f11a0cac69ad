"""The trips that vehicles have of their own, one after the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.fleet.requests import Requests
from cosim.team import Flags, Floats, Ints, RequestStatus

Rows = NDArray[np.intp]


class Schedule:
    """Next own trip of every vehicle, by the time at which each may set out.

    Parameters
    ----------
    requests
        All requests; those with an owner are scheduled.
    vehicles
        Number of vehicles.
    """

    def __init__(self, requests: Requests, vehicles: int) -> None:
        self._requests = requests
        own = np.flatnonzero(requests.owner >= 0)
        order = np.lexsort((own, requests.earliest_s[own], requests.owner[own]))
        self._trip = own[order]
        owner = requests.owner[self._trip]
        every = np.arange(vehicles)
        self._end = np.searchsorted(owner, every, side="right")
        self.position: Rows = np.searchsorted(owner, every, side="left")
        """Index of each vehicle's next trip among the scheduled ones; the state of a checkpoint."""
        self.ahead_km = self._ahead_km()
        """Length of a trip and, in a tour, of those that follow it, shape (request,) [km]."""

    def next(self) -> tuple[Ints, Rows]:
        """Return the vehicles that have a next trip which is known, and that trip of each."""
        waiting = np.flatnonzero(self.position < self._end)
        trip = self._trip[self.position[waiting]]
        known = self._requests.status[trip] == RequestStatus.SCHEDULED
        return waiting[known].astype(np.int32), trip[known]

    def pass_on(self, vehicles: Ints) -> None:
        """Go on to the next trip of vehicles, each named once."""
        self.position[vehicles] += 1

    def take_back(self, vehicles: NDArray[np.integer]) -> None:
        """Go back to the trip before the next one of vehicles, each named once."""
        self.position[vehicles] -= 1

    def outlook(self, ready_s: Floats) -> tuple[Floats, Floats]:
        """Return when each vehicle's next known trip may set out [s] and how far it goes [km].

        Parameters
        ----------
        ready_s
            When each vehicle is ready for it, shape (vehicle,) [s].

        Returns
        -------
        departure_s, km
            Shape (vehicle,). The distance is that of the rest of the tour where it belongs to
            one; -1 and 0 where no trip is known.
        """
        departure_s, km = np.full(len(ready_s), -1.0), np.zeros(len(ready_s))
        who, trip = self.next()
        departure_s[who] = np.maximum(self._requests.earliest_s[trip], ready_s[who])
        km[who] = self.ahead_km[trip]
        return departure_s, km

    def _ahead_km(self) -> Floats:
        requests, trip = self._requests, self._trip
        found = requests.km.copy()
        if not len(trip):
            return found
        km, owner, tour = requests.km[trip], requests.owner[trip], requests.tour[trip]
        # Cumulated from the end; what lies behind the end of the tour is taken off again.
        total = np.concatenate([np.cumsum(km[::-1])[::-1], [0.0]])
        last = np.append((owner[1:] != owner[:-1]) | (tour[1:] != tour[:-1]) | (tour[1:] < 0), True)
        ends = np.flatnonzero(last)
        end_of = ends[np.searchsorted(ends, np.arange(len(trip)))]
        found[trip] = total[:-1] - total[end_of + 1]
        return found


def due(
    requests: Requests, trip: Rows, ready_s: Floats, now_s: float, until_s: float
) -> tuple[Flags, Floats]:
    """Return which trips set out before `until_s`, and when each may at the earliest [s]."""
    leave_s = np.maximum(np.maximum(requests.earliest_s[trip], ready_s), now_s)
    return leave_s < until_s, leave_s
