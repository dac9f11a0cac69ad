"""Base class of every mosaik face: META and inputs from the wire table, checks at both ends."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import mosaik_api_v3
import numpy as np
from numpy.typing import NDArray

from cosim import checkpoints
from cosim.assets import Assets
from cosim.boundary import Boundary, checked
from cosim.errors import SignalError
from cosim.scenario import Scenario
from cosim.signals import MODELS, RECORD, SIGNALS, Ids, Role, Signal, produced_by, read_by, shape_of

Facts = Mapping[str, tuple[str, list[Any]]]
"""Static properties of ids: name, (dimension, values)."""

Tell = Callable[[float, str], None]
"""Shows people the share of a preparation that is done, 0 to 1, and what comes next."""

EID = "all"
"""Id of the one entity that each simulator creates."""
ON_THE_WIRE = "wire."
"""Beginning of the names under which a checkpoint has outputs that others read a tick later."""
CHECKPOINT = "checkpoint"
"""Input beside the signals of the wire table: the run is to be stopped after this tick."""


def meta_for(role: Role) -> dict[str, Any]:
    """Return the mosaik META of `role`, a fresh dictionary at each call."""
    names = [*(s.name for s in produced_by(role)), *(s.name for s in read_by(role))]
    attrs = [RECORD] if role == "monitor" else [*names, RECORD]
    return {
        "api_version": "3.0",
        "type": "time-based",
        "models": {MODELS[role]: {"public": True, "params": [], "attrs": attrs}},
        "extra_methods": ["bind"],
    }


class Simulator(mosaik_api_v3.Simulator):
    """A role of the lockstep.

    A subclass names its `role` and fills in `prepare`, `advance` and, where they apply,
    `dimensions`, `initial` and `close`. It never sees mosaik.

    One step of mosaik is one settlement interval: ``step(k)`` hands `advance` the signals that
    the wire table says the role reads, as arrays, and takes back the signals that it produces.
    """

    role: ClassVar[Role]
    """Role in the wire table."""

    def __init__(self) -> None:
        super().__init__(meta_for(self.role))
        self._ids: Ids = {}
        self._facts: Facts = {}
        self._outputs: dict[str, Any] = {}
        self._writes, self._reads = produced_by(self.role), read_by(self.role)
        self._written = {signal.name for signal in self._writes}
        self._run: Path | None = None
        self._first_tick = self._every = self._ticks = 0
        self._wall = f"{self.role}_wall_s"
        self._events = f"{self.role}_events"

    # --- what a subclass fills in

    @classmethod
    def make_ready(cls, scenario: Scenario, tell: Tell) -> None:
        """Make what the cache lacks and takes long, before the engines start.

        Parameters
        ----------
        scenario
            What is to be run.
        tell
            Called with the share that is done, 0 to 1, and with what comes next.
        """

    @abstractmethod
    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Build the engine for `scenario`. Called once, before anything else."""

    def dimensions(self) -> dict[str, list[str]]:
        """Ids of the dimensions that this role defines, in the order of its arrays."""
        return {}

    def initial(self) -> dict[str, Any]:
        """Values before the first tick of the outputs that others read one tick later."""
        return {}

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """Return static properties of ids for the record: name, (dimension, values)."""
        return {}

    def about(self) -> dict[str, str]:
        """Return what a result can depend on beside versions, such as the compiler of a kernel."""
        return {}

    @abstractmethod
    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step one settlement interval.

        Parameters
        ----------
        tick
            Settlement interval, from 0.
        given
            Every signal that the role reads, by name: arrays that must not be changed.

        Returns
        -------
        dict
            Every signal that the role produces (but its wall time), as fresh arrays. Events may
            be left out where there are none.
        """

    def save(self) -> dict[str, NDArray[Any]]:
        """Return everything that changes from tick to tick, by name, between two ticks.

        A simulator that is made anew and takes it back with `restore` goes on to the same bytes.
        """
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `save` returned, before the first tick."""

    def renew(self) -> None:
        """Go on from what a restored engine would go on from.

        Called before `save` at the checkpoints that come at set times. An engine that does not
        resume to the same bytes starts anew here, so that the run that was resumed and the one
        that was not follow the same path.
        """

    def close(self) -> None:
        """Let go of the engine. Called once, also after a failure."""

    # --- what mosaik calls

    def init(self, sid: str, time_resolution: float = 1.0, **sim_params: Any) -> Any:
        """Build the engine from the scenario, given as a plain dictionary.

        ``run`` is the run folder, where checkpoints go, and ``first_tick`` the one to begin with:
        beyond 0 the state is that of the checkpoint there.
        """
        del sid, time_resolution
        scenario = Scenario.model_validate(sim_params["scenario"])
        self._run = Path(sim_params["run"]) if sim_params.get("run") else None
        self._first_tick = int(sim_params.get("first_tick", 0))
        self._every, self._ticks = scenario.checkpoint_ticks, scenario.ticks
        self.prepare(scenario, Assets.of(scenario))
        return self.meta

    def create(self, num: int, model: str, **_: Any) -> list[Any]:
        """Create the role's one entity; its extra info carries ids and initial values."""
        if num != 1:
            raise ValueError(f"the {self.role} role has one entity, not {num}")
        info = {
            "dimensions": self.dimensions(),
            "initial": {name: np.asarray(v).tolist() for name, v in self.initial().items()},
            "facts": {name: [dim, list(values)] for name, (dim, values) in self.facts().items()},
            "about": self.about(),
        }
        return [{"eid": EID, "type": model, "extra_info": info}]

    def bind(self, ids: dict[str, list[str]], facts: dict[str, list[Any]]) -> None:
        """Receive the ids of every dimension and the facts, once all simulators exist."""
        self._ids = {dim: tuple(names) for dim, names in ids.items()}
        self._facts = {name: (str(dim), list(values)) for name, (dim, values) in facts.items()}
        self._boundary = Boundary(self._writes, self._ids)
        if self._first_tick and self._run:
            self.restore(checkpoints.at(self._run, self._first_tick).read(self.role))

    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        """Advance one tick; see `advance`."""
        del max_advance
        # mosaik counts from where the run went on.
        tick = self._first_tick + int(time)
        given = self._gather(tick, inputs.get(EID, {}))
        wanted = CHECKPOINT in inputs.get(EID, {})
        start = perf_counter()
        produced = self.advance(tick, given)
        wall = perf_counter() - start
        if self._wall in SIGNALS:
            produced.setdefault(self._wall, wall)
            produced.setdefault(self._events, [])
        if produced.keys() != self._written:
            self._refuse(produced, tick)
        self._outputs = self._boundary.check(produced, tick)
        for value in self._outputs.values():
            if isinstance(value, np.ndarray):
                # Readers share the array, some a tick later: nobody may change it now.
                value.flags.writeable = False
        self._keep(tick, wanted)
        return int(time) + 1

    def _keep(self, tick: int, wanted: bool) -> None:
        """Save the state after a tick, if a checkpoint is due or wanted."""
        done = tick + 1
        due = bool(self._every) and done % self._every == 0
        if self._run is None or done == self._ticks or not (due or wanted):
            return
        if due:
            self.renew()
        state = self.save()
        for signal in self._writes:
            if signal.shifted:
                # On the wire between two ticks.
                state[ON_THE_WIRE + signal.name] = self._outputs[signal.name]
        checkpoints.at(self._run, done).write(self.role, state)

    def _refuse(self, produced: Mapping[str, Any], tick: int) -> None:
        for signal in self._writes:
            if signal.name not in produced:
                raise SignalError(signal.name, tick, "", f"the {self.role} did not produce it")
        for name in produced:
            if name not in self._written:
                raise SignalError(name, tick, "", f"the {self.role} has no such output")

    def get_data(self, outputs: Any) -> Any:
        """Hand out the arrays of the last step."""
        given = self._outputs | {RECORD: self._outputs}
        return {eid: {name: given[name] for name in attrs} for eid, attrs in outputs.items()}

    def finalize(self) -> None:
        """Close the engine."""
        self.close()

    def _gather(self, tick: int, attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for signal in self._reads:
            sources = attributes.get(signal.name)
            if not sources or len(sources) > 1:
                found = "did not reach" if not sources else "came more than once to"
                raise SignalError(signal.name, tick, "", f"{found} the {self.role}")
            given[signal.name] = self._trusted(signal, next(iter(sources.values())), tick)
        return given

    def _trusted(self, signal: Signal, value: Any, tick: int) -> Any:
        # An array was checked where it was produced; lists come from simulators that know no numpy.
        if isinstance(value, np.ndarray):
            return value
        return checked(signal, value, self._ids, tick)


def blank(name: str, ids: Ids, value: float = 0) -> NDArray[Any]:
    """Return an array of the shape and type of signal `name`, filled with `value`."""
    signal = SIGNALS[name]
    return np.full(shape_of(signal, ids), value, dtype=signal.dtype)
