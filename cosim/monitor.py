"""The last simulator of a tick: audits it, records it, and says how far the run is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from cosim.assets import Assets
from cosim.errors import SignalError
from cosim.scenario import Scenario
from cosim.signals import RECORD, Ids, Role
from cosim.simulator import Facts, Simulator


class TickSink(Protocol):
    """What takes in the signals of a tick, once all of them are there."""

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Take in one tick."""
        ...


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
        super().bind(ids, facts)
        self._sinks = self._parts.sinks(self._ids, self._facts)

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
