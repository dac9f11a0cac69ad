"""Key figures: pure functions from a run store to figures with units.

This is the one place where they are defined. Those of what vehicles do are made for the whole fleet
and, by the same rule, for each of its segments. A figure that rests on wall time is volatile: it
stands in ``kpis.json`` and is left out of the output digest.
"""

from __future__ import annotations

import numpy as np

from cosim.figures import DEFINITIONS, Figure, figure, finite, of_vehicles, ratio
from cosim.run_data import RunData
from cosim.signals import ROLES, TICK_HOURS, TICK_S, Role
from cosim.team import Status

KM_PER_MILE = 1.609344
"""International mile, exact."""
DAYS_PER_MONTH = 365.25 / 12
VOLTAGE_LOW_PU, VOLTAGE_HIGH_PU = 0.95, 1.05
"""ANSI C84.1 service voltage, range A."""
TRANSFORMER_LIFE_H = 180_000
"""Normal life of a transformer's insulation at 110 degC [h], IEEE Std C57.91."""


def compute(run: RunData) -> dict[str, Figure]:
    """Return every key figure of a run, in the order of this module."""
    figures: dict[str, Figure] = {}
    parts = run.parts()
    for key, what in DEFINITIONS.items():
        by_segment = {p.segment: finite(what.rule(p)) for p in parts if what.of_segments}
        value = finite(what.rule(run))
        figures[key] = Figure(value, what.unit, what.meaning, what.volatile, by_segment)
        run.forget()
    return figures


@of_vehicles("vehicles", "1", "number of vehicles")
def _vehicles(run: RunData) -> float:
    return float(run.vehicles)


@of_vehicles("distance_mi", "mi", "distance driven by the fleet")
def _distance(run: RunData) -> float:
    return run.total("vehicle_distance_km") / KM_PER_MILE


@of_vehicles("energy_driven_kwh", "kWh", "energy that batteries gave for driving")
def _driven(run: RunData) -> float:
    return run.total("battery_traction_kwh")


@of_vehicles("energy_charged_kwh", "kWh", "energy drawn at the plugs, less what was fed back")
def _charged(run: RunData) -> float:
    return run.total("vehicle_power_kw") * TICK_S / 3600


@of_vehicles("fleet_efficiency_mi_per_kwh", "mi/kWh", "distance over the energy that driving takes")
def _efficiency(run: RunData) -> float | None:
    return ratio(_distance(run), run.total("vehicle_traction_kwh"))


@of_vehicles(
    "fleet_efficiency_wall_mi_per_kwh",
    "mi/kWh",
    "distance over the energy at the plug that driving takes: traction energy over the share of "
    "plug energy that reached the pack's terminals",
)
def _wall_efficiency(run: RunData) -> float | None:
    stored = run.total("pack_energy_kwh") + _driven(run)
    share = ratio(stored, _charged(run))
    traction = _efficiency(run)
    return traction * share if traction is not None and share is not None else None


@of_vehicles("energy_cost_usd", "USD", "bills for energy, less the pay for what was fed back")
def _bills(run: RunData) -> float:
    return run.total("vehicle_cost_usd")


@of_vehicles(
    "energy_cost_usd_per_vehicle_month", "USD", "bills per vehicle, scaled to a mean month"
)
def _cost(run: RunData) -> float:
    return _bills(run) / run.vehicles / run.days * DAYS_PER_MONTH


def _cost_percentile(run: RunData, percent: float) -> float:
    per_vehicle = run.array("vehicle_cost_usd").sum(axis=0)
    return float(np.percentile(per_vehicle, percent)) / run.days * DAYS_PER_MONTH


@of_vehicles(
    "energy_cost_p5_usd_per_vehicle_month",
    "USD",
    "bill of the vehicle below which 5 % lie, likewise",
)
def _cost_low(run: RunData) -> float:
    return _cost_percentile(run, 5)


@of_vehicles("energy_cost_p50_usd_per_vehicle_month", "USD", "bill of the median vehicle, likewise")
def _cost_median(run: RunData) -> float:
    return _cost_percentile(run, 50)


@of_vehicles(
    "energy_cost_p95_usd_per_vehicle_month",
    "USD",
    "bill of the vehicle above which 5 % lie, likewise",
)
def _cost_high(run: RunData) -> float:
    return _cost_percentile(run, 95)


