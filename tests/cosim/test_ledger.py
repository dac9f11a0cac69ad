"""The ledger and the monthly bills of a run so small that every row is worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from cosim import ledger
from cosim.ledger import SERVICES
from tests.fakes import FACTS, IDS


def tiny(ticks: int = 3, start: str = "2022-09-30T23:50") -> xr.Dataset:
    """Return a run in which vehicle 1 charges at tick 0 and vehicle 2 feeds back at tick 1."""
    billed, cost = np.zeros((ticks, 3)), np.zeros((ticks, 3))
    station = np.full((ticks, 3), -1, dtype=np.int32)
    billed[0, 1], cost[0, 1], station[0, 1] = 2.0, 0.08, 0
    billed[1, 2], cost[1, 2], station[1, 2] = -1.0, -0.04, 1
    # One that holds a port and draws nothing has no row.
    station[1, 0] = 0
    kwh, usd = np.zeros((ticks, 10)), np.zeros((ticks, 10))
    kwh[0, [3, 6]], usd[0, [3, 6, 7]] = [998.0, -1000.0], [39.92, -30.0, -10.0]
    limits = np.zeros((ticks, 3))
    limits[0, 1] = 0.01
    seconds = (np.arange(ticks) * 300).astype("timedelta64[s]")
    arrays: dict[str, Any] = {
        "vehicle_billed_kwh": (("tick", "vehicle"), billed),
        "vehicle_cost_usd": (("tick", "vehicle"), cost),
        "vehicle_limits_usd": (("tick", "vehicle"), limits),
        "vehicle_station": (("tick", "vehicle"), station),
        "station_price_usd_per_mwh": (("tick", "station"), np.full((ticks, 2), 40.0)),
        "station_loss_usd_per_mwh": (("tick", "station"), np.full((ticks, 2), 2.5)),
        "station_transformer_usd_per_mwh": (("tick", "station"), np.full((ticks, 2), 5.0)),
        "station_line_usd_per_mwh": (("tick", "station"), np.zeros((ticks, 2))),
        "station_voltage_usd_per_mwh": (("tick", "station"), np.zeros((ticks, 2))),
        "account_kwh": (("tick", "account"), kwh),
        "account_usd": (("tick", "account"), usd),
        **{f"vehicle_{name}_usd": (("tick", "vehicle"), np.zeros((ticks, 3))) for name in SERVICES},
        **{
            f"account_{name}_usd": (("tick", "account"), np.zeros((ticks, len(IDS["account"]))))
            for name in SERVICES
        },
    }
    coords: dict[str, Any] = {
        "tick": np.arange(ticks),
        "time": ("tick", np.datetime64(start, "ns") + seconds),
        "vehicle": [7, 8, 9],
        "account": list(IDS["account"]),
    }
    for name in ("station_billed_by", "account_counterparty"):
        dim, values = FACTS[name]
        coords[name] = (dim, values)
    return xr.Dataset(arrays, coords)


def test_a_row_for_everyone_who_drew_fed_or_was_paid() -> None:
    rows = ledger.rows(tiny()).to_pylist()
    assert [(r["tick"], r["account"], r["counterparty"]) for r in rows] == [
        (0, "vehicle 8", "operator"),
        (0, "load D", "operator"),
        (0, "g1", "operator"),
        (0, "operator", "market"),
        (1, "vehicle 9", "operator"),
    ]
    components = [row["component"] for row in rows]
    assert components == ["energy", "energy", "energy", "congestion rent", "energy"]
    first, load, _, rent, fed = rows
    assert (first["vehicle"], first["station"], first["energy_kwh"]) == (1, 0, 2.0)
    assert (first["price_usd_per_mwh"], first["amount_usd"]) == (40.0, 0.08)
    assert (first["loss_usd_per_mwh"], load["loss_usd_per_mwh"]) == (2.5, None)
    assert (first["transformer_usd_per_mwh"], load["transformer_usd_per_mwh"]) == (5.0, None)
    assert (first["line_usd_per_mwh"], first["voltage_usd_per_mwh"]) == (0.0, 0.0)
    assert (load["vehicle"], load["station"]) == (None, None)
    assert load["price_usd_per_mwh"] == pytest.approx(40.0)
    assert (rent["price_usd_per_mwh"], rent["energy_kwh"], rent["amount_usd"]) == (None, 0, -10.0)
    assert (fed["energy_kwh"], fed["amount_usd"]) == (-1.0, -0.04)
    assert str(fed["time"]) == "2022-09-30 23:55:00"


def test_months_of_the_calendar() -> None:
    bills = ledger.monthly(tiny()).to_pylist()
    assert [(b["month"], b["vehicle"]) for b in bills] == [
        *(("2022-09", v) for v in range(3)),
        *(("2022-10", v) for v in range(3)),
    ]
    assert bills[1] == {
        "month": "2022-09",
        "vehicle": 1,
        "drawn_kwh": 2.0,
        "fed_back_kwh": 0.0,
        "charged_usd": 0.08,
        "fed_back_usd": 0.0,
        "response_usd": 0.0,
        "reserve_usd": 0.0,
        "limits_usd": 0.01,
        "total_usd": 0.08,
    }
    assert (bills[2]["fed_back_kwh"], bills[2]["fed_back_usd"]) == (1.0, 0.04)
    assert (bills[2]["drawn_kwh"], bills[2]["total_usd"]) == (0.0, -0.04)
    assert all(b["total_usd"] == 0 for b in bills[3:])


def test_what_is_paid_beside_energy_has_rows_of_its_own() -> None:
    data = tiny()
    data["vehicle_response_usd"][2, 1], data["account_response_usd"][2, 3] = 3.0, 3.0
    data["vehicle_reserve_usd"][2, 0] = 0.5
    data["account_reserve_usd"][2, [1, 3]] = np.array([0.2, 0.3])
    paid = [row for row in ledger.rows(data).to_pylist() if row["tick"] == 2]
    assert [(r["component"], r["account"], r["vehicle"], r["amount_usd"]) for r in paid] == [
        ("demand response", "vehicle 8", 1, -3.0),
        ("demand response", "load D", None, 3.0),
        ("reserve", "vehicle 7", 0, -0.5),
        ("reserve", "load B", None, 0.2),
        ("reserve", "load D", None, 0.3),
    ]
    assert {row["counterparty"] for row in paid} == {"market"}
    assert {row["energy_kwh"] for row in paid} == {None}
    bill = ledger.monthly(data).to_pylist()[4]
    assert (bill["month"], bill["vehicle"]) == ("2022-10", 1)
    assert (bill["response_usd"], bill["reserve_usd"], bill["total_usd"]) == (3.0, 0.0, -3.0)


def test_blocks_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "BLOCK_TICKS", 1)
    ledger.write(tmp_path, tiny())
    found = pq.read_table(tmp_path / "ledger.parquet")
    assert found.schema == ledger.SCHEMA
    assert found.to_pylist() == ledger.rows(tiny()).to_pylist()
    assert pq.read_table(tmp_path / "bills.parquet").num_rows == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bills.parquet", "ledger.parquet"]


def test_a_run_in_which_nobody_paid(tmp_path: Path) -> None:
    data = tiny()
    for name in ("vehicle_billed_kwh", "vehicle_cost_usd", "account_kwh", "account_usd"):
        data[name][:] = 0
    ledger.write(tmp_path, data)
    assert pq.read_table(tmp_path / "ledger.parquet").num_rows == 0
