"""Reading SUMO net files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cosim.errors import TrafficError
from networks.roads.network import FloatArray, IntArray, RoadNetwork


def read_net(
    net_file: Path,
    *,
    name: str = "",
    node_lonlat: Mapping[str, tuple[float, float]] | None = None,
    zone_ids: tuple[str, ...] = (),
    zone_edge_ids: tuple[str, ...] = (),
    trip_table: FloatArray | None = None,
    source: str = "",
    source_sha256: str = "",
) -> RoadNetwork:
    """Read a SUMO net file that passenger vehicles may drive on.

    Parameters
    ----------
    net_file
        Uncompressed ``.net.xml``.
    node_lonlat
        Longitude and latitude [deg] of each node; edge ends are NaN where it is silent.
    zone_edge_ids
        For each zone the edge at whose end its trips start and end.

    Raises
    ------
    TrafficError
        If the file is not a SUMO net, or a zone's edge is not in it.
    """
    try:
        # Our own conversion or a net that the user gave to be run: not a stranger's upload.
        root = ET.parse(net_file).getroot()  # noqa: S314
    except (OSError, ET.ParseError) as error:
        raise TrafficError(f"cannot read the road network: {error}", where=str(net_file)) from error

    via = _internal_lanes(root)
    edges = [e for e in root.iter("edge") if e.get("function") is None and _lanes(e)]
    if root.tag != "net" or not edges:
        raise TrafficError("the file holds no road network", where=str(net_file))
    edge_ids = tuple(str(e.get("id")) for e in edges)
    index = {edge_id: i for i, edge_id in enumerate(edge_ids)}
    lanes = [_lanes(e) for e in edges]
    drivable = {str(lane.get("id")) for each in lanes for lane in each}
    node_ids = tuple(sorted({str(e.get(side)) for e in edges for side in ("from", "to")}))
    node = {node_id: i for i, node_id in enumerate(node_ids)}
    to_node = np.array([node[str(e.get("to"))] for e in edges], np.int32)

    turns: dict[tuple[int, int], tuple[float, float]] = {}
    for link in root.iter("connection"):
        pair = (str(link.get("from")), str(link.get("to")))
        ends = (f"{pair[0]}_{link.get('fromLane')}", f"{pair[1]}_{link.get('toLane')}")
        if drivable.issuperset(ends):
            # The first of several parallel connections counts, and of a turn that waits inside
            # the junction its first lane only: so does SUMO's own mesoscopic odometer.
            turns.setdefault((index[pair[0]], index[pair[1]]), via[str(link.get("via", ""))])
    pairs = sorted(turns)

    lonlat = node_lonlat or {}
    ends = np.array([lonlat.get(n, (np.nan, np.nan)) for n in node_ids])[to_node]
    unknown = [e for e in zone_edge_ids if e not in index]
    if unknown:
        raise TrafficError(f"zone edge {unknown[0]!r} is not in the net", where=str(net_file))
    return RoadNetwork(
        name=name or net_file.name,
        net_file=net_file,
        edge_ids=edge_ids,
        length_m=np.array([float(ls[0].get("length", "nan")) for ls in lanes]),
        speed_mps=np.array([float(ls[0].get("speed", "nan")) for ls in lanes]),
        lanes=np.array([len(ls) for ls in lanes], np.int32),
        node_ids=node_ids,
        from_node=np.array([node[str(e.get("from"))] for e in edges], np.int32),
        to_node=to_node,
        end_lon_deg=ends[:, 0].copy(),
        end_lat_deg=ends[:, 1].copy(),
        turn_from=_ints([a for a, _ in pairs]),
        turn_to=_ints([b for _, b in pairs]),
        turn_length_m=np.array([turns[p][0] for p in pairs], np.float64),
        turn_time_s=np.array([turns[p][1] for p in pairs], np.float64),
        zone_ids=zone_ids,
        zone_edge=_ints([index[e] for e in zone_edge_ids]),
        trip_table=trip_table,
        source=source,
        source_sha256=source_sha256,
    )


def _lanes(edge: ET.Element) -> list[ET.Element]:
    """Return the lanes that passenger vehicles may drive on."""
    return [lane for lane in edge.findall("lane") if _drivable(lane)]


def _drivable(lane: ET.Element) -> bool:
    allow, disallow = lane.get("allow"), (lane.get("disallow") or "").split()
    if allow is not None:
        return not {"passenger", "all"}.isdisjoint(allow.split())
    return {"passenger", "all"}.isdisjoint(disallow)


def _ints(values: list[int]) -> IntArray:
    return np.array(values, np.int32)


def _internal_lanes(root: ET.Element) -> dict[str, tuple[float, float]]:
    """Length [m] and free-flow time [s] of every lane inside a junction."""
    found: dict[str, tuple[float, float]] = {"": (0.0, 0.0)}
    for edge in root.iter("edge"):
        if edge.get("function") == "internal":
            for lane in edge.findall("lane"):
                length_m = float(lane.get("length", "nan"))
                time_s = length_m / float(lane.get("speed", "nan"))
                found[str(lane.get("id"))] = (length_m, time_s)
    return found
