r"""The three-phase nodal equations of a solved circuit, and what changes with a little more load.

Notes
-----
With the admittance matrix :math:`Y` of everything but the loads, the voltages across the branches
of the loads :math:`U = A V` and their admittances :math:`y(|U|)`, the solution fulfils

.. math:: Y V + A^T (y\, U) = J

where :math:`J` are the currents of the stiff sources. A branch that draws
:math:`P u^a + j Q u^b` at the voltage magnitude :math:`u` has
:math:`y = P u^{a-2} - j Q u^{b-2}`, so a change of the voltages changes its current by

.. math::

    \mathrm{d}(y U) = (y + \tfrac{1}{2} y' u)\, \mathrm{d}U
    + \frac{y'}{2 u} U^2\, \mathrm{d}U^* .

In real and imaginary parts that is one sparse real matrix, factorised once for a solution. How any
figure changes with the load at every node is then one solution with the transposed matrix (the
adjoint method): exact for a little more load, with taps and capacitors as they are.

Generators (`generators`) are loads that draw less than nothing. Each that holds a voltage adds an
unknown, its reactive power, and an equation (`held`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.generators import Generators
from adapters.opendss.load_models import Branches, admittance
from adapters.opendss.network import Linearisation, Network, gathered
from adapters.opendss.pattern import Pattern
from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

RESIDUAL = 1e-5
"""Largest current that the equations may miss at a node, over the largest current of a load or
1 A."""
_EXPONENTS = {1: (0.0, 0.0), 2: (2.0, 2.0), 3: (0.0, 2.0), 5: (1.0, 1.0)}
"""Exponents of active and reactive power by OpenDSS's load model; model 4 has its own."""
_IMPEDANCE, _OWN_EXPONENTS = 2, 4
_SOURCE = "vsource.source"
_OTHER_POWER = (
    "generic5", "indmach012", "isource", "upfc", "vccs", "vsconverter", "vsource", "windgen",
)  # fmt: skip
"""Classes of OpenDSS that give or take power beside loads and generators."""


