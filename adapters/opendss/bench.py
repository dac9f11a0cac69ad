"""How fast a feeder solves on this machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import networks.feeders
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
    engine: Any = feeder._dss  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for k in range(_REPEATS):
        power_kw = rating_kw * rng.uniform(0, 1, _STATIONS)
        charger_kw = np.bincount(transformer, weights=power_kw, minlength=len(service))
        scale = 0.8 + 0.2 * float(np.sin(2 * np.pi * k / _REPEATS))
        start = perf_counter()
        feeder.solve(scale, charger_kw)
        middle = perf_counter()
        # The same solution once more, from the no-load voltages, by the engine alone.
        engine.Text.Command("set mode=snapshot")
        engine.Solution.Solve()
        whole.append(middle - start)
        bare.append(perf_counter() - middle)
    nodes = len(feeder.bus_ids)
    feeder.close()
    return [
        Measurement(
            f"power flow of a tick, {nodes} nodes, {len(service)} service transformers",
            1e3 * median(whole),
            "ms/tick",
            median(whole) / median(bare),
            "median of a day with moving taps; bare: one more solution",
        ),
        Measurement("building the feeder", 1e3 * built_s, "ms", None, "once"),
    ]
