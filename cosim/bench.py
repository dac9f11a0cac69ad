"""``cosim bench``: the speed of each engine and of the coupling, as ratios to the bare engine."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cosim import manifest, registry
from cosim.errors import UnknownOptionError, UserError
from cosim.health import Measurement

PARTS = (*registry.ENGINES, "coupling", "fleet")
"""What can be measured."""


def measure(what: Sequence[str], console: Console, json_file: Path | None = None) -> None:
    """Measure the parts named in `what`, all if empty; print them and write them as JSON.

    Raises
    ------
    UserError
        If a part is not known or the file cannot be written.
    """
    for name in what:
        if name not in PARTS:
            raise UnknownOptionError("part", name, PARTS)
    if json_file and not json_file.absolute().parent.is_dir():
        raise UserError(f"{json_file} cannot be written: there is no folder for it")
    table = Table(title="Speed on this machine", title_justify="left", box=None, pad_edge=False)
    table.add_column("part")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("x bare engine", justify="right")
    table.add_column("how", style="dim")
    rows: list[dict[str, object]] = []
    with console.status("measuring") as status:
        for name in what or PARTS:
            status.update(f"measuring {name}")
            found = _WHOLE[name]() if name in _WHOLE else _engine(name)
            for row in found:
                ratio = "" if row.bare_ratio is None else f"{row.bare_ratio:.3g}"
                table.add_row(name, row.name, f"{row.value:.4g}", row.unit, ratio, row.note)
                rows.append({"part": name, **asdict(row)})
    console.print(table)
    if json_file:
        content = {"versions": dict(manifest.versions()), "measurements": rows}
        try:
            manifest.write_json(json_file, content)
        except OSError as error:
            raise UserError(f"{json_file} cannot be written: {error.strerror}") from None


def _engine(name: str) -> Sequence[Measurement]:
    return registry.engine_function(name, "bench", "bench")()


def coupling(repeats: int = 3) -> list[Measurement]:
    """Measure the default scenario, all engines coupled."""
    from cosim import loading
    from cosim.run import run

    # The whole day: the store costs the same for a short run, which would look worse than it is.
    scenario = loading.load()
    factors: list[float] = []
    overheads: list[float] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            figures = run(scenario, Path(folder) / "run", quiet=True).figures
        factors.append(figures["realtime_factor"].value or 0.0)
        overheads.append(figures["coupling_overhead"].value or 0.0)
    note = f"default scenario, {scenario.ticks} ticks, median of {repeats} runs"
    return [
        Measurement("speed of the whole", statistics.median(factors), "x real time", None, note),
        Measurement(
            "wall time over the sum of engine times",
            statistics.median(overheads),
            "1",
            statistics.median(overheads),
            note,
        ),
    ]


def fleet() -> list[Measurement]:
    """Measure the cost per vehicle of the metropolis scenarios from 500 to 10,200 EVs."""
    from cosim import loading
    from cosim.run import run

    rows: list[Measurement] = []
    first = 0.0
    for name in ("metro_500", "metro_2500", "metro_fleet"):
        # The busy hours of a morning, after one in which the roads fill.
        scenario = loading.load(name, settings=["start=2022-09-14 07:00", "duration=3h"])
        with tempfile.TemporaryDirectory() as folder:
            result = run(scenario, Path(folder) / "run", quiet=True)
        speed = result.figures["realtime_factor"].value or 0.0
        loop_s = scenario.duration / speed
        vehicles = scenario.fleet.vehicles
        each_us = 1e6 * loop_s / scenario.ticks / vehicles
        first = first or each_us
        engines = result.engine_wall_s
        shares = ", ".join(
            f"{role} {100 * wall_s / loop_s:.0f} %" for role, wall_s in engines.items()
        )
        rows += [
            Measurement(
                f"{name}, {vehicles:,} EVs", each_us, "us per vehicle and tick", None, shares
            ),
            Measurement(
                f"{name}, cost per vehicle over that of 500", each_us / first, "1", None, ""
            ),
            Measurement(f"{name}, speed", speed, "x real time", None, "7 to 10 o'clock"),
        ]
    return rows


_WHOLE = {"coupling": coupling, "fleet": fleet}
"""Measurements of whole runs."""
