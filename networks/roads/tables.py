"""A road network as tables: nodes, links and trips, and the rule that makes SUMO input of them.

The rule, whose figures stand in each network's ``roads.toml``:

- a link stands for a corridor: its length and free-flow time give its speed, its capacity the
  number of lanes, ``max(1, round(capacity / lane capacity))``;
- each zone gets a centroid node, joined to its network node by a two-way connector with enough
  lanes for the zone's trips in an hour, in the widest gap between the node's links;
- trips start and end at the end of the connector that leads to the centroid.
"""

from __future__ import annotations

import csv
import hashlib
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from networks.roads.network import FloatArray

EARTH_M_PER_DEG = 111_194.9
"""Length of a degree of a great circle on a sphere of 6371 km radius [m]."""
FILES = ("roads.toml", "nodes.csv", "links.csv", "trips.csv")


@dataclass(frozen=True)
class Link:
    """One directed corridor."""

    from_node: str
    to_node: str
    capacity_veh_per_h: float
    length_km: float
    free_flow_min: float


@dataclass(frozen=True, eq=False)
class RoadTables:
    """The tables of one network and the figures of its conversion rule."""

    description: str
    source: str
    lane_capacity_veh_per_h: float
    connector_length_m: float
    connector_speed_kmh: float
    internal_links: bool
    node_lonlat: dict[str, tuple[float, float]]
    links: tuple[Link, ...]
    trips: FloatArray
    sha256: str

    @property
    def zone_ids(self) -> tuple[str, ...]:
        """Zones: every node is one."""
        return tuple(self.node_lonlat)

    @property
    def zone_edge_ids(self) -> tuple[str, ...]:
        """For each zone the connector that leads to its centroid."""
        return tuple(f"in_{zone}" for zone in self.zone_ids)

    def lonlat(self) -> dict[str, tuple[float, float]]:
        """Longitude and latitude [deg] of every node of the net, centroids included."""
        return self.node_lonlat | {f"c_{zone}": self._centroid(zone) for zone in self.zone_ids}

    def lanes(self, flow_veh_per_h: float) -> int:
        """Lanes that carry a flow [vehicles/h]."""
        return max(1, round(flow_veh_per_h / self.lane_capacity_veh_per_h))

    def plain_xml(self) -> tuple[str, str, str]:
        """Return netconvert's node, edge and connection files."""
        nodes = "\n".join(
            f"  <node id={quoteattr(node)} x='{lon:.8f}' y='{lat:.8f}' type='priority'/>"
            for node, (lon, lat) in self.lonlat().items()
        )
        edges = [
            _edge(
                f"{link.from_node}_{link.to_node}",
                link.from_node,
                link.to_node,
                self.lanes(link.capacity_veh_per_h),
                link.length_km * 1000.0,
                link.length_km / link.free_flow_min * 60.0 / 3.6,
            )
            for link in self.links
        ]
        turns: list[str] = []
        per_hour = np.maximum(self.trips.sum(axis=0), self.trips.sum(axis=1))
        for zone, flow in zip(self.zone_ids, per_hour, strict=True):
            lanes = math.ceil(max(float(flow), 1.0) / self.lane_capacity_veh_per_h)
            size = (lanes, self.connector_length_m, self.connector_speed_kmh / 3.6)
            edges.append(_edge(f"in_{zone}", zone, f"c_{zone}", *size))
            edges.append(_edge(f"out_{zone}", f"c_{zone}", zone, *size))
            # Without these lines netconvert joins the two by a single lane.
            turns += [
                f"  <connection from={quoteattr(f'in_{zone}')} to={quoteattr(f'out_{zone}')}"
                f" fromLane='{lane}' toLane='{lane}'/>"
                for lane in range(lanes)
            ]
        return (
            f"<nodes>\n{nodes}\n</nodes>\n",
            "<edges>\n" + "\n".join(edges) + "\n</edges>\n",
            "<connections>\n" + "\n".join(turns) + "\n</connections>\n",
        )

    def _centroid(self, zone: str) -> tuple[float, float]:
        lon, lat = self.node_lonlat[zone]
        squeeze = math.cos(math.radians(lat))
        others = sorted({k.to_node for k in self.links if k.from_node == zone})
        bearings = sorted(
            math.atan2(self.node_lonlat[o][1] - lat, (self.node_lonlat[o][0] - lon) * squeeze)
            for o in others
        )
        turn = 2.0 * math.pi
        gaps = [
            ((after - before) % turn or turn, before)
            for before, after in zip(bearings, [*bearings[1:], *bearings[:1]], strict=True)
        ]
        width, start = max(gaps, default=(turn, 0.0))
        reach = self.connector_length_m / EARTH_M_PER_DEG
        angle = start + width / 2.0
        return lon + reach * math.cos(angle) / squeeze, lat + reach * math.sin(angle)


def read_tables(folder: Path) -> RoadTables:
    """Read the tables in `folder`: ``roads.toml``, ``nodes.csv``, ``links.csv``, ``trips.csv``."""
    digest = hashlib.sha256()
    for file in FILES:
        digest.update((folder / file).read_bytes())
    rule = tomllib.loads((folder / "roads.toml").read_text(encoding="utf-8"))
    nodes = {
        row["node"]: (float(row["lon_deg"]), float(row["lat_deg"]))
        for row in _rows(folder / "nodes.csv")
    }
    links = tuple(
        Link(
            row["from_node"],
            row["to_node"],
            float(row["capacity_veh_per_h"]),
            float(row["length_km"]),
            float(row["free_flow_min"]),
        )
        for row in _rows(folder / "links.csv")
    )
    trips = np.array(
        [[float(row[zone]) for zone in nodes] for row in _rows(folder / "trips.csv")], np.float64
    )
    return RoadTables(
        description=rule["description"],
        source=rule["source"],
        lane_capacity_veh_per_h=float(rule["lane_capacity_veh_per_h"]),
        connector_length_m=float(rule["connector_length_m"]),
        connector_speed_kmh=float(rule["connector_speed_kmh"]),
        internal_links=bool(rule["internal_links"]),
        node_lonlat=nodes,
        links=links,
        trips=trips,
        sha256=digest.hexdigest(),
    )


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _edge(edge_id: str, start: str, end: str, lanes: int, length_m: float, speed_mps: float) -> str:
    return (
        f"  <edge id={quoteattr(edge_id)} from={quoteattr(start)} to={quoteattr(end)}"
        f" numLanes='{lanes}' length='{length_m:.2f}' speed='{speed_mps:.6f}'/>"
    )
