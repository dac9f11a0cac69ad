"""Observations of a busy fleet without a run behind them, for benchmarks and self-tests."""

from __future__ import annotations

import numpy as np

from cosim.assets import Surroundings
from cosim.signals import C_RATES, VIA
from cosim.team import Observation, Plan, RequestStatus, Status


def observation(around: Surroundings, requests: int, rng: np.random.Generator) -> Observation:
    """Return a random observation in which every request is open.

    Parameters
    ----------
    around
        Vehicles, stations and roads of a scenario.
    requests
        Number of open requests.
    rng
        Random generator.
    """
    vehicles, stations = len(around.vehicles.ids), len(around.stations.ids)
    feeders = int(around.stations.feeder.max()) + 1
    zones = around.roads.zone_edge
    status = rng.choice([Status.IDLE, Status.SERVING, Status.PLUGGED], vehicles, p=[0.6, 0.3, 0.1])
    plugged = status == Status.PLUGGED
    return Observation(
        tick=0,
        vehicle_status=status.astype(np.int8),
        vehicle_station=np.where(plugged, rng.integers(0, stations, vehicles), -1).astype(np.int32),
        vehicle_next_departure_s=np.full(vehicles, -1.0),
        vehicle_next_km=np.zeros(vehicles),
        request_status=np.full(requests, RequestStatus.OPEN, dtype=np.int8),
        request_origin_edge=rng.choice(zones, requests).astype(np.int32),
        request_destination_edge=rng.choice(zones, requests).astype(np.int32),
        request_segment=np.zeros(requests, dtype=np.int32),
        request_deadline_s=rng.uniform(300, 2100, requests),
        station_free_ports=around.stations.ports.copy(),
        ambient_c=np.array(20.0),
        station_queue=np.zeros(stations, dtype=np.int32),
        vehicle_edge=rng.choice(zones, vehicles).astype(np.int32),
        vehicle_driving=status == Status.SERVING,
        legs_completed=np.zeros(vehicles, dtype=np.int32),
        vehicle_soc=rng.uniform(0.1, 1.0, vehicles),
        vehicle_soh=np.full(vehicles, 0.97),
        vehicle_resistance_ratio=np.full(vehicles, 1.05),
        vehicle_temperature_c=np.full(vehicles, 25.0),
        vehicle_charge_limit_kw=np.full(vehicles, 100.0),
        vehicle_discharge_limit_kw=np.full(vehicles, 100.0),
        vehicle_c_rate_headroom=np.full(vehicles, 1.0),
        vehicle_wear_usd_per_kwh=np.full((vehicles, len(C_RATES)), 0.02),
        station_power_kw=np.zeros(stations),
        bus_voltage_pu=np.ones(1),
        transformer_loading_pct=np.zeros(1),
        feeder_power_kw=np.zeros(()),
        vehicle_cleared_kw=np.zeros(vehicles),
        station_transformer_usd_per_mwh=np.zeros(stations),
        station_line_usd_per_mwh=np.zeros(stations),
        station_voltage_usd_per_mwh=np.zeros(stations),
        station_price_usd_per_mwh=np.full(stations, 30.0),
        vehicle_cost_usd=np.zeros(vehicles),
        response_begin_s=np.full(feeders, -1.0),
        response_end_s=np.full(feeders, -1.0),
        response_offer_usd_per_mwh=np.zeros(feeders),
        vehicle_response_usd=np.zeros(vehicles),
        reserve_price_usd_per_mw_h=np.zeros(()),
        vehicle_reserve_kw=np.zeros(vehicles),
        vehicle_reserve_usd=np.zeros(vehicles),
        vehicle_called=np.zeros(vehicles, dtype=np.bool_),
    )


def empty_plan(seen: Observation) -> Plan:
    """Return a plan that orders nothing."""
    vehicles = len(seen.vehicle_soc)
    return Plan(
        request_vehicle=np.full(len(seen.request_status), -1, dtype=np.int32),
        vehicle_goto_station=np.full(vehicles, -1, dtype=np.int32),
        vehicle_charge_kw=np.zeros(vehicles),
        vehicle_target_soc=np.ones(vehicles),
        vehicle_bid_usd_per_mwh=np.full(vehicles, 5000.0),
        vehicle_ask_usd_per_mwh=np.full(vehicles, -5000.0),
        vehicle_via_edge=np.full((vehicles, VIA), -1, dtype=np.int32),
        vehicle_reserve_usd_per_mw_h=np.full(vehicles, -1.0),
    )
