"""Events of traffic, told from what happened in a tick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from adapters.sumo.drives import Drives
from adapters.sumo.engine import Heard
from adapters.sumo.state import State
from adapters.sumo.tick import Floats, Trips, Work
from adapters.sumo.via import detail_of
from cosim.signals import TICK_S


def trips(now: Work, ids: Sequence[str], ended: Trips, now_kwh: Floats) -> None:
    """Tell the legs that ended.

    Parameters
    ----------
    now
        The tick; receives the events.
    ids
        SUMO ids of the edges.
    ended
        The legs.
    now_kwh
        Energy drawn for each of them in this tick, shape (leg,) [kWh].
    """
    # Of the others the vehicle stood there already.
    drove = ended.total_m > 0
    columns = (
        ended.vehicle,
        ended.origin,
        ended.edge,
        ended.start_s,
        ended.end_s,
        ended.driving_s,
        ended.total_m / 1000.0,
        ended.before_kwh + now_kwh,
    )
    via = ended.via[drove]
    # Few legs are to pass edges.
    details = [detail_of(row, ids) for row in via.tolist()] if (via >= 0).any() else [{}] * len(via)
    for vehicle, origin, edge, start_s, end_s, driving_s, km, kwh, detail in zip(
        *(column[drove].tolist() for column in columns), details, strict=True
    ):
        now.events.append(
            {
                "time_s": end_s,
                "kind": "trip",
                "place": ids[edge],
                "vehicle": vehicle,
                "origin": ids[origin],
                "start_s": start_s,
                "driving_s": driving_s,
                "distance_km": km,
                "energy_kwh": kwh,
                **detail,
            }
        )


def waits(now: Work, ids: Sequence[str], state: State, drives: Drives) -> None:
    """Tell who has no way, has stood on the road for long, or has waited long for room on it."""
    end = now.begin_s + TICK_S
    for time_s, vehicle, edge, why in now.stranded:
        now.add("no_way", time_s, ids[edge], f"{why}; it waits", vehicle=vehicle)
    for vehicle in now.stuck:
        text = f"has not moved for {state.still_s[vehicle]:.0f} s"
        now.add("stuck", end, ids[int(state.edge[vehicle])], text, vehicle=vehicle)
    for vehicle in now.late:
        if not state.warned[vehicle]:
            state.warned[vehicle] = True
            text = f"no room on the road for {end - state.asked_s[vehicle]:g} s"
            edge = int(drives.edge(np.array([vehicle]), np.array([0]))[0])
            now.add("insertion_delayed", end, ids[edge], text, vehicle=vehicle)


def heard(now: Work, said: Heard) -> None:
    """Tell SUMO's warnings; background vehicles that it lifted over jams are one event a tick."""
    others = Counter(t.edge_id for t in said.teleports if "#" not in t.leg_id)
    for t in said.teleports:
        if "#" in t.leg_id:
            vehicle = int(t.leg_id.split("#")[0])
            now.add("teleport", t.time_s, t.edge_id, t.reason, vehicle=vehicle)
    if others:
        worst = min(others, key=lambda edge: (-others[edge], edge))
        text = f"background vehicles lifted over jams on {len(others)} edges, most of all here"
        value = float(others.total())
        now.add("background_teleports", now.begin_s, worst, text, value=value)
    for text in said.others:
        now.add("sumo_warning", now.begin_s, "", text)
