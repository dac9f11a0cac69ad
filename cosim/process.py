"""A simulator in a process of its own: ``python -m cosim.process HOST PORT ROLE MODULE:CLASS``.

It calls the run that started it, shows the run's token and does what mosaik's protocol asks of
it until the run ends or the connection closes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import mosaik_api_v3
from mosaik_api_v3 import run_simulator
from mosaik_api_v3.connection import EndOfRequests

from cosim import registry
from cosim.packing import BUFFER_BYTES, ArrayChannel

TOKEN = "VOLTSTEP_RUN_TOKEN"  # noqa: S105 - the name of the variable, not a token
"""Environment variable with what a simulator shows to be let into a run."""
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux."""


@contextmanager
def _logged() -> Generator[None]:
    """Write the traceback of an error into this process's log before it is told to the run."""
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise


class Remote(mosaik_api_v3.Simulator):
    """A simulator whose errors stand in the log of its process."""

    def __init__(self, simulator: Any) -> None:
        meta = dict(simulator.meta)
        super().__init__(meta | {"extra_methods": [*meta["extra_methods"], "build"]})
        self._simulator = simulator

    def init(self, sid: str, time_resolution: float = 1.0, **sim_params: Any) -> Any:
        """Do nothing: mosaik's loop does not tell the run what goes wrong in here."""
        del sid, time_resolution, sim_params
        return self.meta

    @_logged()
    def build(self, sid: str, **given: Any) -> Any:
        """Build the engine; see `Simulator.init`."""
        return self._simulator.init(sid, **given)

    @_logged()
    def create(self, num: int, model: str, **model_params: Any) -> Any:
        """Create the one entity."""
        return self._simulator.create(num, model, **model_params)

    @_logged()
    def bind(self, ids: dict[str, list[str]], facts: dict[str, list[Any]]) -> None:
        """Hand on ids and facts."""
        self._simulator.bind(ids, facts)

    @_logged()
    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        """Step one tick."""
        return self._simulator.step(time, inputs, max_advance)

    def get_data(self, outputs: Any) -> Any:
        """Return the arrays of the last step."""
        return self._simulator.get_data(outputs)

    def finalize(self) -> None:
        """Close the engine."""
        self._simulator.finalize()


def main(arguments: list[str], environment: Mapping[str, str]) -> int:
    """Serve one simulator until its run ends."""
    host, port, role, path = arguments
    # The run decides when it ends; an interrupt reaches every process of a terminal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with_parent()
    # They say that the run is over.
    with suppress(ConnectionError, EndOfRequests):
        asyncio.run(_serve(host, int(port), role, path, environment[TOKEN]))
    return 0


async def _serve(host: str, port: int, role: str, path: str, token: str) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=BUFFER_BYTES)
    writer.write(f"{token} {role}\n".encode())
    channel = ArrayChannel(reader, writer, name=role)
    try:
        # Importing an engine takes long: the run hears of the process before.
        simulator = Remote(registry.resolve(path)())
        await run_simulator(channel, simulator, api_compliant=True)
    finally:
        await channel.close()


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
