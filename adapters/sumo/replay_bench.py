"""How fast replayed traffic moves on this machine."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

import networks.roads
import networks.vehicles
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.record import Record
from adapters.sumo.replay import ReplayTraffic
from adapters.sumo.tick import TrafficTick
from adapters.sumo.unfinished import unfinished
from cosim.health import Measurement
from cosim.signals import LEGS, TICK_S
from networks.roads import RoadNetwork

_VEHICLES = 500
_TICKS = 288
_SHARE = 0.06
"""Share of the standing vehicles that set out in a tick: some 16 requests a day each."""
_START = datetime(2022, 9, 14)

Order = tuple[NDArray[np.int32], NDArray[np.float64]]
"""Itineraries and departures of one tick."""


def bench() -> list[Measurement]:
    """Measure a day of 500 vehicles on Sioux Falls as recorded, and with other decisions."""
    roads = networks.roads.load("siouxfalls")
    specs = list(networks.vehicles.load().values())
    rng = np.random.default_rng(0)
    body_type = rng.integers(0, len(specs), _VEHICLES)
    home = rng.choice(roads.zone_edge, _VEHICLES)
    traffic = MesoTraffic(roads, specs, body_type, home, seed=1)
    try:
        orders, meso_s, done = _decide(traffic, roads, 1)
        under_way = unfinished(traffic.state, roads, _TICKS - 1)
    finally:
        traffic.close()
    record = Record.of_ticks(
        roads,
        [*done[:-1], replace(done[-1], events=done[-1].events + under_way)],
        kind="meso",
        digest="",
        start=_START,
        vehicle_ids=tuple(str(i) for i in range(_VEHICLES)),
        body_type=tuple(specs[i].name for i in body_type),
        ambient_c=np.full(_TICKS, networks.vehicles.MILD_C),
    )

    def fresh() -> ReplayTraffic:
        return ReplayTraffic(roads, specs, body_type, home, record=record, start=_START)

    alike = fresh()
    alike_s = _follow(alike, orders)
    other = fresh()
    _, other_s, _ = _decide(other, roads, 2)
    found: list[Measurement] = []
    for name, traffic, wall_s in (("as recorded", alike, alike_s), ("otherwise", other, other_s)):
        legs = traffic.legs
        share = 100 * legs.replayed / (legs.replayed + legs.predicted)
        found.append(
            Measurement(
                f"replay, {_VEHICLES} vehicles decided {name}",
                1 / median(wall_s),
                "ticks/s",
                None,
                f"median; {median(meso_s) / median(wall_s):.1f} times as fast as meso; "
                f"{share:.0f} % of the legs were recorded",
            )
        )
    return found


def _decide(
    traffic: MesoTraffic | ReplayTraffic, roads: RoadNetwork, seed: int
) -> tuple[list[Order], list[float], list[TrafficTick]]:
    """Send standing vehicles to a pick-up and a drop-off for a day."""
    rng = np.random.default_rng(seed)
    busy = np.zeros(_VEHICLES, np.bool_)
    orders: list[Order] = []
    wall_s: list[float] = []
    done: list[TrafficTick] = []
    for tick in range(_TICKS):
        edges = np.full((_VEHICLES, LEGS), -1, np.int32)
        go = ~busy & (rng.random(_VEHICLES) < _SHARE)
        edges[go, :2] = rng.choice(roads.zone_edge, (int(go.sum()), 2))
        orders.append((edges, rng.uniform(0, TICK_S, _VEHICLES)))
        wall_s.append(_advance(traffic, tick, orders[-1], done))
        busy = done[-1].vehicle_driving
    return orders, wall_s, done


def _follow(traffic: ReplayTraffic, orders: list[Order]) -> list[float]:
    return [_advance(traffic, tick, order, []) for tick, order in enumerate(orders)]


def _advance(
    traffic: MesoTraffic | ReplayTraffic, tick: int, order: Order, done: list[TrafficTick]
) -> float:
    nowhere = np.full(_VEHICLES, -1, np.int32)
    begin = perf_counter()
    done.append(traffic.advance(tick, *order, nowhere))
    return perf_counter() - begin
