"""The ``cosim`` command: one thin function per subcommand."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosim import loading, registry, roads_cli
from cosim.errors import UserError, VoltstepError
from cosim.scenario import Scenario
from cosim.signals import Role

DONE, FAILED, WRONG_INPUT = 0, 1, 2
"""Exit codes."""
SHOWN = 12
"""Arrays that a comparison lists."""
WIDE = 120
"""Columns from which on tables show what each figure means."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Co-simulation of EV fleets: SUMO, PyBaMM, OpenDSS and a five-bus market in lockstep.",
)
app.add_typer(roads_cli.app, name="roads")


@app.command(epilog="Example: cosim run siouxfalls_day --seed 7 --set fleet.vehicles=200")
def run(
    scenario: Annotated[
        str, typer.Argument(help="A shipped scenario or a YAML file.")
    ] = loading.DEFAULT,
    seed: Annotated[int | None, typer.Option(help="Seed of every random stream.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; must not hold anything yet.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="field=value, such as fleet.vehicles=200.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Who decides.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the run folder.")] = False,
) -> None:
    """Run a scenario; leave a run folder with arrays, events and key figures."""
    from cosim.run import run as carry_out

    chosen = loading.load(scenario, settings=settings or (), seed=seed, team=team)
    console = Console()
    if not quiet:
        console.print(_heading(chosen), highlight=False)
    result = carry_out(chosen, out, console=console, quiet=quiet)
    _print_result(console, result, chosen, quiet=quiet)


@app.command(epilog="Example: cosim verify runs/siouxfalls_day-20261127-101500")
def verify(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of one in runs/.")],
    keep: Annotated[
        Path | None, typer.Option(help="Keep the new run here instead of throwing it away.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the verdict.")] = False,
) -> None:
    """Make a run again from its manifest and compare bit by bit; exit code 1 if not equal."""
    from cosim.run_folder import RunFolder
    from cosim.verify import current
    from cosim.verify import verify as carry_out

    console, folder = Console(), RunFolder.find(run)
    known = current(folder)
    _print_changes(console, known)
    verdict = carry_out(folder, keep=keep, console=console, quiet=quiet)
    # Such as the compiler of the cells, which only a run tells.
    _print_changes(console, [change for change in verdict.changes if change not in known])
    if verdict.equal:
        _say(console, f"equal   digest {verdict.again}")
        return
    _print_differences(console, verdict)
    raise typer.Exit(FAILED)


@app.command(epilog="Example: cosim resume runs/siouxfalls_day-20261127-101500")
def resume(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of one in runs/.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the run folder.")] = False,
) -> None:
    """Go on with a run that was stopped, failed or was killed, from its latest checkpoint."""
    from cosim.run import resume as carry_on
    from cosim.run_folder import RunFolder

    console, folder = Console(), RunFolder.find(run)
    result = carry_on(folder, console=console, quiet=quiet)
    _print_result(console, result, folder.scenario, quiet=quiet)


@app.command(epilog="Example: cosim scenarios")
def scenarios() -> None:
    """List the scenarios that ship with the project."""
    table = Table(box=None, pad_edge=False)
    for column in ("scenario", "what it is"):
        table.add_column(column)
    for name in loading.shipped():
        table.add_row(name, Text(loading.load(name).description))
    Console().print(table)


@app.command(epilog="Example: cosim new my_city.yaml")
def new(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist yet.")],
) -> None:
    """Write a commented scenario to start from."""
    from cosim.template import commented, name_for

    text = commented(name_for(file.stem), str(file))
    try:
        target = file.open("x", encoding="utf-8")
    except FileExistsError:
        raise UserError(f"{file} exists already: choose another name") from None
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with target:
            target.write(text)
    except OSError as error:
        file.unlink(missing_ok=True)
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    _say(Console(), f"{file} written. Run it: cosim run {shlex.quote(str(file))}")


@app.command(epilog="Example: cosim schema > scenario.schema.json")
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from cosim.template import json_schema

    # Not through Rich: the text must reach a file as it is.
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


@app.command(epilog="Example: cosim doctor")
def doctor() -> None:
    """Show engines, versions, compiler and cores, and test each engine on a known case."""
    from cosim.doctor import examine

    if not examine(Console()):
        raise typer.Exit(FAILED)


@app.command(epilog="Example: cosim bench battery grid --json bench.json")
def bench(
    what: Annotated[
        list[str] | None,
        typer.Argument(help=f"{', '.join((*registry.ENGINES, 'coupling'))}; all if left out."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the measurements to this file too.")
    ] = None,
) -> None:
    """Measure the speed of each engine and of the coupling on this machine."""
    from cosim.bench import measure

    measure(what or (), Console(), json_file)


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        Console().print(f"voltstep {metadata.version('voltstep')}", highlight=False)
        raise typer.Exit
    del context


def main() -> None:
    """Run the command; whatever goes wrong ends in a message, never in a traceback."""
    try:
        code = _attempt()
        # A full disk shows here rather than after the last chance to say so.
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        code = FAILED
        _drop_output()
    except OSError as error:
        code = FAILED
        place = f"{error.filename}: " if error.filename else ""
        _complain("failed", f"{place}{error.strerror or error}")
        _drop_output()
    sys.exit(code)


def _attempt() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    except UserError as error:
        _complain("error", _with_notes(error))
        return WRONG_INPUT
    except VoltstepError as error:
        _complain("failed", _with_notes(error))
        return FAILED
    return DONE


def _complain(head: str, text: str) -> None:
    # As Text: what people typed is no markup.
    with suppress(OSError):
        message = Text.assemble((head, "red"), " ", text)
        Console(stderr=True, soft_wrap=True).print(message)


def _with_notes(error: Exception) -> str:
    notes: list[str] = getattr(error, "__notes__", [])
    return "\n".join([str(error), *notes])


def _drop_output() -> None:
    """Send what is still buffered nowhere: the interpreter would fail on it at its end."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _say(console: Console, text: str) -> None:
    """Print text as it is: no markup, no emoji codes, no line breaks put in."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def _heading(scenario: Scenario) -> str:
    return (
        f"[bold]{scenario.name}[/]  {scenario.start}, {scenario.ticks} ticks of 5 min, "
        f"{scenario.fleet.vehicles} EVs, {scenario.fleet.stations.count} public stations, "
        f"team {scenario.team}, seed {scenario.seed}"
    )


def _print_result(console: Console, result: Any, scenario: Scenario, *, quiet: bool) -> None:
    if quiet:
        typer.echo(str(result.folder))
        return
    _print_figures(console, result.figures)
    _print_segments(console, result.figures)
    _print_engines(console, result.engine_wall_s, registry.engine_names(scenario))
    _say(console, f"digest {result.output_digest}")
    _say(console, f"run    {result.folder}")


def _print_figures(console: Console, figures: Any) -> None:
    table = Table(title="Key figures", title_justify="left", box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    wide = console.width >= WIDE
    if wide:
        table.add_column("meaning", style="dim")
    for key, figure in figures.items():
        value = "-" if figure.value is None else _number(figure.value)
        row = [key, value, "" if figure.unit == "1" else figure.unit]
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
        table.add_row(key, *("-" if value is None else _number(value) for value in values))
    console.print(table)


def _print_changes(console: Console, changes: Iterable[Any]) -> None:
    """Name what results can depend on and is not as it was."""
    for change in changes:
        _say(console, f"changed {change.what}: {_cut(change.then)} then, {_cut(change.now)} now")


def _cut(text: str) -> str:
    return text if len(text) <= 16 else f"{text[:12]}..."


def _print_differences(console: Console, verdict: Any) -> None:
    _say(console, f"not equal   digest {verdict.recorded} recorded, {verdict.again} now")
    if not verdict.differences:
        _say(console, "the records are equal; key figures are not: they are computed otherwise now")
        return
    first = verdict.differences[0]
    place = f" of {first.where}" if first.where else ""
    when = f" at tick {first.tick}" if first.tick >= 0 else ""
    _say(console, f"first   {first.what}{place}{when}: {first.first} recorded, {first.second} now")
    table = Table(box=None, pad_edge=False)
    for column in ("differs", "tick", "where", "recorded", "now", "values", "at most"):
        table.add_column(column, overflow="fold")
    for found in verdict.differences[:SHOWN]:
        tick = str(found.tick) if found.tick >= 0 else "-"
        cells = (found.where, found.first, found.second, f"{found.count:,}", f"{found.largest:.3g}")
        table.add_row(found.what, tick, *map(Text, cells))
    console.print(table)
    if len(verdict.differences) > SHOWN:
        _say(console, f"and {len(verdict.differences) - SHOWN} more arrays")


def _print_engines(
    console: Console, wall_s: Mapping[Role, float], names: Mapping[Role, str]
) -> None:
    total = sum(wall_s.values()) or 1.0
    parts = [
        f"{names[role]} {seconds:.2f} s ({100 * seconds / total:.0f} %)"
        for role, seconds in sorted(wall_s.items(), key=lambda item: -item[1])
    ]
    console.print("engines  " + ", ".join(parts), highlight=False)


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
