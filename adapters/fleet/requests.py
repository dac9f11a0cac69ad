"""Requests for trips, of customers and of vehicles' own, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cosim.assets import Assets
from cosim.team import Flags, Floats, Ints, RequestStatus
from networks.roads import RoadNetwork

_STATE = ("status", "vehicle", "pickup_s", "done_s", "postponed")


class Requests:
    """Every request of the run, by the time at which it is made; arrays have shape (request,).

    The static part is that of `networks.demand.trips.Trips`: when a request is made (`asked_s`),
    may be begun (`earliest_s`) and must be served (`deadline_s`), whether service is the arrival
    or the pick-up (`at_arrival`), `origin_edge`, `destination_edge`, `via`, `dwell_s`, `tour`, and
    `owner`, the one vehicle whose trip it is (-1: any of its `segment`).
    """

    def __init__(self, assets: Assets) -> None:
        trips = assets.demand.trips
        count = len(trips)
        self.asked_s = trips.asked_s
        self.earliest_s = trips.earliest_s
        self.deadline_s = trips.deadline_s
        self.at_arrival = trips.at_arrival
        self.origin_edge = trips.origin_edge
        self.destination_edge = trips.destination_edge
        self.via = trips.via
        self.dwell_s = trips.dwell_s
        self.owner = trips.vehicle
        self.tour = trips.tour
        self.segment = assets.demand.trip_segment
        self._segments = len(assets.vehicles.segments)
        self.km = _lengths_km(assets.roads, self.origin_edge, self.destination_edge, self.via)
        """Way from origin to destination past the via points [km]."""
        self.status: NDArray[np.int8] = np.zeros(count, dtype=np.int8)
        self.vehicle: Ints = np.full(count, -1, dtype=np.int32)
        """Vehicle that serves it, -1 for none yet."""
        self.pickup_s = np.full(count, -1.0)
        """When the vehicle set out from the origin or arrived there; -1 if it has not [s]."""
        self.done_s = np.full(count, -1.0)
        """When it was served; -1 if it has not been [s]."""
        self.postponed: Flags = np.zeros(count, dtype=np.bool_)
        """Whether its vehicle had too little charge when it was due."""

    def __len__(self) -> int:
        return len(self.asked_s)

    @property
    def ids(self) -> list[str]:
        """Ids in array order."""
        return [str(i) for i in range(len(self))]

    def open_until(self, time_s: float) -> None:
        """Make known every request that is made before `time_s`."""
        known = np.searchsorted(self.asked_s, time_s, side="left")
        fresh = np.flatnonzero(self.status[:known] == RequestStatus.UNKNOWN)
        own = self.owner[fresh] >= 0
        self.status[fresh] = np.where(own, RequestStatus.SCHEDULED, RequestStatus.OPEN)

    def expire(self, time_s: float) -> Ints:
        """End the open requests whose deadline has passed; return them."""
        late = np.flatnonzero((self.status == RequestStatus.OPEN) & (self.deadline_s <= time_s))
        self.status[late] = RequestStatus.EXPIRED
        return late.astype(np.int32)

    @property
    def known(self) -> Flags:
        """Requests that have been made."""
        return self.status != RequestStatus.UNKNOWN

    @property
    def service_s(self) -> Floats:
        """When each was served in the sense of its deadline, -1 if it has not been [s]."""
        return np.where(self.at_arrival, self.done_s, self.pickup_s)

    @property
    def in_time(self) -> Flags:
        """Requests served by their deadline and not failed since."""
        return self._served & (self.service_s <= self.deadline_s)

    @property
    def late(self) -> Flags:
        """Requests served after their deadline and not failed since."""
        return self._served & (self.service_s > self.deadline_s)

    @property
    def _served(self) -> Flags:
        return (self.service_s >= 0) & (self.status != RequestStatus.FAILED)

    def missed(self, time_s: float) -> Flags:
        """Return the known requests that are lost, or not served in time or by now."""
        lost = (self.status == RequestStatus.EXPIRED) | (self.status == RequestStatus.FAILED)
        overdue = self.known & (self.service_s < 0) & (self.deadline_s < time_s)
        return lost | overdue | self.late

    def by_segment(self, which: Flags) -> Floats:
        """Return how many requests of each segment are among those of a mask."""
        return np.bincount(self.segment[which], minlength=self._segments).astype(np.float64)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of what changes, by name, for a checkpoint."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def take(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Set what changes from a checkpoint; KeyError if something is missing."""
        for name in _STATE:
            getattr(self, name)[...] = arrays[name]


def _lengths_km(roads: RoadNetwork, origin: Ints, destination: Ints, via: Ints) -> Floats:
    """Return the length of each trip past its via points [km]."""
    if not len(origin):
        return np.zeros(0)
    edges, at = np.unique(
        np.concatenate([origin[:, None], via, destination[:, None]], axis=1), return_inverse=True
    )
    known = edges >= 0
    km = np.zeros((len(edges), len(edges)))
    km[np.ix_(known, known)] = roads.distance_km(edges[known], edges[known])
    at = at.reshape(len(origin), -1)
    total, here = np.zeros(len(origin)), at[:, 0]
    for column in at.T[1:]:
        passed = known[column]
        total += np.where(passed, km[here, column], 0.0)
        here = np.where(passed, column, here)
    # Where no way leads, traffic refuses the trip and says so.
    return np.where(np.isfinite(total), total, 0.0)
