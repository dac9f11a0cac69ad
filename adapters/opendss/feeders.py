"""Several feeders side by side, each in its own OpenDSS engine, as one set of arrays."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.circuit import Circuit
from adapters.opendss.cleared import Cleared, Failure, FeedersCleared
from adapters.opendss.clearing import Clearing, problems, require
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import Limits, limits_of
from adapters.opendss.offers import Offers
from adapters.opendss.service import Connections, connect_stations
from adapters.opendss.tick import FeederState, FeedersTick, FeederTick
from cosim.areas import feeder_ids
from cosim.errors import ClearingError, PowerFlowError
from networks.feeders import FeederData

Floats = NDArray[np.float64]


class Feeders:
    """Feeders of one kind with the stations of their areas.

    Each feeder has its own engine, its own transformers, regulators and capacitors; they
    share nothing but the published tables and the factor on their own loads. Names of a single
    feeder's buses, transformers and lines are those of its tables; with several each name begins
    with that of its feeder, as in ``f03.48.1``.

    The engines work one after the other. In threads they give the same bits, but their short calls
    keep waiting for Python's lock, and contexts made in two threads at once crash.

    Parameters
    ----------
    source
        Tables of the feeder, or the master file of an OpenDSS circuit.
    count
        Number of feeders.
    feeder_of_station
        Feeder of each station, from 0, shape (station,).
    rating_kw
        Most power of each station, shape (station,) [kW].
    three_phase
        Whether each station needs three phases, shape (station,).
    home
        Whether each station is the charger of a home, shape (station,).
    power_factor
        Power factor of the chargers; see `Feeder`.
    make
        Builds a feeder of the kind wanted.
    connect
        Attaches stations to a circuit, as `connect_stations` does.

    Raises
    ------
    UserError
        A station does not fit on its feeder; see `connect_stations`.
    PowerFlowError
        A feeder cannot be built, with its name if there are several.
    """

    def __init__(
        self,
        source: FeederData | Path,
        count: int,
        feeder_of_station: NDArray[np.integer],
        rating_kw: Floats,
        three_phase: NDArray[np.bool_],
        home: NDArray[np.bool_] | None = None,
        power_factor: float = 0.99,
        make: Callable[[Circuit, Connections, float], Feeder] = Feeder,
        connect: Callable[..., tuple[Connections, NDArray[np.int64]]] = connect_stations,
    ) -> None:
        self.ids = feeder_ids(count)
        self.connection_of_station = np.empty(len(rating_kw), dtype=np.int64)
        """Which connection is that of each station, those of all feeders counted."""
        self.connection_count = 0
        self._circuits: list[Circuit] = []
        self.each: tuple[Feeder, ...] = ()
        """The feeders, in the order of `ids`."""
        self._clearings: tuple[Clearing, ...] = ()
        try:
            for index in range(count):
                here = np.flatnonzero(feeder_of_station == index)
                with self._telling(index):
                    same = self._circuits[0].layout if self._circuits else None
                    circuit = Circuit(source, same)
                    self._circuits.append(circuit)
                    service, at = connect(
                        circuit.layout, rating_kw[here], three_phase[here], power_factor, here,
                        None if home is None else home[here],
                    )  # fmt: skip
                    self.each += (make(circuit, service, power_factor),)
                self.connection_of_station[here] = self.connection_count + at
                self.connection_count += len(service)
        except BaseException:
            self.close()
            raise
        self._split = np.cumsum([len(feeder.service) for feeder in self.each])[:-1]
        self.bus_ids = self._named(lambda feeder: feeder.bus_ids)
        self.feeder_of_bus = np.repeat(
            np.arange(count, dtype=np.int32), [len(feeder.bus_ids) for feeder in self.each]
        )
        """Feeder of each of `bus_ids`."""
        self.transformer_ids = self._named(lambda feeder: feeder.transformer_ids)
        self.line_ids = self._named(lambda feeder: feeder.line_ids)
        self.line_rated = np.concatenate([feeder.layout.line_rated for feeder in self.each])
        """Whether the rating of each of `line_ids` is its own and not the engine's default."""
        self.regulator_ids = self._named(lambda feeder: feeder.regulator_ids)
        self.capacitor_ids = self._named(lambda feeder: feeder.layout.capacitor_ids)
        self.three_phase_ids = self._named(lambda feeder: feeder.three_phase_ids)
        self.feeding_ids = self._named(
            lambda feeder: [feeder.transformer_ids[i] for i in feeder.transformer_of]
        )
        """Transformer that feeds each connection."""
        self.rating_kva: Floats = np.concatenate([feeder.rating_kva for feeder in self.each])
        """Rating of each of `transformer_ids` [kVA]."""

    def solve(
        self, load_scale: float, charger_kw: Floats, charger_kva: Floats | None = None
    ) -> FeedersTick:
        """Solve every feeder for one settlement interval.

        Parameters
        ----------
        load_scale
            Factor on the published loads of every feeder [1].
        charger_kw
            Power of the chargers of each connection of all feeders, negative where they feed
            back, shape (connection,) [kW].
        charger_kva
            Rating of the chargers at work there; see `Feeder.solve`.

        Raises
        ------
        PowerFlowError
            A feeder failed; with its name if there are several. See `Feeder.solve`. Those after
            it are not solved then.
        """
        if charger_kw.shape != (self.connection_count,):
            raise PowerFlowError(
                f"charger power has shape {charger_kw.shape}, not ({self.connection_count},)"
            )
        ticks: list[FeederTick] = []
        parts = np.split(charger_kw, self._split)
        ratings = [None] * len(parts) if charger_kva is None else np.split(charger_kva, self._split)
        for index, (feeder, kw, kva) in enumerate(zip(self.each, parts, ratings, strict=True)):
            with self._telling(index):
                ticks.append(feeder.solve(load_scale, kw, kva))

        return FeedersTick.joined(ticks)

    def hold_to(self, limits: Sequence[Limits]) -> None:
        """Say what clearings hold each feeder to, shape (feeder,).

        Raises
        ------
        ScenarioError
            Limits do not fit a feeder; all that is wrong.
        PowerFlowError
            A feeder cannot be cleared, with its name if there are several; see `refused`.
        """
        self._clearings = ()
        for index, (feeder, own) in enumerate(zip(self.each, limits, strict=True)):
            with self._telling(index):
                self._clearings += (Clearing(feeder, own),)

    def clear(self, load_scale: float, offers: Offers, head_usd_per_mwh: Floats) -> FeedersCleared:
        """Clear offers at every feeder, taps and capacitors as the last `solve` left them.

        Without `hold_to` before, each feeder is held to its ratings and to the usual voltages; see
        `limits_of`. What the feeders remember stays as it was, and so does what `solve` finds next.
        A feeder that has no answer leaves the others theirs.

        Parameters
        ----------
        load_scale
            Factor on the published loads of every feeder in the interval that is cleared [1].
        offers
            All that chargers would exchange in it.
        head_usd_per_mwh
            Price of power at the head of each feeder, shape (feeder,).

        Raises
        ------
        ScenarioError
            The input does not fit; all that is wrong.
        PowerFlowError
            A feeder cannot be cleared, or has not been solved.
        """
        if not self._clearings:
            self.hold_to([limits_of(feeder) for feeder in self.each])
        head_usd_per_mwh = np.asarray(head_usd_per_mwh, float)
        wrong = problems(offers, self.connection_count, load_scale, head_usd_per_mwh, len(self.ids))
        require("clearing", wrong)
        power_kw, each, failed = np.zeros(len(offers.power_kw)), list[Cleared](), list[Failure]()
        first = [0, *self._split.tolist()]
        for index, clearing in enumerate(self._clearings):
            feeder = self.each[index]
            here, own = offers.at(first[index], len(feeder.service))
            try:
                with self._telling(index):
                    found = clearing.clear(load_scale, own, float(head_usd_per_mwh[index]))
            except ClearingError as error:
                found = Cleared.unknown(len(here), len(feeder.service), len(feeder.bus_ids))
                failed.append(Failure(index, self.ids[index], str(error)))
            power_kw[here] = found.power_kw
            each.append(found)
        return FeedersCleared.joined(power_kw, each, self._name, failed)

    def state(self) -> tuple[FeederState, ...]:
        """Return what every feeder remembers between settlement intervals."""
        return tuple(feeder.state() for feeder in self.each)

    def restore(self, states: Sequence[FeederState]) -> None:
        """Put every feeder back into its state."""
        for index, (feeder, state) in enumerate(zip(self.each, states, strict=True)):
            with self._telling(index):
                feeder.restore(state)

    def close(self) -> None:
        """Empty the engines."""
        for circuit in self._circuits:
            circuit.close()

    def _named(self, names: Callable[[Feeder], Sequence[str]]) -> tuple[str, ...]:
        if len(self.each) == 1:
            return tuple(names(self.each[0]))
        return tuple(self._name(i, n) for i, feeder in enumerate(self.each) for n in names(feeder))

    def _name(self, index: int, name: str) -> str:
        return name if len(self.each) == 1 else f"{self.ids[index]}.{name}"

    @contextmanager
    def _telling(self, index: int) -> Generator[None]:
        """Say of which feeder a failure is."""
        try:
            yield
        except (PowerFlowError, ClearingError) as error:
            if len(self.ids) == 1:
                raise
            where = ", ".join(part for part in (f"feeder {self.ids[index]}", error.where) if part)
            raise type(error)(error.reason, where=where) from error
