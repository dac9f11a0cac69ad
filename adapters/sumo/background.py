"""The traffic of other people: each takes the fastest way of the moment when it sets out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import networks.demand.background as demand
from adapters.sumo.engine import BACKGROUND, Sumo
from adapters.sumo.tick import Work
from cosim.scenario import Scenario
from cosim.seeds import stream
from cosim.signals import TICK_S
from networks.demand.background import BackgroundTrips
from networks.roads import RoadNetwork
from networks.roads.routing import Router, Turns

TABLE = "trip_table"
"""What a scenario says for the trip table of its road network."""


def trips(scenario: Scenario, roads: RoadNetwork) -> BackgroundTrips | None:
    """Return the background trips of a scenario, None if it has none.

    Parameters
    ----------
    scenario
        Says how many there are, and from where to where.
    roads
        Road network.

    Raises
    ------
    UserError
        If an origin-destination file is wrong, or there would be too many trips.
    """
    wish = scenario.traffic.background
    if not wish.share_of_capacity and not wish.trips:
        return None
    rng = stream(scenario.seed, "background")
    if wish.trips in ("", TABLE):
        pairs = demand.table_pairs(roads, rng)
    else:
        pairs = demand.file_pairs(Path(wish.trips), roads, rng)
    per_day = wish.per_day or float(pairs.per_day.sum())
    if wish.share_of_capacity:
        router = Router(roads)

        def ways(origins: Sequence[int], destinations: Sequence[int]) -> list[list[int]]:
            found = router.routes(origins, destinations)
            return [router.edges(way) for way in found if not isinstance(way, str)]

        per_day = demand.per_day_for_share(wish.share_of_capacity, pairs, roads, ways, rng)
    return demand.make(pairs, per_day, scenario.start_time, float(scenario.duration), rng)


class Background:
    """Sets other people's vehicles out and leads those under way around closed roads.

    Parameters
    ----------
    trips
        Trips in the order of departure.
    sumo, router
        The simulation and its ways; a trip takes the way that is the fastest at the start of the
        tick in which it departs.
    """

    def __init__(self, trips: BackgroundTrips, sumo: Sumo, router: Router) -> None:
        self._trips, self._sumo, self._router = trips, sumo, router
        self._name: Sequence[str] = router.roads.edge_ids

    def set_out(self, now: Work) -> None:
        """Bring the trips that depart in a tick on their way.

        Parameters
        ----------
        now
            The tick; receives an event if some have no way.
        """
        trips = self._trips
        bounds = np.searchsorted(trips.depart_s, [now.begin_s, now.begin_s + TICK_S])
        chosen = slice(*bounds.tolist())
        ends = np.stack([trips.origin_edge[chosen], trips.destination_edge[chosen]])
        pairs, which = np.unique(ends, axis=1, return_inverse=True)
        ways = self._router.routes(*pairs.tolist())
        routes = [None if isinstance(way, str) else self._names(way) for way in ways]
        lost: list[int] = []
        with self._sumo.calling("background traffic", now.tick) as api:
            add, set_route = api.vehicle.add, api.vehicle.setRoute
            set_pace = api.vehicle.setSpeedFactor
            for number, pair, depart_s, pace in zip(
                range(*bounds.tolist()),
                which.ravel().tolist(),
                trips.depart_s[chosen].tolist(),
                trips.pace[chosen].tolist(),
                strict=True,
            ):
                route = routes[pair]
                if not route:
                    lost += [number] if route is None else []
                    continue
                leg = f"{BACKGROUND}{number}"
                add(
                    leg, "", BACKGROUND, f"{depart_s:.1f}", "best", departPos="0",
                    departSpeed="max",
                )  # fmt: skip
                set_route(leg, route)
                set_pace(leg, pace)
        self._tell(now, lost, "background vehicles had no way and did not set out")

    def lead_around(self, now: Work) -> None:
        """Give vehicles whose way crosses a closed road another one.

        Who has none drives up to the closed road and ends there; who has not come onto the road
        yet does not set out.

        Parameters
        ----------
        now
            The tick; receives an event if some have no way.
        """
        index = {name: i for i, name in enumerate(self._name)}
        closed = {self._name[i] for i in np.flatnonzero(self._router.closed).tolist()}
        lost: list[int] = []
        with self._sumo.calling("background traffic", now.tick) as api:
            waiting = set(api.simulation.getPendingVehicles())
            legs: list[tuple[str, int, int, list[str]]] = []
            for leg in sorted({*api.vehicle.getIDList(), *waiting}):
                if not leg.startswith(BACKGROUND):
                    continue
                number = int(leg.removeprefix(BACKGROUND))
                route = api.vehicle.getRoute(leg)
                at = -1 if leg in waiting else api.vehicle.getRouteIndex(leg)
                if closed.intersection(route[at + 1 :]):
                    legs.append((leg, number, at, list(route)))
            ways = self._router.routes(
                [index[r[at]] if at >= 0 else self._origin(n) for _, n, at, r in legs],
                [int(self._trips.destination_edge[n]) for _, n, _, _ in legs],
            )
            for (leg, number, at, route), way in zip(legs, ways, strict=True):
                here = route[at : at + 1] if at >= 0 else []
                if not isinstance(way, str):
                    ahead = self._names(way)
                elif at >= 0:
                    first = next(i for i, e in enumerate(route) if i > at and e in closed)
                    ahead = route[at + 1 : first]
                else:
                    ahead = []
                if isinstance(way, str):
                    lost.append(number)
                if here or ahead:
                    api.vehicle.setRoute(leg, [*here, *ahead])
                else:
                    api.vehicle.remove(leg)
        self._tell(now, lost, "background vehicles have no way and end before closed roads")

    def on_road(self, fleet: int) -> float:
        """Return how many are on the road, besides a number of the fleet's."""
        return float(max(self._sumo.api.vehicle.getIDCount() - fleet, 0))

    def _origin(self, number: int) -> int:
        return int(self._trips.origin_edge[number])

    def _names(self, way: Turns) -> list[str]:
        return [self._name[edge] for edge in self._router.edges(way)]

    def _tell(self, now: Work, lost: list[int], text: str) -> None:
        if lost:
            worst = int(np.bincount(self._trips.destination_edge[lost]).argmax())
            value = float(len(lost))
            now.add("background_no_way", now.begin_s, self._name[worst], text, value=value)
