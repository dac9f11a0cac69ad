"""An afternoon with an event of demand response, and with reserve that is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

from tests.integration.test_siouxfalls import cosim

AFTERNOON = (
    "--set", "start=2022-09-14 15:00", "--set", "duration=4h", "--set", "fleet.vehicles=100",
    "--set", "fleet.segments={ride_share: 1, commute: 2}", "--set", "fleet.stations.count=30",
    "--set", "demand.commute.home_share=1.0", "--set", "battery.kind=reservoir",
)  # fmt: skip
EVENT = "market.demand_response=[{start: '17:00', minutes: 60, pay_usd_per_mwh: 1000}]"
# The reserve of the system is some 520 MW; it is scarce as soon as the fleet charges.
SCARCE = ("--set", "market.scarce_below_mw=523", "--set", "market.reserve={requirement_kw: 30}")
FIRST, END = 24, 36
"""Ticks of the event."""


def run(folder: Path, *settings: str) -> Path:
    done = cosim("run", *AFTERNOON, *settings, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def opened(folder: Path) -> xr.Dataset:
    return xr.open_zarr(folder / "timeseries.zarr", chunks=None).load()


def figures(folder: Path) -> dict[str, Any]:
    return {k: v["value"] for k, v in json.loads((folder / "kpis.json").read_text()).items()}


def table(folder: Path, name: str) -> pd.DataFrame:
    return pq.read_table(folder / f"{name}.parquet").to_pandas()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    runs = tmp_path_factory.mktemp("runs")
    return {
        "none": run(runs / "none"),
        "event": run(runs / "event", "--set", EVENT),
        "scarce": run(runs / "scarce", *SCARCE),
    }


def test_charging_is_less_in_the_event_and_more_behind_it(folders: dict[str, Path]) -> None:
    usual, event = (
        opened(folders[name])["vehicle_power_kw"].sum("vehicle") for name in ("none", "event")
    )
    within, behind = slice(FIRST, END), slice(END, END + 6)
    np.testing.assert_array_equal(usual[:FIRST], event[:FIRST])
    assert float(usual[within].mean()) > 50
    assert float(event[within].mean()) < 0.2 * float(usual[within].mean())
    assert float(event[behind].mean()) > float(usual[behind].mean())


def test_an_event_is_settled_against_its_baseline(folders: dict[str, Path]) -> None:
    data, folder = opened(folders["event"]), folders["event"]
    load_kw = data["vehicle_power_kw"].sum("vehicle").to_numpy()
    baseline_kw = data["response_baseline_kw"][FIRST:END, 0].to_numpy()
    assert baseline_kw == pytest.approx(np.full(12, load_kw[:12].mean()))
    assert not data["response_baseline_kw"].to_numpy()[:FIRST].any()
    delivered = data["response_delivered_kwh"].to_numpy()[:, 0]
    below_kwh = (baseline_kw - load_kw[FIRST:END]) / 12
    assert (delivered[FIRST:END] <= below_kwh + 1e-9).all()
    settled = data["response_settled_kwh"].to_numpy()[:, 0]
    assert settled[END - 1] == pytest.approx(delivered.sum())
    assert settled[END - 1] > 20
    assert np.count_nonzero(settled) == 1
    events = pq.read_table(folder / "events.parquet").to_pylist()
    (told,) = [event for event in events if event["kind"] == "demand_response"]
    assert told["energy_kwh"] == pytest.approx(delivered.sum())
    assert told["value"] == pytest.approx(delivered.sum())  # 1 USD/kWh
    assert figures(folder)["demand_response_kwh"] == pytest.approx(delivered.sum())
    ledger = table(folder, "ledger")
    paid = ledger[ledger["component"] == "demand response"]
    assert set(paid["tick"]) == {END - 1}
    assert paid["amount_usd"].sum() == pytest.approx(0, abs=1e-9)
    load = paid[paid["account"] == "load D"]["amount_usd"]
    assert load.tolist() == [pytest.approx(delivered.sum())]
    bills = table(folder, "bills")
    assert bills["response_usd"].sum() == pytest.approx(delivered.sum())
    assert figures(folder)["audit_breaches"] == 0


def test_scarce_reserve_is_called_and_given(folders: dict[str, Path]) -> None:
    folder = folders["scarce"]
    data = opened(folder)
    called = data["vehicle_called"].to_numpy()
    assert called.any()
    # Without what is given, at 40 feeders for the one that is simulated, it would be scarce.
    given_mw = 40 * data["vehicle_reserve_delivered_kw"].sum("vehicle").to_numpy() / 1000
    scarce = data["reserve_mw"].to_numpy() - given_mw < 523 + 1e-6
    assert not called[~scarce].any()
    # In the tick behind each call the vehicles have come down by what they hold.
    reserve, given = (data[f"vehicle_reserve_{name}"].to_numpy() for name in ("kw", "delivered_kw"))
    tick = int(np.argmax(called.any(axis=1)))
    power = data["vehicle_power_kw"].to_numpy()
    who = np.flatnonzero(called[tick])
    assert reserve[tick, who].sum() == pytest.approx(30)
    assert power[tick + 1, who] == pytest.approx(power[tick, who] - reserve[tick, who], abs=0.05)
    assert given[tick + 1, who] == pytest.approx(reserve[tick, who], abs=0.05)
    assert (power[tick + 1, who] < 0).any()
    # They are paid for it beside the energy that they feed back.
    ledger = table(folder, "ledger")
    paid = ledger[ledger["component"] == "reserve"]
    assert paid["amount_usd"].sum() == pytest.approx(0, abs=1e-9)
    assert set(paid[paid["amount_usd"] > 0]["account"]) == {"load B", "load C", "load D"}
    found = figures(folder)
    assert found["reserve_usd_per_vehicle_month"] > 0
    assert found["v2g_revenue_usd_per_vehicle_month"] > found["reserve_usd_per_vehicle_month"]
    assert found["audit_breaches"] == 0


def test_every_cent_has_two_sides(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        ledger = table(folder, "ledger")
        parts = {"all": ledger} | dict(list(ledger.groupby("component", observed=True)))
        for component in ("all", "demand response", "reserve"):
            if component in parts:
                sums = parts[component].groupby("tick")["amount_usd"].sum().to_numpy()
                assert np.abs(sums).max() < (1e-5 if component == "all" else 1e-9)
