"""A day of 2,000 EVs on a real city: nothing gets stuck without a reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from tests.integration.test_siouxfalls import cosim

EXTRACT = Path(__file__).parents[3] / "shared/reference/luxembourg.osm.gz"
TOLD = ("teleport", "stuck", "insertion_delayed", "no_way", "trip_unfinished", "ran_empty")
"""Events that explain why a vehicle is under way for long."""
LONG_TICKS = 18
"""An hour and a half: the longest ways through the city take half an hour."""


@pytest.mark.slow
@pytest.mark.skipif(not EXTRACT.exists(), reason=f"needs the map extract {EXTRACT.name}")
def test_a_day_in_luxembourg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path / "data"))
    done = cosim("roads", "import", str(EXTRACT), "--name", "luxembourg")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run"
    done = cosim(
        "run", "metro_2500", "--out", str(folder), "--set", "traffic.roads=luxembourg",
        "--set", "fleet.vehicles=2000", "--set", "fleet.stations.count=667",
        "--set", "grid.feeders=4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "kpis.json").read_text())["service_level_pct"]["value"] > 90
    data = xr.open_zarr(folder / "timeseries.zarr", chunks=None)
    events = pq.read_table(folder / "events.parquet").to_pylist()
    told = {(event["vehicle"], event["tick"]) for event in events if event["kind"] in TOLD}
    driving = data["vehicle_driving"].to_numpy()
    for vehicle in np.flatnonzero(driving.any(axis=0)).tolist():
        # Runs of ticks under way, as their first and the one after their last.
        edges = np.flatnonzero(np.diff(np.pad(driving[:, vehicle].astype(int), 1)))
        for first, after in edges.reshape(-1, 2).tolist():
            if after - first > LONG_TICKS:
                assert any((vehicle, tick) in told for tick in range(first, after + 1)), (
                    f"vehicle {vehicle} was under way from tick {first} to {after}"
                )
    # Each leg has one end.
    legs = [
        (e["vehicle"], e["start_s"]) for e in events if e["kind"] in ("trip", "trip_unfinished")
    ]
    assert len(set(legs)) == len(legs) > 20_000
