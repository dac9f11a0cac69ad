"""The ``cosim`` command: one thin function per subcommand."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosim import loading, registry, roads_cli, runs_cli
from cosim.errors import UserError, VoltstepError
from cosim.scenario import Scenario
from cosim.shown import print_result, say

DONE, FAILED, WRONG_INPUT = 0, 1, 2
"""Exit codes."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Co-simulation of EV fleets: SUMO, PyBaMM, OpenDSS and a five-bus market in lockstep.",
)
app.add_typer(runs_cli.app)
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
    print_result(console, result, chosen, quiet=quiet)


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
    say(Console(), f"{file} written. Run it: cosim run {shlex.quote(str(file))}")


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


def _heading(scenario: Scenario) -> str:
    return (
        f"[bold]{scenario.name}[/]  {scenario.start}, {scenario.ticks} ticks of 5 min, "
        f"{scenario.fleet.vehicles} EVs, {scenario.fleet.stations.count} public stations, "
        f"team {scenario.team}, seed {scenario.seed}"
    )
