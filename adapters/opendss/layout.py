"""What a circuit consists of, read from the engine that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.topology import Branch, Node, distances_km, require_supply
from cosim.errors import PowerFlowError
from networks.feeders.service_file import MEDIUM_KV

Floats = NDArray[np.float64]

HOME_KV = (0.2, 0.25)
"""Voltage between the two wires of a home: 208, 230 or 240 V [kV]."""
DEFAULT_RATING_A = 400.0
"""What OpenDSS takes for the rating of a line of which nothing else is said [A]."""
_KM = (1.0, 1.609344, 0.3048, 1.0, 1e-3, 3.048e-4, 2.54e-5, 1e-5, 1e-6)
"""Units of length by OpenDSS's numbers: none, mi, kft, km, m, ft, in, cm, mm [km]."""


@dataclass(frozen=True)
class Place:
    """A bus of the medium-voltage network that supplies load."""

    bus: str
    phases: tuple[int, ...]
    kv: float
    """Voltage to neutral [kV]."""
    km: float
    """Length of line from the source [km]."""


@dataclass(frozen=True)
class Outlet:
    """Where chargers join a low-voltage network: between a phase and neutral, or two phases."""

    bus: str
    phases: tuple[int, ...]
    """One phase, or two between which the chargers are."""
    kv: float
    """Rated voltage of the chargers [kV]."""
    transformer: str
    """Transformer that feeds it."""


@dataclass(frozen=True)
class Regulator:
    """A transformer with a tap changer that a control moves."""

    id: str
    winding: int
    """Winding with the taps, from 1."""
    step_pu: float
    """Change of the ratio from one tap to the next."""


@dataclass(frozen=True)
class _Load:
    id: str
    nodes: list[Node]
    kv: float
    """Rated voltage as OpenDSS has it: across a load of one phase [kV]."""
    single: bool
    """Whether it is of one phase."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A circuit without the chargers, in the engine's order; ids are in small letters."""

    places: tuple[Place, ...]
    """Where chargers can join with a transformer of their own, nearest to the source first."""
    buses: Mapping[str, Place]
    """Every bus by its name, with load or without, of whatever voltage."""
    homes: tuple[Outlet, ...]
    """Where a household's charger can join, in the order of their loads."""
    regulators: tuple[Regulator, ...]
    transformer_ids: tuple[str, ...]
    transformer_kva: Floats
    """Rating of each transformer [kVA], shape (transformer,)."""
    line_ids: tuple[str, ...]
    """Lines, switches left out."""
    line_indices: NDArray[np.int64]
    """Which of the engine's lines each of them is, shape (line,)."""
    line_rated: NDArray[np.bool_]
    """Whether the rating of a line is its own and not the engine's default, shape (line,)."""
    capacitor_ids: tuple[str, ...]
    load_ids: tuple[str, ...]
    load_kw: Floats
    """Power of each load at its rated voltage [kW], shape (load,)."""
    load_kvar: Floats


def read_layout(engine: Any) -> Layout:
    """Read the circuit in an engine.

    Parameters
    ----------
    engine
        Context of OpenDSS.

    Raises
    ------
    PowerFlowError
        A node is not fed, the voltage bases are missing, or the circuit has no load.
    """
    engine.Solution.BuildYMatrix(0, 0)
    branches, below, legs = _branches(engine)
    loads = _loads(engine)
    sources = _terminals(engine, "vsource")
    require_supply(sources, branches, [node for load in loads for node in load.nodes])
    found = engine.to_altdss()
    every: Any = found.Load.batch(re=".*")
    lines: Any = found.Line.batch(re=".*")
    transformers: Any = found.Transformer.batch(re=".*")
    away, came_from = distances_km(sources, branches)
    kv = _voltages_kv(engine, away)
    buses = _buses(away, kv)
    is_line = np.flatnonzero(~np.asarray(lines.Switch, bool))
    line_names = [name.lower() for name in lines.Name]
    return Layout(
        places=_places(buses, came_from, loads),
        buses=buses,
        homes=tuple(dict.fromkeys(_homes(came_from, kv, below, legs, loads))),
        regulators=tuple(_regulators(engine, found)),
        transformer_ids=_ids(transformers.Name),
        transformer_kva=np.array([row.kVAs[0] for row in transformers], float),
        line_ids=tuple(line_names[i] for i in is_line),
        line_indices=is_line,
        line_rated=np.asarray(lines.NormAmps.to_array())[is_line] != DEFAULT_RATING_A,
        capacitor_ids=tuple(name.lower() for name in engine.Capacitors.AllNames()),
        load_ids=_ids(every.Name),
        load_kw=np.array(every.kW.to_array(), float),
        load_kvar=np.array(every.kvar.to_array(), float),
    )


