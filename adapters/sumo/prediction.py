"""Time and energy of legs that a record does not hold, as its own trips suggest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from adapters.sumo.journeys import Journeys
from adapters.sumo.profiles import Profiles
from adapters.sumo.record import ENDED, Record, ticks_of
from adapters.sumo.tick import Floats
from networks.vehicles import EnergyCurve, VehicleSpec, shipped

HELD_OUT = 5
"""Every so many-th trip is kept out of the fit and judges it."""
FEW = 20
"""With so many trips in an hour of the day, they and all trips count alike for its ratio."""
FEW_OF_ONE = 1
"""With so many trips of a vehicle, they and those of all vehicles count alike for its pace."""
LEAST_TRIPS = 10
"""Fewest trips of a body type that its consumption is fitted to."""
ORIGINS = 400
"""Most origins whose trips are taken: each costs a search over the network."""
HOURS = 24

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Error:
    """How far predictions are from trips that were held out of the fit."""

    trips: int
    """Trips that judge it."""
    bias_pct: float
    """Error of their total [%]."""
    rms_pct: float
    """RMS error of a trip, against the mean trip [%]."""

    def __str__(self) -> str:
        return f"{self.bias_pct:+.1f} % in sum, {self.rms_pct:.1f} % rms a trip ({self.trips})"

    @classmethod
    def of(cls, guess: Floats, real: Floats) -> Error:
        """Return the error of guesses against what was recorded."""
        if not real.size:
            return cls(0, float("nan"), float("nan"))
        rms = float(np.sqrt(np.mean((guess - real) ** 2)))
        bias = float(guess.sum() / real.sum() - 1)
        return cls(len(real), 100 * bias, 100 * rms / float(real.mean()))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Travel time and consumption as fitted to a record.

    Notes
    -----
    A leg takes ``t = t0 + f (r_h + s (n - n_h))`` seconds: `f` is the free-flow time of its way,
    `h` the hour of the day in which it begins and `n` the number of vehicles of the fleet on the
    road then, held within what was recorded. A vehicle that was recorded takes its own pace times
    as long. Its length is that of the way times `q`, since ways were chosen by the travel times of
    the moment. It draws ``a t + b l + d l v^2`` with the length `l` and the mean speed
    ``v = l / t``; heating and cooling come on top.
    """

    setting_out_s: float
    """Time `t0` that a leg takes whatever its way [s]."""
    ratio: Floats
    """Time over free-flow time `r_h` by hour of the day, shape (24,)."""
    usual: Floats
    """Vehicles on the road `n_h` by hour of the day, shape (24,)."""
    slope: float
    """What one more vehicle on the road adds to the ratio, `s`."""
    on_road: tuple[float, float]
    """Fewest and most vehicles on the road that were recorded at a departure."""
    pace: Floats
    """Time over predicted time of each vehicle of the record; 1 if it hardly drove."""
    detour: float
    """Distance over the length of the fastest free-flow way, `q`."""
    consumption: Floats
    """`a` [kW], `b` [kWh/km] and `d` [kWh h2/km3] of each body type, shape (body type, 3)."""
    distance_error: Error
    """Error of distances."""
    time_error: Error
    """Error of travel times."""
    energy_error: Error
    """Error of energies, travel times known."""

    @classmethod
    def of(
        cls,
        record: Record,
        profiles: Profiles,
        journeys: Journeys,
        specs: Sequence[VehicleSpec],
    ) -> Prediction:
        """Fit travel time and consumption to the trips of a record.

        Parameters
        ----------
        record, profiles
            What was recorded, and its legs tick by tick.
        journeys
            Ways of the network.
        specs
            Body types whose consumption is wanted. One with few trips takes the shape of the
            curve that ships, at the level that the others' trips have to their curves.
        """
        trips = _Trips.of(record, profiles, journeys)
        judges = np.arange(len(trips.vehicle)) % HELD_OUT == 0
        if not LEAST_TRIPS <= judges.sum() <= len(judges) - LEAST_TRIPS:
            # Too few trips to keep some out: the fit judges itself.
            used = judges = np.ones(len(judges), np.bool_)
        else:
            used = ~judges
        fitted, held = trips.only(used), trips.only(judges)
        consumption = _fit_energy(fitted, specs)
        even = np.ones(len(record.vehicle_ids))
        none = Error(0, 0.0, 0.0)
        detour = float(fitted.km.sum() / fitted.way_km.sum())
        made = cls(*_fit_time(fitted), even, detour, consumption, none, none, none)
        made = replace(made, pace=made._paces(fitted, len(even)))
        return replace(
            made,
            distance_error=Error.of(detour * held.way_km, held.km),
            time_error=Error.of(made._guess(held) * made.pace[held.vehicle], held.time_s),
            energy_error=_judge_energy(made, held, specs),
        )

    def time_s(self, free_s: Floats, hour: Ints, on_road: float, pace: Floats) -> Floats:
        """Return travel times in whole seconds from free-flow times [s]."""
        even_s = self._time_s(free_s, hour, np.asarray(on_road))
        return np.maximum(np.rint(even_s * pace), 1.0)

    def energy_kwh(self, body_type: NDArray[np.integer], km: Floats, time_s: Floats) -> Floats:
        """Return net energies without heating and cooling [kWh]."""
        return np.einsum("ij,ij->i", self.consumption[body_type], _terms(km, time_s))

    def about(self) -> dict[str, str]:
        """Return the errors in words, for a manifest."""
        return {
            "predicted_distance_error": str(self.distance_error),
            "predicted_time_error": str(self.time_error),
            "predicted_energy_error": str(self.energy_error),
        }

    def _guess(self, trips: _Trips) -> Floats:
        return self._time_s(trips.free_s, trips.hour, trips.on_road)

    def _paces(self, trips: _Trips, vehicles: int) -> Floats:
        real_s, guess_s = (
            np.bincount(trips.vehicle, seconds, vehicles)
            for seconds in (trips.time_s, self._guess(trips))
        )
        prior_s = FEW_OF_ONE * float(trips.time_s.mean())
        return (real_s + prior_s) / (guess_s + prior_s)

    def _time_s(self, free_s: Floats, hour: Ints, on_road: Floats) -> Floats:
        more = np.clip(on_road, *self.on_road) - self.usual[hour]
        return self.setting_out_s + free_s * np.maximum(self.ratio[hour] + self.slope * more, 0.1)


