"""Where charging stations join a feeder: at homes, or behind service transformers of their own.

Notes
-----
Preferred ratings are those of IEEE Std C57.12.00. Impedances are those of published test feeders:

- Single-phase 2.4/0.24 kV: the centre-tapped unit of the IEEE 8500-node test feeder [1]_
  (X_HL = X_HT = 2.04 %, X_LT = 1.36 %, windings of 0.6, 1.2 and 1.2 %, no-load loss 0.2 %,
  exciting current 0.5 %) seen from its 240 V terminals. Each 120 V half carries its 1.2 % on a
  base of a quarter of the 240 V one, so the pair adds 0.6 %; likewise (1.36 + 0.68/2) % reactance.
- Three-phase 4.16/0.48 kV: transformer XFM-1 of the IEEE 123-node feeder (150 kVA, 1.27 + j2.72 %)
  up to 150 kVA, and XFM-1 of the IEEE 13-node feeder (500 kVA, 1.1 + j2 %) above [2]_. Those
  publish no no-load loss; the 8500-node unit's is used.

References
----------
.. [1] R. F. Arritt and R. C. Dugan, "The IEEE 8500-node test feeder", IEEE PES T&D 2010,
   doi:10.1109/TDC.2010.5484381.
.. [2] W. H. Kersting, "Radial distribution test feeders", IEEE PES Winter Meeting 2001,
   pp. 908-912, doi:10.1109/PESW.2001.916993.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.layout import Layout, Outlet, Place
from cosim.errors import UserError

Floats = NDArray[np.float64]
_T = TypeVar("_T")

SINGLE_PHASE_KVA = (25.0, 37.5, 50.0, 75.0, 100.0, 167.0)
"""Single-phase ratings in use [kVA], IEEE Std C57.12.00."""
THREE_PHASE_KVA = (75.0, 112.5, 150.0, 225.0, 300.0, 500.0, 750.0)
"""Three-phase ratings in use [kVA], IEEE Std C57.12.00."""
SECONDARY_KV = {1: 0.24, 3: 0.48}
"""Voltage below a service transformer by its phases, line to line where there are three [kV]."""
NO_LOAD_LOSS_PCT = 0.2
EXCITING_CURRENT_PCT = 0.5
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Unit:
    """How a service transformer is made, beside its rating and its place."""

    id: str
    kv: float
    """Voltage below it, line to line where there are three phases [kV]."""
    r_pct: float
    """Resistance of both windings together [% on its rating]."""
    x_pct: float
    no_load_loss_pct: float = NO_LOAD_LOSS_PCT
    exciting_current_pct: float = EXCITING_CURRENT_PCT
    between: tuple[int, ...] = ()
    """Phases that its primary is between, where it has one winding that is not to neutral."""

    @property
    def bus(self) -> str:
        """Bus at its secondary terminals."""
        return f"{self.id}_lv"


@dataclass(frozen=True)
class Connections:
    """Where chargers join a feeder; every field but `units` has one entry per connection.

    First those at all phases of service transformers of their own, one for each, then those at
    outlets of low-voltage networks, such as homes.
    """

    ids: tuple[str, ...]
    """Names of the chargers' loads."""
    bus: tuple[str, ...]
    """Primary bus of the service transformer, or bus of the outlet."""
    phases: tuple[tuple[int, ...], ...]
    """Phases of that bus: one, or all three; two where the chargers are between them."""
    kv: Floats
    """Voltage of the primary bus to neutral, or of the chargers at the outlet [kV]."""
    rating_kva: Floats
    """Rating of the service transformer, or of the chargers at the outlet [kVA]."""
    units: tuple[Unit, ...]
    """The service transformers."""
    fed_by: tuple[str, ...]
    """Transformer that feeds each outlet."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def own(self) -> int:
        """Number of service transformers; the connections from there on are outlets."""
        return len(self.units)


def impedance_pct(phases: int, rating_kva: float) -> tuple[float, float]:
    """Resistance and reactance of a service transformer [% on its rating]; see the module."""
    if phases == 1:
        return 1.2, 1.7
    return (1.27, 2.72) if rating_kva <= 150 else (1.1, 2.0)


def connect_stations(
    layout: Layout,
    station_rating_kw: NDArray[np.float64],
    station_is_three_phase: NDArray[np.bool_],
    power_factor: float = 0.99,
    station: NDArray[np.int64] | None = None,
    home: NDArray[np.bool_] | None = None,
) -> tuple[Connections, NDArray[np.int64]]:
    """Attach every station to the feeder.

    Stations of homes go round the homes of the circuit, if it has any, and join at their buses,
    behind the transformers that feed them. All others get service transformers:
    Three-phase stations go round the three-phase load buses, single-phase ones round the phases of
    the others (of the three-phase ones where a phase has no others), which take turns;
    consecutive stations land far apart along the feeder. Stations that meet at a bus share a
    transformer as long as the largest rating allows, and each transformer gets the next rating
    above their nameplates. Nothing is random: the same stations always get the same places.

    Parameters
    ----------
    layout
        The circuit.
    station_rating_kw
        Most power of each station [kW], shape (station,).
    station_is_three_phase
        Whether each station needs three phases, shape (station,).
    power_factor
        Power factor at which the stations draw their rating [1].
    station
        Number of each station in messages, shape (station,); their positions if left out.
    home
        Whether each station is the charger of a home, shape (station,); none if left out.

    Returns
    -------
    connections
        Each kind in the order in which they were needed.
    connection_of_station
        Index into `connections`, shape (station,).

    Raises
    ------
    UserError
        A station is larger than the largest transformer, or no bus of the kind exists.
    """
    rating_kva = np.asarray(station_rating_kw, dtype=float) / power_factor
    three_phase = np.asarray(station_is_three_phase, dtype=bool)
    places = {True: _three_phase_places(layout), False: _single_phase_places(layout)}
    used_kva: list[float] = []
    at: list[Place] = []
    open_at: dict[Place, int] = {}
    turn = {True: 0, False: 0}
    connection_of_station = np.empty(len(rating_kva), dtype=np.int64)
    number = np.arange(len(rating_kva)) if station is None else station
    at_home = np.zeros(len(rating_kva), dtype=bool)
    if home is not None and layout.homes:
        at_home |= home
    for index in np.flatnonzero(~at_home):
        kva = float(rating_kva[index])
        kind = bool(three_phase[index])
        largest = (THREE_PHASE_KVA if kind else SINGLE_PHASE_KVA)[-1]
        name = "three-phase" if kind else "single-phase"
        if not 0 <= kva <= largest:
            raise UserError(
                f"station {number[index]} needs {kva:g} kVA: a {name} service transformer "
                f"has between 0 and {largest:g} kVA"
            )
        if not places[kind]:
            raise UserError(f"the feeder has no {name} load bus for station {number[index]}")
        place = places[kind][turn[kind] % len(places[kind])]
        turn[kind] += 1
        transformer = open_at.get(place)
        if transformer is None or used_kva[transformer] + kva > largest:
            transformer = open_at[place] = len(at)
            at.append(place)
            used_kva.append(0.0)
        used_kva[transformer] += float(kva)
        connection_of_station[index] = transformer
    homes, round_of, home_kva = at_homes(layout, rating_kva[at_home])
    connection_of_station[at_home] = len(at) + round_of
    ids = Names(layout).free([f"st{place.bus}" for place in (*at, *homes)])
    ratings = [_next_rating(len(p.phases), kva) for p, kva in zip(at, used_kva, strict=True)]
    units = [
        Unit(name, SECONDARY_KV[len(place.phases)], *impedance_pct(len(place.phases), kva))
        for name, place, kva in zip(ids, at, ratings, strict=False)
    ]
    return joined(ids, units, at, ratings, homes, home_kva), connection_of_station


def at_homes(layout: Layout, rating_kva: Floats) -> tuple[list[Outlet], NDArray[np.int64], Floats]:
    """Let chargers go round the homes of a circuit.

    Parameters
    ----------
    layout
        The circuit.
    rating_kva
        Rating of each charger, shape (charger,) [kVA].

    Returns
    -------
    homes
        Those that get a charger, in the order in which they do.
    home_of_charger
        Index into `homes`, shape (charger,).
    kva
        Rating of the chargers of each, shape (home,) [kVA].
    """
    homes = _spread(layout.homes)[: len(rating_kva)]
    round_of = np.arange(len(rating_kva)) % max(len(homes), 1)
    return homes, round_of, np.bincount(round_of, rating_kva, len(homes)).astype(np.float64)


class Names:
    """Names that no transformer and no load of a circuit has yet."""

    def __init__(self, layout: Layout, taken: Sequence[str] = ()) -> None:
        self._taken = {*layout.transformer_ids, *layout.load_ids, *taken}
        self._count: dict[str, int] = {}

    def free(self, wanted: Sequence[str]) -> list[str]:
        """Return names like those wanted, and take them."""
        found: list[str] = []
        for name in wanted:
            number = self._count[name] = self._count.get(name, 0) + 1
            free = name if number == 1 else f"{name}_{number}"
            while free in self._taken:
                free = f"ev_{free}"
            self._taken.add(free)
            found.append(free)
        return found


def joined(
    ids: Sequence[str],
    units: Sequence[Unit],
    at: Sequence[Place],
    unit_kva: Sequence[float],
    outlets: Sequence[Outlet],
    outlet_kva: Floats,
) -> Connections:
    """Return service transformers, then outlets, as one table.

    Parameters
    ----------
    ids
        Names of the chargers' loads of all of them.
    units, at, unit_kva
        Service transformers, where they stand, and their ratings [kVA].
    outlets, outlet_kva
        Outlets, and the ratings of the chargers there [kVA].
    """
    return Connections(
        ids=tuple(ids),
        bus=tuple(place.bus for place in (*at, *outlets)),
        phases=tuple(place.phases for place in (*at, *outlets)),
        kv=np.array([place.kv for place in (*at, *outlets)], dtype=float),
        rating_kva=np.append(np.array(unit_kva, dtype=float), outlet_kva),
        units=tuple(units),
        fed_by=tuple(outlet.transformer for outlet in outlets),
    )


def _next_rating(phases: int, kva: float) -> float:
    sizes = SINGLE_PHASE_KVA if phases == 1 else THREE_PHASE_KVA
    return next(size for size in sizes if size >= kva)


def _spread(places: Sequence[_T]) -> list[_T]:
    # Golden-ratio order: any first few places already cover the whole length of the feeder.
    order = np.argsort((np.arange(len(places)) * _GOLDEN) % 1, kind="stable")
    return [places[int(i)] for i in np.argsort(order, kind="stable")]


def _three_phase_places(layout: Layout) -> list[Place]:
    return _spread([place for place in layout.places if len(place.phases) == 3])


def _single_phase_places(layout: Layout) -> list[Place]:
    by_phase = [_spread(_with_phase(layout.places, k)) for k in (1, 2, 3)]
    rounds = max(len(group) for group in by_phase)
    return [group[i] for i in range(rounds) for group in by_phase if i < len(group)]


def _with_phase(places: Sequence[Place], phase: int) -> list[Place]:
    """Return one phase of the buses that have it; of three-phase ones where there are no others."""
    found = [place for place in places if phase in place.phases]
    laterals = [place for place in found if len(place.phases) < 3]
    return [replace(place, phases=(phase,)) for place in laterals or found]
