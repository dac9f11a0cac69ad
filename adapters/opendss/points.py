"""Power flows of one feeder with chargers at any power, and what a little more of it changes.

The chargers of a connection take reactive power with active power of either sign. What anything
changes by is therefore given by power x and by its size abs(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from adapters.opendss.commands import WINDOW_PU
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import Watched
from adapters.opendss.marginal import charger_ends
from adapters.opendss.network import Linearisation, gathered
from adapters.opendss.offers import Bids
from cosim.errors import ClearingError

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.int64]

_HALVINGS = 12
"""How often a step is halved until the power flow has a solution."""


class Chargers:
    """Where the chargers of a feeder draw.

    Parameters
    ----------
    feeder
        A feeder whose nodal equations are known.
    """

    def __init__(self, feeder: Feeder) -> None:
        phases = feeder.service.phases
        self.buses = feeder.equations.at(feeder.bus_ids)
        """Where each of the feeder's `bus_ids` is among the nodes of the equations."""
        self.owner, self.ends = charger_ends(
            self.buses, feeder.charger_node, feeder.charger_of, phases
        )
        """Connection of each branch that they draw in, shape (branch,), and the nodes it is
        between, the number of nodes for ground, shape (2, branch)."""
        self.node = self.buses[feeder.charger_node]
        """Nodes of all of them, shape (charger node,), and their connections:"""
        self.node_owner = feeder.charger_of
        self.branches = np.bincount(self.owner, minlength=len(phases))
        """Of each connection, shape (connection,)."""
        shape = (len(self.owner), len(phases))
        share = 1 / self.branches[self.owner]
        self._mean: Any = sp.csr_array((share, (np.arange(len(self.owner)), self.owner)), shape)

    def mean(self, of_branches: Floats) -> Floats:
        """Return the mean over the branches of each connection, from shape (..., branch)."""
        return of_branches @ self._mean


@dataclass(frozen=True, eq=False)
class Changes:
    """What figures change by with the power of connections, shape (..., connection) [1/kW]."""

    per_kw: Floats
    """With the power x, without its reactive power."""
    per_size: Floats
    """With abs(x), by its reactive power."""

    def leaning(self, lean: Floats) -> Floats:
        """Return what they change by with x, where abs(x) changes by `lean` of it."""
        return self.per_kw + lean * self.per_size

    def stacked(self, more: Changes, order: Indices) -> Changes:
        """Return figures and more of them, in an order."""
        per_kw = np.vstack([self.per_kw, more.per_kw])[order]
        return Changes(per_kw, np.vstack([self.per_size, more.per_size])[order])


@dataclass(frozen=True, eq=False)
class Point:
    """A power flow, and what follows from it."""

    power_kw: Floats
    """Of the connections, shape (connection,)."""
    solved: bool
    """Whether it is a solution, or what the last one of the engine predicts."""
    about: Linearisation
    levels: Floats
    """Of all limits, shape (limit,)."""
    known: dict[int, Floats]
    """Gradients of levels by the voltages that were asked for so far, by their positions."""
    head: Changes
    """Of the power at the head."""


