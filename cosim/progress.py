"""What a person sees while a run goes on: simulated time, speed, time left, the busiest engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from cosim.monitor import TickSink
from cosim.signals import ROLES, TICK_S, Role

REFRESH_S = 0.1
"""Least time between two changes of what is shown [s]."""


@contextmanager
def preparation(
    console: Console, *, quiet: bool = False
) -> Generator[Callable[[float, str], None]]:
    """Yield what shows how far a preparation is, from its first call on.

    On a console that is no terminal it is a line for each step.
    """
    live = console.is_terminal and not quiet
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=console, transient=True, disable=not live)
    task = progress.add_task("", total=1.0)

    def tell(share: float, what: str) -> None:
        progress.start()
        progress.update(task, completed=share, description=what)
        if not live and not quiet:
            console.print(what, highlight=False)

    try:
        yield tell
    finally:
        progress.stop()


class RunProgress(TickSink):
    """A Rich progress display; on a console that is no terminal, a line every tenth of the run."""

    def __init__(
        self,
        console: Console,
        ticks: int,
        start: datetime,
        engine_names: Mapping[Role, str],
        *,
        quiet: bool,
    ) -> None:
        self._console = console
        self._names = engine_names
        self._ticks = ticks
        self._start = start
        self._live = console.is_terminal and not quiet
        self._quiet = quiet
        self._wall = dict.fromkeys(ROLES[:-1], 0.0)
        self._shown = 0
        self._drawn_s = 0.0
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[busiest]}"),
            console=console,
            disable=not self._live,
        )
        self._task = self._progress.add_task(
            "starting engines", total=ticks, speed="", busiest="", start=False
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self) -> None:
        """Say that the engines are ready and the first tick comes."""
        self._progress.start_task(self._task)
        self._say("engines ready")

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Show that a tick is done."""
        for role in ROLES[:-1]:
            self._wall[role] += float(signals[f"{role}_wall_s"])
        done = tick + 1
        elapsed = self._progress.tasks[self._task].elapsed or 0.0
        due = elapsed - self._drawn_s >= REFRESH_S or done == self._ticks
        decile = done * 10 // self._ticks
        if self._quiet or not (due or decile > self._shown):
            return
        self._drawn_s = elapsed
        speed = f"{done * TICK_S / elapsed:,.0f}x real time" if elapsed else ""
        now = self._start + timedelta(seconds=done * TICK_S)
        self._progress.update(
            self._task,
            completed=done,
            description=now.strftime("%a %d %b %H:%M"),
            speed=speed,
            busiest=self._busiest(),
        )
        if decile > self._shown:
            self._shown = decile
            self._say(f"{now:%Y-%m-%d %H:%M}  {100 * done // self._ticks:3d} %  {speed}")

    def _busiest(self) -> str:
        total = sum(self._wall.values())
        role = max(self._wall, key=lambda r: self._wall[r])
        return f"{self._names[role]} {100 * self._wall[role] / total:.0f} %" if total else ""

    def _say(self, text: str) -> None:
        if not self._live and not self._quiet:
            self._console.print(text, highlight=False)
