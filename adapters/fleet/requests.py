"""Requests for trips: where they come from, and what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

import networks.demand
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.seeds import stream
from cosim.team import Flags, Floats, Ints, RequestStatus


@dataclass
class Requests:
    """Every request of the run, by the time at which it is made; arrays have shape (request,)."""

    asked_s: Floats
    """When it is made [s]."""
    deadline_s: Floats
    """Latest pick-up [s]."""
    origin_edge: Ints
    destination_edge: Ints
    status: NDArray[np.int8] = field(init=False)
    vehicle: Ints = field(init=False)
    pickup_s: Floats = field(init=False)
    """When the vehicle arrived at the origin; -1 if it has not."""

    def __post_init__(self) -> None:
        count = len(self.asked_s)
        self.status = np.zeros(count, dtype=np.int8)
        self.vehicle = np.full(count, -1, dtype=np.int32)
        self.pickup_s = np.full(count, -1.0)

    @classmethod
    def of(cls, scenario: Scenario, assets: Assets) -> Self:
        """Draw the requests of `scenario`: times by the demand profile, ends by the trip table."""
        rng = stream(scenario.seed, "requests")
        fleet, roads, start = scenario.fleet, assets.roads, scenario.start_time
        asked_s = networks.demand.start_times_s(
            per_day=fleet.vehicles * fleet.trips_per_vehicle_day,
            start_s=start.hour * 3600 + start.minute * 60,
            duration_s=scenario.duration,
            rng=rng,
        )
        if roads.trip_table is not None:
            table = roads.trip_table / roads.trip_table.sum()
            pair = rng.choice(table.size, size=len(asked_s), p=table.ravel())
            origin, destination = np.unravel_index(pair, table.shape)
            ends = roads.zone_edge[origin], roads.zone_edge[destination]
        else:
            ends = rng.integers(len(roads.edge_ids), size=(2, len(asked_s)))
        return cls(
            asked_s=asked_s,
            deadline_s=asked_s + fleet.waiting_limit,
            origin_edge=np.asarray(ends[0], dtype=np.int32),
            destination_edge=np.asarray(ends[1], dtype=np.int32),
        )

    @property
    def ids(self) -> list[str]:
        """Ids in array order."""
        return [str(i) for i in range(len(self.asked_s))]

    def open_until(self, time_s: float) -> None:
        """Make known every request that is made before `time_s`."""
        self.status[(self.status == RequestStatus.UNKNOWN) & (self.asked_s < time_s)] = (
            RequestStatus.OPEN
        )

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
    def in_time(self) -> Flags:
        """Requests picked up by their deadline and not failed since."""
        picked_up = (self.pickup_s >= 0) & (self.status != RequestStatus.FAILED)
        return picked_up & (self.pickup_s <= self.deadline_s)

    @property
    def missed(self) -> Flags:
        """Requests that expired, failed, or were picked up after their deadline."""
        lost = (self.status == RequestStatus.EXPIRED) | (self.status == RequestStatus.FAILED)
        return lost | (self.pickup_s > self.deadline_s)