def _ids(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _terminal_nodes(engine: Any) -> list[list[Node]]:
    """Nodes of each terminal of the active element, ground left out."""
    element = engine.CktElement
    buses = [name.lower().split(".")[0] for name in element.BusNames()]
    order: list[int] = list(element.NodeOrder())
    width = element.NumConductors()
    return [
        [(bus, k) for k in order[i * width : (i + 1) * width] if 0 < k <= 3]
        for i, bus in enumerate(buses)
    ]


def _branches(engine: Any) -> tuple[list[Branch], dict[Node, str], dict[Node, Node]]:
    """Every connection of two nodes by a line, a transformer or what else has two ends.

    With them the transformer whose secondary, or third, winding each node is at, and to each leg of
    a centre-tapped secondary the other one.
    """
    found: list[Branch] = []
    below: dict[Node, str] = {}
    legs: dict[Node, Node] = {}
    circuit, lines = engine.Circuit, engine.Lines
    more = circuit.FirstPDElement()
    while more:
        name: str = engine.CktElement.Name().lower()
        first, *others = _terminal_nodes(engine)
        km = 0.0
        if name.startswith("line."):
            lines.Name(name.removeprefix("line."))
            km = 0.0 if lines.IsSwitch() else lines.Length() * _KM[int(lines.Units())]
        for other in others:
            found += [(one, two, km) for one, two in _joined(first, other)]
            if name.startswith("transformer."):
                below |= {node: name.removeprefix("transformer.") for node in other}
        if name.startswith("transformer.") and (pair := _centre_tapped(engine)):
            legs |= {pair[0]: pair[1], pair[1]: pair[0]}
        more = circuit.NextPDElement()
    return found, below, legs


def _centre_tapped(engine: Any) -> tuple[Node, Node] | None:
    """Return the legs of the active transformer, if it has two windings end to end below.

    One ends where the other begins, in the middle, so that the legs are opposite to each other.
    """
    element = engine.CktElement
    buses = [bus.lower().split(".")[0] for bus in element.BusNames()]
    order: list[int] = list(element.NodeOrder())
    if len(buses) != 3 or element.NumConductors() != 2 or buses[1] != buses[2]:
        return None
    one, other = order[2:4], order[4:6]
    for first, last in ((one, other), (other, one)):
        if first[1] == last[0] and first[0] != last[1] and first[0] and last[1]:
            return (buses[1], first[0]), (buses[1], last[1])
    return None


def _joined(one: Sequence[Node], other: Sequence[Node]) -> list[tuple[Node, Node]]:
    """Phase to phase where both ends have the same ones, else all to all."""
    if [k for _, k in one] == [k for _, k in other]:
        return list(zip(one, other, strict=True))
    return [(a, b) for a in one for b in other]


def _loads(engine: Any) -> list[_Load]:
    found: list[_Load] = []
    loads = engine.Loads
    more = loads.First()
    while more:
        (nodes,) = _terminal_nodes(engine)
        single = engine.CktElement.NumPhases() == 1
        found.append(_Load(loads.Name().lower(), nodes, float(loads.kV()), single))
        more = loads.Next()
    if not found:
        raise PowerFlowError("the circuit has no load, so there is nowhere for chargers to join")
    return found


def _terminals(engine: Any, kind: str) -> list[Node]:
    found: list[Node] = []
    for name in engine.Circuit.AllElementNames():
        if name.lower().startswith(f"{kind}."):
            engine.Circuit.SetActiveElement(name)
            found += _terminal_nodes(engine)[0]
    return found


def _voltages_kv(engine: Any, nodes: Iterable[Node]) -> dict[str, float]:
    """Voltage to neutral of every bus [kV]."""
    kv: dict[str, float] = {}
    for bus in dict.fromkeys(bus for bus, _ in nodes):
        engine.Circuit.SetActiveBus(bus)
        kv[bus] = float(engine.Bus.kVBase())
        if kv[bus] <= 0:
            raise PowerFlowError(
                "has no voltage base: the circuit needs Set VoltageBases and CalcVoltageBases",
                where=f"bus {bus}",
            )
    return kv


def _buses(away: Mapping[Node, float], kv: Mapping[str, float]) -> dict[str, Place]:
    phases: dict[str, list[int]] = {}
    for bus, phase in away:
        phases.setdefault(bus, []).append(phase)
    return {
        bus: Place(bus, tuple(sorted(found)), kv[bus], round(away[bus, min(found)], 4))
        for bus, found in phases.items()
    }


def _places(
    buses: Mapping[str, Place],
    came_from: Mapping[Node, Node | None],
    loads: Sequence[_Load],
) -> tuple[Place, ...]:
    """Buses with load, or in front of a transformer to buses with load."""
    found: dict[str, Place] = {}
    for load in loads:
        node: Node | None = load.nodes[0]
        while node and buses[node[0]].kv < MEDIUM_KV:
            node = came_from[node]
        if node:
            found.setdefault(node[0], buses[node[0]])
    return tuple(sorted(found.values(), key=lambda place: place.km))


def _homes(
    came_from: Mapping[Node, Node | None],
    kv: Mapping[str, float],
    below: Mapping[Node, str],
    legs: Mapping[Node, Node],
    loads: Sequence[_Load],
) -> Iterator[Outlet]:
    """Yield where loads are homes, behind a transformer.

    They are between one phase and neutral at such a voltage, between two phases, or from a leg of a
    centre-tapped transformer to neutral: then the charger is between both legs.
    """

    def secondary(node: Node) -> Node | None:
        """Return the node of the transformer's terminals that feeds a node."""
        at: Node | None = node
        while at and at not in below:
            at = came_from[at]
        return at

    low, high = HOME_KV
    for load in loads:
        bus, phase = load.nodes[0]
        fed_at = secondary(load.nodes[0]) if load.single and kv[bus] < MEDIUM_KV else None
        if fed_at is None:
            continue
        if len(load.nodes) == 2 and low <= load.kv <= high:
            phases = tuple(sorted(k for _, k in load.nodes))
            yield Outlet(bus, phases, load.kv, below[fed_at])
        elif fed_at in legs and low <= 2 * load.kv <= high:
            for other in ((bus, k) for k in (1, 2, 3) if (bus, k) in came_from):
                if secondary(other) == legs[fed_at]:
                    phases = tuple(sorted((phase, other[1])))
                    yield Outlet(bus, phases, 2 * load.kv, below[fed_at])
        elif len(load.nodes) == 1 and low <= kv[bus] <= high:
            yield Outlet(bus, (phase,), kv[bus], below[fed_at])


def _regulators(engine: Any, found: Any) -> list[Regulator]:
    rows: dict[str, Regulator] = {}
    if engine.RegControls.Count():
        for row in found.RegControl:
            name = str(row.Transformer_str).split(".")[-1].lower()
            winding = int(row.TapWinding)
            engine.Transformers.Name(name)
            engine.Transformers.Wdg(winding)
            span = engine.Transformers.MaxTap() - engine.Transformers.MinTap()
            step = span / engine.Transformers.NumTaps()
            rows.setdefault(name, Regulator(name, winding, float(step)))
    return list(rows.values())
