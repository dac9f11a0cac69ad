"""All engines in lockstep on a morning of the default scenario."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from cosim.recorder import RECORDED

MORNING = ("--set", "start=2022-09-14 06:00", "--set", "duration=3h", "--set", "fleet.vehicles=120")


def cosim(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: libsumo holds one simulation per process."""
    code = "from cosim.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "morning"
    done = cosim("run", *MORNING, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert str(folder) in done.stdout.replace("\n", "")
    return folder


@pytest.fixture(scope="module")
def data(morning: Path) -> xr.Dataset:
    return xr.open_zarr(morning / "timeseries.zarr", chunks=None).load()


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_the_run_is_whole(morning: Path) -> None:
    found = manifest(morning)
    assert found["status"] == "complete"
    assert found["last_tick"] == 35
    assert "absent" not in found["versions"].values()
    assert any(name.startswith("roads/") for name in found["inputs"])


def test_every_array_has_dimensions_and_units(data: xr.Dataset) -> None:
    for signal in RECORDED:
        array = data[signal.name]
        assert array.dims == ("tick", *signal.dims)
        assert array.attrs["units"]
        assert array.attrs["long_name"]
        if array.dtype.kind == "f":
            assert np.isfinite(array.to_numpy()).all(), signal.name


def test_every_engine_did_something(data: xr.Dataset) -> None:
    assert float(data["vehicle_distance_km"].sum()) > 300
    assert float(data["vehicle_traction_kwh"].sum()) > 30
    assert float(data["vehicle_power_kw"].max()) > 5
    assert 0.9 < float(data["bus_voltage_pu"].min()) < float(data["bus_voltage_pu"].max()) < 1.1
    assert float(data["feeder_losses_kw"].min()) > 0
    assert float(data["vehicle_temperature_c"].std()) > 0
    assert (data["vehicle_soh"].isel(tick=-1) < data["vehicle_soh"].isel(tick=0)).all()
    assert float(data["lmp_usd_per_mwh"].std()) > 0


def test_key_figures_follow_from_the_record(morning: Path, data: xr.Dataset) -> None:
    figures = {k: v["value"] for k, v in json.loads((morning / "kpis.json").read_text()).items()}
    names = (
        "fleet_efficiency_mi_per_kwh energy_cost_usd_per_vehicle_month "
        "battery_degradation_pct_per_year fleet_utilization_pct feeder_peak_kw "
        "v2g_revenue_usd_per_vehicle_month service_level_pct decision_latency_p99_ms "
        "voltage_min_pu voltage_max_pu transformers_overloaded audit_breaches realtime_factor "
        "coupling_overhead distance_mi energy_charged_kwh energy_driven_kwh"
    )
    assert set(names.split()) <= set(figures)
    assert figures["audit_breaches"] == 0
    miles = float(data["vehicle_distance_km"].sum()) / 1.609344
    assert figures["distance_mi"] == pytest.approx(miles)
    assert 2.5 < figures["fleet_efficiency_mi_per_kwh"] < 5.5
    assert figures["service_level_pct"] > 80
    assert figures["feeder_peak_kw"] == pytest.approx(float(data["feeder_power_kw"].max()))


def test_bills_are_energy_at_the_price_of_bus_d_and_of_losses(data: xr.Dataset) -> None:
    at_d = data["lmp_usd_per_mwh"].sel(zone="D")
    price = at_d + data["station_loss_usd_per_mwh"]
    cost = float((data["station_power_kw"] / 12 * price / 1000).sum())
    assert float(data["vehicle_cost_usd"].sum()) == pytest.approx(cost)
    # Marginal losses are some percent, and more where the feeder is loaded.
    share = (data["station_loss_usd_per_mwh"] / at_d).to_numpy()
    assert 0.01 < share.mean() < 0.06
    assert share.max() > 2 * share.mean()
    assert np.allclose(
        data["dlmp_usd_per_mwh"],
        data["dlmp_energy_usd_per_mwh"] + data["dlmp_loss_usd_per_mwh"],
        rtol=0,
        atol=1e-8,
    )


def test_the_ledger_has_every_bill_and_sums_to_zero(morning: Path, data: xr.Dataset) -> None:
    ledger = pq.read_table(morning / "ledger.parquet").to_pandas()
    assert ledger.groupby("tick")["amount_usd"].sum().abs().max() < 0.005
    fleet = ledger[ledger["vehicle"].notna()]
    assert len(fleet) == int((data["vehicle_billed_kwh"] != 0).sum()) > 50
    assert fleet["amount_usd"].sum() == pytest.approx(float(data["vehicle_cost_usd"].sum()))
    bills = pq.read_table(morning / "bills.parquet").to_pandas()
    assert bills["total_usd"].sum() == pytest.approx(fleet["amount_usd"].sum())


def test_the_feeder_carries_the_fleet(data: xr.Dataset) -> None:
    carried = data["feeder_power_kw"] - data["feeder_base_kw"] - data["feeder_losses_kw"]
    charged = data["vehicle_power_kw"].sum("vehicle")
    np.testing.assert_allclose(carried, charged, atol=0.5)


def test_events_agree_with_the_arrays(morning: Path, data: xr.Dataset) -> None:
    events = pq.read_table(morning / "events.parquet").to_pandas()
    trips = events[events["kind"] == "trip"]
    assert len(trips) > 50
    driven = float(data["vehicle_distance_km"].sum())
    # What the arrays hold beyond completed legs is under way at the end.
    assert 0 <= driven - trips["distance_km"].sum() < 0.2 * driven
    sessions = events[events["kind"] == "charging_session"]
    charged = float(data["vehicle_power_kw"].sum()) / 12
    assert 0 < sessions["energy_kwh"].sum() <= charged + 1e-6
    assert (sessions["start_s"] < sessions["time_s"]).all()


def test_same_seed_same_bytes_other_seed_others(morning: Path, tmp_path: Path) -> None:
    again = cosim("run", *MORNING, "--out", str(tmp_path / "again"), "--quiet")
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == str(tmp_path / "again")
    assert manifest(tmp_path / "again")["output_digest"] == manifest(morning)["output_digest"]
    other = cosim("run", *MORNING, "--seed", "7", "--out", str(tmp_path / "other"), "--quiet")
    assert other.returncode == 0, other.stderr
    assert manifest(tmp_path / "other")["output_digest"] != manifest(morning)["output_digest"]


SHORT = ("--set", "start=2022-09-14 06:00", "--set", "duration=1h", "--set", "fleet.vehicles=40")


@pytest.mark.parametrize("kind", ["spm", "spme", "reservoir"])
def test_every_battery_kind_passes_the_audit(tmp_path: Path, kind: str) -> None:
    done = cosim("run", *SHORT, "--set", f"battery.kind={kind}", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "run" / "kpis.json").read_text())
    assert figures["audit_breaches"]["value"] == 0
    assert figures["energy_driven_kwh"]["value"] > 0
    assert figures["battery_degradation_pct_per_year"]["value"] > 0


