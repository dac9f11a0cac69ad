"""What commands print: results, tables, comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosim import registry
from cosim.scenario import Scenario
from cosim.signals import Role

if TYPE_CHECKING:
    # They bring the engines of a run along, which a help text does not need.
    from cosim.manifest import Change
    from cosim.run import Result
    from cosim.verify import Verdict

SHOWN = 12
"""Arrays that a comparison lists."""
WIDE = 120
"""Columns from which on tables show what each figure means."""


def say(console: Console, text: str) -> None:
    """Print text as it is: no markup, no emoji codes, no line breaks put in."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def print_result(console: Console, result: Result, scenario: Scenario, *, quiet: bool) -> None:
    """Print what came of a run; only its folder if `quiet`."""
    if quiet:
        typer.echo(str(result.folder))
        return
    _print_figures(console, result.figures)
    _print_segments(console, result.figures)
    _print_engines(console, result.engine_wall_s, registry.engine_names(scenario))
    say(console, f"digest {result.output_digest}")
    say(console, f"run    {result.folder}")


def _print_figures(console: Console, figures: Any) -> None:
    table = Table(title="Key figures", title_justify="left", box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    wide = console.width >= WIDE
    if wide:
        table.add_column("meaning", style="dim")
    for key, figure in figures.items():
        row = [key, or_dash(figure.value), "" if figure.unit == "1" else figure.unit]
        table.add_row(*row, *([figure.meaning] if wide else []))
    console.print(table)
    if not wide:
        console.print("kpis.json in the run folder says what each means", style="dim")


def _print_segments(console: Console, figures: Any) -> None:
    """Print the figures of each segment side by side, where there are several."""
    parts = {key: figure for key, figure in figures.items() if figure.by_segment}
    names = list(next(iter(parts.values())).by_segment) if parts else []
    if len(names) < 2:
        return
    table = Table(title="By segment", title_justify="left", box=None, padding=(0, 0, 0, 1))
    table.add_column("figure", overflow="fold")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for key, figure in parts.items():
        values = (figure.by_segment[name] for name in names)
        table.add_row(key, *map(or_dash, values))
    console.print(table)


def print_changes(console: Console, changes: Iterable[Change]) -> None:
    """Name what results can depend on and is not as it was."""
    for change in changes:
        say(console, f"changed {change.what}: {_cut(change.then)} then, {_cut(change.now)} now")


def _cut(text: str) -> str:
    return text if len(text) <= 16 else f"{text[:12]}..."


def print_differences(console: Console, verdict: Verdict) -> None:
    """Print where a run differs from the one made again, what is closest to the cause first."""
    say(console, f"not equal   digest {verdict.recorded} recorded, {verdict.again} now")
    if not verdict.differences:
        say(console, "the records are equal; key figures are not: they are computed otherwise now")
        return
    first = verdict.differences[0]
    place = f" of {first.where}" if first.where else ""
    when = f" at tick {first.tick}" if first.tick >= 0 else ""
    say(console, f"first   {first.what}{place}{when}: {first.first} recorded, {first.second} now")
    table = Table(box=None, pad_edge=False)
    for column in ("differs", "tick", "where", "recorded", "now", "values", "at most"):
        table.add_column(column, overflow="fold")
    for found in verdict.differences[:SHOWN]:
        tick = str(found.tick) if found.tick >= 0 else "-"
        cells = (found.where, found.first, found.second, f"{found.count:,}", f"{found.largest:.3g}")
        table.add_row(found.what, tick, *map(Text, cells))
    console.print(table)
    if len(verdict.differences) > SHOWN:
        say(console, f"and {len(verdict.differences) - SHOWN} more arrays")


def _print_engines(
    console: Console, wall_s: Mapping[Role, float], names: Mapping[Role, str]
) -> None:
    total = sum(wall_s.values()) or 1.0
    parts = [
        f"{names[role]} {seconds:.2f} s ({100 * seconds / total:.0f} %)"
        for role, seconds in sorted(wall_s.items(), key=lambda item: -item[1])
    ]
    console.print("engines  " + ", ".join(parts), highlight=False)


def or_dash(value: float | None) -> str:
    """Return a figure as text, a dash where there is none."""
    return "-" if value is None else _number(value)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
