"""A run that replays another: the same decisions give the same trips."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from cosim.signals import produced_by
from tests.integration.test_siouxfalls import cosim

CHEAP = (
    *("--set", "start=2022-01-14 06:00", "--set", "fleet.vehicles=120"),
    *("--set", "battery.kind=reservoir", "--set", "weather.series=sioux_falls_january"),
)


def replaying(folder: Path) -> tuple[str, ...]:
    return "--set", "traffic.kind=replay", "--set", f"traffic.replay={folder}"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "recorded"
    done = cosim("run", *CHEAP, "--set", "duration=3h", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def trips(folder: Path) -> list[dict[str, Any]]:
    rows = pq.read_table(folder / "events.parquet").to_pylist()
    return [row for row in rows if row["kind"] in ("trip", "trip_unfinished")]


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_the_same_decisions_give_the_same_run(recorded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    done = cosim("run", *CHEAP, "--set", "duration=3h", *replaying(recorded), "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    # What ran is named: no SUMO, and no PyBaMM either.
    (engines,) = re.findall(r"^engines .*?(?=^digest)", done.stdout, re.MULTILINE | re.DOTALL)
    assert {"replay", "reservoir", "OpenDSS"} <= set(engines.split())
    assert not {"SUMO", "PyBaMM"} & set(done.stdout.split())
    found, real = trips(folder), trips(recorded)
    assert len(real) > 200
    assert any(row["kind"] == "trip_unfinished" for row in real)
    near = ("distance_km", "energy_kwh")
    for one, other in zip(found, real, strict=True):
        assert {k: v for k, v in one.items() if k not in near} == {
            k: v for k, v in other.items() if k not in near
        }
        assert [one[k] for k in near] == pytest.approx([other[k] for k in near], rel=1e-9)
    with (
        xr.open_zarr(folder / "timeseries.zarr", chunks=None) as ours,
        xr.open_zarr(recorded / "timeseries.zarr", chunks=None) as theirs,
    ):
        names = [s.name for s in produced_by("traffic") if s.recorded and not s.volatile]
        for name in (*names, "vehicle_soc", "vehicle_station", "vehicle_power_kw"):
            a, b = ours[name].to_numpy(), theirs[name].to_numpy()
            np.testing.assert_allclose(a.astype(float), b.astype(float), atol=1e-9, err_msg=name)
    about = manifest(folder)["engines"]["traffic"]
    assert about["replayed_digest"] == manifest(recorded)["output_digest"]
    assert about["replayed_kind"] == "meso"
    assert about["replayed_vehicles"] == "120 of 120"
    assert "rms a trip" in about["predicted_time_error"]


def test_a_longer_run_and_another_seed_go_on_by_prediction(recorded: Path, tmp_path: Path) -> None:
    for name, more in (
        ("longer", ("--set", "duration=5h")),
        ("other", ("--set", "duration=2h", "--seed", "7", "--set", "fleet.vehicles=150")),
    ):
        folder = tmp_path / name
        done = cosim("run", *CHEAP, *more, *replaying(recorded), "--out", str(folder))
        assert done.returncode == 0, done.stderr
        assert len(trips(folder)) > 100
        figures = json.loads((folder / "kpis.json").read_text())
        assert figures["audit_breaches"]["value"] == 0
    end_s = max(row["time_s"] for row in trips(recorded))
    later = [row for row in trips(tmp_path / "longer") if row["time_s"] > end_s]
    assert len(later) > 100


def test_a_replayed_run_is_the_same_again(recorded: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        done = cosim(
            *("run", *CHEAP, "--set", "duration=1h", "--seed", "3"),
            *(*replaying(recorded), "--out", str(tmp_path / name)),
        )
        assert done.returncode == 0, done.stderr
    one, two = (manifest(tmp_path / name)["output_digest"] for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("wrong", ["none", "absent", "incomplete", "roads", "replayed"])
def test_what_cannot_be_replayed_is_one_message(recorded: Path, tmp_path: Path, wrong: str) -> None:
    source, settings, message = recorded, (), ""
    if wrong == "none":
        settings, message = ("--set", "traffic.replay=''"), "must name the folder of a run"
    elif wrong == "absent":
        source, message = tmp_path / "absent", "it is no folder"
    elif wrong == "roads":
        settings, message = (
            ("--set", "traffic.roads=metro"),
            "other roads (siouxfalls), not on metro",
        )
    else:
        source = tmp_path / "source"
        source.mkdir()
        content = manifest(recorded)
        if wrong == "incomplete":
            content |= {"status": "interrupted", "last_tick": 4}
            message = "it is not a complete run: interrupted after 5 of 36 ticks"
        else:
            content["scenario"]["traffic"]["kind"] = "replay"
            message = "it was replayed itself: name the run that it replayed"
        (source / "manifest.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    done = cosim("run", *CHEAP, *replaying(source), *settings, "--out", str(out))
    assert done.returncode == 2
    said = " ".join(done.stderr.split())
    assert message in said
    assert "traffic.replay" in said
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_sumo_is_neither_started_nor_imported(recorded: Path, tmp_path: Path) -> None:
    code = """
import sys
from cosim import loading
from cosim.run import run
from pathlib import Path
settings = ["start=2022-01-14 06:00", "fleet.vehicles=120", "battery.kind=reservoir",
            "duration=30min", "traffic.kind=replay", f"traffic.replay={sys.argv[1]}"]
run(loading.load(settings=settings), Path(sys.argv[2]), quiet=True)
assert not {"libsumo", "traci", "sumo"} & set(sys.modules)
"""
    arguments = [sys.executable, "-c", code, str(recorded), str(tmp_path / "run")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
