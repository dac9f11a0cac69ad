r"""What offers are taken, and what power is worth at each connection, where limits bind.

Notes
-----
Behind every connection stand offers, together worth :math:`u_i(x_i)` (`offers`). With the power
:math:`P_0(x)` at the head of the feeder, its price :math:`\lambda` and the levels :math:`g_k(x)` of
everything that has a limit :math:`h_k`, the clearing solves

.. math::

    \max_{x, s \ge 0} \sum_i u_i(x_i) - \lambda P_0(x) - \sum_k c_k s_k
    \quad \text{with} \quad g_k(x) - s_k \le h_k ,

where :math:`P_0` and :math:`g` are those of the three-phase power flow, taps and capacitors held
(`held`). It does so by successive quadratic programmes: each has the derivatives of the power flow
at the answer of the one before, by adjoints of the nodal equations, and the utility as it is. A
limit enters where its linear prediction passes it, and stays. How the price at each connection rose
from one answer to the next, with its own power, is the curvature of the cost there. Where answers
do not come nearer to each other all the same, the square of the distance to the last one is added;
at rest both are nothing.

The price at a bus is what one more unit of fixed load there would cost, the derivative of the
maximum:

.. math:: \pi_i = \lambda + \lambda (\partial P_0 / \partial x_i - 1)
    + \sum_k \mu_k\, \partial g_k / \partial x_i .

The chargers of a connection take reactive power with active power of either sign. Where some offer
to draw and others to feed back, this has a kink at no power, which the clearing rounds within
`ROUNDED_KW`; where all are of one sign it is exact.

The idea of such prices is that of locational prices in transmission [1]_, carried into
distribution, for the charging of vehicles, by [2]_ among others.

References
----------
.. [1] F. C. Schweppe, M. C. Caramanis, R. D. Tabors, R. E. Bohn, *Spot Pricing of Electricity*,
   Kluwer 1988, doi:10.1007/978-1-4613-1683-1 (from memory).
.. [2] R. Li, Q. Wu, S. S. Oren, "Distribution locational marginal pricing for optimal electric
   vehicle charging management", IEEE Trans. Power Systems 29(1), 2014, p. 203.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from adapters.opendss.cleared import Binding, Cleared
from adapters.opendss.commands import WINDOW_PU
from adapters.opendss.feeder import Feeder
from adapters.opendss.held import Held, Linearisation
from adapters.opendss.limits import KINDS, Limits, Watched
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.offers import Bids, Offers
from adapters.opendss.programme import Programme, solve
from cosim.errors import ClearingError, PowerFlowError, Problem, ScenarioError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

TOLERANCE_KW = 1e-3
"""Two successive answers that differ by less are one,"""
TOLERANCE_USD_PER_MWH = 1e-2
"""if the prices that they stand for differ by less than this as well."""
PASSED = 1e-7
"""How far a level may be above its bound before its limit enters, over the bound."""
MOST_ITERATIONS = 50
"""Programmes before a clearing gives up."""
ROUNDED_KW = 0.1
"""Power around 0 within which reactive power is rounded, where a connection could go either way."""
_BINDS = 1e-8
"""Worth from which on a limit binds, over its penalty: below is what the solver leaves."""
_WEIGHT = 0.05
"""First weight of the distance between answers, where they do not come nearer by half; it doubles
from then on [USD/MWh/kW]."""
_MOVED_KW = 0.05
"""Least change of a connection's power that says something about the curvature of its cost."""
_CURVATURE = 100.0
"""Most that the price of a connection rises with its own power [USD/MWh/kW]."""
_HALVINGS = 12
"""How often a step is halved until the power flow has a solution."""
_ENTER = (1000, 4, 4)
"""Most limits of each kind that enter at once, lines only where no transformer is passed, voltages
only where no line is: where the first hold, most of the others hold by themselves."""


@dataclass(frozen=True, eq=False)
class _Task:
    """What is cleared."""

    held: Held
    load_scale: float
    bids: Bids
    at: Indices
    """Connections with bids, rising."""
    owner: Indices
    """Which of these each bid is at."""
    price: float
    """At the head."""