@pytest.mark.parametrize(
    "setting",
    ["kind=quadratic", "kind=series", "kind=time_of_use", "real_time=on", "feeder_bus=B"],
)
def test_every_market_passes_the_audit_and_bills_what_was_charged(
    tmp_path: Path, setting: str
) -> None:
    low = ("--set", "fleet.initial_soc=[0.2, 0.4]", "--set", f"market.{setting}")
    done = cosim("run", *SHORT, *low, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "run" / "kpis.json").read_text())
    assert figures["audit_breaches"]["value"] == 0
    ledger = pq.read_table(tmp_path / "run" / "ledger.parquet").to_pandas()
    assert ledger.groupby("tick")["amount_usd"].sum().abs().max() < 0.005
    fleet = ledger[ledger["vehicle"].notna()]
    assert fleet["energy_kwh"].sum() == pytest.approx(figures["energy_charged_kwh"]["value"])
    assert fleet["energy_kwh"].sum() > 10
    assert "prices" in manifest(tmp_path / "run")["engines"]["market"]


@pytest.mark.parametrize("age_years", [1, 15])
def test_a_fleet_that_stands_empty_is_charged(tmp_path: Path, age_years: int) -> None:
    empty = ("--set", "fleet.initial_soc=[0, 0]", "--set", f"ageing.age_years={age_years}")
    done = cosim("run", *SHORT, *empty, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    with xr.open_zarr(tmp_path / "run" / "timeseries.zarr", chunks=None) as found:
        soc = found["vehicle_soc"].to_numpy()
    assert soc.min() < 0
    assert (soc[-1] > 0.01).any()


def test_a_winter_run_heats_its_packs_and_ages_faster_when_told(tmp_path: Path) -> None:
    settings = (
        *("--set", "weather.series=sioux_falls_january"),
        *("--set", "battery.preconditioning_kw=6"),
        *("--set", "ageing.acceleration=50"),
        *("--set", "fleet.initial_soc=[0.2, 0.35]"),
    )
    done = cosim("run", *SHORT, *settings, "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    with xr.open_zarr(tmp_path / "run" / "timeseries.zarr", chunks=None) as found:
        heated = found["pack_heater_kwh"].to_numpy()
        at_port = found["vehicle_station"].to_numpy() >= 0
        soh = found["vehicle_soh"].to_numpy()
    assert heated.sum() > 1
    assert (heated[~at_port] == 0).all()
    assert (soh[0] - soh[-1]).mean() > 1e-5
