"""Key figures: pure functions from a run store to figures with units.

This is the one place where they are defined. A figure that rests on wall time is volatile: it
stands in ``kpis.json`` and is left out of the output digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xarray as xr
from numpy.typing import NDArray

from cosim.signals import ROLES, TICK_HOURS, TICK_S
from cosim.team import Status

KM_PER_MILE = 1.609344
"""International mile, exact."""
DAYS_PER_MONTH = 365.25 / 12
VOLTAGE_LOW_PU, VOLTAGE_HIGH_PU = 0.95, 1.05
"""ANSI C84.1 service voltage, range A."""
TRANSFORMER_LIFE_H = 180_000
"""Normal life of a transformer's insulation at 110 degC [h], IEEE Std C57.91."""


@dataclass(frozen=True)
class Figure:
    """One key figure."""

    value: float | None
    """None where the run has nothing to measure it on."""
    unit: str
    meaning: str
    volatile: bool = False


@dataclass(frozen=True)
class RunData:
    """What figures are made from."""

    data: xr.Dataset
    """``timeseries.zarr``."""
    loop_wall_s: float
    """Wall time from the first tick to the last."""
    audit_breaches: int
    ageing_acceleration: float = 1.0
    """How many times over ageing was counted."""
    events: pa.Table | None = None
    """``events.parquet``; None counts as no events."""

    def array(self, name: str) -> NDArray[Any]:
        """Return a recorded array."""
        return self.data[name].to_numpy()

    def total(self, name: str) -> float:
        """Return the sum of a recorded array."""
        return float(self.array(name).sum())

    def column(self, kind: str, name: str) -> NDArray[np.float64]:
        """Return a column of the events of a kind, without those that lack a value."""
        if self.events is None:
            return np.zeros(0)
        rows = self.events.filter(pc.field("kind") == kind)
        return rows[name].drop_null().to_numpy().astype(np.float64)

    @property
    def vehicles(self) -> int:
        """Number of vehicles."""
        return self.data.sizes["vehicle"]

    @property
    def days(self) -> float:
        """Simulated days."""
        return self.data.sizes["tick"] * TICK_S / 86_400


Rule = Callable[[RunData], float | None]
AnyRule = TypeVar("AnyRule", bound=Rule)
_RULES: dict[str, tuple[str, str, bool, Rule]] = {}


def _figure(
    key: str, unit: str, meaning: str, volatile: bool = False
) -> Callable[[AnyRule], AnyRule]:
    def add(rule: AnyRule) -> AnyRule:
        _RULES[key] = (unit, meaning, volatile, rule)
        return rule

    return add


def compute(run: RunData) -> dict[str, Figure]:
    """Return every key figure of a run, in the order of this module."""
    figures: dict[str, Figure] = {}
    for key, (unit, meaning, volatile, rule) in _RULES.items():
        value = rule(run)
        if value is not None and not np.isfinite(value):
            value = None
        figures[key] = Figure(value, unit, meaning, volatile)
    return figures


def steady(figures: Mapping[str, Figure]) -> dict[str, float | None]:
    """Return the values that do not rest on wall time."""
    return {key: figure.value for key, figure in figures.items() if not figure.volatile}


def _ratio(top: float, bottom: float) -> float | None:
    return top / bottom if bottom else None


@_figure("distance_mi", "mi", "distance driven by the fleet")
def _distance(run: RunData) -> float:
    return run.total("vehicle_distance_km") / KM_PER_MILE


@_figure("energy_driven_kwh", "kWh", "energy that batteries gave for driving")
def _driven(run: RunData) -> float:
    return run.total("battery_traction_kwh")


@_figure("energy_charged_kwh", "kWh", "energy drawn at the plugs, less what was fed back")
def _charged(run: RunData) -> float:
    return run.total("vehicle_power_kw") * TICK_S / 3600


@_figure("fleet_efficiency_mi_per_kwh", "mi/kWh", "distance over the energy that driving takes")
def _efficiency(run: RunData) -> float | None:
    return _ratio(_distance(run), run.total("vehicle_traction_kwh"))


@_figure(
    "fleet_efficiency_wall_mi_per_kwh",
    "mi/kWh",
    "distance over the energy at the plug that driving takes: traction energy over the share of "
    "plug energy that reached the pack's terminals",
)
def _wall_efficiency(run: RunData) -> float | None:
    stored = run.total("pack_energy_kwh") + _driven(run)
    share = _ratio(stored, _charged(run))
    traction = _efficiency(run)
    return traction * share if traction is not None and share is not None else None


