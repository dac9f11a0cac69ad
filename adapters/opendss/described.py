"""Stations behind the service transformers that a user describes: nothing here is sized by us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.layout import Layout, Outlet, Place
from adapters.opendss.service import (
    EXCITING_CURRENT_PCT,
    NO_LOAD_LOSS_PCT,
    SECONDARY_KV,
    Connections,
    Names,
    Unit,
    at_homes,
    connect_stations,
    impedance_pct,
    joined,
)
from cosim.errors import Problem, ScenarioError
from cosim.scenario import Scenario
from cosim.tables import StationTable
from networks.feeders.service_file import Bus, ServiceTransformer, read_service

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
HOME = "home"
_MANY = 1000
"""More kinds than there are."""
_NEEDED = {True: "of three phases", False: "of one phase or three"}


def described(
    file: Path | str, layout: Layout, kinds: Sequence[str]
) -> tuple[ServiceTransformer, ...]:
    """Read the service transformers for a circuit.

    Raises
    ------
    ScenarioError
        The file does not fit the circuit; see `read_service`.
    UserError
        It cannot be read.
    """
    buses = {name: Bus(place.phases, place.kv) for name, place in layout.buses.items()}
    return read_service(file, buses, layout.transformer_ids, kinds)


def connecting(
    scenario: Scenario, stations: StationTable
) -> Callable[..., tuple[Connections, Indices]]:
    """Return what attaches the stations of a scenario to a circuit, with the file if it has one."""
    file = scenario.grid.service_transformers
    if not file:
        return connect_stations
    return partial(connect_described, file=file, kinds=stations.kinds, kind=stations.kind)


def takers(rows: Sequence[ServiceTransformer], kind: str, three_phase: bool) -> NDArray[np.bool_]:
    """Return which transformers take a station of a kind, shape (row,)."""
    return np.array(
        [
            (not row.kinds or kind in row.kinds) and (len(row.phases) == 3 or not three_phase)
            for row in rows
        ],
        dtype=bool,
    )


def lacking(kind: str, three_phase: bool) -> Problem:
    """Return the problem that no row takes stations of a kind."""
    return Problem(
        "column kinds",
        "",
        f"no row {_NEEDED[three_phase]} takes stations of kind {kind}, which the scenario has",
    )


def connect_described(
    layout: Layout,
    station_rating_kw: Floats,
    station_is_three_phase: NDArray[np.bool_],
    power_factor: float,
    station: Indices,
    home: NDArray[np.bool_],
    *,
    file: Path | str,
    kinds: Sequence[str],
    kind: NDArray[np.integer],
) -> tuple[Connections, Indices]:
    """Attach every station of a feeder to the transformers of a file.

    A station goes to the transformers that name its kind, those that name the fewest first, else to
    those that name none; one of a single phase to single-phase transformers before three-phase
    ones. Among these it goes where the ratings of stations are least over that of the transformer
    with it: so they spread by capacity, the largest stations first. Nothing is random. At a
    three-phase transformer stations of one phase join at the least used of its phases. Where no row
    names homes and the circuit has homes, chargers of homes join there.

    Parameters
    ----------
    layout, station_rating_kw, station_is_three_phase, power_factor, home
        See `connect_stations`.
    station
        Number of each station, shape (station,).
    file
        See `described`.
    kinds
        Names of the kinds of stations.
    kind
        Kind of every station of the scenario by its number, index into `kinds`.

    Returns
    -------
    connections
        A connection for each transformer of the file, in its order, and outlets.
    connection_of_station
        Index into `connections`, shape (station,).

    Raises
    ------
    ScenarioError
        The file does not fit the circuit, or stations find no transformer: all of it.
    UserError
        The file cannot be read.
    """
    rows = described(file, layout, kinds)
    kva = np.asarray(station_rating_kw, dtype=float) / power_factor
    named = [kinds[int(kind[number])] for number in station]
    at_home = home & bool(layout.homes and not any(HOME in row.kinds for row in rows))
    three_phase = np.asarray(station_is_three_phase, bool)
    row_of = _assigned(rows, kva, three_phase, named, at_home)
    if problems := _not_placed(rows, row_of, three_phase, named, at_home):
        raise ScenarioError(str(file), problems)
    units = [_unit(row) for row in rows]
    connection = row_of.copy()
    outlets, outlet_kva = _phases_of_three(rows, units, kva, three_phase, connection)
    homes, home_of, home_kva = at_homes(layout, kva[at_home])
    connection[at_home] = len(rows) + len(outlets) + home_of
    ids = Names(layout).free(
        [
            *(row.id for row in rows),
            *(f"{outlet.transformer}_{outlet.phases[0]}" for outlet in outlets),
            *(f"st{outlet.bus}" for outlet in homes),
        ]
    )
    at = [_at(layout, row) for row in rows]
    ratings = [row.kva for row in rows]
    every = np.append(outlet_kva, home_kva)
    return joined(ids, units, at, ratings, [*outlets, *homes], every), connection


def _assigned(
    rows: Sequence[ServiceTransformer],
    kva: Floats,
    three_phase: NDArray[np.bool_],
    named: list[str],
    elsewhere: NDArray[np.bool_],
) -> Indices:
    """Return the row of each station, -1 where none takes it."""
    rating_kva = np.array([row.kva for row in rows])
    room = np.array([np.inf if row.stations is None else row.stations for row in rows])
    # Rows that are meant for few kinds come before those that take all, fitting phases first.
    rank = np.array([2.0 * (len(row.kinds) or _MANY) for row in rows])
    single = np.array([len(row.phases) < 3 for row in rows])
    takes = {
        (name, three): takers(rows, name, three)
        for name in dict.fromkeys(named)
        for three in (True, False)
    }
    used_kva = np.zeros(len(rows))
    row_of = np.full(len(kva), -1, np.int64)
    # Who has the least choice goes first, and the largest, so that they spread evenly.
    order = np.lexsort((-kva, ~three_phase))
    for index in order[~elsewhere[order]].tolist():
        open_to = takes[named[index], bool(three_phase[index])] & (room > 0)
        if not open_to.any():
            continue
        place = np.where(open_to, rank + ~single, np.nan)
        best = np.flatnonzero(place == np.nanmin(place))
        row = best[np.argmin((used_kva[best] + kva[index]) / rating_kva[best])]
        row_of[index] = row
        used_kva[row] += kva[index]
        room[row] -= 1
    return row_of


def _not_placed(
    rows: Sequence[ServiceTransformer],
    row_of: Indices,
    three_phase: NDArray[np.bool_],
    named: list[str],
    elsewhere: NDArray[np.bool_],
) -> list[Problem]:
    count: dict[tuple[str, bool], int] = {}
    for index in np.flatnonzero((row_of < 0) & ~elsewhere).tolist():
        pair = named[index], bool(three_phase[index])
        count[pair] = count.get(pair, 0) + 1
    problems: list[Problem] = []
    for (kind, three), number in count.items():
        if not takers(rows, kind, three).any():
            problems.append(lacking(kind, three))
            continue
        allowed = f"rows {_NEEDED[three]} for stations of kind {kind} must hold {number} more"
        problems.append(Problem("column stations", "", allowed))
    return problems


def _unit(row: ServiceTransformer) -> Unit:
    phases = 3 if len(row.phases) == 3 else 1
    r_pct, x_pct = impedance_pct(phases, row.kva)
    no_load, exciting = row.no_load_loss_pct, row.exciting_current_pct
    return Unit(
        id=row.id,
        kv=SECONDARY_KV[phases] if row.kv is None else row.kv,
        r_pct=r_pct if row.r_pct is None else row.r_pct,
        x_pct=x_pct if row.x_pct is None else row.x_pct,
        no_load_loss_pct=NO_LOAD_LOSS_PCT if no_load is None else no_load,
        exciting_current_pct=EXCITING_CURRENT_PCT if exciting is None else exciting,
        between=row.phases if len(row.phases) == 2 else (),
    )


def _phases_of_three(
    rows: Sequence[ServiceTransformer],
    units: Sequence[Unit],
    kva: Floats,
    three_phase: NDArray[np.bool_],
    connection: Indices,
) -> tuple[list[Outlet], Floats]:
    """Move stations of one phase at three-phase transformers to outlets of one phase each."""
    used_kva = np.zeros((len(rows), 3))
    number: dict[tuple[int, int], int] = {}
    for index in np.lexsort((np.arange(len(kva)), -kva)).tolist():
        row = int(connection[index])
        if row >= 0 and len(rows[row].phases) == 3 and not three_phase[index]:
            phase = int(np.argmin(used_kva[row]))
            used_kva[row, phase] += kva[index]
            connection[index] = len(rows) + number.setdefault((row, phase), len(number))
    outlets = [
        Outlet(units[row].bus, (phase + 1,), units[row].kv / 3**0.5, units[row].id)
        for row, phase in number
    ]
    return outlets, np.array([used_kva[at] for at in number], float)


def _at(layout: Layout, row: ServiceTransformer) -> Place:
    phases = row.phases[:1] if len(row.phases) == 2 else row.phases
    return replace(layout.buses[row.bus], phases=phases)
