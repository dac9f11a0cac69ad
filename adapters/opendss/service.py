"""Service transformers: where charging stations join the feeder, and how large a unit they need.

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
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.topology import bus_phases, node_distances_ft
from cosim.errors import UserError
from networks.feeders import FeederData

SINGLE_PHASE_KVA = (25.0, 37.5, 50.0, 75.0, 100.0, 167.0)
"""Single-phase ratings in use [kVA], IEEE Std C57.12.00."""
THREE_PHASE_KVA = (75.0, 112.5, 150.0, 225.0, 300.0, 500.0, 750.0)
"""Three-phase ratings in use [kVA], IEEE Std C57.12.00."""
NO_LOAD_LOSS_PCT = 0.2
EXCITING_CURRENT_PCT = 0.5
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class ServiceTransformers:
    """Service transformers of a feeder; every field has one entry per transformer."""

    ids: tuple[str, ...]
    bus: tuple[str, ...]
    """Primary bus."""
    phases: tuple[tuple[int, ...], ...]
    """Primary phases: one, or all three."""
    rating_kva: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


def impedance_pct(phases: int, rating_kva: float) -> tuple[float, float]:
    """Resistance and reactance of a service transformer [% on its rating]; see the module."""
    if phases == 1:
        return 1.2, 1.7
    return (1.27, 2.72) if rating_kva <= 150 else (1.1, 2.0)


def place_service_transformers(
    feeder: FeederData,
    station_rating_kw: NDArray[np.float64],
    station_is_three_phase: NDArray[np.bool_],
    power_factor: float = 0.99,
    station: NDArray[np.int64] | None = None,
) -> tuple[ServiceTransformers, NDArray[np.int64]]:
    """Attach every station to a service transformer.

    Three-phase stations go round the three-phase load buses, single-phase ones round the
    single-phase load buses, the phases taking turns; consecutive stations land far apart along the
    feeder. Stations that meet at a bus share a transformer as long as the largest rating allows,
    and each transformer gets the next rating above their nameplates. Nothing is random: the same
    stations always get the same places.

    Parameters
    ----------
    feeder
        Tables of the feeder.
    station_rating_kw
        Most power of each station [kW], shape (station,).
    station_is_three_phase
        Whether each station needs three phases, shape (station,).
    power_factor
        Power factor at which the stations draw their rating [1].
    station
        Number of each station in messages, shape (station,); their positions if left out.

    Returns
    -------
    transformers
        The service transformers, shape (transformer,), in the order in which they were needed.
    transformer_of_station
        Index into `transformers`, shape (station,).

    Raises
    ------
    UserError
        A station is larger than the largest transformer, or no bus of the kind exists.
    """
    rating_kva = np.asarray(station_rating_kw, dtype=float) / power_factor
    three_phase = np.asarray(station_is_three_phase, dtype=bool)
    places = {True: _three_phase_places(feeder), False: _single_phase_places(feeder)}
    used_kva: list[float] = []
    at: list[tuple[str, tuple[int, ...]]] = []
    open_at: dict[tuple[str, tuple[int, ...]], int] = {}
    turn = {True: 0, False: 0}
    transformer_of_station = np.empty(len(rating_kva), dtype=np.int64)
    number = np.arange(len(rating_kva)) if station is None else station
    for index, kva in enumerate(rating_kva):
        kind = bool(three_phase[index])
        largest = (THREE_PHASE_KVA if kind else SINGLE_PHASE_KVA)[-1]
        name = "three-phase" if kind else "single-phase"
        if not 0 <= kva <= largest:
            raise UserError(
                f"station {number[index]} needs {kva:g} kVA: a {name} service transformer "
                f"has between 0 and {largest:g} kVA"
            )
        if not places[kind]:
            raise UserError(
                f"feeder {feeder.name} has no {name} load bus for station {number[index]}"
            )
        place = places[kind][turn[kind] % len(places[kind])]
        turn[kind] += 1
        transformer = open_at.get(place)
        if transformer is None or used_kva[transformer] + kva > largest:
            transformer = open_at[place] = len(at)
            at.append(place)
            used_kva.append(0.0)
        used_kva[transformer] += float(kva)
        transformer_of_station[index] = transformer
    return _table(at, used_kva), transformer_of_station


def _table(
    at: Sequence[tuple[str, tuple[int, ...]]], used_kva: Sequence[float]
) -> ServiceTransformers:
    count: dict[tuple[str, tuple[int, ...]], int] = {}
    ids: list[str] = []
    for bus, phases in at:
        number = count[bus, phases] = count.get((bus, phases), 0) + 1
        ids.append(f"st{bus}" if number == 1 else f"st{bus}_{number}")
    ratings = [_next_rating(len(place[1]), kva) for place, kva in zip(at, used_kva, strict=True)]
    return ServiceTransformers(
        tuple(ids),
        tuple(bus for bus, _ in at),
        tuple(phases for _, phases in at),
        np.array(ratings, dtype=float),
    )


def _next_rating(phases: int, kva: float) -> float:
    sizes = SINGLE_PHASE_KVA if phases == 1 else THREE_PHASE_KVA
    return next(size for size in sizes if size >= kva)


def _load_buses(feeder: FeederData) -> list[tuple[str, tuple[int, ...]]]:
    """Buses with a spot load, nearest to the source first, with all their phases."""
    distance = node_distances_ft(feeder)
    phases = bus_phases(distance)
    buses = dict.fromkeys(load.bus for load in feeder.loads)
    return sorted(
        ((bus, phases[bus]) for bus in buses),
        key=lambda place: distance[place[0], place[1][0]],
    )


def _spread(places: list[tuple[str, tuple[int, ...]]]) -> list[tuple[str, tuple[int, ...]]]:
    # Golden-ratio order: any first few places already cover the whole length of the feeder.
    order = np.argsort((np.arange(len(places)) * _GOLDEN) % 1, kind="stable")
    return [places[int(i)] for i in np.argsort(order, kind="stable")]


def _three_phase_places(feeder: FeederData) -> list[tuple[str, tuple[int, ...]]]:
    return _spread([place for place in _load_buses(feeder) if len(place[1]) == 3])


def _single_phase_places(feeder: FeederData) -> list[tuple[str, tuple[int, ...]]]:
    single = [place for place in _load_buses(feeder) if len(place[1]) == 1]
    by_phase = [_spread([place for place in single if place[1] == (k,)]) for k in (1, 2, 3)]
    rounds = max(len(group) for group in by_phase)
    return [group[i] for i in range(rounds) for group in by_phase if i < len(group)]
