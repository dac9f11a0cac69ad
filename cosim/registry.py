"""Kinds that fill the roles: role and kind to ``package.module:Class``.

Third parties add theirs by an entry point in the group ``voltstep.<role>`` whose name is the
kind, for example ``[project.entry-points."voltstep.traffic"] my_sim = "my_package:MyTraffic"``.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np

import networks.demand.background
import networks.feeders
import networks.loads
import networks.prices
import networks.prices.files
import networks.prices.tariffs
import networks.roads
import networks.weather
from cosim.demand import sizes
from cosim.errors import (
    Problem,
    ScenarioError,
    UnknownOptionError,
    UserError,
    VoltstepError,
    nearest,
)
from cosim.scenario import AMBIENT_HIGH_C, AMBIENT_LOW_C, Scenario
from cosim.signals import Role
from networks.demand.files import read_trips

BUILT_IN: Mapping[Role, Mapping[str, str]] = MappingProxyType(
    {
        "fleet": {"fleet": "adapters.fleet.simulator:Fleet"},
        "traffic": {
            "meso": "adapters.sumo.simulator:Traffic",
            "micro": "adapters.sumo.simulator:Traffic",
            "replay": "adapters.sumo.simulator:ReplayedTraffic",
        },
        "battery": {
            "spm": "adapters.pybamm.simulator:Battery",
            "spme": "adapters.pybamm.simulator:Battery",
            "reservoir": "adapters.pybamm.simulator:Battery",
        },
        "grid": {
            "opendss": "adapters.opendss.simulator:Grid",
            "linear": "adapters.opendss.simulator:LinearGrid",
        },
        "market": {
            "five_bus": "adapters.market.simulator:Market",
            "quadratic": "adapters.market.simulator:Market",
            "series": "adapters.market.simulator:Market",
            "time_of_use": "adapters.market.simulator:Market",
        },
        "agents": {"rule_based": "adapters.agents.simulator:Agents"},
    }
)
"""What ships: role, kind, class."""

ENGINES: Mapping[str, str] = MappingProxyType(
    {
        "battery": "adapters.pybamm",
        "traffic": "adapters.sumo",
        "grid": "adapters.opendss",
        "market": "adapters.market",
        "agents": "adapters.agents",
    }
)
"""Packages with a self-test (``doctor.check``) and a benchmark (``bench.bench``)."""


_ENGINE_OF: Mapping[str, str] = MappingProxyType(
    {"meso": "SUMO", "micro": "SUMO", "spm": "PyBaMM", "spme": "PyBaMM", "opendss": "OpenDSS"}
)
"""Engines that kinds run; any other kind is known by its own name."""


@cache
def kinds(role: Role) -> Mapping[str, str]:
    """Return the kinds of `role`, shipped and installed, with their classes."""
    found = dict(BUILT_IN[role])
    for point in sorted(entry_points(group=f"voltstep.{role}"), key=lambda p: p.name):
        found.setdefault(point.name, point.value)
    return MappingProxyType(found)


def kind_of(role: Role, scenario: Scenario) -> str:
    """Return the kind that fills `role` in `scenario`."""
    chosen: dict[Role, str] = {
        "fleet": "fleet",
        "traffic": scenario.traffic.kind,
        "battery": scenario.battery.kind,
        "grid": scenario.grid.kind,
        "market": scenario.market.kind,
        "agents": scenario.team,
    }
    return chosen[role]


def engine_names(scenario: Scenario) -> dict[Role, str]:
    """Return what steps in each role of `scenario`, as people know it: SUMO, replay, PyBaMM."""
    engines: tuple[Role, ...] = ("traffic", "battery", "grid")
    found: dict[Role, str] = {"fleet": "fleet", "market": "market", "agents": "team"}
    for role in engines:
        kind = kind_of(role, scenario)
        found[role] = _ENGINE_OF.get(kind, kind)
    return found


def simulator_class(role: Role, kind: str) -> Callable[[], Any]:
    """Import and return the class that fills `role` as `kind`."""
    return _resolve(kinds(role)[kind])


def engine_function(engine: str, module: str, function: str) -> Callable[[], Sequence[Any]]:
    """Return a function of an engine's package, such as its self-test."""
    return _resolve(f"{ENGINES[engine]}.{module}:{function}")


def choices() -> dict[str, tuple[str, ...]]:
    """Return the options of the scenario fields that name something installed or shipped."""
    return {
        "traffic.kind": tuple(kinds("traffic")),
        "battery.kind": tuple(kinds("battery")),
        "grid.kind": tuple(kinds("grid")),
        "market.kind": tuple(kinds("market")),
        "team": tuple(kinds("agents")),
        "traffic.roads": tuple(networks.roads.names()),
        "grid.feeder": tuple(networks.feeders.names()),
        "grid.load_shape": tuple(networks.loads.names()),
        "market.prices": tuple(networks.prices.zones()),
        "market.tariff": tuple(networks.prices.tariffs.names()),
    }


