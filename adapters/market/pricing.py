"""What every kind of market gives: a price for each zone, and who is paid for the energy there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Zones, sellers and lines of a market; it does not change during a run."""

    zone_ids: tuple[str, ...]
    """Places that have a price: buses, feeders, or one for all."""
    generator_ids: tuple[str, ...]
    """Who sells: generators, or suppliers with a tariff."""
    generator_zone: Indices
    """Index into `zone_ids`, shape (generator,)."""
    line_ids: tuple[str, ...]
    """Transmission lines."""
    line_limit_mw: Floats
    """Infinite where there is none, shape (line,) [MW]."""
    bus_ids: tuple[str, ...]
    """Buses of the network, none without one."""
    feeder_zone: Indices
    """Zone that each feeder stands in, shape (feeder,)."""
    feeder_weight: Floats
    """Change of the zone's load over that of each feeder's head, shape (feeder,) [1]."""
    billed_by: tuple[str, ...]
    """Who bills the energy of each zone."""
    capacity_mw: float = 0.0
    """What all sellers together can give; 0: there is no limit [MW]."""
    prices_losses: bool = False
    """Whether energy costs the price of its zone and what it makes the feeder lose, or the price
    of its zone alone, as with a tariff."""
    opening_usd_per_mwh: float = 0.0
    """Price that bids are cleared at before the first interval has one."""
    about: str = ""
    """What is worth knowing of the prices: their file, its resolution, its odd hours."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What the network does with a dispatch, with alternating current; every array is fresh."""

    line_mw: Floats
    """Active power into each line at its first bus, shape (line,) [MW]."""
    line_mva: Floats
    """Apparent power at the more loaded end, shape (line,) [MVA]."""
    voltage_pu: Floats
    """Of the network's buses, shape (bus,)."""
    feeder_voltage_pu: Floats
    """Behind the transformers to the feeders; of the bus where there are none, shape (bus,)."""
    losses_mw: float
    """In lines and these transformers [MW]."""


NOTHING_CARRIED = Carried(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), 0.0)
"""Of a market without a network."""


@dataclass(frozen=True)
class Clearing:
    """Prices and energy of an interval; every array is fresh."""

    lmp_usd_per_mwh: Floats
    """Price of each zone, shape (zone,) [USD/MWh]."""
    load_mw: Floats
    """Load, shape (zone,) [MW]."""
    load_shed_mw: Floats
    """Load that is not served, shape (zone,) [MW]."""
    generator_mw: Floats
    """Dispatch, shape (generator,) [MW]."""
    line_flow_mw: Floats
    """Flow, positive in the direction of the line's name, shape (line,) [MW]."""
    line_shadow_usd_per_mwh: Floats
    """What one more MW of limit would save, shape (line,) [USD/MWh]."""
    congestion_rent_usd: float
    """Payments for the served load less revenue of the generators, over 5 minutes [USD]."""
    carried: Carried = field(default=NOTHING_CARRIED, kw_only=True)
    """What the network does with it."""


class Pricing(Protocol):
    """A kind of market."""

    layout: Layout

    def clear(self, tick: int, head_kw: Floats, head_kvar: Floats) -> Clearing:
        """Price one settlement interval.

        Parameters
        ----------
        tick
            Settlement interval, from 0.
        head_kw
            Power at the head of each feeder, shape (feeder,) [kW].
        head_kvar
            Reactive power there [kvar].

        Raises
        ------
        MarketError
            There is no price for these loads, or the network cannot carry them.
        """
        ...

    def close(self) -> None:
        """Let go of engines."""
        ...