class NodalEquations:
    """The nodal equations of one circuit.

    Parameters
    ----------
    engine
        The context of OpenDSS that holds the circuit, solved at least once.

    Raises
    ------
    PowerFlowError
        A load or generator follows a model that the equations do not know, or something else than
        these and the source converts power.
    """

    def __init__(self, engine: Any) -> None:
        self._dss = engine
        self.nodes: tuple[str, ...] = tuple(n.lower() for n in engine.Circuit.YNodeOrder())
        """Id of each node, ``bus.phase``."""
        self._at = {name: i for i, name in enumerate(self.nodes)}
        self._refuse_others()
        self._all_loads: Any = engine.to_altdss().Load.batch(re=".*")
        loads = self._connect()
        self.generators = Generators(engine, self._nodes, len(self.nodes))
        """What gives power in the circuit beside the source."""
        self._loads = len(loads.load)
        own = self.generators.branches
        own = replace(own, load=own.load + len(self._all_loads))
        self._branches = Branches.joined([loads, own])
        self._given: Complex = np.zeros(len(own.load), np.complex128)
        self._source_nodes, self._source_y = self._source()
        self._pattern: Pattern | None = None
        self.generators.require_declared(self._voltages())

    def linearised(self) -> Linearisation:
        """Return the equations about the present solution of the engine.

        Raises
        ------
        PowerFlowError
            The solution does not fulfil them: the worst node, and by how much.
        """
        v = self._voltages()
        network = self.network()
        missed, most_a = network.missed(v[:-1], network.power)
        missed[self._source_nodes] = 0
        self._require_solution(np.abs(missed), most_a)
        self._dss.Circuit.SetActiveElement(_SOURCE)
        parts = np.asarray(self._dss.CktElement.Currents())
        source = (parts[::2] + 1j * parts[1::2])[: len(self._source_nodes)]
        about = network.linearised(v[:-1], network.power, source)
        return self._holding(about, v)

    def network(self) -> Network:
        """Return the circuit as the engine's last solution left it, to be solved without it."""
        b = self._branches
        passive, places, starts = self._dss.YMatrix.getYsparse(False)
        if self._pattern is None or not self._pattern.fits(places, starts):
            self._pattern = Pattern(places, starts, b.ends)
        v = self._voltages()
        self._given, engine_y = self.generators.drawn(v)
        of_loads = self._of_loads(*self.loads())
        # The engine's matrix holds every load as the impedance that draws its power at its rating.
        own_y = np.asarray(np.conj(of_loads) / b.base_v[: self._loads] ** 2, np.complex128)
        return Network(
            v=v[:-1],
            passive=passive.copy(),
            pattern=self._pattern,
            branches=b,
            power=np.concatenate([of_loads, self._given]),
            rated=np.concatenate([own_y, engine_y]),
            source_nodes=self._source_nodes,
            source_y=self._source_y,
        )

    def loads(self) -> tuple[Floats, Floats]:
        """Return what every load of the engine draws at its rated voltage, shape (load,) each.

        Active [kW], then reactive [kvar].
        """
        kw, kvar = self._all_loads.kW.to_array(), self._all_loads.kvar.to_array()
        return np.array(kw, float), np.array(kvar, float)

    def power(self, kw: Floats, kvar: Floats) -> Complex:
        """Return the power of every branch at its rated voltage [VA].

        Loads draw this, shape (load,) each; generators what they did at the last linearisation.
        """
        return np.concatenate([self._of_loads(kw, kvar), self._given])

    def _holding(self, about: Linearisation, v: Complex) -> Linearisation:
        """Return the equations with those of the generators that hold a voltage."""
        count, ends = len(self.nodes), self.generators.branches.ends
        held = list(self.generators.holding(v, self._given))
        if not held:
            return about
        per_var = np.array([gathered(row, ends, count) for row, _ in held])
        turned = np.array([gathered(row, ends, count) for _, row in held])
        return about.holding(
            np.hstack([per_var.real, per_var.imag]), np.hstack([turned.real, -turned.imag])
        )

    def drawn(self, v: Complex, kw: Floats, kvar: Floats) -> tuple[Complex, Complex]:
        """Return what loads draw at given voltages, and generators as at the last linearisation.

        Parameters
        ----------
        v
            Voltages of the nodes, shape (node,) [V].
        kw, kvar
            Power of each load at its rated voltage, in the engine's order, shape (load,).

        Returns
        -------
        current
            Drawn from each node, shape (node,) [A].
        power
            Of each load, then of each generator, shape (load + generator,) [VA].
        """
        b, count = self._branches, len(self.nodes)
        whole = np.append(v, 0)
        u = whole[b.ends[0]] - whole[b.ends[1]]
        current: Complex = admittance(self.power(kw, kvar), np.abs(u), b)[0] * u
        power: Complex = u * np.conj(current)
        size = len(kw) + len(self.generators)
        active = np.bincount(b.load, power.real, size)
        reactive = np.bincount(b.load, power.imag, size)
        return gathered(current, b.ends, count), active + 1j * reactive

    def at(self, nodes: Sequence[str]) -> NDArray[np.int64]:
        """Return the positions of nodes among `nodes`."""
        return np.array([self._at[name.lower()] for name in nodes], np.int64)

    def _voltages(self) -> Complex:
        """Voltages of the nodes in the engine, and 0 for ground [V]."""
        parts = np.asarray(self._dss.Circuit.YNodeVArray())
        return np.append(parts[::2] + 1j * parts[1::2], 0)

    def _of_loads(self, kw: Floats, kvar: Floats) -> Complex:
        """Power of every branch of loads at its rated voltage [VA]."""
        load, share = self._branches.load[: self._loads], self._branches.share[: self._loads]
        return 1e3 * (kw + 1j * kvar)[load] * share

    def _require_solution(self, missed_a: Floats, most_a: float) -> None:
        worst = int(np.argmax(missed_a))
        if not missed_a[worst] <= RESIDUAL * most_a:
            raise PowerFlowError(
                f"prices of losses need the nodal equations, which the solution misses by "
                f"{missed_a[worst]:.3g} A",
                where=f"bus {self.nodes[worst]}",
            )

    def _source(self) -> tuple[NDArray[np.int64], Complex]:
        """Nodes of the source's first terminal, and its admittance there [S]."""
        self._dss.Circuit.SetActiveElement(_SOURCE)
        element = self._dss.CktElement
        number = element.NumConductors()
        nodes = self._nodes()
        parts = np.asarray(element.YPrim())
        whole = (parts[::2] + 1j * parts[1::2]).reshape(2 * number, 2 * number, order="F")
        return np.array(nodes, np.int64), whole[:number, :number]

    def _nodes(self) -> list[int]:
        """Positions of the nodes of the active element's first terminal, -1 for ground."""
        element = self._dss.CktElement
        bus = element.BusNames()[0].lower().split(".")[0]
        order = list(element.NodeOrder())[: element.NumConductors()]
        return [self._at[f"{bus}.{k}"] if k else -1 for k in order]

    def _refuse_others(self) -> None:
        """Refuse what gives or takes power without being a load or a generator."""
        for name in self._dss.Circuit.AllElementNames():
            kind = name.lower().split(".")[0]
            if kind in _OTHER_POWER and name.lower() != _SOURCE:
                raise PowerFlowError(
                    "prices of losses know loads, generators and one source only", where=name
                )

    def _connect(self) -> Branches:
        dss, rows = self._dss, list[tuple[Any, ...]]()
        ends: list[tuple[int, int]] = []
        for load, name in enumerate(self._all_loads.Name):
            dss.Loads.Name(name)
            model, number = dss.Loads.Model(), dss.CktElement.NumPhases()
            if model not in _EXPONENTS and model != _OWN_EXPONENTS:
                raise PowerFlowError(
                    f"prices of losses do not know load model {model}", where=f"load {name}"
                )
            exponents = _EXPONENTS.get(model, (dss.Loads.CVRwatts(), dss.Loads.CVRvars()))
            nodes = self._nodes()
            delta = bool(dss.Loads.IsDelta())
            if delta:
                pairs = [(nodes[0], nodes[1])] if number == 1 else _ring(nodes[:number])
            else:
                pairs = [(node, nodes[number]) for node in nodes[:number]]
            base_v = 1e3 * dss.Loads.kV() / (1 if delta or number == 1 else 3**0.5)
            low, high = dss.Loads.Vminpu(), dss.Loads.Vmaxpu()
            if model == _IMPEDANCE:
                low, high = 0.0, np.inf
            for pair in pairs:
                ends.append(pair)
                rows.append((load, 1 / len(pairs), base_v, low, high, *exponents))
        table = np.array(rows, float).reshape(-1, 7)
        load, share, base_v, low, high, p, q = table.T
        lowest = np.array([self._all_loads[int(i)].VLowpu for i in load])
        nodes = np.array(ends, np.int64).reshape(-1, 2).T
        return Branches(
            load=load.astype(np.int64),
            ends=np.where(nodes < 0, len(self.nodes), nodes),
            share=share,
            base_v=base_v,
            ends_v=np.array([np.minimum(lowest, low), low, high]) * base_v,
            exponents=np.array([p, q]),
        )


def _ring(nodes: Sequence[int]) -> list[tuple[int, int]]:
    return [(nodes[i], nodes[(i + 1) % len(nodes)]) for i in range(len(nodes))]
