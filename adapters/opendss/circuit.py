"""A distribution circuit in an OpenDSS engine of its own: from tables, or from a user's files."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dss import DSSException

from adapters.opendss.commands import SOLVER, commands
from adapters.opendss.layout import Layout, read_layout
from cosim.errors import PowerFlowError
from networks.feeders import FeederData
from networks.feeders.masters import new_engine, read_master, words


class Circuit:
    """An engine that holds one circuit and nothing else.

    Parameters
    ----------
    source
        Tables of a feeder, or the master file of an OpenDSS circuit. The file is used as it is:
        everything in it stays, but for the settings of the solver.

    layout
        What the circuit consists of, where another engine holds the same one; read if left out.

    Raises
    ------
    PowerFlowError
        OpenDSS refuses the circuit, with file and line in its own words; a bus is not fed; the
        circuit has no voltage bases.
    """

    def __init__(self, source: FeederData | Path, layout: Layout | None = None) -> None:
        self.name = source.name if isinstance(source, FeederData) else source.stem
        self._folder = tempfile.TemporaryDirectory(prefix="voltstep-dss-")
        self.engine: Any = new_engine(Path(self._folder.name))
        try:
            with named(f"building {self.name}"):
                self._build(source)
                self.layout: Layout = layout or read_layout(self.engine)
        except BaseException:
            self.close()
            raise

    def _build(self, source: FeederData | Path) -> None:
        if isinstance(source, FeederData):
            for command in commands(source):
                self.engine.Text.Command(command)
        else:
            read_master(self.engine, source)
        self.engine.Text.Command(SOLVER)

    def close(self) -> None:
        """Empty the engine."""
        self._folder.cleanup()
        self.engine.Basic.ClearAll()


def layout_of(source: FeederData | Path) -> Layout:
    """Return what a circuit consists of; see `Circuit` for what can go wrong."""
    circuit = Circuit(source)
    circuit.close()
    return circuit.layout


@contextmanager
def named(what: str) -> Generator[None]:
    """Turn an exception of the engine into ours, in its own words."""
    try:
        yield
    except DSSException as error:
        raise PowerFlowError(f"{what}: {words(error)}") from error
