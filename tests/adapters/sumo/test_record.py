"""Reading what a run recorded: what can be replayed, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from adapters.sumo.checks import replay_problems
from adapters.sumo.profiles import climate_kwh
from adapters.sumo.record import ENDED, TOWED, UNFINISHED, read
from cosim.errors import UserError
from cosim.events import SCHEMA
from cosim.scenario import Scenario
from networks import vehicles
from networks.roads import RoadNetwork

TICKS, VEHICLES = 3, 2
SPECS = vehicles.model("sedan"), vehicles.models()[-1]


@pytest.fixture
def run(tmp_path: Path, siouxfalls: RoadNetwork) -> Path:
    """A run folder with a trip, a tow, an unfinished trip and an event of another role."""
    folder = tmp_path / "run"
    folder.mkdir()
    a, b, c = (siouxfalls.edge_ids[e] for e in siouxfalls.zone_edge[:3])
    trip = {"tick": 0, "role": "traffic", "kind": "trip", "vehicle": 1, "origin": a, "place": b}
    trip |= {"start_s": 10.0, "time_s": 250.0, "driving_s": 230.0}
    trip |= {"distance_km": 3.0, "energy_kwh": 0.5}
    rows = [
        trip,
        {"tick": 1, "role": "fleet", "kind": "request_served", "time_s": 1.0},
        {"tick": 1, "role": "traffic", "kind": "tow", "vehicle": 0, "place": c, "time_s": 300.0}
        | {"distance_km": 1.0, "energy_kwh": 0.2},
        trip | {"kind": "trip_unfinished", "start_s": 700.0, "time_s": 900.0, "origin": b},
        {"tick": 2, "role": "traffic", "kind": "sumo_warning", "time_s": 600.0},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "events.parquet")
    dims = ("tick", "vehicle")
    table = np.arange(TICKS * VEHICLES, dtype=np.float64).reshape(TICKS, VEHICLES)
    xr.Dataset(
        {
            "vehicle_distance_km": (dims, table),
            "vehicle_traction_kwh": (dims, table / 10),
            "vehicle_driving_s": (dims, table * 10),
            "vehicle_edge": (dims, table.astype(np.int32)),
        },
        coords={
            "vehicle": [0, 1],
            "vehicle_body_type": ("vehicle", np.array([spec.body for spec in SPECS])),
            "vehicle_model": ("vehicle", np.array([spec.model for spec in SPECS])),
        },
    ).to_zarr(folder / "timeseries.zarr", zarr_format=2, consolidated=True)
    scenario = Scenario.model_validate({"duration": "15min", "weather": {"ambient_c": 3.0}})
    manifest = {
        "status": "complete",
        "scenario": scenario.plain(),
        "ticks": TICKS,
        "last_tick": TICKS - 1,
        "engines": {"traffic": {"roads_sha256": siouxfalls.net_sha256}},
        "output_digest": "abc",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_a_run_is_read(run: Path, siouxfalls: RoadNetwork) -> None:
    found = read(run, siouxfalls)
    zones = siouxfalls.zone_edge.tolist()
    assert (found.kind, found.digest, found.ticks, found.trips) == ("meso", "abc", TICKS, 1)
    assert found.vehicle_ids == ("0", "1")
    assert found.body_type == tuple(spec.name for spec in SPECS)
    np.testing.assert_array_equal(found.ambient_c, [3.0] * TICKS)
    np.testing.assert_array_equal(found.ending, [ENDED, TOWED, UNFINISHED])
    np.testing.assert_array_equal(found.origin, [zones[0], -1, zones[1]])
    np.testing.assert_array_equal(found.target, [zones[1], -1, zones[1]])
    np.testing.assert_array_equal(found.driving_s, [230, 0, 230])
    assert found.tick_edge.shape == (TICKS, VEHICLES)
    power_kw = [float(vehicles.climate_load(spec).power_kw(np.array(3.0))) for spec in SPECS]
    np.testing.assert_allclose(climate_kwh(found), found.tick_driving_s / 3600 * power_kw)
    assert found.home_edge.tolist() == [-1, zones[0]], "the first leg tells where a vehicle stood"


def _scenario(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda m: m["scenario"]["traffic"].update(fields)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda m: m.update(status="failed", last_tick=0), r"complete run: failed after 1 of 3"),
        (lambda m: m.update(status="running", last_tick=-1), "running after 0 of 3 ticks"),
        (lambda m: m.pop("status"), r"manifest\.json cannot be read"),
        (lambda m: m.pop("scenario"), "says too little"),
        (_scenario(kind="replay"), "was replayed itself"),
        (
            lambda m: m.update(engines={}),
            "before runs told the digest of their roads: run it again",
        ),
        (
            lambda m: m["engines"]["traffic"].update(roads_sha256="0"),
            r"other roads \(siouxfalls\), not on siouxfalls as it is now",
        ),
        (lambda m: m["scenario"]["weather"].update(series="no_such_day"), "no_such_day"),
    ],
)
def test_runs_that_cannot_be_replayed(
    run: Path, siouxfalls: RoadNetwork, edit: Callable[[dict[str, Any]], None], message: str
) -> None:
    change(run, edit)
    with pytest.raises(UserError, match=message):
        read(run, siouxfalls)


def test_a_run_on_other_roads(run: Path, town: RoadNetwork) -> None:
    with pytest.raises(UserError, match=r"other roads \(siouxfalls\), not on town"):
        read(run, town)


def test_a_folder_without_a_run(run: Path, siouxfalls: RoadNetwork, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        read(tmp_path / "absent", siouxfalls)
    with pytest.raises(UserError, match=r"no manifest\.json"):
        read(tmp_path, siouxfalls)
    (run / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json cannot be read"):
        read(run, siouxfalls)


@pytest.mark.parametrize("part", ["events.parquet", "timeseries.zarr"])
def test_a_run_with_a_part_missing(run: Path, siouxfalls: RoadNetwork, part: str) -> None:
    place = run / part
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read(run, siouxfalls)


def test_a_run_without_trips(run: Path, siouxfalls: RoadNetwork) -> None:
    rows = [r for r in pq.read_table(run / "events.parquet").to_pylist() if r["kind"] != "trip"]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), run / "events.parquet")
    with pytest.raises(UserError, match="no trips to replay"):
        read(run, siouxfalls)


def test_a_run_of_an_older_version(run: Path, siouxfalls: RoadNetwork) -> None:
    table = pq.read_table(run / "events.parquet").drop_columns(["origin", "driving_s"])
    pq.write_table(table, run / "events.parquet")
    with pytest.raises(UserError, match="before trips told origin and driving_s: run it again"):
        read(run, siouxfalls)


def test_a_scenario_is_told_what_is_wrong(run: Path) -> None:
    def problems(**traffic: Any) -> list[str]:
        scenario = Scenario.model_validate({"traffic": {"kind": "replay", **traffic}})
        return [str(problem) for problem in replay_problems(scenario)]

    assert problems(replay=str(run)) == []
    (text,) = problems()
    assert text == (
        "traffic.replay is empty: must name the folder of a run, which the kind replay drives."
    )
    (text,) = problems(replay="no_such_run")
    assert text == (
        "traffic.replay is no_such_run: must be the folder of a complete run on these roads; it is "
        "no folder."
    )
    assert problems(replay=str(run), roads="no_such_roads") == [], "the other field says so"
