"""What an earlier run recorded of its traffic, read from its folder as arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from numpy.typing import NDArray

import networks.vehicles
import networks.weather
from adapters.sumo.tick import Event, Floats, TrafficTick
from adapters.sumo.via import names_in
from cosim.errors import UserError
from cosim.signals import TICK_S, VIA
from networks.roads import RoadNetwork

ENDED, UNFINISHED, TOWED = 0, 1, 2
"""How a leg came to its end: it arrived, the run ended before, or it was taken off the road."""
_KINDS = {"trip": ENDED, "trip_unfinished": UNFINISHED, "tow": TOWED}
_COLUMNS = (
    *("kind", "vehicle", "origin", "place", "start_s", "time_s", "driving_s"),
    *("distance_km", "energy_kwh", "detail"),
)
_AGAIN = "run it again with this version"


@dataclass(frozen=True, eq=False)
class Record:
    """The traffic of a run: its legs, in the order in which they became known, and its ticks."""

    kind: str
    """Kind of traffic that drove."""
    digest: str
    """Output digest of the run."""
    start: datetime
    """Local date and time of the first tick."""
    vehicle_ids: tuple[str, ...]
    """Ids of the vehicles."""
    body_type: tuple[str, ...]
    """Model of each vehicle, by the name of its specification."""
    ambient_c: Floats
    """Ambient temperature of each tick [degC]."""
    ending: NDArray[np.int8]
    """`ENDED`, `UNFINISHED` or `TOWED`, shape (leg,) as all that follow."""
    vehicle: NDArray[np.int64]
    """Vehicle that drove the leg."""
    origin: NDArray[np.int64]
    """Edge at whose end it began; -1 if it was towed."""
    target: NDArray[np.int64]
    """Edge that it led to; -1 if it was towed."""
    via: NDArray[np.int64]
    """Edges that it was led through in order, shape (leg, via), -1 none."""
    start_s: Floats
    """When the vehicle set out [s]."""
    end_s: Floats
    """When it arrived, or when the leg was cut off [s]."""
    driving_s: Floats
    """Time on the road [s]."""
    distance_km: Floats
    """Distance [km]."""
    energy_kwh: Floats
    """Net energy, heating and cooling included [kWh]."""
    tick_distance_km: Floats
    """Distance of each vehicle in each tick, shape (tick, vehicle) as all that follow [km]."""
    tick_traction_kwh: Floats
    """Net energy that driving took in the tick [kWh]."""
    tick_driving_s: Floats
    """Time on the road in the tick [s]."""
    tick_edge: NDArray[np.int32]
    """Edge where the vehicle was at the end of the tick."""

    @property
    def ticks(self) -> int:
        """Number of settlement intervals."""
        return len(self.ambient_c)

    @property
    def trips(self) -> int:
        """Number of legs that ended where they were to."""
        return int((self.ending == ENDED).sum())

    @cached_property
    def home_edge(self) -> NDArray[np.int64]:
        """Edge at whose end each vehicle stood at first; -1 if it was towed before it drove."""
        home = self.tick_edge[0].astype(np.int64)
        # Written backwards, so that the first leg of a vehicle is what stays.
        home[self.vehicle[::-1]] = self.origin[::-1]
        return home

    @classmethod
    def of(
        cls,
        roads: RoadNetwork,
        events: Sequence[Event],
        ticks: Mapping[str, NDArray[Any]],
        **about: Any,
    ) -> Record:
        """Return the record of events and ticks.

        Parameters
        ----------
        roads
            Road network that the run was on.
        events
            Events of the traffic, in the order in which they came; other events are left out.
        ticks
            ``vehicle_distance_km``, ``vehicle_traction_kwh``, ``vehicle_driving_s`` and
            ``vehicle_edge``, each of shape (tick, vehicle).
        about
            The fields from `kind` to `ambient_c`.

        Raises
        ------
        KeyError
            If an event names an edge that the network has not.
        """
        rows = [event for event in events if event["kind"] in _KINDS]
        edges = {name: index for index, name in enumerate(roads.edge_ids)}
        towed = [_KINDS[row["kind"]] == TOWED for row in rows]

        def numbers(key: str) -> Floats:
            values = [row.get(key) for row in rows]
            return np.array([0.0 if value is None else value for value in values], np.float64)

        def places(key: str) -> NDArray[np.int64]:
            found = [-1 if t else edges[row[key]] for row, t in zip(rows, towed, strict=True)]
            return np.array(found, np.int64)

        via = np.full((len(rows), VIA), -1, np.int64)
        for row, event in enumerate(rows):
            points = names_in(event.get("detail"))
            via[row, : len(points)] = [edges[name] for name in points]
        return cls(
            **about,
            ending=np.array([_KINDS[row["kind"]] for row in rows], np.int8),
            vehicle=np.array([row["vehicle"] for row in rows], np.int64),
            origin=places("origin"),
            target=places("place"),
            via=via,
            start_s=numbers("start_s"),
            end_s=numbers("time_s"),
            driving_s=numbers("driving_s"),
            distance_km=numbers("distance_km"),
            energy_kwh=numbers("energy_kwh"),
            tick_distance_km=np.asarray(ticks["vehicle_distance_km"], np.float64),
            tick_traction_kwh=np.asarray(ticks["vehicle_traction_kwh"], np.float64),
            tick_driving_s=np.asarray(ticks["vehicle_driving_s"], np.float64),
            tick_edge=np.asarray(ticks["vehicle_edge"], np.int32),
        )

    @classmethod
    def of_ticks(cls, roads: RoadNetwork, done: Sequence[TrafficTick], **about: Any) -> Record:
        """Return the record of ticks that were driven in this process; see `of`."""
        events = [event for tick in done for event in tick.events]
        names = ("vehicle_distance_km", "vehicle_traction_kwh", "vehicle_driving_s", "vehicle_edge")
        ticks = {name: np.stack([getattr(tick, name) for tick in done]) for name in names}
        return cls.of(roads, events, ticks, **about)


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return the manifest of a run that is complete.

    Raises
    ------
    UserError
        If the folder holds no run, or one that is not whole.
    """
    if not folder.is_dir():
        raise UserError("is no folder")
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        status = str(found["status"])
    except OSError:
        raise UserError("holds no run: it has no manifest.json") from None
    except (ValueError, KeyError, TypeError):
        raise UserError("holds no run: its manifest.json cannot be read") from None
    if status != "complete":
        last, ticks = found.get("last_tick", -1), found.get("ticks", "?")
        raise UserError(f"is not a complete run: {status} after {last + 1} of {ticks} ticks")
    return cast(dict[str, Any], found)


