"""Legs that are cut off, by a tow or by the end of a run: a record is to know these too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.sumo.state import DRIVING, UNDER_WAY, State
from adapters.sumo.tick import Event
from cosim.signals import TICK_S
from networks.roads import RoadNetwork


def so_far(state: State, edge_ids: Sequence[str], vehicle: int, time_s: float) -> Event:
    """Return origin, begin, time on the road, distance and energy of a vehicle's leg by `time_s`.

    Of a vehicle that has no leg under way they say that it stands where it is.
    """
    phase = state.phase[vehicle]
    under_way = phase in UNDER_WAY
    driving_s = float(state.earlier_s[vehicle]) if under_way else 0.0
    if phase == DRIVING:
        driving_s += time_s - float(state.departed_s[vehicle])
    return {
        "origin": edge_ids[(state.stand_edge if under_way else state.edge)[vehicle]],
        "start_s": float(state.begun_s[vehicle]) if under_way else time_s,
        "driving_s": driving_s,
        "distance_km": float(state.leg_m[vehicle]) / 1000.0 if under_way else 0.0,
        "energy_kwh": float(state.leg_kwh[vehicle]) if under_way else 0.0,
    }


def unfinished(state: State, roads: RoadNetwork, tick: int) -> list[Event]:
    """Return an event ``trip_unfinished`` for every leg under way at the end of the last tick.

    Parameters
    ----------
    state
        The vehicles at the end of the tick.
    roads
        Road network.
    tick
        The last settlement interval of the run.

    Returns
    -------
    list
        As events ``trip``: `place` is the edge that the vehicle drives to, `detail` says where it
        is; distance, energy and time on the road are those so far.
    """
    end_s = float((tick + 1) * TICK_S)
    found: list[Event] = []
    edges = roads.edge_ids
    for vehicle in np.flatnonzero(np.isin(state.phase, UNDER_WAY)).tolist():
        found.append(
            {
                "time_s": end_s,
                "kind": "trip_unfinished",
                "vehicle": vehicle,
                "place": edges[state.itinerary[vehicle, state.done[vehicle]]],
                **so_far(state, edges, vehicle, end_s),
                "detail": f"under way at the end of the run, on {edges[state.edge[vehicle]]}",
            }
        )
    return found
