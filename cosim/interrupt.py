"""Ctrl-C, SIGTERM and a closed terminal end a run between two ticks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, Self

from cosim.errors import StoppedRunError

# Windows has no SIGHUP, which a closed terminal sends elsewhere.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StopSignals:
    """Turns the first interrupt into a clean end after the tick under way.

    An interrupt that Python raises in the middle of an engine's callback can get lost in it, so
    the first one is only noted and acted on between two ticks. A second one raises at once.
    Outside the main thread, where Python handles no signals, this does nothing.

    Parameters
    ----------
    ticks
        Ticks of the run, for the message.
    """

    def __init__(self, ticks: int) -> None:
        self._ticks = ticks
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Raise StoppedRunError if a stop was asked for and ticks are left."""
        del signals
        if self._asked and tick + 1 < self._ticks:
            raise StoppedRunError(tick, self._ticks)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
