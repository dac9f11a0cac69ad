"""Trips that a segment of the fleet asks for, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Flags = NDArray[np.bool_]

VIA = 3
"""Most points that a trip can pass on its way."""
_TYPES: dict[str, type[Any]] = {
    "asked_s": np.float64,
    "earliest_s": np.float64,
    "deadline_s": np.float64,
    "at_arrival": np.bool_,
    "origin_edge": np.int32,
    "destination_edge": np.int32,
    "dwell_s": np.float64,
    "vehicle": np.int32,
    "tour": np.int32,
    "via": np.int32,
}


@dataclass(frozen=True, eq=False)
class Trips:
    """Trips that a segment asks for, in the order in which they are asked.

    Arrays have shape (trip,) unless they say otherwise; times run from the start of the
    simulation. ValueError if shapes differ, a figure is not finite or out of order.
    """

    asked_s: Floats
    """When the trip becomes known [s]."""
    earliest_s: Floats
    """Nobody sets out on it before [s]."""
    deadline_s: Floats
    """Latest moment of service [s]."""
    at_arrival: Flags
    """Service is the arrival at the destination; else the pick-up at the origin."""
    origin_edge: Ints
    """Where it begins."""
    destination_edge: Ints
    """Where it ends."""
    dwell_s: Floats
    """The vehicle stands there afterwards before its next trip: unloading, layover [s]."""
    vehicle: Ints
    """Vehicle of the segment whose trip it is, -1 for whoever is sent."""
    tour: Ints
    """Trips of one vehicle with the same number follow each other as one tour; -1 none."""
    via: Ints
    """Edges to pass on the way in this order, -1 none, shape (trip, 3)."""

    def __post_init__(self) -> None:
        count = len(self.asked_s)
        for field in fields(self):
            array = getattr(self, field.name)
            shape = (count, VIA) if field.name == "via" else (count,)
            if array.shape != shape:
                raise ValueError(f"{field.name} has shape {array.shape}, not {shape}")
            if array.dtype != _TYPES[field.name]:
                raise ValueError(f"{field.name} holds {array.dtype}")
            if array.dtype == np.float64 and not (np.isfinite(array).all() and (array >= 0).all()):
                raise ValueError(f"{field.name} must be finite and not negative")
        if (np.diff(self.asked_s) < 0).any():
            raise ValueError(
                "asked_s must ascend: trips stand in the order in which they are asked"
            )
        if (self.earliest_s < self.asked_s).any() or (self.deadline_s < self.earliest_s).any():
            raise ValueError("each trip needs asked_s <= earliest_s <= deadline_s")
        if (np.minimum(self.origin_edge, self.destination_edge) < 0).any():
            raise ValueError("edges must not be negative")
        if (self.vehicle < -1).any() or (self.tour < -1).any() or (self.via < -1).any():
            raise ValueError("vehicle, tour and via must be -1 or more")

    def __len__(self) -> int:
        return len(self.asked_s)

    @classmethod
    def of(
        cls,
        *,
        asked_s: ArrayLike,
        earliest_s: ArrayLike,
        deadline_s: ArrayLike,
        origin_edge: ArrayLike,
        destination_edge: ArrayLike,
        at_arrival: ArrayLike = False,
        dwell_s: ArrayLike = 0.0,
        vehicle: ArrayLike = -1,
        tour: ArrayLike = -1,
        via: ArrayLike = -1,
    ) -> Self:
        """Return trips in any order as those in the order of asking; equal times keep theirs.

        Single values stand for all trips.
        """
        columns: dict[str, Any] = locals()
        count = np.size(asked_s)
        asked = np.broadcast_to(np.asarray(asked_s, np.float64), (count,))
        order = np.argsort(asked, kind="stable")
        arrays: dict[str, Any] = {}
        for name, dtype in _TYPES.items():
            shape = (count, VIA) if name == "via" else (count,)
            arrays[name] = np.broadcast_to(np.asarray(columns[name], dtype), shape)[order]
        return cls(**arrays)

    @classmethod
    def none(cls) -> Self:
        """Return no trips."""
        empty = np.zeros(0)
        return cls.of(
            asked_s=empty,
            earliest_s=empty,
            deadline_s=empty,
            origin_edge=empty,
            destination_edge=empty,
        )

    def take(self, chosen: NDArray[Any]) -> Self:
        """Return the trips at ascending indices or where a mask holds."""
        return type(self)(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def joined(parts: Sequence[Trips], first_vehicle: Sequence[int]) -> Trips:
    """Return the trips of several segments as those of one fleet.

    Parameters
    ----------
    parts
        Trips of each segment.
    first_vehicle
        Number in the fleet of each segment's vehicle 0; -1 stays whoever is sent, so whoever
        joins segments must remember from which one an open trip is.

    Returns
    -------
    Trips
        In the order of asking; at equal times in the order of `parts`.
    """
    if not parts:
        return Trips.none()
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in _TYPES
        if name != "vehicle"
    }
    vehicle = np.concatenate(
        [
            np.where(part.vehicle >= 0, part.vehicle + first, -1)
            for part, first in zip(parts, first_vehicle, strict=True)
        ]
    )
    return Trips.of(**columns, vehicle=vehicle)
