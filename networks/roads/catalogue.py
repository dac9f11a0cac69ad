"""Road networks by name: those that ship, those that the user imported or made, and net files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosim.errors import TrafficError, UnknownOptionError, UserError
from networks.roads import shipped, store
from networks.roads.check import examine
from networks.roads.convert import file_sha256, node_lonlat
from networks.roads.importing import NETS
from networks.roads.netfile import parse, read_net
from networks.roads.network import RoadNetwork


@dataclass(frozen=True)
class Entry:
    """A network in the list."""

    name: str
    ships: bool
    edges: int
    km: float
    """Length of its edges together [km]."""
    source: str
    description: str


def names() -> dict[str, str]:
    """Return all networks that have a name, those that ship first, with a line about each."""
    return {entry.name: entry.description for entry in entries()}


def entries() -> tuple[Entry, ...]:
    """Return the figures of all networks that have a name, those that ship first."""
    found = [
        Entry(r.name, True, r.edges, r.km, r.source, r.description)
        for r in shipped.recipes().values()
    ]
    known = {entry.name for entry in found}
    for name in store.names():
        if name not in known:
            found.append(_stored(name))
    return tuple(found)


def _stored(name: str) -> Entry:
    try:
        about = store.read(store.folder() / name)
    except UserError:
        # One damaged folder must not hide all others; `load` says what is wrong with it.
        return Entry(name, False, 0, 0.0, "damaged: import it again", "damaged: import it again")
    line = f"{about.edges:,} edges, {about.km:,.0f} km, from {about.source}"
    return Entry(name, False, about.edges, about.km, about.source, line)


def find(name: str) -> str | Path:
    """Return what a scenario's ``traffic.roads`` refers to, without reading it.

    Returns
    -------
    str or Path
        The name of a network that ships, the folder of one that was imported or made, or a net
        file.

    Raises
    ------
    UserError
        If there is none; the message lists what there is and the nearest name.
    """
    recipes = shipped.recipes()
    if name in recipes:
        return name
    if name in store.names():
        return store.folder() / name
    path = Path(name)
    try:
        if name and store.held(path):
            return path
        if name and path.is_file():
            if name.endswith(NETS):
                return path
            raise UserError(f"{name} is no SUMO net ({' or '.join(NETS)}): import it, {_HOW}")
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror}") from None
    raise UnknownOptionError("road network", name, (*recipes, *store.names()))


_HOW = "`cosim roads import FILE`"


def load(name: str) -> RoadNetwork:
    """Return a road network; one that ships is made into a SUMO net at first use.

    Parameters
    ----------
    name
        A name of `names`, the folder of a network that was imported, or a SUMO net file in which
        every edge can be reached from every other.

    Raises
    ------
    UserError
        If there is no such network, or it is damaged or not connected.
    TrafficError
        If netconvert fails.
    """
    found = find(name)
    if isinstance(found, str):
        return shipped.load(shipped.recipes()[found])
    return _from_folder(found) if found.is_dir() else _from_file(found)


def _from_folder(place: Path) -> RoadNetwork:
    about = store.read(place)
    net_file = store.net_of(place, about)
    return read_net(
        net_file,
        name=about.name,
        node_lonlat=node_lonlat(net_file) if about.geographic else None,
        source=about.source,
        source_sha256=about.net_sha256,
    )


def _from_file(net_file: Path) -> RoadNetwork:
    try:
        net = parse(net_file)
        roads = read_net(net_file, net)
        verdict = examine(roads)
    except TrafficError as error:
        raise UserError(f"{net_file}: {error.reason}") from None
    except KeyError as error:
        raise UserError(f"{net_file}: a connection names {error}, which is absent") from None
    if not verdict.keep.all():
        raise UserError(
            f"{net_file} is not ready to drive on: {int((~verdict.keep).sum())} of "
            f"{len(verdict.keep)} edges cannot be reached and left again; {_HOW} drops them"
        )
    return read_net(
        net_file,
        net,
        node_lonlat=node_lonlat(net_file) if net.projected else None,
        source=net_file.name,
        source_sha256=file_sha256(net_file),
    )
