"""A scenario becomes a mosaik world: simulators started, entities created and connected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mosaik
import numpy as np
from mosaik.proxies import BaseProxy, LocalProxy
from mosaik.starters import Starter

from cosim import registry
from cosim.checkpoints import Checkpoint
from cosim.monitor import Monitor, MonitorParts
from cosim.processes import START_S, Processes, ProcessStarter
from cosim.scenario import Scenario
from cosim.signals import MODELS, RECORD, ROLES, SIGNALS, TICK_S, Ids, Role, Signal, edges, shape_of
from cosim.simulator import CHECKPOINT, EID, ON_THE_WIRE, Facts


@dataclass(frozen=True)
class Cast:
    """The classes that fill the roles."""

    classes: Mapping[Role, Any]

    @classmethod
    def of(cls, scenario: Scenario) -> Self:
        """Return the classes that the kinds of `scenario` name."""
        classes: dict[Role, Any] = {
            role: registry.simulator_class(role, registry.kind_of(role, scenario))
            for role in ROLES[:-1]
        }
        return cls(classes)


class World:
    """A mosaik world for one scenario; a context manager that closes every engine.

    Steps are settlement intervals: mosaik's time is the tick, its resolution 300 s.

    Parameters
    ----------
    scenario
        What is simulated.
    parts
        What the monitor hands every tick to.
    cast
        Classes that fill the roles, if not those that the scenario names.
    run
        Folder of the run, for checkpoints; None makes none.
    start
        Checkpoint in it to go on from.
    last
        Whether a tick that a role is about to step is the last one, after which all save.
    """

    def __init__(
        self,
        scenario: Scenario,
        parts: MonitorParts,
        cast: Cast | None = None,
        *,
        run: Path | None = None,
        start: Checkpoint | None = None,
        last: Callable[[Role, int], bool] | None = None,
    ) -> None:
        self._scenario = scenario
        self._run, self._start, self._last = run, start, last
        self._world = mosaik.World(
            {},
            mosaik_config={"start_timeout": START_S},
            time_resolution=TICK_S,
            skip_greetings=True,
            configure_logging=False,
        )
        self._processes: Processes | None = None
        try:
            self._build(parts, cast or Cast.of(scenario))
        except BaseException:
            self._close()
            raise

    def _build(self, parts: MonitorParts, cast: Cast) -> None:
        given: dict[str, Any] = {
            "scenario": self._scenario.plain(),
            "run": str(self._run) if self._run else "",
            "first_tick": self._start.ticks if self._start else 0,
        }
        factories: dict[Role, Any] = {}
        entities: dict[Role, Any] = {}
        if self._scenario.processes == "separate":
            self._start_processes(cast)
        starters: dict[Role, Starter] = {
            role: self._starter(
                role, Monitor(parts) if role == "monitor" else cast.classes[role], given
            )
            for role in ROLES
        }
        for role, starter in starters.items():
            factories[role] = self._world.start(starter, sim_id=role, **given)
            entities[role] = getattr(factories[role], MODELS[role])()
        infos: dict[Role, Any] = {role: e.extra_info for role, e in entities.items()}
        self.ids: Ids = _joined(infos)
        self.about = {str(role): info["about"] for role, info in infos.items() if info["about"]}
        """What results can depend on beside versions, by role."""
        self.facts: Facts = {
            name: (dim, values)
            for info in infos.values()
            for name, (dim, values) in info["facts"].items()
        }
        for role in ROLES:
            factories[role].bind(
                {dim: list(names) for dim, names in self.ids.items()},
                {name: list(fact) for name, fact in self.facts.items()},
            )
        first = {name: value for info in infos.values() for name, value in info["initial"].items()}
        if self._start:
            first = _on_the_wire(self._start)
        for producer, reader, shifted, signals in edges():
            initial = {s.name: _initial(s, first, self.ids) for s in signals} if shifted else {}
            names = [RECORD] if reader == "monitor" else [s.name for s in signals]
            self._world.connect(
                entities[producer],
                entities[reader],
                *names,
                time_shifted=shifted,
                initial_data=initial,
            )

    def _start_processes(self, cast: Cast) -> None:
        """Start all processes, so that they import their engines at the same time."""
        folder = self._run or Path()
        self._processes = Processes(folder / "logs", self._scenario.run.answer_within)
        for role in ROLES[:-1]:
            kind = cast.classes[role]
            path = f"{kind.__module__}:{kind.__qualname__}"
            self._world.loop.run_until_complete(self._processes.start(role, path))

    def _starter(self, role: Role, simulator: Any, given: Mapping[str, Any]) -> Starter:
        def is_last(time: int) -> bool:
            return self._is_last(role, time)

        if self._processes is None:
            return _Starter(simulator if role == "monitor" else simulator(), is_last)
        if role == "monitor":
            return _Starter(simulator, is_last, beside=True)
        starter = ProcessStarter(role, self._processes, given, is_last)
        starter.build(self._world.loop)
        return starter

    def _is_last(self, role: Role, time: int) -> bool:
        done = self._start.ticks if self._start else 0
        return self._last is not None and self._last(role, done + time)

    def run(self) -> None:
        """Step every tick of the scenario.

        Simulators step as soon as their inputs are there: waiting for every successor to catch up
        costs mosaik a seventh of its time, and the time-shifted edges already keep the lockstep.

        mosaik swallows an interrupt and the failure of a remote simulator, so whoever calls must
        check that the last tick was recorded.
        """
        done = self._start.ticks if self._start else 0
        self._world.run(
            until=self._scenario.ticks - done,
            print_progress=False,
            lazy_stepping=False,
            shutdown=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        # After a failure mosaik leaves the other simulators' steps waiting for it.
        loop = self._world.loop
        while waiting := asyncio.all_tasks(loop):
            for task in waiting:
                task.cancel()
            # A step that ended in an exit ends the loop once more; the others still wait then.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
        try:
            if self._processes is not None:
                loop.run_until_complete(self._processes.close())
        finally:
            # The monitor's thread may be in the middle of a tick, which nothing can cancel.
            loop.run_until_complete(loop.shutdown_default_executor())
            self._world.shutdown()
            asyncio.set_event_loop(None)


class _Starter(Starter):
    """Hands mosaik a simulator of this process.

    Parameters
    ----------
    simulator
        The simulator.
    is_last
        Whether a step at a time of mosaik's is the last one.
    beside
        It steps beside the others, in a thread.
    """

    def __init__(
        self, simulator: Any, is_last: Callable[[int], bool], *, beside: bool = False
    ) -> None:
        self.api_version = None
        self._simulator, self._is_last, self._beside = simulator, is_last, beside

    async def start(self, sim_id: str, mosaik_remote: Any, mosaik_config: Any) -> BaseProxy:
        """Return what mosaik calls it through."""
        del sim_id, mosaik_config
        return _Proxy(self._simulator, mosaik_remote, self._is_last, self._beside)

    @classmethod
    def from_starter_config(cls, starter_config: Any) -> None:
        """Return nothing: there is no such notation."""


class _Proxy(LocalProxy):
    """Tells a simulator in its step if that is the last one."""

    def __init__(
        self, simulator: Any, mosaik_remote: Any, is_last: Callable[[int], bool], beside: bool
    ) -> None:
        super().__init__(simulator, mosaik_remote)
        self._is_last, self._beside = is_last, beside

    async def send(self, request: Any) -> Any:
        """Carry out a request."""
        name, arguments, named = request
        if name == "step" and self._is_last(arguments[0]):
            time, inputs, *others = arguments
            inputs = inputs | {EID: inputs.get(EID, {}) | {CHECKPOINT: {EID: True}}}
            request = name, (time, inputs, *others), named
        if name == "step" and self._beside:
            return await asyncio.to_thread(self.sim.step, *request[1])
        return await super().send(request)


def _joined(infos: Mapping[Role, Any]) -> Ids:
    ids: dict[str, tuple[str, ...]] = {}
    for role, info in infos.items():
        for dim, names in info["dimensions"].items():
            if dim in ids:
                raise ValueError(f"the {role} defines the dimension {dim} a second time")
            ids[dim] = tuple(names)
    return ids


def _on_the_wire(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what simulators had told for the next tick, by signal."""
    return {
        name.removeprefix(ON_THE_WIRE): value
        for role in ROLES[:-1]
        for name, value in checkpoint.read(role).items()
        if name.startswith(ON_THE_WIRE)
    }


def _initial(signal: Signal, given: Mapping[str, Any], ids: Ids) -> Any:
    """Return what a reader of a shifted signal sees at the first tick."""
    if signal.name in given:
        return np.asarray(given[signal.name], dtype=signal.dtype)
    empty = -1 if SIGNALS[signal.name].low == -1 else 0
    return np.full(shape_of(signal, ids), empty, dtype=signal.dtype)
