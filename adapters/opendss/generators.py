"""What gives power in a circuit beside its source: generators, PV systems and storage.

All are loads that draw what they were read to draw at the solution: what their own dispatch and
controls made of them is held, as taps are. Within its window of voltages each follows its model,
outside it is the impedance that continues it. A generator of model 3 holds the mean of its voltages
instead, with whatever reactive power that takes, unless it is at the end of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.load_models import Branches
from cosim.errors import PowerFlowError

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

CLASSES = ("Generator", "PVSystem", "Storage")
"""Their classes in OpenDSS."""
_EXPONENTS = {1: (0.0, 0.0), 2: (2.0, 2.0), 3: (0.0, 0.0), 5: (0.0, 2.0)}
"""Exponents of active and reactive power by the model."""
_KNOWN = {"Generator": (1, 2, 3, 5), "PVSystem": (1, 2), "Storage": (1, 2)}
_IMPEDANCE, _HOLDS_VOLTAGE = 2, 3
_AT_END = 1e-6
"""How near to the end of its reactive power a generator is at it, over its span."""
_DECLARED = 1e-3
"""How far what a generator gives may be from what it is said to give, over that."""


class Generators:
    """The generators of one circuit.

    Parameters
    ----------
    engine
        The context of OpenDSS that holds the circuit.
    nodes
        Returns the positions of the nodes of the engine's active element, -1 for ground.
    count
        Number of nodes of the equations.

    Raises
    ------
    PowerFlowError
        One follows a model that the equations do not know.
    """

    def __init__(self, engine: Any, nodes: Callable[[], list[int]], count: int) -> None:
        self._dss, self._nodes, self._ground = engine, nodes, count
        self._rows = [kind[i] for kind, which in _enabled(engine) for i in which]
        self._names = [str(row.FullName()) for row in self._rows]
        parts = [self._branches(i, row) for i, row in enumerate(self._rows)]
        self.branches = Branches.joined(parts)
        """Where they are connected; `load` is their own number."""
        self._batches = [kind.batch(idx=np.array(which)) for kind, which in _enabled(engine)]
        self._entry = self._entries()
        self._holds: NDArray[np.int64] = np.flatnonzero(
            [int(row.Model) == _HOLDS_VOLTAGE for row in self._rows]
        )
        self.holding_names = tuple(self._names[i] for i in self._holds)
        """Those that may hold a voltage."""

    def __len__(self) -> int:
        return len(self._rows)

    def drawn(self, v: Complex) -> tuple[Complex, Complex]:
        """Return what they are at the engine's solution.

        Parameters
        ----------
        v
            Voltages of the nodes, and 0 for ground, shape (node + 1,) [V].

        Returns
        -------
        power
            Drawn by each branch at its rated voltage, shape (branch,) [VA].
        engine_y
            Admittance of each branch in the engine's matrix, shape (branch,) [S].
        """
        b = self.branches
        if not self._rows:
            return np.zeros(0, np.complex128), np.zeros(0, np.complex128)
        drawn_kva: list[Complex] = [batch.TotalPowers() for batch in self._batches]
        total = 1e3 * np.concatenate(drawn_kva)
        engine_y: Complex = -self._matrices()[self._entry]
        u = np.abs(v[b.ends[0]] - v[b.ends[1]])
        held = np.clip(u, b.ends_v[1], b.ends_v[2])
        # What each branch draws over its power at its rated voltage, active and reactive.
        over = (held / b.base_v) ** b.exponents * (u / held) ** 2
        active, reactive = (np.bincount(b.load, b.share * row, len(self)) for row in over)
        power: Complex = (total.real / active).astype(np.complex128)
        power += 1j * total.imag / reactive
        return power[b.load] * b.share, engine_y

    def require_declared(self, v: Complex) -> None:
        """Refuse who does not give what it is said to at the engine's solution.

        OpenDSS takes ``kv`` for that of three phases where it stands before ``phases``. What is
        far above its window by that mistake, and an impedance, would count as of constant power.

        Parameters
        ----------
        v
            See `drawn`.
        """
        found_kw = np.bincount(self.branches.load, self.drawn(v)[0].real / 1e3, len(self))
        for row, kw in zip(self._rows, found_kw.tolist(), strict=True):
            if type(row).__name__ == "PVSystem":
                continue
            scale = self._dss.Solution.GenMult() if type(row).__name__ == "Generator" else 1.0
            said_kw = scale * float(row.kW)
            if abs(kw + said_kw) > _DECLARED * max(abs(said_kw), 1.0):
                what = f"why it gives {-kw:.4g} kW at its rated voltage and not {said_kw:.4g}"
                raise _unknown(row, what)

    def holding(self, v: Complex, power: Complex) -> Iterator[tuple[Complex, Complex]]:
        """Yield for each generator that holds a voltage now what that means.

        Parameters
        ----------
        v, power
            See `drawn`.

        Yields
        ------
        per_var
            Current that its branches draw more for each var drawn, shape (branch,) [A/var].
        turned
            The change of the voltage that it holds is the real part of the sum of this times the
            changes of the voltages of its branches, shape (branch,) [1].
        """
        b = self.branches
        for i in self._holds.tolist():
            row, mine = self._rows[i], b.load == i
            given_kvar = -float(power[mine].imag.sum()) / 1e3
            low, high = float(row.Minkvar), float(row.Maxkvar)
            if min(given_kvar - low, high - given_kvar) <= _AT_END * (high - low):
                continue
            u = v[b.ends[0]] - v[b.ends[1]]
            share = np.where(mine, b.share, 0.0)
            back: Complex = np.conj(u)
            yield share * (-1j / back), share * back / np.abs(u)

    def _branches(self, number: int, row: Any) -> Branches:
        kind, model = type(row).__name__, int(row.Model)
        if model not in _KNOWN[kind]:
            raise _unknown(row, f"model {model} of {kind}")
        for field in ("Balanced", "LimitCurrent", "ControlMode"):
            if getattr(row, field, False):
                raise _unknown(row, f"{field} of {kind}")
        self._dss.Circuit.SetActiveElement(row.FullName())
        nodes = np.array(self._nodes(), np.int64)
        pairs = self._pairs(row)
        phases, delta = int(row.Phases), bool(row.Conn)
        base_v = 1e3 * float(row.kV) / (1 if delta or phases == 1 else 3**0.5)
        low, high = float(row.VMinpu), float(row.VMaxpu)
        if model in (_IMPEDANCE, _HOLDS_VOLTAGE):
            low, high = 0.0, np.inf
        count = len(pairs)
        return Branches(
            load=np.full(count, number, np.int64),
            ends=np.where(nodes < 0, self._ground, nodes)[pairs.T],
            share=np.full(count, 1 / count),
            base_v=np.full(count, base_v),
            # No linear part: below the window it is an impedance.
            ends_v=np.tile(np.array([[0.0], [low], [high]]) * base_v, count),
            exponents=np.tile(np.array(_EXPONENTS[model])[:, None], count),
        )

    def _matrices(self) -> Complex:
        """Return the matrices of all in the engine, one after the other, each by columns [S]."""
        found: list[NDArray[np.float64]] = []
        for name in self._names:
            self._dss.Circuit.SetActiveElement(name)
            found.append(np.asarray(self._dss.CktElement.YPrim()))
        parts = np.concatenate(found)
        return parts[::2] + 1j * parts[1::2]

    def _entries(self) -> NDArray[np.int64]:
        """Return the place of each branch's two conductors in `_matrices`, shape (branch,)."""
        places: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        first = 0
        for row in self._rows:
            size = int(row.NumConductors())
            one, other = self._pairs(row).T
            places.append(first + one + other * size)
            first += size * size
        return np.concatenate(places)

    def _pairs(self, row: Any) -> NDArray[np.int64]:
        """Return the conductors of each branch, shape (branch, 2)."""
        phases = int(row.Phases)
        one = np.arange(phases)
        if not bool(row.Conn):
            return np.array([one, np.full(phases, phases)]).T
        return np.array([[0, 1]]) if phases == 1 else np.array([one, (one + 1) % phases]).T


def _enabled(engine: Any) -> Iterator[tuple[Any, list[int]]]:
    """Yield every class that has any, and which of them are switched on."""
    every = engine.to_altdss()
    for name in CLASSES:
        kind = getattr(every, name)
        which = [i for i, row in enumerate(kind) if row.Enabled]
        if which:
            yield kind, which


def _unknown(row: Any, what: str) -> PowerFlowError:
    return PowerFlowError(f"prices of losses do not know {what}", where=str(row.FullName()))
