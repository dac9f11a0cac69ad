r"""What offers are taken, and what power is worth at each connection, where limits bind.

Notes
-----
Behind every connection stand offers, together worth :math:`u_i(x_i)` (`offers`). With the power
:math:`P_0(x)` at the head of the feeder, its price :math:`\lambda` and the levels :math:`g_k(x)` of
everything that has a limit :math:`h_k`, the clearing solves

.. math::

    \max_{x, s \ge 0} \sum_i u_i(x_i) - \lambda P_0(x) - \sum_k c_k s_k
    \quad \text{with} \quad g_k(x) - s_k \le h_k ,

where :math:`P_0` and :math:`g` are those of the three-phase power flow, taps and capacitors held,
solved without the engine (`network`). It does so by successive quadratic programmes: each has the
derivatives of the power flow at the answer of the one before, by adjoints of the nodal equations,
and how cost and limits bend there; the utility is as it is. A limit enters where its linear
prediction passes it, and stays. Where answers jump to and fro all the same, the square of the
distance to the last one is added; at rest it is nothing.

The price at a bus is what one more unit of fixed load there would cost, the derivative of the
maximum:

.. math:: \pi_i = \lambda + \lambda (\partial P_0 / \partial x_i - 1)
    + \sum_k \mu_k\, \partial g_k / \partial x_i .

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

import numpy as np
from numpy.typing import NDArray

from adapters.opendss.cleared import Binding, Cleared
from adapters.opendss.feeder import Feeder
from adapters.opendss.limits import KINDS, Limits, Watched
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.offers import FALL_USD_PER_MWH, Bids, Offers
from adapters.opendss.points import Changes, Chargers, Point, Points
from adapters.opendss.programme import Programme, solve
from cosim.errors import ClearingError, PowerFlowError, Problem, ScenarioError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]

TOLERANCE_KW = 1e-3
"""Two successive answers that differ by less are one,"""
TOLERANCE_USD_PER_MWH = 1e-2
"""if the prices that they stand for differ by less than this as well."""
PASSED = 1e-7
"""How far a level may be above its bound before its limit enters, over the bound."""
MOST_ITERATIONS = 50
"""Programmes before a clearing gives up."""
_BINDS = 1e-8
"""Worth from which on a limit binds, over its penalty: below is what the solver leaves."""
_WEIGHT = 0.05
"""First weight of the distance between answers, where those at a connection jump to and fro,"""
_HEAVIER = 4.0
"""by what it grows as long as they do; it halves where they come nearer, or go one way;"""
_KINK = 1e4
"""and weight from which on the cost at a connection has a kink, and the price is anything within it
[USD/MWh/kW]."""
_QUICK = 4
"""Programmes after which curvature is taken everywhere."""
_NEAR = 0.05
"""How near to the price a bid is to be to be taken in part soon, over the price."""
_ENTER = (1000, 4, 4)
"""Most limits of each kind that enter at once, lines only where no transformer is passed, voltages
only where no line is: where the first hold, most of the others hold by themselves."""


@dataclass(frozen=True, eq=False)
class _Task:
    """What is cleared."""

    points: Points
    bids: Bids
    at: Indices
    """Connections with bids, rising."""
    owner: Indices
    """Which of these each bid is at."""
    price: float
    """At the head."""


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the programme about a point says."""

    taken_kw: Floats
    """Of each bid, shape (bid,)."""
    power_kw: Floats
    """Of the connections, shape (connection,)."""
    lean: Floats
    """How its size changes with it, shape (connection,)."""
    entered: Indices
    """Limits that it knows, rising."""
    changes: Changes
    """Of their levels, shape (entered, connection)."""
    passed_by: Floats
    worth: Floats
    """What one more unit of each would save, shape (entered,) [USD/h / 1000]."""


