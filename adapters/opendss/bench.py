"""How fast feeders solve on this machine, one and many."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import networks.feeders
from adapters.opendss.charging import connection_power_kw
from adapters.opendss.feeders import Feeders
from cosim.health import Measurement

_STATIONS = 170
_REPEATS = 288
_MANY = 20


def bench() -> list[Measurement]:
    """Measure a tick of 123-node feeders with 170 stations each, and building them; medians."""
    return [*_measured(1), *_measured(_MANY)]


def _measured(count: int) -> list[Measurement]:
    fast = np.arange(count * _STATIONS) % 3 == 0
    rating_kw = np.where(fast, 50.0, 14.4)
    of_station = np.repeat(np.arange(count), _STATIONS)
    data = networks.feeders.load("ieee123")
    start = perf_counter()
    feeders = Feeders(data, count, of_station, rating_kw, fast)
    built_s = perf_counter() - start
    rng = np.random.default_rng(0)
    whole: list[float] = []
    bare: list[float] = []
    engines: list[Any] = [feeder._dss for feeder in feeders.each]  # pyright: ignore[reportPrivateUsage]
    for k in range(_REPEATS):
        power_kw = rating_kw * rng.uniform(0, 1, len(rating_kw))
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
            f"power flow of a tick, {of}{nodes} nodes, {service} service transformers",
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
