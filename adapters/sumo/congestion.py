"""How other people's traffic slows a network: speed over free-flow speed by share of capacity.

``python -m adapters.sumo.congestion siouxfalls`` prints the table of the README.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

import networks.roads
import networks.vehicles
from adapters.sumo.background import trips
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.tick import Floats
from cosim.scenario import Scenario
from cosim.signals import LEGS
from networks.demand.background import LANE_CAPACITY_PER_H
from networks.roads import RoadNetwork
from networks.roads.programs import libsumo

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of capacity that are compared."""
START = "15:00"
"""On a weekday the hour after the next is the busiest: the first fills the roads."""
_FIRST, _LAST = 12, 24


def on_edges(roads: RoadNetwork) -> tuple[Floats, Floats]:
    """Return the vehicles on each edge of the simulation, and their speed over its limit."""
    api = libsumo().edge
    count = [api.getLastStepVehicleNumber(name) for name in roads.edge_ids]
    speed_mps = [api.getLastStepMeanSpeed(name) for name in roads.edge_ids]
    return np.array(count, np.float64), np.array(speed_mps) / roads.speed_mps


def slowdown(roads: RoadNetwork, share: float, start: str = START) -> tuple[float, float, float]:
    """Return what one share does to an hour of a weekday.

    Parameters
    ----------
    roads
        Road network.
    share
        Background traffic, as a share of capacity.
    start
        Time of day at which the roads are empty; the hour after the next is measured.

    Returns
    -------
    tuple
        Free-flow time over time spent, of all vehicles on the road; the same by the curve of the
        Bureau of Public Roads, ``t = t0 (1 + 0.15 (v / c)^4)``, at the volumes that the edges
        carried; vehicles that wait for room on the road at the end of the hour.
    """
    wish = {"roads": roads.name, "background": {"share_of_capacity": share}}
    at = {"start": f"2022-09-14 {start}", "duration": "2h", "traffic": wish}
    found = trips(Scenario.model_validate(at), roads)
    specs = list(networks.vehicles.load().values())
    traffic = MesoTraffic(
        roads, specs, np.zeros(1, int), np.zeros(1, int), seed=1, background=found
    )
    nowhere = np.full((1, LEGS), -1), np.zeros(1), np.full(1, -1)
    flow = np.zeros(len(roads.edge_ids))
    spent = waiting = 0.0
    try:
        for tick in range(_LAST):
            traffic.advance(tick, *nowhere)
            if tick >= _FIRST:
                there, pace = on_edges(roads)
                spent += float(there.sum())
                flow = flow + there * pace * roads.speed_mps / roads.length_m * 3600.0
        waiting = float(len(libsumo().simulation.getPendingVehicles()))
    finally:
        traffic.close()
    flow /= _LAST - _FIRST
    free = flow * roads.length_m / roads.speed_mps / 3600.0
    load = flow / (LANE_CAPACITY_PER_H * roads.lanes)
    published = free.sum() / (free * (1.0 + 0.15 * load**4)).sum()
    return float(free.sum()) / (spent / (_LAST - _FIRST)), float(published), waiting


def main() -> None:
    """Print the table of the networks that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m adapters.sumo.congestion", description=__doc__)
    parser.add_argument("roads", nargs="+", help="names of `cosim roads`")
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--start", default=START, help="the hour after the next is measured")
    wanted = parser.parse_args()
    head = "| roads | share of capacity | speed over free flow | by the curve | wait for room |"
    sys.stdout.write(f"{head}\n|---|---|---|---|---|\n")
    for name in wanted.roads:
        roads = networks.roads.load(name)
        for share in wanted.shares:
            speed, curve, waiting = slowdown(roads, share, wanted.start)
            sys.stdout.write(
                f"| {name} | {share:g} | {speed:.3f} | {curve:.3f} | {waiting:,.0f} |\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
