"""How fast feeders solve and clear on this machine, one and many."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import networks.feeders
from adapters.opendss.charging import connection_power_kw
from adapters.opendss.clearing import Bids, Clearing
from adapters.opendss.feeders import Feeders
from adapters.opendss.limits import rated
from cosim.health import Measurement

_STATIONS = 170
_REPEATS = 288
_MANY = 20
_CLEARINGS = 30


def bench() -> list[Measurement]:
    """Measure a tick of 123-node feeders, with marginal losses and all, building and clearing."""
    return [
        *_measured(1, _STATIONS, 1.0),
        *_measured(4, 850, 0.2),
        *_measured(_MANY, _STATIONS, 1.0),
        _cleared(),
    ]


def _measured(count: int, stations: int, most: float) -> list[Measurement]:
    """Measure feeders with stations that draw up to a share of their rating; medians."""
    fast = np.arange(count * stations) % 3 == 0
    rating_kw = np.where(fast, 50.0, 14.4)
    of_station = np.repeat(np.arange(count), stations)
    data = networks.feeders.load("ieee123")
    start = perf_counter()
    feeders = Feeders(data, count, of_station, rating_kw, fast)
    built_s = perf_counter() - start
    rng = np.random.default_rng(0)
    whole: list[float] = []
    bare: list[float] = []
    engines: list[Any] = [feeder._dss for feeder in feeders.each]  # pyright: ignore[reportPrivateUsage]
    for k in range(_REPEATS):
        power_kw = rating_kw * rng.uniform(0, most, len(rating_kw))
        at, size = feeders.connection_of_station, feeders.connection_count
        charger_kw = connection_power_kw(power_kw, at, size)
        scale = 0.8 + 0.2 * float(np.sin(2 * np.pi * k / _REPEATS))
        before = feeders.state()
        start = perf_counter()
        feeders.solve(scale, charger_kw)
        whole.append(perf_counter() - start)
        # The same solutions once more, same taps and loads, by the engines alone.
        feeders.restore(before)
        start = perf_counter()
        for engine in engines:
            engine.Text.Command("set mode=snapshot")
            engine.Solution.Solve()
        bare.append(perf_counter() - start)
    nodes, service = len(feeders.bus_ids) // count, feeders.connection_count // count
    feeders.close()
    of = "" if count == 1 else f"{count} feeders of "
    again = "the engine solves it" if count == 1 else f"{count} engines solve them"
    return [
        Measurement(
            f"a tick with marginal losses, {of}{nodes} nodes, {service} service transformers, "
            f"{count * stations:,} stations",
            1e3 * median(whole),
            "ms/tick",
            median(whole) / median(bare),
            f"median of a day with moving taps; bare: {again} again",
        ),
        Measurement(
            "building the feeder" if count == 1 else f"building {count} feeders",
            1e3 * built_s,
            "ms",
            None,
            "once",
        ),
    ]


def _cleared() -> Measurement:
    """Measure a clearing in which transformers, a line and voltages bind."""
    fast = np.arange(_STATIONS) % 3 == 0
    feeders = Feeders(
        networks.feeders.load("ieee123"),
        1,
        np.zeros(_STATIONS, np.int64),
        np.where(fast, 50.0, 14.4),
        fast,
    )
    (feeder,) = feeders.each
    rng, count = np.random.default_rng(0), feeders.connection_count
    fixed_kw = rng.uniform(2, 6, count)
    bids = Bids(rng.uniform(10, 40, count), rng.uniform(60, 300, count), np.full(count, 4.0))
    feeder.solve(0.4, fixed_kw)
    clearing = Clearing(feeder, replace(rated(feeder), voltage_low_pu=0.975))
    engine: Any = feeder._dss  # pyright: ignore[reportPrivateUsage]
    found = clearing.clear(0.4, fixed_kw, bids, 40.0)
    whole: list[float] = []
    bare: list[float] = []
    for _ in range(_CLEARINGS):
        start = perf_counter()
        clearing.clear(0.4, fixed_kw, bids, 40.0)
        whole.append(perf_counter() - start)
        start = perf_counter()
        with feeder.held():
            engine.Text.Command("set mode=snapshot")
            engine.Solution.Solve()
        bare.append(perf_counter() - start)
    feeders.close()
    kinds = [row.kind for row in found.binding]
    binding = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds))
    return Measurement(
        f"clearing of {count} service transformers",
        1e3 * median(whole),
        "ms",
        median(whole) / median(bare),
        f"{found.iterations} solutions; binding: {binding}; bare: the engine solves it once",
    )
