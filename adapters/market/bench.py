"""How fast the market clears on this machine."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import networks.markets
from adapters.market.five_bus import FiveBus
from adapters.market.settlement import settle
from cosim.health import Measurement

_REPEATS = 300
_VEHICLES, _STATIONS = 10_000, 3_000


def bench() -> list[Measurement]:
    """Measure a clearing with and without an offer slope, and a settlement; medians."""
    return [
        _clearing("clearing, five buses, published offers", 0.0),
        _clearing("clearing, five buses, sloped offers", 0.01),
        _settlement(),
    ]


def _clearing(name: str, slope: float) -> Measurement:
    data = networks.markets.load("pjm5bus")
    market = FiveBus(data, offer_slope_usd_per_mwh_per_mw=slope)
    rng = np.random.default_rng(0)
    whole: list[float] = []
    bare: list[float] = []
    engine: Any = market._engine  # pyright: ignore[reportPrivateUsage]
    for _ in range(_REPEATS):
        load_mw = data.load_mw * rng.uniform(0.5, 1.2, len(data.load_mw))
        start = perf_counter()
        market.clear(load_mw, 1.0)
        middle = perf_counter()
        # The same problem once more, already set up, solved by the engine alone.
        engine.clearSolver()
        engine.run()
        whole.append(middle - start)
        bare.append(perf_counter() - middle)
    return Measurement(
        name,
        1e3 * median(whole),
        "ms/tick",
        median(whole) / median(bare),
        f"{_REPEATS} load vectors",
    )


def _settlement() -> Measurement:
    rng = np.random.default_rng(0)
    power_kw = rng.uniform(-10, 50, _VEHICLES)
    station = rng.integers(0, _STATIONS, _VEHICLES)
    price = rng.uniform(20, 60, _STATIONS)
    times: list[float] = []
    for _ in range(_REPEATS):
        start = perf_counter()
        settle(power_kw, station, price, np.zeros(_STATIONS))
        times.append(perf_counter() - start)
    return Measurement(
        f"settlement of {_VEHICLES} vehicles", 1e3 * median(times), "ms/tick", None, "median"
    )
