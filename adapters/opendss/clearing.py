r"""What elastic chargers take, and what power is worth at each of them, where limits bind.

Notes
-----
Behind every service transformer stands a fixed load and a bid of utility
:math:`u_i(x_i) = b_i x_i - \tfrac{1}{2} a_i x_i^2`. With the power :math:`P_0(x)` at the head of
the feeder, its price :math:`\lambda` and the levels :math:`g_k(x)` of everything that has a limit
:math:`h_k`, the clearing solves

.. math::

    \max_{0 \le x \le x^{max}, s \ge 0} \sum_i u_i(x_i) - \lambda P_0(x) - \sum_k c_k s_k
    \quad \text{with} \quad g_k(x) - s_k \le h_k ,

where :math:`P_0` and :math:`g` are those of the three-phase solution of OpenDSS, taps and
capacitors held. It does so by successive quadratic programmes: each has the derivatives of the
solution at the answer of the one before, by adjoints of the nodal equations (`nodal`), and the
utility as it is. A limit enters where its linear prediction passes it, and stays. Where answers do
not come nearer to each other, as with bids that hardly fall, the square of the distance to the last
one is added; at rest it is nothing.

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
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from adapters.opendss.feeder import Feeder, FeederTick
from adapters.opendss.limits import KINDS, Limits, Watched
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.nodal import Linearisation
from adapters.opendss.programme import Programme, solve
from cosim.errors import ClearingError, PowerFlowError, Problem, ScenarioError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

TOLERANCE_KW = 1e-3
"""Two successive answers that differ by less are one."""
PASSED = 1e-7
"""How far a level may be above its bound before its limit enters, over the bound."""
MOST_ITERATIONS = 50
"""Solutions of OpenDSS before a clearing gives up."""
_BINDS = 1e-8
"""Worth from which on a limit binds, over its penalty: below is what the solver leaves."""
_WEIGHT = 0.05
"""First weight of the distance between answers, where they do not come nearer by half; it doubles
from then on [USD/MWh/kW]."""
_ENTER = (1000, 4, 4)
"""Most limits of each kind that enter at once, lines only where no transformer is passed, voltages
only where no line is: where the first hold, most of the others hold by themselves."""


@dataclass(frozen=True, eq=False)
class Bids:
    """What the chargers behind each service transformer would take beside their fixed power.

    Every field has shape (service transformer,).
    """

    most_kw: Floats
    """Most power, 0 where there is no bid [kW]."""
    price_usd_per_mwh: Floats
    """What the first kilowatt is worth."""
    slope_usd_per_mwh_per_kw: Floats
    """How much less each further kilowatt is worth, above 0."""

    def utility_usd_per_h(self, power_kw: Floats) -> float:
        """Return what power, shape (service transformer,) [kW], is worth."""
        worth = self.price_usd_per_mwh - self.slope_usd_per_mwh_per_kw * power_kw / 2
        return float(worth @ power_kw) / 1e3

    def problems(self, feeder: Feeder) -> Iterator[Problem]:
        """Yield what is wrong with them for a feeder."""
        ids, count = feeder.service.ids, len(feeder.service)
        floor = {"most_kw": ("at least 0", 0.0), "slope_usd_per_mwh_per_kw": ("above 0", 5e-324)}
        for field, value in vars(self).items():
            if value.shape != (count,):
                yield Problem(f"bids.{field}", f"of shape {value.shape}", f"({count},)")
                continue
            least, lowest = floor.get(field, ("", -np.inf))
            for i in np.flatnonzero(~(np.isfinite(value) & (value >= lowest))):
                allowed = f"a finite number {least}".strip()
                yield Problem(f"bids.{field}[{ids[i]}]", f"{value[i]:g}", allowed)


@dataclass(frozen=True)
class Binding:
    """A limit that binds."""

    kind: str
    """One of `KINDS`."""
    id: str
    """What it is: a transformer, a line and its end and phase, a node."""
    limit: float
    """[kVA, A, pu]."""
    passed_by: float
    """How far it is passed, at its penalty; 0 where it holds [kVA, A, pu]."""
    worth_usd_per_h: float
    """What one more unit of it would save."""


@dataclass(frozen=True)
class Cleared:
    """A cleared feeder; arrays have shape (service transformer,) and are fresh."""

    power_kw: Floats
    """What bids take."""
    price_usd_per_mwh: Floats
    """What one more kilowatt-hour costs there, the sum of the following."""
    energy_usd_per_mwh: Floats
    loss_usd_per_mwh: Floats
    transformer_usd_per_mwh: Floats
    line_usd_per_mwh: Floats
    voltage_usd_per_mwh: Floats
    binding: tuple[Binding, ...]
    """Limits that bind, by kind and then in the order of the feeder."""
    iterations: int
    """Solutions of OpenDSS."""
    cost_usd_per_h: float
    """Cost of the power at the head and of limits passed, less what the bids are worth.

    Where the answer misses a limit by a hair, that counts at the limit's worth, so that the cost is
    right to second order.
    """
    solved: FeederTick
    """The feeder with this power."""


@dataclass(frozen=True, eq=False)
class _Point:
    """A solution, and what follows from it."""

    power_kw: Floats
    """Of the bids, shape (service transformer,)."""
    solved: FeederTick
    about: Linearisation
    tan_phi: Floats
    """Reactive over active power of what is drawn more, shape (service transformer,)."""
    levels: Floats
    """Of all limits, shape (limit,)."""


@dataclass(frozen=True, eq=False)
class _Answer:
    """What the programme about a point says."""

    power_kw: Floats
    """Of the bids, shape (service transformer,)."""
    entered: Indices
    """Limits that it knows, rising."""
    per_kw: Floats
    """How their levels change with the power, shape (entered, service transformer)."""
    passed_by: Floats
    worth: Floats
    """What one more unit of each would save, shape (entered,) [USD/h / 1000]."""


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
        The circuit has elements that the nodal equations do not know, or the feeder is not solved
        every time.
    """

    def __init__(self, feeder: Feeder, limits: Limits) -> None:
        if isinstance(feeder, LinearFeeder):
            raise PowerFlowError("a clearing needs a feeder that OpenDSS solves every time")
        if feeder.volt_var:
            raise PowerFlowError("a clearing needs chargers of one power factor, without volt-var")
        _require(feeder, limits.problems(feeder))
        self._feeder = feeder
        self._watched = Watched(feeder, limits)
        owner = self._owner = feeder.charger_of
        self._node = feeder.equations.at([feeder.bus_ids[i] for i in feeder.charger_node])
        self._phases = np.bincount(owner, minlength=len(feeder.service))
        shape = (len(owner), len(feeder.service))
        share = 1 / self._phases[owner]
        self._mean: Any = sp.csr_array((share, (np.arange(len(owner)), owner)), shape)

    def clear(
        self, load_scale: float, fixed_kw: Floats, bids: Bids, head_usd_per_mwh: float
    ) -> Cleared:
        """Find what bids take and what power is worth, with taps and capacitors as they are.

        The feeder is left solved with the power found.

        Parameters
        ----------
        load_scale
            Factor on the published loads of the feeder [1].
        fixed_kw
            What chargers take at any price, shape (service transformer,) [kW]; negative only where
            there is no bid, since the chargers' reactive power has a kink at no power.
        bids
            What they would take beside.
        head_usd_per_mwh
            Price of power at the head of the feeder.

        Raises
        ------
        ScenarioError
            The input does not fit; all that is wrong.
        PowerFlowError
            OpenDSS could not solve the feeder; see `Feeder.solve`.
        ClearingError
            The answers did not come to rest, or a programme has none.
        """
        _require(self._feeder, self._problems(fixed_kw, bids, head_usd_per_mwh))
        with self._feeder.held():
            return self._cleared(load_scale, fixed_kw, bids, head_usd_per_mwh)

    def _problems(self, fixed_kw: Floats, bids: Bids, price: float) -> Iterator[Problem]:
        yield from bids.problems(self._feeder)
        ids = self._feeder.service.ids
        if not np.isfinite(price):
            yield Problem("head_usd_per_mwh", f"{price:g}", "a finite number")
        if fixed_kw.shape != (len(ids),):
            yield Problem("fixed_kw", f"of shape {fixed_kw.shape}", f"({len(ids)},)")
        elif bids.most_kw.shape == fixed_kw.shape:
            for i in np.flatnonzero(~np.isfinite(fixed_kw)):
                yield Problem(f"fixed_kw[{ids[i]}]", f"{fixed_kw[i]:g}", "a finite number")
            for i in np.flatnonzero((fixed_kw < 0) & (bids.most_kw > 0)):
                yield Problem(f"fixed_kw[{ids[i]}]", f"{fixed_kw[i]:g}", "at least 0 beside a bid")

    def _cleared(self, load_scale: float, fixed_kw: Floats, bids: Bids, price: float) -> Cleared:
        power_kw, entered = np.zeros(len(fixed_kw)), np.zeros(0, np.int64)
        off_kw, weight = np.full(len(fixed_kw), np.inf), 0.0
        for iteration in range(1, MOST_ITERATIONS + 1):
            point = self._point(load_scale, fixed_kw, power_kw, first=iteration == 1)
            answer = self._answer(point, entered, bids, price, weight)
            before_kw, off_kw = off_kw, np.abs(answer.power_kw - power_kw)
            if off_kw.max(initial=0) <= TOLERANCE_KW:
                return self._told(point, answer, bids, price, iteration)
            if off_kw.max() > 0.5 * before_kw.max():
                weight = max(2 * weight, _WEIGHT)
            power_kw, entered = answer.power_kw, answer.entered
        worst = int(np.argmax(off_kw))
        raise ClearingError(
            f"no answer after {MOST_ITERATIONS} solutions: the last two differ by "
            f"{off_kw[worst]:.3g} kW",
            where=f"transformer {self._feeder.service.ids[worst]}",
        )

    def _point(self, load_scale: float, fixed_kw: Floats, power_kw: Floats, first: bool) -> _Point:
        feeder, drawn_kw = self._feeder, fixed_kw + power_kw
        solved = feeder.solve(load_scale, drawn_kw)
        about = feeder.about
        if first:
            self._watched.refresh(about.v, solved.bus_voltage_pu)
        tan_phi = feeder.tan_phi * np.where(drawn_kw < 0, -1, 1)
        return _Point(power_kw, solved, about, tan_phi, self._watched.levels(about.v))

    def _answer(
        self, point: _Point, entered: Indices, bids: Bids, price: float, weight: float
    ) -> _Answer:
        """Solve the programme about a point, with more limits until none is passed."""
        at, watched = np.flatnonzero(bids.most_kw > 0), self._watched
        now_kw = point.power_kw[at]
        value = bids.price_usd_per_mwh - price * (1 + point.solved.charger_marginal_loss)
        value += weight * point.power_kw
        per_kw = self._per_kw(point, entered)
        while True:
            size = np.abs(watched.bound[entered])
            rows = per_kw[:, at] / size[:, None]
            room = (watched.bound[entered] - point.levels[entered]) / size + rows @ now_kw
            found = solve(
                Programme(
                    value=value[at],
                    slope=bids.slope_usd_per_mwh_per_kw[at] + weight,
                    most=bids.most_kw[at],
                    rows=rows,
                    room=room,
                    penalty=1e3 * watched.penalty_usd_per_h[entered] * size,
                )
            )
            power_kw = np.zeros_like(point.power_kw)
            power_kw[at] = found.power
            more = self._passed(point, power_kw, entered)
            if not len(more):
                return _Answer(power_kw, entered, per_kw, found.slack * size, found.dual / size)
            order = np.argsort(np.append(entered, more))
            entered = np.append(entered, more)[order]
            per_kw = np.vstack([per_kw, self._per_kw(point, more)])[order]

    def _per_kw(self, point: _Point, entered: Indices) -> Floats:
        """How levels change with the power, shape (entered, service transformer) [unit/kW]."""
        gradients = self._watched.gradients(point.about.v, entered)
        tan_phi = np.zeros(len(point.about.v))
        tan_phi[self._node] = point.tan_phi[self._owner]
        per_node = 1e3 * point.about.per_load(gradients, tan_phi)[:, self._node]
        return per_node @ self._mean

    def _passed(self, point: _Point, power_kw: Floats, entered: Indices) -> Indices:
        """Return which limits to let in, rising: the worst of those that a power would pass."""
        more_kva = (power_kw - point.power_kw) * (1 + 1j * point.tan_phi) / self._phases
        v, current = point.about.v, np.zeros_like(point.about.v)
        current[self._node] = np.conj(1e3 * more_kva[self._owner] / v[self._node])
        bound, kind = self._watched.bound, self._watched.kind
        levels = self._watched.levels(v + point.about.respond(current))
        over = levels / np.abs(bound) - np.sign(bound)
        over[entered] = -np.inf
        for k, most in enumerate(_ENTER):
            passed = np.flatnonzero((kind == k) & (over > PASSED))
            if len(passed):
                return np.sort(passed[np.argsort(-over[passed], kind="stable")[:most]])
        return np.zeros(0, np.int64)

    def _told(
        self, point: _Point, answer: _Answer, bids: Bids, price: float, iterations: int
    ) -> Cleared:
        watched, entered = self._watched, answer.entered
        parts = answer.worth[:, None] * answer.per_kw
        kind = watched.kind[entered]
        transformer, line, voltage = (parts[kind == k].sum(axis=0) for k in range(len(KINDS)))
        loss = price * point.solved.charger_marginal_loss
        penalty_usd_per_h = watched.penalty_usd_per_h[entered]
        worth_usd_per_h = answer.worth / 1e3
        binding = tuple(
            Binding(
                kind=KINDS[kind[i]],
                id=watched.ids[entered[i]],
                limit=float(np.abs(watched.bound[entered[i]])),
                passed_by=float(answer.passed_by[i]),
                worth_usd_per_h=float(worth_usd_per_h[i]),
            )
            for i in np.flatnonzero(worth_usd_per_h > _BINDS * penalty_usd_per_h)
        )
        over = point.levels[entered] - watched.bound[entered]
        return Cleared(
            power_kw=point.power_kw,
            price_usd_per_mwh=price + loss + transformer + line + voltage,
            energy_usd_per_mwh=np.full(len(loss), price),
            loss_usd_per_mwh=loss,
            transformer_usd_per_mwh=transformer,
            line_usd_per_mwh=line,
            voltage_usd_per_mwh=voltage,
            binding=binding,
            iterations=iterations,
            cost_usd_per_h=price * point.solved.feeder_power_kw / 1e3
            + float(worth_usd_per_h @ over)
            - bids.utility_usd_per_h(point.power_kw),
            solved=point.solved,
        )


def _require(feeder: Feeder, problems: Iterator[Problem]) -> None:
    found = list(problems)
    if found:
        raise ScenarioError(f"clearing of feeder {feeder.name}", found)
