"""Commands on runs that there are: `cosim runs`, `verify`, `resume`, `clean`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from cosim import shown
from cosim.run_folder import RUNS, RunFolder, all_runs

FAILED = 1
"""Exit code where a run does not come out the same."""

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: cosim verify runs/siouxfalls_day-20261127-101500")
def verify(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of one in runs/.")],
    keep: Annotated[
        Path | None, typer.Option(help="Keep the new run here instead of throwing it away.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the verdict.")] = False,
) -> None:
    """Make a run again from its manifest and compare bit by bit; exit code 1 if not equal."""
    from cosim.verify import current
    from cosim.verify import verify as carry_out

    console, folder = Console(), RunFolder.find(run)
    known = current(folder)
    shown.print_changes(console, known)
    verdict = carry_out(folder, keep=keep, console=console, quiet=quiet)
    # Such as the compiler of the cells, which only a run tells.
    shown.print_changes(console, [change for change in verdict.changes if change not in known])
    if verdict.equal:
        shown.say(console, f"equal   digest {verdict.again}")
        return
    shown.print_differences(console, verdict)
    raise typer.Exit(FAILED)


@app.command(epilog="Example: cosim resume runs/siouxfalls_day-20261127-101500")
def resume(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of one in runs/.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the run folder.")] = False,
) -> None:
    """Go on with a run that was stopped, failed or was killed, from its latest checkpoint."""
    from cosim.run import resume as carry_on

    console, folder = Console(), RunFolder.find(run)
    result = carry_on(folder, console=console, quiet=quiet)
    shown.print_result(console, result, folder.scenario, quiet=quiet)


@app.command(epilog="Example: cosim runs")
def runs() -> None:
    """List the runs in runs/: how far each is, what came of it, how large it is."""
    console, found = Console(), [RunFolder.find(str(path)) for path in all_runs()]
    if not found:
        shown.say(console, f"no runs in {RUNS}/: cosim run makes one")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold")
    for column in ("status", "scenario", "seed"):
        table.add_column(column)
    for column in ("ticks", "service [%]", "USD/vehicle/month", "size"):
        table.add_column(column, justify="right")
    for run in found:
        about = run.manifest
        keys = ("service_level_pct", "energy_cost_usd_per_vehicle_month")
        table.add_row(
            Text(run.path.name),
            run.status,
            Text(str(about["scenario"]["name"])),
            str(about["seed"]),
            f"{run.ticks_done} of {about['ticks']}",
            *(shown.or_dash(run.figure(key)) for key in keys),
            decimal(run.bytes_on_disk),
        )
    console.print(table)


@app.command(epilog="Example: cosim explain siouxfalls_day-20261127-101500 vehicle 17 --from 16:00")
def explain(
    run: Annotated[str, typer.Argument(help="A run folder, or the name of one in runs/.")],
    kind: Annotated[str, typer.Argument(help="vehicle, station, transformer or request.")],
    name: Annotated[str, typer.Argument(help="Its id.")],
    first: Annotated[str, typer.Option("--from", help="Time, such as 16:00.")] = "",
    last: Annotated[str, typer.Option("--to", help="Time, such as '2022-09-15 08:00'.")] = "",
) -> None:
    """Tell in plain words what happened to a vehicle, station, transformer or request, and why."""
    from cosim.explain import explain as tell

    table = Table(box=None, pad_edge=False)
    table.add_column("time", no_wrap=True)
    for column in ("what", "why"):
        table.add_column(column, overflow="fold")
    lines = tell(RunFolder.find(run), kind, name, first, last)
    for line in lines:
        until = f" - {line.end:%H:%M}" if line.end > line.begin else ""
        table.add_row(f"{line.begin:%a %d %H:%M}{until}", Text(line.what), Text(line.why))
    Console().print(table)


@app.command(epilog="Example: cosim clean --all")
def clean(
    run: Annotated[
        list[str] | None,
        typer.Argument(help="Runs to delete; those that are not complete if left out."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Delete complete runs in runs/ too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete run folders, after asking. Runs that are under way stay."""
    console = Console()
    found = [RunFolder.find(name) for name in run or map(str, all_runs())]
    if not run:
        kept = ("running",) if everything else ("running", "complete")
        found = [one for one in found if one.status not in kept]
    if not found:
        shown.say(console, "nothing to delete")
        return
    for one in found:
        shown.say(console, f"{one.path}  {one.status}  {decimal(one.bytes_on_disk)}")
    if not yes and not typer.confirm(f"Delete {len(found)} run{'s' if len(found) > 1 else ''}?"):
        shown.say(console, "nothing was deleted")
        return
    for one in found:
        one.remove()
