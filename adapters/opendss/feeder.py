"""One distribution feeder in a private OpenDSS engine, solved once per settlement interval."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import opendssdirect
from dss import DSSException
from numpy.typing import NDArray

from adapters.opendss.circuit import (
    BASE_PREFIX,
    CHARGER_PREFIX,
    TAP_STEP_PU,
    WINDOW_PU,
    commands,
)
from adapters.opendss.service import ServiceTransformers
from adapters.opendss.topology import require_supply
from cosim.errors import PowerFlowError
from networks.feeders import FeederData

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FeederTick:
    """The solved feeder; every array is fresh."""

    bus_voltage_pu: Floats
    """Voltage magnitude over its base, shape (node,) [1]."""
    transformer_loading_pct: Floats
    """Apparent power over rating, shape (transformer,) [%]."""
    transformer_ev_kw: Floats
    """What the chargers below each transformer drew, shape (transformer,) [kW]."""
    line_loading_pct: Floats
    """Current over rating, worst phase and end, shape (line,) [%]."""
    feeder_power_kw: float
    """Active power at the feeder's head [kW]."""
    feeder_reactive_kvar: float
    """Reactive power at the feeder's head [kvar]."""
    feeder_losses_kw: float
    """Losses in lines, regulators and transformers [kW]."""
    feeder_base_kw: float
    """What the feeder's own loads drew [kW]."""
    tap: NDArray[np.int64]
    """Tap of each regulator after the solution, -16 to 16, shape (regulator,)."""


@dataclass(frozen=True)
class FeederState:
    """What a feeder remembers between settlement intervals."""

    tap_pu: Floats
    """Ratio of each regulator as the engine holds it, to the last bit, shape (regulator,)."""
    capacitor_on: NDArray[np.bool_]
    """Whether each capacitor is connected, shape (capacitor,)."""


