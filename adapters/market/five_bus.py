r"""Locational marginal prices of a small market by a DC optimal power flow.

Notes
-----
With power transfer distribution factors :math:`H` (flow on line l per MW injected at bus b and
withdrawn at the reference bus), the market solves, for the offers :math:`c_k` of the blocks
:math:`p_k` that each generator's output is made of,

.. math::

    \min_{p, u}\; \sum_k c_k p_k + v \sum_b u_b
    \quad\text{s.t.}\quad \sum_k p_k + \sum_b u_b = \sum_b d_b \;(\lambda),\quad
    -F \le H (A p + u - d) \le F \;(\mu)

where :math:`u` is load that is not served and :math:`v` its value. The price at bus b is the cost
of one more MW there, :math:`\lambda + \sum_l \mu_l H_{lb}`.

An offer that rises with output is cut into blocks, each at the offer of its middle: the total cost
is exact at their ends. A quadratic program would need no blocks, but the quadratic solver of HiGHS
gives up on some loads and does not return on others, while its simplex method is dependable.

Scaling every offer by :math:`k` scales every price by :math:`k`, so the problem is solved for the
published offers with :math:`v/k` and its duals are multiplied by :math:`k`.

References
----------
F. Li and R. Bo, "Small test systems for power system economic studies", IEEE PES General Meeting
2010, doi:10.1109/PES.2010.5589973.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from adapters.market.pricing import Clearing
from cosim.errors import MarketError
from cosim.signals import TICK_HOURS
from networks.markets import MarketData

Floats = NDArray[np.float64]
BLOCK_STEP_USD_PER_MWH = 0.05
"""Rise from one block of a sloped offer to the next, before scaling."""
MOST_BLOCKS = 100
"""Blocks of one generator at most; a steeper slope makes their steps larger."""
OFFER_CAP = 0.999
"""Highest offer over the value of lost load: markets cap offers there, and load is served first."""
_TOLERANCE = 1e-6
"""Largest relative error accepted in an optimality condition."""


@dataclass(frozen=True)
class Dispatch(Clearing):
    """A cleared settlement interval; its zones are the buses."""

    cost_usd_per_h: float
    """Cost of generation by the offers, with the value of lost load [USD/h]."""


def transfer_factors(data: MarketData) -> Floats:
    """Power transfer distribution factors with the first bus as reference, shape (line, bus)."""
    lines, buses = len(data.line_ids), len(data.bus_ids)
    incidence = np.zeros((lines, buses))
    incidence[np.arange(lines), data.line_from] = 1
    incidence[np.arange(lines), data.line_to] = -1
    branch = incidence / data.x_pu[:, None]
    factors = np.zeros((lines, buses))
    factors[:, 1:] = branch[:, 1:] @ np.linalg.inv(incidence[:, 1:].T @ branch[:, 1:])
    return factors


def _blocks(data: MarketData, slope: float) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Cut every offer into blocks: their generator, size and offer."""
    rise = slope * data.generator_limit_mw
    number = np.ceil(rise / BLOCK_STEP_USD_PER_MWH - 1e-9).astype(np.int64).clip(1, MOST_BLOCKS)
    owner = np.repeat(np.arange(len(number)), number)
    rank = np.concatenate([np.arange(count) for count in number])
    size_mw = (data.generator_limit_mw / number)[owner]
    return owner, size_mw, data.offer_usd_per_mwh[owner] + slope * size_mw * (rank + 0.5)


