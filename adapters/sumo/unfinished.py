"""Trips that the end of a run cuts off: without them a record would know only those that ended."""

from __future__ import annotations

import numpy as np

from adapters.sumo.state import DRIVING, UNDER_WAY, State
from adapters.sumo.tick import Event
from cosim.signals import TICK_S
from networks.roads import RoadNetwork


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
        on_road = state.phase[vehicle] == DRIVING
        driving_s = float(state.earlier_s[vehicle])
        driving_s += end_s - float(state.departed_s[vehicle]) if on_road else 0.0
        found.append(
            {
                "time_s": end_s,
                "kind": "trip_unfinished",
                "vehicle": vehicle,
                "origin": edges[state.stand_edge[vehicle]],
                "place": edges[state.itinerary[vehicle, state.done[vehicle]]],
                "start_s": float(state.begun_s[vehicle]),
                "driving_s": driving_s,
                "distance_km": float(state.leg_m[vehicle]) / 1000.0,
                "energy_kwh": float(state.leg_kwh[vehicle]),
                "detail": f"under way at the end of the run, on {edges[state.edge[vehicle]]}",
            }
        )
    return found
