"""How fast traffic moves on this machine, against the ``sumo`` program with the same trips."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

import networks.roads
import networks.vehicles
from adapters.sumo import replay_bench
from adapters.sumo.engine import OPTIONS, Sumo, vehicle_types
from adapters.sumo.meso import MesoTraffic
from cosim.health import Measurement
from cosim.signals import LEGS, TICK_S
from networks.roads import RoadNetwork
from networks.roads.programs import run_program
from networks.roads.routing import Turns
from networks.vehicles import VehicleSpec

_ROADS = "metro"
_VEHICLES = 10_200
_OTHER_SIZES = (500, 2_500)
_TICKS = 18
_SET_OUT = 0.06
"""Share of the fleet that sets out in a tick: 600 legs of 10,200 vehicles."""
_CHOICE = 6
"""Trips go to the farthest of so many places, so that thousands are on the road."""
_REPEATS = 5
"""Runs of the adapter and of the program in turn; the median of their ratios counts."""


@dataclass
class Drive:
    """What the adapter did, and what it cost."""

    adapter_s: float = 0.0
    """CPU time of all ticks [s]."""
    routing_s: float = 0.0
    """CPU time of these that went into finding ways and into travel times [s]."""
    legs: list[tuple[float, int, Turns]] = field(default_factory=list[tuple[float, int, Turns]])
    """Departure [s], vehicle and way of each leg, where they are noted."""
    driving: float = 0.0
    """Vehicles under way at the end of a tick, mean of the second half."""
    types: Sequence[str] = ()
    pace: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))


def bench() -> list[Measurement]:
    """Measure a metropolis against the bare program, the cost per vehicle, and replayed days."""
    roads = networks.roads.load(_ROADS)
    drives: list[Drive] = []
    bare_s: list[float] = []
    library_s: list[float] = []
    specs = list(networks.vehicles.load().values())
    with tempfile.TemporaryDirectory(prefix="voltstep-bench-") as name:
        folder = Path(name)
        # Only this one notes its trips: the notes are no cost of the adapter.
        trips = _drive(roads, _VEHICLES, note=True)
        _write_routes(folder / "trips.rou.xml", roads, trips)
        (folder / "none.rou.xml").write_text("<routes/>", encoding="utf-8")
        (folder / "types.add.xml").write_text(vehicle_types(specs, "meso"), encoding="utf-8")
        legs = len(trips.legs)
        del trips
        for _ in range(_REPEATS):
            drives.append(_drive(roads, _VEHICLES))
            loading_s = _program_s(roads, folder, "none.rou.xml", 0)
            with_trips_s = _program_s(roads, folder, "trips.rou.xml", _TICKS)
            # Clocks of child processes tick in hundredths of a second.
            bare_s.append(max(with_trips_s - loading_s, 0.01))
            library_s.append(_library_s(roads, specs, folder / "trips.rou.xml"))
    what = f"{_VEHICLES:,} vehicles, {legs / _TICKS:,.0f} legs a tick"
    what += f", {drives[0].driving:,.0f} driving"
    how = f"CPU time, median of {_REPEATS}; bare: the sumo program with a route file"
    moving_s = [drive.adapter_s - drive.routing_s for drive in drives]
    whole_s = [drive.adapter_s for drive in drives]
    found = [
        _against(f"traffic of a tick, {what}", moving_s, bare_s, f"{how}; ways known, as in it"),
        _against(
            "SUMO as a library with that route file",
            library_s,
            bare_s,
            "stepped to each second, nothing read: the floor of any adapter",
        ),
        _against("a tick with finding the ways", whole_s, bare_s, f"{how}, which finds no ways"),
        Measurement(
            "a way found",
            1e6 * median(drive.routing_s for drive in drives) / legs,
            "us",
            None,
            "travel times of the tick included",
        ),
        Measurement(
            "vehicle-seconds moved",
            drives[0].driving * TICK_S * _TICKS / median(whole_s),
            "1/s",
            None,
            "driving vehicles only",
        ),
    ]
    for size in (*_OTHER_SIZES, _VEHICLES):
        drive = drives[0] if size == _VEHICLES else _drive(roads, size)
        cost_us = 1e6 * drive.adapter_s / _TICKS / size
        found.append(
            Measurement(f"cost per vehicle, {size:,}", cost_us, "us/tick", None, "CPU time")
        )
    return found + replay_bench.bench()


def _against(name: str, own_s: list[float], bare_s: list[float], note: str) -> Measurement:
    ratio = median(own / bare for own, bare in zip(own_s, bare_s, strict=True))
    return Measurement(name, 1e3 * median(own_s) / _TICKS, "ms/tick", ratio, note)


def _drive(roads: RoadNetwork, vehicles: int, note: bool = False) -> Drive:
    """Let a fleet drive between random places, and `note` its legs."""
    rng = np.random.default_rng(0)
    specs = list(networks.vehicles.load().values())
    places = np.arange(len(roads.edge_ids), dtype=np.int32)
    at: NDArray[np.int32] = rng.choice(places, vehicles)
    busy = np.zeros(vehicles, np.bool_)
    nowhere = np.full(vehicles, -1, np.int32)
    done = Drive()
    body_type = rng.integers(0, len(specs), vehicles)
    traffic = MesoTraffic(roads, specs, body_type, at, seed=1)
    done.types = [specs[b].name for b in body_type.tolist()]
    done.pace = traffic.pace
    try:
        _watch(done, traffic)
        if note:
            _note(done, traffic)
        for tick in range(_TICKS):
            itinerary = np.full((vehicles, LEGS), -1, np.int32)
            free = np.flatnonzero(~busy)
            go = rng.choice(free, min(len(free), round(_SET_OUT * vehicles)), replace=False)
            itinerary[go, 0] = _far(roads, at[go], rng)
            start_s = rng.uniform(0, TICK_S, vehicles)
            begin = process_time()
            result = traffic.advance(tick, itinerary, start_s, nowhere)
            done.adapter_s += process_time() - begin
            at, busy = result.vehicle_edge, result.vehicle_driving
            if 2 * tick >= _TICKS:
                done.driving += float(busy.sum()) / (_TICKS // 2)
    finally:
        traffic.close()
    return done


def _far(
    roads: RoadNetwork, start: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return for each place one far from it: the farthest of some at random, as the crow flies."""
    some = rng.choice(len(roads.edge_ids), (len(start), _CHOICE)).astype(np.int32)
    east_m = roads.end_x_m[some] - roads.end_x_m[start][:, None]
    north_m = roads.end_y_m[some] - roads.end_y_m[start][:, None]
    return some[np.arange(len(start)), np.hypot(east_m, north_m).argmax(axis=1)]


