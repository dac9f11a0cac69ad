"""The tables of a feeder: one frozen row class per CSV file, and the loader."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cosim.errors import UnknownOptionError

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Bus:
    """A place of the feeder."""

    id: str
    x_ft: float
    y_ft: float


@dataclass(frozen=True)
class Source:
    """The stiff source at the head of the feeder."""

    bus: str
    kv: float
    """Line-to-line [kV]."""
    voltage_pu: float
    r1_ohm: float
    x1_ohm: float
    r0_ohm: float
    x0_ohm: float
    frequency_hz: float


@dataclass(frozen=True)
class Configuration:
    """Conductors of a line: phase matrices per mile, and what the conductor may carry."""

    id: str
    conductor: str
    rating_a: float
    """Ampacity of one phase conductor [A]."""
    r_ohm_per_mile: NDArray[np.float64]
    x_ohm_per_mile: NDArray[np.float64]
    b_us_per_mile: NDArray[np.float64]
    """Shunt susceptance [uS/mile]."""


@dataclass(frozen=True)
class Line:
    """An overhead or underground line section."""

    id: str
    from_bus: str
    to_bus: str
    phases: tuple[int, ...]
    configuration: str
    length_ft: float


@dataclass(frozen=True)
class Switch:
    """A sectionalising or tie switch."""

    id: str
    from_bus: str
    to_bus: str
    phases: tuple[int, ...]
    closed: bool
    r_ohm: float
    x_ohm: float


@dataclass(frozen=True)
class Transformer:
    """A transformer that belongs to the published feeder."""

    id: str
    from_bus: str
    to_bus: str
    phases: tuple[int, ...]
    connection: str
    """Windings, source side first, for example ``delta-delta``."""
    kv_from: float
    """Rated voltage, across the winding where there is one phase, else line to line [kV]."""
    kv_to: float
    rating_kva: float
    r_pct: float
    """Resistance of both windings together [% on `rating_kva`]."""
    x_pct: float
    no_load_loss_pct: float
    exciting_current_pct: float


@dataclass(frozen=True)
class Regulator:
    """A step-voltage regulator with line-drop compensation."""

    id: str
    from_bus: str
    to_bus: str
    phases: tuple[int, ...]
    rating_kva: float
    x_pct: float
    target_v: float
    """Voltage that the control holds, on its own 120 V base [V]."""
    band_v: float
    pt_ratio: float
    ct_primary_a: float
    r_v: float
    """Compensator resistance setting [V]."""
    x_v: float
    published_tap: int
    """Tap of the published solution, -16 to 16, 0.00625 pu a step."""


@dataclass(frozen=True)
class Capacitor:
    """A fixed shunt capacitor, wye connected."""

    id: str
    bus: str
    phases: tuple[int, ...]
    q_kvar: float


@dataclass(frozen=True)
class Load:
    """A spot load."""

    id: str
    bus: str
    phases: tuple[int, ...]
    connection: str
    """``wye`` (each phase to ground) or ``delta`` (between the phases)."""
    model: str
    """``pq``, ``i`` or ``z``: constant power, current magnitude or impedance."""
    p_kw: float
    q_kvar: float


@dataclass(frozen=True)
class FeederData:
    """A feeder as tables; every row of every table in the order of its file."""

    name: str
    source: Source
    buses: tuple[Bus, ...]
    configurations: tuple[Configuration, ...]
    lines: tuple[Line, ...]
    switches: tuple[Switch, ...]
    transformers: tuple[Transformer, ...]
    regulators: tuple[Regulator, ...]
    capacitors: tuple[Capacitor, ...]
    loads: tuple[Load, ...]

    @property
    def load_kw(self) -> float:
        """Published total of the spot loads at rated voltage [kW]."""
        return sum(row.p_kw for row in self.loads)

    @property
    def load_kvar(self) -> float:
        """Published total of the spot loads at rated voltage [kvar]."""
        return sum(row.q_kvar for row in self.loads)


def names() -> tuple[str, ...]:
    """Names of the feeders that ship with Voltstep, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob("*/source.csv")))


