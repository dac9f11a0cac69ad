"""Where every vehicle is and what it is about to do, as plain arrays outside SUMO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cosim.signals import LEGS, VIA

Floats = NDArray[np.float64]

IDLE, DUE, INSERTING, DRIVING, HELD = 0, 1, 2, 3, 4
"""Phases: no itinerary; a leg waits for its departure; SUMO waits for room; on the road; stands
before a closed road with the leg under way, and SUMO does not know it."""
UNDER_WAY = (INSERTING, DRIVING, HELD)
"""Phases in which a leg is under way."""


@dataclass(frozen=True, eq=False)
class State:
    """Arrays over the vehicles, changed in place from tick to tick."""

    phase: NDArray[np.int8]
    """IDLE, DUE, INSERTING, DRIVING or HELD."""
    edge: NDArray[np.int32]
    """Edge where the vehicle is, or was last."""
    stand_edge: NDArray[np.int32]
    """Edge at whose end the current leg began."""
    itinerary: NDArray[np.int32]
    """Edges to drive to, shape (vehicle, leg), -1 after the last."""
    via: NDArray[np.int32]
    """Edges to pass on each leg, shape (vehicle, leg, via), -1 none."""
    done: NDArray[np.int32]
    """Legs completed of the current or last itinerary."""
    arrival_s: Floats
    """When each leg ended, shape (vehicle, leg), -1 if it has not [s]."""
    due_s: Floats
    """When the next leg is to depart, inf if none waits [s]."""
    begun_s: Floats
    """When the leg under way was to set out [s]."""
    asked_s: Floats
    """When SUMO was asked to insert the vehicle of that leg [s]."""
    departed_s: Floats
    """When the leg under way departed [s]."""
    leg_m: Floats
    """Distance driven of the leg under way [m]."""
    position: NDArray[np.int64]
    """Position on that way of the edge where the vehicle is."""
    before: NDArray[np.int64]
    """Edges of that way that SUMO no longer counts, since it was changed on the way."""
    cut: NDArray[np.bool_]
    """Whether that way ends before a closed road, where the vehicle is to be held."""
    earlier_m: Floats
    """Distance of the leg up to where the vehicle was last held [m]."""
    earlier_s: Floats
    """Time on the road of the leg up to then [s]."""
    still_s: Floats
    """How long the vehicle on the road has not moved [s]."""
    leg_kwh: Floats
    """Energy drawn for the leg under way [kWh]."""
    warned: NDArray[np.bool_]
    """Whether it was reported that the leg cannot begin: no room, or no way."""
    number: NDArray[np.int64]
    """SUMO vehicles that this vehicle has been so far: ids are never used twice."""

    @classmethod
    def standing(cls, home_edge: NDArray[np.integer]) -> State:
        """Return the state of vehicles that stand idle at the ends of edges."""
        count = len(home_edge)
        return cls(
            phase=np.zeros(count, np.int8),
            edge=home_edge.astype(np.int32),
            stand_edge=home_edge.astype(np.int32),
            itinerary=np.full((count, LEGS), -1, np.int32),
            via=np.full((count, LEGS, VIA), -1, np.int32),
            done=np.zeros(count, np.int32),
            arrival_s=np.full((count, LEGS), -1.0),
            due_s=np.full(count, np.inf),
            begun_s=np.zeros(count),
            asked_s=np.zeros(count),
            departed_s=np.zeros(count),
            leg_m=np.zeros(count),
            position=np.zeros(count, np.int64),
            before=np.zeros(count, np.int64),
            cut=np.zeros(count, np.bool_),
            earlier_m=np.zeros(count),
            earlier_s=np.zeros(count),
            still_s=np.zeros(count),
            leg_kwh=np.zeros(count),
            warned=np.zeros(count, np.bool_),
            number=np.zeros(count, np.int64),
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays by name, for a checkpoint."""
        return {f.name: getattr(self, f.name).copy() for f in fields(self)}

    def take(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Set all arrays from those of a checkpoint; KeyError if one is missing."""
        for f in fields(self):
            getattr(self, f.name)[...] = arrays[f.name]

    def leg_id(self, vehicle: int) -> str:
        """Return the SUMO id of the leg under way."""
        return f"{vehicle}#{self.number[vehicle]}"
