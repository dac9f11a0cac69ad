"""Simulators in processes of their own, over mosaik's TCP protocol.

The run listens on the loopback interface. Each simulator shows the run's token before anything it
says is read. A simulator that ends, hangs or says what is no message ends the run with its name and
what it last logged; whatever happens, no process is left.
"""

from __future__ import annotations

import asyncio
import builtins
import hmac
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mosaik.proxies import BaseProxy, extract_version
from mosaik.starters import Starter
from mosaik_api_v3.connection import RemoteException

from cosim import errors
from cosim.errors import RunError, SimulatorLostError, VoltstepError
from cosim.packing import BUFFER_BYTES, ArrayChannel
from cosim.process import TOKEN
from cosim.signals import TICK_S, Role
from cosim.simulator import CHECKPOINT, EID

START_S = 900.0
"""Longest that a simulator may take to build its engine [s]."""
_HELLO_S = 60.0
_END_S = 2.0
"""Time that all simulators have to close their engines at the end of a run [s]."""
_LAST_LINES = 5
"""Lines of a lost simulator's log that the message has."""


class Processes:
    """Starts a process for each role and tells them apart as they call back.

    Parameters
    ----------
    logs
        Folder in which each has a log of its own.
    answer_s
        Longest that a simulator may take to answer while the run is under way [s].
    """

    def __init__(self, logs: Path, answer_s: float) -> None:
        self._logs, self.answer_s = logs, answer_s
        self._token = secrets.token_hex(32)
        self._server: asyncio.Server | None = None
        self._called: dict[str, asyncio.Future[ArrayChannel]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._log_begins: dict[str, int] = {}
        # One that is killed cannot clear away its temporary files.
        self._spare = tempfile.TemporaryDirectory(
            prefix="voltstep-run-", ignore_cleanup_errors=True
        )

    async def start(self, role: Role, path: str) -> None:
        """Start the process of a role; `path` is ``module:Class``."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._hello, "127.0.0.1", 0, limit=BUFFER_BYTES
            )
        host, port = self._server.sockets[0].getsockname()[:2]
        self._called[role] = asyncio.get_running_loop().create_future()
        with self.log(role).open("ab") as log:
            self._log_begins[role] = log.tell()
            self._running[role] = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "cosim.process", host, str(port), role, path],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # An interrupt from the terminal is for the run alone, which tells them.
                start_new_session=True,
                env={**os.environ, TOKEN: self._token, "TMPDIR": self._spare.name},
            )

    async def channel(self, role: Role) -> ArrayChannel:
        """Return the connection of a role once it has called."""
        waited = 0.0
        while not self._called[role].done():
            if self._running[role].poll() is not None:
                raise self.lost(role, "ended before it had begun")
            if waited > _HELLO_S:
                raise self.lost(role, f"did not call within {_HELLO_S:g} s")
            await asyncio.sleep(0.02)
            waited += 0.02
        return self._called[role].result()

    def log(self, role: str) -> Path:
        """Return the log of a role."""
        return self._logs / f"{role}.log"

    def lost(self, role: str, what: str, tick: int = -1) -> SimulatorLostError:
        """Return what is to be said of a simulator that is lost."""
        process = self._running[role]
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
        if process.returncode is not None:
            code = process.returncode
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            what = f"{what}; its process ended with {how}"
        elif _stopped(process.pid):
            what = f"{what}; its process is stopped"
        return SimulatorLostError(role, tick, what, self._last_lines(role))

    def _last_lines(self, role: str) -> list[str]:
        """Return the end of what a role's process logged; what was there before is not its."""
        try:
            logged = self.log(role).read_bytes()[self._log_begins[role] :]
        except OSError:
            return []
        return logged.decode("utf-8", "replace").splitlines()[-_LAST_LINES:]

    async def close(self) -> None:
        """End every process: with a moment for those that are still connected."""
        end_s = time.monotonic() + _END_S
        called = [c for c in self._called.values() if c.done() and not c.cancelled()]
        closing = [asyncio.ensure_future(c.result().close()) for c in called]
        try:
            for process in self._running.values():
                if _stopped(process.pid):
                    process.kill()
            if closing:
                # One that takes nothing in any more would keep its connection open.
                await asyncio.wait(closing, timeout=_END_S)
            for process in self._running.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(end_s - time.monotonic(), 0.0))
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
            self._spare.cleanup()
        await asyncio.gather(*closing, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _hello(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a simulator in that shows the token, once for each role; close on all others."""
        line = b""
        with suppress(asyncio.TimeoutError, ValueError, ConnectionError):
            line = await asyncio.wait_for(reader.readline(), 5.0)
        token, _, role = line.decode("ascii", "replace").strip().partition(" ")
        expected = self._called.get(role)
        known = hmac.compare_digest(token.encode(), self._token.encode())
        if not known or expected is None or expected.done():
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            return
        expected.set_result(ArrayChannel(reader, writer, name=role))


class ProcessStarter(Starter):
    """Gives mosaik a simulator that runs in a process of its own.

    Parameters
    ----------
    role
        Its role.
    processes
        Where its process was started.
    given
        What its engine is built from. All are built at the same time.
    is_last
        Whether a step at a time of mosaik's is the last one.
    """

    def __init__(
        self,
        role: Role,
        processes: Processes,
        given: Mapping[str, Any],
        is_last: Callable[[int], bool],
    ) -> None:
        self.api_version = None
        self._role: Role = role
        self._processes, self._given, self._is_last = processes, given, is_last
        self._built: asyncio.Task[_Proxy] | None = None

    def build(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to build the engine."""
        self._built = loop.create_task(self._build())
        # Where two fail, the first is told.
        self._built.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _build(self) -> _Proxy:
        channel = await self._processes.channel(self._role)
        first_tick = int(self._given["first_tick"])
        proxy = _Proxy(channel, self._role, self._processes, first_tick, self._is_last)
        await proxy.build(self._given)
        return proxy

    async def start(self, sim_id: str, mosaik_remote: Any, mosaik_config: Any) -> BaseProxy:
        """Return what mosaik calls it through, once the engine is built."""
        del sim_id, mosaik_remote, mosaik_config
        return await self._built if self._built else await self._build()

    @classmethod
    def from_starter_config(cls, starter_config: Any) -> None:
        """Return nothing: there is no such notation."""


class _Proxy(BaseProxy):
    """Carries mosaik's requests to a process and watches that it answers."""

    def __init__(
        self,
        channel: ArrayChannel,
        role: Role,
        processes: Processes,
        first_tick: int,
        is_last: Callable[[int], bool],
    ) -> None:
        super().__init__()
        self._channel, self._role, self._processes = channel, role, processes
        self._first_tick, self._is_last = first_tick, is_last
        self._tick = -1

    async def build(self, given: Mapping[str, Any]) -> None:
        """Build the engine."""
        await self.send(["init", (self._role,), {"time_resolution": TICK_S}])
        self._meta = await self.send(["build", (self._role,), dict(given)])

    async def init(self, sid: str, **kwargs: Any) -> list[int]:
        """Return the version of mosaik's protocol; the engine is built."""
        del sid, kwargs
        return extract_version(self._meta)

    @property
    def meta(self) -> Any:
        """What the simulator says of itself."""
        return self._meta

    async def send(self, request: Any) -> Any:
        """Carry out a request.

        Raises
        ------
        SimulatorLostError
            There is no answer, or none that can be read.
        VoltstepError
            What the simulator raised, as it would have in this process.
        """
        name, arguments, named = request
        if name == "step":
            time, inputs, *others = arguments
            self._tick = self._first_tick + time
            if self._is_last(time):
                inputs = inputs | {EID: inputs.get(EID, {}) | {CHECKPOINT: {EID: True}}}
            arguments = (time, inputs, *others)
        limit_s = self._processes.answer_s if self._tick >= 0 else START_S
        answer = asyncio.ensure_future(self._channel.send([name, arguments, named]))
        # A message that cannot be read ends this task, and nobody else would hear of it.
        listening: asyncio.Task[None] = getattr(self._channel, "_receiver_task")  # noqa: B009
        await asyncio.wait(
            {answer, listening}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED
        )
        if not answer.done() and listening.done():
            await asyncio.sleep(0)
        if not answer.done():
            answer.cancel()
            what = f"gave no answer for {limit_s:g} s"
            if listening.done() and (fault := listening.exception()):
                what = f"said what is no message of mosaik's ({fault})"
            raise self._processes.lost(self._role, what, self._tick)
        try:
            return answer.result()
        except RemoteException as error:
            raise self._as_raised(error) from None
        except (EOFError, ConnectionError):
            what = "closed its connection"
            raise self._processes.lost(self._role, what, self._tick) from None

    async def stop(self) -> None:
        """Do nothing: a simulator ends when `Processes` closes its connection."""

    def _as_raised(self, remote: RemoteException) -> Exception:
        """Return the error that a simulator raised, of its own class if it is one of ours."""
        found: Any = getattr(errors, remote.remote_type, None)
        if isinstance(found, type) and issubclass(found, VoltstepError):
            error = found.__new__(found)
            Exception.__init__(error, remote.remote_msg)
            return error
        found = getattr(builtins, remote.remote_type, None)
        if isinstance(found, type) and issubclass(found, OSError):
            return OSError(remote.remote_msg)
        return RunError(
            f"the {self._role} simulator broke: {remote.remote_type}: {remote.remote_msg}. "
            f"The traceback stands in {self._processes.log(self._role)}"
        )


def _stopped(pid: int) -> bool:
    """Whether a process is held by a signal; only Linux tells."""
    with suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        return state in "Tt"
    return False
