"""A sample of drives that every kind of traffic can make, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from adapters.sumo.record import ENDED, Record
from adapters.sumo.tick import Floats, TrafficTick
from cosim.errors import EngineError
from cosim.signals import LEGS
from networks.roads import RoadNetwork
from networks.vehicles import MILD_C, VehicleSpec

START = datetime(2022, 9, 14, 8)
"""Local time at which the drives begin."""
PLACES = 80
"""Most places of a sample: each costs a search over the whole network."""
APART = 8
"""Ticks between two itineraries of a vehicle."""
_PATIENCE = 60
"""Ticks after the last departure within which every vehicle is to arrive."""


class Moves(Protocol):
    """A kind of traffic."""

    def advance(
        self,
        tick: int,
        itinerary_edge: NDArray[np.integer],
        itinerary_start_s: Floats,
        tow_edge: NDArray[np.integer],
        /,
    ) -> TrafficTick:
        """Move the fleet through one settlement interval."""
        ...

    def close(self) -> None:
        """End the simulation."""
        ...


@dataclass(frozen=True, eq=False)
class Sample:
    """Vehicles on a road network and the itineraries that they are to make.

    A vehicle that is still under way when its next itinerary is due sets out on it afterwards, so
    that its n-th trip is the same one in every kind of traffic.
    """

    roads: RoadNetwork
    specs: Sequence[VehicleSpec]
    body_type: NDArray[np.int64]
    """Index into `specs`, shape (vehicle,)."""
    home_edge: NDArray[np.int64]
    """Edge at whose end each vehicle stands at first."""
    due_tick: NDArray[np.int64]
    """Tick of each itinerary, shape (vehicle, itinerary)."""
    start_s: Floats
    """Departure after the start of that tick [s], same shape."""
    target: NDArray[np.int64]
    """Edges to drive to, shape (vehicle, itinerary, leg), -1 after the last."""

    @classmethod
    def draw(
        cls,
        roads: RoadNetwork,
        specs: Sequence[VehicleSpec],
        vehicles: int,
        itineraries: int,
        seed: int,
        *,
        fleet_seed: int = 0,
    ) -> Sample:
        """Return a sample.

        Parameters
        ----------
        roads
            Road network: its zones are the places, or edges by their length.
        specs
            Body types, in equal numbers.
        vehicles, itineraries
            Number of vehicles, and of itineraries of one or two legs for each.
        seed
            Seed of the itineraries.
        fleet_seed
            Seed of the places and of where vehicles stand at first: samples with the same one are
            drives of the same fleet.
        """
        fleet = np.random.default_rng([fleet_seed, 1])
        places = roads.zone_edge.astype(np.int64)
        if not len(places):
            share = roads.length_m / roads.length_m.sum()
            number = min(PLACES, len(share))
            places = fleet.choice(len(share), number, replace=False, p=share)
        rng = np.random.default_rng([seed, 2])
        shape = (vehicles, itineraries)
        target = np.full((*shape, LEGS), -1, np.int64)
        target[..., 0] = rng.choice(places, shape)
        target[..., 1] = np.where(rng.random(shape) < 0.5, rng.choice(places, shape), -1)
        return cls(
            roads=roads,
            specs=specs,
            body_type=np.arange(vehicles) % len(specs),
            home_edge=fleet.choice(places, vehicles),
            due_tick=np.arange(itineraries) * APART + rng.integers(0, APART, shape),
            start_s=rng.integers(0, 300, shape).astype(np.float64),
            target=target,
        )

    def drive(self, traffic: Moves) -> list[TrafficTick]:
        """Make all drives, end the traffic and return its ticks.

        Raises
        ------
        EngineError
            If vehicles are still under way long after the last departure.
        """
        vehicles, itineraries = self.due_tick.shape
        every, made = np.arange(vehicles), np.zeros(vehicles, np.int64)
        busy, nowhere = np.zeros(vehicles, np.bool_), np.full(vehicles, -1, np.int32)
        done: list[TrafficTick] = []
        try:
            while (made < itineraries).any() or busy.any():
                tick = len(done)
                if tick > self.due_tick.max() + _PATIENCE:
                    raise EngineError("traffic does not come to rest", tick=tick)
                following = np.minimum(made, itineraries - 1)
                due = self.due_tick[every, following] <= tick
                go = due & (made < itineraries) & ~busy
                edges = np.where(go[:, None], self.target[every, following], -1).astype(np.int32)
                start_s = np.where(go, self.start_s[every, following], 0.0)
                done.append(traffic.advance(tick, edges, start_s, nowhere))
                made += go
                busy = done[-1].vehicle_driving
        finally:
            traffic.close()
        return done

    def record(self, make: Callable[[], Moves], kind: str) -> Record:
        """Make all drives with a kind of traffic and return what was recorded."""
        done = self.drive(make())
        return Record.of_ticks(
            self.roads,
            done,
            kind=kind,
            digest="",
            start=START,
            vehicle_ids=tuple(str(i) for i in range(len(self.home_edge))),
            body_type=tuple(self.specs[i].name for i in self.body_type),
            ambient_c=np.full(len(done), MILD_C),
        )


@dataclass(frozen=True, eq=False)
class Trips:
    """Trips by vehicle and order, shape (trip,)."""

    vehicle: NDArray[np.int64]
    distance_km: Floats
    time_s: Floats
    energy_kwh: Floats
    arrival_s: Floats

    @classmethod
    def of(cls, done: Sequence[TrafficTick]) -> Trips:
        """Return the trips of ticks."""
        rows = [e for tick in done for e in tick.events if e["kind"] == "trip"]
        rows.sort(key=lambda e: (e["vehicle"], e["time_s"]))
        table = np.array(
            [
                [e["distance_km"], e["time_s"] - e["start_s"], e["energy_kwh"], e["time_s"]]
                for e in rows
            ],
            np.float64,
        ).T
        return cls(np.array([e["vehicle"] for e in rows], np.int64), *table)

    @classmethod
    def of_record(cls, record: Record) -> Trips:
        """Return the trips of a record."""
        ended = np.flatnonzero(record.ending == ENDED)
        rows = ended[np.lexsort((record.end_s[ended], record.vehicle[ended]))]
        return cls(
            record.vehicle[rows],
            record.distance_km[rows],
            record.end_s[rows] - record.start_s[rows],
            record.energy_kwh[rows],
            record.end_s[rows],
        )


@dataclass(frozen=True)
class Difference:
    """How far the trips of one kind of traffic are from those of another."""

    trips: int
    """Number of trips."""
    distance_pct: float
    """Of the total distance [%]."""
    time_pct: float
    """Of the total travel time [%]."""
    energy_pct: float
    """Of the total energy [%]."""
    time_rms_pct: float
    """RMS of a trip's travel time, against the mean trip [%]."""
    energy_rms_pct: float
    """RMS of a trip's energy, against the mean trip [%]."""
    arrival_s: float
    """Mean of the arrival times [s]; positive is later."""
    arrival_rms_s: float
    """RMS of the arrival times [s]."""

    @classmethod
    def of(cls, found: Trips, real: Trips) -> Difference:
        """Return how far `found` is from `real`.

        Raises
        ------
        ValueError
            If they are not the same trips.
        """
        if not np.array_equal(found.vehicle, real.vehicle):
            raise ValueError(f"{len(found.vehicle)} trips cannot be those of {len(real.vehicle)}")

        def total(a: Floats, b: Floats) -> float:
            return 100 * float(a.sum() / b.sum() - 1)

        def rms(a: Floats, b: Floats) -> float:
            return float(np.sqrt(np.mean((a - b) ** 2)))

        late_s = found.arrival_s - real.arrival_s
        return cls(
            trips=len(real.vehicle),
            distance_pct=total(found.distance_km, real.distance_km),
            time_pct=total(found.time_s, real.time_s),
            energy_pct=total(found.energy_kwh, real.energy_kwh),
            time_rms_pct=100 * rms(found.time_s, real.time_s) / float(real.time_s.mean()),
            energy_rms_pct=100 * rms(found.energy_kwh, real.energy_kwh) / real.energy_kwh.mean(),
            arrival_s=float(late_s.mean()),
            arrival_rms_s=rms(found.arrival_s, real.arrival_s),
        )
