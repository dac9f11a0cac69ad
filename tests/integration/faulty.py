"""Simulators that fail in processes of their own; those find them here by name."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from adapters.market.simulator import Market
from adapters.opendss.simulator import Grid
from cosim.assets import Assets
from cosim.errors import PowerFlowError, UserError
from cosim.scenario import Scenario

TICK = 15
"""Tick in which they fail."""


class Dying(Grid):
    """Is killed."""

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step, or die."""
        if tick == TICK:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().advance(tick, given)


class Failing(Grid):
    """Raises an error of its own."""

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step, or fail."""
        if tick == TICK:
            raise PowerFlowError("the power flow did not converge", where="bus 48", tick=tick)
        return super().advance(tick, given)


class Refusing(Market):
    """Refuses what the user gave."""

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Refuse."""
        raise UserError("prices.csv: has no column price")


class Babbling(Market):
    """Writes something into its connection that is no message."""

    words = b"\0\0\0\4nope"

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step, or babble."""
        if tick == TICK:
            for entry in Path("/proc/self/fd").iterdir():
                with suppress(OSError):
                    if os.readlink(entry).startswith("socket:"):
                        os.write(int(entry.name), self.words)
        return super().advance(tick, given)


class Shouting(Babbling):
    """Announces a message larger than any that is read."""

    words = b"\xff" * 64
