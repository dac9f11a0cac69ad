"""The road networks that ship, by name."""

from __future__ import annotations

from pathlib import Path

from cosim.errors import UnknownOptionError
from networks.roads.convert import cached_net
from networks.roads.netfile import read_net
from networks.roads.network import RoadNetwork
from networks.roads.tables import read_tables

_HERE = Path(__file__).parent
_PROJECTION = ("--proj.utm", "true")


def names() -> dict[str, str]:
    """Return the networks that ship, with one line about each, in alphabetical order."""
    return {
        folder.name: read_tables(folder).description
        for folder in sorted(_HERE.iterdir())
        if (folder / "roads.toml").is_file()
    }


def load(name: str) -> RoadNetwork:
    """Return a shipped road network, converting it to a SUMO net at first use.

    Parameters
    ----------
    name
        One of `names`.

    Raises
    ------
    UserError
        If no such network ships; the message lists those that do.
    TrafficError
        If netconvert fails.
    """
    known = names()
    if name not in known:
        raise UnknownOptionError("road network", name, known)
    tables = read_tables(_HERE / name)
    nodes, edges, turns = tables.plain_xml()
    options = ["--node-files", "n.xml", "--edge-files", "e.xml", "--connection-files", "c.xml"]
    options += [*_PROJECTION, "--precision", "4", "--no-warnings", "true"]
    options += ["--no-internal-links", str(not tables.internal_links).lower()]
    net_file = cached_net(name, {"n.xml": nodes, "e.xml": edges, "c.xml": turns}, options)
    return read_net(
        net_file,
        name=name,
        node_lonlat=tables.lonlat(),
        zone_ids=tables.zone_ids,
        zone_edge_ids=tables.zone_edge_ids,
        trip_table=tables.trips,
        source=tables.source,
        source_sha256=tables.sha256,
    )
