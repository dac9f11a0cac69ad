"""Importing OpenStreetMap extracts and SUMO nets: what is kept, dropped and refused."""

from __future__ import annotations

import bz2
import gzip
import tomllib
from pathlib import Path

import numpy as np
import pytest

from cosim import loading
from cosim.errors import ScenarioError, UnknownOptionError, UserError
from cosim.paths import data_dir
from networks import roads
from networks.roads import store
from networks.roads.programs import run_program

LUXEMBOURG = Path(__file__).parents[3] / "shared" / "reference" / "luxembourg.osm.gz"

# A block of streets with a footway across, a one-way street out of town, and an island.
NODES = {
    1: (6.000, 49.500),
    2: (6.004, 49.500),
    3: (6.004, 49.503),
    4: (6.000, 49.503),
    5: (6.010, 49.500),
    6: (6.020, 49.510),
    7: (6.024, 49.510),
    8: (6.024, 49.513),
}
WAYS = {
    10: ((1, 2), {"highway": "residential", "name": "South"}),
    11: ((2, 3), {"highway": "residential", "maxspeed": "30"}),
    12: ((3, 4), {"highway": "residential"}),
    13: ((4, 1), {"highway": "primary"}),
    14: ((2, 5), {"highway": "residential", "oneway": "yes"}),
    15: ((1, 3), {"highway": "footway"}),
    16: ((6, 7), {"highway": "residential"}),
    17: ((7, 8), {"highway": "residential"}),
}


def town() -> str:
    nodes = [f'<node id="{n}" lon="{x}" lat="{y}" version="1"/>' for n, (x, y) in NODES.items()]
    ways: list[str] = []
    for way, (ends, tags) in WAYS.items():
        inner = "".join(f'<nd ref="{n}"/>' for n in ends)
        inner += "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        ways.append(f'<way id="{way}" version="1">{inner}</way>')
    return '<osm version="0.6">' + "".join(nodes) + "".join(ways) + "</osm>"


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "roads"


