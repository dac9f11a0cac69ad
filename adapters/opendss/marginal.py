"""Marginal losses of a solved feeder: of every node, and of the chargers of every connection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.network import Linearisation

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class MarginalLosses:
    """Where power may be drawn more: at every node to ground, and where chargers are.

    Parameters
    ----------
    position
        Where each node stands among those of the nodal equations, shape (node,).
    charger_node, charger_of
        Nodes that chargers draw from and the connection of each, shape (charger node,).
    phases
        Phases of each connection; chargers are between the two where there are two.
    """

    def __init__(
        self,
        position: Indices,
        charger_node: Indices,
        charger_of: Indices,
        phases: Sequence[tuple[int, ...]],
    ) -> None:
        count = len(position)
        self._nodes, self._connections = count, len(phases)
        self._charger_node, self._charger_of = charger_node, charger_of
        self._of, ends = charger_ends(position, charger_node, charger_of, phases)
        ground = np.full(count, count)
        self._ends: Indices = np.array([np.append(position, ends[0]), np.append(ground, ends[1])])

    def at(self, about: Linearisation, tan_phi: float, charger_kw: Floats) -> tuple[Floats, Floats]:
        """Return the losses per power drawn more.

        Parameters
        ----------
        about
            The equations about the solution.
        tan_phi
            Reactive over active power of chargers [1].
        charger_kw
            Power of the chargers of each connection, shape (connection,) [kW].

        Returns
        -------
        of_nodes
            Shape (node,) [1].
        of_chargers
            Shape (connection,) [1].
        """
        # Feeding back less is drawing more, and takes reactive power away.
        turned = tan_phi * np.where(charger_kw < 0, -1, 1)
        at_nodes = np.full(self._nodes, tan_phi)
        at_nodes[self._charger_node] = turned[self._charger_of]
        lost = about.head_per_load(np.append(at_nodes, turned[self._of]), self._ends) - 1
        branches = np.bincount(self._of, minlength=self._connections)
        of_chargers = np.bincount(self._of, lost[self._nodes :], self._connections) / branches
        return lost[: self._nodes], of_chargers


def charger_ends(
    position: Indices,
    charger_node: Indices,
    charger_of: Indices,
    phases: Sequence[tuple[int, ...]],
) -> tuple[Indices, Indices]:
    """Return the connection of each branch that chargers draw in, and the nodes it is between.

    Parameters are those of `MarginalLosses`.

    Returns
    -------
    of
        Shape (branch,).
    ends
        Nodes of the nodal equations, their number for ground, shape (2, branch).
    """
    width = np.array([len(row) for row in phases], np.int64)
    first = np.zeros(len(charger_of), bool)
    first[np.cumsum(width) - width] = True
    between = width[charger_of] == 2
    draws = first | ~between
    one = position[charger_node]
    other = np.where(between, np.roll(one, -1), len(position))
    return charger_of[draws], np.array([one[draws], other[draws]])
