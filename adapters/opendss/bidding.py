"""What vehicles bid in a run: cleared after each interval's solution, for the interval after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.cleared import Binding, Failure, FeedersCleared
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import KINDS, Limits, limits_of
from adapters.opendss.offers import Offers
from cosim.checkpoints import as_array, from_array
from cosim.scenario import Limits as Settings

Floats = NDArray[np.float64]
Indices = NDArray[np.integer]
HAIR = 1e-4
"""Limits are held this share below their bounds, so that what an answer misses them by is no
violation."""
PU_PER_KW = 1e-4
"""A kilowatt that moves a voltage by so much costs by it what one does that takes a
kilovolt-ampere of a transformer. On medium voltage it moves each less, but many of them. Ours."""
_UNITS = {"transformer": "USD/kVAh", "line": "USD/Ah", "voltage": "USD/puh"}
"""Of what one more unit of a limit is worth, by kind."""

_BINDING = "binding"


class Clears(Protocol):
    """Feeders that clear offers."""

    def clear(self, load_scale: float, offers: Offers, head_usd_per_mwh: Floats) -> FeedersCleared:
        """Return what limits leave of offers, and what power is worth for them."""
        ...


class Bidding:
    """Clears each interval's offers and keeps the prices that they set for the next one.

    At a feeder whose clearing has no answer, what was found last stands: vehicles exchange no more
    than they do now, at prices that stay, and the limits that bound go on binding.

    Parameters
    ----------
    feeders
        The feeders.
    connection_of_station
        Which of their connections is that of each station, shape (station,).
    buses
        Number of nodes of all feeders.
    """

    def __init__(self, feeders: Clears, connection_of_station: Indices, buses: int) -> None:
        self._feeders, self._at = feeders, connection_of_station
        self._prices = no_prices(len(connection_of_station), buses)
        self._binding: tuple[Binding, ...] = ()

    @property
    def prices(self) -> dict[str, Floats]:
        """What limits make of the prices of this interval, by the names of the signals."""
        return self._prices

    def clear(
        self,
        load_scale: float,
        offer_kw: Floats,
        offer_usd_per_mwh: Floats,
        vehicle_station: Indices,
        vehicle_power_kw: Floats,
        head_usd_per_mwh: Floats,
    ) -> tuple[Floats, tuple[Binding, ...], tuple[Failure, ...]]:
        """Clear offers for the next interval, whose prices stand in `prices` from then on.

        Parameters
        ----------
        load_scale
            Factor on the published loads of the feeders in the next interval [1].
        offer_kw, offer_usd_per_mwh
            What each vehicle would exchange, and what it pays at most or wants at least,
            shape (vehicle,).
        vehicle_station
            Station of each vehicle, -1 for none, shape (vehicle,).
        vehicle_power_kw
            What it exchanges now, shape (vehicle,).
        head_usd_per_mwh
            Price at the head of each feeder, shape (feeder,) [USD/MWh].

        Returns
        -------
        cleared_kw
            What limits leave of each offer, shape (vehicle,) [kW].
        binding
            Limits that bind.
        failed
            Feeders without an answer.

        Raises
        ------
        PowerFlowError
            Of a feeder, with its name if there are several.
        """
        who = np.flatnonzero(offer_kw)
        offers = Offers(
            connection=np.asarray(self._at[vehicle_station[who]], np.int64),
            power_kw=offer_kw[who],
            usd_per_mwh=offer_usd_per_mwh[who],
        )
        found = self._feeders.clear(load_scale, offers, head_usd_per_mwh)
        prices = {
            f"{of}_{kind}_usd_per_mwh": values
            for kind in KINDS
            for of, values in (
                ("station", getattr(found, f"charger_{kind}_usd_per_mwh")[self._at]),
                ("dlmp", getattr(found, f"bus_{kind}_usd_per_mwh")),
            )
        }
        self._prices = {
            name: np.where(np.isnan(values), self._prices[name], values)
            for name, values in prices.items()
        }
        without = {one.feeder for one in found.failed}
        stands = tuple(row for row in self._binding if row.feeder in without)
        self._binding = (*found.binding, *stands)
        now_kw = vehicle_power_kw[who]
        held_kw = np.clip(offer_kw[who], np.minimum(now_kw, 0), np.maximum(now_kw, 0))
        cleared_kw = np.zeros(len(offer_kw))
        cleared_kw[who] = np.where(np.isnan(found.power_kw), held_kw, found.power_kw)
        return cleared_kw, self._binding, found.failed

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the prices that stand and the limits that bind, by name, for a checkpoint."""
        binding = as_array([asdict(limit) for limit in self._binding])
        return {**self._prices, _BINDING: binding}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `arrays`; KeyError if one is missing."""
        self._prices = {name: arrays[name] for name in self._prices}
        self._binding = tuple(Binding(**limit) for limit in from_array(arrays[_BINDING]))


def limits_in_runs(feeder: Feeder, wanted: Settings, lost_load_usd_per_mwh: float) -> Limits:
    """Return what bids are cleared within at a feeder of a run.

    Limits are a hair tighter than asked for, and to pass them costs more than any bid is worth: a
    kilowatt that takes a kilovolt-ampere of a transformer, or its current in a line, twice the
    value of lost load.

    Parameters
    ----------
    feeder
        The feeder.
    wanted
        Limits of the scenario.
    lost_load_usd_per_mwh
        Value of lost load, the highest that a vehicle bids.
    """
    most_usd_per_kwh = 2 * lost_load_usd_per_mwh / 1e3
    held = limits_of(
        feeder,
        wanted.transformer_pct * (1 - HAIR),
        wanted.line_pct * (1 - HAIR),
        wanted.voltage_low_pu * (1 + HAIR),
        wanted.voltage_high_pu * (1 - HAIR),
    )
    return replace(
        held,
        transformer_penalty_usd_per_kvah=most_usd_per_kwh,
        line_penalty_usd_per_ah=most_usd_per_kwh * float(feeder.base_v.max()) / 1e3,
        voltage_penalty_usd_per_puh=most_usd_per_kwh / PU_PER_KW,
    )


def no_prices(stations: int, buses: int) -> dict[str, Floats]:
    """Return prices of limits where none binds, by the names of the signals."""
    return {
        f"{of}_{kind}_usd_per_mwh": np.zeros(count)
        for kind in KINDS
        for of, count in (("station", stations), ("dlmp", buses))
    }


class BindingWatch:
    """Turns limits that bind into events at the begin and at the end of each."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], dict[str, Any]] = {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what binds, by name, for a checkpoint."""
        return {"open": as_array([[*key, event] for key, event in self._open.items()])}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `arrays`; KeyError if one is missing."""
        found = from_array(arrays["open"])
        self._open = {(kind, name): event for kind, name, event in found}

    def update(self, time_s: float, binding: Sequence[Binding]) -> list[dict[str, Any]]:
        """Take the limits that bind from `time_s` on and return what began or ended.

        Parameters
        ----------
        time_s
            Simulation time of the interval that was cleared [s].
        binding
            Its limits that bind.

        Returns
        -------
        list of dict
            Events ``limit_binding``: ``place`` is what is limited, ``limit`` its bound, ``value``
            what one more unit of it would save: at the begin that found, at the end the highest.
        """
        now = {(one.kind, one.id): one for one in binding}
        ended = [key for key in self._open if key not in now]
        events = [self._ended(key, time_s) for key in ended]
        for key, one in now.items():
            worth = one.worth_usd_per_h
            if key in self._open:
                self._open[key]["value"] = max(self._open[key]["value"], worth)
                continue
            self._open[key] = {
                "kind": "limit_binding",
                "place": one.id,
                "value": worth,
                "limit": one.limit,
                "start_s": time_s,
            }
            detail = f"begin; {one.kind}, worth in {_UNITS[one.kind]}"
            events.append({"time_s": time_s, **self._open[key], "detail": detail})
        return events

    def finish(self, time_s: float) -> list[dict[str, Any]]:
        """End all that still bind at `time_s`, the end of the run."""
        return [self._ended(key, time_s) for key in list(self._open)]

    def _ended(self, key: tuple[str, str], time_s: float) -> dict[str, Any]:
        event = self._open.pop(key)
        kind, lasted_s = key[0], time_s - event["start_s"]
        detail = f"end after {lasted_s:g} s; {kind}, highest worth in {_UNITS[kind]}"
        return {"time_s": time_s, **event, "detail": detail}
