"""What the fleet remembers of its vehicles from tick to tick, and the journal of what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.signals import FIXED_DIMS, LEGS
from cosim.team import Flags, Floats, Ints, Status


@dataclass(frozen=True)
class Feedback:
    """What the tick before left behind; fields are the signals of the same name."""

    vehicle_edge: Ints
    vehicle_driving: Flags
    legs_completed: Ints
    leg_arrival_s: Floats
    itinerary_refused: Flags
    vehicle_power_kw: Floats
    battery_traction_kwh: Floats
    traction_shortfall_kwh: Floats
    vehicle_soc: Floats
    vehicle_charge_limit_kw: Floats
    vehicle_discharge_limit_kw: Floats
    station_draw_withheld: Floats
    station_feed_withheld: Floats
    vehicle_called: Flags
    vehicle_call_kw: Floats
    vehicle_cleared_kw: Floats


@dataclass(frozen=True)
class Orders:
    """What the team decided; fields are the signals of the same name."""

    request_vehicle: Ints
    vehicle_goto_station: Ints
    vehicle_charge_kw: Floats
    vehicle_target_soc: Floats
    vehicle_bid_usd_per_mwh: Floats
    vehicle_ask_usd_per_mwh: Floats
    vehicle_via_edge: Ints


@dataclass(frozen=True, eq=False)
class State:
    """Arrays over the vehicles, changed in place from tick to tick."""

    status: NDArray[np.int8]
    """A `Status`."""
    station: Ints
    """Station that the vehicle drives to, waits at or holds a port of; -1 for none."""
    request: Ints
    """Request under way, -1 for none."""
    loaded_leg: Ints
    """Leg of the itinerary that takes the request to its destination."""
    since_s: Floats
    """When the present status of a queued, plugged or towed vehicle began [s]."""
    session_kwh: Floats
    """Energy of the charging session under way [kWh]."""
    ready_s: Floats
    """When the vehicle may set out on its next own trip: unloading and layover end then [s]."""
    place_edge: Ints
    """Where the vehicle's own trips have taken it, whatever it does between them."""
    missed: Flags
    """Whether its last own trip did not take place, or not to the end."""
    flat: Flags
    """Whether it was towed and has not charged since."""

    @classmethod
    def standing(cls, home_edge: Ints) -> State:
        """Return the state of idle vehicles at the ends of edges."""
        count = len(home_edge)
        return cls(
            status=np.full(count, Status.IDLE, dtype=np.int8),
            station=np.full(count, -1, dtype=np.int32),
            request=np.full(count, -1, dtype=np.int32),
            loaded_leg=np.zeros(count, dtype=np.int32),
            since_s=np.zeros(count),
            session_kwh=np.zeros(count),
            ready_s=np.zeros(count),
            place_edge=home_edge.astype(np.int32),
            missed=np.zeros(count, dtype=np.bool_),
            flat=np.zeros(count, dtype=np.bool_),
        )

    @property
    def holds(self) -> Ints:
        """Station whose port each vehicle holds, -1 for none."""
        return np.where(self.status == Status.PLUGGED, self.station, -1).astype(np.int32)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays by name, for a checkpoint."""
        return {f.name: getattr(self, f.name).copy() for f in fields(self)}

    def take(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Set all arrays from those of a checkpoint; KeyError if one is missing."""
        for f in fields(self):
            getattr(self, f.name)[...] = arrays[f.name]


@dataclass(frozen=True, eq=False)
class Itineraries:
    """New itineraries of a tick; fields are the signals of the same name."""

    itinerary_edge: Ints
    itinerary_via_edge: Ints
    itinerary_start_s: Floats

    @classmethod
    def none(cls, count: int) -> Itineraries:
        """Return no itinerary for `count` vehicles."""
        return cls(
            itinerary_edge=np.full((count, LEGS), -1, dtype=np.int32),
            itinerary_via_edge=np.full((count, LEGS, FIXED_DIMS["via"]), -1, dtype=np.int32),
            itinerary_start_s=np.zeros(count),
        )


class Journal:
    """Events of the tick under way."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def note(self, kind: str, time_s: float, **values: Any) -> None:
        """Add an event; columns without a value are left out."""
        self.events.append(
            {"kind": kind, "time_s": time_s, **{k: v for k, v in values.items() if v is not None}}
        )

    def refuse(self, time_s: float, reason: str, **who: int) -> None:
        """Note that an order of the team cannot be carried out."""
        self.note("decision_refused", time_s, detail=reason, **who)
