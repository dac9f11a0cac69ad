"""What the vehicles on the road have driven, read at the end of a settlement interval."""

from __future__ import annotations

import numpy as np

from adapters.sumo.drives import Drives
from adapters.sumo.engine import Sumo
from adapters.sumo.legs import Legs
from adapters.sumo.state import DRIVING, State
from adapters.sumo.tick import Floats, Progress, Work
from cosim.errors import TrafficError
from cosim.signals import TICK_S


def read(
    sumo: Sumo, legs: Legs, drives: Drives, state: State, pace: Floats, now: Work, patience_s: float
) -> None:
    """Add what the vehicles on the road drove.

    Parameters
    ----------
    sumo, legs, drives, state
        The simulation and what is on the road in it; `state` is changed in place.
    pace
        Speed of each vehicle relative to the limit, shape (vehicle,).
    now
        The tick; receives distances, and who has waited for room for longer than `patience_s`.
    patience_s
        Wait for room on the road that is reported [s].

    Raises
    ------
    TrafficError
        If SUMO lost a vehicle: one that drives, or one that still waits.
    """
    end = now.begin_s + TICK_S
    names = list(legs.on_road)
    vehicles = np.fromiter(legs.on_road.values(), np.int64, len(names))
    driving = state.phase[vehicles] == DRIVING
    rows = vehicles[driving]
    readable = [name for name, moves in zip(names, driving.tolist(), strict=True) if moves]
    waiting = vehicles[~driving]
    now.late += waiting[end - state.asked_s[waiting] >= patience_s].tolist()
    try:
        positions, metres = legs.odometers(readable)
        for vehicle in now.late:
            sumo.api.vehicle.getTypeID(state.leg_id(vehicle))
    except sumo.refusals as error:
        raise _lost(sumo, state, [*rows.tolist(), *now.late], error, now.tick) from error
    position = np.array(positions, np.int64) + state.before[rows]
    odometer_m = np.array(metres)
    if legs.on_edge:
        odometer_m += drives.entered_m[drives.first[rows] + position]
    ways_m = np.maximum(odometer_m, state.leg_m[rows])
    driven_m = ways_m - state.leg_m[rows]
    seconds = end - np.maximum(state.departed_s[rows], now.begin_s)
    now.stretches.append(
        Progress(
            first=drives.first[rows],
            from_position=state.position[rows],
            to_position=position,
            from_m=state.leg_m[rows],
            to_m=ways_m,
            seconds=seconds,
            pace=pace[rows],
        )
    )
    now.under_way_m[rows] = driven_m
    now.moved_m[rows] += driven_m
    now.moving_s[rows] += seconds
    state.still_s[rows] = np.where(driven_m > 0, 0.0, state.still_s[rows] + seconds)
    state.leg_m[rows] = ways_m
    state.position[rows] = position
    state.edge[rows] = drives.edge(rows, position)
    legs.read_energy(now)


def _lost(
    sumo: Sumo, state: State, vehicles: list[int], error: Exception, tick: int
) -> TrafficError:
    """Return the error that names the first vehicle that SUMO does not know."""
    lost = [v for v in vehicles if not sumo.knows(state.leg_id(v))]
    where = f"vehicle {lost[0]}" if lost else ""
    return TrafficError(str(error).strip(), where=where, tick=tick)