def _no_roads(value: str) -> str:
    try:
        networks.roads.find(value)
    except UnknownOptionError as error:
        return f"must be one of {', '.join(error.options)}, or a network's folder or net file"
    except UserError as error:
        return f"is no road network: {error}"
    return ""


def _no_feeder(value: str) -> str:
    try:
        networks.feeders.find(value)
    except UnknownOptionError as error:
        return f"must be one of {', '.join(error.options)}, or a master file of OpenDSS (.dss)"
    except UserError as error:
        return f"is no feeder: {error}"
    return ""


def _no_prices(value: str) -> str:
    if networks.prices.files.is_file(value):
        return ""
    return f"must be one of {', '.join(networks.prices.zones())}, or a CSV or Parquet file"


ALSO_PATHS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "traffic.roads": _no_roads,
        "grid.feeder": _no_feeder,
        "market.prices": _no_prices,
    }
)
"""Fields that take a path too: what is wrong with one that is none of the choices, or nothing."""


def _is_roads_path(value: str, folder: Path) -> bool:
    if value in networks.roads.names():
        return False
    try:
        return bool(value) and (folder / value).exists()
    except (OSError, ValueError):
        return False


def _is_feeder_path(value: str, folder: Path) -> bool:
    del folder
    return value.lower().endswith(networks.feeders.SUFFIX)


def _is_weather_path(value: str, folder: Path) -> bool:
    del folder
    return value.lower().endswith(networks.weather.FILES)


def _is_prices_path(value: str, folder: Path) -> bool:
    del folder
    return networks.prices.files.is_file(value)


def _is_given(value: str, folder: Path) -> bool:
    del folder
    return bool(value)


def _is_trips_path(value: str, folder: Path) -> bool:
    del folder
    return value not in ("", "trip_table")


PATHS: Mapping[str, Callable[[str, Path], bool]] = MappingProxyType(
    {
        "traffic.roads": _is_roads_path,
        "grid.feeder": _is_feeder_path,
        "traffic.background.trips": _is_trips_path,
        "traffic.replay": _is_given,
        "market.prices": _is_prices_path,
        "weather.series": _is_weather_path,
        "demand.own_trips.file": _is_given,
    }
)
"""Fields that can hold a path: whether a text is one, seen from a folder."""


def scenario_checks() -> Sequence[Callable[[Scenario], Sequence[Problem]]]:
    """Return the checks that need data: each gives the problems that it finds."""
    return (
        _prices_cover_the_run,
        _market_fits_together,
        _weather_fits,
        _batteries_fit,
        _replay_fits,
        _own_trips_fit,
        _feeder_works,
        _buses_hold_the_feeders,
        _incidents_fit,
        _background_fits,
    )


def _prices_cover_the_run(scenario: Scenario) -> Sequence[Problem]:
    market = scenario.market
    if market.kind in ("quadratic", "time_of_use"):
        return []
    try:
        networks.prices.path_of(
            market.prices,
            scenario.start_time,
            scenario.ticks,
            market.prices_zone,
            market.prices_time_zone,
        )
    except ScenarioError as error:
        return [
            p if p.field.startswith("market.") else replace(p, field=f"{market.prices}, {p.field}")
            for p in error.problems
        ]
    except UserError as error:
        if networks.prices.files.is_file(market.prices):
            return [Problem("market.prices", market.prices, f"is no file of prices: {error}")]
        return [Problem("start", scenario.start, f"prices do not cover the run: {error}")]
    return []


def _market_fits_together(scenario: Scenario) -> Sequence[Problem]:
    market = scenario.market
    problems = [
        Problem("market.periods", "", f"must give every 5 minutes one price: {fault}")
        for fault in (networks.prices.tariffs.faults(market.periods) if market.periods else ())
    ]
    if market.real_time == "on" and market.kind in ("quadratic", "time_of_use"):
        reason = f"moves the prices of five_bus and series; {market.kind} has prices of its own"
        problems.append(Problem("market.real_time", "on", reason, "off"))
    if market.prices_zone and not networks.prices.files.is_file(market.prices):
        reason = f"picks one of the prices of a file; {market.prices} is none"
        problems.append(Problem("market.prices_zone", market.prices_zone, reason))
    return problems