@_figure("energy_cost_usd_per_vehicle_month", "USD", "bills per vehicle, scaled to a mean month")
def _cost(run: RunData) -> float:
    return run.total("vehicle_cost_usd") / run.vehicles / run.days * DAYS_PER_MONTH


def _cost_percentile(run: RunData, percent: float) -> float:
    per_vehicle = run.array("vehicle_cost_usd").sum(axis=0)
    return float(np.percentile(per_vehicle, percent)) / run.days * DAYS_PER_MONTH


@_figure(
    "energy_cost_p5_usd_per_vehicle_month",
    "USD",
    "bill of the vehicle below which 5 % lie, likewise",
)
def _cost_low(run: RunData) -> float:
    return _cost_percentile(run, 5)


@_figure("energy_cost_p50_usd_per_vehicle_month", "USD", "bill of the median vehicle, likewise")
def _cost_median(run: RunData) -> float:
    return _cost_percentile(run, 50)


@_figure(
    "energy_cost_p95_usd_per_vehicle_month",
    "USD",
    "bill of the vehicle above which 5 % lie, likewise",
)
def _cost_high(run: RunData) -> float:
    return _cost_percentile(run, 95)


@_figure("v2g_revenue_usd_per_vehicle_month", "USD", "pay for energy fed back, likewise")
def _v2g(run: RunData) -> float:
    cost = run.array("vehicle_cost_usd")
    fed = run.array("vehicle_billed_kwh") < 0
    # Adding 0 turns a negative zero into zero.
    return -float(cost[fed].sum()) / run.vehicles / run.days * DAYS_PER_MONTH + 0.0


@_figure("congestion_rent_usd", "USD", "what the market's operator kept: payments less revenue")
def _rent(run: RunData) -> float:
    return run.total("congestion_rent_usd")


@_figure(
    "battery_degradation_pct_per_year",
    "%/year",
    "mean loss of capacity over the run, of the capacity when new, continued at its pace for a "
    "year of time that is not accelerated; interphase grows by the root of time, so that packs at "
    "rest lose in a year about 1/7 of what the pace of a day says if they are new, 3/5 at three "
    "months of age, 4/5 at one year",
)
def _degradation(run: RunData) -> float | None:
    soh = run.array("vehicle_soh")
    ticks = len(soh) - 1
    if ticks < 1:
        return None
    lost = float((soh[0] - soh[-1]).mean())
    aged_days = ticks * TICK_S / 86_400 * run.ageing_acceleration
    return 100 * lost / aged_days * 365.25


@_figure("fleet_utilization_pct", "%", "share of vehicle time spent on requests, deadhead included")
def _utilization(run: RunData) -> float:
    serving = run.array("vehicle_status") == Status.SERVING
    return 100 * float(run.array("vehicle_busy_s")[serving].sum()) / (serving.size * TICK_S)


@_figure(
    "service_level_pct",
    "%",
    "requests served by their deadline (picked up, or arrived where that is what was asked), of "
    "those whose fate is known at the end",
)
def _service(run: RunData) -> float | None:
    good, bad = (float(run.array(f"requests_{what}")[-1]) for what in ("in_time", "missed"))
    share = _ratio(good, good + bad)
    return None if share is None else 100 * share


@_figure("waiting_mean_min", "min", "mean time from a customer's request to the pick-up")
def _waiting(run: RunData) -> float | None:
    waited_s = run.column("request_served", "value")
    return float(waited_s.mean()) / 60 if waited_s.size else None


@_figure(
    "deadhead_pct",
    "%",
    "distance driven beyond the ways from origin to destination of the trips that were served: to "
    "pick-ups, to stations, and for trips that are not over",
)
def _deadhead(run: RunData) -> float | None:
    driven_km = run.total("vehicle_distance_km")
    served_km = float(run.column("request_served", "distance_km").sum())
    share = _ratio(driven_km - served_km, driven_km)
    return None if share is None else 100 * share


@_figure("trips_refused", "1", "itineraries that could not be driven")
def _refused(run: RunData) -> float:
    return float(run.column("trip_refused", "time_s").size)


@_figure("vehicles_towed", "1", "times that an empty vehicle was towed to a station")
def _towed(run: RunData) -> float:
    return float(run.column("ran_empty", "time_s").size)


