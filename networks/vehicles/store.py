"""Calibrations of the consumption on road networks: those that ship, and those in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.paths import cache_dir
from networks.roads.programs import sumo_version
from networks.vehicles.curves import EnergyCurve, shipped
from networks.vehicles.specs import VehicleSpec

if TYPE_CHECKING:
    from networks.roads import RoadNetwork

SHIPPED = Path(__file__).parent / "calibrations"
"""Calibrations of the networks that ship, made by ``python -m networks.vehicles.fit_networks``."""
METHOD = "2"
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
    """Of the net file, SUMO's version, the method, the seed and the models."""
    seed: int
    """Seed of the sample of trips and of SUMO."""
    speed_kmh: Mapping[str, float]
    """Mean speed in each level of traffic [km/h]."""
    models: Mapping[str, ModelFit]
    """Result for each model that drove for long enough, by name."""

    @property
    def curves(self) -> dict[str, EnergyCurve]:
        """Curves by name of the model; that which ships where the network was too small."""
        return shipped() | {name: fit.curve for name, fit in self.models.items()}

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
        if others := sorted(shipped().keys() - self.models.keys()):
            lines.append(f"not fitted, the curve that ships: {', '.join(others)}")
        return "\n".join(lines)


def digest(roads: RoadNetwork, specs: Sequence[VehicleSpec], seed: int) -> str:
    """Return the digest of a net file, SUMO's version, the method, the seed and the models.

    Models share the roads while they are calibrated, so each depends on which ones there are.
    """
    parts: list[Any] = [METHOD, sumo_version(), roads.net_sha256, seed]
    for spec in specs:
        figures = {f.name: getattr(spec, f.name) for f in fields(spec) if f.type == "float"}
        parts.append([spec.name, spec.sumo_class, figures])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def keep(calibration: Calibration, folder: Path | None = None) -> None:
    """Write a calibration to a folder, the cache if None, whole or not at all."""
    target = (folder or _cache()) / _name(calibration.roads, calibration.digest)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name_there = tempfile.mkstemp(dir=target.parent, prefix=target.stem)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(calibration), file, indent=1)
    os.replace(name_there, target)


def cached(roads: RoadNetwork, specs: Sequence[VehicleSpec], seed: int) -> Calibration | None:
    """Return the calibration of models on a network that ships or is in the cache, else None.

    A file that cannot be read counts as absent.
    """
    name = _name(roads.name, digest(roads, specs, seed))
    for folder in (SHIPPED, _cache()):
        try:
            content = json.loads((folder / name).read_text(encoding="utf-8"))
            models = {
                name: ModelFit(**fit | {"curve": EnergyCurve(**fit["curve"])})
                for name, fit in content["models"].items()
            }
            return Calibration(**content | {"models": models})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _cache() -> Path:
    return cache_dir() / "energy"


def _name(roads: str, key: str) -> str:
    return f"{Path(roads).name}-{key[:16]}.json"
