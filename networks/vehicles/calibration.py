"""Consumption of the models on one road network, fitted to SUMO's microscopic battery device.

The curves that ship come from grids of streets; a city has its own mix of roads, junctions and
signals. Here the models drive a sample of trips over the network itself at several levels of
traffic, and every vehicle and tick gives one point of mean moving speed and net energy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from networks.roads.network import RoadNetwork
from networks.vehicles.curves import EnergyCurve, shipped
from networks.vehicles.sampling import Level, Points, simulate
from networks.vehicles.specs import VehicleSpec, models
from networks.vehicles.store import Calibration, ModelFit, cached, digest, keep

LOW_KMH = 1.0
"""Least mean speed of the curves [km/h]: ticks in a jam are part of the points."""
HELD_OUT = 5
"""Every so many-th vehicle of a model is kept out of the fit and judges it."""
LEAST_TICKS = 20
"""Fewest ticks of a model that a fit is made of."""
LEAST_KM = 0.5
"""Shortest way of a tick whose consumption for a distance is judged [km]."""
PRIOR_SHARE = 0.02
"""Weight of the shipped curve's shape among the points: it tells the speeds that are not there."""

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]
"""Called with the share that is done, 0 to 1, and with what comes next."""


LEVELS = (
    Level("light", 240, 900.0, 1.0),
    Level("busy", 800, 900.0, 5.0),
    Level("crowded", 2400, 900.0, 15.0),
)


def calibrated(roads: RoadNetwork, progress: Progress | None = None) -> Calibration:
    """Return the consumption of all models on a network, from the cache once it was fitted.

    Parameters
    ----------
    roads
        Any network.
    progress
        Told before each step of a fit; not at all where the cache has it.

    Raises
    ------
    TrafficError
        As `calibrate`, which is called if the cache has none.
    """
    specs = list(models())
    found = cached(roads, specs, seed=0)
    return calibrate(roads, specs, progress=progress) if found is None else found