class Feeder:
    """A feeder with its service transformers, in its own OpenDSS engine.

    Regulator taps and capacitor states are all that it carries from one `solve` to the next: each
    solution starts from the no-load voltages, so that a feeder restored from `state` continues
    byte for byte like one that was never stopped.

    Parameters
    ----------
    data
        Tables of the feeder.
    service
        Service transformers with the charger loads behind them.
    power_factor
        Power factor of the chargers. They draw lagging reactive power ``|P| tan(acos(pf))`` in
        both directions of active power.

    Raises
    ------
    PowerFlowError
        A bus is not fed, or OpenDSS refuses the circuit, in its own words.
    """

    def __init__(
        self, data: FeederData, service: ServiceTransformers, power_factor: float = 0.99
    ) -> None:
        require_supply(data)
        self.data = data
        self.service = service
        self._tan_phi = float(np.tan(np.arccos(power_factor)))
        with _named(f"building {data.name}"):
            self._dss: Any = opendssdirect.dss.NewContext()
            self._dss.Basic.AllowForms(False)
            self._dss.Basic.AllowChangeDir(False)
            for command in commands(data, service):
                self._dss.Text.Command(command)
            self._bind()
        self._solve_network()
        self._voltages_pu()

    def _bind(self) -> None:
        engine = self._dss.to_altdss()
        self.bus_ids: tuple[str, ...] = tuple(self._dss.Circuit.AllNodeNames())
        self.regulator_ids = tuple(row.id for row in self.data.regulators)
        published = (*self.regulator_ids, *(row.id for row in self.data.transformers))
        self.transformer_ids: tuple[str, ...] = (*published, *self.service.ids)
        self.line_ids = tuple(row.id for row in self.data.lines)
        self.first_service = len(published)
        """Position of the first service transformer among `transformer_ids`."""
        self._transformers: Any = engine.Transformer.batch(re=".*")
        self.rating_kva: Floats = np.array(
            [
                *(row.rating_kva for row in self.data.regulators),
                *(row.rating_kva for row in self.data.transformers),
                *self.service.rating_kva,
            ]
        )
        """Rating of each of `transformer_ids` [kVA]."""
        order = [name.lower() for name in self._transformers.Name]
        self._transformer_at = np.array([order.index(name) for name in self.transformer_ids])
        self._lines: Any = engine.Line.batch(re=".*")
        order = [name.lower() for name in self._lines.Name]
        self._line_at = np.array([order.index(name) for name in self.line_ids])
        self._base: Any = engine.Load.batch(re=f"^{BASE_PREFIX}")
        self._base_kw = np.array([row.p_kw for row in self.data.loads])
        self._base_kvar = np.array([row.q_kvar for row in self.data.loads])
        # A pattern that matches nothing is an error of its own in the engine's interface.
        self._chargers: Any = None
        if self.service.ids:
            self._chargers = engine.Load.batch(re=f"^{CHARGER_PREFIX}")

    def solve(self, load_scale: float, charger_kw: Floats) -> FeederTick:
        """Solve the feeder for one settlement interval.

        Parameters
        ----------
        load_scale
            Factor on the published loads of the feeder [1].
        charger_kw
            Power of the chargers behind each service transformer, negative where they feed back,
            shape (service transformer,) [kW].

        Returns
        -------
        FeederTick

        Raises
        ------
        PowerFlowError
            The input is not finite, the power flow did not converge (after a second try by
            Newton's method from the taps before the interval), the voltage collapsed, or OpenDSS
            refused a command.
        """
        charger_kw = np.asarray(charger_kw, dtype=float)
        self._require_input(load_scale, charger_kw)
        before = self.state()
        with _named("setting loads"):
            self._set_loads(load_scale, charger_kw)
        try:
            self._solve_network()
        except PowerFlowError:
            self.restore(before)
            self._solve_network(newton=True)
        return self._read()

    def state(self) -> FeederState:
        """Return what the feeder remembers, as fresh arrays."""
        capacitors, states = self._dss.Capacitors, list[bool]()
        for row in self.data.capacitors:
            capacitors.Name(row.id)
            states.append(capacitors.States()[0] == 1)
        return FeederState(self._taps_pu(), np.array(states, dtype=bool))

    def restore(self, state: FeederState) -> None:
        """Put the feeder back into `state`."""
        with _named("restoring taps"):
            self._set_taps_pu(state.tap_pu)
            for row, on in zip(self.data.capacitors, state.capacitor_on, strict=True):
                self._dss.Capacitors.Name(row.id)
                self._dss.Capacitors.States([int(on)])

    def set_taps(self, tap: NDArray[np.int64]) -> None:
        """Set the tap of each regulator, -16 to 16, shape (regulator,)."""
        self._set_taps_pu(1 + TAP_STEP_PU * np.asarray(tap, dtype=np.float64))

    def lock_taps(self, locked: bool = True) -> None:
        """Switch regulator control off, or on again."""
        self._dss.Text.Command(f"set controlmode={'off' if locked else 'static'}")

    def close(self) -> None:
        """Empty the engine."""
        self._dss.Basic.ClearAll()

    def _require_input(self, load_scale: float, charger_kw: Floats) -> None:
        # One NaN that reaches the engine stays in its voltages for good, without a message.
        if not (np.isfinite(load_scale) and load_scale >= 0):
            raise PowerFlowError(f"load scale must be a finite number >= 0, not {load_scale}")
        if charger_kw.shape != (len(self.service),):
            raise PowerFlowError(
                f"charger power has shape {charger_kw.shape}, not ({len(self.service)},)"
            )
        bad = np.flatnonzero(~np.isfinite(charger_kw))
        if len(bad):
            name = self.service.ids[int(bad[0])]
            raise PowerFlowError(
                f"charger power is {charger_kw[bad[0]]}", where=f"transformer {name}"
            )

    def _set_loads(self, load_scale: float, charger_kw: Floats) -> None:
        # kW first: setting it re-derives kvar from the power factor, which flips the sign of
        # kvar where kW is negative.
        self._base.kW = self._base_kw * load_scale
        self._base.kvar = self._base_kvar * load_scale
        if self._chargers is not None:
            self._chargers.kW = charger_kw
            self._chargers.kvar = np.abs(charger_kw) * self._tan_phi

    def _solve_network(self, newton: bool = False) -> None:
        with _named("solving"):
            command, solution = self._dss.Text.Command, self._dss.Solution
            # Setting the mode makes the next solution start from the no-load voltages.
            command("set mode=snapshot")
            command(f"set algorithm={'newton' if newton else 'normal'}")
            solution.Solve()
            converged = solution.Converged()
            command("set algorithm=normal")
        if not converged:
            voltage_pu = np.asarray(self._dss.Circuit.AllBusMagPu())
            # A NaN counts as the worst voltage there is.
            worst = int(np.argmin(np.where(np.isfinite(voltage_pu), voltage_pu, -1)))
            raise PowerFlowError(
                f"the power flow did not converge; lowest voltage {voltage_pu[worst]:.4g} pu",
                where=f"bus {self.bus_ids[worst]}",
            )

    def _voltages_pu(self) -> Floats:
        voltage_pu = np.array(self._dss.Circuit.AllBusMagPu(), dtype=float)
        bad = np.flatnonzero(~np.isfinite(voltage_pu))
        if len(bad):
            raise PowerFlowError(
                f"the voltage is not a number ({len(bad)} nodes in all)",
                where=f"bus {self.bus_ids[int(bad[0])]}",
            )
        outside = np.maximum(voltage_pu - WINDOW_PU[1], WINDOW_PU[0] - voltage_pu)
        worst = int(np.argmax(outside))
        if outside[worst] > 0:
            raise PowerFlowError(
                f"the voltage has collapsed to {voltage_pu[worst]:.4g} pu: "
                f"outside {WINDOW_PU[0]} to {WINDOW_PU[1]} pu no load draws what it asks for",
                where=f"bus {self.bus_ids[worst]}",
            )
        return voltage_pu

    def _taps_pu(self) -> Floats:
        taps_pu: list[float] = []
        for name in self.regulator_ids:
            self._dss.Transformers.Name(name)
            self._dss.Transformers.Wdg(2)
            taps_pu.append(self._dss.Transformers.Tap())
        return np.array(taps_pu)

    def _set_taps_pu(self, taps_pu: Floats) -> None:
        for name, tap_pu in zip(self.regulator_ids, taps_pu, strict=True):
            self._dss.Transformers.Name(name)
            self._dss.Transformers.Wdg(2)
            self._dss.Transformers.Tap(float(tap_pu))

    def _read(self) -> FeederTick:
        with _named("reading the solution"):
            voltage_pu = self._voltages_pu()
            # Terminals of a transformer follow each other: primary, secondary.
            terminal_kva = np.abs(self._transformers.TotalPowers()).reshape(-1, 2).max(axis=1)
            transformer_kva = terminal_kva[self._transformer_at]
            ev_kw = np.zeros(len(self.transformer_ids))
            if self._chargers is not None:
                ev_kw[self.first_service :] = self._chargers.TotalPowers().real
            power_kw, reactive_kvar = self._dss.Circuit.TotalPower()
            return FeederTick(
                bus_voltage_pu=voltage_pu,
                transformer_loading_pct=100 * transformer_kva / self.rating_kva,
                transformer_ev_kw=ev_kw,
                line_loading_pct=np.array(self._lines.pctNormal(allNodes=True))[self._line_at],
                feeder_power_kw=-float(power_kw),
                feeder_reactive_kvar=-float(reactive_kvar),
                feeder_losses_kw=float(self._dss.Circuit.Losses()[0]) / 1e3,
                feeder_base_kw=float(self._base.TotalPowers().real.sum()),
                tap=np.rint((self._taps_pu() - 1) / TAP_STEP_PU).astype(np.int64),
            )


@contextmanager
def _named(what: str) -> Generator[None]:
    """Turn an exception of the engine into ours, in its own words."""
    try:
        yield
    except DSSException as error:
        raise PowerFlowError(f"{what}: {error}") from error
