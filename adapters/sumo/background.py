"""The traffic of other people as a route file: SUMO drives it, and Python does nothing for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

import networks.demand.background as demand
from adapters.sumo.closures import Closure
from cosim.scenario import Scenario
from cosim.seeds import stream
from networks.roads import RoadNetwork
from networks.roads.routing import Router

TYPE = "background"
"""SUMO vehicle type of this traffic."""
LEAD_S = 1800.0
"""Who departs at most so long before a road closes takes a way around it already [s]."""


@dataclass(frozen=True)
class Background:
    """Other people's traffic of a run."""

    file: Path
    """SUMO route file."""
    trips: int
    """Trips in it."""
    without_way: int
    """Trips that were left out because closed roads leave no way."""


def background(
    scenario: Scenario, roads: RoadNetwork, closures: Sequence[Closure], folder: Path
) -> Background | None:
    """Write the background traffic of a scenario, None if it has none.

    Parameters
    ----------
    scenario
        Says how much there is, and from where to where.
    roads
        Road network.
    closures
        Edges that nobody may enter for a time.
    folder
        Where the file goes.

    Raises
    ------
    UserError
        If an origin-destination file is wrong, or there would be too many trips.
    """
    wish = scenario.traffic.background
    if not wish.share_of_capacity and not wish.trips:
        return None
    rng = stream(scenario.seed, "background")
    router = Router(roads)
    if wish.trips in ("", TABLE):
        pairs = demand.table_pairs(roads, rng)
    else:
        pairs = demand.file_pairs(Path(wish.trips), roads, rng)
    per_day = wish.per_day or float(pairs.per_day.sum())
    if wish.share_of_capacity:

        def ways(origins: Sequence[int], destinations: Sequence[int]) -> list[list[int]]:
            found = router.routes(origins, destinations)
            return [router.edges(way) for way in found if not isinstance(way, str)]

        per_day = demand.per_day_for_share(wish.share_of_capacity, pairs, roads, ways, rng)
    trips = demand.make(pairs, per_day, scenario.start_time, float(scenario.duration), rng)
    return write(folder / "background.rou.xml", trips, router, closures)


TABLE = "trip_table"
"""What a scenario says for the trip table of its road network."""


def write(
    file: Path, trips: demand.BackgroundTrips, router: Router, closures: Sequence[Closure]
) -> Background:
    """Write trips as a SUMO route file, each with its fastest free-flow way.

    Parameters
    ----------
    file
        Written anew.
    trips
        Trips in the order of departure.
    router
        Finds the ways; has open roads and free-flow times afterwards.
    closures
        Edges that nobody may enter for a time: who may get there in that time goes around.
    """
    ids = router.roads.edge_ids
    shut = np.zeros((len(trips.depart_s), len(closures)), np.bool_)
    for n, one in enumerate(closures):
        shut[:, n] = (trips.depart_s >= one.begin_s - LEAD_S) & (trips.depart_s < one.end_s)
    patterns, which = np.unique(shut, axis=0, return_inverse=True)
    names: dict[tuple[int, int, int], str | None] = {}
    routes: list[list[str]] = []
    ends = np.stack([which.ravel(), trips.origin_edge, trips.destination_edge], axis=1)
    for n, pattern in enumerate(patterns):
        closed = np.zeros(len(ids), np.bool_)
        closed[[closures[i].edge for i in np.flatnonzero(pattern).tolist()]] = True
        router.update(router.free_s, closed)
        for _, a, b in np.unique(ends[ends[:, 0] == n], axis=0).tolist():
            way = router.way(a, b)
            if isinstance(way, str) or not way:
                names[n, a, b] = None
                continue
            names[n, a, b] = f"r{len(routes)}"
            routes.append([ids[edge] for edge in router.edges(way)])
    router.update(router.free_s, np.zeros(len(ids), np.bool_))
    written = 0
    with file.open("w", encoding="utf-8") as text:
        text.write(f"<routes>\n<vType id='{TYPE}' vClass='passenger' speedDev='0'/>\n")
        for number, edges in enumerate(routes):
            text.write(f"<route id='r{number}' edges={quoteattr(' '.join(edges))}/>\n")
        for key, depart_s, pace in zip(
            map(tuple, ends.tolist()), trips.depart_s.tolist(), trips.pace.tolist(), strict=True
        ):
            route = names[key]
            if route is not None:
                text.write(
                    f"<vehicle id='b{written}' type='{TYPE}' route='{route}' "
                    f"depart='{depart_s:.1f}' departPos='0' departSpeed='max' "
                    f"speedFactor='{pace:.3f}'/>\n"
                )
                written += 1
        text.write("</routes>\n")
    return Background(file, written, len(trips.depart_s) - written)
