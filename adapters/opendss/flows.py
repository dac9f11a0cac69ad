"""Currents and powers of lines and transformers at given voltages, without the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class FlowsTick:
    """Flows at one set of voltages."""

    line_a: Floats
    """Largest current of any phase and end, shape (line,) [A]."""
    transformer_kva: Floats
    """Largest apparent power of any winding, shape (transformer,) [kVA]."""
    losses_kva: complex
    """Losses of all that has two ends, capacitors included [kW + j kvar]."""


class Flows:
    """The admittances of everything in a circuit that has ends, as the engine has them now.

    Parameters
    ----------
    engine
        Context of OpenDSS.
    position
        Position of every node by id; ground is one further.
    line_ids, transformer_ids
        What is asked for, in this order.
    moving
        Elements whose admittances controls change, as ``transformer.reg1a``.
    """

    def __init__(
        self,
        engine: Any,
        position: dict[str, int],
        line_ids: tuple[str, ...],
        transformer_ids: tuple[str, ...],
        moving: tuple[str, ...],
    ) -> None:
        self._dss, self._ground = engine, len(position)
        lines = {f"line.{name}": i for i, name in enumerate(line_ids)}
        transformers = {f"transformer.{name}": i for i, name in enumerate(transformer_ids)}
        nodes: list[int] = []
        line: list[int] = []
        phase: list[int] = []
        winding: list[int] = []
        owner_of_winding: list[int] = []
        rows: list[NDArray[np.int64]] = []
        columns: list[NDArray[np.int64]] = []
        values: list[Complex] = []
        self._moving: list[tuple[str, slice]] = []
        first = 0
        more = engine.Circuit.FirstPDElement()
        while more:
            element = engine.CktElement
            name = element.Name().lower()
            values.append(self._admittance())
            if name in moving:
                self._moving.append((element.Name(), slice(first, first + len(values[-1]))))
            first += len(values[-1])
            buses = [bus.lower().split(".")[0] for bus in element.BusNames()]
            width = element.NumConductors()
            own = [
                position[f"{buses[i // width]}.{k}"] if k else self._ground
                for i, k in enumerate(element.NodeOrder())
            ]
            conductors = len(nodes) + np.arange(len(own))
            rows.append(np.tile(conductors, len(own)))
            columns.append(np.repeat(np.array(own), len(own)))
            nodes += own
            line += [lines.get(name, -1)] * len(own)
            phase += [i % width for i in range(len(own))]
            for _ in buses:
                winding += [len(owner_of_winding)] * width
                owner_of_winding.append(transformers.get(name, -1))
            more = engine.Circuit.NextPDElement()
        self.node, self.line = np.array(nodes), np.array(line)
        """Node that each conductor begins at, and its line, -1 where it is of none."""
        self.phase = np.array(phase)
        """Position of each conductor within its end."""
        self._winding = np.array(winding)
        self.transformer = np.array(owner_of_winding)
        """Transformer of each winding, -1 where it is of none."""
        self._counts = len(line_ids), len(transformer_ids)
        self._at = np.concatenate(rows), np.concatenate(columns)
        shape = (len(self.node), self._ground + 1)
        ones = np.ones(len(self.node))
        self._begins: Any = sp.csr_array((ones, (np.arange(len(ones)), self.node)), shape)
        self._values = np.concatenate(values)
        self.refresh()

    def refresh(self) -> None:
        """Take the admittances anew, after taps or capacitors moved."""
        for name, where in self._moving:
            self._dss.Circuit.SetActiveElement(name)
            self._values[where] = self._admittance()
        shape = (len(self.node), self._ground + 1)
        self._y: Any = sp.csr_array((self._values, self._at), shape)

    def at(self, v: Complex) -> FlowsTick:
        """Return the flows at voltages, shape (node,) [V]."""
        current, power = self.conductors(v)
        lines, transformers = self._counts
        return FlowsTick(
            line_a=_largest(np.abs(current), self.line, lines),
            transformer_kva=_largest(self.winding_kva(power), self.transformer, transformers),
            losses_kva=complex(power.sum()),
        )

    def conductors(self, v: Complex) -> tuple[Complex, Complex]:
        """Return what flows into every conductor of every end.

        Parameters
        ----------
        v
            Voltages, shape (node,) [V].

        Returns
        -------
        current
            Shape (conductor,) [A].
        power
            Shape (conductor,) [kVA].
        """
        whole = np.append(v, 0)
        current: Complex = self._y @ whole
        power: Any = whole[self.node] * np.conj(current) / 1e3
        return current, power

    def winding_kva(self, power: Complex) -> Floats:
        """Return the apparent power of every winding, shape (winding,), see `conductors` [kVA]."""
        summed = self.winding_power(power)
        return np.hypot(summed.real, summed.imag)

    def current_gradients(self, v: Complex, conductors: NDArray[np.int64]) -> Floats:
        """How currents of conductors change with the voltages.

        Parameters
        ----------
        v
            Voltages, shape (node,) [V].
        conductors
            Which of them, shape (figure,).

        Returns
        -------
        Floats
            Derivatives of their magnitudes by the real, then the imaginary parts, shape
            (figure, 2 node) [A/V].
        """
        if not len(conductors):
            return np.zeros((0, 2 * self._ground))
        y = self._y[conductors]
        return self._parts(sp.diags_array(_turned(y @ np.append(v, 0))) @ y)

    def power_gradients(self, v: Complex, windings: NDArray[np.int64]) -> Floats:
        """How apparent powers of windings change with the voltages, as `current_gradients` [kVA/V].

        With the power s = sum of V conj(I) over its conductors and a = conj(s) / abs(s), the change
        of abs(s) is the real part of the sum of a conj(I) dV + conj(a V) dI.
        """
        if not len(windings):
            return np.zeros((0, 2 * self._ground))
        whole = np.append(v, 0)
        current, power = self.conductors(v)
        turn = _turned(self.winding_power(power))
        of = self._winding
        at: Any = (of, np.arange(len(of)))
        shape = (len(self.transformer), len(of))
        own = sp.csr_array((turn[of] * np.conj(current), at), shape)[windings]
        other = sp.csr_array((np.conj(turn[of] * whole[self.node]), at), shape)[windings]
        return self._parts(own @ self._begins + other @ self._y) / 1e3

    def current_changes(self, moved: Complex, conductors: NDArray[np.int64]) -> Complex:
        """How currents of conductors move with the voltages.

        Parameters
        ----------
        moved
            Changes of the voltages, shape (node, way) [V].
        conductors
            Which of them, shape (figure,).

        Returns
        -------
        Complex
            Shape (figure, way) [A].
        """
        changes: Complex = self._y[conductors][:, : self._ground] @ moved
        return changes

    def power_changes(self, v: Complex, moved: Complex, windings: NDArray[np.int64]) -> Complex:
        """How powers of windings move with the voltages, as `current_changes` [kVA]."""
        if not len(windings):
            return np.zeros((0, moved.shape[1]), np.complex128)
        whole = np.append(v, 0)
        current = self._y @ whole
        inside = np.flatnonzero(np.isin(self._winding, windings))
        own = np.vstack([moved, np.zeros((1, moved.shape[1]))])[self.node[inside]]
        changes = own * np.conj(current[inside])[:, None]
        changes += whole[self.node[inside]][:, None] * np.conj(self.current_changes(moved, inside))
        summed = np.zeros((len(self.transformer), moved.shape[1]), np.complex128)
        np.add.at(summed, self._winding[inside], changes)
        return summed[windings] / 1e3

    def _admittance(self) -> Complex:
        """Admittance matrix of the active element, by columns [S]."""
        parts = np.asarray(self._dss.CktElement.YPrim())
        return parts[::2] + 1j * parts[1::2]

    def winding_power(self, power: Complex) -> Complex:
        """Return the power of every winding, shape (winding,), see `conductors` [kVA]."""
        summed = np.zeros(len(self.transformer), np.complex128)
        np.add.at(summed, self._winding, power)
        return summed

    def _parts(self, weight: Any) -> Floats:
        """Return derivatives by real and imaginary parts from factors of complex changes."""
        dense: Complex = weight.toarray()[:, : self._ground]
        return np.hstack([dense.real, -dense.imag])


def _turned(values: Complex) -> Complex:
    """Return what turns each value onto the real axis."""
    turned: Complex = np.conj(values)
    return turned / np.maximum(np.abs(values), 1e-12)


def _largest(values: Floats, owner: NDArray[np.int64], count: int) -> Floats:
    """Return the largest value of each owner; -1 is nobody."""
    found = np.zeros(count + 1)
    np.maximum.at(found, owner, values)
    return found[:count]
