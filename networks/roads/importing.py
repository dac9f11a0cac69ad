"""Roads from anywhere: OpenStreetMap extracts, SUMO nets and made-up towns become named networks.

Each way ends in `_keep`: read the net, drop what cars cannot use, look again, see that SUMO takes
it, and only then write it to the store.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cosim.errors import TrafficError, UserError
from networks.roads import osm, shipped, store
from networks.roads.check import Group, doubtful, examine, together
from networks.roads.convert import file_sha256
from networks.roads.netfile import NetFile, parse, read_net
from networks.roads.network import RoadNetwork
from networks.roads.programs import run_program, sumo_version

NETS = (".net.xml", ".net.xml.gz")
OSM_OPTIONS = (
    *("--geometry.remove", "true", "--ramps.guess", "true", "--junctions.join", "true"),
    *("--tls.guess-signals", "true", "--tls.discard-simple", "true", "--tls.join", "true"),
    *("--keep-edges.by-vclass", "passenger"),
)
"""How netconvert treats an extract: bends are shapes, parts of one crossing are one junction."""
LEAST_EDGES = 2
_ROUNDS = 5
"""Looks at a net: taking edges away may take turns away."""


@dataclass(frozen=True)
class Origin:
    """Where a network is from."""

    kind: str
    name: str
    sha256: str
    options: tuple[str, ...]
    ways_left_out: tuple[tuple[str, int], ...] = ()


def import_file(file: Path, name: str = "", *, replace: bool = False) -> store.About:
    """Import an OpenStreetMap extract or a SUMO net as a named network.

    Parameters
    ----------
    file
        ``.osm``, ``.osm.gz``, ``.osm.bz2``, ``.net.xml`` or ``.net.xml.gz``.
    name
        Name that scenarios refer to; after the file if left out.
    replace
        Whether a network of that name that was imported or made before gives way.

    Returns
    -------
    About
        Its figures, what was dropped and what is doubtful.

    Raises
    ------
    UserError
        If the file cannot be used or the name is taken; nothing is written then.
    """
    extract = _is_extract(file)
    chosen = name or store.suggested(file.name)
    _check_name(chosen, replace=replace)
    with tempfile.TemporaryDirectory(prefix="voltstep-roads-") as folder:
        work = Path(folder)
        if extract:
            net, origin = _converted(file, work)
        else:
            net, origin = _given(file, work)
        return _keep(net, origin, chosen, work, replace=replace)


def keep_generated(
    kind: str, said: str, options: Sequence[str], name: str, *, replace: bool = False
) -> store.About:
    """Make a net with netgenerate and keep it as a named network.

    Parameters
    ----------
    kind, said
        Its shape, and its shape, size and seed in a line.
    options
        Options of netgenerate.
    name, replace
        As for `import_file`.

    Raises
    ------
    UserError
        If the name is taken, or the options leave no connected roads.
    """
    _check_name(name, replace=replace)
    with tempfile.TemporaryDirectory(prefix="voltstep-roads-") as folder:
        work = Path(folder)
        output = ("--output-file", "made.net.xml", "--no-warnings", "true")
        try:
            run_program("netgenerate", [*options, *output], work)
        except TrafficError as error:
            raise UserError(f"{error.reason}") from None
        origin = Origin(kind, f"netgenerate, {said}", "", tuple(options))
        return _keep(work / "made.net.xml", origin, name, work, replace=replace)


def _is_extract(file: Path) -> bool:
    low = file.name.lower()
    if low.endswith(osm.BINARY):
        raise UserError(
            f"{file} is a binary extract, which SUMO's netconvert cannot read: convert it with "
            f"`osmium cat {file.name} -o {file.name.split('.')[0]}.osm.gz` (or osmconvert) "
            "and import that"
        )
    if not low.endswith((*osm.PLAIN, *NETS)):
        raise UserError(f"{file} must end in one of {', '.join((*osm.PLAIN, *NETS))}")
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise UserError(f"{file} {what}")
    try:
        size = file.stat().st_size
        file.open("rb").close()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    if size == 0:
        raise UserError(f"{file} is empty")
    return low.endswith(osm.PLAIN)


def _check_name(name: str, *, replace: bool) -> None:
    store.check_name(name)
    if name in shipped.recipes():
        raise UserError(f"{name} is a network that ships: --name gives another name")
    store.check_free(name, replace=replace)


def _converted(file: Path, work: Path) -> tuple[Path, Origin]:
    ways = osm.scan(file)
    options = ["--osm-files", str(osm.decompressed(file, work))]
    options += ["--type-files", str(osm.typemap()), *OSM_OPTIONS, "--no-warnings", "true"]
    try:
        run_program("netconvert", [*options, "--output-file", "raw.net.xml"], work)
    except TrafficError as error:
        raise UserError(f"{file} makes no road network: {error.reason}") from None
    origin = Origin("osm", file.name, file_sha256(file), OSM_OPTIONS, tuple(ways.others.items()))
    return work / "raw.net.xml", origin


def _given(file: Path, work: Path) -> tuple[Path, Origin]:
    origin = Origin("sumo", file.name, file_sha256(file), ())
    if not file.name.endswith(".gz"):
        return file.resolve(), origin
    raw = work / "raw.net.xml"
    try:
        raw.write_bytes(gzip.decompress(file.read_bytes()))
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    return raw, origin


def _keep(net_file: Path, origin: Origin, name: str, work: Path, *, replace: bool) -> store.About:
    rounds: list[tuple[Group, ...]] = []
    for turn in range(_ROUNDS):
        net, roads = _read(net_file, origin.name)
        verdict = examine(roads, net.closed)
        if int(verdict.keep.sum()) < LEAST_EDGES:
            raise UserError(
                f"{origin.name} has no roads that cars can drive to and leave again: "
                + "; ".join(_said(group) for group in verdict.dropped)
            )
        if not verdict.dropped:
            break
        rounds.append(verdict.dropped)
        kept = [e for e, keep in zip(roads.edge_ids, verdict.keep.tolist(), strict=True) if keep]
        net_file = _reduced(net_file, kept, net, work / f"kept{turn}.net.xml")
    else:
        raise UserError(f"{origin.name} does not come to one connected network in {_ROUNDS} rounds")
    _try(net_file, origin.name, work)
    packed = store.packed(net_file.read_bytes())
    length_km = roads.length_m / 1000.0
    about = store.About(
        name=name,
        kind=origin.kind,
        origin=origin.name,
        origin_sha256=origin.sha256,
        options=origin.options,
        sumo_version=sumo_version(),
        edges=len(roads.edge_ids),
        km=round(float(length_km.sum()), 3),
        lane_km=round(float((length_km * roads.lanes).sum()), 3),
        nodes=len(roads.node_ids),
        signals=roads.signalled_nodes,
        geographic=net.projected,
        ways_left_out=origin.ways_left_out,
        dropped=together(rounds),
        doubtful=doubtful(roads),
        net_sha256=hashlib.sha256(packed).hexdigest(),
    )
    store.write(about, packed, replace=replace)
    return about


def _read(net_file: Path, said: str) -> tuple[NetFile, RoadNetwork]:
    try:
        net = parse(net_file)
        if not net.streets:
            closed = f": its {len(net.closed)} edges are closed to them" if net.closed else ""
            raise UserError(f"{said} has no roads for cars{closed}")
        return net, read_net(net_file, net)
    except TrafficError as error:
        raise UserError(f"{said}: {error.reason}") from None
    except KeyError as error:
        raise UserError(f"{said} is damaged: a connection names {error}, which is absent") from None


def _reduced(net_file: Path, kept: Sequence[str], net: NetFile, target: Path) -> Path:
    """Write the net that `kept` leaves, its turns and signals as they were."""
    listed = target.with_suffix(".txt")
    listed.write_text("\n".join(kept) + "\n", encoding="utf-8")
    options = ["--sumo-net-file", str(net_file), "--keep-edges.input-file", str(listed)]
    options += ["--no-internal-links", str(not net.interiors).lower(), "--no-warnings", "true"]
    try:
        run_program("netconvert", [*options, "--output-file", str(target)], target.parent)
    except TrafficError as error:
        raise UserError(f"netconvert cannot rewrite the net: {error.reason}") from None
    return target


def _try(net_file: Path, said: str, work: Path) -> None:
    """See that SUMO takes the net: better now than when a run begins."""
    options = ["--net-file", str(net_file), "--end", "1", "--mesosim", "true", "--no-warnings"]
    try:
        run_program("sumo", [*options, "true", "--no-step-log", "true"], work)
    except TrafficError as error:
        raise UserError(f"{said} is no net that SUMO can run: {error.reason}") from None


def _said(group: Group) -> str:
    return f"{group.edges} edges {group.reason} ({', '.join(group.examples)})"