def netconvert(folder: Path, nodes: str, edges: str, *options: str) -> Path:
    (folder / "n.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "e.xml").write_text(f"<edges>{edges}</edges>")
    files = ["-n", "n.xml", "-e", "e.xml", "-o", "made.net.xml", "--no-warnings", "true"]
    run_program("netconvert", [*files, *options], folder)
    return folder / "made.net.xml"


def two_parts(folder: Path) -> Path:
    """A square of two-way streets, a one-way spur into and out of it, and a smaller square."""
    squares = {"s": (0, 400), "t": (2000, 200)}
    nodes = "".join(
        f"<node id='{name}{i}' x='{x0 + size * dx}' y='{size * dy}'/>"
        for name, (x0, size) in squares.items()
        for i, (dx, dy) in enumerate([(0, 0), (1, 0), (1, 1), (0, 1)])
    )
    nodes += "<node id='out' x='-500' y='0'/><node id='into' x='-500' y='400'/>"
    edges = "".join(
        f"<edge id='{name}{a}{b}' from='{name}{a}' to='{name}{b}' speed='14'/>"
        for name in squares
        for a, b in ((0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 0), (0, 3))
    )
    edges += "<edge id='exit' from='s0' to='out'/><edge id='entry' from='into' to='s3'/>"
    edges += "<edge id='path' from='s0' to='s2' allow='pedestrian'/>"
    return netconvert(folder, nodes, edges)


def groups(about: store.About) -> dict[str, tuple[int, tuple[str, ...]]]:
    return {g.reason: (g.edges, g.examples) for g in about.dropped}


def test_a_small_town(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "small town.osm"
    file.write_text(town())
    about = roads.import_file(file)
    assert about.name == "small_town"
    assert about.edges == 8
    assert about.geographic
    assert about.ways_left_out == (("highway.footway", 1),)
    assert groups(about) == {
        "entered but never left": (1, ("14",)),
        "cut off from the rest": (2, ("-17", "16")),
    }
    net = roads.load("small_town")
    assert np.isfinite(net.travel_time_s(np.arange(8), np.arange(8))).all()
    assert net.speed_mps[net.edge_index("11")] == pytest.approx(30 / 3.6, abs=0.01)
    # Where OpenStreetMap has the end of South; a seventh decimal is a centimetre.
    south = net.edge_index("10")
    assert (net.end_lon_deg[south], net.end_lat_deg[south]) == pytest.approx(NODES[2], abs=1e-6)
    east_m = 0.004 * 111_320 * np.cos(np.radians(49.5))
    there, here = net.edge_index("10"), net.edge_index("-10")
    assert net.end_x_m[there] - net.end_x_m[here] == pytest.approx(east_m, rel=0.005)
    assert "OpenStreetMap" in net.source
    assert sorted(f.name for f in (data / "small_town").iterdir()) == [store.ABOUT, store.NET]
    assert [f.name for f in data.iterdir()] == ["small_town"]


@pytest.mark.parametrize("suffix", [".osm.gz", ".osm.bz2"])
def test_compressed_extracts_are_the_same(tmp_path: Path, suffix: str) -> None:
    plain = tmp_path / "plain.osm"
    plain.write_text(town())
    pack = gzip.compress if suffix == ".osm.gz" else bz2.compress
    packed = tmp_path / f"packed{suffix}"
    packed.write_bytes(pack(town().encode()))
    assert roads.import_file(plain).net_sha256 == roads.import_file(packed).net_sha256


def test_what_is_dropped_of_a_net_is_said(tmp_path: Path) -> None:
    about = roads.import_file(two_parts(tmp_path), "squares")
    assert groups(about) == {
        "closed to passenger cars": (1, ("path",)),
        "entered but never left": (1, ("exit",)),
        "left but never entered": (1, ("entry",)),
        "cut off from the rest": (8, ("t01", "t03", "t10")),
    }
    km = {g.reason: g.km for g in about.dropped}
    assert km["cut off from the rest"] == pytest.approx(8 * 0.2, rel=0.1)
    assert about.km == pytest.approx(8 * 0.4, rel=0.1)
    net = roads.load("squares")
    assert sorted(net.edge_ids) == ["s01", "s03", "s10", "s12", "s21", "s23", "s30", "s32"]
    assert np.isnan(net.end_lon_deg).all()
    assert np.isfinite(net.end_x_m).all()
    written = tomllib.loads((store.folder() / "squares" / store.ABOUT).read_text())
    assert [g["edges"] for g in written["dropped"]] == [1, 1, 1, 8]
    assert store.read(store.folder() / "squares").dropped[0].examples == ("path",)


def test_dead_ends_that_a_turn_leads_out_of_are_kept(tmp_path: Path) -> None:
    nodes = "<node id='a' x='0' y='0'/><node id='b' x='300' y='0'/><node id='c' x='700' y='0'/>"
    edges = "".join(f"<edge id='{a}{b}' from='{a}' to='{b}'/>" for a, b in ("ab", "ba", "bc", "cb"))
    about = roads.import_file(netconvert(tmp_path, nodes, edges), "street")
    assert about.dropped == ()
    assert [(g.reason, g.edges) for g in about.doubtful] == [("dead ends, left by a U-turn", 2)]


def test_a_whole_net_is_kept_as_it_is(tmp_path: Path) -> None:
    roads.import_file(two_parts(tmp_path), "squares")
    kept = gzip.decompress((store.folder() / "squares" / store.NET).read_bytes())
    assert b"<!--" not in kept, "the header holds the hour and local paths"
    again = tmp_path / "again.net.xml"
    again.write_bytes(kept)
    about = roads.import_file(again)
    assert about.dropped == ()
    assert gzip.decompress((store.folder() / "again" / store.NET).read_bytes()) == kept


def test_a_net_with_odd_figures(tmp_path: Path) -> None:
    net = two_parts(tmp_path)
    lines = net.read_text().splitlines()
    for lane, speed in (("s32_0", "70.00"), ("s12_0", "0.00")):
        (row,) = (i for i, line in enumerate(lines) if f'lane id="{lane}"' in line)
        lines[row] = lines[row].replace('speed="14.00"', f'speed="{speed}"')
    net.write_text("\n".join(lines))
    about = roads.import_file(net, "odd")
    assert groups(about)["without a length or a speed"] == (1, ("s12",))
    assert ("faster than 160 km/h", 1) in [(g.reason, g.edges) for g in about.doubtful]
    every = np.arange(about.edges)
    assert np.isfinite(roads.load("odd").travel_time_s(every, every)).all()


NO_CARS = '<osm><way id="1"><tag k="highway" v="footway"/></way></osm>'
BAD = {
    "text.osm": (b"hello", "is not XML"),
    "empty.osm": (b"", "is empty"),
    "other.osm": (b"<gpx/>", "holds <gpx>, no OpenStreetMap extract"),
    "nothing.osm": (b"<osm/>", "no ways at all"),
    "foot.osm": (NO_CARS.encode(), "no roads for cars: only 1 highway.footway"),
    "nodes.osm": (NO_CARS.replace("footway", "primary").encode(), "makes no road network"),
    "plain.osm.gz": (b"hello", "cannot be read"),
    "cut.osm.gz": (gzip.compress(town().encode())[:-20], "cannot be read"),
    "plain.osm.bz2": (b"hello", "cannot be read"),
    "city.osm.pbf": (b"x", "osmium cat"),
    "city.txt": (b"x", "must end in one of .osm"),
    "text.net.xml": (b"hello", "cannot read the road network"),
    "other.net.xml": (b"<routes/>", "holds <routes>"),
    "empty.net.xml": (b"<net/>", "no roads for cars"),
    "cut.net.xml": (b'<net><edge id="a"><lane', "cannot read the road network"),
    "plain.net.xml.gz": (b"hello", "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_and_leave_nothing(name: str, tmp_path: Path, data: Path) -> None:
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        roads.import_file(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert not data.exists()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        roads.import_file(tmp_path / "no.osm")
    (tmp_path / "folder.osm").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        roads.import_file(tmp_path / "folder.osm")


def test_a_net_without_a_way_back(tmp_path: Path, data: Path) -> None:
    nodes = "<node id='a' x='0' y='0'/><node id='b' x='300' y='0'/><node id='c' x='700' y='0'/>"
    edges = "<edge id='ab' from='a' to='b'/><edge id='bc' from='b' to='c'/>"
    with pytest.raises(UserError, match=r"drive to and leave again: 2 edges"):
        roads.import_file(netconvert(tmp_path, nodes, edges))
    assert not data.exists()


def test_names(tmp_path: Path, data: Path) -> None:
    file = tmp_path / "town.osm"
    file.write_text(town())
    for name in ("a b", "../up", "x" * 65, "-x"):
        with pytest.raises(UserError, match="cannot name a network"):
            roads.import_file(file, name)
    with pytest.raises(UserError, match="ships"):
        roads.import_file(file, "siouxfalls", replace=True)
    roads.import_file(file)
    before = (data / "town" / store.ABOUT).stat().st_mtime_ns
    with pytest.raises(UserError, match=r"exists already.*--force"):
        roads.import_file(file)
    assert (data / "town" / store.ABOUT).stat().st_mtime_ns == before
    roads.import_file(two_parts(tmp_path), "town", replace=True)
    assert store.read(data / "town").kind == "sumo"
    (data / "other").mkdir()
    (data / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="it is no network"):
        roads.import_file(file, "other", replace=True)
    assert (data / "other" / "letter.txt").read_text() == "dear"


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "town.osm"
    file.write_text(town())
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path / "blocked"))
    with pytest.raises(UserError, match="VOLTSTEP_DATA_DIR"):
        roads.import_file(file)


def test_scenarios_name_roads_and_paths(tmp_path: Path, data: Path) -> None:
    (tmp_path / "town.osm").write_text(town())
    roads.import_file(tmp_path / "town.osm")
    net = tmp_path / "whole.net.xml"
    net.write_bytes(gzip.decompress((data / "town" / store.NET).read_bytes()))
    for name in ("town", str(data / "town"), str(net)):
        scenario = loading.load(settings=[f"traffic.roads={name}"])
        found = roads.load(scenario.traffic.roads)
        assert len(found.edge_ids) == 8
        assert found.end_lon_deg[found.edge_index("10")] == pytest.approx(6.004, abs=1e-6)
    with pytest.raises(ScenarioError, match=r"siouxfalls, town, or a network's.*mean town\?"):
        loading.load(settings=["traffic.roads=twon"])
    with pytest.raises(UnknownOptionError) as caught:
        roads.load("twon")
    assert caught.value.nearest == "town"
    with pytest.raises(ScenarioError, match="is no SUMO net"):
        loading.load(settings=[f"traffic.roads={tmp_path / 'town.osm'}"])


def test_a_net_file_must_be_ready_to_drive_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"10 of 18 edges cannot be reached.*roads import"):
        roads.load(str(two_parts(tmp_path)))


def test_a_network_that_was_changed_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "town.osm").write_text(town())
    roads.import_file(tmp_path / "town.osm")
    net = data / "town" / store.NET
    whole = net.read_bytes()
    net.write_bytes(whole[:-10])
    with pytest.raises(UserError, match="was changed since it was checked"):
        roads.load("town")
    net.write_bytes(whole)
    (data / "town" / store.ABOUT).write_text("nonsense")
    with pytest.raises(UserError, match="import it again"):
        roads.load("town")
    assert "damaged" in roads.names()["town"]


def test_damaged_places_are_found_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "town.osm").write_text(town())
    roads.import_file(tmp_path / "town.osm")
    whole = roads.load("town")
    (kept,) = (tmp_path / "cache" / "roads").iterdir()
    for damage in (b"", kept.read_bytes()[:100]):
        kept.write_bytes(damage)
        np.testing.assert_array_equal(roads.load("town").end_lon_deg, whole.end_lon_deg)


