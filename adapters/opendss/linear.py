"""Feeders between two solutions of OpenDSS: voltages by their derivatives, all else from these.

Every few intervals OpenDSS solves the feeder. In between, the voltages follow from the derivatives
of the nodal equations there, one solution with known factors, and lines, transformers and losses
from the voltages and their admittances. Taps and capacitors move, and marginal losses are taken,
only when OpenDSS solves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.response import Curve
from adapters.opendss.service import Connections
from adapters.opendss.tick import FeederState, FeederTick, unbalance_pct
from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class LinearState(FeederState):
    """What a feeder remembers between settlement intervals."""

    age: int
    """Intervals since OpenDSS solved, 0 where it solves next."""
    load_scale: float
    """Inputs of that solution; `tap_pu` and `capacitor_on` are from before it."""
    charger_kw: Floats
    charger_kva: Floats | None


class LinearFeeder(Feeder):
    """A feeder that OpenDSS solves every few intervals only; see the module and `Feeder`.

    Parameters
    ----------
    refresh_ticks
        Intervals from one solution of OpenDSS to the next.

    Raises
    ------
    PowerFlowError
        The circuit has elements that the nodal equations do not know, or generators that hold a
        voltage.
    """

    def __init__(
        self,
        circuit: Circuit,
        service: Connections,
        power_factor: float = 0.99,
        volt_var: Curve | None = None,
        refresh_ticks: int = 12,
        price_losses: bool = True,
    ) -> None:
        super().__init__(circuit, service, power_factor, volt_var, price_losses)
        holds = "" if self.unpriced else ", ".join(self.equations.generators.holding_names)
        if self.unpriced or holds:
            reason = self.unpriced or f"generators that hold a voltage: {holds}"
            raise PowerFlowError(f"the linear kind cannot hold this circuit: {reason}")
        self._every, self._age = refresh_ticks, 0
        self._flows = self.flows()
        self._since = self._fresh()

    def solve(
        self, load_scale: float, charger_kw: Floats, charger_kva: Floats | None = None
    ) -> FeederTick:
        """Solve or follow the feeder for one settlement interval; see `Feeder.solve`."""
        charger_kw = np.asarray(charger_kw, dtype=float)
        if self._age == 0:
            before = super().state()
            solved = super().solve(load_scale, charger_kw, charger_kva)
            self._settle(before, load_scale, charger_kw, charger_kva, solved)
        else:
            self._require_input(load_scale, charger_kw)
            solved = self._followed(load_scale, charger_kw, charger_kva)
        self._age = (self._age + 1) % self._every
        return solved

    def state(self) -> LinearState:
        """Return what the feeder remembers, as fresh arrays."""
        if self._age == 0:
            return self._fresh()
        return replace(self._since, age=self._age)

    def restore(self, state: FeederState) -> None:
        """Put the feeder back into `state`."""
        super().restore(state)
        self._age = 0
        if isinstance(state, LinearState) and state.age:
            self.solve(state.load_scale, state.charger_kw, state.charger_kva)
            self._age = state.age

    def _fresh(self) -> LinearState:
        now, nothing = super().state(), np.zeros(len(self.service))
        return LinearState(now.tap_pu, now.capacitor_on, 0, 0.0, nothing, None)

    def _settle(
        self,
        before: FeederState,
        load_scale: float,
        charger_kw: Floats,
        charger_kva: Floats | None,
        solved: FeederTick,
    ) -> None:
        """Keep what the next intervals follow from."""
        equations, about = self.equations, self.about
        kva = None if charger_kva is None else charger_kva.copy()
        self._since = LinearState(
            before.tap_pu, before.capacitor_on, 1, load_scale, charger_kw.copy(), kva
        )
        self._solved = solved
        loads = self._all_loads(load_scale, charger_kw, self._charger_kvar)
        self._drawn = equations.drawn(about.v, *loads)[0]
        self._base_v = np.abs(about.v[self._position]) / solved.bus_voltage_pu
        self._flows.refresh()

    def _all_loads(
        self, load_scale: float, charger_kw: Floats, charger_kvar: Floats
    ) -> tuple[Floats, Floats]:
        own_kw, own_kvar = self.layout.load_kw * load_scale, self.layout.load_kvar * load_scale
        return np.append(own_kw, charger_kw), np.append(own_kvar, charger_kvar)

    def _followed(
        self, load_scale: float, charger_kw: Floats, charger_kva: Floats | None
    ) -> FeederTick:
        equations, about = self.equations, self.about

        def voltages(charger_kvar: Floats) -> Complex:
            loads = self._all_loads(load_scale, charger_kw, charger_kvar)
            return about.v + about.respond(equations.drawn(about.v, *loads)[0] - self._drawn)

        def at_chargers(charger_kvar: Floats) -> Floats:
            at_buses = voltages(charger_kvar)[self._position]
            return self._at_chargers(np.abs(at_buses) / self._base_v)

        charger_kvar = self._reactive(charger_kw, charger_kva, at_chargers)
        loads, v = self._all_loads(load_scale, charger_kw, charger_kvar), voltages(charger_kvar)
        at_buses = v[self._position]
        voltage_pu = np.abs(at_buses) / self._base_v
        self._require_voltages(voltage_pu)
        flows = self._flows.at(v)
        power_kva = equations.drawn(v, *loads)[1] / 1e3
        own, last = len(self.layout.load_ids), self._solved
        chargers = slice(own, own + len(self.service))
        head_kva = power_kva.sum() + flows.losses_kva
        return FeederTick(
            bus_voltage_pu=voltage_pu,
            transformer_loading_pct=100 * flows.transformer_kva / self.rating_kva,
            transformer_ev_kw=self._below(power_kva[chargers].real),
            line_loading_pct=100 * flows.line_a / self.line_rating_a,
            feeder_power_kw=float(head_kva.real),
            feeder_reactive_kvar=float(head_kva.imag),
            feeder_losses_kw=flows.losses_kva.real,
            feeder_base_kw=float((power_kva.sum() - power_kva[chargers].sum()).real),
            tap=last.tap.copy(),
            capacitor_on=last.capacitor_on.copy(),
            unbalance_pct=unbalance_pct(at_buses[self._three_phases]),
            bus_marginal_loss=last.bus_marginal_loss.copy(),
            charger_marginal_loss=last.charger_marginal_loss.copy(),
            transformer_ev_kvar=self._below(power_kva[chargers].imag),
            charger_voltage_pu=self._at_chargers(voltage_pu),
        )
