"""What is wrong with a user's own feeder, before a run begins."""

from __future__ import annotations

from collections.abc import Sequence

import networks.feeders
from adapters.opendss.circuit import layout_of
from cosim.errors import PowerFlowError, Problem, UserError
from cosim.scenario import Scenario


def problems(scenario: Scenario) -> Sequence[Problem]:
    """Return why the feeder of a scenario cannot be used, in OpenDSS's words with file and line."""
    name = scenario.grid.feeder
    try:
        layout_of(networks.feeders.find(name))
    except (PowerFlowError, UserError) as error:
        return [Problem("grid.feeder", name, f"is no circuit that can be used: {error}")]
    return []
