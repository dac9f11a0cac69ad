"""What a solved feeder tells, and what it remembers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Solved:
    """What is told of a feeder, or of several one after the other; every array is fresh."""

    bus_voltage_pu: Floats
    """Voltage magnitude over its base, shape (node,) [1]."""
    transformer_loading_pct: Floats
    """Apparent power over rating, shape (transformer,) [%]."""
    transformer_ev_kw: Floats
    """What the chargers below each transformer drew, shape (transformer,) [kW]."""
    line_loading_pct: Floats
    """Current over rating, worst phase and end, shape (line,) [%]."""
    tap: NDArray[np.int64]
    """Tap of each regulator after the solution, -16 to 16, shape (regulator,)."""
    capacitor_on: NDArray[np.bool_]
    """Whether each capacitor is connected, shape (capacitor,)."""
    unbalance_pct: Floats
    """Negative over positive sequence of the voltage, shape (three-phase bus,) [%]."""
    bus_marginal_loss: Floats
    """Losses per power drawn more, shape (node,) [1]: at the power factor of chargers, or where
    they follow a volt-var curve with the reactive power of all of them held."""
    charger_marginal_loss: Floats
    """The same for the chargers of each connection, all phases alike, shape (connection,) [1]."""
    transformer_ev_kvar: Floats
    """Reactive power of the chargers below each transformer, shape (transformer,) [kvar]."""
    charger_voltage_pu: Floats
    """Voltage at the chargers of each connection, mean of its phases, shape (connection,) [1]."""


@dataclass(frozen=True)
class FeederTick(Solved):
    """A solved feeder."""

    feeder_power_kw: float
    """Active power at the feeder's head [kW]."""
    feeder_reactive_kvar: float
    """Reactive power at the feeder's head [kvar]."""
    feeder_losses_kw: float
    """Losses in lines, regulators and transformers [kW]."""
    feeder_base_kw: float
    """What the feeder's own loads drew, less what its own generators gave [kW]."""


@dataclass(frozen=True)
class FeedersTick(Solved):
    """Several solved feeders."""

    head_kw: Floats
    """Active power at the head of each feeder, shape (feeder,) [kW]."""
    head_kvar: Floats
    """Reactive power at the head of each feeder, shape (feeder,) [kvar]."""
    losses_kw: Floats
    """Losses in lines, regulators and transformers of each feeder, shape (feeder,) [kW]."""
    base_kw: Floats
    """What the own loads of each feeder drew, less its own generators, shape (feeder,) [kW]."""

    @classmethod
    def joined(cls, ticks: Sequence[FeederTick]) -> FeedersTick:
        """Return the feeders one after the other."""
        shared = {
            f.name: np.concatenate([getattr(tick, f.name) for tick in ticks])
            for f in fields(Solved)
        }
        return cls(
            **shared,
            head_kw=np.array([tick.feeder_power_kw for tick in ticks]),
            head_kvar=np.array([tick.feeder_reactive_kvar for tick in ticks]),
            losses_kw=np.array([tick.feeder_losses_kw for tick in ticks]),
            base_kw=np.array([tick.feeder_base_kw for tick in ticks]),
        )


@dataclass(frozen=True)
class FeederState:
    """What a feeder remembers between settlement intervals."""

    tap_pu: Floats
    """Ratio of each regulator as the engine holds it, to the last bit, shape (regulator,)."""
    capacitor_on: NDArray[np.bool_]
    """Whether each capacitor is connected, shape (capacitor,)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is, by name, for a checkpoint."""
        kept = {name: value for name, value in vars(self).items() if value is not None}
        return {name: np.asarray(value) for name, value in kept.items()}


def unbalance_pct(phases_v: NDArray[np.complex128]) -> Floats:
    """Return the lesser over the greater of the rotating sequences, from shape (bus, 3) [%]."""
    turn = np.exp(2j * np.pi / 3 * np.arange(3))
    one, other = np.abs(phases_v @ turn), np.abs(phases_v @ turn.conj())
    return 100 * np.minimum(one, other) / np.maximum(one, other)
