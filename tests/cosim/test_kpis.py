"""Key figures of a day so small that every one of them is worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xarray as xr

from cosim import kpis
from cosim.events import SCHEMA
from cosim.figures import plain, steady
from cosim.recorder import RECORDED
from cosim.run_data import RunData
from cosim.signals import shape_of
from cosim.team import Status
from tests.fakes import IDS

TICKS = 24
"""Two hours."""
MONTHS = 365.25 / 12 / (TICKS / 288)
"""Runs of this length in a month."""


def tiny_run(**changes: Any) -> RunData:
    """Return a run of two hours with 3 vehicles in which nothing happens but `changes`."""
    arrays: dict[str, Any] = {
        s.name: (("tick", *s.dims), np.zeros((TICKS, *shape_of(s, IDS)), dtype=s.dtype))
        for s in RECORDED
    }
    arrays["line_rated"] = ("line", np.array([True]))
    arrays["market_line_limit_mw"] = ("market_line", np.array([240.0]))
    arrays["bus_voltage_pu"][1][:] = 1.0
    arrays["vehicle_soh"][1][:] = 1.0
    for name, (position, value) in changes.items():
        arrays[name][1][position] = value
    return RunData(xr.Dataset(arrays), loop_wall_s=1.5, audit_breaches=0)


def figure(key: str, **changes: Any) -> float | None:
    return kpis.compute(tiny_run(**changes))[key].value


ALL = np.s_[:]
DRIVEN = {
    "vehicle_distance_km": (np.s_[3, 0], 16.09344),
    "vehicle_traction_kwh": (np.s_[3, 0], 2.0),
    "battery_traction_kwh": (np.s_[3, 0], 2.0),
}
CHARGED = {
    "vehicle_power_kw": (np.s_[5:7, 1], 12.0),
    # 2 kWh at the plug, 1.8 kWh at the terminals, less what was driven.
    "pack_energy_kwh": (np.s_[5, 1], 1.8),
}


@pytest.mark.parametrize(
    ("key", "changes", "expected"),
    [
        ("distance_mi", DRIVEN, 10.0),
        ("energy_driven_kwh", DRIVEN, 2.0),
        ("fleet_efficiency_mi_per_kwh", DRIVEN, 5.0),
        ("fleet_efficiency_mi_per_kwh", {}, None),
        ("energy_charged_kwh", CHARGED, 2.0),
        (
            "fleet_efficiency_wall_mi_per_kwh",
            {**DRIVEN, **CHARGED, "pack_energy_kwh": (np.s_[5, 1], 1.8 - 2.0)},
            5.0 * 0.9,
        ),
        (
            "energy_cost_usd_per_vehicle_month",
            {"vehicle_cost_usd": (np.s_[5, :], [0.3, 0.6, -0.3])},
            0.2 * MONTHS,
        ),
        (
            "limits_cost_usd_per_vehicle_month",
            {"vehicle_limits_usd": (np.s_[5, :], [0.3, 0.6, -0.3])},
            0.2 * MONTHS,
        ),
        (
            "v2g_revenue_usd_per_vehicle_month",
            {
                "vehicle_cost_usd": (np.s_[5, :], [0.3, 0.6, -0.3]),
                "vehicle_billed_kwh": (np.s_[5, :], [3.0, 6.0, -3.0]),
            },
            0.1 * MONTHS,
        ),
        (
            "v2g_revenue_usd_per_vehicle_month",
            {
                "vehicle_cost_usd": (np.s_[5, :], [0.3, 0.6, -0.3]),
                "vehicle_billed_kwh": (np.s_[5, :], [3.0, 6.0, -3.0]),
                "vehicle_reserve_usd": (np.s_[6, 1], 0.6),
            },
            0.3 * MONTHS,
        ),
        (
            "reserve_usd_per_vehicle_month",
            {"vehicle_reserve_usd": (np.s_[5:7, 1], 0.3)},
            0.2 * MONTHS,
        ),
        (
            "demand_response_usd_per_vehicle_month",
            {"vehicle_response_usd": (np.s_[5:7, 1], 0.3)},
            0.2 * MONTHS,
        ),
        ("demand_response_kwh", {"response_settled_kwh": (np.s_[5:7, 0], [4.0, -3.0])}, 4.0),
        *(
            (
                f"energy_cost_{part}_usd_per_vehicle_month",
                {"vehicle_cost_usd": (np.s_[5:7, :], [0.3, 0.6, -0.3])},
                value * MONTHS,
            )
            for part, value in (("p5", -0.48), ("p50", 0.6), ("p95", 1.14))
        ),
        ("congestion_rent_usd", {"congestion_rent_usd": (np.s_[5:7], 1.5)}, 3.0),
        (
            "battery_degradation_pct_per_year",
            {"vehicle_soh": (np.s_[-1, :], [1 - 1e-6, 1 - 2e-6, 1 - 3e-6])},
            100 * 2e-6 / (23 / 288) * 365.25,
        ),
        (
            "fleet_utilization_pct",
            {
                "vehicle_status": (np.s_[:6, 0], Status.SERVING),
                # On the way to a station it is busy, but not with a request.
                "vehicle_busy_s": (np.s_[:8, 0], [300, 300, 300, 300, 300, 150, 300, 300]),
            },
            100 * 1650 / (24 * 3 * 300),
        ),
        (
            "service_level_pct",
            {"requests_in_time": (ALL, 19.0), "requests_missed": (ALL, 1.0)},
            95.0,
        ),
        ("service_level_pct", {}, None),
        ("vehicles_ran_empty", {"traction_shortfall_kwh": (np.s_[3:5, 1], 0.1)}, 1),
        ("feeder_peak_kw", {"feeder_head_kw": ((7, 0), 4200.0)}, 4200.0),
        ("fleet_peak_kw", {"vehicle_power_kw": (np.s_[7, :], [7.0, 50.0, -7.0])}, 50.0),
        ("voltage_min_pu", {"bus_voltage_pu": (np.s_[3, 1], 0.93)}, 0.93),
        ("voltage_max_pu", {"bus_voltage_pu": (np.s_[3, 1], 1.06)}, 1.06),
        ("voltage_violation_pct", {"bus_voltage_pu": (np.s_[:6, 1], 0.93)}, 100 / 12),
        ("transformers_overloaded", {"transformer_loading_pct": (np.s_[3:5, 1], 101.0)}, 1),
        ("lines_overloaded", {"line_loading_pct": (np.s_[3, 0], 150.0)}, 1),
        (
            "lines_overloaded",
            {"line_loading_pct": (np.s_[3, 0], 150.0), "line_rated": (0, False)},
            0,
        ),
        (
            "transformer_life_lost_pct",
            {"transformer_ageing_factor": (np.s_[:, 1], 9.0)},
            100 * 9.0 * 2 / 180_000,
        ),
        ("transmission_loading_max_pct", {"market_line_ac_mva": (np.s_[3, 0], 252.0)}, 105.0),
        ("hot_spot_max_c", {"transformer_hot_spot_c": (np.s_[3, 1], 121.0)}, 121.0),
        ("voltage_unbalance_max_pct", {"voltage_unbalance_pct": (np.s_[3, 0], 2.5)}, 2.5),
        ("audit_breaches", {}, 0),
        ("decision_latency_p50_ms", {"decision_latency_ms": (ALL, 4.0)}, 4.0),
        ("decision_latency_p99_ms", {"decision_latency_ms": (ALL, np.arange(24.0))}, 22.77),
        ("realtime_factor", {}, 4800.0),
        (
            "coupling_overhead",
            {"battery_wall_s": (ALL, 0.03), "traffic_wall_s": (ALL, 0.02)},
            1.25,
        ),
        ("coupling_overhead", {}, None),
    ],
)
def test_figure(key: str, changes: dict[str, Any], expected: float | None) -> None:
    found = figure(key, **changes)
    assert found == (None if expected is None else pytest.approx(expected))


def test_every_figure_has_unit_and_meaning_and_wall_times_are_volatile() -> None:
    figures = kpis.compute(tiny_run())
    for key, entry in figures.items():
        assert entry.unit, key
        assert entry.meaning, key
    volatile = {key for key, entry in figures.items() if entry.volatile}
    assert volatile == {
        "decision_latency_p50_ms",
        "decision_latency_p99_ms",
        "realtime_factor",
        "coupling_overhead",
    }
    assert not volatile & set(steady(figures))


def test_figures_from_events() -> None:
    rows = [
        {"kind": "request_served", "time_s": 900.0, "value": 300.0, "distance_km": 6.0},
        # A trip of a vehicle's own has no customer who waits.
        {"kind": "request_served", "time_s": 900.0, "value": None, "distance_km": 2.0},
        {"kind": "ran_empty", "time_s": 600.0, "value": None, "distance_km": 3.0},
        # Each limit has an event at its begin and one at its end.
        {"kind": "limit_binding", "time_s": 600.0, "start_s": 600.0},
        {"kind": "limit_binding", "time_s": 1500.0, "start_s": 600.0},
        {"kind": "limit_binding", "time_s": 1800.0, "start_s": 900.0},
        {"kind": "clearing_failed", "time_s": 1200.0},
    ]
    run = replace(tiny_run(**DRIVEN), events=pa.Table.from_pylist(rows, SCHEMA))
    found = kpis.compute(run)
    assert found["waiting_mean_min"].value == 5.0
    assert found["deadhead_pct"].value == pytest.approx(100 * (1 - 8.0 / 16.09344))
    assert (found["vehicles_towed"].value, found["trips_refused"].value) == (1.0, 0.0)
    assert found["limit_binding_h"].value == 0.5
    assert found["clearings_failed"].value == 1.0


SUMMED = {
    "vehicles": (3, 2, 1),
    "distance_mi": (30.0, 20.0, 10.0),
    "energy_driven_kwh": (6.0, 2.0, 4.0),
    "energy_charged_kwh": (3.0, 3.0, 0.0),
    "energy_cost_usd": (0.6, 0.9, -0.3),
    "trips_asked": (7, 4, 3),
    "trips_served": (3, 2, 1),
    "trips_late": (1, 1, 0),
    "trips_lost": (3, 1, 2),
    "trips_refused": (1, 0, 1),
    "vehicles_towed": (1, 0, 1),
    "vehicles_ran_empty": (1, 0, 1),
}
"""Of the fleet, of vehicles 0 and 1, and of vehicle 2."""
SHARED: dict[str, tuple[float | None, ...]] = {
    "fleet_efficiency_mi_per_kwh": (30 / 5, 20 / 2, 10 / 3),
    "fleet_utilization_pct": (100 * 3 / 72, 100 * 1 / 48, 100 * 2 / 24),
    "energy_cost_usd_per_vehicle_month": (0.2 * MONTHS, 0.45 * MONTHS, -0.3 * MONTHS),
    "service_level_pct": (100 * 2 / 5, 100 * 1 / 2, 100 * 1 / 3),
    "waiting_mean_min": (10.0, 10.0, None),
    "waiting_p95_min": (14.5, 14.5, None),
    "deadhead_pct": (
        100 * (1 - 40 / 48.28032),
        100 * (1 - 30 / 32.18688),
        100 * (1 - 10 / 16.09344),
    ),
}


def segmented_run() -> RunData:
    """Return a run of two segments in which much happens, with its events."""
    run = tiny_run(
        vehicle_distance_km=(np.s_[3, :], [16.09344, 16.09344, 16.09344]),
        vehicle_traction_kwh=(np.s_[3, :], [2.0, 0.0, 3.0]),
        battery_traction_kwh=(np.s_[3, :], [2.0, 0.0, 4.0]),
        vehicle_power_kw=(np.s_[4, :], [12.0, 24.0, 0.0]),
        vehicle_cost_usd=(np.s_[5, :], [0.3, 0.6, -0.3]),
        traction_shortfall_kwh=(np.s_[3, 2], 0.1),
        vehicle_status=(np.s_[:3, 1:], Status.SERVING),
        vehicle_busy_s=(np.s_[:3, 1:], [[300, 300], [0, 300], [0, 0]]),
    )
    totals = {"known": (4, 3), "in_time": (1, 1), "late": (1, 0), "missed": (1, 2)}
    data = run.data.drop_vars([f"requests_{name}" for name in totals])
    for name, values in totals.items():
        # Only what stands at the end counts.
        counts = np.zeros((TICKS, 2))
        counts[-1] = values
        data[f"requests_{name}"] = (("tick", "segment"), counts)
    coords = {
        "segment": ["taxi", "bus"],
        "vehicle_segment": ("vehicle", ["taxi", "taxi", "bus"]),
        "request_segment": ("request", ["taxi", "bus"]),
    }
    columns = ("kind", "vehicle", "request", "value", "distance_km")
    rows = [
        ("request_served", 0, 0, 300.0, 10.0),
        ("request_served", 1, 0, 900.0, 20.0),
        ("request_served", 2, 1, None, 10.0),
        # Nobody took these: only the request says whose they are.
        ("request_expired", None, 0, None, None),
        ("request_expired", None, 1, None, None),
        ("request_failed", 2, 1, None, None),
        ("trip_refused", 2, None, None, None),
        ("ran_empty", 2, None, None, 3.0),
        ("voltage", None, None, 0.9, None),
    ]
    events = [dict(zip(columns, row, strict=True)) | {"time_s": 900.0} for row in rows]
    return replace(
        run, data=data.assign_coords(coords), events=pa.Table.from_pylist(events, SCHEMA)
    )


@pytest.mark.parametrize("key", [*SUMMED, *SHARED])
def test_a_segment_has_the_figures_of_its_vehicles_and_requests(key: str) -> None:
    found = kpis.compute(segmented_run())[key]
    values = [found.value, *found.by_segment.values()]
    expected = SUMMED.get(key) or SHARED[key]
    assert values == [None if e is None else pytest.approx(e) for e in expected]
    assert list(found.by_segment) == ["taxi", "bus"]
    if key in SUMMED:
        whole, *parts = SUMMED[key]
        assert sum(parts) == pytest.approx(whole)


def test_segments_stand_in_the_file_and_the_digest_where_they_mean_something() -> None:
    figures = kpis.compute(segmented_run())
    content = plain(figures)
    assert content["distance_mi"]["by_segment"] == {
        "taxi": pytest.approx(20.0), "bus": pytest.approx(10.0)
    }  # fmt: skip
    assert "by_segment" not in content["voltage_min_pu"]
    other = replace(figures["distance_mi"], by_segment={"taxi": 10.0, "bus": 20.0})
    assert steady(figures) != steady(figures | {"distance_mi": other})
