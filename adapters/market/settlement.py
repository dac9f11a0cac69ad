"""Who pays how much for the energy of a settlement interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.market.pricing import Clearing, Layout
from cosim.errors import MarketError
from cosim.signals import TICK_HOURS

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
OPERATOR = "operator"
"""Account that keeps the congestion rent."""
FEEDERS = "feeders"
"""Account that is paid for marginal losses. The losses themselves are part of the other load."""
LIMITS = "limits"
"""Account that is paid for limits of the feeders, and pays those who feed back against them."""
KEPT = (OPERATOR, FEEDERS, LIMITS)
"""Accounts that draw no energy, after all others."""


@dataclass(frozen=True)
class Bill:
    """Energy and cost of an interval."""

    billed_kwh: Floats
    """Energy of each vehicle, negative if it fed back, shape (vehicle,) [kWh]."""
    cost_usd: Floats
    """What each vehicle pays, negative if it is paid, shape (vehicle,) [USD]."""
    limits_usd: Floats
    """Part of that for limits of the feeder, shape (vehicle,) [USD]."""


@dataclass(frozen=True)
class Booking:
    """What the parties beside the vehicles drew and pay; see `account_ids`."""

    energy_kwh: Floats
    """Energy drawn, negative if fed in, shape (account,) [kWh]."""
    paid_usd: Floats
    """What the party pays, negative if it is paid, shape (account,) [USD]."""


def settle(
    vehicle_power_kw: Floats,
    vehicle_station: NDArray[np.integer],
    station_usd_per_mwh: Floats,
    limits_usd_per_mwh: Floats,
) -> Bill:
    """Bill the energy of one settlement interval, each vehicle's at the price of its station.

    Parameters
    ----------
    vehicle_power_kw
        Mean power of each vehicle at its plug, grid side, shape (vehicle,) [kW].
    vehicle_station
        Station whose port each vehicle holds, -1 for none, shape (vehicle,).
    station_usd_per_mwh
        Price at each station, shape (station,) [USD/MWh].
    limits_usd_per_mwh
        Part of that price for limits of the feeder, shape (station,) [USD/MWh].

    Raises
    ------
    MarketError
        A power or a price is not finite, or there is power without a station.
    """
    power_kw = np.asarray(vehicle_power_kw, dtype=float)
    plugged = vehicle_station >= 0
    bad = np.flatnonzero(~np.isfinite(power_kw) | ((power_kw != 0) & ~plugged))
    if len(bad):
        where = f"vehicle {int(bad[0])}"
        without = "" if plugged[bad[0]] else " without a station"
        raise MarketError(f"power to bill is {power_kw[bad[0]]:g} kW{without}", where=where)
    bad = np.flatnonzero(~np.isfinite(station_usd_per_mwh))
    if len(bad):
        where = f"station {int(bad[0])}"
        raise MarketError(f"price to bill at is {station_usd_per_mwh[bad[0]]}", where=where)
    at = np.where(plugged, vehicle_station, 0)
    billed_kwh = power_kw * TICK_HOURS
    return Bill(
        billed_kwh=billed_kwh,
        cost_usd=billed_kwh * np.where(plugged, station_usd_per_mwh[at], 0.0) / 1000,
        limits_usd=billed_kwh * np.where(plugged, limits_usd_per_mwh[at], 0.0) / 1000,
    )


def account_ids(layout: Layout) -> tuple[str, ...]:
    """Names of the parties beside the vehicles: other load by zone, sellers, and `KEPT`."""
    loads = tuple(f"load {zone}" for zone in layout.zone_ids)
    return (*loads, *layout.generator_ids, *KEPT)


def counterparties(layout: Layout) -> tuple[str, ...]:
    """With whom each of `account_ids` settles."""
    sellers = zip(layout.generator_ids, layout.generator_zone.tolist(), strict=True)
    houses = [layout.billed_by[zone] for _, zone in sellers]
    # Who bills a zone has its customers on the other side.
    others = (
        "customers" if house == seller else house
        for seller, house in zip(layout.generator_ids, houses, strict=True)
    )
    with_whom = {OPERATOR: "market", FEEDERS: OPERATOR, LIMITS: OPERATOR}
    return (*layout.billed_by, *others, *(with_whom[account] for account in KEPT))


def book(layout: Layout, cleared: Clearing, bill: Bill, vehicle_zone: Indices) -> Booking:
    """Book what everybody else drew and pays, so that all payments sum to zero.

    Parameters
    ----------
    layout, cleared
        The market and its interval.
    bill
        Bills of the vehicles. What the zone carried beyond their energy is other load; it includes
        the losses of the feeders.
    vehicle_zone
        Zone of each vehicle's station, -1 for none, shape (vehicle,).
    """
    there = vehicle_zone >= 0
    zones = len(layout.zone_ids)
    fleet_kwh = np.bincount(vehicle_zone[there], bill.billed_kwh[there], zones)
    served_kwh = 1000 * TICK_HOURS * (cleared.load_mw - cleared.load_shed_mw)
    sold_kwh = 1000 * TICK_HOURS * cleared.generator_mw
    traded_kwh = np.concatenate([served_kwh - fleet_kwh, -sold_kwh])
    price = cleared.lmp_usd_per_mwh[np.append(np.arange(zones), layout.generator_zone)]
    limits_usd = float(bill.limits_usd.sum())
    # What vehicles pay beyond the price of their zone is for losses and limits; by vehicle, so that
    # it is nothing to the last bit where they pay that price.
    of_zone = np.where(there, cleared.lmp_usd_per_mwh[vehicle_zone], 0.0)
    energy_usd = bill.billed_kwh * of_zone / 1000
    kept_usd = {
        OPERATOR: cleared.congestion_rent_usd,
        FEEDERS: float((bill.cost_usd - energy_usd - bill.limits_usd).sum()),
        LIMITS: limits_usd,
    }
    return Booking(
        energy_kwh=np.append(traded_kwh, np.zeros(len(KEPT))),
        paid_usd=np.append(traded_kwh * price / 1000, [0.0 - kept_usd[name] for name in KEPT]),
    )
