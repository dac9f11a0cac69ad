"""Trips of the user's own, from a file."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from pydantic import Field

from cosim.notation import Seconds
from cosim.section import PortPower, Share
from networks.demand.commute import at_homes
from networks.demand.files import WAITING_LIMIT_S, read_trips
from networks.demand.places import Places
from networks.demand.segment import Demand, Segment


class OwnTrips(Segment):
    """A user's own trips; `read_trips` says what the file holds."""

    file: str = Field(
        default="",
        description="CSV or Parquet file with the columns departure, origin and destination",
    )
    waiting_limit_s: Seconds = WAITING_LIMIT_S
    """Time from departure to deadline where a row names none [s]."""
    home_share: Share = 0.0
    """Share of the vehicles with a level 2 charger where they stand at the start."""
    home_kw: PortPower = 7.2
    """Power of such a charger [kW]."""

    def draw(
        self,
        count: int,
        places: Places,
        start: datetime,
        duration_s: float,
        rng: np.random.Generator,
    ) -> Demand:
        """Read the trips of a run.

        A vehicle with trips of its own stands where the first one begins. It has just come there,
        as what it did before the run is not in the file.
        """
        trips = read_trips(self.file, places.edge_ids, count, start, self.waiting_limit_s)
        trips = trips.take(trips.earliest_s < duration_s)
        sites = places.sites(rng)
        start_edge = sites.edge[rng.choice(len(sites), size=count, p=sites.homes)]
        own = np.flatnonzero(trips.vehicle >= 0)
        # The first trip is the one that sets out first; of equal ones the one asked first.
        order = own[np.argsort(trips.earliest_s[own], kind="stable")][::-1]
        start_edge[trips.vehicle[order]] = trips.origin_edge[order]
        chargers = at_homes(start_edge, self.home_share, self.home_kw, rng)
        return Demand(trips, start_edge.astype(np.int32), chargers, np.zeros(count))