def load(name: str) -> FeederData:
    """Read a shipped feeder.

    Parameters
    ----------
    name
        One of `names`.

    Returns
    -------
    FeederData

    Raises
    ------
    UserError
        No feeder has this name; the message lists those that exist.
    """
    known = names()
    if name not in known:
        raise UnknownOptionError("feeder", name, known)
    folder = _FOLDER / name
    (source,) = _rows(folder, "source")
    return FeederData(
        name=name,
        source=Source(bus=source.pop("bus"), **{key: float(x) for key, x in source.items()}),
        buses=tuple(
            Bus(row["id"], float(row["x_ft"]), float(row["y_ft"])) for row in _rows(folder, "buses")
        ),
        configurations=tuple(_configurations(folder)),
        lines=tuple(
            Line(
                row["id"],
                row["from_bus"],
                row["to_bus"],
                _phases(row),
                row["configuration"],
                float(row["length_ft"]),
            )
            for row in _rows(folder, "lines")
        ),
        switches=tuple(
            Switch(
                row["id"],
                row["from_bus"],
                row["to_bus"],
                _phases(row),
                row["state"] == "closed",
                float(row["r_ohm"]),
                float(row["x_ohm"]),
            )
            for row in _rows(folder, "switches")
        ),
        transformers=tuple(_transformers(folder)),
        regulators=tuple(_regulators(folder)),
        capacitors=tuple(
            Capacitor(row["id"], row["bus"], _phases(row), float(row["q_kvar"]))
            for row in _rows(folder, "capacitors")
        ),
        loads=tuple(
            Load(
                row["id"],
                row["bus"],
                _phases(row),
                row["connection"],
                row["model"],
                float(row["p_kw"]),
                float(row["q_kvar"]),
            )
            for row in _rows(folder, "loads")
        ),
    )


def _rows(folder: Path, table: str) -> Iterator[dict[str, str]]:
    with (folder / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _phases(row: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(digit) for digit in row["phases"])


def _configurations(folder: Path) -> Iterator[Configuration]:
    columns = ("r_ohm_per_mile", "x_ohm_per_mile", "b_us_per_mile")
    entries: dict[str, list[dict[str, str]]] = {}
    for row in _rows(folder, "line_configurations"):
        entries.setdefault(row["configuration"], []).append(row)
    for rating in _rows(folder, "ratings"):
        rows = entries[rating["configuration"]]
        size = max(int(row["row"]) for row in rows)
        matrices = {column: np.zeros((size, size)) for column in columns}
        for row in rows:
            i, j = int(row["row"]) - 1, int(row["column"]) - 1
            for column in columns:
                matrices[column][i, j] = matrices[column][j, i] = float(row[column])
        yield Configuration(
            rating["configuration"], rating["conductor"], float(rating["rating_a"]), **matrices
        )


def _transformers(folder: Path) -> Iterator[Transformer]:
    for row in _rows(folder, "transformers"):
        yield Transformer(
            row["id"],
            row["from_bus"],
            row["to_bus"],
            _phases(row),
            row["connection"],
            float(row["kv_from"]),
            float(row["kv_to"]),
            float(row["rating_kva"]),
            float(row["r_pct"]),
            float(row["x_pct"]),
            float(row["no_load_loss_pct"]),
            float(row["exciting_current_pct"]),
        )


def _regulators(folder: Path) -> Iterator[Regulator]:
    for row in _rows(folder, "regulators"):
        yield Regulator(
            row["id"],
            row["from_bus"],
            row["to_bus"],
            _phases(row),
            float(row["rating_kva"]),
            float(row["x_pct"]),
            float(row["target_v"]),
            float(row["band_v"]),
            float(row["pt_ratio"]),
            float(row["ct_primary_a"]),
            float(row["r_v"]),
            float(row["x_v"]),
            int(row["published_tap"]),
        )
