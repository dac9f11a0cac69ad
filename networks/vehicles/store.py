"""Calibrations of the consumption on road networks, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.paths import cache_dir
from networks.roads.programs import sumo_version
from networks.vehicles.curves import EnergyCurve, shipped
from networks.vehicles.specs import VehicleSpec, models

if TYPE_CHECKING:
    from networks.roads import RoadNetwork

METHOD = "1"
"""Changes whenever the same network would be calibrated differently."""


@dataclass(frozen=True)
class ModelFit:
    """Consumption of one model on one network, and how well a curve of mean speed tells it.

    Errors are those of vehicles held out of the fit: of a tick in kWh/km, of totals in percent.
    """

    curve: EnergyCurve
    """Net consumption by mean moving speed over a tick."""
    trips: int
    """Trips that ended."""
    ticks: int
    """Ticks of vehicles, begun and ended ones included."""
    distance_km: float
    """Way of all of them [km]."""
    gross_kwh: float
    """Drawn from the battery on it, auxiliaries included [kWh]."""
    regenerated_kwh: float
    """Returned to it by braking [kWh]."""
    held_out_ticks: int
    """Ticks that judge the fit."""
    held_out_trips: int
    """Trips that judge the fit."""
    trip_rms_pct: float
    """RMS error of the energy of a trip, against the mean trip's [%]."""
    situation_pct: Mapping[str, float]
    """Error of the total in each level of traffic [%]."""
    shipped_bias_pct: float | None
    """Error of the total by the curve that ships [%]; None if none does."""
    shipped_rms_kwh_per_km: float | None
    """RMS error of a tick by the curve that ships [kWh/km]; None if none does."""

    @property
    def net_kwh_per_km(self) -> float:
        """Drawn less returned [kWh/km]."""
        return (self.gross_kwh - self.regenerated_kwh) / self.distance_km


@dataclass(frozen=True)
class Calibration:
    """Consumption of models on one road network."""

    roads: str
    """Name of the network."""
    digest: str
    """Of the net file, SUMO's version, the method and the models."""
    seed: int
    """Seed of the sample of trips and of SUMO."""
    speed_kmh: Mapping[str, float]
    """Mean speed in each level of traffic [km/h]."""
    models: Mapping[str, ModelFit]
    """Result for each model, by name."""

    def report(self) -> str:
        """Return the results as a table for people."""
        levels = ", ".join(f"{name} {v:.1f} km/h" for name, v in self.speed_kmh.items())
        lines = [
            f"{self.roads}: consumption fitted to SUMO micro ({levels})",
            "kWh/100 km          gross  regen.    net   bias  RMS of a tick  of a trip  "
            "worst level   shipped curve",
        ]
        for name, m in self.models.items():
            gross, back = (100 * x / m.distance_km for x in (m.gross_kwh, m.regenerated_kwh))
            worst = max(m.situation_pct, key=lambda level: abs(m.situation_pct[level]))
            usual = "none" if m.shipped_bias_pct is None else f"{m.shipped_bias_pct:+.1f} %"
            lines.append(
                f"{name:18s} {gross:6.1f} {back:7.1f} {gross - back:6.1f} "
                f"{m.curve.bias_pct:+4.1f} % {100 * m.curve.rms_kwh_per_km:14.2f} "
                f"{m.trip_rms_pct:8.1f} %  {m.situation_pct[worst]:+4.1f} % {worst:8s} {usual:>9s}"
            )
        return "\n".join(lines)


def digest(roads: RoadNetwork, *specs: VehicleSpec) -> str:
    """Return the digest of a net file, SUMO's version, the method and the figures of models."""
    return _digest(roads.net_sha256, *specs)


def _digest(net_sha256: str, *specs: VehicleSpec) -> str:
    parts: list[Any] = [METHOD, sumo_version(), net_sha256]
    for spec in specs:
        figures = {f.name: getattr(spec, f.name) for f in fields(spec) if f.type == "float"}
        parts.append([spec.name, spec.sumo_class, figures])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def keep(roads: RoadNetwork, calibration: Calibration, specs: Mapping[str, VehicleSpec]) -> None:
    """Write a calibration to the cache, one file a model."""
    net_sha256 = roads.net_sha256
    for name, fit in calibration.models.items():
        target = _file(net_sha256, specs[name])
        target.parent.mkdir(parents=True, exist_ok=True)
        content = asdict(fit) | {
            "roads": calibration.roads,
            "seed": calibration.seed,
            "speed_kmh": dict(calibration.speed_kmh),
        }
        handle, name_there = tempfile.mkstemp(dir=target.parent, prefix=target.stem)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        os.replace(name_there, target)


def cached(roads: RoadNetwork, *specs: VehicleSpec) -> Calibration | None:
    """Return the calibration of models on a network as the cache holds it.

    Only the models that were calibrated are in it; None if none was. A file that cannot be read
    counts as absent.
    """
    net_sha256 = roads.net_sha256
    fits: dict[str, ModelFit] = {}
    last: dict[str, Any] = {}
    for spec in specs:
        try:
            content = json.loads(_file(net_sha256, spec).read_text(encoding="utf-8"))
            curve = EnergyCurve(**content["curve"])
            rest = {f.name: content[f.name] for f in fields(ModelFit) if f.name != "curve"}
            fits[spec.name] = ModelFit(curve=curve, **rest)
            last = {key: content[key] for key in ("roads", "seed", "speed_kmh")}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if not fits:
        return None
    chosen = [spec for spec in specs if spec.name in fits]
    return Calibration(digest=_digest(net_sha256, *chosen), models=fits, **last)


def load_energy(roads: RoadNetwork | None = None) -> dict[str, EnergyCurve]:
    """Return the consumption curves by name of the model.

    Parameters
    ----------
    roads
        Network whose own calibration is taken for the models that have one; without it, and for
        the other models, the curves that ship.
    """
    curves = shipped()
    if roads is not None and (found := cached(roads, *models())) is not None:
        curves |= {name: fit.curve for name, fit in found.models.items()}
    return curves


def _file(net_sha256: str, spec: VehicleSpec) -> Path:
    return cache_dir() / "energy" / f"{spec.name}-{_digest(net_sha256, spec)[:16]}.json"
