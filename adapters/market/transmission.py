"""The market's network as an OpenDSS circuit: what its dispatch does to real lines.

The market clears on a lossless network of reactances. Here the same lines have resistance and
charging, generators that are dispatched hold 1 pu within their reactive limits and give what they
were dispatched for, and an alternating-current power flow says what flows. The source at the slack
bus gives what its generators were dispatched for, and the losses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import opendssdirect
from dss import DSSException
from numpy.typing import NDArray

from adapters.market.pricing import Carried
from cosim.errors import MarketError
from networks.markets import MarketData

Floats = NDArray[np.float64]

BASE_KV, BASE_MVA, FREQUENCY_HZ = 230.0, 100.0, 60.0
"""Of the published case."""
SLACK_BUS = "D"
"""The published case's reference bus."""
FEEDER_KV = 4.16
FEEDER_R_PCT, FEEDER_X_PCT = 0.5, 8.0
"""Impedance of the transformers between transmission and feeders on their rating [%]: usual for
substations; the IEEE 13-node feeder's has 1 + j8."""
LEAST_MW = 1e-3
"""Dispatch from which a generator runs [MW]."""
WINDOW_PU = (0.6, 1.4)
"""Voltages at which loads draw what they ask for."""
_WINDOW = f"vminpu={WINDOW_PU[0]} vmaxpu={WINDOW_PU[1]}"


@dataclass(frozen=True, eq=False)
class TransmissionTick(Carried):
    """A solved network; every array is fresh."""

    slack_mw: float
    """What the slack bus gave beyond its dispatch [MW]: the losses."""


class Transmission:
    """The network in an OpenDSS engine of its own.

    Parameters
    ----------
    data
        Tables of the market.
    feeder_mva
        Rating of the transformer between each bus and its feeders, 0 for none, shape (bus,) [MVA].

    Raises
    ------
    MarketError
        OpenDSS refuses the network, or does not solve it as published.
    """

    def __init__(self, data: MarketData, feeder_mva: Floats) -> None:
        self.data = data
        self._has_feeders = feeder_mva > 0
        self._dss: Any = opendssdirect.dss.NewContext()
        self._dss.Basic.AllowForms(False)
        self._dss.Basic.AllowChangeDir(False)
        try:
            for command in _commands(data, feeder_mva):
                self._dss.Text.Command(command)
        except DSSException as error:
            raise MarketError(f"building the transmission network: {error}") from error
        engine = self._dss.to_altdss()
        self._loads: Any = engine.Load.batch(re="^other_")
        self._feeders: Any = engine.Load.batch(re="^feeders_") if feeder_mva.any() else None
        self._generators: Any = engine.Generator.batch(re=".*")
        self._lines: Any = engine.Line.batch(re=".*")
        slack = data.bus_ids.index(SLACK_BUS)
        self._dispatched = np.flatnonzero(data.generator_bus != slack)
        self._at_slack = np.flatnonzero(data.generator_bus == slack)

    def solve(
        self, load_mw: Floats, feeder_mw: Floats, feeder_mvar: Floats, generator_mw: Floats
    ) -> TransmissionTick:
        """Solve the network for one settlement interval.

        Parameters
        ----------
        load_mw
            Served load of each bus, its feeders included, shape (bus,) [MW]. What is not of the
            feeders has the power factor of the published load.
        feeder_mw, feeder_mvar
            Part of it that the feeders draw behind their transformer, shape (bus,).
        generator_mw
            Dispatch, shape (generator,) [MW].

        Raises
        ------
        MarketError
            There is no power flow: it does not converge, or voltages collapse.
        """
        data = self.data
        other_mw = load_mw - feeder_mw
        ratio = np.divide(
            data.load_mvar, data.load_mw, out=np.zeros_like(load_mw), where=data.load_mw > 0
        )
        try:
            # Active power first: setting it changes the reactive power with it.
            self._loads.kW = 1e3 * other_mw
            self._loads.kvar = 1e3 * other_mw * ratio
            if self._feeders is not None:
                self._feeders.kW = 1e3 * feeder_mw[self._has_feeders]
                self._feeders.kvar = 1e3 * feeder_mvar[self._has_feeders]
            # At no power at all a generator is off and holds no voltage.
            on = generator_mw[self._dispatched] > LEAST_MW
            self._generators.kW = 1e3 * np.where(on, generator_mw[self._dispatched], 0.0)
            self._dss.Text.Command("set mode=snapshot")
            self._dss.Solution.Solve()
        except DSSException as error:
            raise MarketError(f"solving the transmission network: {error}") from error
        found = self._read(generator_mw)
        lowest_pu = float(np.append(found.voltage_pu, found.feeder_voltage_pu).min())
        # Below the window a load no longer draws what it asks for. NaN is no voltage either.
        if not (self._dss.Solution.Converged() and lowest_pu >= WINDOW_PU[0]):
            raise MarketError(
                "the dispatch has no alternating-current power flow at loads "
                f"{np.round(load_mw, 1).tolist()} MW: lowest voltage {lowest_pu:.3g} pu"
            )
        return found

    def close(self) -> None:
        """Empty the engine."""
        self._dss.Basic.ClearAll()

    def _read(self, generator_mw: Floats) -> TransmissionTick:
        powers: Any = self._lines.TotalPowers()
        ends = np.asarray(powers, np.complex128).reshape(-1, 2) / 1e3
        voltage_pu = dict(
            zip(
                (name.lower() for name in self._dss.Circuit.AllNodeNames()),
                np.asarray(self._dss.Circuit.AllBusMagPu(), float),
                strict=True,
            )
        )
        buses = [bus.lower() for bus in self.data.bus_ids]
        at_bus = np.array([voltage_pu[f"{bus}.1"] for bus in buses])
        at_feeders = np.array(
            [voltage_pu.get(f"{bus}_feeders.1", pu) for bus, pu in zip(buses, at_bus, strict=True)]
        )
        given_mw = -float(self._dss.Circuit.TotalPower()[0]) / 1e3
        return TransmissionTick(
            line_mw=ends[:, 0].real.copy(),
            line_mva=np.abs(ends).max(axis=1),
            voltage_pu=at_bus,
            feeder_voltage_pu=at_feeders,
            losses_mw=float(self._dss.Circuit.Losses()[0]) / 1e6,
            slack_mw=given_mw - float(generator_mw[self._at_slack].sum()),
        )