def calibrate(
    roads: RoadNetwork,
    specs: Sequence[VehicleSpec],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Fit the consumption of models on a road network and keep the result in the cache.

    Parameters
    ----------
    roads
        Any network. With a trip table its trips are sampled, else places by length of street.
    specs
        Models, which share the roads in equal numbers.
    seed
        Seed of the sample of trips and of SUMO: the same one gives the same result.
    progress
        Told before each step.

    Returns
    -------
    Calibration
        Curves and errors of the models that drove for long enough; it is in the cache from now on.

    Raises
    ------
    TrafficError
        If this process already runs a simulation, SUMO fails, or no trip can be driven.
    """
    tell = progress or (lambda _share, _what: None)
    parts: list[Points] = []
    total = sum(level.vehicles for level in LEVELS)
    for number, level in enumerate(LEVELS):
        done = sum(earlier.vehicles for earlier in LEVELS[:number]) / total
        tell(done, f"consumption on {roads.name}: {level.name} traffic")
        parts.append(simulate(roads, specs, level, number, seed))
    tell(1.0, f"consumption on {roads.name}: fit")
    points = Points(
        **{
            key: np.concatenate([getattr(part, key) for part in parts])
            for key in Points.__dataclass_fields__
        }
    )
    speed = {
        level.name: float(part.distance_km.sum() / max(part.moving_h.sum(), 1e-9))
        for level, part in zip(LEVELS, parts, strict=True)
    }
    usual = shipped()
    found = Calibration(
        roads=roads.name,
        digest=digest(roads, specs, seed),
        seed=seed,
        speed_kmh=speed,
        models={
            spec.name: one
            for i, spec in enumerate(specs)
            if (one := fit(spec, points, i, len(specs), usual.get(spec.name))) is not None
        },
    )
    keep(found)
    return found


def _terms(distance_km: Floats, moving_h: Floats) -> Floats:
    """Return what the coefficients of the curve multiply, in kWh of a tick, shape (tick, 4)."""
    speed = distance_km / moving_h
    return np.column_stack([moving_h, distance_km, distance_km * speed, distance_km * speed**2])


def fit(
    spec: VehicleSpec, points: Points, place: int, among: int, usual: EnergyCurve | None
) -> ModelFit | None:
    """Fit one model and judge it by its vehicles that were held out.

    None if they hardly drove: the network is too small for trips of some length.

    Parameters
    ----------
    spec
        The model.
    points
        Ticks of all models.
    place, among
        Its vehicles are those whose number leaves `place` when divided by `among`.
    usual
        The curve that ships.
    """
    mine = points.vehicle % among == place
    held = mine & (points.vehicle // among % HELD_OUT == 0)
    used = mine & ~held
    if used.sum() < LEAST_TICKS or not held.any():
        return None
    way, hours, energy = points.distance_km, points.moving_h, points.net_kwh
    left, right = _terms(way[used], hours[used]), energy[used]
    speed = way[mine] / hours[mine]
    high = float(np.ceil(speed.max()))
    if usual is not None:
        high = max(usual.high_kmh, high)
        grid = np.linspace(usual.low_kmh, usual.high_kmh, 25)
        km = np.sqrt(PRIOR_SHARE * np.sum(way[used] ** 2) / len(grid)) * np.ones(len(grid))
        level = right.sum() / _guess(points, used, usual).sum()
        left = np.concatenate([left, _terms(km, km / grid)])
        right = np.concatenate([right, level * usual.kwh_per_km(grid) * km])
    solved = np.asarray(np.linalg.lstsq(left, right, rcond=None)[0], np.float64)
    # The shape comes from the points and the shipped curve, the total from the points alone.
    solved *= energy[used].sum() / (_terms(way[used], hours[used]) @ solved).sum()
    a, b, c, d = (float(x) for x in solved)
    bare = EnergyCurve(spec.name, a, b, c, d, LOW_KMH, high, 0.0, 0.0, 0.0)
    bias, rms, situations = _errors(points, held, bare)
    ships = None if usual is None else _errors(points, held, usual)
    ended = held & points.arrived
    key = points.level * (points.vehicle.max() + 1) + points.vehicle
    trip_km = np.bincount(key[ended], way[ended])
    real = np.bincount(key[ended], energy[ended])[trip_km > 0]
    guess = np.bincount(key[ended], _guess(points, ended, bare))[trip_km > 0]
    trips_rms = float(np.sqrt(np.mean((guess - real) ** 2)) / real.mean()) if real.size else np.nan
    worst = max(abs(error) for error in situations.values())
    return ModelFit(
        curve=EnergyCurve(spec.name, a, b, c, d, LOW_KMH, high, rms, bias, worst),
        trips=len(np.unique(key[mine & points.arrived])),
        ticks=int(mine.sum()),
        distance_km=float(way[mine].sum()),
        gross_kwh=float(points.gross_kwh[mine].sum()),
        regenerated_kwh=float(points.regenerated_kwh[mine].sum()),
        held_out_ticks=int(held.sum()),
        held_out_trips=len(real),
        trip_rms_pct=100 * trips_rms,
        situation_pct=situations,
        shipped_bias_pct=None if ships is None else ships[0],
        shipped_rms_kwh_per_km=None if ships is None else ships[1],
    )


def _guess(points: Points, rows: NDArray[np.bool_], curve: EnergyCurve) -> Floats:
    way = points.distance_km[rows]
    return curve.kwh_per_km(way / points.moving_h[rows]) * way


def _errors(
    points: Points, rows: NDArray[np.bool_], curve: EnergyCurve
) -> tuple[float, float, dict[str, float]]:
    """Return bias [%], RMS of a tick [kWh/km] and error of each level's total [%]."""
    guess, real = _guess(points, rows, curve), points.net_kwh[rows]
    way, level = points.distance_km[rows], points.level[rows]
    # Of a vehicle that hardly moved there is no consumption for a distance.
    drove = way > LEAST_KM
    error = (guess[drove] - real[drove]) / way[drove]
    rms = float(np.sqrt(np.mean(error**2))) if error.size else float("nan")
    by_level = {
        LEVELS[n].name: float(100 * (guess[level == n].sum() / real[level == n].sum() - 1))
        for n in np.unique(level).tolist()
    }
    return float(100 * (guess.sum() / real.sum() - 1)), rms, by_level
