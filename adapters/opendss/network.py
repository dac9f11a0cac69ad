"""A solved circuit with taps and capacitors held: solved anew, and what a little more load changes.

All of it is arithmetic with the engine's matrix; the engine itself is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray

from adapters.opendss.held import Held
from adapters.opendss.load_models import Branches, admittance
from adapters.opendss.pattern import Pattern

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]

_TOLERANCE = 1e-11
"""Largest change of a voltage, over the voltage, at which a solution is one."""
_ROUNDING = 1e-7
"""Below this a change that no longer shrinks is rounding, as where a delta floats."""
_MOST_STEPS, _MOST_LAZY_STEPS = 30, 6
"""Steps of Newton's method in all, and with the factors that are at hand."""


@dataclass(frozen=True, eq=False)
class Network:
    """A circuit as one solution of the engine left it; generators draw what they did there."""

    v: Complex
    """Voltages of that solution, shape (node,) [V]."""
    passive: Complex
    """Entries of the engine's matrix, which holds loads and generators as impedances [S]."""
    pattern: Pattern
    """Where they stand."""
    branches: Branches
    """Where loads and generators are."""
    power: Complex
    """What they drew at their rated voltages, shape (branch,) [VA]."""
    rated: Complex
    """Their admittances in the engine's matrix, shape (branch,) [S]."""
    source_nodes: NDArray[np.int64]
    """Nodes of the source."""
    source_y: Complex
    """Admittance of the source [S]."""

    @cached_property
    def _injected(self) -> Complex:
        """Current that the stiff source behind its admittance gives to its nodes [A]."""
        # The engine's last step solves these rows exactly: no load stands there.
        return self.missed(self.v, self.power)[0][self.source_nodes]

    def missed(self, v: Complex, power: Complex) -> tuple[Complex, float]:
        """Return what the nodal equations miss without the current of the source.

        Parameters
        ----------
        v
            Voltages, shape (node,) [V].
        power
            What loads draw at their rated voltages, shape (branch,) [VA].

        Returns
        -------
        missed
            Shape (node,) [A].
        most_a
            Largest current of a load [A].
        """
        b, whole = self.branches, np.append(v, 0)
        u = whole[b.ends[0]] - whole[b.ends[1]]
        current = admittance(power, np.abs(u), b)[0] * u
        more = current - self.rated * u
        missed = self.pattern.times(self.passive, whole) + gathered(more, b.ends, len(v))
        return missed, float(np.abs(current).max(initial=1.0))

    def linearised(
        self, v: Complex, power: Complex, source: Complex | None = None
    ) -> Linearisation:
        """Return the equations about voltages.

        Parameters
        ----------
        v
            Voltages, shape (node,) [V].
        power
            What loads draw at their rated voltages, shape (branch,) [VA].
        source
            Current that the source takes at its nodes, from the voltages if left out [A].
        """
        b, whole = self.branches, np.append(v, 0)
        u = whole[b.ends[0]] - whole[b.ends[1]]
        size_v = np.abs(u)
        y, slope = admittance(power, size_v, b)
        half = 0.5 * slope
        same = y + half * size_v - self.rated
        matrix = self.pattern.matrix(self.passive, same, half * u**2 / size_v)
        # Fill-in is least with the order of a symmetric pattern, which this nearly has.
        factors = sla.splu(matrix, permc_spec="MMD_AT_PLUS_A")
        return Linearisation(v, factors, self._head_gradient(v, source))

    def head_kw(self, v: Complex) -> float:
        """Return the power that the source gives at voltages, shape (node,) [kW]."""
        at = v[self.source_nodes]
        return -float((at @ np.conj(self._source(v))).real) / 1e3

    def near(self, about: Linearisation, power: Complex) -> Linearisation:
        """Return where one step of Newton's method leads, with the derivatives of the start."""
        v = about.v + about.respond(self._off(about.v, power))
        return about.shifted(v, self._head_gradient(v))

    def solved(self, about: Linearisation, power: Complex) -> Linearisation | None:
        """Solve the circuit by Newton's method.

        Parameters
        ----------
        about
            Where to start.
        power
            What loads draw at their rated voltages, shape (branch,) [VA].

        Returns
        -------
        Linearisation or None
            About the solution; None where the steps do not come to one.
        """
        v, lazy, last = about.v, 0, np.inf
        for _ in range(_MOST_STEPS):
            step = about.respond(self._off(v, power))
            size = float((np.abs(step) / np.maximum(np.abs(v), 1e-9)).max())
            v = v + step
            if not size < 1:
                return None
            if size <= _TOLERANCE or last / 2 < size <= _ROUNDING:
                return self.linearised(v, power)
            lazy, last = lazy + 1, size
            if lazy == _MOST_LAZY_STEPS:
                about, lazy = self.linearised(v, power), 0
        return None

    def _off(self, v: Complex, power: Complex) -> Complex:
        """Return what the nodal equations miss, shape (node,) [A]."""
        missed, _ = self.missed(v, power)
        missed[self.source_nodes] -= self._injected
        return missed

    def _source(self, v: Complex) -> Complex:
        """Return the current that the source takes at its nodes [A]."""
        return self.source_y @ v[self.source_nodes] - self._injected

    def _head_gradient(self, v: Complex, source: Complex | None = None) -> Floats:
        """How the power that the source gives changes with all voltages [W/V], real parts first."""
        nodes, count = self.source_nodes, 2 * len(v)
        current = self._source(v) if source is None else source
        weight = np.conj(current) + self.source_y.T @ np.conj(v[nodes])
        at = np.concatenate([nodes, nodes + len(v)])
        parts = np.concatenate([-weight.real, weight.imag])
        return np.bincount(at, parts, count).astype(np.float64)


