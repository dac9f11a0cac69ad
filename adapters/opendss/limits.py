"""Limits of a feeder's transformers, lines and voltages, and how near it is to each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.feeder import Feeder
from adapters.opendss.violations import VOLTAGE_HIGH_PU, VOLTAGE_LOW_PU
from cosim.errors import Problem

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Indices = NDArray[np.int64]

KINDS = ("transformer", "line", "voltage")
"""Kinds of limits, in the order in which a feeder's limits stand."""
_PHASES = 8
"""More than the conductors of any line."""


@dataclass(frozen=True, eq=False)
class Limits:
    """What a feeder is held to; infinite where there is no limit.

    Passing one is possible and costs its penalty, so that there are always prices. The penalties
    are ours: high enough that a limit is passed only where nothing else can be done.
    """

    transformer_kva: Floats
    """Most apparent power of any winding of each of the feeder's `transformer_ids`."""
    line_a: Floats
    """Most current of any phase and end of each of the feeder's `line_ids`."""
    voltage_low_pu: float = VOLTAGE_LOW_PU
    voltage_high_pu: float = VOLTAGE_HIGH_PU
    transformer_penalty_usd_per_kvah: float = 10.0
    line_penalty_usd_per_ah: float = 20.0
    voltage_penalty_usd_per_puh: float = 100_000.0

    def problems(self, feeder: Feeder) -> Iterator[Problem]:
        """Yield what is wrong with them for a feeder."""
        for field, ids in (
            ("transformer_kva", feeder.transformer_ids),
            ("line_a", feeder.line_ids),
        ):
            value: Floats = getattr(self, field)
            if value.shape != (len(ids),):
                yield Problem(f"limits.{field}", f"of shape {value.shape}", f"({len(ids)},)")
                continue
            for i in np.flatnonzero(~(value > 0)):
                yield Problem(f"limits.{field}[{ids[i]}]", f"{value[i]:g}", "a number above 0")
        low, high = self.voltage_low_pu, self.voltage_high_pu
        if not 0 < low < high:
            yield Problem("limits.voltage_low_pu", f"{low:g}", f"above 0 and below {high:g}")
        for kind, unit in zip(KINDS, ("kvah", "ah", "puh"), strict=True):
            field = f"{kind}_penalty_usd_per_{unit}"
            value = getattr(self, field)
            if not 0 < value < np.inf:
                yield Problem(f"limits.{field}", f"{value:g}", "a finite number above 0")


def limits_of(
    feeder: Feeder,
    transformer_pct: float = 100.0,
    line_pct: float = 100.0,
    voltage_low_pu: float = VOLTAGE_LOW_PU,
    voltage_high_pu: float = VOLTAGE_HIGH_PU,
) -> Limits:
    """Return shares of the ratings of a feeder, and a band for its voltages.

    Parameters
    ----------
    feeder
        The feeder.
    transformer_pct
        Share of the rating of every transformer [%].
    line_pct
        Share of the rating of every line that has one of its own [%].
    voltage_low_pu, voltage_high_pu
        Lowest and highest voltage of any node [pu].
    """
    line_a = np.where(feeder.layout.line_rated, feeder.line_rating_a, np.inf)
    return Limits(
        transformer_kva=feeder.rating_kva * transformer_pct / 100,
        line_a=line_a * line_pct / 100,
        voltage_low_pu=voltage_low_pu,
        voltage_high_pu=voltage_high_pu,
    )