def read(folder: Path, roads: RoadNetwork) -> Record:
    """Return what a run recorded of its traffic.

    Parameters
    ----------
    folder
        Folder of a complete run on the same roads.
    roads
        Road network.

    Raises
    ------
    UserError
        If the run is not complete, was on other roads, was replayed itself, has no trips or was
        recorded by a version that did not tell what replay needs.
    """
    manifest = manifest_of(folder)
    try:
        scenario = manifest["scenario"]
        kind, named = str(scenario["traffic"]["kind"]), str(scenario["traffic"]["roads"])
        start = datetime.fromisoformat(scenario["start"])
        weather = scenario["weather"]
    except (KeyError, TypeError, ValueError):
        raise UserError("holds a run whose manifest.json says too little") from None
    if kind == "replay":
        raise UserError("was replayed itself: name the run that it replayed")
    told = manifest.get("engines", {}).get("traffic", {}).get("roads_sha256")
    if told is None:
        raise UserError(f"was recorded before runs told the digest of their roads: {_AGAIN}")
    if told != roads.net_sha256:
        raise UserError(f"was driven on other roads ({named}), not on {roads.name} as it is now")
    ticks = int(manifest["ticks"])
    if weather.get("series"):
        ambient_c = networks.weather.series(weather["series"], start, ticks)
    else:
        ambient_c = np.full(ticks, float(weather["ambient_c"]))
    found = _tables(folder, roads, ambient_c, kind, str(manifest["output_digest"]), start)
    if not found.trips:
        raise UserError("has no trips to replay: no vehicle arrived anywhere")
    return found


def _tables(
    folder: Path, roads: RoadNetwork, ambient_c: Floats, kind: str, digest: str, start: datetime
) -> Record:
    names = ("vehicle_distance_km", "vehicle_traction_kwh", "vehicle_driving_s", "vehicle_edge")
    try:
        table = pq.read_table(folder / "events.parquet", filters=[("role", "=", "traffic")])
        with xr.open_zarr(folder / "timeseries.zarr", chunks=None) as data:
            ticks = {name: np.asarray(data[name].to_numpy()) for name in names}
            body_type = _specs(data)
            ids = tuple(str(name) for name in data["vehicle"].to_numpy())
        missing = [name for name in _COLUMNS if name not in table.column_names]
        if missing:
            reason = f"was recorded before trips told {' and '.join(missing)}: {_AGAIN}"
            raise UserError(reason)
        events = cast(list[Event], table.select(list(_COLUMNS)).to_pylist())
        return Record.of(
            roads,
            events,
            ticks,
            kind=kind,
            digest=digest,
            start=start,
            vehicle_ids=ids,
            body_type=body_type,
            ambient_c=ambient_c,
        )
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"cannot be read: {type(error).__name__}: {error}") from None


def _specs(data: xr.Dataset) -> tuple[str, ...]:
    """Return the name of each vehicle's specification."""
    body, model = (data[f"vehicle_{what}"].to_numpy().tolist() for what in ("body_type", "model"))
    known = {(spec.body, spec.model): spec.name for spec in networks.vehicles.models()}
    return tuple(known[pair] for pair in zip(body, model, strict=True))


def ticks_of(seconds: Floats) -> NDArray[np.int64]:
    """Return the settlement interval of each simulation time [s]."""
    return np.floor(seconds / TICK_S).astype(np.int64)
