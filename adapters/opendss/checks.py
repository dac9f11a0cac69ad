"""What is wrong with a user's own feeder, before a run begins."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

import networks.feeders
from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.clearing import refused
from adapters.opendss.feeder import Feeder
from adapters.opendss.layout import Layout
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError, Problem, UserError
from cosim.scenario import Scenario
from networks.feeders import FeederData


def problems(scenario: Scenario) -> Sequence[Problem]:
    """Return why the feeder of a scenario cannot be used, in OpenDSS's words with file and line."""
    name = scenario.grid.feeder
    try:
        source = networks.feeders.find(name)
        layout = layout_of(source)
        why = _uncleared(source, layout) if scenario.market.bids == "on" else ""
    except (PowerFlowError, UserError) as error:
        return [Problem("grid.feeder", name, f"is no circuit that can be used: {error}")]
    return [Problem("market.bids", "on", f"must be off with {name}: {why}", "off")] if why else []


def _uncleared(source: FeederData | Path, layout: Layout) -> str:
    """Return why bids cannot be cleared on a circuit; empty if they can."""
    nobody, _ = connect_stations(layout, np.zeros(0), np.zeros(0, np.bool_))
    with closing(Circuit(source)) as circuit:
        return refused(Feeder(circuit, nobody))
