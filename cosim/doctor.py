"""``cosim doctor``: what this machine has, and whether each engine gives a known result."""

from __future__ import annotations

import os
import platform
import shutil
from time import perf_counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cosim import manifest, registry
from cosim.errors import UserError, VoltstepError
from cosim.health import Check
from cosim.paths import cache_dir


def examine(console: Console) -> bool:
    """Print versions and self-tests; return whether every test passed."""
    console.print(_machine())
    table = Table(title="Self-tests", title_justify="left", box=None, pad_edge=False)
    for column in ("engine", "", "test", "result", "time"):
        table.add_column(column, justify="right" if column == "time" else "left")
    good = True
    with console.status("testing engines"):
        for engine in ("machine", *registry.ENGINES):
            start = perf_counter()
            for check in [_cache()] if engine == "machine" else _checks(engine):
                mark = "[green]ok[/]" if check.ok else "[red]FAILED[/]"
                wall = f"{perf_counter() - start:.1f} s"
                table.add_row(engine, mark, Text(check.name), Text(check.detail), wall)
                good &= check.ok
                start = perf_counter()
    console.print(table)
    if not good:
        console.print("[red]Something is wrong: see the failed tests above.[/]")
    return good


def _checks(engine: str) -> list[Check]:
    try:
        return list(registry.engine_function(engine, "doctor", "check")())
    except VoltstepError as error:
        return [Check(engine, False, str(error))]
    except Exception as error:
        return [Check(engine, False, f"{type(error).__name__}: {error}")]


def _cache() -> Check:
    try:
        return Check("cache folder", True, str(cache_dir()))
    except UserError as error:
        return Check("cache folder", False, str(error))


def _machine() -> Table:
    compilers = [path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))]
    table = Table(
        title="Machine", title_justify="left", box=None, show_header=False, pad_edge=False
    )
    table.add_row("system", f"{platform.system()} {platform.machine()}")
    table.add_row("cores", str(os.cpu_count()))
    table.add_row("C compiler", compilers[0] if compilers else "none (not needed)")
    for name, version in manifest.versions().items():
        table.add_row(name, version)
    return table