class Points:
    """Power flows of one interval, taps and capacitors as the engine's last solution left them.

    Parameters
    ----------
    feeder
        The feeder, solved.
    chargers
        Where its chargers are.
    watched
        Its limits.
    load_scale
        Factor on its published loads [1].
    bids
        What its chargers can do.
    """

    def __init__(
        self, feeder: Feeder, chargers: Chargers, watched: Watched, load_scale: float, bids: Bids
    ) -> None:
        self._feeder, self._chargers, self._watched = feeder, chargers, watched
        self._scale, self._bids = load_scale, bids
        self._network = feeder.equations.network()
        watched.refresh()

    def start(self) -> Point:
        """Return what the last solution predicts for as much of its power as is offered."""
        last_kw = self._feeder.equations.loads()[0][-len(self._chargers.branches) :]
        power_kw = np.clip(last_kw, self._bids.least_kw, self._bids.largest_kw)
        near = self._network.near(self._feeder.about, self._loads(power_kw))
        return self._point(power_kw, near, solved=False)

    def next(self, last: Point, power_kw: Floats) -> Point:
        """Solve the power flow at a power, or as near to it as it has a solution.

        Parameters
        ----------
        last
            Where the power comes from.
        power_kw
            Of the connections, shape (connection,).

        Raises
        ------
        ClearingError
            There is no solution near.
        """
        safe_kw = last.power_kw if last.solved else np.zeros_like(power_kw)
        for _ in range(_HALVINGS):
            about = self._network.solved(last.about, self._loads(power_kw))
            if about is not None:
                voltage_pu = self._watched.voltage_pu(about.v)
                if WINDOW_PU[0] < voltage_pu.min() and voltage_pu.max() < WINDOW_PU[1]:
                    return self._point(power_kw, about, solved=True)
            power_kw = (power_kw + safe_kw) / 2
        raise ClearingError("the power flow has no solution near to what offers would take")

    def head_kw(self, point: Point) -> float:
        """Return the power at the head of the feeder."""
        return self._network.head_kw(point.about.v)

    def levels(self, point: Point, power_kw: Floats) -> Floats:
        """Return what levels would be at another power, by the derivatives, shape (limit,)."""
        chargers, v = self._chargers, point.about.v
        more_kva = power_kw - point.power_kw + 0j
        more_kva += 1j * self._feeder.tan_phi * (np.abs(power_kw) - np.abs(point.power_kw))
        if not more_kva.any():
            return point.levels
        whole, (one, other) = np.append(v, 0), chargers.ends
        each = 1e3 * (more_kva / chargers.branches)[chargers.owner]
        each = np.conj(each / (whole[one] - whole[other]))
        current = gathered(each, chargers.ends, len(v))
        return self._watched.levels(v + point.about.respond(current))

    def changes(self, point: Point, which: Indices) -> Changes:
        """Return how some levels change, shape (which, connection)."""
        if not len(which):
            nothing = np.zeros((0, len(point.power_kw)))
            return Changes(nothing, nothing)
        per_w, per_var = point.about.per_power(self._gradients(point, which), self._chargers.ends)
        return self._changes(1e3 * per_w, 1e3 * per_var)

    def curvature(
        self, point: Point, price: float, worth: Floats, which: Indices, lean: Floats, at: Indices
    ) -> Floats:
        """Return how the cost of power at the head and of levels bends with the power drawn.

        Parameters
        ----------
        point
            Where.
        price, worth
            Of power at the head, and of each level, shape (which,).
        which
            Positions of the levels.
        lean
            How much abs(x) changes with x, shape (connection,).
        at
            Connections, shape (m,).

        Returns
        -------
        Floats
            Positive semidefinite, shape (m, m).
        """
        chargers = self._chargers
        gradient = price * point.about.head_gradient
        if worth.any():
            gradient += 1e3 * worth @ self._gradients(point, which)
        column = np.full(len(chargers.branches), -1)
        column[at] = np.arange(len(at))
        inside = np.flatnonzero(column[chargers.owner] >= 0)
        owner, ends = chargers.owner[inside], chargers.ends[:, inside]
        drawn = np.zeros((len(inside), len(at)), np.complex128)
        share = (1 + 1j * self._feeder.tan_phi * lean[owner]) / chargers.branches[owner]
        drawn[np.arange(len(inside)), column[owner]] = share
        moved = point.about.moved(drawn, ends)
        bend = 1e3 * point.about.bend(gradient, drawn, ends, moved)
        if worth.any():
            aside, rise = self._watched.aside(point.about.v, which, 1e3 * moved)
            bend += (aside.T * (worth * rise)) @ aside
        return _convex(bend)

    def at_buses(
        self, point: Point, weights: Floats, which: Indices, lean: Floats
    ) -> tuple[Floats, Floats]:
        """Return how power at the head and sums of levels change with what is drawn at each node.

        Parameters
        ----------
        point
            Where.
        weights
            Of each level in each sum, shape (sum, which).
        which
            Positions of the levels.
        lean
            How much abs(x) changes with x at each connection.

        Returns
        -------
        head
            In the order of the feeder's `bus_ids`, shape (node,) [1].
        sums
            Shape (sum, node) [1/kW].
        """
        chargers, tan_phi = self._chargers, np.full(len(point.about.v), self._feeder.tan_phi)
        tan_phi[chargers.node] *= lean[chargers.node_owner]
        head = point.about.head_per_load(tan_phi)[chargers.buses]
        if not weights.any():
            return head, np.zeros((len(weights), len(head)))
        gradients = weights @ self._gradients(point, which)
        return head, 1e3 * point.about.per_load(gradients, tan_phi)[:, chargers.buses]

    def _gradients(self, point: Point, which: Indices) -> Floats:
        """Return derivatives of some levels by the voltages, see `Watched.gradients`."""
        known, asked = point.known, which.tolist()
        more = np.array([k for k in asked if k not in known], np.int64)
        if len(more):
            rows = self._watched.gradients(point.about.v, more)
            known.update(zip(more.tolist(), rows, strict=True))
        return np.array([known[k] for k in asked]).reshape(len(asked), -1)

    def _loads(self, power_kw: Floats) -> Complex:
        """Power of all branches at their rated voltage with a power of the connections [VA]."""
        layout, tan_phi = self._feeder.layout, self._feeder.tan_phi
        kw = np.append(layout.load_kw * self._scale, power_kw)
        kvar = np.append(layout.load_kvar * self._scale, np.abs(power_kw) * tan_phi)
        return self._feeder.equations.power(kw, kvar)

    def _point(self, power_kw: Floats, about: Linearisation, solved: bool) -> Point:
        head = self._changes(*about.per_power(about.head_gradient, self._chargers.ends))
        return Point(power_kw, solved, about, self._watched.levels(about.v), {}, head)

    def _changes(self, per_active: Floats, per_reactive: Floats) -> Changes:
        mean = self._chargers.mean
        return Changes(mean(per_active), self._feeder.tan_phi * mean(per_reactive))


def _convex(matrix: Floats) -> Floats:
    """Return the nearest matrix that is positive semidefinite."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        size, ways = np.linalg.eigh(matrix)
        return (ways * np.maximum(size, 0)) @ ways.T
    return matrix
