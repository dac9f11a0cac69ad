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
    """

    def __init__(
        self,
        engine: Any,
        position: dict[str, int],
        line_ids: tuple[str, ...],
        transformer_ids: tuple[str, ...],
    ) -> None:
        self._dss, self._ground = engine, len(position)
        lines = {f"line.{name}": i for i, name in enumerate(line_ids)}
        transformers = {f"transformer.{name}": i for i, name in enumerate(transformer_ids)}
        nodes: list[int] = []
        line: list[int] = []
        winding: list[int] = []
        self._owner_of_winding: list[int] = []
        rows: list[NDArray[np.int64]] = []
        columns: list[NDArray[np.int64]] = []
        self._elements: list[str] = []
        more = engine.Circuit.FirstPDElement()
        while more:
            element = engine.CktElement
            name = element.Name().lower()
            self._elements.append(element.Name())
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
            for _ in buses:
                winding += [len(self._owner_of_winding)] * width
                self._owner_of_winding.append(transformers.get(name, -1))
            more = engine.Circuit.NextPDElement()
        self._node, self._line = np.array(nodes), np.array(line)
        self._winding, self._owner = np.array(winding), np.array(self._owner_of_winding)
        self._counts = len(line_ids), len(transformer_ids)
        self._at = np.concatenate(rows), np.concatenate(columns)
        self.refresh()

    def refresh(self) -> None:
        """Take the admittances anew, after taps or capacitors moved."""
        values: list[Complex] = []
        for name in self._elements:
            self._dss.Circuit.SetActiveElement(name)
            parts = np.asarray(self._dss.CktElement.YPrim())
            values.append(parts[::2] + 1j * parts[1::2])
        shape = (len(self._node), self._ground + 1)
        self._y: Any = sp.csr_matrix((np.concatenate(values), self._at), shape)

    def at(self, v: Complex) -> FlowsTick:
        """Return the flows at voltages, shape (node,) [V]."""
        whole = np.append(v, 0)
        current: Complex = self._y @ whole
        power = whole[self._node] * np.conj(current) / 1e3
        windings = len(self._owner)
        terminal = np.hypot(
            np.bincount(self._winding, power.real, windings),
            np.bincount(self._winding, power.imag, windings),
        )
        lines, transformers = self._counts
        return FlowsTick(
            line_a=_largest(np.abs(current), self._line, lines),
            transformer_kva=_largest(terminal, self._owner, transformers),
            losses_kva=complex(power.sum()),
        )


def _largest(values: Floats, owner: NDArray[np.int64], count: int) -> Floats:
    """Return the largest value of each owner; -1 is nobody."""
    found = np.zeros(count + 1)
    np.maximum.at(found, owner, values)
    return found[:count]
