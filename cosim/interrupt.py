"""Ctrl-C, SIGTERM and a closed terminal end a run at a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

# Windows has no SIGHUP, which a closed terminal sends elsewhere.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class StopSignals:
    """Notes the first interrupt, so that the run ends after the tick that follows.

    An interrupt that Python raises in the middle of an engine's callback can get lost in it, and
    every simulator has to save its state first. A second one raises at once. Outside the main
    thread, where Python handles no signals, this does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether the run is to be stopped."""
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

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
