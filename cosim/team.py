"""The contract of teams: observations in, decisions out, each agent at its own cadence.

A team is a tuple of agents. Every tick the agents that are due act in their order; each writes
its own part of the plan and sees what those before it wrote. What nobody touches keeps its
meaning: orders (``request_vehicle``, ``vehicle_goto_station``, offers of reserve) start empty at
every tick, set points (``vehicle_charge_kw``, ``vehicle_target_soc``) and bids
(``vehicle_bid_usd_per_mwh``, ``vehicle_ask_usd_per_mwh``) stand until they are changed. Vehicles of
a team that never bids draw up to the value of lost load and feed back at any price.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from cosim.signals import C_RATES, TICK_S

Ints = NDArray[np.int32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Status(IntEnum):
    """What a vehicle does, as in the signal ``vehicle_status``."""

    IDLE = 0
    SERVING = 1
    TO_STATION = 2
    QUEUED = 3
    PLUGGED = 4
    TOWED = 5


class RequestStatus(IntEnum):
    """Where a request stands, as in the signal ``request_status``."""

    UNKNOWN = 0
    OPEN = 1
    ASSIGNED = 2
    PICKED_UP = 3
    SERVED = 4
    EXPIRED = 5
    FAILED = 6
    SCHEDULED = 7


@dataclass(frozen=True)
class Observation:
    """What a team sees at the end of a tick. Array fields are the signals of the same name."""

    tick: int
    vehicle_status: NDArray[np.int8]
    """At the start of the tick; see `idle` for its end."""
    vehicle_station: Ints
    vehicle_next_departure_s: Floats
    vehicle_next_km: Floats
    request_status: NDArray[np.int8]
    request_origin_edge: Ints
    request_destination_edge: Ints
    request_deadline_s: Floats
    request_segment: Ints
    station_free_ports: Ints
    station_queue: Ints
    ambient_c: Floats
    vehicle_edge: Ints
    vehicle_driving: Flags
    legs_completed: Ints
    vehicle_soc: Floats
    vehicle_soh: Floats
    vehicle_resistance_ratio: Floats
    vehicle_temperature_c: Floats
    vehicle_charge_limit_kw: Floats
    vehicle_discharge_limit_kw: Floats
    vehicle_c_rate_headroom: Floats
    vehicle_wear_usd_per_kwh: Floats
    station_power_kw: Floats
    bus_voltage_pu: Floats
    transformer_loading_pct: Floats
    feeder_power_kw: Floats
    vehicle_cleared_kw: Floats
    station_transformer_usd_per_mwh: Floats
    station_line_usd_per_mwh: Floats
    station_voltage_usd_per_mwh: Floats
    station_price_usd_per_mwh: Floats
    vehicle_cost_usd: Floats
    response_begin_s: Floats
    response_end_s: Floats
    response_offer_usd_per_mwh: Floats
    vehicle_response_usd: Floats
    reserve_price_usd_per_mw_h: Floats
    vehicle_reserve_kw: Floats
    vehicle_reserve_usd: Floats
    vehicle_called: Flags

    @classmethod
    def of(cls, tick: int, given: Mapping[str, Any]) -> Self:
        """Return the observation of a tick from the signals of the wire."""
        return cls(tick=tick, **{f.name: given[f.name] for f in fields(cls) if f.name != "tick"})

    @property
    def time_s(self) -> float:
        """Simulation time at the end of the tick [s]."""
        return float((self.tick + 1) * TICK_S)

    def wear_at(self, vehicles: Ints, c_rate: Floats) -> Floats:
        """Battery wear per kilowatt-hour out of or into packs at a current, beyond that of rest.

        Parameters
        ----------
        vehicles
            Whose packs, shape (n,).
        c_rate
            Current over the capacity when new, positive into the pack, shape (n,) [1/h].

        Returns
        -------
        ndarray
            What is told at `C_RATES`, between them by straight lines; at the nearest of the same
            direction for currents beyond them and for smaller ones, shape (n,) [USD/kWh].
        """
        told, rates = self.vehicle_wear_usd_per_kwh[vehicles], np.array(C_RATES)
        into = int(np.searchsorted(rates, 0))
        first = np.where(c_rate > 0, into, 0)
        last = np.where(c_rate > 0, len(rates) - 1, into - 1)
        k = np.clip(np.searchsorted(rates, c_rate) - 1, first, last - 1)
        part = np.clip((c_rate - rates[k]) / (rates[k + 1] - rates[k]), 0, 1)
        row = np.arange(len(vehicles))
        return told[row, k] + part * (told[row, k + 1] - told[row, k])

    @property
    def station_limits_usd_per_mwh(self) -> Floats:
        """What limits of the feeder make of the price at each station, shape (station,)."""
        lines = self.station_transformer_usd_per_mwh + self.station_line_usd_per_mwh
        return lines + self.station_voltage_usd_per_mwh

    @property
    def idle(self) -> Flags:
        """Vehicles that stand free at the end of the tick."""
        served = (self.vehicle_status == Status.SERVING) & ~self.vehicle_driving
        return (self.vehicle_status == Status.IDLE) | served


@dataclass
class Plan:
    """Decisions for the next tick; fields are the signals of the same name."""

    request_vehicle: Ints
    vehicle_goto_station: Ints
    vehicle_charge_kw: Floats
    vehicle_target_soc: Floats
    vehicle_bid_usd_per_mwh: Floats
    vehicle_ask_usd_per_mwh: Floats
    vehicle_via_edge: Ints
    vehicle_reserve_usd_per_mw_h: Floats

    @property
    def taken(self) -> Flags:
        """Vehicles that an order of this plan already sends somewhere."""
        taken = self.vehicle_goto_station >= 0
        assigned = self.request_vehicle[self.request_vehicle >= 0]
        taken[assigned] = True
        return taken


class Agent(ABC):
    """One seat of a team."""

    name: ClassVar[str]
    """Name of the seat, for example ``charging_scheduler``."""
    every_ticks: ClassVar[int] = 1
    """Cadence in ticks; an agent that acts on events looks at every tick."""

    @abstractmethod
    def due(self, seen: Observation) -> Ints:
        """Return what a decision is due for: indices into the agent's own dimension."""

    @abstractmethod
    def act(self, seen: Observation, due: Ints, plan: Plan) -> None:
        """Write this agent's decisions for `due` into `plan`."""


@dataclass(frozen=True)
class Team:
    """Agents in the order in which they act."""

    agents: tuple[Agent, ...]

    def decide(self, seen: Observation, plan: Plan) -> None:
        """Let every agent whose decision is due write its part of `plan`."""
        for agent in self.agents:
            if seen.tick % agent.every_ticks:
                continue
            due = agent.due(seen)
            if due.size:
                agent.act(seen, due, plan)