@of_vehicles(
    "v2g_revenue_usd_per_vehicle_month",
    "USD",
    "pay for energy fed back and for reserve held, likewise",
)
def _v2g(run: RunData) -> float:
    cost = run.array("vehicle_cost_usd")
    fed = run.array("vehicle_billed_kwh") < 0
    # Adding 0 turns a negative zero into zero.
    energy = -float(cost[fed].sum()) / run.vehicles / run.days * DAYS_PER_MONTH + 0.0
    return energy + _reserve(run)


@of_vehicles("reserve_usd_per_vehicle_month", "USD", "pay for reserve held, likewise")
def _reserve(run: RunData) -> float:
    return run.total("vehicle_reserve_usd") / run.vehicles / run.days * DAYS_PER_MONTH


@of_vehicles("demand_response_usd_per_vehicle_month", "USD", "pay for demand response, likewise")
def _response(run: RunData) -> float:
    return run.total("vehicle_response_usd") / run.vehicles / run.days * DAYS_PER_MONTH


@figure(
    "demand_response_kwh",
    "kWh",
    "energy that was paid as demand response: below the baseline, over each event and feeder",
)
def _answered(run: RunData) -> float:
    return float(np.maximum(run.array("response_settled_kwh"), 0.0).sum())


@of_vehicles(
    "limits_cost_usd_per_vehicle_month",
    "USD",
    "part of the bills for limits of the feeders, less the pay for feeding back against them, "
    "likewise",
)
def _limits_cost(run: RunData) -> float:
    return run.total("vehicle_limits_usd") / run.vehicles / run.days * DAYS_PER_MONTH


@figure("congestion_rent_usd", "USD", "what the market's operator kept: payments less revenue")
def _rent(run: RunData) -> float:
    return run.total("congestion_rent_usd")


