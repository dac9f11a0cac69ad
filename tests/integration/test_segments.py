"""A fleet of every segment, all engines in lockstep: every trip and request has one fate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from tests.integration.test_siouxfalls import cosim

MIX = (
    "--set", "start=2022-09-14 14:00", "--set", "duration=5h", "--set", "fleet.vehicles=100",
    "--set", "fleet.segments={ride_share: 2, delivery: 2, commute: 2, transit: 1, consumer: 2}",
    "--set", "fleet.stations.count=30", "--set", "fleet.stations.site_share=0.5",
    "--set", "fleet.brands={hyundai: 1, volkswagen: 1, ford: 1, tesla: 1}",
    "--set", "fleet.initial_soc=[0.2, 0.9]", "--set", "battery.kind=reservoir",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "mix"
    done = cosim("run", *MIX, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> xr.Dataset:
    return xr.open_zarr(folder / "timeseries.zarr", chunks=None).load()


@pytest.fixture(scope="module")
def events(folder: Path) -> pd.DataFrame:
    return pq.read_table(folder / "events.parquet").to_pandas()


def of_segment(data: xr.Dataset, name: str) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.flatnonzero(data["vehicle_segment"].to_numpy() == name)


def test_nothing_is_out_of_balance(folder: Path) -> None:
    figures = json.loads((folder / "kpis.json").read_text())
    assert figures["audit_breaches"]["value"] == 0
    assert figures["service_level_pct"]["value"] > 80


def test_what_segments_did_adds_up_to_the_fleet(folder: Path, data: xr.Dataset) -> None:
    figures = json.loads((folder / "kpis.json").read_text())
    for key in (
        *("vehicles", "distance_mi", "energy_driven_kwh", "energy_charged_kwh", "energy_cost_usd"),
        *("trips_asked", "trips_served", "trips_late", "trips_lost", "trips_refused"),
        *("vehicles_towed", "vehicles_ran_empty"),
    ):
        parts = figures[key]["by_segment"]
        assert list(parts) == data["segment"].to_numpy().tolist()
        assert sum(parts.values()) == pytest.approx(figures[key]["value"]), key
    assert min(figures["trips_served"]["by_segment"].values()) > 0


def test_every_segment_drives_and_charges(data: xr.Dataset) -> None:
    km = data["vehicle_distance_km"].sum("tick").to_numpy()
    kwh = data["vehicle_power_kw"].clip(min=0).sum("tick").to_numpy()
    for name in ("ride_share", "delivery", "commute", "transit", "consumer"):
        who = of_segment(data, name)
        assert km[who].sum() > 5, name
        assert kwh[who].sum() > 0, name


def test_every_request_ends_once_or_is_under_way(data: xr.Dataset, events: pd.DataFrame) -> None:
    ends = events[events["kind"].isin(["request_served", "request_failed", "request_expired"])]
    assert len(set(ends["request"].tolist())) == len(ends) > 100
    known = float(data["requests_known"][-1].sum())
    fates = float((data["requests_in_time"][-1] + data["requests_missed"][-1]).sum())
    assert 100 < fates <= known
    # Own trips are driven by their vehicles alone, at free flow no earlier than they may.
    served = events[events["kind"] == "request_served"]
    early = np.asarray(served["time_s"]) < np.asarray(served["start_s"])
    assert not early.any()


def test_private_chargers_are_used_by_their_vehicles_alone(data: xr.Dataset) -> None:
    kind = data["station_kind"].to_numpy()
    station = data["vehicle_station"].to_numpy()
    tick, vehicle = np.nonzero(station >= 0)
    where = kind[station[tick, vehicle]]
    segment = data["vehicle_segment"].to_numpy()[vehicle]
    assert set(segment[where == "depot"]) == {"delivery", "transit"}
    assert set(segment[where == "home"]) <= {"commute", "consumer"}
    assert set(segment[where == "work"]) <= {"commute"}


def test_the_same_seed_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    done = cosim("run", *MIX, "--out", str(tmp_path / "again"))
    assert done.returncode == 0, done.stderr
    first, second = (
        json.loads((place / "manifest.json").read_text())["output_digest"]
        for place in (folder, tmp_path / "again")
    )
    assert first == second
