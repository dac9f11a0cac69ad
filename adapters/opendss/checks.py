"""What is wrong with a user's own feeder or service transformers, before a run begins."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

import networks.feeders
import networks.stations
from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.clearing import refused
from adapters.opendss.described import described, lacking, takers
from adapters.opendss.feeder import Feeder
from adapters.opendss.layout import Layout
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError, Problem, ScenarioError, UserError
from cosim.scenario import Scenario
from cosim.stations import ACCESS, public_counts
from networks.feeders import FeederData


def problems(scenario: Scenario) -> Sequence[Problem]:
    """Return why the feeder of a scenario cannot be used, in OpenDSS's words with file and line.

    And what its service transformers do not fit, with row and column.
    """
    name = scenario.grid.feeder
    try:
        source = networks.feeders.find(name)
        layout = layout_of(source)
        why = _uncleared(source, layout) if scenario.market.bids == "on" else ""
    except (PowerFlowError, UserError) as error:
        return [Problem("grid.feeder", name, f"is no circuit that can be used: {error}")]
    found = list(_service_problems(scenario, layout)) if scenario.grid.service_transformers else []
    if why:
        found.append(Problem("market.bids", "on", f"must be off with {name}: {why}", "off"))
    return found


def _uncleared(source: FeederData | Path, layout: Layout) -> str:
    """Return why bids cannot be cleared on a circuit; empty if they can."""
    nobody, _ = connect_stations(layout, np.zeros(0), np.zeros(0, np.bool_))
    with closing(Circuit(source)) as circuit:
        return refused(Feeder(circuit, nobody))


def _service_problems(scenario: Scenario, layout: Layout) -> Sequence[Problem]:
    file, kinds = scenario.grid.service_transformers, networks.stations.kinds()
    try:
        rows = described(file, layout, (*kinds, *ACCESS))
    except ScenarioError as error:
        found = error.problems
    except UserError as error:
        return [Problem("grid.service_transformers", file, f"must be a CSV file: {error}")]
    else:
        # Those of homes, depots and work come with the fleet, when the run is built.
        found = [
            lacking(name, kinds[name].three_phase)
            for name, count in public_counts(scenario).items()
            if count and not takers(rows, name, kinds[name].three_phase).any()
        ]
    return [replace(p, field=f"{file}, {p.field}") for p in found]
