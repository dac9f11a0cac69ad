"""How fast traffic moves on this machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import networks.roads
import networks.vehicles
from adapters.sumo import replay_bench
from adapters.sumo.engine import Sumo
from adapters.sumo.meso import MesoTraffic
from cosim.health import Measurement
from cosim.signals import LEGS, TICK_S
from networks.roads import RoadNetwork

_VEHICLES = 3000
_TICKS = 16
_WARM_UP = 5
_SHARE = 0.2
"""Share of the standing vehicles that set out in a tick."""

Drive = tuple[str, str, float]
"""Edges of origin and destination, and departure after the start of the tick [s]."""


def bench() -> list[Measurement]:
    """Measure a tick of 3,000 vehicles against the bare engine, and replayed days; medians."""
    roads = networks.roads.load("siouxfalls")
    own_s, driving, drives = _adapter(roads)
    bare_s = _bare(roads, drives)
    own, bare = median(own_s[_WARM_UP:]), median(bare_s[_WARM_UP:])
    on_road = float(np.mean(driving[_WARM_UP:]))
    return [
        Measurement(
            f"traffic of a tick, {_VEHICLES:,} vehicles of which {on_road:,.0f} drive",
            1e3 * own,
            "ms/tick",
            own / bare,
            "median; bare: libsumo moves the same drives, nothing is read",
        ),
        Measurement(
            "vehicle-seconds moved", on_road * TICK_S / own, "1/s", None, "driving vehicles only"
        ),
        *replay_bench.bench(),
    ]


def _adapter(roads: RoadNetwork) -> tuple[list[float], list[int], list[list[Drive]]]:
    rng = np.random.default_rng(0)
    specs = list(networks.vehicles.load().values())
    body_type = rng.integers(0, len(specs), _VEHICLES)
    at: NDArray[np.int32] = rng.choice(roads.zone_edge, _VEHICLES)
    busy = np.zeros(_VEHICLES, np.bool_)
    nowhere = np.full(_VEHICLES, -1, np.int32)
    wall_s: list[float] = []
    driving: list[int] = []
    drives: list[list[Drive]] = []
    traffic = MesoTraffic(roads, specs, body_type, at, seed=1)
    try:
        for tick in range(_TICKS):
            itinerary = np.full((_VEHICLES, LEGS), -1, np.int32)
            target = rng.choice(roads.zone_edge, _VEHICLES)
            go = ~busy & (rng.random(_VEHICLES) < _SHARE) & (target != at)
            itinerary[go, 0] = target[go]
            start_s = rng.uniform(0, TICK_S, _VEHICLES)
            drives.append(
                [
                    (roads.edge_ids[at[v]], roads.edge_ids[target[v]], float(start_s[v]))
                    for v in np.flatnonzero(go)
                ]
            )
            begin = perf_counter()
            done = traffic.advance(tick, itinerary, start_s, nowhere)
            wall_s.append(perf_counter() - begin)
            at, busy = done.vehicle_edge, done.vehicle_driving
            driving.append(int(busy.sum()))
    finally:
        traffic.close()
    return wall_s, driving, drives


def _bare(roads: RoadNetwork, drives: list[list[Drive]]) -> list[float]:
    specs = list(networks.vehicles.load().values())
    wall_s: list[float] = []
    with Sumo(roads.net_file, specs, seed=1) as sumo:
        api = sumo.api
        for a, b in sorted({(a, b) for tick in drives for a, b, _ in tick}):
            way = roads.path(roads.edge_index(a), roads.edge_index(b))
            api.route.add(f"{a} {b}", [roads.edge_ids[e] for e in way[1:]])
        number = 0
        for tick, batch in enumerate(drives):
            begin = perf_counter()
            for a, b, start_s in batch:
                number += 1
                depart = f"{tick * TICK_S + start_s:.1f}"
                api.vehicle.add(str(number), f"{a} {b}", specs[0].name, depart, departPos="0")
            api.simulationStep(float((tick + 1) * TICK_S))
            wall_s.append(perf_counter() - begin)
    return wall_s
