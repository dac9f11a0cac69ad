"""Signals that keep their phase: mesoscopic vehicles wait for the mean red time all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo.engine import Sumo
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.tick import TrafficTick
from networks import roads
from networks.demand.background import BackgroundTrips
from networks.roads.programs import libsumo, run_program
from tests.adapters.sumo.test_meso_traffic import random_day

_OTHERS = 300


@pytest.fixture(scope="module")
def signals(tmp_path_factory: pytest.TempPathFactory) -> roads.RoadNetwork:
    folder = tmp_path_factory.mktemp("signals")
    options = ["--grid", "--grid.number", "4", "--grid.length", "200", "-L", "2"]
    options += ["--default-junction-type", "traffic_light", "-o", "signals.net.xml"]
    run_program("netgenerate", options, folder)
    return roads.read_net(folder / "signals.net.xml")


def next_switch_s() -> list[float]:
    """When each signal switches next [s]."""
    lights = libsumo().trafficlight
    return [lights.getNextSwitch(light) for light in lights.getIDList()]


def test_resting_changes_no_drive(
    signals: roads.RoadNetwork, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = np.arange(len(signals.edge_ids))
    rng = np.random.default_rng(2)
    home = rng.choice(every, 200)
    others = BackgroundTrips(
        depart_s=np.sort(rng.uniform(0, 1500, _OTHERS)),
        origin_edge=rng.choice(every, _OTHERS),
        destination_edge=rng.choice(every, _OTHERS),
        pace=np.ones(_OTHERS),
    )

    def day() -> tuple[list[TrafficTick], list[float]]:
        traffic = start(signals, home, background=others)
        ticks, _ = random_day(traffic, every, 6, 0.5)
        due_s = next_switch_s()
        traffic.save(tmp_path)
        due_s += next_switch_s()
        traffic.close()
        return ticks, due_s

    resting, due_s = day()
    assert min(due_s) > 1e8
    monkeypatch.setattr(Sumo, "_rest_signals", lambda _: None)
    switching, due_s = day()
    assert 0 < max(due_s) < 1e5
    assert resting[3].background_vehicles > 10
    for one, other in zip(resting, switching, strict=True):
        np.testing.assert_array_equal(one.vehicle_traction_kwh, other.vehicle_traction_kwh)
        np.testing.assert_array_equal(one.leg_arrival_s, other.leg_arrival_s)
        assert one.events == other.events
        assert one.background_vehicles == other.background_vehicles


@pytest.mark.parametrize(
    ("kind", "options"),
    [(MicroTraffic, []), (MesoTraffic, ["--meso-junction-control", "true"])],
)
def test_signals_switch_where_vehicles_look_at_them(
    signals: roads.RoadNetwork, start: Any, kind: type[MesoTraffic], options: list[str]
) -> None:
    start(signals, np.zeros(1, np.int64), kind, options=options)
    assert 0 < max(next_switch_s()) < 1e5