def test_the_data_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOLTSTEP_DATA_DIR")
    assert data_dir().name == "voltstep"


@pytest.mark.slow
def test_luxembourg() -> None:
    """A real city; its sides are those of the extract's own bounds."""
    if not LUXEMBOURG.is_file():
        pytest.skip("the reference data are not beside the repository")
    about = roads.import_file(LUXEMBOURG)
    assert about.name == "luxembourg"
    assert about.edges > 5000
    assert 850 < about.km < 905
    assert sum(group.edges for group in about.dropped) < 0.02 * about.edges
    net = roads.load("luxembourg")
    assert np.isfinite(net.end_x_m).all()
    assert 6.03 < net.end_lon_deg.min() < net.end_lon_deg.max() < 6.22
    assert 49.54 < net.end_lat_deg.min() < net.end_lat_deg.max() < 49.66
    some = np.arange(0, about.edges, 97)
    assert np.isfinite(net.travel_time_s(some, np.arange(about.edges))).all()
    # Ways along roads are no shorter than the crow flies, but for the width of junctions.
    x, y = net.end_x_m[some], net.end_y_m[some]
    crow_km = np.hypot(x[:, None] - x, y[:, None] - y) / 1000
    assert (net.distance_km(some, some) > crow_km - 0.1).all()