def _commands(data: MarketData, feeder_mva: Floats) -> Iterator[str]:
    base_ohm = BASE_KV**2 / BASE_MVA
    yield "clear"
    yield f"set defaultbasefrequency={FREQUENCY_HZ}"
    yield (
        f"new circuit.{data.name} bus1={SLACK_BUS} basekv={BASE_KV} pu=1.0 "
        "r1=0 x1=0.0001 r0=0 x0=0.0001"
    )
    for i, name in enumerate(data.line_ids):
        one, other = (data.bus_ids[bus[i]] for bus in (data.line_from, data.line_to))
        r, x = float(data.r_pu[i]) * base_ohm, float(data.x_pu[i]) * base_ohm
        c_nf = float(data.b_pu[i]) / base_ohm / (2 * np.pi * FREQUENCY_HZ) * 1e9
        limit_mva = float(data.line_limit_mw[i])
        amps = limit_mva / BASE_KV / 3**0.5 * 1e3 if np.isfinite(limit_mva) else 1e5
        # All is balanced, so that the zero sequence carries nothing.
        yield (
            f"new line.{name} bus1={one} bus2={other} phases=3 length=1 r1={r} x1={x} r0={r} "
            f"x0={x} c1={c_nf} c0={c_nf} normamps={amps} emergamps={amps}"
        )
    for i, name in enumerate(data.generator_ids):
        bus = data.bus_ids[data.generator_bus[i]]
        if bus != SLACK_BUS:
            mvar = float(data.generator_limit_mvar[i])
            yield (
                f'new "generator.{name}" bus1={bus} phases=3 kv={BASE_KV} kw=0 model=3 vpu=1.0 '
                f"maxkvar={1e3 * mvar} minkvar={-1e3 * mvar} {_WINDOW}"
            )
    for bus, mva in zip(data.bus_ids, feeder_mva.tolist(), strict=True):
        yield (
            f"new load.other_{bus} bus1={bus} phases=3 kv={BASE_KV} kw=0 kvar=0 model=1 {_WINDOW}"
        )
        if mva > 0:
            yield (
                f"new transformer.to_{bus} phases=3 buses=[{bus} {bus}_feeders] conns=[wye wye] "
                f"kvs=[{BASE_KV} {FEEDER_KV}] kvas=[{1e3 * mva} {1e3 * mva}] "
                f"%rs=[{FEEDER_R_PCT / 2} {FEEDER_R_PCT / 2}] xhl={FEEDER_X_PCT}"
            )
            yield (
                f"new load.feeders_{bus} bus1={bus}_feeders phases=3 kv={FEEDER_KV} kw=0 kvar=0 "
                f"model=1 {_WINDOW}"
            )
    yield f"set voltagebases=[{BASE_KV} {FEEDER_KV}]"
    yield "calcvoltagebases"
    yield "set mode=snapshot controlmode=static maxiterations=500 tolerance=1e-8"
