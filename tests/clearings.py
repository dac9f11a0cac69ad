"""Feeders, offers and limits that are cleared in tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from adapters.opendss.circuit import Circuit
from adapters.opendss.cleared import Cleared
from adapters.opendss.clearing import Clearing
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import Limits
from adapters.opendss.offers import FALL_USD_PER_MWH, Offers
from adapters.opendss.service import connect_stations
from adapters.opendss.tick import FeederTick
from networks import feeders
from networks.feeders.tables import Load

STATIONS = 60
FAST = np.arange(STATIONS) % 3 == 0
RATING_KW = np.where(FAST, 50.0, 14.4)
SCALE = 0.4
HEAD_USD_PER_MWH = 40.0
PROBES = 10
STEP_KW = 0.02
BACK = 2.5
"""How much more an offer to feed back is than one to draw."""


def built(name: str = "ieee123") -> Feeder:
    """Return a feeder with loads of nothing at ten nodes, drawn at random."""
    data = feeders.load(name)
    rng = np.random.default_rng(5)
    probes: list[Load] = []
    for i, at in enumerate(rng.choice(len(data.lines), PROBES, replace=False)):
        line = data.lines[at]
        phase = int(rng.choice(line.phases))
        probes.append(Load(f"probe{i}", line.to_bus, (phase,), "wye", "pq", 0.0, 0.0))
    circuit = Circuit(replace(data, loads=(*data.loads, *probes)))
    service, _ = connect_stations(circuit.layout, RATING_KW, FAST)
    return Feeder(circuit, service)


def base_kw(feeder: Feeder) -> np.ndarray:
    return np.random.default_rng(1).uniform(2, 6, len(feeder.service))


def probe_node(feeder: Feeder, probe: int) -> str:
    feeder._dss.Circuit.SetActiveElement(f"load.probe{probe}")
    return feeder._dss.CktElement.BusNames()[0].lower()


def offers_of(feeder: Feeder, back: float = 0.1) -> Offers:
    """Return four offers at each connection, some of them to feed back, some of one price."""
    rng, count = np.random.default_rng(2), len(feeder.service)
    connection = rng.permutation(np.repeat(np.arange(count), 4))
    power_kw = rng.uniform(2, 14, 4 * count)
    usd_per_mwh = np.round(rng.uniform(60, 300, 4 * count), -1)
    feeds = rng.random(4 * count) < back
    power_kw[feeds] *= -BACK
    usd_per_mwh[feeds] = rng.uniform(0, 100, feeds.sum())
    return Offers(connection, power_kw, usd_per_mwh)


def free(feeder: Feeder) -> Limits:
    return Limits(
        transformer_kva=np.full(len(feeder.transformer_ids), np.inf),
        line_a=np.full(len(feeder.line_ids), np.inf),
        voltage_low_pu=0.7,
        voltage_high_pu=1.3,
    )


def cleared(feeder: Feeder, limits: Limits, offers: Offers, scale: float = SCALE) -> Cleared:
    feeder.solve(scale, base_kw(feeder))
    return Clearing(feeder, limits).clear(scale, offers, HEAD_USD_PER_MWH)


def solved(feeder: Feeder, found: Cleared, scale: float = SCALE) -> FeederTick:
    """Return what OpenDSS says of a cleared feeder."""
    return feeder.solve(scale, found.connection_kw)


CASES = {
    "nothing": (SCALE, 0.1, ()),
    "transformer": (SCALE, 0.1, ("transformer",)),
    "line": (SCALE, 0.1, ("line",)),
    "low": (SCALE, 0.1, ("low",)),
    "high": (0.1, 0.9, ("high",)),
    "back through transformers": (0.1, 0.9, ("transformer",)),
    "back through a line": (0.1, 0.9, ("line",)),
    "transformer, line and low": (SCALE, 0.1, ("transformer", "line", "low")),
    "transformer and high": (0.1, 0.9, ("transformer", "high")),
}
"""Scale of the feeder's own loads, share of offers to feed back, kinds of limits that bind."""


def case_of(feeder: Feeder, name: str) -> tuple[float, Offers, Limits]:
    """Return a case, with limits that bind, each kind where those before it hold."""
    scale, back, kinds = CASES[name]
    offers, limits = offers_of(feeder, back), free(feeder)
    for kind in kinds:
        used = solved(feeder, cleared(feeder, limits, offers, scale), scale)
        kva = used.transformer_loading_pct * feeder.rating_kva / 100
        line_a = used.line_loading_pct * feeder.line_rating_a / 100
        if kind == "transformer":
            share = np.where(np.arange(len(kva)) % 3 == 0, 0.8, 1.2)
            # Of the feeder's own, a regulator binds.
            share[: feeder.first_service] = 1.2
            share[feeder.transformer_ids.index("reg4a")] = 0.97
            # Less than what one draws without load would only be passed.
            limits = replace(limits, transformer_kva=np.maximum(share * kva, 2.0))
        elif kind == "line":
            held = np.isin(feeder.line_ids, ("l115", "l67"))
            limits = replace(limits, line_a=np.where(held, 0.97 * line_a, np.inf))
        elif kind == "low":
            limits = replace(limits, voltage_low_pu=used.bus_voltage_pu.min() + 0.006)
        elif kind == "high":
            limits = replace(limits, voltage_high_pu=used.bus_voltage_pu.max() - 0.002)
    return scale, offers, limits


def assert_limits_hold(feeder: Feeder, limits: Limits, used: FeederTick) -> None:
    tolerance = 1e-5
    kva = used.transformer_loading_pct * feeder.rating_kva / 100
    line_a = used.line_loading_pct * feeder.line_rating_a / 100
    assert (kva <= limits.transformer_kva * (1 + tolerance)).all()
    assert (line_a <= limits.line_a * (1 + tolerance)).all()
    assert used.bus_voltage_pu.min() >= limits.voltage_low_pu - tolerance
    assert used.bus_voltage_pu.max() <= limits.voltage_high_pu + tolerance


def share_of(offers: Offers, price_usd_per_mwh: np.ndarray) -> np.ndarray:
    """Return what share of each offer is worth its price, shape (offer,)."""
    gain = offers.usd_per_mwh - price_usd_per_mwh[offers.connection]
    return np.clip(0.5 + np.where(offers.power_kw < 0, -gain, gain) / FALL_USD_PER_MWH, 0, 1)


def assert_complementary(offers: Offers, found: Cleared) -> None:
    """Hold what is taken against what is worth its price: whole above, nothing below."""
    share = share_of(offers, found.price_usd_per_mwh)
    taken = found.power_kw / np.where(offers.power_kw == 0, 1, offers.power_kw)
    np.testing.assert_allclose(taken, share, atol=0.02)
    gain = np.abs(offers.usd_per_mwh - found.price_usd_per_mwh[offers.connection])
    clear = gain > 0.5 * FALL_USD_PER_MWH + 0.02
    np.testing.assert_array_equal(taken[clear], share[clear])
    drawn_kw = np.bincount(offers.connection, found.power_kw, len(found.connection_kw))
    np.testing.assert_allclose(drawn_kw, found.connection_kw, atol=1e-9)
