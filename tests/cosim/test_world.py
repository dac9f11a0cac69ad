"""The order of the steps and the inputs that each simulator saw: the contract of the lockstep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cosim.errors import SignalError
from cosim.monitor import MonitorParts, TickSink
from cosim.scenario import Scenario
from cosim.signals import ROLES, Ids, Role
from cosim.simulator import Facts
from cosim.world import World
from tests.fakes import FACTS, IDS, TINY, Change, Log, cast, inputs_of


class Sink(TickSink):
    def __init__(self) -> None:
        self.ticks: list[int] = []
        self.signals: list[dict[str, Any]] = []

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        self.ticks.append(tick)
        self.signals.append(dict(signals))


def run_world(log: Log, change: Change | None = None, duration: str = "30min") -> Sink:
    sink = Sink()

    def sinks(ids: Ids, facts: Facts) -> tuple[TickSink, ...]:
        assert dict(ids) == dict(IDS)
        assert dict(facts) == FACTS
        return (sink,)

    scenario = Scenario.model_validate({**TINY, "duration": duration})
    with World(scenario, MonitorParts(sinks), cast(log, change)) as world:
        world.run()
    return sink


def stamp(role: Role, tick: int, values: dict[str, Any]) -> None:
    """Write the tick into outputs of each role."""
    marks = {
        "fleet": ("plug_power_kw",),
        "traffic": ("vehicle_traction_kwh",),
        "battery": ("vehicle_power_kw",),
        "grid": ("station_power_kw", "feeder_head_kw"),
        "market": ("vehicle_cost_usd",),
        "agents": ("vehicle_charge_kw",),
    }[role]
    for mark in marks:
        values[mark] = np.full(values[mark].shape, float(tick))


def test_order_within_every_tick() -> None:
    log: Log = []
    sink = run_world(log)
    steps = [(tick, role) for tick, role, _ in log]
    assert steps == [(tick, role) for tick in range(6) for role in ROLES[:-1]]
    assert sink.ticks == list(range(6))


def test_the_monitor_keeps_up() -> None:
    """A breach must stop the run before the next tick is far."""
    seen: list[tuple[str, int]] = []

    class Watcher(Sink):
        def take(self, tick: int, signals: Mapping[str, Any]) -> None:
            seen.append(("monitor", tick))

    def note(role: Role, tick: int, values: dict[str, Any]) -> None:
        seen.append((role, tick))

    scenario = Scenario.model_validate({**TINY, "duration": "2h"})
    watcher = Watcher()
    with World(scenario, MonitorParts(lambda *_: (watcher,)), cast(change=note)) as world:
        world.run()
    for tick in range(22):
        assert seen.index(("monitor", tick)) < seen.index(("traffic", tick + 1))


def test_every_simulator_sees_what_the_wire_table_says() -> None:
    log: Log = []
    run_world(log)
    for _, role, given in log:
        assert set(given) == inputs_of(role)


def test_forward_edges_are_of_the_same_tick_and_backward_edges_of_the_last() -> None:
    log: Log = []
    sink = run_world(log, stamp)
    for tick, role, given in log:
        now = {
            "battery": ("plug_power_kw", "vehicle_traction_kwh"),
            "grid": ("vehicle_power_kw",),
            "market": ("vehicle_power_kw", "feeder_head_kw"),
            "agents": ("station_power_kw", "vehicle_cost_usd"),
        }.get(role, ())
        for name in now:
            assert (given[name] == tick).all(), (role, name)
        if role == "fleet":
            # Nothing was decided before the first tick.
            assert (given["vehicle_charge_kw"] == max(tick - 1, 0)).all()
            assert (given["vehicle_power_kw"] == max(tick - 1, 0)).all()
    for tick, signals in enumerate(sink.signals):
        assert (signals["vehicle_charge_kw"] == tick).all()


def test_first_tick_sees_the_initial_values() -> None:
    log: Log = []
    run_world(log)
    first = next(given for tick, role, given in log if role == "fleet" and tick == 0)
    battery = next(given for tick, role, given in log if role == "agents" and tick == 0)
    np.testing.assert_array_equal(first["vehicle_soc"], battery["vehicle_soc"])
    assert (first["request_vehicle"] == -1).all()
    assert (first["leg_arrival_s"] == -1).all()


def test_a_bad_array_is_named_where_it_is_produced() -> None:
    def spoil(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "battery" and tick == 2:
            values["vehicle_soc"][1] = np.nan

    with pytest.raises(SignalError, match=r"vehicle_soc at vehicle 1, tick 2"):
        run_world([], spoil)


def test_a_missing_or_unknown_output_is_named() -> None:
    def drop(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "grid":
            del values["feeder_power_kw"]

    with pytest.raises(SignalError, match=r"feeder_power_kw.*did not produce"):
        run_world([], drop)

    def add(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "grid":
            values["feeder_colour"] = 1

    with pytest.raises(SignalError, match=r"feeder_colour.*no such output"):
        run_world([], add)
