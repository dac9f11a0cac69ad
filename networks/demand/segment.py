"""What a segment brings into a run, and the book in which journeys of its vehicles are kept."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cosim.section import Section
from networks.demand.places import Places
from networks.demand.trips import VIA, Floats, Ints, Trips


@dataclass(frozen=True, eq=False)
class Private:
    """A charging place that some vehicles alone may use."""

    edge: int
    """Edge at whose end it stands."""
    access: Literal["home", "depot", "work"]
    vehicles: Ints
    """Vehicles of the segment that may use it."""
    ports: int
    port_kw: float
    """Most AC power of a port [kW]."""
    bidirectional: bool
    """Whether it can feed back."""
    share: float = 1.0
    """Most power of all ports together over the sum of theirs."""


@dataclass(frozen=True, eq=False)
class Demand:
    """Trips of a segment, where its vehicles stand at the start, and where they charge."""

    trips: Trips
    start_edge: Ints
    """Where each vehicle stands at the start, shape (vehicle,)."""
    chargers: tuple[Private, ...]
    parked_s: Floats
    """How long it has stood there, inf for longer than a day or two, shape (vehicle,) [s]."""
    plug_in_soc: Floats | None = None
    """State of charge below which the driver of each vehicle plugs in, shape (vehicle,)."""


class Segment(Section):
    """A segment of the fleet: the parameters of its demand, and how that is drawn."""

    @abstractmethod
    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Draw what the vehicles of the segment are asked to do.

        Parameters
        ----------
        count
            Vehicles of the segment.
        places
            Where things are.
        start
            Local time of the start.
        duration_s
            Simulated time [s].
        rng
            Random generator.
        """


@dataclass
class Book:
    """Journeys of a segment's own vehicles, written in any order, before the start too."""

    _pages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def write(
        self,
        *,
        vehicle: ArrayLike,
        leave_s: Floats,
        ride_s: ArrayLike,
        origin: ArrayLike,
        destination: ArrayLike,
        deadline_s: ArrayLike,
        at_arrival: ArrayLike = True,
        dwell_s: ArrayLike = 0.0,
        tour: ArrayLike = -1,
        via: ArrayLike = -1,
    ) -> None:
        """Add journeys; `origin`, `destination` and `via` are edges, times may be negative.

        `ride_s` is how long each takes as planned.
        """
        columns: dict[str, Any] = {
            name: value for name, value in locals().items() if name != "self"
        }
        count = len(leave_s)
        shapes = {name: (count, VIA) if name == "via" else (count,) for name in columns}
        self._pages.append(
            {name: np.broadcast_to(value, shapes[name]) for name, value in columns.items()}
        )

    def close(
        self, base_edge: Ints, duration_s: float, notice_s: float
    ) -> tuple[Trips, Ints, Floats]:
        """Return the trips that set out within the run, and where vehicles stand at its start.

        Parameters
        ----------
        base_edge
            Where a vehicle stands that has not moved before the start, shape (vehicle,).
        duration_s
            Simulated time [s].
        notice_s
            How long before it sets out a trip is known [s].

        Returns
        -------
        trips, start_edge, parked_s
            The last two as in `Demand`.

        Notes
        -----
        Who is on the way at the start has arrived already: the run begins with parked vehicles.
        """
        start_edge = base_edge.astype(np.int32).copy()
        parked_s = np.full(len(base_edge), np.inf)
        if not self._pages:
            return Trips.none(), start_edge, parked_s
        page = {
            name: np.concatenate([page[name] for page in self._pages]) for name in self._pages[0]
        }
        # By time and then by vehicle, so that the order does not depend on how they were written.
        order = np.lexsort((page["vehicle"], page["leave_s"]))
        page = {name: column[order] for name, column in page.items()}
        gone = page["leave_s"] < 0
        # Of several the last one counts, as they stand in the order of time.
        start_edge[page["vehicle"][gone]] = page["destination"][gone]
        came_s = (page["leave_s"] + page["ride_s"])[gone]
        parked_s[page["vehicle"][gone]] = np.maximum(-came_s, 0.0)
        kept = ~gone & (page["leave_s"] < duration_s)
        page = {name: column[kept] for name, column in page.items()}
        leave_s = page["leave_s"]
        trips = Trips.of(
            asked_s=np.maximum(leave_s - notice_s, 0.0),
            earliest_s=leave_s,
            deadline_s=np.maximum(page["deadline_s"], leave_s),
            at_arrival=page["at_arrival"],
            origin_edge=page["origin"],
            destination_edge=page["destination"],
            dwell_s=page["dwell_s"],
            vehicle=page["vehicle"],
            tour=page["tour"],
            via=page["via"],
        )
        return trips, start_edge, parked_s
