"""Ctrl-C, SIGTERM and a closed terminal end a run at a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from cosim.signals import ROLES, Role

# Windows has no SIGHUP, which a closed terminal sends elsewhere.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StopSignals:
    """Notes the first interrupt, so that the run ends after a whole tick.

    An interrupt that Python raises in the middle of an engine's callback can get lost in it, and
    every simulator has to save its state first. A second one raises at once. Outside the main
    thread, where Python handles no signals, this does nothing.
    """

    def __init__(self) -> None:
        self._asked = False
        self._last_tick: int | None = None
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

    def last(self, role: Role, tick: int) -> bool:
        """Return whether a tick that a role is about to step is the last one.

        The first role of a tick decides for all.
        """
        if self._asked and self._last_tick is None and role == ROLES[0]:
            self._last_tick = tick
        return tick == self._last_tick

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