def refused(feeder: Feeder) -> str:
    """Return why a feeder cannot be cleared; empty if it can."""
    if isinstance(feeder, LinearFeeder):
        return "a clearing needs a feeder that OpenDSS solves every time"
    if feeder.volt_var:
        return "a clearing needs chargers of one power factor, without volt-var"
    if feeder.unpriced:
        return f"a clearing needs the nodal equations: {feeder.unpriced}"
    holding = ", ".join(feeder.equations.generators.holding_names)
    return holding and f"a clearing needs generators that hold no voltage, unlike {holding}"


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
        self._chargers = Chargers(feeder)

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
        if not self._feeder.settled:
            raise PowerFlowError("the feeder has not been solved since it was built or restored")
        bids = Bids(offers, count)
        at, owner = np.unique(bids.connection, return_inverse=True)
        points = Points(self._feeder, self._chargers, self._watched, load_scale, bids)
        task = _Task(points, bids, at, owner, head_usd_per_mwh)
        return self._cleared(task)

    def _cleared(self, task: _Task) -> Cleared:
        points, weight = task.points, np.zeros(len(task.at))
        point, step_kw = points.start(), np.zeros(len(task.at))
        answer = self._answer(task, point, None, np.zeros((len(task.at), len(task.at))))
        for iteration in range(2, MOST_ITERATIONS + 1):
            point = points.next(point, answer.power_kw)
            moved = (np.abs(step_kw) > TOLERANCE_KW) | (iteration > _QUICK)
            curvature = self._curvature(task, point, answer, moved, weight)
            answer = self._answer(task, point, answer, curvature)
            before_kw, step_kw = step_kw, (answer.power_kw - point.power_kw)[task.at]
            off_kw = np.abs(step_kw)
            off_usd_per_mwh = np.where(weight < _KINK, weight * off_kw, 0)
            if (
                off_kw.max(initial=0) <= TOLERANCE_KW
                and off_usd_per_mwh.max(initial=0) <= TOLERANCE_USD_PER_MWH
            ):
                return self._told(task, point, answer, iteration)
            heavier = np.maximum(_HEAVIER * weight, _WEIGHT)
            lighter = np.where(weight > _WEIGHT, weight / 2, 0)
            jumps = (step_kw * before_kw < 0) & (off_kw > 0.5 * np.abs(before_kw))
            weight = np.where(jumps, heavier, lighter)
        worst = int(np.argmax(np.abs(step_kw)))
        raise ClearingError(
            f"no answer after {MOST_ITERATIONS} programmes: the last two differ by "
            f"{abs(step_kw[worst]):.3g} kW",
            where=f"connection {self._feeder.service.ids[task.at[worst]]}",
        )

    def _curvature(
        self, task: _Task, point: Point, last: _Answer, moved: Mask, weight: Floats
    ) -> Floats:
        """Return how the cost bends where bids are near to their price, with a weight of distance.

        Everywhere else what bids take does not depend on it.
        """
        bids = task.bids
        price = self._price(task, point, last)[bids.connection]
        gap = np.abs(bids.value_usd_per_mwh - FALL_USD_PER_MWH / 2 - price)
        near = gap < _NEAR * np.abs(price) + FALL_USD_PER_MWH
        near |= (last.taken_kw > 0) & (last.taken_kw < bids.most_kw)
        inside = np.flatnonzero(moved | (np.bincount(task.owner, near, len(moved)) > 0))
        curvature = np.diag(weight)
        if len(inside):
            curvature[np.ix_(inside, inside)] += task.points.curvature(
                point, task.price, last.worth, last.entered, last.lean, task.at[inside]
            )
        return curvature

    def _price(self, task: _Task, point: Point, answer: _Answer) -> Floats:
        """Return the price of each connection by the derivatives that an answer knows."""
        price = task.price * point.head.leaning(answer.lean)
        return price + answer.worth @ answer.changes.leaning(answer.lean)

    def _answer(
        self, task: _Task, point: Point, last: _Answer | None, curvature: Floats
    ) -> _Answer:
        """Solve the programme about a point, with more limits until none is passed.

        Parameters
        ----------
        task
            What is cleared.
        point
            Where.
        last
            The answer before, if there is one.
        curvature
            Of the cost, shape (connection with bids, connection with bids).
        """
        at, bids, watched = task.at, task.bids, self._watched
        power_kw, lean, here = bids.least_kw.copy(), bids.way.copy(), point.power_kw[at]
        entered, dual = (last.entered, last.worth) if last else (np.zeros(0, np.int64), np.zeros(0))
        changes = task.points.changes(point, entered)
        # Where reactive power is worth having, the way that the power goes now is kept.
        now, way = np.where(here < 0, -1.0, 1.0), bids.way[at]
        wide = np.zeros(len(bids.most_kw), np.bool_)
        more = task.price * point.head.per_size + dual @ changes.per_size
        way = np.where((way == 0) & (more[at] < 0), now, way)
        while True:
            # In units of what a kilowatt does at most, which are the best for the solver.
            rows, size_rows = changes.per_kw[:, at], changes.per_size[:, at]
            most = np.abs(rows).max(axis=1, initial=0)
            size = np.maximum(most, 1e-6 * np.abs(watched.bound[entered]))
            room = watched.bound[entered] - point.levels[entered]
            room += rows @ here + size_rows @ np.abs(here)
            found = solve(
                Programme(
                    value=bids.value_usd_per_mwh,
                    slope=bids.slope_usd_per_mwh_per_kw,
                    most=bids.most_kw,
                    owner=task.owner,
                    least=bids.least_kw[at],
                    cost=task.price * point.head.per_kw[at],
                    size_cost=task.price * point.head.per_size[at],
                    way=way,
                    curvature=curvature,
                    centre=here,
                    rows=rows / size[:, None],
                    size_rows=size_rows / size[:, None],
                    room=room / size,
                    penalty=1e3 * watched.penalty_usd_per_h[entered] * size,
                ),
                dual * size,
                wide,
            )
            wide = found.wide
            if found.apart.any():
                way = np.where(found.apart, now, way)
                continue
            dual = found.dual / size
            power_kw[at], lean[at] = found.drawn, found.lean
            more = self._passed(task.points.levels(point, power_kw), entered)
            if not len(more):
                return _Answer(
                    taken_kw=found.taken,
                    power_kw=power_kw,
                    lean=lean,
                    entered=entered,
                    changes=changes,
                    passed_by=found.slack * size,
                    worth=dual,
                )
            order = np.argsort(np.append(entered, more))
            entered = np.append(entered, more)[order]
            dual = np.append(dual, np.zeros(len(more)))[order]
            changes = changes.stacked(task.points.changes(point, more), order)

    def _passed(self, levels: Floats, entered: Indices) -> Indices:
        """Return which limits to let in, rising: the worst of those that levels pass."""
        bound, kind = self._watched.bound, self._watched.kind
        over = levels / np.abs(bound) - np.sign(bound)
        over[entered] = -np.inf
        for k, most in enumerate(_ENTER):
            passed = np.flatnonzero((kind == k) & (over > PASSED))
            if len(passed):
                return np.sort(passed[np.argsort(-over[passed], kind="stable")[:most]])
        return np.zeros(0, np.int64)

    def _told(self, task: _Task, point: Point, answer: _Answer, iterations: int) -> Cleared:
        watched, entered, bids, price = self._watched, answer.entered, task.bids, task.price
        kind = watched.kind[entered]
        of_kind = np.where(kind == np.arange(len(KINDS))[:, None], answer.worth, 0)
        per_charger = of_kind @ answer.changes.leaning(answer.lean)
        head, at_buses = task.points.at_buses(point, of_kind, entered, answer.lean)
        energy = np.full(len(point.power_kw), price)
        loss = price * (point.head.leaning(answer.lean) - 1)
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
        cost = price * task.points.head_kw(point) / 1e3 + float(worth_usd_per_h @ over)
        cost -= bids.utility_usd_per_h(answer.taken_kw)
        cost -= float((energy + loss + per_charger.sum(axis=0)) @ more_kw) / 1e3
        return Cleared(
            power_kw=bids.taken_kw(answer.taken_kw),
            connection_kw=answer.power_kw,
            energy_usd_per_mwh=energy,
            loss_usd_per_mwh=loss,
            limits_usd_per_mwh=per_charger,
            bus_loss_usd_per_mwh=price * (head - 1),
            bus_limits_usd_per_mwh=at_buses,
            binding=binding,
            iterations=iterations,
            cost_usd_per_h=cost,
        )


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
