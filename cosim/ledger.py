"""Who paid whom for what: ``ledger.parquet`` and ``bills.parquet``, made from the run store.

Both derive from recorded arrays, so they are no part of the output digest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

BLOCK_TICKS = 288
"""Ticks that are taken from the store at once."""

LIMITED = ("transformer", "line", "voltage")
"""What the limits are of that vehicles pay for."""
_NAMES = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("tick", pa.int32(), metadata={"meaning": "settlement interval"}),
        pa.field("time", pa.timestamp("ms"), metadata={"meaning": "local time of its start"}),
        pa.field("account", _NAMES, metadata={"meaning": "who pays, or is paid if negative"}),
        pa.field("vehicle", pa.int32(), metadata={"meaning": "where the account is a vehicle"}),
        pa.field("station", pa.int32(), metadata={"meaning": "where a vehicle stood"}),
        pa.field("counterparty", _NAMES, metadata={"meaning": "with whom the account settles"}),
        pa.field("component", _NAMES, metadata={"meaning": "what is paid for"}),
        pa.field("energy_kwh", pa.float64(), metadata={"meaning": "drawn; negative if fed in"}),
        pa.field("price_usd_per_mwh", pa.float64(), metadata={"meaning": "none for a rent"}),
        pa.field(
            "loss_usd_per_mwh",
            pa.float64(),
            metadata={"meaning": "part of a vehicle's price for marginal losses"},
        ),
        *(
            pa.field(
                f"{kind}_usd_per_mwh",
                pa.float64(),
                metadata={"meaning": f"part of a vehicle's price for limits of {kind}s"},
            )
            for kind in LIMITED
        ),
        pa.field("amount_usd", pa.float64(), metadata={"meaning": "paid; negative if received"}),
    ]
)
"""Columns of ``ledger.parquet``: a row for each party and tick that drew, fed or was paid, and for
each component of what is paid for."""
_KEEPS = {"operator": "congestion rent", "feeders": "losses", "limits": "limits"}
"""What accounts that draw nothing are paid for; all others are for energy."""
SERVICES = {"response": "demand response", "reserve": "reserve"}
"""What vehicles are paid for beside energy: as signals and components call it."""
POOL = "market"
"""With whom all settle for these."""


def write(folder: Path, data: xr.Dataset) -> None:
    """Write both tables of a run.

    Parameters
    ----------
    folder
        The run folder.
    data
        Its ``timeseries.zarr``.
    """
    ledger, bills = folder / "ledger.parquet", folder / "bills.parquet"
    part = ledger.with_suffix(".part")
    with pq.ParquetWriter(part, SCHEMA) as writer:
        for start in range(0, data.sizes["tick"], BLOCK_TICKS):
            writer.write_table(rows(data.isel(tick=slice(start, start + BLOCK_TICKS))))
    os.replace(part, ledger)
    part = bills.with_suffix(".part")
    pq.write_table(monthly(data), part)
    os.replace(part, bills)


def rows(data: xr.Dataset) -> pa.Table:
    """Return the rows of the ticks in `data`, by tick; vehicles come before the other parties."""
    billed, at = _array(data, "vehicle_billed_kwh"), _array(data, "vehicle_station")
    tick, vehicle = np.nonzero(billed)
    station = at[tick, vehicle]
    price = _array(data, "station_price_usd_per_mwh")[tick, station]
    names = np.array([f"vehicle {name}" for name in _array(data, "vehicle").astype(str)])
    fleet = _table(
        data,
        tick,
        account=(names, vehicle),
        counterparty=(_array(data, "station_billed_by").astype(str), station),
        component=_all("energy", len(tick)),
        vehicle=vehicle,
        station=station,
        energy_kwh=billed[tick, vehicle],
        price_usd_per_mwh=price,
        loss_usd_per_mwh=_array(data, "station_loss_usd_per_mwh")[tick, station],
        amount_usd=_array(data, "vehicle_cost_usd")[tick, vehicle],
        **{
            f"{kind}_usd_per_mwh": _array(data, f"station_{kind}_usd_per_mwh")[tick, station]
            for kind in LIMITED
        },
    )
    energy, paid = _array(data, "account_kwh"), _array(data, "account_usd")
    tick, account = np.nonzero((energy != 0) | (paid != 0))
    drawn = energy[tick, account]
    none = np.zeros(len(drawn), dtype=bool) | (drawn == 0)
    price = np.divide(1000 * paid[tick, account], drawn, where=~none, out=np.zeros(len(drawn)))
    parties = _array(data, "account").astype(str)
    components = np.array([_KEEPS.get(name, "energy") for name in parties.tolist()])
    others = _table(
        data,
        tick,
        account=(parties, account),
        component=(components, account),
        counterparty=(_array(data, "account_counterparty").astype(str), account),
        energy_kwh=drawn,
        price_usd_per_mwh=pa.array(price, mask=none),
        amount_usd=paid[tick, account],
    )
    joined = pa.concat_tables([fleet, others, *_services(data, names, parties)])
    joined = joined.unify_dictionaries()
    order = np.argsort(joined["tick"].to_numpy(), kind="stable")
    return joined.take(pa.array(order))


def _services(data: xr.Dataset, vehicles: NDArray[Any], parties: NDArray[Any]) -> list[pa.Table]:
    """Return what vehicles are paid for beside energy, and who pays it."""
    tables: list[pa.Table] = []
    for name, component in SERVICES.items():
        for dim, names, sign in (("vehicle", vehicles, -1), ("account", parties, 1)):
            usd = _array(data, f"{dim}_{name}_usd")
            tick, who = np.nonzero(usd)
            tables.append(
                _table(
                    data,
                    tick,
                    account=(names, who),
                    counterparty=_all(POOL, len(tick)),
                    component=_all(component, len(tick)),
                    vehicle=who if dim == "vehicle" else None,
                    amount_usd=sign * usd[tick, who],
                )
            )
    return tables


def monthly(data: xr.Dataset) -> pa.Table:
    """Return energy and money of every vehicle in every calendar month of the run."""
    months = _array(data, "time").astype("datetime64[M]")
    billed, cost = _array(data, "vehicle_billed_kwh"), _array(data, "vehicle_cost_usd")
    services = {name: _array(data, f"vehicle_{name}_usd") for name in SERVICES}
    limits = _array(data, "vehicle_limits_usd")
    parts: list[pa.Table] = []
    for month in np.unique(months):
        energy, money = billed[months == month], cost[months == month]
        paid = {name: usd[months == month].sum(axis=0) for name, usd in services.items()}
        fed = energy < 0
        parts.append(
            pa.table(
                {
                    "month": np.full(energy.shape[1], str(month)),
                    "vehicle": np.arange(energy.shape[1], dtype=np.int32),
                    "drawn_kwh": np.where(fed, 0.0, energy).sum(axis=0),
                    "fed_back_kwh": -np.where(fed, energy, 0.0).sum(axis=0) + 0.0,
                    "charged_usd": np.where(fed, 0.0, money).sum(axis=0),
                    "fed_back_usd": -np.where(fed, money, 0.0).sum(axis=0) + 0.0,
                    "limits_usd": limits[months == month].sum(axis=0),
                    **{f"{name}_usd": usd for name, usd in paid.items()},
                    "total_usd": money.sum(axis=0) - sum(paid.values()),
                }
            )
        )
    return pa.concat_tables(parts)


def _all(name: str, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return one name for every row."""
    return np.array([name]), np.zeros(count, dtype=np.int32)


def _array(data: xr.Dataset, name: str) -> NDArray[Any]:
    return data[name].to_numpy()


def _table(data: xr.Dataset, tick: NDArray[np.intp], **columns: Any) -> pa.Table:
    """Return a table of the schema; a pair stands for (names, index), what is left out is null."""
    columns["tick"] = _array(data, "tick")[tick]
    columns["time"] = _array(data, "time")[tick].astype("datetime64[ms]")
    arrays: list[pa.Array] = []
    for field in SCHEMA:
        value = columns.get(field.name)
        if value is None:
            arrays.append(pa.nulls(len(tick), field.type))
        elif isinstance(value, tuple):
            names, index = value
            found = pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(names))
            arrays.append(found)
        else:
            arrays.append(pc.cast(pa.array(value), field.type))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