@dataclass(frozen=True, eq=False)
class _Point:
    """A power flow, and what follows from it."""

    power_kw: Floats
    """Of the connections, shape (connection,)."""
    solved: bool
    """Whether it is a solution, or what the last one of the engine predicts."""
    about: Linearisation
    tan_phi: Floats
    """Reactive over active power of what is drawn more, shape (connection,)."""
    levels: Floats
    """Of all limits, shape (limit,)."""
    head: Floats
    """Power at the head per power drawn at each node, shape (node,)."""
    head_per_kw: Floats
    """The same for each connection, all phases alike, shape (connection,)."""


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the programme about a point says."""

    taken_kw: Floats
    """Of each bid, shape (bid,)."""
    power_kw: Floats
    """Of the connections, shape (connection,)."""
    entered: Indices
    """Limits that it knows, rising."""
    per_kw: Floats
    """How their levels change with the power, shape (entered, connection)."""
    passed_by: Floats
    worth: Floats
    """What one more unit of each would save, shape (entered,) [USD/h / 1000]."""


def refused(feeder: Feeder) -> str:
    """Return why a feeder cannot be cleared; empty if it can."""
    if isinstance(feeder, LinearFeeder):
        return "a clearing needs a feeder that OpenDSS solves every time"
    if feeder.volt_var:
        return "a clearing needs chargers of one power factor, without volt-var"
    return feeder.unpriced and f"a clearing needs the nodal equations: {feeder.unpriced}"


class Clearing:
    """Clears one feeder.

    Parameters
    ----------
    feeder
        A feeder that OpenDSS solves every time.
    limits
        What it is held to.

    Raises
    ------
    ScenarioError
        Limits do not fit the feeder; all that is wrong.
    PowerFlowError
        The feeder cannot be cleared; see `refused`.
    """

    def __init__(self, feeder: Feeder, limits: Limits) -> None:
        reason = refused(feeder)
        if reason:
            raise PowerFlowError(reason)
        require(f"clearing of feeder {feeder.name}", limits.problems(feeder))
        self._feeder = feeder
        self._watched = Watched(feeder, limits)
        owner = self._owner = feeder.charger_of
        self._buses = feeder.equations.at(feeder.bus_ids)
        self._node = self._buses[feeder.charger_node]
        self._phases = np.bincount(owner, minlength=len(feeder.service))
        shape = (len(owner), len(feeder.service))
        share = 1 / self._phases[owner]
        self._mean: Any = sp.csr_array((share, (np.arange(len(owner)), owner)), shape)

    def clear(self, load_scale: float, offers: Offers, head_usd_per_mwh: float) -> Cleared:
        """Find what is taken of offers and what power is worth, taps and capacitors as they are.

        The engine stays as the last `Feeder.solve` left it; that must be the last thing that
        happened to the feeder.

        Parameters
        ----------
        load_scale
            Factor on the published loads of the feeder [1].
        offers
            All that chargers would exchange; connections are those of the feeder.
        head_usd_per_mwh
            Price of power at the head of the feeder.

        Raises
        ------
        ScenarioError
            The input does not fit; all that is wrong.
        PowerFlowError
            The feeder has not been solved.
        ClearingError
            The answers did not come to rest, or a programme or the power flow has none.
        """
        count = len(self._feeder.service)
        require(
            f"clearing of feeder {self._feeder.name}",
            problems(offers, count, load_scale, np.array([head_usd_per_mwh])),
        )
        bids = Bids(offers, count)
        at, owner = np.unique(bids.connection, return_inverse=True)
        held = self._feeder.equations.held()
        task = _Task(held, load_scale, bids, at, owner, head_usd_per_mwh)
        self._watched.refresh()
        return self._cleared(task)

    def _cleared(self, task: _Task) -> Cleared:
        point = self._start(task)
        entered = np.zeros(0, np.int64)
        per_kw = self._per_kw(point, entered)
        curvature, weight = np.zeros(len(point.power_kw)), 0.0
        off_kw = np.full(len(curvature), np.inf)
        for iteration in range(1, MOST_ITERATIONS + 1):
            answer = self._answer(task, point, entered, per_kw, curvature + weight)
            before_kw, off_kw = off_kw, np.abs(answer.power_kw - point.power_kw)
            if (
                point.solved
                and off_kw.max(initial=0) <= TOLERANCE_KW
                and ((curvature + weight) * off_kw).max(initial=0) <= TOLERANCE_USD_PER_MWH
            ):
                return self._told(task, point, answer, iteration)
            if off_kw.max() > 0.5 * before_kw.max():
                weight = max(2 * weight, _WEIGHT)
            last, point = point, self._next(task, point, answer.power_kw)
            entered, per_kw = answer.entered, self._per_kw(point, answer.entered)
            if last.solved:
                more_kw = point.power_kw - last.power_kw
                rise = task.price * (point.head_per_kw - last.head_per_kw)
                rise += answer.worth @ (per_kw - answer.per_kw)
                moved = np.abs(more_kw) > _MOVED_KW
                rise[moved] /= more_kw[moved]
                curvature = np.where(moved, np.clip(rise, 0, _CURVATURE), curvature)
        worst = int(np.argmax(off_kw))
        raise ClearingError(
            f"no answer after {MOST_ITERATIONS} programmes: the last two differ by "
            f"{off_kw[worst]:.3g} kW",
            where=f"connection {self._feeder.service.ids[worst]}",
        )

    def _start(self, task: _Task) -> _Point:
        """Return what the last solution predicts for as much of its power as is offered."""
        last_kw = self._feeder.equations.loads()[0][-len(self._phases) :]
        power_kw = np.clip(last_kw, task.bids.least_kw, task.bids.largest_kw)
        power, tan_phi = self._loads(task, power_kw)
        return self._point(power_kw, tan_phi, task.held.near(self._feeder.about, power), False)

    def _next(self, task: _Task, last: _Point, power_kw: Floats) -> _Point:
        """Solve the power flow at a power, or as near to it as it has a solution."""
        safe_kw = last.power_kw if last.solved else np.zeros_like(power_kw)
        for _ in range(_HALVINGS):
            power, tan_phi = self._loads(task, power_kw)
            about = task.held.solved(last.about, power)
            if about is not None:
                voltage_pu = self._watched.voltage_pu(about.v)
                if WINDOW_PU[0] < voltage_pu.min() and voltage_pu.max() < WINDOW_PU[1]:
                    return self._point(power_kw, tan_phi, about, True)
            power_kw = (power_kw + safe_kw) / 2
        raise ClearingError("the power flow has no solution near to what offers would take")

    def _loads(self, task: _Task, power_kw: Floats) -> tuple[NDArray[np.complex128], Floats]:
        """Power of all branches with a power of the connections, and reactive over active of more.

        Parameters
        ----------
        task
            What is cleared.
        power_kw
            Shape (connection,).
        """
        layout, bids = self._feeder.layout, task.bids
        either = (bids.least_kw < 0) & (bids.largest_kw > 0)
        rounded = np.hypot(power_kw, ROUNDED_KW)
        sign = np.where(either, power_kw / rounded, np.where(bids.least_kw < 0, -1, 1))
        size_kw = np.where(either, rounded - ROUNDED_KW, np.abs(power_kw))
        kw = np.append(layout.load_kw * task.load_scale, power_kw)
        kvar = np.append(layout.load_kvar * task.load_scale, size_kw * self._feeder.tan_phi)
        return self._feeder.equations.power(kw, kvar), self._feeder.tan_phi * sign

    def _point(
        self, power_kw: Floats, tan_phi: Floats, about: Linearisation, solved: bool
    ) -> _Point:
        head = about.head_per_load(self._tan_phi(about, tan_phi))
        levels = self._watched.levels(about.v)
        per_kw = head[self._node] @ self._mean
        return _Point(power_kw, solved, about, tan_phi, levels, head, per_kw)

    def _tan_phi(self, about: Linearisation, tan_phi: Floats) -> Floats:
        """Reactive over active power of what is drawn more at each node: that of its chargers."""
        of_nodes = np.full(len(about.v), self._feeder.tan_phi)
        of_nodes[self._node] = tan_phi[self._owner]
        return of_nodes

    def _answer(
        self, task: _Task, point: _Point, entered: Indices, per_kw: Floats, curvature: Floats
    ) -> _Answer:
        """Solve the programme about a point, with more limits until none is passed."""
        at, bids, watched = task.at, task.bids, self._watched
        power_kw = bids.least_kw.copy()
        while True:
            size = np.abs(watched.bound[entered])
            rows = per_kw[:, at] / size[:, None]
            room = (watched.bound[entered] - point.levels[entered]) / size
            found = solve(
                Programme(
                    value=bids.value_usd_per_mwh,
                    slope=bids.slope_usd_per_mwh_per_kw,
                    most=bids.most_kw,
                    owner=task.owner,
                    least=bids.least_kw[at],
                    cost=task.price * point.head_per_kw[at],
                    curvature=curvature[at],
                    centre=point.power_kw[at],
                    rows=rows,
                    room=room + rows @ point.power_kw[at],
                    penalty=1e3 * watched.penalty_usd_per_h[entered] * size,
                )
            )
            power_kw[at] = found.drawn
            more = self._passed(point, power_kw, entered)
            if not len(more):
                return _Answer(
                    taken_kw=found.taken,
                    power_kw=power_kw,
                    entered=entered,
                    per_kw=per_kw,
                    passed_by=found.slack * size,
                    worth=found.dual / size,
                )
            order = np.argsort(np.append(entered, more))
            entered = np.append(entered, more)[order]
            per_kw = np.vstack([per_kw, self._per_kw(point, more)])[order]

    def _per_kw(self, point: _Point, entered: Indices) -> Floats:
        """How levels change with the power, shape (entered, connection) [unit/kW]."""
        if not len(entered):
            return np.zeros((0, len(point.power_kw)))
        gradients = self._watched.gradients(point.about.v, entered)
        tan_phi = self._tan_phi(point.about, point.tan_phi)
        per_node = 1e3 * point.about.per_load(gradients, tan_phi)[:, self._node]
        return per_node @ self._mean

    def _passed(self, point: _Point, power_kw: Floats, entered: Indices) -> Indices:
        """Return which limits to let in, rising: the worst of those that a power would pass."""
        more_kva = (power_kw - point.power_kw) * (1 + 1j * point.tan_phi) / self._phases
        levels = point.levels
        if more_kva.any():
            v, current = point.about.v, np.zeros_like(point.about.v)
            current[self._node] = np.conj(1e3 * more_kva[self._owner] / v[self._node])
            levels = self._watched.levels(v + point.about.respond(current))
        bound, kind = self._watched.bound, self._watched.kind
        over = levels / np.abs(bound) - np.sign(bound)
        over[entered] = -np.inf
        for k, most in enumerate(_ENTER):
            passed = np.flatnonzero((kind == k) & (over > PASSED))
            if len(passed):
                return np.sort(passed[np.argsort(-over[passed], kind="stable")[:most]])
        return np.zeros(0, np.int64)

    def _told(self, task: _Task, point: _Point, answer: _Answer, iterations: int) -> Cleared:
        watched, entered, bids, price = self._watched, answer.entered, task.bids, task.price
        kind = watched.kind[entered]
        bus = self._bus_prices(point, answer)
        per_charger = bus[:, self._feeder.charger_node] @ self._mean
        energy, loss = np.full(len(self._phases), price), price * (point.head_per_kw - 1)
        worth_usd_per_h = answer.worth / 1e3
        binding = tuple(
            Binding(
                kind=KINDS[kind[i]],
                id=watched.ids[entered[i]],
                limit=float(np.abs(watched.bound[entered[i]])),
                passed_by=float(answer.passed_by[i]),
                worth_usd_per_h=float(worth_usd_per_h[i]),
            )
            for i in np.flatnonzero(worth_usd_per_h > _BINDS * watched.penalty_usd_per_h[entered])
        )
        over = point.levels[entered] - watched.bound[entered]
        more_kw = point.power_kw - answer.power_kw
        cost = price * task.held.head_kw(point.about.v) / 1e3 + float(worth_usd_per_h @ over)
        cost -= bids.utility_usd_per_h(answer.taken_kw)
        cost -= float((energy + loss + per_charger.sum(axis=0)) @ more_kw) / 1e3
        return Cleared(
            power_kw=bids.taken_kw(answer.taken_kw),
            connection_kw=answer.power_kw,
            energy_usd_per_mwh=energy,
            loss_usd_per_mwh=loss,
            limits_usd_per_mwh=per_charger,
            bus_loss_usd_per_mwh=price * (point.head[self._buses] - 1),
            bus_limits_usd_per_mwh=bus,
            binding=binding,
            iterations=iterations,
            cost_usd_per_h=cost,
        )

    def _bus_prices(self, point: _Point, answer: _Answer) -> Floats:
        """Return what each kind of limits adds to prices, shape (kind, node)."""
        bus = np.zeros((len(KINDS), len(self._buses)))
        if not len(answer.entered):
            return bus
        kind = self._watched.kind[answer.entered]
        gradients = self._watched.gradients(point.about.v, answer.entered)
        summed = np.array([answer.worth[kind == k] @ gradients[kind == k] for k in range(3)])
        tan_phi = self._tan_phi(point.about, point.tan_phi)
        bus[:] = 1e3 * point.about.per_load(summed, tan_phi)[:, self._buses]
        return bus


def problems(
    offers: Offers, connections: int, load_scale: float, head_usd_per_mwh: Floats, feeders: int = 1
) -> Iterator[Problem]:
    """Yield what is wrong with the input of a clearing."""
    yield from offers.problems(connections)
    if not (np.isfinite(load_scale) and load_scale >= 0):
        yield Problem("load_scale", f"{load_scale:g}", "a finite number at least 0")
    if head_usd_per_mwh.shape != (feeders,):
        yield Problem("head_usd_per_mwh", f"of shape {head_usd_per_mwh.shape}", f"({feeders},)")
        return
    for i in np.flatnonzero(~np.isfinite(head_usd_per_mwh)):
        yield Problem(f"head_usd_per_mwh[{i}]", f"{head_usd_per_mwh[i]:g}", "a finite number")


def require(what: str, found: Iterator[Problem]) -> None:
    """Raise all that is wrong at once."""
    problems = list(found)
    if problems:
        raise ScenarioError(what, problems)
