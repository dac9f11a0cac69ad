"""How fast feeders solve and clear on this machine, one and many."""

from __future__ import annotations

from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import networks.feeders
from adapters.opendss.charging import connection_power_kw
from adapters.opendss.feeders import Feeders
from adapters.opendss.limits import limits_of
from adapters.opendss.offers import Offers
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
        _cleared(4, 850, binding=False),
        _cleared(1, _STATIONS, binding=True),
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


def _cleared(count: int, stations: int, binding: bool) -> Measurement:
    """Measure a clearing of feeders with an offer at every station; medians."""
    fast = np.arange(count * stations) % 3 == 0
    rating_kw = np.where(fast, 50.0, 14.4)
    of_station = np.repeat(np.arange(count), stations)
    feeders = Feeders(networks.feeders.load("ieee123"), count, of_station, rating_kw, fast)
    rng, at = np.random.default_rng(0), feeders.connection_of_station
    most = 1.0 if binding else 0.15
    power_kw = rating_kw * rng.uniform(0, most, len(rating_kw))
    power_kw[rng.random(len(power_kw)) < 0.1] *= -1
    offers = Offers(at, power_kw, rng.uniform(60, 300, len(power_kw)))
    head_usd_per_mwh, scale = np.full(count, 40.0), 0.4
    fixed = np.maximum(power_kw / 4, 0)
    feeders.solve(scale, connection_power_kw(fixed, at, feeders.connection_count))
    if binding:
        held = [limits_of(one, 80, 60, 0.99) for one in feeders.each]
        feeders.hold_to(held)
    found = feeders.clear(scale, offers, head_usd_per_mwh)
    whole: list[float] = []
    bare: list[float] = []
    engines: list[Any] = [feeder._dss for feeder in feeders.each]  # pyright: ignore[reportPrivateUsage]
    for _ in range(_CLEARINGS):
        start = perf_counter()
        feeders.clear(scale, offers, head_usd_per_mwh)
        whole.append(perf_counter() - start)
        start = perf_counter()
        for engine in engines:
            engine.Text.Command("set mode=snapshot")
            engine.Solution.Solve()
        bare.append(perf_counter() - start)
    connections = feeders.connection_count
    feeders.close()
    kinds = [row.kind for row in found.binding]
    what = ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds)) or "nothing"
    return Measurement(
        f"clearing of {count * stations:,} offers, {connections} service transformers, "
        f"{count} feeder{'s' if count > 1 else ''}",
        1e3 * median(whole),
        "ms",
        median(whole) / median(bare),
        f"binding: {what}; bare: the engines solve them once",
    )
