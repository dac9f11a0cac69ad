"""Kinds that fill the roles: role and kind to ``package.module:Class``.

Third parties add theirs by an entry point in the group ``voltstep.<role>`` whose name is the
kind, for example ``[project.entry-points."voltstep.traffic"] my_sim = "my_package:MyTraffic"``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

import networks.feeders
import networks.loads
import networks.prices
import networks.prices.files
import networks.prices.tariffs
import networks.roads
import networks.weather
from cosim.errors import (
    UnknownOptionError,
    UserError,
    VoltstepError,
)
from cosim.scenario import Scenario
from cosim.signals import Role

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
    return resolve(kinds(role)[kind])


def engine_function(engine: str, module: str, function: str) -> Callable[[], Sequence[Any]]:
    """Return a function of an engine's package, such as its self-test."""
    return resolve(f"{ENGINES[engine]}.{module}:{function}")


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


def _not_found(find: Callable[[str], object], what: str, other: str) -> Callable[[str], str]:
    """Return what says why a name is none of those that ship, nor a path of one's own."""

    def why(value: str) -> str:
        try:
            find(value)
        except UnknownOptionError as error:
            return f"must be one of {', '.join(error.options)}, or {other}"
        except UserError as error:
            return f"is no {what}: {error}"
        return ""

    return why


def _no_prices(value: str) -> str:
    if networks.prices.files.is_file(value):
        return ""
    return f"must be one of {', '.join(networks.prices.zones())}, or a CSV or Parquet file"


ALSO_PATHS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "traffic.roads": _not_found(
            networks.roads.find, "road network", "a network's folder or net file"
        ),
        "grid.feeder": _not_found(
            networks.feeders.find, "feeder", "a master file of OpenDSS (.dss)"
        ),
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
        "grid.service_transformers": _is_given,
        "traffic.background.trips": _is_trips_path,
        "traffic.replay": _is_given,
        "market.prices": _is_prices_path,
        "weather.series": _is_weather_path,
        "demand.own_trips.file": _is_given,
    }
)
"""Fields that can hold a path: whether a text is one, seen from a folder."""


def resolve(target: str) -> Any:
    """Import and return what ``package.module:name`` stands for.

    Raises
    ------
    VoltstepError
        It cannot be imported.
    """
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise VoltstepError(f"{target} cannot be loaded: {error}") from error