@of_vehicles(
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


@of_vehicles(
    "fleet_utilization_pct", "%", "share of vehicle time spent on requests, deadhead included"
)
def _utilization(run: RunData) -> float:
    serving = run.array("vehicle_status") == Status.SERVING
    return 100 * float(run.array("vehicle_busy_s")[serving].sum()) / (serving.size * TICK_S)


@of_vehicles(
    "service_level_pct",
    "%",
    "requests served by their deadline (picked up, or arrived where that is what was asked), of "
    "those whose fate is known at the end",
)
def _service(run: RunData) -> float | None:
    good, bad = run.last("requests_in_time"), run.last("requests_missed")
    share = ratio(good, good + bad)
    return None if share is None else 100 * share


@of_vehicles("trips_asked", "1", "trips and requests that became known, own trips among them")
def _asked(run: RunData) -> float:
    return run.last("requests_known")


@of_vehicles("trips_served", "1", "trips that reached their destination, in time or not")
def _served(run: RunData) -> float:
    return run.count("request_served")


@of_vehicles("trips_late", "1", "trips served after their deadline, or under way so")
def _late(run: RunData) -> float:
    return run.last("requests_late")


@of_vehicles("trips_lost", "1", "trips that nobody began in time, or that were broken off")
def _lost(run: RunData) -> float:
    return run.count("request_expired", "request_failed")


@of_vehicles("waiting_mean_min", "min", "mean time from a customer's request to the pick-up")
def _waiting(run: RunData) -> float | None:
    waited_s = run.column("request_served", "value")
    return float(waited_s.mean()) / 60 if waited_s.size else None


@of_vehicles("waiting_p95_min", "min", "wait that 95 % of the customers served did not exceed")
def _long_waiting(run: RunData) -> float | None:
    waited_s = run.column("request_served", "value")
    return float(np.percentile(waited_s, 95)) / 60 if waited_s.size else None


@of_vehicles(
    "deadhead_pct",
    "%",
    "distance driven beyond the ways from origin to destination of the trips that were served: to "
    "pick-ups, to stations, and for trips that are not over",
)
def _deadhead(run: RunData) -> float | None:
    driven_km = run.total("vehicle_distance_km")
    served_km = float(run.column("request_served", "distance_km").sum())
    share = ratio(driven_km - served_km, driven_km)
    return None if share is None else 100 * share


@of_vehicles("trips_refused", "1", "itineraries that could not be driven")
def _refused(run: RunData) -> float:
    return run.count("trip_refused")


@of_vehicles("vehicles_towed", "1", "times that an empty vehicle was towed to a station")
def _towed(run: RunData) -> float:
    return run.count("ran_empty")


@of_vehicles("vehicles_ran_empty", "1", "vehicles whose battery could not give what driving took")
def _empty(run: RunData) -> float:
    return float((run.array("traction_shortfall_kwh") > 0).any(axis=0).sum())


@figure("feeder_peak_kw", "kW", "highest active power at any feeder's head")
def _peak(run: RunData) -> float:
    return float(run.array("feeder_head_kw").max())


@figure("fleet_peak_kw", "kW", "highest power of all chargers together")
def _fleet_peak(run: RunData) -> float:
    return float(run.array("vehicle_power_kw").sum(axis=1).max())


@figure("voltage_min_pu", "1", "lowest voltage of any bus and phase")
def _lowest(run: RunData) -> float:
    return float(run.array("bus_voltage_pu").min())


@figure("voltage_max_pu", "1", "highest voltage of any bus and phase")
def _highest(run: RunData) -> float:
    return float(run.array("bus_voltage_pu").max())


@figure(
    "voltage_violation_pct",
    "%",
    "share of bus phases and ticks outside 0.95 to 1.05 pu (ANSI C84.1, range A)",
)
def _outside(run: RunData) -> float:
    voltage = run.array("bus_voltage_pu")
    return 100 * float(((voltage < VOLTAGE_LOW_PU) | (voltage > VOLTAGE_HIGH_PU)).mean())


@figure(
    "transformers_overloaded",
    "1",
    "transformers above their rating in any tick, the feeder's regulators among them",
)
def _overloaded(run: RunData) -> float:
    return float((run.array("transformer_loading_pct") > 100).any(axis=0).sum())


@figure("limit_binding_h", "h", "time in which a feeder's limit bound, summed over its limits")
def _binding(run: RunData) -> float:
    lasted_s = run.column("limit_binding", "time_s") - run.column("limit_binding", "start_s")
    return float(lasted_s.sum()) / 3600


@figure("clearings_failed", "1", "clearings of bids at a feeder without an answer")
def _unanswered(run: RunData) -> float:
    return run.count("clearing_failed")


@figure(
    "transformer_life_lost_pct",
    "%",
    "share of its normal life (180,000 h, IEEE C57.91) that the fastest-ageing transformer lost",
)
def _life(run: RunData) -> float:
    aged_h = run.array("transformer_ageing_factor").sum(axis=0) * TICK_HOURS
    return 100 * float(aged_h.max(initial=0)) / TRANSFORMER_LIFE_H


@figure("hot_spot_max_c", "degC", "hottest spot of any transformer's winding")
def _hot_spot(run: RunData) -> float:
    return float(run.array("transformer_hot_spot_c").max())


@figure("voltage_unbalance_max_pct", "%", "largest negative over positive sequence of any bus")
def _unbalance(run: RunData) -> float:
    return float(run.array("voltage_unbalance_pct").max(initial=0))


@figure("lines_overloaded", "1", "lines above their own rating in any tick")
def _lines(run: RunData) -> float:
    rated = run.array("line_rated").astype(bool)
    return float(((run.array("line_loading_pct") > 100) & rated).any(axis=0).sum())


@figure(
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


@figure("audit_breaches", "1", "conservation laws found broken")
def _breaches(run: RunData) -> float:
    return float(run.audit_breaches)


@figure("decision_latency_p50_ms", "ms", "median wall time of a tick's decisions", volatile=True)
def _latency_median(run: RunData) -> float:
    return float(np.percentile(run.array("decision_latency_ms"), 50))


@figure(
    "decision_latency_p99_ms",
    "ms",
    "wall time that 99 % of the ticks' decisions keep",
    volatile=True,
)
def _latency(run: RunData) -> float:
    return float(np.percentile(run.array("decision_latency_ms"), 99))


@figure("realtime_factor", "1", "simulated time over the wall time of the ticks", volatile=True)
def _speed(run: RunData) -> float | None:
    return ratio(run.days * 86_400, run.loop_wall_s)


@figure(
    "coupling_overhead",
    "1",
    "wall time of the ticks over the sum of the engines' own times: what mosaik, checks, audit "
    "and recording add; start-up is outside",
    volatile=True,
)
def _overhead(run: RunData) -> float | None:
    return ratio(run.loop_wall_s, sum(engine_wall_s(run).values()))


def engine_wall_s(run: RunData) -> dict[Role, float]:
    """Return the wall time that each engine took over the run [s]."""
    return {role: run.total(f"{role}_wall_s") for role in ROLES[:-1]}
