"""What the fleet ordered in the ticks since SUMO last started anew.

SUMO resumes exactly only from where it was loaded in the run that went on, too. A state at any
other tick is therefore kept as the last such state and the orders since, which are driven again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.signals import LEGS, VIA

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Orders:
    """What traffic is asked for in a tick; fields are the signals of the same name."""

    itinerary_edge: Ints
    itinerary_via_edge: Ints
    itinerary_start_s: Floats
    tow_edge: Ints


class OrderLog:
    """Orders tick by tick; of every tick only the vehicles that there are orders for.

    Parameters
    ----------
    vehicles
        Size of the fleet.
    """

    def __init__(self, vehicles: int) -> None:
        self._vehicles = vehicles
        self._ticks: list[tuple[int, NDArray[np.intp], Orders]] = []

    def add(self, tick: int, orders: Orders) -> None:
        """Keep the orders of a tick."""
        who = np.flatnonzero((orders.itinerary_edge[:, 0] >= 0) | (orders.tow_edge >= 0))
        few = {name: value[who] for name, value in vars(orders).items()}
        self._ticks.append((tick, who, Orders(**few)))

    def clear(self) -> None:
        """Forget all."""
        self._ticks = []

    def __iter__(self) -> Iterator[tuple[int, Orders]]:
        """Yield the orders of every tick that is kept, for the whole fleet."""
        for tick, who, few in self._ticks:
            orders = none(self._vehicles)
            for name, values in vars(few).items():
                getattr(orders, name)[who] = values
            yield tick, orders

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all by name, for a checkpoint."""
        parts = [few for _, _, few in self._ticks] or [none(0)]
        return {
            "tick": np.array([tick for tick, _, _ in self._ticks], np.int64),
            "count": np.array([len(who) for _, who, _ in self._ticks], np.int64),
            "vehicle": np.concatenate([who for _, who, _ in self._ticks] or [np.zeros(0, np.intp)]),
            **{n: np.concatenate([getattr(part, n) for part in parts]) for n in vars(parts[0])},
        }

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` returned; KeyError if something is missing."""
        bounds = np.cumsum(arrays["count"])[:-1]
        columns = {n: np.split(arrays[n], bounds) for n in ("vehicle", *vars(none(0)))}
        who = columns.pop("vehicle")
        self._ticks = [
            (tick, who[i], Orders(**{n: parts[i] for n, parts in columns.items()}))
            for i, tick in enumerate(arrays["tick"].tolist())
        ]


def none(vehicles: int) -> Orders:
    """Return no orders for so many vehicles."""
    return Orders(
        itinerary_edge=np.full((vehicles, LEGS), -1, np.int32),
        itinerary_via_edge=np.full((vehicles, LEGS, VIA), -1, np.int32),
        itinerary_start_s=np.zeros(vehicles),
        tow_edge=np.full(vehicles, -1, np.int32),
    )
