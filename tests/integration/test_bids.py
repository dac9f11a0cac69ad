"""An evening in a suburb whose transformers bind: all engines, with bids and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from cosim.ledger import LIMITED
from tests.integration.test_siouxfalls import cosim

EVENING = (
    "start=2022-09-14 17:00", "duration=75min", "fleet.vehicles=120", "battery.kind=reservoir",
)  # fmt: skip


def run(folder: Path, *settings: str) -> Path:
    pairs = [part for setting in (*EVENING, *settings) for part in ("--set", setting)]
    done = cosim("run", "suburb_bids", *pairs, "--out", str(folder), "--quiet")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "evening")


@pytest.fixture(scope="module")
def data(evening: Path) -> xr.Dataset:
    return xr.open_zarr(evening / "timeseries.zarr", chunks=None).load()


def figures(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "kpis.json").read_text())
    return {name: figure["value"] for name, figure in found.items()}


def test_transformers_that_would_be_overloaded_are_at_their_rating(
    evening: Path, data: xr.Dataset, tmp_path: Path
) -> None:
    without = run(tmp_path / "without", "market.bids=off")
    assert figures(without)["transformers_overloaded"] > 0
    assert figures(evening)["transformers_overloaded"] == 0
    assert float(data["transformer_loading_pct"].max()) == pytest.approx(100, abs=0.02)
    assert figures(evening)["limit_binding_h"] > 1
    assert 0 < figures(evening)["energy_charged_kwh"] < figures(without)["energy_charged_kwh"]
    # Nothing is priced, offered or cleared there.
    other = xr.open_zarr(without / "timeseries.zarr", chunks=None)
    for name in ("vehicle_offer_kw", "vehicle_cleared_kw", "dlmp_transformer_usd_per_mwh"):
        assert not other[name].any(), name
    assert not other["account_usd"].sel(account="limits").any()


def test_vehicles_keep_to_what_was_cleared_in_the_tick_before(data: xr.Dataset) -> None:
    offer, cleared = data["vehicle_offer_kw"].to_numpy(), data["vehicle_cleared_kw"].to_numpy()
    power, at = data["vehicle_power_kw"].to_numpy(), data["vehicle_station"].to_numpy()
    assert (np.abs(cleared) <= np.abs(offer) + 1e-9).all()
    assert (offer - cleared > 0.1).any()
    assert (power[1:] <= cleared[:-1] + 1e-6).all()
    # One that has just plugged in waits a tick.
    new = at[1:] != at[:-1]
    assert (new & (at[1:] >= 0)).any()
    assert not power[1:][new].any()
    # Where one was cut its bid is at the price, but for what a tick moves the market.
    cut = (cleared > 0.1) & (offer - cleared > 0.1)
    cut[-1] = False
    tick, vehicle = np.nonzero(cut)
    price = data["station_price_usd_per_mwh"].to_numpy()[tick + 1, at[tick, vehicle]]
    bid = data["vehicle_offer_usd_per_mwh"].to_numpy()[tick, vehicle]
    assert len(tick) > 10
    assert np.abs(price - bid).max() < 15


def test_parts_of_prices_add_up(data: xr.Dataset) -> None:
    parts = ("energy", "loss", "congestion", "voltage")
    total = sum(data[f"dlmp_{part}_usd_per_mwh"] for part in parts)
    gap = np.abs(data["dlmp_usd_per_mwh"] - total)
    assert float(gap.max()) < 1e-8
    assert float(data["dlmp_congestion_usd_per_mwh"].max()) > 10


def test_what_limits_cost_is_in_bills_and_ledger(evening: Path, data: xr.Dataset) -> None:
    paid = float(data["vehicle_limits_usd"].sum())
    assert paid > 0.1
    ledger = pd.read_parquet(evening / "ledger.parquet")
    limits = ledger[ledger.account == "limits"]
    assert limits.amount_usd.sum() == pytest.approx(-paid)
    parts = [(ledger[f"{kind}_usd_per_mwh"] * ledger.energy_kwh).sum() / 1000 for kind in LIMITED]
    assert sum(parts) == pytest.approx(paid)
    assert parts[0] > 0.1
    assert pd.read_parquet(evening / "bills.parquet").limits_usd.sum() == pytest.approx(paid)
    assert ledger.amount_usd.sum() == pytest.approx(0, abs=1e-4)


@pytest.mark.slow
def test_the_same_scenario_gives_the_same_bytes(evening: Path, tmp_path: Path) -> None:
    again = run(tmp_path / "again")
    digests = [
        json.loads((folder / "manifest.json").read_text())["output_digest"]
        for folder in (evening, again)
    ]
    assert digests[0] == digests[1]
