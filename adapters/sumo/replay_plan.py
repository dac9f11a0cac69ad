"""What replayed legs are to come to, and what became of them; plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.tick import Floats

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """What the legs under way come to; arrays over the vehicles, changed in place."""

    profile: Ints
    """Recorded leg that is driven again, -1 for one that is predicted."""
    way: Ints
    """Way of a predicted leg, by a number that holds in this process."""
    later_s: Floats
    """Own time less that of the record [s]."""
    ends_s: Floats
    """Arrival [s]."""
    total_m: Floats
    """Distance [m]."""
    total_kwh: Floats
    """Net energy without heating and cooling [kWh]."""
    bare_kwh: Floats
    """Part of it that has been drawn [kWh]."""

    @classmethod
    def empty(cls, count: int) -> Plan:
        """Return the plan of vehicles that stand."""
        later_s, ends_s, total_m, total_kwh, bare_kwh = np.zeros((5, count))
        profile, way = np.full(count, -1, np.int64), np.zeros(count, np.int64)
        return cls(profile, way, later_s, ends_s, total_m, total_kwh, bare_kwh)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of all arrays by name, for a checkpoint."""
        return {f"plan_{f.name}": getattr(self, f.name).copy() for f in fields(self)}

    def take(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Set all arrays from those of a checkpoint; KeyError if one is missing."""
        for f in fields(self):
            getattr(self, f.name)[...] = arrays[f"plan_{f.name}"]


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Legs that ended together; arrays over them."""

    vehicle: Ints
    """Vehicle."""
    origin: NDArray[np.int32]
    """Edge at whose end it set out."""
    target: NDArray[np.int32]
    """Edge where it arrived."""
    via: NDArray[np.int32]
    """Edges that it was led through, shape (leg, via), -1 none."""
    start_s: Floats
    """When it set out [s]."""
    end_s: Floats
    """When it arrived [s]."""
    driving_s: Floats
    """Time on the road [s]."""
    total_m: Floats
    """Distance [m]."""
    now_m: Floats
    """Part of the distance that was driven in this tick [m]."""
    before_kwh: Floats
    """Energy that was drawn for it in earlier ticks [kWh]."""
    now_kwh: Floats
    """Energy drawn in this tick, without heating and cooling [kWh]."""