def _watch(done: Drive, traffic: MesoTraffic) -> None:
    """Let `done` count the time that finding ways takes."""
    router = traffic.router

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def timed_call(*arguments: Any) -> Any:
            begin = process_time()
            found = call(*arguments)
            done.routing_s += process_time() - begin
            return found

        return timed_call

    router.routes = timed(router.routes)
    if traffic.edge_times:
        traffic.edge_times.measure = timed(traffic.edge_times.measure)


def _note(done: Drive, traffic: MesoTraffic) -> None:
    """Let `done` note the legs that set out."""
    drives = traffic.drives
    begin = drives.begin

    def noted(vehicles: Sequence[int], ways: Sequence[Turns]) -> list[list[str]]:
        done.legs += zip(traffic.state.asked_s[vehicles].tolist(), vehicles, ways, strict=True)
        return begin(vehicles, ways)

    drives.begin = noted


def _write_routes(file: Path, roads: RoadNetwork, drive: Drive) -> None:
    rows = ["<routes>"]
    for number, (depart_s, vehicle, turns) in enumerate(drive.legs):
        edges = " ".join(roads.edge_ids[e] for e in roads.turn_to[turns].tolist())
        body_type = quoteattr(drive.types[vehicle])
        rows.append(
            f"<vehicle id='{number}' type={body_type} depart='{depart_s:.0f}' departPos='0' "
            f"departSpeed='max' speedFactor='{drive.pace[vehicle]:.4f}'>"
            f"<route edges={quoteattr(edges)}/></vehicle>"
        )
    file.write_text("\n".join([*rows, "</routes>"]), encoding="utf-8")


def _library_s(roads: RoadNetwork, specs: Sequence[VehicleSpec], routes: Path) -> float:
    """Return the CPU time that SUMO takes for the same trips inside this process [s]."""
    with Sumo(roads.net_file, specs, seed=1, options=["--route-files", str(routes)]) as sumo:
        begin = process_time()
        with sumo.listening():
            for second in range(_TICKS * TICK_S):
                sumo.step(second + 1.0)
        return process_time() - begin


def _program_s(roads: RoadNetwork, folder: Path, routes: str, ticks: int) -> float:
    """Return the CPU time of the sumo program over some ticks, loading included [s]."""
    options = ["--net-file", str(roads.net_file), "--additional-files", "types.add.xml"]
    options += ["--route-files", routes, *OPTIONS["meso"], "--seed", "1"]
    options += ["--end", str(ticks * TICK_S), "--no-step-log", "true", "--no-warnings", "true"]
    before = os.times()
    run_program("sumo", [*options, "--duration-log.disable", "true"], folder)
    after = os.times()
    return (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