def _weather_fits(scenario: Scenario) -> Sequence[Problem]:
    name = scenario.weather.series
    if not name:
        return []
    try:
        found = networks.weather.series(name, scenario.start_time, scenario.ticks)
    except UnknownOptionError as error:
        allowed = f"must be one of {', '.join(error.options)}"
        return [Problem("weather.series", name, allowed, error.nearest)]
    except UserError as error:
        return [Problem("weather.series", name, f"is no weather for the run: {error}")]
    if found.min() < AMBIENT_LOW_C or found.max() > AMBIENT_HIGH_C:
        reason = (
            f"must stay within {AMBIENT_LOW_C:g} to {AMBIENT_HIGH_C:g} degC; it runs from "
            f"{found.min():.1f} to {found.max():.1f}"
        )
        return [Problem("weather.series", name, reason)]
    return []


def _batteries_fit(scenario: Scenario) -> Sequence[Problem]:
    kind = kind_of("battery", scenario)
    if kind not in BUILT_IN["battery"]:
        return []
    check = _resolve("adapters.pybamm.checks:problems")
    return cast(Sequence[Problem], check(scenario))


def _own_trips_fit(scenario: Scenario) -> Sequence[Problem]:
    count = sizes(scenario).get("own_trips", 0)
    field, own = "demand.own_trips.file", scenario.demand.own_trips
    if not count:
        return []
    if not own.file:
        return [Problem(field, "", "must name the file of the segment's trips")]
    try:
        edges = networks.roads.load(scenario.traffic.roads).edge_ids
        trips = read_trips(own.file, edges, count, scenario.start_time, own.waiting_limit_s)
        if not (trips.earliest_s < scenario.duration).any():
            return [Problem(field, own.file, "must hold a trip that departs within the run")]
    except ScenarioError as error:
        return [replace(p, field=f"{own.file}, {p.field}") for p in error.problems]
    except UserError as error:
        return [Problem(field, own.file, f"is no file of trips: {error}")]
    return []


def _replay_fits(scenario: Scenario) -> Sequence[Problem]:
    if scenario.traffic.kind != "replay":
        return []
    check = _resolve("adapters.sumo.checks:replay_problems")
    return cast(Sequence[Problem], check(scenario))


def _feeder_works(scenario: Scenario) -> Sequence[Problem]:
    name = scenario.grid.feeder
    if kind_of("grid", scenario) not in BUILT_IN["grid"] or name in networks.feeders.names():
        return []
    check = _resolve("adapters.opendss.checks:problems")
    return cast(Sequence[Problem], check(scenario))


def _buses_hold_the_feeders(scenario: Scenario) -> Sequence[Problem]:
    market, feeders = scenario.market, scenario.grid.feeders
    if market.kind != "five_bus":
        return []
    if len(market.feeder_bus) not in (1, feeders):
        reason = f"must be one bus, or one for each of the {feeders} feeders (grid.feeders)"
        return [Problem("market.feeder_bus", ", ".join(market.feeder_bus), reason)]
    # One feeder may stand for less than itself, or have no part in the market at all.
    most = max(market.feeder_multiplier, 1)
    there = Counter(
        market.feeder_bus if len(market.feeder_bus) > 1 else market.feeder_bus * feeders
    )
    return [
        Problem(
            "grid.feeders",
            str(feeders),
            f"must be at most market.feeder_multiplier, {market.feeder_multiplier:g}, at one bus: "
            f"bus {bus} holds so many feeders, the {count} simulated ones among them",
        )
        for bus, count in sorted(there.items())
        if count > most
    ]


def _incidents_fit(scenario: Scenario) -> Sequence[Problem]:
    name = scenario.traffic.roads
    if not scenario.traffic.incidents:
        return []
    try:
        known = networks.roads.load(name).edge_ids
    except UserError as error:
        return [Problem("traffic.roads", name, f"is no road network: {error}")]
    there = frozenset(known)
    return [
        Problem(
            f"traffic.incidents.{i}.edge",
            one.edge,
            f"must be one of the {len(known)} edges of {name}",
            nearest(one.edge, known),
        )
        for i, one in enumerate(scenario.traffic.incidents)
        if one.edge not in there
    ]


def _background_fits(scenario: Scenario) -> Sequence[Problem]:
    wanted, name = scenario.traffic.background.trips, scenario.traffic.roads
    if not wanted:
        return []
    try:
        roads = networks.roads.load(name)
    except UserError as error:
        return [Problem("traffic.roads", name, f"is no road network: {error}")]
    field = "traffic.background.trips"
    if wanted == "trip_table":
        if roads.trip_table is not None:
            return []
        return [Problem(field, wanted, f"{name} has none: name a CSV file of your own")]
    try:
        read = networks.demand.background.file_pairs
        read(Path(wanted), roads, np.random.default_rng(0))
    except UserError as error:
        near = nearest(wanted, ["trip_table"])
        return [Problem(field, wanted, f"must be trip_table or a CSV file: {error}", near)]
    return []


def _resolve(target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise VoltstepError(f"{target} cannot be loaded: {error}") from error