class Linearisation:
    """The equations about one solution.

    Parameters
    ----------
    v
        Voltages of the nodes, shape (node,) [V].
    factors
        Factors of the real matrix of the equations.
    head_gradient
        How the power that the source gives changes with the voltages [W/V].
    """

    def __init__(self, v: Complex, factors: Any, head_gradient: Floats) -> None:
        self.v = v
        """Voltages of the nodes, shape (node,) [V]."""
        self._factors, self.head_gradient = factors, head_gradient
        """How the power that the source gives changes with the voltages [W/V]."""

    def shifted(self, v: Complex, head_gradient: Floats) -> Linearisation:
        """Return the same derivatives at other voltages near."""
        return Linearisation(v, self._factors, head_gradient)

    def holding(self, per_unit: Floats, figure: Floats) -> Linearisation:
        """Return the equations with more unknowns that hold figures; see `Held`."""
        factors = Held(self._factors, per_unit, figure)
        return Linearisation(self.v, factors, self.head_gradient)

    def respond(self, current: Complex) -> Complex:
        """Return by how much voltages change where more current is drawn, shape (node,) [V].

        Parameters
        ----------
        current
            Drawn more from each node at the present voltages, shape (node,) [A].
        """
        parts = self._factors.solve(-np.concatenate([current.real, current.imag]))
        count = len(self.v)
        return parts[:count] + 1j * parts[count:]

    def head_per_load(
        self, tan_phi: float | Floats, ends: NDArray[np.int64] | None = None
    ) -> Floats:
        """Power at the head of the feeder per power drawn, see `per_load` [1]."""
        return self.per_load(self.head_gradient, tan_phi, ends)

    def per_load(
        self, gradient: Floats, tan_phi: float | Floats, ends: NDArray[np.int64] | None = None
    ) -> Floats:
        """Change of a figure per watt drawn, shape (draw,).

        Parameters
        ----------
        gradient
            Its derivatives by the real, then the imaginary parts of the voltages, shape (2 node,);
            of many figures shape (figure, 2 node), and the result has shape (figure, draw).
        tan_phi
            Reactive over active power of what is drawn, one for all or shape (draw,).
        ends
            Nodes between which it is drawn, the number of nodes for ground, shape (2, draw); from
            each node to ground if left out.
        """
        across = self._across(gradient, ends)
        return _per_power(across, (1 + 1j * tan_phi) / self._v_across(ends))

    def per_power(
        self, gradient: Floats, ends: NDArray[np.int64] | None = None
    ) -> tuple[Floats, Floats]:
        """Change of figures per watt, and per var, drawn; see `per_load`."""
        across, v = self._across(gradient, ends), self._v_across(ends)
        return _per_power(across, 1 / v), _per_power(across, 1j / v)

    def moved(self, drawn: Complex, ends: NDArray[np.int64]) -> Complex:
        """Return by how much voltages change where more power is drawn.

        Parameters
        ----------
        drawn
            Complex power drawn in each way, shape (draw, way) [VA].
        ends
            Nodes between which it is drawn, see `per_load`.

        Returns
        -------
        Complex
            Shape (node, way) [V].
        """
        count = len(self.v)
        each: Complex = np.conj(drawn / self._v_across(ends)[:, None])
        current = np.zeros((count + 1, drawn.shape[1]), np.complex128)
        np.add.at(current, ends[0], each)
        np.subtract.at(current, ends[1], each)
        parts = self._factors.solve(-np.vstack([current[:count].real, current[:count].imag]))
        return parts[:count] + 1j * parts[count:]

    def bend(
        self, gradient: Floats, drawn: Complex, ends: NDArray[np.int64], moved: Complex
    ) -> Floats:
        """Return how a figure bends with what is drawn, by the voltages at which it is drawn.

        What own loads do about their voltages is left out, which is far less.

        Parameters
        ----------
        gradient
            Derivatives of the figure by the voltages, see `per_load`.
        drawn, ends, moved
            What is drawn in each way, where, and how it moves the voltages; see `moved`.

        Returns
        -------
        Floats
            Its second derivatives, symmetric, shape (way, way).
        """
        weight = self._across(gradient, ends) / self._v_across(ends) ** 2
        whole = np.vstack([moved, np.zeros((1, moved.shape[1]))])
        # Each way draws at few places; as a product of full matrices it would be threads that wait.
        drawing: Any = sp.csr_array((drawn * weight[:, None]).T)
        half: Floats = (drawing @ (whole[ends[0]] - whole[ends[1]])).real
        return half + half.T

    def _adjoint(self, gradient: Floats) -> Floats:
        return self._factors.solve(gradient.T, trans="T").T

    def _across(self, gradient: Floats, ends: NDArray[np.int64] | None) -> Complex:
        """Adjoint solutions, real and imaginary parts of the currents, shape (..., draw)."""
        count, adjoint = len(self.v), self._adjoint(gradient)
        real, imaginary = adjoint[..., :count], adjoint[..., count:]
        if ends is not None:
            one, other = ends
            ground = np.zeros((*adjoint.shape[:-1], 1))
            real, imaginary = np.append(real, ground, -1), np.append(imaginary, ground, -1)
            real = real[..., one] - real[..., other]
            imaginary = imaginary[..., one] - imaginary[..., other]
        return real + 1j * imaginary

    def _v_across(self, ends: NDArray[np.int64] | None) -> Complex:
        if ends is None:
            return self.v
        v = np.append(self.v, 0)
        return v[ends[0]] - v[ends[1]]


def _per_power(adjoint: Complex, per_volt: Complex) -> Floats:
    current: Complex = np.conj(per_volt)
    return -(adjoint.real * current.real + adjoint.imag * current.imag)


def gathered(current: Complex, ends: NDArray[np.int64], count: int) -> Complex:
    """Return what branches draw from each node, shape (node,)."""
    at = ends.ravel()
    signed: Complex = np.concatenate([current, -current])
    real = np.bincount(at, signed.real, count + 1)
    return (real + 1j * np.bincount(at, signed.imag, count + 1))[:count]
