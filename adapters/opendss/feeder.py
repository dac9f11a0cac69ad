"""One distribution feeder in a private OpenDSS engine, solved once per settlement interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.circuit import Circuit, named
from adapters.opendss.commands import WINDOW_PU, charger_bus, service_commands
from adapters.opendss.flows import Flows
from adapters.opendss.marginal import MarginalLosses
from adapters.opendss.moving import Moving
from adapters.opendss.network import Linearisation
from adapters.opendss.nodal import NodalEquations
from adapters.opendss.response import Curve, settled_kvar
from adapters.opendss.service import Connections
from adapters.opendss.tick import FeederState, FeederTick, unbalance_pct
from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]


class Feeder:
    """A feeder with its chargers, in its own OpenDSS engine.

    Regulator taps and capacitor states are all that it carries from one `solve` to the next: each
    solution starts from the no-load voltages, so that a feeder restored from `state` continues
    byte for byte like one that was never stopped.

    Parameters
    ----------
    circuit
        The circuit, without chargers; the feeder owns it from now on.
    service
        Where chargers join.
    power_factor
        Power factor of the chargers. They draw lagging reactive power ``|P| tan(acos(pf))`` in
        both directions of active power, unless they follow a volt-var curve.
    volt_var
        Curve of `adapters.opendss.response.VOLT_VAR` that chargers follow; none if left out.
    price_losses
        Whether marginal losses are wanted. They take most of the time of a solution, and are told
        as none where they are not.

    Raises
    ------
    PowerFlowError
        OpenDSS refuses the circuit, in its own words, or cannot solve it.
    """

    def __init__(
        self,
        circuit: Circuit,
        service: Connections,
        power_factor: float = 0.99,
        volt_var: Curve | None = None,
        price_losses: bool = True,
    ) -> None:
        self.name = circuit.name
        self.layout = circuit.layout
        self.service = service
        self._circuit = circuit
        self._dss: Any = circuit.engine
        self._moving = Moving(circuit.engine, circuit.layout)
        self._moved: FeederState | None = None
        self.volt_var = volt_var
        """Curve of the chargers' reactive power, if they respond to the voltage."""
        # What more is drawn at a charger takes no reactive power with it on a volt-var curve.
        self.tan_phi = 0.0 if volt_var else float(np.tan(np.arccos(power_factor)))
        """Reactive over active power of what chargers draw more [1]."""
        with named(f"building {circuit.name}"):
            for command in service_commands(service):
                self._dss.Text.Command(command)
            self._bind()
        self.settled = False
        """Whether nothing has been done to the feeder since its last solution."""
        self.unpriced = ""
        """Why the marginal losses of this circuit are not known; empty if they are."""
        self._price_losses = price_losses
        self._about: Linearisation | None = None
        self._equations: NodalEquations | None = None
        try:
            self._equations = NodalEquations(self._dss)
        except PowerFlowError as error:
            self.unpriced = str(error)
        else:
            at = {name: i for i, name in enumerate(self.bus_ids)}
            # The nodes of the equations have an order of their own.
            order = np.array([at[name] for name in self._equations.nodes], np.int64)
            self._position = np.argsort(order)
            """Where each of `bus_ids` stands among the nodes of the equations."""
            self._losses = MarginalLosses(
                self._position, self.charger_node, self.charger_of, service.phases
            )

    def _bind(self) -> None:
        engine, layout = self._dss.to_altdss(), self.layout
        self._solve_network()
        self.bus_ids: tuple[str, ...] = tuple(n.lower() for n in self._dss.Circuit.AllNodeNames())
        parts, pu = np.asarray(self._dss.Circuit.AllBusVolts()), self._voltages_pu()
        self.base_v: Floats = np.abs(parts[::2] + 1j * parts[1::2]) / pu
        """Base of the voltage of each of `bus_ids` [V]."""
        at = {name: i for i, name in enumerate(self.bus_ids)}
        buses = dict.fromkeys(name.rsplit(".", 1)[0] for name in self.bus_ids)
        whole = [[at.get(f"{bus}.{k}", -1) for k in (1, 2, 3)] for bus in buses]
        self.three_phase_ids = tuple(b for b, n in zip(buses, whole, strict=True) if min(n) >= 0)
        """Buses with all three phases."""
        self._three_phases = np.array([n for n in whole if min(n) >= 0], np.int64).reshape(-1, 3)
        drawn = [
            (at[f"{charger_bus(self.service, owner)}.{k}"], owner)
            for owner in range(len(self.service))
            for k in self.service.phases[owner]
        ]
        self.charger_node, self.charger_of = np.array(drawn, np.int64).reshape(-1, 2).T
        """Nodes that chargers draw from, alike from all of a connection, among `bus_ids`,
        and the connection of each, shape (charger node,)."""
        self.regulator_ids = tuple(row.id for row in layout.regulators)
        own = self.service.own
        units = tuple(unit.id for unit in self.service.units)
        self.transformer_ids: tuple[str, ...] = (*layout.transformer_ids, *units)
        self.first_service = len(layout.transformer_ids)
        """Position of the first service transformer among `transformer_ids`."""
        number = {name: i for i, name in enumerate(self.transformer_ids)}
        feeds = (*units, *self.service.fed_by)
        self.transformer_of = np.array([number[name] for name in feeds], np.int64)
        """Which of `transformer_ids` feeds each connection."""
        self.line_ids = layout.line_ids
        self.rating_kva: Floats = np.append(layout.transformer_kva, self.service.rating_kva[:own])
        """Rating of each of `transformer_ids` [kVA]."""
        # Elements keep the order in which they were made: those of the circuit come first.
        self._transformers: Any = engine.Transformer.batch(re=".*")
        self._terminals = np.asarray(self._transformers.NumTerminals())
        self._lines: Any = engine.Line.batch(idx=layout.line_indices)
        self.line_rating_a: Floats = np.asarray(self._lines.NormAmps.to_array(), float)
        """Rating of each of `line_ids` [A]."""
        self._base: Any = engine.Load.batch(idx=np.arange(len(layout.load_ids)))
        self._generators = _generators(engine)
        # A selection of nothing is an error of its own in the engine's interface.
        self._chargers: Any = None
        if self.service.ids:
            first = len(layout.load_ids)
            self._chargers = engine.Load.batch(idx=first + np.arange(len(self.service)))

    def solve(
        self, load_scale: float, charger_kw: Floats, charger_kva: Floats | None = None
    ) -> FeederTick:
        """Solve the feeder for one settlement interval.

        Parameters
        ----------
        load_scale
            Factor on the published loads of the feeder [1].
        charger_kw
            Power of the chargers of each connection, negative where they feed back, shape
            (connection,) [kW].
        charger_kva
            Rating of the chargers at work at each connection, which volt-var may use, shape
            (connection,) [kVA]; those that are left out do not respond.

        Returns
        -------
        FeederTick

        Raises
        ------
        PowerFlowError
            The input is not finite, the power flow did not converge (after a second try by
            Newton's method from the taps before the interval), the voltage collapsed, volt-var
            did not settle, or OpenDSS refused a command.
        """
        charger_kw = np.asarray(charger_kw, dtype=float)
        self._require_input(load_scale, charger_kw)
        before = self.state()
        self._moved = self._about = None
        self.settled = False
        with named("setting loads"):
            self._base.kW = self.layout.load_kw * load_scale
            self._base.kvar = self.layout.load_kvar * load_scale

        def solved(charger_kvar: Floats) -> Floats:
            with named("setting chargers"):
                self._set_chargers(charger_kw, charger_kvar)
            try:
                self._solve_network()
            except PowerFlowError:
                self.restore(before)
                self._solve_network(newton=True)
            return self._at_chargers(self._voltages_pu())

        self._charger_kvar = self._reactive(charger_kw, charger_kva, solved)
        self.settled = True
        return self._read(charger_kw)

    def _reactive(
        self, charger_kw: Floats, charger_kva: Floats | None, solved: Callable[[Floats], Floats]
    ) -> Floats:
        """Solve with the reactive power of the chargers, and return it [kvar]."""
        if self.volt_var is None:
            kvar = np.abs(charger_kw) * self.tan_phi
            solved(kvar)
            return kvar
        kva = np.zeros(len(self.service)) if charger_kva is None else charger_kva
        return settled_kvar(self.volt_var, charger_kw, kva, solved, self.service.ids)

    def state(self) -> FeederState:
        """Return what the feeder remembers, as fresh arrays."""
        if self._moved is None:
            self._moved = self._moving.state()
        return FeederState(self._moved.tap_pu.copy(), self._moved.capacitor_on.copy())

    def restore(self, state: FeederState) -> None:
        """Put the feeder back into `state`."""
        self._moved, self.settled = None, False
        with named("restoring taps"):
            self._moving.restore(state)

    def set_taps(self, tap: NDArray[np.int64]) -> None:
        """Set the tap of each regulator, -16 to 16, shape (regulator,)."""
        self._moved, self.settled = None, False
        self._moving.set_taps(tap)

    def lock_taps(self, locked: bool = True) -> None:
        """Switch regulator control off, or on again."""
        self._dss.Text.Command(f"set controlmode={'off' if locked else 'static'}")

    @property
    def equations(self) -> NodalEquations:
        """The nodal equations of the circuit.

        Raises
        ------
        PowerFlowError
            The circuit has elements that they do not know.
        """
        if self._equations is None:
            raise PowerFlowError(self.unpriced)
        return self._equations

    @property
    def about(self) -> Linearisation:
        """What the nodal equations are about the last solution.

        Raises
        ------
        PowerFlowError
            It does not fulfil them, or the circuit has elements that they do not know.
        """
        if self._about is None:
            self._about = self.equations.linearised()
        return self._about

    def flows(self) -> Flows:
        """Return the flows of `line_ids` and `transformer_ids` at voltages of `equations`."""
        at = {name: i for i, name in enumerate(self.equations.nodes)}
        moving = (*(f"transformer.{name}" for name in self.regulator_ids),
                  *(f"capacitor.{name}" for name in self.layout.capacitor_ids))  # fmt: skip
        return Flows(self._dss, at, self.line_ids, self.transformer_ids, moving)

    def close(self) -> None:
        """Empty the engine."""
        self._circuit.close()

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
            name = self.transformer_ids[self.transformer_of[bad[0]]]
            raise PowerFlowError(
                f"charger power is {charger_kw[bad[0]]}", where=f"transformer {name}"
            )

    def _set_chargers(self, charger_kw: Floats, charger_kvar: Floats) -> None:
        # kW first: setting it re-derives kvar from the power factor, which flips the sign of
        # kvar where kW is negative.
        if self._chargers is not None:
            self._chargers.kW = charger_kw
            self._chargers.kvar = charger_kvar

    def _solve_network(self, newton: bool = False) -> None:
        with named("solving"):
            command, solution = self._dss.Text.Command, self._dss.Solution
            # Setting the mode makes the next solution start from the no-load voltages.
            command("set mode=snapshot")
            command(f"set algorithm={'newton' if newton else 'normal'}")
            solution.Solve()
            converged = solution.Converged()
            command("set algorithm=normal")
        if not converged:
            tried = "by fixed-point iteration"
            if newton:
                tried += ", nor by Newton's method from the taps before"
            voltage_pu = np.asarray(self._dss.Circuit.AllBusMagPu())
            # A NaN counts as the worst voltage there is.
            worst = int(np.argmin(np.where(np.isfinite(voltage_pu), voltage_pu, -1)))
            raise PowerFlowError(
                f"the power flow did not converge {tried}; "
                f"lowest voltage {voltage_pu[worst]:.4g} pu",
                where=f"bus {self.bus_ids[worst]}",
            )

    def _voltages_pu(self) -> Floats:
        voltage_pu = np.array(self._dss.Circuit.AllBusMagPu(), dtype=float)
        self._require_voltages(voltage_pu)
        return voltage_pu

    def _require_voltages(self, voltage_pu: Floats) -> None:
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

    def _unbalance_pct(self) -> Floats:
        parts = np.asarray(self._dss.Circuit.AllBusVolts())
        return unbalance_pct((parts[::2] + 1j * parts[1::2])[self._three_phases])

    def _marginal_loss(self, charger_kw: Floats) -> tuple[Floats, Floats]:
        if self._equations is None or not self._price_losses:
            return np.zeros(len(self.bus_ids)), np.zeros(len(self.service))
        return self._losses.at(self.about, self.tan_phi, charger_kw)

    def _below(self, of_chargers: Floats) -> Floats:
        """Return the sum over the connections below each transformer, shape (transformer,)."""
        count = len(self.transformer_ids)
        return np.bincount(self.transformer_of, of_chargers, count).astype(np.float64)

    def _at_chargers(self, of_nodes: Floats) -> Floats:
        """Return the mean over the phases of each connection, shape (connection,)."""
        count = len(self.service)
        phases = np.bincount(self.charger_of, minlength=count)
        return np.bincount(self.charger_of, of_nodes[self.charger_node], count) / phases

    def _read(self, charger_kw: Floats) -> FeederTick:
        with named("reading the solution"):
            voltage_pu = self._voltages_pu()
            # Terminals of a transformer follow each other: primary, secondary, perhaps a third.
            terminal_kva = np.abs(self._transformers.TotalPowers())
            first = np.cumsum(self._terminals) - self._terminals
            transformer_kva = np.maximum.reduceat(terminal_kva, first)
            ev_kva: NDArray[np.complex128] = np.zeros(0, np.complex128)
            if self._chargers is not None:
                ev_kva = self._chargers.TotalPowers()
            power_kw, reactive_kvar = self._dss.Circuit.TotalPower()
            moved = self.state()
            bus_marginal_loss, charger_marginal_loss = self._marginal_loss(charger_kw)
            return FeederTick(
                bus_voltage_pu=voltage_pu,
                transformer_loading_pct=100 * transformer_kva / self.rating_kva,
                transformer_ev_kw=self._below(ev_kva.real),
                line_loading_pct=np.array(self._lines.pctNormal(allNodes=True)),
                feeder_power_kw=-float(power_kw),
                feeder_reactive_kvar=-float(reactive_kvar),
                feeder_losses_kw=float(self._dss.Circuit.Losses()[0]) / 1e3,
                feeder_base_kw=float(
                    sum(part.TotalPowers().real.sum() for part in (self._base, *self._generators))
                ),
                tap=self._moving.taps(moved),
                capacitor_on=moved.capacitor_on,
                unbalance_pct=self._unbalance_pct(),
                bus_marginal_loss=bus_marginal_loss,
                charger_marginal_loss=charger_marginal_loss,
                transformer_ev_kvar=self._below(ev_kva.imag),
                charger_voltage_pu=self._at_chargers(voltage_pu),
            )


def _generators(engine: Any) -> list[Any]:
    """Return what gives power in a circuit beside its source, one selection for each class."""
    kinds = (engine.Generator, engine.PVSystem, engine.Storage)
    return [kind.batch(re=".*") for kind in kinds if len(kind)]