@_figure("vehicles_ran_empty", "1", "vehicles whose battery could not give what driving took")
def _empty(run: RunData) -> float:
    return float((run.array("traction_shortfall_kwh") > 0).any(axis=0).sum())


@_figure("feeder_peak_kw", "kW", "highest active power at any feeder's head")
def _peak(run: RunData) -> float:
    return float(run.array("feeder_head_kw").max())


@_figure("fleet_peak_kw", "kW", "highest power of all chargers together")
def _fleet_peak(run: RunData) -> float:
    return float(run.array("vehicle_power_kw").sum(axis=1).max())


@_figure("voltage_min_pu", "1", "lowest voltage of any bus and phase")
def _lowest(run: RunData) -> float:
    return float(run.array("bus_voltage_pu").min())


@_figure("voltage_max_pu", "1", "highest voltage of any bus and phase")
def _highest(run: RunData) -> float:
    return float(run.array("bus_voltage_pu").max())


@_figure(
    "voltage_violation_pct",
    "%",
    "share of bus phases and ticks outside 0.95 to 1.05 pu (ANSI C84.1, range A)",
)
def _outside(run: RunData) -> float:
    voltage = run.array("bus_voltage_pu")
    return 100 * float(((voltage < VOLTAGE_LOW_PU) | (voltage > VOLTAGE_HIGH_PU)).mean())


@_figure(
    "transformers_overloaded",
    "1",
    "transformers above their rating in any tick, the feeder's regulators among them",
)
def _overloaded(run: RunData) -> float:
    return float((run.array("transformer_loading_pct") > 100).any(axis=0).sum())


@_figure(
    "transformer_life_lost_pct",
    "%",
    "share of its normal life (180,000 h, IEEE C57.91) that the fastest-ageing transformer lost",
)
def _life(run: RunData) -> float:
    aged_h = run.array("transformer_ageing_factor").sum(axis=0) * TICK_HOURS
    return 100 * float(aged_h.max(initial=0)) / TRANSFORMER_LIFE_H


@_figure("hot_spot_max_c", "degC", "hottest spot of any transformer's winding")
def _hot_spot(run: RunData) -> float:
    return float(run.array("transformer_hot_spot_c").max())


@_figure("voltage_unbalance_max_pct", "%", "largest negative over positive sequence of any bus")
def _unbalance(run: RunData) -> float:
    return float(run.array("voltage_unbalance_pct").max(initial=0))


@_figure("lines_overloaded", "1", "lines above their own rating in any tick")
def _lines(run: RunData) -> float:
    rated = run.array("line_rated").astype(bool)
    return float(((run.array("line_loading_pct") > 100) & rated).any(axis=0).sum())


@_figure(
    "transmission_loading_max_pct",
    "%",
    "largest apparent power of a transmission line over its limit in the market, with alternating "
    "current",
)
def _transmission(run: RunData) -> float | None:
    limit = run.array("market_line_limit_mw")
    limited = np.isfinite(limit)
    if not limited.any():
        return None
    return 100 * float((run.array("market_line_ac_mva")[:, limited] / limit[limited]).max())


@_figure("audit_breaches", "1", "conservation laws found broken")
def _breaches(run: RunData) -> float:
    return float(run.audit_breaches)


@_figure("decision_latency_p50_ms", "ms", "median wall time of a tick's decisions", True)
def _latency_median(run: RunData) -> float:
    return float(np.percentile(run.array("decision_latency_ms"), 50))


@_figure("decision_latency_p99_ms", "ms", "wall time that 99 % of the ticks' decisions keep", True)
def _latency(run: RunData) -> float:
    return float(np.percentile(run.array("decision_latency_ms"), 99))


@_figure("realtime_factor", "1", "simulated time over the wall time of the ticks", True)
def _speed(run: RunData) -> float | None:
    return _ratio(run.days * 86_400, run.loop_wall_s)


@_figure(
    "coupling_overhead",
    "1",
    "wall time of the ticks over the sum of the engines' own times: what mosaik, checks, audit "
    "and recording add; start-up is outside",
    True,
)
def _overhead(run: RunData) -> float | None:
    return _ratio(run.loop_wall_s, sum(engine_wall_s(run).values()))


def engine_wall_s(run: RunData) -> dict[str, float]:
    """Return the wall time that each engine took over the run [s]."""
    return {role: run.total(f"{role}_wall_s") for role in ROLES[:-1]}
