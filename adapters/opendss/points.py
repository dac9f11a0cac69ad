"""Power flows of one feeder with chargers at any power, and what a little more of it changes.

The chargers of a connection take reactive power with active power of either sign. Where some offer
to draw and others to feed back, this has a kink at no power, which is rounded within `ROUNDED_KW`;
where all are of one sign it is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from adapters.opendss.commands import WINDOW_PU
from adapters.opendss.feeder import Feeder
from adapters.opendss.held import Linearisation
from adapters.opendss.limits import Watched
from adapters.opendss.offers import Bids
from cosim.errors import ClearingError

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.int64]

ROUNDED_KW = 0.1
"""Power around 0 within which reactive power is rounded, where a connection could go either way."""
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
        self.buses = feeder.equations.at(feeder.bus_ids)
        """Where each of the feeder's `bus_ids` is among the nodes of the equations."""
        self.node = self.buses[feeder.charger_node]
        """Node of the equations for each of the feeder's `charger_node`, with its connection:"""
        self.owner = feeder.charger_of
        self.phases = np.bincount(self.owner, minlength=len(feeder.service))
        """Of each connection, shape (connection,)."""
        shape = (len(self.owner), len(feeder.service))
        share = 1 / self.phases[self.owner]
        self._mean: Any = sp.csr_array((share, (np.arange(len(self.owner)), self.owner)), shape)

    def mean(self, of_nodes: Floats) -> Floats:
        """Return the mean over the phases of each connection, from shape (..., node)."""
        return of_nodes[..., self.node] @ self._mean


@dataclass(frozen=True, eq=False)
class Point:
    """A power flow, and what follows from it."""

    power_kw: Floats
    """Of the connections, shape (connection,)."""
    solved: bool
    """Whether it is a solution, or what the last one of the engine predicts."""
    about: Linearisation
    tan_phi: Floats
    """Reactive over active power of what is drawn more, shape (node,)."""
    levels: Floats
    """Of all limits, shape (limit,)."""
    head: Floats
    """Power at the head per power drawn at each node, shape (node,)."""
    head_per_kw: Floats
    """The same for each connection, all phases alike, shape (connection,)."""


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
        self._held = feeder.equations.held()
        watched.refresh()

    def start(self) -> Point:
        """Return what the last solution predicts for as much of its power as is offered."""
        last_kw = self._feeder.equations.loads()[0][-len(self._chargers.phases) :]
        power_kw = np.clip(last_kw, self._bids.least_kw, self._bids.largest_kw)
        near = self._held.near(self._feeder.about, self._loads(power_kw))
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
            about = self._held.solved(last.about, self._loads(power_kw))
            if about is not None:
                voltage_pu = self._watched.voltage_pu(about.v)
                if WINDOW_PU[0] < voltage_pu.min() and voltage_pu.max() < WINDOW_PU[1]:
                    return self._point(power_kw, about, solved=True)
            power_kw = (power_kw + safe_kw) / 2
        raise ClearingError("the power flow has no solution near to what offers would take")

    def head_kw(self, point: Point) -> float:
        """Return the power at the head of the feeder."""
        return self._held.head_kw(point.about.v)

    def levels(self, point: Point, power_kw: Floats) -> Floats:
        """Return what levels would be at another power, by the derivatives, shape (limit,)."""
        chargers, v = self._chargers, point.about.v
        more_kw = ((power_kw - point.power_kw) / chargers.phases)[chargers.owner]
        if not more_kw.any():
            return point.levels
        more_kva = more_kw * (1 + 1j * point.tan_phi[chargers.node])
        current = np.zeros_like(v)
        current[chargers.node] = np.conj(1e3 * more_kva / v[chargers.node])
        return self._watched.levels(v + point.about.respond(current))

    def per_kw(self, point: Point, which: Indices) -> Floats:
        """How some levels change with the power of connections, shape (which, connection)."""
        if not len(which):
            return np.zeros((0, len(point.power_kw)))
        return self._chargers.mean(
            self._per_load(point, self._watched.gradients(point.about.v, which))
        )

    def per_bus(self, point: Point, weights: Floats, which: Indices) -> Floats:
        """How sums of levels change with what is drawn at each node of the feeder's `bus_ids`.

        Parameters
        ----------
        point
            Where.
        weights
            Of each level in each sum, shape (sum, which).
        which
            Positions of the levels.

        Returns
        -------
        Floats
            Shape (sum, node).
        """
        if not len(which):
            return np.zeros((len(weights), len(self._chargers.buses)))
        gradients = weights @ self._watched.gradients(point.about.v, which)
        return self._per_load(point, gradients)[:, self._chargers.buses]

    def _per_load(self, point: Point, gradients: Floats) -> Floats:
        return 1e3 * point.about.per_load(gradients, point.tan_phi)

    def _loads(self, power_kw: Floats) -> Complex:
        """Power of all branches at their rated voltage with a power of the connections [VA]."""
        layout, tan_phi = self._feeder.layout, self._feeder.tan_phi
        size_kw = np.where(self._either, np.hypot(power_kw, ROUNDED_KW), np.abs(power_kw))
        kw = np.append(layout.load_kw * self._scale, power_kw)
        kvar = np.append(layout.load_kvar * self._scale, size_kw * tan_phi)
        return self._feeder.equations.power(kw, kvar)

    @property
    def _either(self) -> NDArray[np.bool_]:
        return (self._bids.least_kw < 0) & (self._bids.largest_kw > 0)

    def _point(self, power_kw: Floats, about: Linearisation, solved: bool) -> Point:
        chargers, tan_phi = self._chargers, np.full(len(about.v), self._feeder.tan_phi)
        one_way = np.where(self._bids.least_kw < 0, -1, 1)
        rounded = power_kw / np.hypot(power_kw, ROUNDED_KW)
        tan_phi[chargers.node] *= np.where(self._either, rounded, one_way)[chargers.owner]
        head = about.head_per_load(tan_phi)
        levels = self._watched.levels(about.v)
        return Point(power_kw, solved, about, tan_phi, levels, head, chargers.mean(head))
