"""Reserve that vehicles hold: what is offered, what is bought at which price, and calls.

A vehicle at a port offers how far its power could fall in this tick: what it draws, and at a
two-way port what it could feed back and sustain. Offers are bought in merit order at one price, up
to the demand of the system: a requirement, and more while it is cheap. While an offer is missing
for some of the demand, the price is what that is worth: 850 USD per MW and hour for the
requirement, 300 for what is beyond it, PJM's reserve penalty factors (Troutman Sanders, "PJM
Proposes Changes to Operating Reserve Demand Curves", May 2017; ENGIE Resources, 11 September 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.response_section import Reserve
from cosim.signals import TICK_HOURS, TICK_S

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SHORT_KW = 0.1
"""A called vehicle that lacks more than this is told [kW]."""


@dataclass(frozen=True)
class Cleared:
    """What is bought at which price."""

    kw: Floats
    """Of each offer, shape (offer,)."""
    usd_per_mw_h: float
    """Price of all of it; 0 where nothing is asked for."""


def clear(
    offer_kw: Floats, offer_usd_per_mw_h: Floats, demand: Sequence[tuple[float, float]]
) -> Cleared:
    r"""Buy reserve in merit order at one price.

    Parameters
    ----------
    offer_kw, offer_usd_per_mw_h
        What is offered, and the least it is offered for, shape (offer,).
    demand
        Steps (kW, worth in USD per MW and hour), the dearest first.

    Returns
    -------
    Cleared

    Notes
    -----
    Offers of one price get the same share. With the offers :math:`S(p)` at or below a price and the
    demand :math:`D(p)` that is worth at least as much, :math:`\min(S, D)` is bought at the last
    price for which it grows; the price of all is the dearer of that and the worth of the first
    kilowatt of demand that is not met.
    """
    bought = np.zeros(len(offer_kw))
    prices, group = np.unique(offer_usd_per_mw_h, return_inverse=True)
    total_kw, last_usd = 0.0, 0.0
    offered = np.bincount(group, offer_kw, len(prices)).cumsum()
    before_kw = 0.0
    for number, (price, so_far_kw) in enumerate(
        zip(prices.tolist(), offered.tolist(), strict=True)
    ):
        wanted_kw = sum(kw for kw, worth in demand if worth >= price)
        more_kw = min(so_far_kw, wanted_kw) - total_kw
        here_kw = so_far_kw - before_kw
        before_kw = so_far_kw
        if more_kw <= 0 or here_kw <= 0:
            continue
        here = group == number
        bought[here] = offer_kw[here] * (more_kw / here_kw)
        total_kw, last_usd = total_kw + more_kw, price
    return Cleared(bought, max(last_usd, _first_unmet(demand, total_kw)))


def _first_unmet(demand: Sequence[tuple[float, float]], met_kw: float) -> float:
    """Return what the first kilowatt of demand that is not met is worth, 0 if all is."""
    for kw, worth in demand:
        if met_kw < kw * (1 - 1e-9):
            return worth
        met_kw -= kw
    return 0.0


@dataclass(frozen=True)
class ReserveTick:
    """Reserve in one tick; arrays are fresh and have shape (vehicle,)."""

    usd_per_mw_h: float
    kw: Floats
    """What each vehicle holds, or is called to give in this tick."""
    delivered_kw: Floats
    """By how much the power of called vehicles has fallen since the call."""
    vehicle_usd: Floats
    """What each is paid for it [USD]."""
    called: Flags
    """Whether it is called for the next tick."""
    call_kw: Floats
    """Most that it is to draw then; negative to feed back."""
    happened: list[dict[str, Any]]


class Reserves:
    """Buys reserve in every tick, and calls it while the reserve of the system is scarce.

    What is called stays what it is until the reserve would be enough without it, or for as long as
    vehicles must sustain it; nothing else is bought meanwhile. Called vehicles are paid for what
    they deliver of what they hold: by how much their power fell below that of the tick before the
    call.

    Parameters
    ----------
    rules
        The scenario's `market.reserve`.
    ticks
        Length of the run: nothing is called for a tick after it.
    """

    def __init__(self, rules: Reserve, ticks: int) -> None:
        self._demand = (
            (rules.requirement_kw, rules.short_usd_per_mw_h),
            (rules.extended_kw, rules.extended_usd_per_mw_h),
        )
        self.at_all = rules.requirement_kw + rules.extended_kw > 0
        """Whether any is bought."""
        self._most_ticks = rules.sustained_minutes * 60 // TICK_S
        self._ticks = ticks
        self._call: _Call | None = None

    def given_kw(self, power_kw: Floats) -> Floats:
        """Return by how much the power of called vehicles has fallen since the call [kW].

        Parameters
        ----------
        power_kw
            What each vehicle draws, shape (vehicle,) [kW].
        """
        call = self._call
        if call is None:
            return np.zeros(len(power_kw))
        return np.where(call.kw > 0, np.maximum(call.reference_kw - power_kw, 0.0), 0.0)

    def step(
        self,
        tick: int,
        power_kw: Floats,
        least_kw: Floats,
        offer_usd_per_mw_h: Floats,
        scarce: bool,
    ) -> ReserveTick:
        """Buy, or follow what was called.

        Parameters
        ----------
        tick
            Settlement interval.
        power_kw, least_kw
            What each vehicle drew at its plug and the least that it could have drawn and sustained,
            0 without a port, shape (vehicle,) [kW].
        offer_usd_per_mw_h
            What each wants for it, negative where it offers none, shape (vehicle,).
        scarce
            Whether the reserve of the system would be scarce in this tick without what was called.
        """
        none = np.zeros(len(power_kw))
        if not self.at_all:
            return self._tick(0.0, none, none, none, [])
        if self._call is not None:
            return self._follow(self._call, tick, power_kw, scarce)
        spare_kw = np.maximum(power_kw - least_kw, 0.0)
        offers = np.flatnonzero((offer_usd_per_mw_h >= 0) & (spare_kw > 0))
        found = clear(spare_kw[offers], offer_usd_per_mw_h[offers], self._demand)
        kw = np.zeros(len(power_kw))
        kw[offers] = found.kw
        happened: list[dict[str, Any]] = []
        if scarce and kw.any() and tick + 1 < self._ticks:
            self._call = _Call(tick + 1, found.usd_per_mw_h, kw, power_kw.copy())
            happened = [_event("reserve_called", tick, value=float(kw.sum()), detail="kW, all")]
        usd = kw * found.usd_per_mw_h * TICK_HOURS / 1000
        return self._tick(found.usd_per_mw_h, kw, none, usd, happened)

    def _follow(self, call: _Call, tick: int, power_kw: Floats, scarce: bool) -> ReserveTick:
        fallen_kw = self.given_kw(power_kw)
        good_kw = np.minimum(fallen_kw, call.kw)
        short = (good_kw < call.kw - SHORT_KW) & ~call.told
        call.told |= short
        happened = [
            _event(
                "reserve_not_delivered",
                tick,
                vehicle=vehicle,
                value=float(good_kw[vehicle]),
                limit=float(call.kw[vehicle]),
                detail="kW given, kW held",
            )
            for vehicle in np.flatnonzero(short).tolist()
        ]
        lasts = tick + 1 < min(call.since + self._most_ticks, self._ticks)
        if not (scarce and lasts):
            self._call = None
        usd = good_kw * call.usd_per_mw_h * TICK_HOURS / 1000
        return self._tick(call.usd_per_mw_h, call.kw.copy(), fallen_kw, usd, happened)

    def _tick(
        self, price: float, kw: Floats, fallen_kw: Floats, usd: Floats, events: list[dict[str, Any]]
    ) -> ReserveTick:
        call = self._call
        called = np.zeros(len(kw), dtype=np.bool_) if call is None else call.kw > 0
        level_kw = 0.0 if call is None else call.reference_kw - call.kw
        call_kw = np.where(called, level_kw, 0.0)
        return ReserveTick(price, kw, fallen_kw, usd, called, call_kw, events)


class _Call:
    """Reserve that is being called."""

    def __init__(self, since: int, usd_per_mw_h: float, kw: Floats, reference_kw: Floats) -> None:
        self.since = since
        """First tick in which vehicles give it."""
        self.usd_per_mw_h = usd_per_mw_h
        self.kw = kw
        self.reference_kw = reference_kw
        """Power in the tick before."""
        self.told = np.zeros(len(kw), dtype=np.bool_)


def _event(kind: str, tick: int, **values: Any) -> dict[str, Any]:
    return {"time_s": float((tick + 1) * TICK_S), "kind": kind, **values}
