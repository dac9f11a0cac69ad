"""A user's own feeder: the master file of an OpenDSS circuit."""

from __future__ import annotations

import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import opendssdirect
from dss import DSSException

from cosim.errors import UserError
from networks.feeders.tables import FeederData, load, names

SUFFIX = ".dss"
_READS = re.compile(
    r"""^\s*(?:redirect|compile|(?:lat)?(?:bus|long)coords)\s+["'(\[{]?([^"'()\[\]{}!\s]+)""",
    re.IGNORECASE | re.MULTILINE,
)
_DESCRIBED = re.compile(
    r"Processing DSS Command: (?P<command>.*?) ?Error Description: (?P<what>.*?) ?Probable Cause:"
)
_PLACES = re.compile(r'\[file: "([^"]*)", line: (\d+)\]')


def find(name: str) -> FeederData | Path:
    """Return the tables of a shipped feeder, or the master file of one's own.

    Parameters
    ----------
    name
        One of `names`, or the path of a file that ends in ``.dss``.

    Raises
    ------
    UserError
        It is neither.
    """
    if name not in names() and name.lower().endswith(SUFFIX):
        file = Path(name).expanduser()
        if not file.is_file():
            raise UserError(f"there is no file {name}")
        return file.resolve()
    return load(name)


def load_kw(name: str) -> float:
    """Return the load of a feeder at rated voltage [kW].

    Parameters
    ----------
    name
        See `find`.

    Raises
    ------
    UserError
        There is no such feeder, or OpenDSS cannot read it.
    """
    source = find(name)
    if isinstance(source, FeederData):
        return source.load_kw
    return _master_load_kw(source, source.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _master_load_kw(file: Path, changed: int) -> float:
    del changed
    with tempfile.TemporaryDirectory(prefix="voltstep-dss-") as folder:
        engine = new_engine(Path(folder))
        try:
            read_master(engine, file)
            loads, total_kw = engine.Loads, 0.0
            more = loads.First()
            while more:
                total_kw += float(loads.kW())
                more = loads.Next()
        except DSSException as error:
            raise UserError(f"OpenDSS cannot read {file}: {words(error)}") from error
        finally:
            engine.Basic.ClearAll()
    return total_kw


def files_of(master: Path) -> tuple[Path, ...]:
    """Return a master file and all that it reads, in the order in which they are named."""
    found: dict[Path, None] = {}
    waiting = [master.resolve()]
    while waiting:
        file = waiting.pop(0)
        if file in found or not file.is_file():
            continue
        found[file] = None
        text = file.read_text(encoding="utf-8", errors="replace")
        waiting += [(file.parent / name).resolve() for name in _READS.findall(text)]
    return tuple(found)


def new_engine(folder: Path) -> Any:
    """Return a context of OpenDSS of its own.

    It neither changes the working directory nor opens windows, and what its commands export goes
    to `folder`.
    """
    engine: Any = opendssdirect.dss.NewContext()
    engine.Basic.AllowForms(False)
    engine.Basic.AllowEditor(False)
    engine.Basic.AllowChangeDir(False)
    engine.Basic.DataPath(str(folder))
    return engine


def read_master(engine: Any, file: Path) -> None:
    """Read a master file and all that it refers to.

    Raises
    ------
    UserError
        It defines no circuit.
    DSSException
        OpenDSS refuses it, with file and line.
    """
    # "compile" would make the file's folder the one that exports go to.
    engine.Text.Command(f'redirect "{file}"')
    if not engine.Basic.NumCircuits():
        raise UserError(f"{file} defines no circuit")


def words(error: DSSException) -> str:
    """Return what OpenDSS says of an error in one line, with file and line where it knows them."""
    text = " ".join(str(error).split())
    described = _DESCRIBED.search(text)
    if not described:
        return text
    places = ", ".join(f"{file} line {line}" for file, line in _PLACES.findall(text)[:1])
    said = f"{described['what'].strip()} in {described['command'].strip()!r}"
    return f"{said} ({places})" if places else said
