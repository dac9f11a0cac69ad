"""Closed roads and other people's traffic in a whole run: audited, told, and the same twice."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import xarray as xr

from tests.integration.test_siouxfalls import cosim

SETTINGS = (
    *("--set", "start=2022-09-14 07:00"),
    *("--set", "duration=1h"),
    *("--set", "fleet.vehicles=150"),
    *("--set", "traffic.background={trips: trip_table, per_day: 60000}"),
    "--set",
    "traffic.incidents=[{edge: '6_8', from: '07:10', to: '07:40'},"
    " {edge: in_10, from: '07:20', to: '07:45'}]",
)


def test_a_run_with_closed_roads_and_other_people(tmp_path: Path) -> None:
    digests: set[str] = set()
    for name in ("one", "two"):
        done = cosim("run", *SETTINGS, "--out", str(tmp_path / name), "--quiet")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        manifest = json.loads((tmp_path / name / "manifest.json").read_text())
        assert manifest["status"] == "complete"
        digests.add(manifest["output_digest"])
    assert len(digests) == 1
    figures = json.loads((tmp_path / "one" / "kpis.json").read_text())
    assert figures["audit_breaches"]["value"] == 0
    events = pq.read_table(tmp_path / "one" / "events.parquet").to_pandas()
    roads = events[events["kind"].isin(["road_closed", "road_opened"])]
    assert roads[["kind", "time_s", "place"]].to_numpy().tolist() == [
        ["road_closed", 600.0, "6_8"],
        ["road_closed", 1200.0, "in_10"],
        ["road_opened", 2400.0, "6_8"],
        ["road_opened", 2700.0, "in_10"],
    ]
    # Who was on the way to the zone that nobody can enter is held before it, and arrives later.
    held = set(events[(events["kind"] == "no_way") & (events["time_s"] == 1200)]["vehicle"])
    assert held
    assert not (events["kind"].isin(["teleport", "background_teleports"])).any()
    trips = events[events["kind"] == "trip"]
    late = trips[(trips["place"] == "in_10") & (trips["start_s"] < 1200) & (trips["time_s"] > 2700)]
    assert set(late["vehicle"]) & held
    data = xr.open_zarr(tmp_path / "one" / "timeseries.zarr", chunks=None)
    # NHTS: some 6 % of the day's trips begin between seven and eight; they take a quarter hour.
    others = data["background_vehicles"].to_numpy()
    assert 200 < others[-1] < 3000
    edge = data["edge"].to_numpy().tolist().index("6_8")
    there = data["vehicle_edge"].to_numpy()[4:8] == edge
    assert not there.any(), "who was on it has left, and nobody came"