@dataclass(frozen=True, eq=False)
class _Trips:
    """Trips that arrived, from a sample of origins; arrays over the trips."""

    vehicle: Ints
    body: NDArray[np.str_]
    hour: Ints
    on_road: Floats
    free_s: Floats
    way_km: Floats
    time_s: Floats
    km: Floats
    kwh: Floats

    @classmethod
    def of(cls, record: Record, profiles: Profiles, journeys: Journeys) -> _Trips:
        roads = journeys.roads
        ended = record.ending[profiles.leg] == ENDED
        leg, last = profiles.leg[ended], profiles.first[1:][ended] - 1
        origins = np.unique(record.origin[leg])
        origins = origins[:: -(-len(origins) // ORIGINS)]
        taken = np.isin(record.origin[leg], origins)
        leg, last = leg[taken], last[taken]
        origin, target = record.origin[leg], record.target[leg]
        free_s, way_km = np.empty((2, len(leg)))
        for place in origins.tolist():
            rows = np.flatnonzero(origin == place)
            free_s[rows] = roads.travel_time_s([place], target[rows])[0]
            way_km[rows] = roads.distance_km([place], target[rows])[0]
        for row in np.flatnonzero(record.via[leg, 0] >= 0).tolist():
            via = [point for point in record.via[leg[row]].tolist() if point >= 0]
            found = journeys.find(int(origin[row]), int(target[row]), via)
            if not isinstance(found, str):
                way_km[row], free_s[row] = (x[0] for x in journeys.figures(np.array([found])))
        first_s = 3600 * record.start.hour + 60 * record.start.minute + record.start.second
        start_s = record.start_s[leg]
        return cls(
            vehicle=record.vehicle[leg],
            body=np.array(record.body_type)[record.vehicle[leg]],
            hour=((first_s + start_s) // 3600).astype(np.int64) % HOURS,
            on_road=_on_road(record)[ticks_of(start_s)],
            free_s=free_s,
            way_km=way_km,
            time_s=record.end_s[leg] - start_s,
            km=record.distance_km[leg],
            kwh=profiles.kwh[last],
        )

    def only(self, rows: NDArray[np.bool_]) -> _Trips:
        return _Trips(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def _on_road(record: Record) -> Floats:
    """Return how many vehicles were on the road at the start of each tick."""
    change = np.zeros(record.ticks + 2)
    np.add.at(change, ticks_of(record.start_s) + 1, 1.0)
    np.add.at(change, ticks_of(record.end_s) + 1, -1.0)
    return np.cumsum(change)


def _fit_time(trips: _Trips) -> tuple[float, Floats, Floats, float, tuple[float, float]]:
    """Return the fields of `Prediction` that travel times rest on."""
    free_s, time_s = trips.free_s, trips.time_s
    late_s, ratio = nnls(np.column_stack([np.ones(len(free_s)), free_s]), time_s)[0].tolist()
    rest_s = time_s - late_s
    prior = FEW * float(free_s.mean())
    free_h, rest_h = (np.bincount(trips.hour, x, HOURS) for x in (free_s, rest_s))
    ratios = (rest_h + prior * ratio) / (free_h + prior)
    count_h = np.bincount(trips.hour, minlength=HOURS)
    mean = float(trips.on_road.mean())
    usual = (np.bincount(trips.hour, trips.on_road, HOURS) + FEW * mean) / (count_h + FEW)
    more = free_s * (trips.on_road - usual[trips.hour])
    over_s = rest_s - free_s * ratios[trips.hour]
    weight = float(more @ more)
    slope = max(float(more @ over_s) / weight, 0.0) if weight else 0.0
    span = float(trips.on_road.min()), float(trips.on_road.max())
    return float(late_s), ratios, usual, slope, span


def _terms(km: Floats, time_s: Floats) -> Floats:
    hours = time_s / 3600.0
    return np.column_stack([hours, km, km**3 / hours**2])


def _of_curve(curve: EnergyCurve) -> Floats:
    """Return consumption terms that are nearest to a curve."""
    speed = np.linspace(max(curve.low_kmh, 5.0), curve.high_kmh, 50)
    left = np.column_stack([1.0 / speed, np.ones(50), speed**2])
    return np.asarray(nnls(left, curve.kwh_per_km(speed))[0], np.float64)


def _fit_energy(trips: _Trips, specs: Sequence[VehicleSpec]) -> Floats:
    """Return the consumption of each body type."""
    curves = shipped()
    fitted: dict[str, Floats] = {}
    real = guess = 0.0
    for name in np.unique(trips.body).tolist():
        rows = trips.body == name
        if rows.sum() < LEAST_TRIPS:
            continue
        terms, kwh = _terms(trips.km[rows], trips.time_s[rows]), trips.kwh[rows]
        found = np.asarray(nnls(terms, kwh)[0], np.float64)
        fitted[name] = found * kwh.sum() / float((terms @ found).sum())
        real += float(kwh.sum())
        guess += float((terms @ _of_curve(curves[name])).sum())
    level = real / guess if guess else 1.0
    return np.stack(
        [
            fitted[spec.name] if spec.name in fitted else level * _of_curve(curves[spec.name])
            for spec in specs
        ]
    )


def _judge_energy(made: Prediction, trips: _Trips, specs: Sequence[VehicleSpec]) -> Error:
    place = {spec.name: i for i, spec in enumerate(specs)}
    rows = np.isin(trips.body, list(place))
    own = trips.only(rows)
    body = np.array([place[str(name)] for name in own.body], np.int64)
    return Error.of(made.energy_kwh(body, own.km, own.time_s), own.kwh)
