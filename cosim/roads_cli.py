"""``cosim roads``: the road networks that there are, and where new ones come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosim.errors import UserError
from cosim.progress import preparation
from networks import roads, vehicles
from networks.roads import store
from networks.roads.alternatives import alternatives, foreseen_kwh
from networks.roads.check import NOT_FOR_CARS, Group
from networks.roads.generate import MEANING, SHAPES
from networks.roads.places import edge_at
from networks.roads.routing import Router

app = typer.Typer(no_args_is_help=False, help="Road networks: list, show, import, generate.")

_NAME = "Name that scenarios refer to."
_PLACE = "Edge at whose end it is, or longitude,latitude."
_FORCE = "Replace a network of that name that was imported or generated."
_SIZES = "; ".join(f"{shape}: {MEANING[shape]}, such as {SHAPES[shape]}" for shape in SHAPES)


@app.callback(invoke_without_command=True, epilog="Example: cosim roads")
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_()


@app.command("list", epilog="Example: cosim roads list")
def list_() -> None:
    """List the road networks that ship and those that were imported or generated."""
    table = _table("roads", "edges", "km", "source")
    for entry in roads.entries():
        about = entry.description if entry.ships else entry.source
        table.add_row(
            Text(entry.name), f"{entry.edges:,}", f"{entry.km:,.0f}", Text(about, overflow="fold")
        )
    Console().print(table)


@app.command(epilog="Example: cosim roads show luxembourg")
def show(
    name: Annotated[str, typer.Argument(help="A network's name, its folder, or a net file.")],
) -> None:
    """Tell the figures of a road network and where it is from."""
    console = Console()
    place = roads.find(name)
    net = roads.load(name)
    facts = _facts(net)
    about = store.read(place) if isinstance(place, Path) and place.is_dir() else None
    if about:
        facts["sha256 of its origin"] = about.origin_sha256
        facts["options"] = " ".join(about.options)
        facts["SUMO"] = about.sumo_version
    facts["net file"] = str(net.net_file)
    table = _table("roads", net.name)
    for key, value in facts.items():
        if value:
            table.add_row(key, Text(value, overflow="fold"))
    console.print(table)
    if about:
        _print_findings(console, about)


@app.command("import", epilog="Example: cosim roads import luxembourg.osm.gz")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="OpenStreetMap extract (.osm, .osm.gz, .osm.bz2) or SUMO net (.net.xml[.gz])."
        ),
    ],
    name: Annotated[str, typer.Option(help=f"{_NAME} After the file if left out.")] = "",
    force: Annotated[bool, typer.Option("--force", help=_FORCE)] = False,
) -> None:
    """Import a real city: convert it, drop what cars cannot use, keep it under a name."""
    console = Console()
    with console.status("converting and checking"):
        about = roads.import_file(file, name, replace=force)
    _print_new(console, about)


@app.command(epilog="Example: cosim roads generate grid --size 30x20 --seed 7 --name my_grid")
def generate(
    shape: Annotated[str, typer.Argument(help=f"{', '.join(SHAPES)}.")],
    size: Annotated[str, typer.Option(help=_SIZES)] = "",
    seed: Annotated[int, typer.Option(help="Seed of what is drawn by chance.")] = 0,
    name: Annotated[
        str, typer.Option(help=f"{_NAME} After shape, size and seed if left out.")
    ] = "",
    block_m: Annotated[float, typer.Option("--block", help="Length of a block in metres.")] = 200.0,
    lanes: Annotated[int, typer.Option(help="Lanes in each direction.")] = 1,
    force: Annotated[bool, typer.Option("--force", help=_FORCE)] = False,
) -> None:
    """Make up a town with netgenerate: the same bytes for the same seed."""
    console = Console()
    with console.status("generating and checking"):
        about = roads.generate(
            shape, size, seed=seed, name=name, block_m=block_m, lanes=lanes, replace=force
        )
    _print_new(console, about)


@app.command(epilog="Example: cosim roads calibrate siouxfalls")
def calibrate(
    name: Annotated[str, typer.Argument(help="A network's name, its folder, or a net file.")],
) -> None:
    """Tell what every model consumes on a network, fitted to SUMO's vehicles, and the errors.

    The first run on a network makes the fit, if this command did not; it is kept in the cache.
    """
    net = roads.load(name)
    with preparation(Console(stderr=True)) as tell:
        found = vehicles.calibrated(net, tell)
    _say(Console(), found.report())


@app.command(epilog="Example: cosim roads ways siouxfalls --from in_1 --to in_20")
def ways(
    name: Annotated[str, typer.Argument(help="A network's name, its folder, or a net file.")],
    start: Annotated[str, typer.Option("--from", help=_PLACE)],
    end: Annotated[str, typer.Option("--to", help=_PLACE)],
    count: Annotated[int, typer.Option(min=1, max=10, help="Ways wanted.")] = 3,
) -> None:
    """Tell different ways between two places: length, time and energy on empty roads.

    Energy is that of the standard model of each body type, without heating and cooling.
    """
    net = roads.load(name)
    origin, destination = edge_at(net, start), edge_at(net, end)
    with preparation(Console(stderr=True)) as tell:
        curves = vehicles.calibrated(net, tell).curves
    router = Router(net)
    found = alternatives(router, origin, destination, count)
    if not found:
        raise UserError(router.obstacle(origin, destination))
    bodies = [*vehicles.load(), "bus"]
    table = _table("way", "km", "min", *(f"{body} kWh" for body in bodies), "edges", "through")
    for number, one in enumerate(found, 1):
        energies = [foreseen_kwh(router, one.edges, curves[body]) for body in bodies]
        table.add_row(
            str(number),
            f"{one.distance_km:.2f}",
            f"{one.time_s / 60.0:.1f}",
            *(f"{kwh:.2f}" for kwh in energies),
            str(len(one.edges)),
            Text(", ".join(net.edge_ids[edge] for edge in one.via)),
        )
    Console().print(table)


def _facts(net: roads.RoadNetwork) -> dict[str, str]:
    km = net.length_m / 1000.0
    width_km, height_km = np.ptp(net.end_x_m) / 1000.0, np.ptp(net.end_y_m) / 1000.0
    facts = {
        "source": net.source,
        "edges": f"{len(km):,}, {km.sum():,.1f} km, {(km * net.lanes).sum():,.1f} lane-km",
        "junctions": f"{len(net.node_ids):,}, {net.signalled_nodes:,} with signals",
        "speed limits": f"{net.speed_mps.min() * 3.6:.0f} to {net.speed_mps.max() * 3.6:.0f} km/h",
        "extent": f"{width_km:.1f} x {height_km:.1f} km",
    }
    if np.isfinite(net.end_lon_deg).all():
        lon, lat = net.end_lon_deg, net.end_lat_deg
        facts["on the map"] = (
            f"{lon.min():.4f} to {lon.max():.4f} deg E, {lat.min():.4f} to {lat.max():.4f} deg N"
        )
    if net.trip_table is not None:
        facts["zones"] = f"{len(net.zone_ids)}, {net.trip_table.sum():,.0f} trips between them"
    return facts


def _print_new(console: Console, about: store.About) -> None:
    place = "on the map" if about.geographic else "no place on the map"
    _say(
        console,
        f"{about.name}: {about.edges:,} edges, {about.km:,.1f} km, {about.nodes:,} junctions "
        f"({about.signals:,} with signals), {place}",
    )
    _print_findings(console, about)
    _say(console, f"in a scenario:  traffic: {{roads: {about.name}}}")


def _print_findings(console: Console, about: store.About) -> None:
    if about.ways_left_out:
        ways = ", ".join(f"{kind} {number:,}" for kind, number in about.ways_left_out)
        _say(console, f"ways that are not for cars, left out: {ways}")
    if not about.dropped:
        _say(console, "nothing was dropped: every edge can be reached from every other")
    _print_groups(console, "dropped, because cars could not get there or not away:", about.dropped)
    lost_km = sum(group.km for group in about.dropped if group.reason != NOT_FOR_CARS)
    if lost_km > about.km:
        part = 100.0 * about.km / (about.km + lost_km)
        _say(console, f"only {part:.0f} % of the road length is left: is the extract too small?")
    _print_groups(console, "kept, but worth a look:", about.doubtful)


def _print_groups(console: Console, title: str, groups: Sequence[Group]) -> None:
    if not groups:
        return
    _say(console, title)
    table = _table("", "edges", "km", "such as")
    for group in groups:
        examples = Text(", ".join(group.examples), overflow="fold")
        table.add_row(f"  {group.reason}", f"{group.edges:,}", f"{group.km:,.2f}", examples)
    console.print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        number: dict[str, Any] = {"justify": "right"} if _counts(column) else {}
        table.add_column(column, **number)
    return table


def _counts(column: str) -> bool:
    return column in ("edges", "km", "min") or column.endswith(" kWh")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)
