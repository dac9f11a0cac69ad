"""How recorded legs went on: where they were, and what they had drawn, at the end of each tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.record import TOWED, Record, ticks_of
from adapters.sumo.tick import Floats
from cosim.signals import TICK_S
from networks.vehicles import climate_load, models

Ints = NDArray[np.int64]


def climate_kwh(record: Record) -> Floats:
    """Return what heating and cooling drew in each tick, shape (tick, vehicle) [kWh]."""
    power_kw = np.zeros((record.ticks, len(record.vehicle_ids)))
    names = np.array(record.body_type)
    known = {spec.name: spec for spec in models()}
    for name in sorted(set(record.body_type)):
        power = np.asarray(climate_load(known[name]).power_kw(record.ambient_c), np.float64)
        power_kw[:, names == name] = power[:, None]
    return power_kw * record.tick_driving_s / 3600.0


def _before(record: Record, what: Floats) -> Floats:
    """Return what each leg's vehicle had on its meter when the leg began."""
    order = np.lexsort((record.end_s, record.vehicle))
    vehicle = record.vehicle[order]
    total = np.cumsum(what[order]) - what[order]
    first = np.flatnonzero(np.concatenate([[True], vehicle[1:] != vehicle[:-1]]))
    lengths = np.diff(np.append(first, len(order)))
    found = np.empty(len(order))
    found[order] = total - np.repeat(total[first], lengths)
    return found


@dataclass(frozen=True, eq=False)
class Profiles:
    """Knots of the recorded legs, one leg after the other; towed legs are left out.

    Each leg has a knot at its begin, at the end of every tick that it was under way in, and at its
    end. Energies are without heating and cooling.
    """

    leg: Ints
    """Leg of the record of each profile."""
    first: Ints
    """First knot of each profile, and after the last profile the number of knots."""
    time_s: Floats
    """Time of each knot [s]."""
    km: Floats
    """Distance since the begin [km]."""
    kwh: Floats
    """Net energy since the begin [kWh]."""
    edge: NDArray[np.int32]
    """Edge where the vehicle was."""

    @classmethod
    def of(cls, record: Record) -> Profiles:
        """Return the knots of a record.

        Notes
        -----
        A vehicle drives one leg after the other, so its meters less those of its earlier legs say
        how far the leg under way had come. Heating and cooling of a tick belong to its legs by
        distance.
        """
        leg = np.flatnonzero(record.ending != TOWED)
        vehicle = record.vehicle[leg]
        first_tick = ticks_of(record.start_s[leg])
        inner = ticks_of(record.end_s[leg]) - first_tick
        size = inner + 2
        first = np.concatenate([[0], np.cumsum(size)])
        of_leg = np.repeat(np.arange(len(leg)), size)
        place = np.arange(first[-1]) - first[of_leg]
        begin, end = place == 0, place == size[of_leg] - 1
        middle = ~begin & ~end
        tick = first_tick[of_leg] + place - 1
        rows, whose = tick[middle], vehicle[of_leg[middle]]

        time_s = (tick + 1.0) * TICK_S
        time_s[begin], time_s[end] = record.start_s[leg], record.end_s[leg]
        edge = np.empty(len(of_leg), np.int32)
        edge[begin], edge[end] = record.origin[leg], record.target[leg]
        edge[middle] = record.tick_edge[rows, whose]
        meters: list[Floats] = []
        totals = (record.distance_km, record.energy_kwh)
        for total, by_tick in zip(
            totals, (record.tick_distance_km, record.tick_traction_kwh), strict=True
        ):
            meter = np.zeros(len(of_leg))
            meter[middle] = np.cumsum(by_tick, axis=0)[rows, whose]
            meter[middle] -= _before(record, total)[leg][of_leg[middle]]
            meter[end] = total[leg]
            meters.append(meter)
        km, kwh = meters
        km = np.clip(km, 0.0, record.distance_km[leg][of_leg])
        kwh = kwh - _heating(record, km, of_leg, begin, tick, vehicle)
        return cls(leg, first, time_s, km, kwh, edge)

    def at(self, profile: Ints, time_s: Floats) -> tuple[Floats, Floats, NDArray[np.int32]]:
        """Return distance [km], energy [kWh] and edge of legs at times between begin and end.

        Between two knots both go evenly, and the edge is that of the earlier one.
        """
        first = self.first[profile]
        passed = ticks_of(time_s) - ticks_of(self.time_s[first])
        left = np.clip(first + passed, first, self.first[profile + 1] - 2)
        begin_s, end_s = self.time_s[left], self.time_s[left + 1]
        span = np.maximum(end_s - begin_s, 1e-9)
        share = np.clip((time_s - begin_s) / span, 0.0, 1.0)
        km = self.km[left] + share * (self.km[left + 1] - self.km[left])
        kwh = self.kwh[left] + share * (self.kwh[left + 1] - self.kwh[left])
        return km, kwh, self.edge[left]


def _heating(
    record: Record,
    km: Floats,
    of_leg: Ints,
    begin: NDArray[np.bool_],
    tick: Ints,
    vehicle: Ints,
) -> Floats:
    """Return what heating and cooling had drawn at each knot since the leg began [kWh]."""
    by_tick = climate_kwh(record)
    found = np.zeros(len(km))
    if not by_tick.any():
        return found
    part = np.flatnonzero(~begin)
    # The part before a leg's last knot lies in the tick after that of the knot before.
    rows, whose = np.minimum(tick[part], record.ticks - 1), vehicle[of_leg[part]]
    of_tick = record.tick_distance_km[rows, whose]
    share = np.divide(km[part] - km[part - 1], of_tick, out=np.ones(len(part)), where=of_tick > 0)
    # A leg that was cut off has nothing after the last tick.
    share[tick[part] >= record.ticks] = 0.0
    found[part] = by_tick[rows, whose] * np.clip(share, 0.0, 1.0)
    total = np.cumsum(found)
    return total - total[np.flatnonzero(begin)][of_leg]
