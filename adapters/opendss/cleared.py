"""What a clearing finds: power taken, prices, and the limits that bind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.limits import KINDS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Binding:
    """A limit that binds."""

    kind: str
    """One of `KINDS`."""
    id: str
    """What it is: a transformer, a line and its end and phase, a node."""
    limit: float
    """[kVA, A, pu]."""
    passed_by: float
    """How far it is passed, at its penalty; 0 where it holds [kVA, A, pu]."""
    worth_usd_per_h: float
    """What one more unit of it would save."""
    feeder: int = 0
    """Which of several feeders it is at."""


@dataclass(frozen=True)
class Failure:
    """A feeder of several whose clearing has no answer."""

    feeder: int
    id: str
    reason: str
    """Where on it and why."""


@dataclass(frozen=True)
class Cleared:
    """A cleared feeder; arrays are fresh. Kinds of limits are in the order of `KINDS`."""

    power_kw: Floats
    """What of each offer is taken, shape (offer,)."""
    connection_kw: Floats
    """Power of each connection with it, shape (connection,)."""
    energy_usd_per_mwh: Floats
    """Part of what one more kilowatt-hour costs at each connection, shape (connection,)."""
    loss_usd_per_mwh: Floats
    """The part of losses, shape (connection,)."""
    limits_usd_per_mwh: Floats
    """The part of each kind of limits, shape (kind, connection)."""
    bus_loss_usd_per_mwh: Floats
    """The part of losses at each node, in the order of the feeder's `bus_ids`, shape (node,)."""
    bus_limits_usd_per_mwh: Floats
    """The part of each kind of limits at each node, shape (kind, node)."""
    binding: tuple[Binding, ...]
    """Limits that bind, by kind and then in the order of the feeder."""
    iterations: int
    """Quadratic programmes; 0 where none gave an answer."""
    cost_usd_per_h: float
    """Cost of the power at the head and of limits passed, less what the offers are worth.

    To feed back is worth nothing, and not to what was wanted for it. Where the answer misses a
    limit by a hair, that counts at the limit's worth, so that the cost is right to second order.
    """

    @classmethod
    def unknown(cls, offers: int, connections: int, nodes: int) -> Cleared:
        """Return what is known where a clearing has no answer: NaN for every figure."""
        kinds = len(KINDS)
        return cls(
            power_kw=np.full(offers, np.nan),
            connection_kw=np.full(connections, np.nan),
            energy_usd_per_mwh=np.full(connections, np.nan),
            loss_usd_per_mwh=np.full(connections, np.nan),
            limits_usd_per_mwh=np.full((kinds, connections), np.nan),
            bus_loss_usd_per_mwh=np.full(nodes, np.nan),
            bus_limits_usd_per_mwh=np.full((kinds, nodes), np.nan),
            binding=(),
            iterations=0,
            cost_usd_per_h=np.nan,
        )

    @property
    def price_usd_per_mwh(self) -> Floats:
        """What one more kilowatt-hour costs at each connection, shape (connection,)."""
        return self.energy_usd_per_mwh + self.loss_usd_per_mwh + self.limits_usd_per_mwh.sum(axis=0)


@dataclass(frozen=True)
class FeedersCleared:
    """Several cleared feeders, one after the other; arrays are fresh, and NaN where one failed.

    Each price is a part of what one more kilowatt-hour costs [USD/MWh], at connections or at nodes
    in the order of the feeders' `bus_ids`, for the power factor of the chargers there.
    """

    power_kw: Floats
    """What of each offer is taken, between 0 and its power, shape (offer,) [kW]."""
    charger_energy_usd_per_mwh: Floats
    """Shape (connection,); the price at a connection is the sum of these five."""
    charger_loss_usd_per_mwh: Floats
    charger_transformer_usd_per_mwh: Floats
    charger_line_usd_per_mwh: Floats
    charger_voltage_usd_per_mwh: Floats
    bus_loss_usd_per_mwh: Floats
    """Shape (node,); with the price at the head the price at a node is the sum of these."""
    bus_transformer_usd_per_mwh: Floats
    bus_line_usd_per_mwh: Floats
    bus_voltage_usd_per_mwh: Floats
    binding: tuple[Binding, ...]
    """Limits that bind, their names as those of the feeders' transformers, lines and buses."""
    failed: tuple[Failure, ...] = ()
    """Feeders without an answer."""

    @classmethod
    def joined(
        cls,
        power_kw: Floats,
        each: Sequence[Cleared],
        named: Callable[[int, str], str],
        failed: Sequence[Failure] = (),
    ) -> FeedersCleared:
        """Return the feeders one after the other.

        Parameters
        ----------
        power_kw
            What of each offer is taken, shape (offer,).
        each
            The feeders.
        named
            Name of something among all feeders, from the feeder's position and its name there.
        failed
            Which of them have no answer.
        """
        chargers = np.hstack([one.limits_usd_per_mwh for one in each])
        buses = np.hstack([one.bus_limits_usd_per_mwh for one in each])
        transformer, line, voltage = (KINDS.index(k) for k in ("transformer", "line", "voltage"))
        return cls(
            power_kw=power_kw,
            charger_energy_usd_per_mwh=np.concatenate([one.energy_usd_per_mwh for one in each]),
            charger_loss_usd_per_mwh=np.concatenate([one.loss_usd_per_mwh for one in each]),
            charger_transformer_usd_per_mwh=chargers[transformer],
            charger_line_usd_per_mwh=chargers[line],
            charger_voltage_usd_per_mwh=chargers[voltage],
            bus_loss_usd_per_mwh=np.concatenate([one.bus_loss_usd_per_mwh for one in each]),
            bus_transformer_usd_per_mwh=buses[transformer],
            bus_line_usd_per_mwh=buses[line],
            bus_voltage_usd_per_mwh=buses[voltage],
            binding=tuple(
                replace(row, id=named(i, row.id), feeder=i)
                for i, one in enumerate(each)
                for row in one.binding
            ),
            failed=tuple(failed),
        )
