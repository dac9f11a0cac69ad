"""Road networks: the published tables, their conversion, shortest paths."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import TrafficError, UserError
from networks import roads
from networks.roads.catalogue import load
from networks.roads.programs import run_program
from networks.roads.tables import RoadTables, read_tables

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "siouxfalls"
FOLDER = Path(roads.__file__).parent / "siouxfalls"


@pytest.fixture(scope="module")
def siouxfalls() -> roads.RoadNetwork:
    return roads.load("siouxfalls")


@pytest.fixture(scope="module")
def tables() -> RoadTables:
    return read_tables(FOLDER)


def published_minutes(tables: RoadTables) -> np.ndarray:
    """Shortest free-flow times of the published links, by Floyd and Warshall's algorithm."""
    zones = tables.zone_ids
    minutes = np.full((len(zones), len(zones)), np.inf)
    np.fill_diagonal(minutes, 0.0)
    for link in tables.links:
        minutes[zones.index(link.from_node), zones.index(link.to_node)] = link.free_flow_min
    for k in range(len(zones)):
        minutes = np.minimum(minutes, minutes[:, k : k + 1] + minutes[k : k + 1, :])
    return minutes


def test_tables_are_the_reference_figures(tables: RoadTables) -> None:
    if not REFERENCE.is_dir():
        pytest.skip("the reference data are not beside the repository")
    rows = [
        line.split()
        for line in (REFERENCE / "SiouxFalls_net.tntp").read_text().splitlines()
        if re.match(r"\s*\d", line)
    ]
    assert [(k.from_node, k.to_node) for k in tables.links] == [(r[0], r[1]) for r in rows]
    ours = [(k.capacity_veh_per_h, k.length_km, k.free_flow_min) for k in tables.links]
    assert ours == [tuple(map(float, r[2:5])) for r in rows]
    trips = (REFERENCE / "SiouxFalls_trips.tntp").read_text()
    total = float(re.findall(r"<TOTAL OD FLOW> ([\d.]+)", trips)[0])
    assert tables.trips.sum() == total == 360_600
    for origin in (1, 10, 24):
        block = trips.split(f"Origin \t{origin} \n")[1].split("Origin")[0]
        flows = [float(x) for x in re.findall(r":\s*([\d.]+);", block)]
        np.testing.assert_array_equal(tables.trips[origin - 1], flows)


def test_travel_times_are_the_published_ones(
    siouxfalls: roads.RoadNetwork, tables: RoadTables
) -> None:
    """An independent solver on the published links; the two connectors come on top."""
    minutes = published_minutes(tables)
    connectors_s = 2 * 200 / (50 / 3.6) * (1 - np.eye(24))
    found = siouxfalls.travel_time_s(siouxfalls.zone_edge, siouxfalls.zone_edge)
    np.testing.assert_allclose(found, 60 * minutes + connectors_s, rtol=1e-5)
    km = siouxfalls.distance_km(siouxfalls.zone_edge, siouxfalls.zone_edge)
    np.testing.assert_allclose(km, minutes + 0.4 * (1 - np.eye(24)), rtol=1e-9)


def test_lanes_carry_the_published_capacity(
    siouxfalls: roads.RoadNetwork, tables: RoadTables
) -> None:
    for link in tables.links:
        lanes = siouxfalls.lanes[siouxfalls.edge_index(f"{link.from_node}_{link.to_node}")]
        assert lanes == max(1, round(link.capacity_veh_per_h / 1900))
    for zone, edge in enumerate(siouxfalls.zone_edge):
        flow = max(tables.trips[zone].sum(), tables.trips[:, zone].sum())
        assert siouxfalls.lanes[edge] * 1900 >= flow


def test_every_place_can_be_reached_and_left(siouxfalls: roads.RoadNetwork) -> None:
    every = np.arange(len(siouxfalls.edge_ids))
    time_s = siouxfalls.travel_time_s(every, every)
    assert np.isfinite(time_s).all()
    assert (np.diag(time_s) == 0).all()
    assert (time_s[~np.eye(len(every), dtype=bool)] > 0).all()


def test_edge_ends_are_on_the_map(siouxfalls: roads.RoadNetwork, tables: RoadTables) -> None:
    for zone, edge in zip(siouxfalls.zone_ids, siouxfalls.zone_edge, strict=True):
        lon, lat = tables.node_lonlat[zone]
        north_m = (siouxfalls.end_lat_deg[edge] - lat) * 111_194.9
        east_m = (siouxfalls.end_lon_deg[edge] - lon) * 111_194.9 * np.cos(np.radians(lat))
        assert np.hypot(north_m, east_m) == pytest.approx(200, rel=1e-6)


def test_unknown_name_lists_what_ships() -> None:
    with pytest.raises(UserError, match=r"metro, siouxfalls.*\. Did you mean siouxfalls\?"):
        roads.load("siouxfals")
    assert "24 zones" in roads.names()["siouxfalls"]


def test_turns_that_are_not_allowed_are_not_used(tmp_path: Path) -> None:
    """A one-way street is left in its own direction only; inside junctions counts."""
    (tmp_path / "n.xml").write_text(
        "<nodes><node id='a' x='0' y='0'/><node id='b' x='500' y='0'/>"
        "<node id='c' x='1000' y='0'/></nodes>"
    )
    (tmp_path / "e.xml").write_text(
        "<edges><edge id='ab' from='a' to='b' speed='10'/><edge id='bc' from='b' to='c'/></edges>"
    )
    options = ["-n", "n.xml", "-e", "e.xml", "-o", "out.net.xml", "--no-warnings", "true"]
    run_program("netconvert", options, tmp_path)
    net = roads.read_net(tmp_path / "out.net.xml")
    assert net.edge_ids == ("ab", "bc")
    assert net.distance_km([0], [1])[0, 0] == pytest.approx(
        (net.length_m[1] + net.turn_length_m[0]) / 1000
    )
    assert np.isinf(net.travel_time_s([1], [0])[0, 0])
    assert np.isinf(net.distance_km([1], [0])[0, 0])
    assert np.isnan(net.end_lon_deg).all()
    with pytest.raises(IndexError, match=r"0\.\.1"):
        net.distance_km([2], [0])


def test_failures_of_netconvert_carry_its_message(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match=r"netconvert failed: .*missing\.xml"):
        run_program("netconvert", ["-s", "missing.xml"], tmp_path)
    (tmp_path / "no.xml").write_text("<routes/>")
    with pytest.raises(TrafficError, match="no road network"):
        roads.read_net(tmp_path / "no.xml")


def test_two_processes_may_build_at_once(tmp_path: Path) -> None:
    code = (
        "from networks import roads; r = roads.load('siouxfalls');"
        "print(r.net_file.name, len(r.edge_ids), r.length_m.sum())"
    )
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[2]
    env = {"VOLTSTEP_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}
    runs = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert said[0] == said[1]
    assert said[0].startswith("siouxfalls-")
    left = sorted(f.suffix for f in (tmp_path / "roads").iterdir())
    assert left == [".sha256", ".xml"], "nothing is left over"


def test_a_damaged_net_is_built_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    net = roads.load("siouxfalls")
    whole = net.net_file.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], whole.replace(b'speed="16', b'speed="15')):
        assert damage != whole
        net.net_file.write_bytes(damage)
        again = roads.load("siouxfalls")
        np.testing.assert_array_equal(again.speed_mps, net.speed_mps)


def test_the_cache_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    first = load("siouxfalls").net_file
    stamp = first.stat().st_mtime_ns
    assert load("siouxfalls").net_file.stat().st_mtime_ns == stamp