class FiveBus:
    """A market that is built once and cleared once per settlement interval.

    Every clearing starts from scratch, so that its result does not depend on the ones before.

    Parameters
    ----------
    data
        Tables of the market.
    value_of_lost_load_usd_per_mwh
        Price at which load goes unserved. An offer above it is never called.
    offer_slope_usd_per_mwh_per_mw
        Rise of each generator's offer with its output; 0 is the published case. It turns the jumps
        of the price between offers into ramps, the longer the steeper the slope.
    """

    def __init__(
        self,
        data: MarketData,
        value_of_lost_load_usd_per_mwh: float = 5000.0,
        offer_slope_usd_per_mwh_per_mw: float = 0.0,
    ) -> None:
        self.data = data
        self._value = value_of_lost_load_usd_per_mwh
        self._slope = offer_slope_usd_per_mwh_per_mw
        self._factors = transfer_factors(data)
        self._limited = np.flatnonzero(np.isfinite(data.line_limit_mw))
        self._buses = len(data.bus_ids)
        self._owner, self._block_mw, self._block_offer = _blocks(data, self._slope)
        self._blocks = len(self._owner)
        at = np.concatenate([data.generator_bus[self._owner], np.arange(self._buses)])
        self._rows = np.vstack([np.ones(len(at)), self._factors[np.ix_(self._limited, at)]])
        self._engine: Any = highspy.Highs()
        self._build(len(at))

    @property
    def most_scale(self) -> float:
        """Factor at which the dearest offer is nearly the value of lost load [1]."""
        return OFFER_CAP * self._value / float(self._block_offer.max())

    def _build(self, columns: int) -> None:
        engine = self._engine
        for option, setting in (("output_flag", False), ("threads", 1), ("random_seed", 0)):
            engine.setOptionValue(option, setting)
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            engine.setOptionValue(option, 1e-9)
        engine.addVars(
            columns, np.zeros(columns), np.concatenate([self._block_mw, np.zeros(self._buses)])
        )
        self._columns = np.arange(columns, dtype=np.int32)
        for row in self._rows:
            engine.addRow(0.0, 0.0, columns, self._columns, row)

    def clear(self, load_mw: Floats, offer_scale: float = 1.0) -> Dispatch:
        """Clear one settlement interval.

        Parameters
        ----------
        load_mw
            Load at each bus, shape (bus,) [MW].
        offer_scale
            Factor on every offer, slope included [1].

        Returns
        -------
        Dispatch

        Raises
        ------
        MarketError
            The load is negative or not finite, the scale is not positive, HiGHS does not find an
            optimum, or what it found breaks an optimality condition.
        """
        load_mw = np.asarray(load_mw, dtype=float)
        self._require_input(load_mw, offer_scale)
        self._set(load_mw, offer_scale)
        self._engine.clearSolver()
        self._engine.run()
        status = self._engine.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise MarketError(
                f"no optimum: {self._engine.modelStatusToString(status)} "
                f"at loads {np.round(load_mw, 3).tolist()} MW"
            )
        solution = self._engine.getSolution()
        power = np.array(solution.col_value)
        duals = np.array(solution.row_dual)
        self._require_optimum(load_mw, offer_scale, power, duals)
        return self._dispatch(load_mw, offer_scale, power, duals)

    def _require_input(self, load_mw: Floats, offer_scale: float) -> None:
        if load_mw.shape != (self._buses,):
            raise MarketError(f"load has shape {load_mw.shape}, not ({self._buses},)")
        bad = np.flatnonzero(~(np.isfinite(load_mw) & (load_mw >= 0)))
        if len(bad):
            bus = int(bad[0])
            raise MarketError(
                f"load must be a finite number >= 0, not {load_mw[bus]:g} MW",
                where=f"bus {self.data.bus_ids[bus]}",
            )
        if not (np.isfinite(offer_scale) and offer_scale > 0):
            raise MarketError(f"offer scale must be a finite number > 0, not {offer_scale}")

    def _set(self, load_mw: Floats, offer_scale: float) -> None:
        engine, total = self._engine, float(load_mw.sum())
        engine.changeRowBounds(0, total, total)
        withdrawn = _times(self._factors[self._limited], load_mw)
        for row, line in enumerate(self._limited):
            limit = float(self.data.line_limit_mw[line])
            engine.changeRowBounds(row + 1, withdrawn[row] - limit, withdrawn[row] + limit)
        engine.changeColsCost(len(self._columns), self._columns, self._offers(offer_scale))
        for bus in range(self._buses):
            engine.changeColBounds(self._blocks + bus, 0.0, float(load_mw[bus]))

    def _offers(self, offer_scale: float) -> Floats:
        """Cost of every column, before scaling [USD/MWh]."""
        return np.concatenate([self._block_offer, np.full(self._buses, self._value / offer_scale)])

    def _require_optimum(
        self, load_mw: Floats, offer_scale: float, power: Floats, duals: Floats
    ) -> None:
        """Check the conditions of Karush, Kuhn and Tucker, which prove the optimum."""
        upper = np.concatenate([self._block_mw, load_mw])
        gradient = self._offers(offer_scale) - _times(self._rows.T, duals)
        flow = _times(self._rows[1:], power) - _times(self._factors[self._limited], load_mw)
        limit = self.data.line_limit_mw[self._limited]
        slack = np.where(duals[1:] < 0, limit - flow, limit + flow)
        # At a bound the gradient may push outwards only; between its bounds it must vanish.
        falling = np.where(power < upper - _TOLERANCE, -gradient, 0).max()
        rising = np.where(power > _TOLERANCE, gradient, 0).max()
        # Powers relative to the load, prices relative to the largest price.
        size, price = max(1.0, float(load_mw.sum())), 1 + float(np.abs(duals).max())
        errors = {
            "balance": abs(power.sum() - load_mw.sum()) / size,
            "output": max((-power).max(), (power - upper).max()) / size,
            "line limit": (np.abs(flow) - limit).max(initial=0) / size,
            "offer": max(falling, rising) / price,
            "line price": (np.abs(duals[1:]) * slack).max(initial=0) / price / size,
        }
        for name, error in errors.items():
            if not error <= _TOLERANCE:
                raise MarketError(
                    f"the solution breaks its {name} condition by {error:.3g} (relative) "
                    f"at loads {np.round(load_mw, 3).tolist()} MW"
                )

    def _dispatch(
        self, load_mw: Floats, offer_scale: float, power: Floats, duals: Floats
    ) -> Dispatch:
        block_mw = power[: self._blocks].clip(0, self._block_mw)
        generator_mw = np.bincount(
            self._owner, weights=block_mw, minlength=len(self.data.generator_ids)
        ).astype(np.float64)
        shed_mw = power[self._blocks :].clip(0, load_mw)
        injected = np.bincount(self.data.generator_bus, weights=generator_mw, minlength=self._buses)
        served_mw = load_mw - shed_mw
        lmp = offer_scale * (duals[0] + _times(self._factors[self._limited].T, duals[1:]))
        shadow = np.zeros(len(self.data.line_ids))
        shadow[self._limited] = offer_scale * np.abs(duals[1:])
        return Dispatch(
            lmp_usd_per_mwh=lmp,
            load_mw=load_mw.copy(),
            generator_mw=generator_mw,
            line_flow_mw=_times(self._factors, injected - served_mw),
            line_shadow_usd_per_mwh=shadow,
            load_shed_mw=shed_mw,
            congestion_rent_usd=float((lmp * (served_mw - injected)).sum()) * TICK_HOURS,
            cost_usd_per_h=float(
                offer_scale * (self._block_offer @ block_mw) + self._value * shed_mw.sum()
            ),
        )


def _times(matrix: Floats, vector: Floats) -> Floats:
    """Matrix times vector; BLAS would round it differently on another type of processor."""
    return (matrix * vector).sum(axis=1)
