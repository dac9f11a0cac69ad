"""How fast a feeder solves on this machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import networks.feeders
from adapters.opendss.charging import transformer_power_kw
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import place_service_transformers
from cosim.health import Measurement

_STATIONS = 170
_REPEATS = 288


def bench() -> list[Measurement]:
    """Measure a tick of the 123-node feeder with 170 stations, and building it; medians."""
    data = networks.feeders.load("ieee123")
    fast = np.arange(_STATIONS) % 3 == 0
    rating_kw = np.where(fast, 50.0, 14.4)
    start = perf_counter()
    service, transformer = place_service_transformers(data, rating_kw, fast)
    feeder = Feeder(data, service)
    built_s = perf_counter() - start
    rng = np.random.default_rng(0)
    whole: list[float] = []
    bare: list[float] = []
    engine: Any = feeder._dss  # pyright: ignore[reportPrivateUsage]
    for k in range(_REPEATS):
        power_kw = rating_kw * rng.uniform(0, 1, _STATIONS)
        charger_kw = transformer_power_kw(power_kw, transformer, len(service))
        scale = 0.8 + 0.2 * float(np.sin(2 * np.pi * k / _REPEATS))
        before = feeder.state()
        start = perf_counter()
        feeder.solve(scale, charger_kw)
        whole.append(perf_counter() - start)
        # The same solution once more, same taps and loads, by the engine alone.
        feeder.restore(before)
        start = perf_counter()
        engine.Text.Command("set mode=snapshot")
        engine.Solution.Solve()
        bare.append(perf_counter() - start)
    nodes = len(feeder.bus_ids)
    feeder.close()
    return [
        Measurement(
            f"power flow of a tick, {nodes} nodes, {len(service)} service transformers",
            1e3 * median(whole),
            "ms/tick",
            median(whole) / median(bare),
            "median of a day with moving taps; bare: the engine solves it again",
        ),
        Measurement("building the feeder", 1e3 * built_s, "ms", None, "once"),
    ]