class Watched:
    """Every single limit of a feeder and its level.

    A transformer has one limit, with the level of its most loaded winding; a line one for each
    phase, with that of its more loaded end; a node one below and one above. Levels are held below
    their bounds: a low voltage therefore counts as negative.

    Parameters
    ----------
    feeder
        The feeder.
    limits
        What it is held to.
    """

    def __init__(self, feeder: Feeder, limits: Limits) -> None:
        self._flows = flows = feeder.flows()
        transformers = np.flatnonzero(np.isfinite(limits.transformer_kva))
        lines = np.flatnonzero(np.isfinite(limits.line_a))
        nodes, buses = feeder.equations.nodes, feeder.bus_ids
        self._node = feeder.equations.at(buses)
        self._base_v = feeder.base_v
        # What flows are compared within each limit: windings, and both ends of a phase.
        self._windings = _Groups(
            np.where(np.isin(flows.transformer, transformers), flows.transformer, -1)
        )
        phase = np.where(np.isin(flows.line, lines), _PHASES * flows.line + flows.phase, -1)
        self._phases = _Groups(phase)
        line = self._phases.key // _PHASES
        sizes = (len(transformers), len(line), 2 * len(buses))
        self.kind: Indices = np.repeat(np.arange(len(KINDS)), sizes)
        """Index into `KINDS`, shape (limit,)."""
        self._first = np.cumsum(sizes)
        self.bound: Floats = np.concatenate(
            [
                limits.transformer_kva[transformers],
                limits.line_a[line],
                np.full(len(buses), -limits.voltage_low_pu),
                np.full(len(buses), limits.voltage_high_pu),
            ]
        )
        """What each level is held below, shape (limit,) [kVA, A, pu]."""
        penalties = (
            limits.transformer_penalty_usd_per_kvah,
            limits.line_penalty_usd_per_ah,
            limits.voltage_penalty_usd_per_puh,
        )
        self.penalty_usd_per_h: Floats = np.repeat(penalties, sizes)
        """What each unit above it costs, shape (limit,)."""
        begins = flows.node[self._phases.members[self._phases.starts]]
        self.ids: tuple[str, ...] = (
            *(feeder.transformer_ids[i] for i in transformers),
            *(f"{feeder.line_ids[i]} at {nodes[k]}" for i, k in zip(line, begins, strict=True)),
            *(f"{bus} low" for bus in buses),
            *(f"{bus} high" for bus in buses),
        )
        """Name of each limit; a phase of a line has that of a node it begins at."""

    def refresh(self) -> None:
        """Take admittances anew, after taps or capacitors moved."""
        self._flows.refresh()

    def voltage_pu(self, v: Complex) -> Floats:
        """Return voltages over their base, in the order of the feeder's `bus_ids` [1]."""
        return np.abs(v[self._node]) / self._base_v

    def levels(self, v: Complex) -> Floats:
        """Return every level at voltages, shape (node,) [V]."""
        kva, current_a = self._flowing(v)
        voltage_pu = self.voltage_pu(v)
        return np.concatenate(
            [self._windings.largest(kva), self._phases.largest(current_a), -voltage_pu, voltage_pu]
        )

    def gradients(self, v: Complex, which: Indices) -> Floats:
        """Return derivatives of some levels by the voltages.

        Parameters
        ----------
        v
            Voltages, shape (node,) [V].
        which
            Positions of limits, rising, shape (figure,).

        Returns
        -------
        Floats
            By the real, then the imaginary parts, shape (figure, 2 node).
        """
        winding, conductor, high, bus = self._places(v, which)
        at, row = self._node[bus], np.arange(len(bus))
        turned = (2 * high - 1) * np.conj(v[at]) / np.abs(v[at]) / self._base_v[bus]
        voltage = np.zeros((len(bus), 2 * len(v)))
        voltage[row, at], voltage[row, at + len(v)] = turned.real, -turned.imag
        return np.vstack(
            [
                self._flows.power_gradients(v, winding),
                self._flows.current_gradients(v, conductor),
                voltage,
            ]
        )

    def aside(self, v: Complex, which: Indices, moved: Complex) -> tuple[Floats, Floats]:
        """Return how far some levels move aside, and how a step aside bends them.

        A level is the size of a complex figure. Where that moves by d at a right angle to itself,
        its size rises by d^2 / 2 over its size.

        Parameters
        ----------
        v
            Voltages, shape (node,) [V].
        which
            Positions of limits, rising, shape (figure,).
        moved
            Changes of the voltages, shape (node, way) [V].

        Returns
        -------
        aside
            Moves at a right angle, shape (figure, way).
        bend
            One over the size, negative for low voltages, shape (figure,).
        """
        winding, conductor, high, bus = self._places(v, which)
        current, power = self._flows.conductors(v)
        at, base_v = self._node[bus], self._base_v[bus]
        figure = np.concatenate(
            [self._flows.winding_power(power)[winding], current[conductor], v[at] / base_v]
        )
        changes = np.vstack(
            [
                self._flows.power_changes(v, moved, winding),
                self._flows.current_changes(moved, conductor),
                moved[at] / base_v[:, None],
            ]
        )
        size = np.maximum(np.abs(figure), 1e-9)
        sign = np.ones(len(which))
        sign[len(which) - len(high) :] = 2 * high - 1
        return (np.conj(figure / size)[:, None] * changes).imag, sign / size

    def _places(self, v: Complex, which: Indices) -> tuple[Indices, Indices, Indices, Indices]:
        """Where the figures of some levels are found.

        The windings and conductors with the largest, whether voltages are to be below their bounds,
        and their positions in `bus_ids`.
        """
        transformer, phase, node = np.split(which, np.searchsorted(which, self._first[:2]))
        (kva, current_a), first = self._flowing(v), self._first
        winding = self._windings.at_largest(kva)[transformer]
        conductor = self._phases.at_largest(current_a)[phase - first[0]]
        high, bus = np.divmod(node - first[1], len(self._node))
        return winding, conductor, high, bus

    def _flowing(self, v: Complex) -> tuple[Floats, Floats]:
        """Power of every winding [kVA] and current of every conductor [A]."""
        current, power = self._flows.conductors(v)
        return self._flows.winding_kva(power), np.abs(current)


class _Groups:
    """Which of some values are compared with each other; a key of -1 is in no group."""

    def __init__(self, key: Indices) -> None:
        self.members: Indices = np.argsort(key, kind="stable")[np.count_nonzero(key < 0) :]
        """Positions of the values, group by group."""
        self.key, self.starts = np.unique(key[self.members], return_index=True)
        """Key of each group, and where it starts among `members`."""
        self._group = np.searchsorted(self.key, key[self.members])

    def at_largest(self, values: Floats) -> Indices:
        """Position of the largest value of each group, shape (group,)."""
        order = np.lexsort((-values[self.members], self._group))
        return self.members[order[self.starts]]

    def largest(self, values: Floats) -> Floats:
        """Return the largest value of each group, shape (group,)."""
        return values[self.at_largest(values)]
