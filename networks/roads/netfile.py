"""Reading SUMO net files, plain or compressed."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cosim.errors import TrafficError
from networks.roads.network import FloatArray, IntArray, RoadNetwork

_NO_PROJECTION = ("", "!", "-")


@dataclass(frozen=True)
class Street:
    """An edge that passenger cars may use, as the file has it."""

    edge_id: str
    from_node: str
    to_node: str
    length_m: float
    speed_mps: float
    lanes: int


@dataclass
class NetFile:
    """What a net file holds."""

    projected: bool = False
    """Whether places can be turned into longitude and latitude."""
    interiors: bool = False
    """Whether junctions have lanes inside."""
    streets: list[Street] = field(default_factory=list[Street])
    closed: dict[str, float] = field(default_factory=dict[str, float])
    """Length [m] of each edge that passenger cars may not use."""
    node_xy: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    signalled: int = 0
    drivable: set[str] = field(default_factory=set[str])
    """Lanes that passenger cars may use."""
    inside: dict[str, tuple[float, float]] = field(
        default_factory=lambda: {"": (0.0, 0.0)},
    )
    """Length [m] and free-flow time [s] of every lane inside a junction."""
    links: list[tuple[str, str, str, str, str]] = field(
        default_factory=list[tuple[str, str, str, str, str]]
    )
    """From edge, to edge, from lane, to lane, lane inside the junction."""


def read_net(
    net_file: Path,
    net: NetFile | None = None,
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
        ``.net.xml`` or ``.net.xml.gz``.
    net
        What the file holds, if it was parsed already.
    node_lonlat
        Longitude and latitude [deg] of each node; edge ends are NaN where it is silent.
    zone_edge_ids
        For each zone the edge at whose end its trips start and end.

    Raises
    ------
    TrafficError
        If the file is not a SUMO net, or a zone's edge is not in it.
    """
    net = net or parse(net_file)
    if not net.streets:
        raise TrafficError("the file holds no road network", where=str(net_file))
    edge_ids = tuple(street.edge_id for street in net.streets)
    index = {edge_id: i for i, edge_id in enumerate(edge_ids)}
    node_ids = tuple(sorted({n for s in net.streets for n in (s.from_node, s.to_node)}))
    node = {node_id: i for i, node_id in enumerate(node_ids)}
    to_node = _ints([node[s.to_node] for s in net.streets])

    turns: dict[tuple[int, int], tuple[float, float]] = {}
    for before, after, lane, to_lane, via in net.links:
        if net.drivable.issuperset((f"{before}_{lane}", f"{after}_{to_lane}")):
            # The first of several parallel connections counts, and of a turn that waits inside
            # the junction its first lane only: so does SUMO's own mesoscopic odometer.
            turns.setdefault((index[before], index[after]), net.inside[via])
    pairs = sorted(turns)

    unknown = [e for e in zone_edge_ids if e not in index]
    if unknown:
        raise TrafficError(f"zone edge {unknown[0]!r} is not in the net", where=str(net_file))
    lonlat = _places(node_lonlat or {}, node_ids)[to_node]
    xy = _places(net.node_xy, node_ids)[to_node]
    return RoadNetwork(
        name=name or net_file.name,
        net_file=net_file,
        edge_ids=edge_ids,
        length_m=np.array([s.length_m for s in net.streets]),
        speed_mps=np.array([s.speed_mps for s in net.streets]),
        lanes=_ints([s.lanes for s in net.streets]),
        node_ids=node_ids,
        from_node=_ints([node[s.from_node] for s in net.streets]),
        to_node=to_node,
        end_x_m=xy[:, 0].copy(),
        end_y_m=xy[:, 1].copy(),
        end_lon_deg=lonlat[:, 0].copy(),
        end_lat_deg=lonlat[:, 1].copy(),
        turn_from=_ints([a for a, _ in pairs]),
        turn_to=_ints([b for _, b in pairs]),
        turn_length_m=np.array([turns[p][0] for p in pairs], np.float64),
        turn_time_s=np.array([turns[p][1] for p in pairs], np.float64),
        zone_ids=zone_ids,
        zone_edge=_ints([index[e] for e in zone_edge_ids]),
        trip_table=trip_table,
        signalled_nodes=net.signalled,
        source=source,
        source_sha256=source_sha256,
    )


def parse(net_file: Path) -> NetFile:
    """Return what a net file holds; TrafficError if it is not one."""
    net = NetFile()
    try:
        for element in _children(net_file):
            _take(net, element)
    except (OSError, EOFError, zlib.error, ET.ParseError, ValueError) as error:
        raise TrafficError(f"cannot read the road network: {error}", where=str(net_file)) from error
    return net


def _children(net_file: Path) -> Iterator[ET.Element]:
    """Yield the elements of the net one by one and drop each: a city's tree takes a gigabyte."""
    opened = gzip.open if net_file.suffix == ".gz" else open
    with opened(net_file, "rb") as stream:
        # Our own conversion or a net that the user gave to be run: not a stranger's upload.
        events = ET.iterparse(stream, ("start", "end"))  # noqa: S314
        _, root = next(events)
        if root.tag != "net":
            raise ValueError(f"the file holds <{root.tag}>, no road network")
        depth = 0
        for event, element in events:
            depth += 1 if event == "start" else -1
            if depth == 0 and event == "end":
                yield element
                root.clear()


def _take(net: NetFile, element: ET.Element) -> None:
    if element.tag == "edge":
        _take_edge(net, element)
    elif element.tag == "connection":
        link = [element.get(key, "") for key in ("from", "to", "fromLane", "toLane", "via")]
        net.links.append((link[0], link[1], link[2], link[3], link[4]))
    elif element.tag == "junction" and element.get("type") != "internal":
        place = float(element.get("x", "nan")), float(element.get("y", "nan"))
        net.node_xy[element.get("id", "")] = place
        net.signalled += element.get("type", "").startswith("traffic_light")
    elif element.tag == "location":
        net.projected = element.get("projParameter", "") not in _NO_PROJECTION


def _take_edge(net: NetFile, edge: ET.Element) -> None:
    function, edge_id = edge.get("function"), edge.get("id", "")
    if function == "internal":
        net.interiors = True
        for lane in edge.findall("lane"):
            length_m, speed_mps = _size(lane)
            time_s = length_m / speed_mps if speed_mps > 0.0 else np.inf
            net.inside[lane.get("id", "")] = (length_m, time_s)
    elif function in (None, "normal", "connector"):
        lanes = edge.findall("lane")
        open_lanes = [lane for lane in lanes if _drivable(lane)]
        if open_lanes:
            ends = edge.get("from", ""), edge.get("to", "")
            net.streets.append(Street(edge_id, *ends, *_size(open_lanes[0]), len(open_lanes)))
            net.drivable.update(lane.get("id", "") for lane in open_lanes)
        else:
            net.closed[edge_id] = _size(lanes[0])[0] if lanes else 0.0


def _size(lane: ET.Element) -> tuple[float, float]:
    return float(lane.get("length", "nan")), float(lane.get("speed", "nan"))


def _drivable(lane: ET.Element) -> bool:
    allow, disallow = lane.get("allow"), (lane.get("disallow") or "").split()
    if allow is not None:
        return not {"passenger", "all"}.isdisjoint(allow.split())
    return {"passenger", "all"}.isdisjoint(disallow)


def _places(places: Mapping[str, tuple[float, float]], node_ids: Sequence[str]) -> FloatArray:
    return np.array([places.get(n, (np.nan, np.nan)) for n in node_ids], np.float64)


def _ints(values: list[int]) -> IntArray:
    return np.array(values, np.int32)
