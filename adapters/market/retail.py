"""Kinds without a wholesale market: a supplier sells at a price that is set or follows the load."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from adapters.market.price_path import price_path, tariff_path
from adapters.market.pricing import Clearing, Layout
from cosim.areas import feeder_ids
from cosim.scenario import Scenario
from networks.prices import PricePath

Floats = NDArray[np.float64]


class Retail:
    """Suppliers that serve all load of the feeders at their price.

    Parameters
    ----------
    zone_ids
        Zones with a price of their own; each has a supplier.
    feeder_zone
        Zone of each feeder, shape (feeder,).
    price
        Price of each zone from tick and load of each zone [MW], both of shape (zone,) [USD/MWh].
    about
        Where the prices come from.
    """

    def __init__(
        self,
        zone_ids: tuple[str, ...],
        feeder_zone: NDArray[np.int64],
        price: Callable[[int, Floats], Floats],
        about: str,
    ) -> None:
        self._price = price
        suppliers = (
            ("supplier",) if len(zone_ids) == 1 else tuple(f"supplier {zone}" for zone in zone_ids)
        )
        self.layout = Layout(
            zone_ids=zone_ids,
            generator_ids=suppliers,
            generator_zone=np.arange(len(zone_ids)),
            line_ids=(),
            line_limit_mw=np.zeros(0),
            bus_ids=(),
            feeder_zone=feeder_zone,
            feeder_weight=np.ones(len(feeder_zone)),
            billed_by=suppliers,
            about=about,
        )

    def clear(self, tick: int, head_kw: Floats, head_kvar: Floats) -> Clearing:
        """Price one settlement interval; nothing is shed and there is no network."""
        del head_kvar
        zones = len(self.layout.zone_ids)
        load_mw = np.bincount(self.layout.feeder_zone, head_kw / 1000, zones).astype(np.float64)
        none = np.zeros(0)
        return Clearing(
            lmp_usd_per_mwh=self._price(tick, load_mw),
            load_mw=load_mw,
            load_shed_mw=np.zeros(zones),
            generator_mw=load_mw.copy(),
            line_flow_mw=none,
            line_shadow_usd_per_mwh=none.copy(),
            congestion_rent_usd=0.0,
        )

    def close(self) -> None:
        """Do nothing: there is no engine."""


def quadratic(scenario: Scenario) -> Retail:
    r"""Price that rises with the load :math:`L` of the feeder: :math:`a L^2 + b L + c`.

    Notes
    -----
    Equation 4 of the reference, which gives no values for the coefficients; its assumptions 1 and
    2 (rising and strictly convex in the load) hold because a > 0 and b >= 0. A feeder that feeds
    back has the price of no load.

    References
    ----------
    "Centralized vs. Decentralized Multi-Agent Reinforcement Learning for Enhanced Control of
    Electric Vehicle Charging Networks", section III-A.
    """
    curve = scenario.market.quadratic
    a, b, c = curve.a_usd_per_mwh_per_mw2, curve.b_usd_per_mwh_per_mw, curve.c_usd_per_mwh

    def price(tick: int, load_mw: Floats) -> Floats:
        del tick
        load_mw = np.maximum(load_mw, 0.0)
        return (a * load_mw + b) * load_mw + c

    feeders = scenario.grid.feeders
    about = f"{a:g} L^2 + {b:g} L + {c:g} USD/MWh, L in MW at the head of each feeder"
    return Retail(feeder_ids(feeders), np.arange(feeders), price, about)


def series(scenario: Scenario) -> Retail:
    """Price over time from data, the same for every feeder."""
    return _set_before(scenario, price_path(scenario))


def time_of_use(scenario: Scenario) -> Retail:
    """Price over time from a tariff, the same for every feeder."""
    return _set_before(scenario, tariff_path(scenario))


def _set_before(scenario: Scenario, path: PricePath) -> Retail:
    def price(tick: int, load_mw: Floats) -> Floats:
        return np.full(len(load_mw), path.usd_per_mwh[tick])

    feeder_zone = np.zeros(scenario.grid.feeders, dtype=np.int64)
    return Retail((path.zone,), feeder_zone, price, path.about)
