"""What the vehicles did in one settlement interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Event = dict[str, Any]


@dataclass(frozen=True, eq=False)
class TrafficTick:
    """What the vehicles did in one settlement interval; fresh arrays over the vehicles."""

    vehicle_distance_km: Floats
    """Distance driven [km]."""
    vehicle_traction_kwh: Floats
    """Net energy that driving took from the battery [kWh]."""
    vehicle_driving_s: Floats
    """Time on the road [s]."""
    vehicle_busy_s: Floats
    """Time with an itinerary under way: driving, boarding, waiting to set out [s]."""
    vehicle_edge: NDArray[np.int32]
    """Edge where the vehicle is, or was last."""
    vehicle_driving: NDArray[np.bool_]
    """Whether an itinerary is under way at the end."""
    legs_completed: NDArray[np.int32]
    """Legs completed of the current or last itinerary."""
    leg_arrival_s: Floats
    """Simulation time at which each leg ended, shape (vehicle, leg), -1 if it has not [s]."""
    itinerary_refused: NDArray[np.bool_]
    """Whether this tick's itinerary cannot be driven."""
    background_vehicles: float
    """Vehicles of the background traffic on the road."""
    events: list[Event]
    """Trips, refusals, tows, teleports and late insertions, in the order of time."""


@dataclass(frozen=True, eq=False)
class Progress:
    """Stretches of ways that vehicles drove in a tick; arrays have shape (stretch,)."""

    first: Ints
    """Where in the flat arrays the way begins."""
    from_position: Ints
    """Edge of the way where the stretch begins."""
    to_position: Ints
    """Edge of the way where it ends."""
    from_m: Floats
    """Distance from the start of the way where it begins [m]."""
    to_m: Floats
    """Distance from the start of the way where it ends [m]."""
    seconds: Floats
    """Time that it took [s]."""
    pace: Floats
    """Speed of the vehicle relative to the limit."""


@dataclass(frozen=True, eq=False)
class Trips:
    """Legs that ended in a tick; arrays have shape (leg,)."""

    vehicle: Ints
    """Vehicle."""
    start_s: Floats
    """When the vehicle set out [s]."""
    end_s: Floats
    """When it arrived [s]."""
    origin: NDArray[np.int32]
    """Edge at whose end it set out."""
    edge: NDArray[np.int32]
    """Edge where it arrived."""
    via: NDArray[np.int32]
    """Edges that it was to pass, shape (leg, via), -1 none."""
    driving_s: Floats
    """Time on the road; the wait for room on it is not in it [s]."""
    total_m: Floats
    """Distance of the leg [m]."""
    now_m: Floats
    """Part of it driven in this tick [m]."""
    before_kwh: Floats
    """Energy drawn for the leg in earlier ticks [kWh]."""
    now_kwh: Floats
    """Energy drawn for it in this tick, where SUMO measures it [kWh]."""


Part = TypeVar("Part", Progress, Trips)


def joined(kind: type[Part], parts: Sequence[Part]) -> Part:
    """Return several parts as one."""
    columns: dict[str, Any] = {}
    for f in fields(kind):
        some = [getattr(part, f.name) for part in parts]
        columns[f.name] = np.concatenate(some) if some else np.zeros(0, np.int64)
    return kind(**columns)


@dataclass
class Work:
    """A tick in the making."""

    tick: int
    begin_s: float
    moved_m: Floats
    """Distance driven so far [m]."""
    moving_s: Floats
    """Time on the road so far [s]."""
    under_way_m: Floats
    """Part of the distance that belongs to legs not ended yet [m]."""
    drawn_kwh: Floats
    """Net energy drawn, where SUMO measures it [kWh]."""
    trips: list[Trips] = field(default_factory=list[Trips])
    """Legs that ended."""
    stretches: list[Progress] = field(default_factory=list[Progress])
    """What was driven on which ways."""
    stranded: list[tuple[float, int, int, str]] = field(
        default_factory=list[tuple[float, int, int, str]]
    )
    """Time [s], vehicle, edge and reason of legs for which there is no way."""
    late: list[int] = field(default_factory=list[int])
    """Vehicles that SUMO has had no room for, for long."""
    stuck: list[int] = field(default_factory=list[int])
    """Vehicles that have now stood on the road for long."""
    events: list[Event] = field(default_factory=list[Event])

    @classmethod
    def of(cls, tick: int, begin_s: float, count: int) -> Work:
        """Return a tick in which none of `count` vehicles has moved yet."""
        moved, moving, under_way, drawn = np.zeros((4, count))
        return cls(tick, begin_s, moved, moving, under_way, drawn)

    def add(self, kind: str, time_s: float, place: str, detail: str, **values: Any) -> None:
        """Note an event at `place`, an edge id; `values` are its other columns."""
        event: Event = {"time_s": time_s, "kind": kind, "place": place, **values}
        if detail:
            event["detail"] = detail
        self.events.append(event)
