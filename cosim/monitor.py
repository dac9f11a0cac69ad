"""The last simulator of a tick: audits it, records it, and says how far the run is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from cosim import checkpoints
from cosim.assets import Assets
from cosim.errors import SignalError, StoppedRunError
from cosim.scenario import Scenario
from cosim.signals import RECORD, Ids, Role
from cosim.simulator import Facts, Simulator


class TickSink(ABC):
    """What takes in the signals of a tick, once all of them are there."""

    @abstractmethod
    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Take in one tick."""

    def save(self) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint needs of it; see `Simulator.save`."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `save` returned, before the first tick."""
        del state


@dataclass(frozen=True)
class MonitorParts:
    """What the monitor hands every tick to."""

    sinks: Callable[[Ids, Facts], tuple[TickSink, ...]]
    """Builds the sinks, in their order, once the ids of every dimension are known."""


class Monitor(Simulator):
    """Reads every signal of the wire table."""

    role: ClassVar[Role] = "monitor"

    def __init__(self, parts: MonitorParts) -> None:
        super().__init__()
        self._parts = parts
        self._sinks: tuple[TickSink, ...] = ()

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Do nothing: the sinks come with the parts."""

    def bind(self, ids: dict[str, list[str]], facts: dict[str, list[Any]]) -> None:
        """Build the sinks."""
        plain = {name: (str(dim), list(values)) for name, (dim, values) in facts.items()}
        self._sinks = self._parts.sinks({dim: tuple(names) for dim, names in ids.items()}, plain)
        super().bind(ids, facts)

    def _gather(self, tick: int, attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        records = attributes.get(RECORD, {})
        whole = {name: value for record in records.values() for name, value in record.items()}
        missing = [signal.name for signal in self._reads if signal.name not in whole]
        if missing:
            raise SignalError(missing[0], tick, "", "did not reach the monitor")
        return {s.name: self._trusted(s, whole[s.name], tick) for s in self._reads}

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Hand the tick to every sink."""
        for sink in self._sinks:
            sink.take(tick, given)
        return {}

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the state of every sink."""
        return {
            f"{number}.{name}": value
            for number, sink in enumerate(self._sinks)
            for name, value in sink.save().items()
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Give every sink its state back."""
        for number, sink in enumerate(self._sinks):
            prefix = f"{number}."
            sink.restore(
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            )

    def _keep(self, tick: int, wanted: bool) -> None:
        """Complete the checkpoint to which all others have written, and stop if that is wanted."""
        super()._keep(tick, wanted)
        done = tick + 1
        if self._run is not None:
            checkpoint = checkpoints.at(self._run, done)
            if checkpoint.folder.is_dir():
                checkpoint.conclude()
                checkpoints.prune(self._run, done)
        if wanted and done < self._ticks:
            raise StoppedRunError(tick, self._ticks)
