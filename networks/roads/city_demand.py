"""Where people of a made-up city live and work, and the trips that come of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from networks.roads.city import FINE, Plan
from networks.roads.network import FloatArray, RoadNetwork

_STREETS_BELOW_KMH = 70.0
"""Nothing stands at expressways."""
_SAMPLES = 8
_ROUNDS = 500
_CLOSE = 1e-12


def with_zones(roads: RoadNetwork, plan: Plan) -> RoadNetwork:
    r"""Return the network with zones, homes, jobs and a table of trips.

    Notes
    -----
    Zones are squares of arterial blocks; an edge belongs to the zone whose middle is nearest to
    its end, and trips that are counted for the zone as a whole start and end at the edge that ends
    nearest to the middle. Residents and jobs per area fall exponentially with the distance from
    the centre [1]_; none are in the park. Trips from home to work follow

    .. math:: T_{ij} = A_i B_j H_i W_j e^{-t_{ij} / \tau}

    with free-flow times t and balancing factors A, B that give every zone its residents' and its
    jobs' part of all trips [2]_. Within a zone t is half of the time to the next zone. As many go
    back over the day, so the table is the mean of T and its transpose.

    References
    ----------
    .. [1] C. Clark, "Urban population densities", Journal of the Royal Statistical Society A 114
       (1951) 490-496, doi:10.2307/2981088.
    .. [2] A. G. Wilson, "A statistical theory of spatial distribution models", Transportation
       Research 1 (1967) 253-269.
    """
    middle = _middles(plan)
    street = (roads.speed_mps * 3.6 < _STREETS_BELOW_KMH) & ~_ramps(roads)
    away = np.hypot(roads.end_x_m[:, None] - middle[:, 0], roads.end_y_m[:, None] - middle[:, 1])
    zone = np.where(street, away.argmin(axis=1), -1).astype(np.int32)
    edge = np.array([_nearest(away[:, z], zone == z) for z in range(len(middle))], np.int32)
    home = plan.get("demand.residents") * _spread(plan, plan.get("demand.home_fall_km"))
    jobs = plan.get("demand.residents") * plan.get("demand.jobs_per_resident")
    work = jobs * _spread(plan, plan.get("demand.work_fall_km"))
    times = roads.travel_time_s(edge, edge) / 60.0
    trips = plan.get("demand.trips_per_resident") * plan.get("demand.residents")
    return replace(
        roads,
        zone_ids=tuple(f"z{z // _across(plan)}x{z % _across(plan)}" for z in range(len(middle))),
        zone_edge=edge,
        edge_zone=zone,
        home_weight=home,
        work_weight=work,
        trip_table=trips * _day(home, work, times, plan.get("demand.deterrence_min")),
    )


def _across(plan: Plan) -> int:
    return plan.cells // int(plan.get("demand.zone_cells"))


def _middles(plan: Plan) -> FloatArray:
    """Middle of each zone on the ground [m], shape (zone, 2)."""
    size = FINE * plan.get("demand.zone_cells")
    lines = plan.along((np.arange(_across(plan)) + 0.5) * size)
    x, y = np.meshgrid(lines, lines, indexing="ij")
    return np.stack(plan.bent(x.ravel(), y.ravel()), axis=-1)


def _ramps(roads: RoadNetwork) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array(["ring" in edge or "radial" in edge for edge in roads.edge_ids])


def _nearest(away: FloatArray, mine: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    where = np.flatnonzero(mine)
    return int(where[away[where].argmin()])


def _spread(plan: Plan, fall_km: float) -> FloatArray:
    """Part of the city's people or jobs in each zone."""
    across, size = _across(plan), FINE * plan.get("demand.zone_cells")
    steps = (np.arange(across * _SAMPLES) + 0.5) * size / _SAMPLES
    lines, width = plan.along(steps), np.gradient(plan.along(steps))
    x, y = np.meshgrid(lines, lines, indexing="ij")
    x, y = plan.bent(x, y)
    density = np.exp(-np.hypot(x, y) / 1000.0 / fall_km) * ~plan.in_park(x, y)
    people = (density * width[:, None] * width[None, :]).reshape(across, _SAMPLES, across, _SAMPLES)
    zones = people.sum(axis=(1, 3)).ravel()
    return zones / zones.sum()


def _day(home: FloatArray, work: FloatArray, times_min: FloatArray, scale: float) -> FloatArray:
    """Doubly constrained gravity model, both ways; sums to 1."""
    between = times_min + np.where(np.eye(len(home), dtype=bool), np.inf, 0.0)
    minutes = np.where(np.eye(len(home), dtype=bool), between.min(axis=1)[:, None] / 2.0, times_min)
    out, into, pull = home / home.sum(), work / work.sum(), np.exp(-minutes / scale)
    rows, columns = np.ones(len(home)), np.ones(len(home))
    for _ in range(_ROUNDS):
        last, rows = rows, out / (pull @ columns)
        columns = into / (pull.T @ rows)
        if np.abs(rows / last - 1.0).max() < _CLOSE:
            break
    table = rows[:, None] * pull * columns[None, :]
    return (table + table.T) / 2.0
