"""Simulators without engines: they produce quiet values and note what they saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import ROLES, Ids, Role, produced_by, read_by, shape_of
from cosim.simulator import Simulator
from cosim.world import Cast

IDS: Ids = {
    "vehicle": ("0", "1", "2"),
    "segment": ("ride_share",),
    "station": ("0", "1"),
    "site": ("s0", "s1"),
    "request": ("0", "1"),
    "edge": ("a", "b", "c", "d"),
    "bus": ("650.1", "650.2", "650.3"),
    "transformer": ("t0", "t1"),
    "line": ("l0",),
    "regulator": ("r0",),
    "capacitor": ("c0",),
    "three_phase_bus": ("650",),
    "feeder": ("f00",),
    "zone": ("A", "B", "C", "D", "E"),
    "generator": ("g0", "g1"),
    "market_line": ("AB",),
    "transmission_bus": ("A", "B", "C", "D", "E"),
    "account": (
        "load A",
        "load B",
        "load C",
        "load D",
        "load E",
        "g0",
        "g1",
        "operator",
        "feeders",
        "limits",
    ),
}
OWNER: Mapping[str, Role] = {
    "vehicle": "fleet",
    "segment": "fleet",
    "station": "fleet",
    "site": "fleet",
    "request": "fleet",
    "edge": "fleet",
    "bus": "grid",
    "transformer": "grid",
    "line": "grid",
    "regulator": "grid",
    "capacitor": "grid",
    "three_phase_bus": "grid",
    "feeder": "grid",
    "zone": "market",
    "generator": "market",
    "market_line": "market",
    "transmission_bus": "market",
    "account": "market",
}
FACTS: dict[str, tuple[str, list[Any]]] = {
    "vehicle_segment": ("vehicle", ["ride_share"] * 3),
    "request_segment": ("request", ["ride_share"] * 2),
    "station_transformer": ("station", ["t0", "t1"]),
    "line_rated": ("line", [True]),
    "generator_zone": ("generator", ["A", "E"]),
    "feeder_zone": ("feeder", ["D"]),
    "feeder_weight": ("feeder", [40.0]),
    "market_line_limit_mw": ("market_line", [240.0]),
    "zone_prices_losses": ("zone", [True] * 5),
    "station_billed_by": ("station", ["operator", "operator"]),
    "account_counterparty": ("account", ["operator"] * 7 + ["market", "operator", "operator"]),
}
TELLS: Mapping[str, Role] = {
    "vehicle_segment": "fleet",
    "request_segment": "fleet",
    "station_transformer": "grid",
    "line_rated": "grid",
}
"""Who tells a fact; the market tells the others."""
TINY = {
    "duration": "1h",
    "fleet": {"vehicles": 3, "stations": {"count": 2, "level_2": 1, "dc_fast": 0, "v2g": 0}},
}
"""A scenario whose vehicles and stations match `IDS`."""


def quiet(role: Role, soc: Any = 0.5) -> dict[str, Any]:
    """Return values for everything that `role` produces, in which nothing happens."""
    values: dict[str, Any] = {}
    for signal in produced_by(role):
        if signal.is_events:
            values[signal.name] = []
            continue
        fill = -1 if signal.low == -1 else 0
        values[signal.name] = np.full(shape_of(signal, IDS), fill, dtype=signal.dtype)
    if role == "fleet":
        values["plug_efficiency"] = np.ones(3)
    if role == "battery":
        values |= {
            "vehicle_soc": np.broadcast_to(soc, 3).copy(),
            "vehicle_soh": np.ones(3),
            "cell_capacity_ah": np.full(3, 5.0),
            "vehicle_charge_limit_kw": np.full(3, 50.0),
            "vehicle_discharge_limit_kw": np.full(3, 50.0),
        }
    if role == "grid":
        values["bus_voltage_pu"] = np.ones(3)
    return values


def quiet_tick() -> dict[str, Any]:
    """Return every signal of a tick in which nothing happens."""
    merged: dict[str, Any] = {}
    for role in ROLES[:-1]:
        merged |= quiet(role)
    return merged


Log = list[tuple[int, Role, dict[str, Any]]]
Change = Callable[[Role, int, dict[str, Any]], None]


def cast(log: Log | None = None, change: Change | None = None) -> Cast:
    """Return a cast of fakes.

    Parameters
    ----------
    log
        Gets (tick, role, inputs) of every step, in the order of the steps.
    change
        Called with (role, tick, outputs) before the outputs go on the wire.
    """
    return Cast({role: _fake(role, log, change) for role in ROLES[:-1]})


def _fake(fake_role: Role, log: Log | None, change: Change | None) -> type[Simulator]:
    class Fake(Simulator):
        role = fake_role

        def prepare(self, scenario: Scenario, assets: Assets) -> None:
            self.soc = assets.vehicles.initial_soc

        def dimensions(self) -> dict[str, list[str]]:
            return {dim: list(IDS[dim]) for dim, owner in OWNER.items() if owner == fake_role}

        def facts(self) -> dict[str, tuple[str, list[Any]]]:
            return {
                name: fact for name, fact in FACTS.items() if TELLS.get(name, "market") == fake_role
            }

        def initial(self) -> dict[str, Any]:
            return {"vehicle_soc": self.soc} if fake_role == "battery" else {}

        def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
            if log is not None:
                log.append((tick, fake_role, dict(given)))
            values = quiet(fake_role, self.soc)
            if change:
                change(fake_role, tick, values)
            values.pop(f"{fake_role}_wall_s", None)
            return values

    return Fake


def inputs_of(role: Role) -> set[str]:
    """Return the names of the signals that `role` reads."""
    return {signal.name for signal in read_by(role)}
