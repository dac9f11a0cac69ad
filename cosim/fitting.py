"""Whether a scenario fits the data that it names: each check gives the problems that it finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np

import networks.demand.background
import networks.feeders
import networks.prices
import networks.prices.files
import networks.prices.holidays
import networks.prices.tariffs
import networks.roads
import networks.weather
from cosim.demand import sizes
from cosim.errors import Problem, ScenarioError, UnknownOptionError, UserError, nearest
from cosim.registry import BUILT_IN, kind_of, resolve
from cosim.scenario import AMBIENT_HIGH_C, AMBIENT_LOW_C, Scenario
from networks.demand.files import read_trips
from networks.prices.holidays import Holidays


def scenario_checks() -> Sequence[Callable[[Scenario], Sequence[Problem]]]:
    """Return the checks that need data: each gives the problems that it finds."""
    return (
        _prices_cover_the_run,
        _market_fits_together,
        _services_fit,
        _weather_fits,
        _batteries_fit,
        _replay_fits,
        _own_trips_fit,
        _feeder_works,
        _buses_hold_the_feeders,
        _bids_fit,
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
    if market.holidays != Holidays():
        problems += networks.prices.holidays.problems(market.holidays)
        if not networks.prices.tariffs.name_holidays(market.periods):
            reason = "are for market.periods with days: holiday, and there are none"
            problems.append(Problem("market.holidays", "", reason))
    if market.real_time == "on" and market.kind in ("quadratic", "time_of_use"):
        reason = f"moves the prices of five_bus and series; {market.kind} has prices of its own"
        problems.append(Problem("market.real_time", "on", reason, "off"))
    if market.prices_zone and not networks.prices.files.is_file(market.prices):
        reason = f"picks one of the prices of a file; {market.prices} is none"
        problems.append(Problem("market.prices_zone", market.prices_zone, reason))
    return problems


def _services_fit(scenario: Scenario) -> Sequence[Problem]:
    if kind_of("market", scenario) not in BUILT_IN["market"]:
        return []
    check = resolve("adapters.market.checks:service_problems")
    return cast(Sequence[Problem], check(scenario))


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
    check = resolve("adapters.pybamm.checks:problems")
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
    check = resolve("adapters.sumo.checks:replay_problems")
    return cast(Sequence[Problem], check(scenario))


def _feeder_works(scenario: Scenario) -> Sequence[Problem]:
    grid = scenario.grid
    ours = grid.feeder in networks.feeders.names() and not grid.service_transformers
    if kind_of("grid", scenario) not in BUILT_IN["grid"] or ours:
        return []
    check = resolve("adapters.opendss.checks:problems")
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


def _bids_fit(scenario: Scenario) -> Sequence[Problem]:
    if scenario.market.bids == "off":
        return []
    needs = (
        ("market.kind", scenario.market.kind, "five_bus"),
        ("grid.kind", scenario.grid.kind, "opendss"),
        ("grid.volt_var", scenario.grid.volt_var, "off"),
    )
    return [
        Problem(field, value, f"must be {only} with market.bids: on", only)
        for field, value, only in needs
        if value != only
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
