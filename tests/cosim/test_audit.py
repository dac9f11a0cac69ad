"""Each law is broken on purpose, and the audit names law, culprit, tick and both figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cosim.assets import Assets
from cosim.audit import Audit
from cosim.errors import AuditError
from cosim.scenario import Scenario
from cosim.team import Status
from tests.fakes import FACTS, IDS, TINY, quiet_tick

ASSETS = Assets.of(Scenario.model_validate(TINY))
PRICE = 40.0


def busy_tick() -> dict[str, Any]:
    """Return a tick in which vehicle 0 charges 6 kW at station 0 and vehicle 2 drives 2 kWh."""
    efficiency = 0.9
    power = np.array([6.0, 0.0, 0.0])
    charged = np.array([6.0 * efficiency / 12, 0.0, 0.0])
    traction = np.array([0.0, 0.0, 2.0])
    soc = ASSETS.vehicles.initial_soc + np.array([0.01, 0.0, -0.03])
    load, generation = np.array([0, 300.0, 300.0, 400.0, 0]), np.array([400.0, 600.0])
    prices = np.array([10.0, 20.0, 30.0, PRICE, 10.0])
    rent = ((load * prices).sum() - 10.0 * generation.sum()) / 12
    return quiet_tick() | {
        "vehicle_status": np.array([Status.PLUGGED, Status.IDLE, Status.SERVING], dtype=np.int8),
        "vehicle_station": np.array([0, -1, -1], dtype=np.int32),
        "vehicle_traction_kwh": traction,
        "battery_traction_kwh": traction.copy(),
        "vehicle_distance_km": np.array([0.0, 0.0, 10.0]),
        "plug_power_kw": power.copy(),
        "plug_efficiency": np.array([efficiency, 1.0, 1.0]),
        "plug_limit_kw": np.array([7.2, 0.0, 0.0]),
        "vehicle_power_kw": power,
        "pack_energy_kwh": charged - traction,
        "pack_charge_ah": np.array([0.05, 0.0, -0.15]),
        "vehicle_soc": soc,
        "station_power_kw": np.array([6.0, 0.0]),
        "transformer_ev_kw": np.array([6.0, 0.0]),
        "feeder_base_kw": np.array(3000.0),
        "feeder_losses_kw": np.array(90.0),
        "feeder_power_kw": np.array(3096.0),
        "lmp_usd_per_mwh": prices,
        "bus_load_mw": load,
        "generator_mw": generation,
        "congestion_rent_usd": np.array(rent),
        "vehicle_billed_kwh": power / 12,
        "vehicle_cost_usd": power / 12 * PRICE / 1000,
    }


def audit(**options: Any) -> Audit:
    return Audit(ASSETS, IDS, FACTS, **options)


def test_an_honest_tick_passes() -> None:
    check = audit()
    check.take(0, quiet_tick() | {"vehicle_soc": ASSETS.vehicles.initial_soc})
    check.take(1, busy_tick())
    assert check.count == 0


def add(name: str, index: int | None, amount: float) -> dict[str, Any]:
    tick = busy_tick()
    if index is None:
        tick[name] = tick[name] + amount
    else:
        tick[name][index] += amount
    return tick


def both(first: dict[str, Any], **more: Any) -> dict[str, Any]:
    return first | more


BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("traction energy", "vehicle 2", add("battery_traction_kwh", 2, -0.01)),
    ("traction energy", "vehicle 1", add("traction_shortfall_kwh", 1, 0.01)),
    ("does not drive", "vehicle 0", add("vehicle_distance_km", 0, 1.0)),
    ("feeder load of a station", "station 1", add("station_power_kw", 1, 0.01)),
    ("charger load that OpenDSS drew", "transformer t0", add("transformer_ev_kw", 0, 0.01)),
    ("billed energy", "vehicle 0", add("vehicle_billed_kwh", 0, 0.001)),
    ("energy into the pack", "vehicle 0", add("pack_energy_kwh", 0, 0.001)),
    ("within port and vehicle", "vehicle 0", both(busy_tick(), plug_limit_kw=np.full(3, 5.0))),
    ("state of charge", "vehicle 1", add("vehicle_soc", 1, 0.001)),
    ("power into the feeder", "the sum", add("feeder_losses_kw", None, 5.0)),
    ("generation = load", "the sum", add("generator_mw", 1, 0.1)),
    ("bill = energy", "vehicle 0", add("vehicle_cost_usd", 0, 0.01)),
    ("load payments", "the sum", add("congestion_rent_usd", None, 0.1)),
    (
        "holds a port only while plugged in",
        "vehicle 0",
        both(busy_tick(), vehicle_status=np.zeros(3, dtype=np.int8)),
    ),
]


@pytest.mark.parametrize(("law", "where", "tick"), BROKEN, ids=[f"{b[0]}: {b[1]}" for b in BROKEN])
def test_a_broken_law_is_named(law: str, where: str, tick: dict[str, Any]) -> None:
    with pytest.raises(AuditError, match=law) as caught:
        audit().take(5, tick)
    assert caught.value.where == where
    assert caught.value.tick == 5
    assert caught.value.found != caught.value.expected


def crowd() -> dict[str, Any]:
    """Return a tick in which all vehicles hold the two ports of station 0, at full power."""
    power = np.full(3, 7.2)
    return busy_tick() | {
        "vehicle_status": np.full(3, Status.PLUGGED, dtype=np.int8),
        "vehicle_station": np.zeros(3, dtype=np.int32),
        "vehicle_distance_km": np.zeros(3),
        "vehicle_traction_kwh": np.zeros(3),
        "battery_traction_kwh": np.zeros(3),
        "plug_limit_kw": power,
        "plug_efficiency": np.full(3, 0.9),
        "pack_energy_kwh": power * 0.9 / 12,
        "vehicle_power_kw": power,
        "station_power_kw": np.array([21.6, 0.0]),
        "transformer_ev_kw": np.array([21.6, 0.0]),
        "vehicle_billed_kwh": power / 12,
    }


def test_ports_and_station_ratings_hold() -> None:
    laws = [breach.law for breach in audit().breaches(0, crowd())]
    assert "station power within its rating" in laws
    assert "a port holds one vehicle" in laws


def test_feeding_back_stays_within_the_port() -> None:
    tick = busy_tick()
    tick["vehicle_power_kw"] = -tick["vehicle_power_kw"]
    laws = [breach.law for breach in audit().breaches(0, tick)]
    assert "feeding power within port and vehicle" in laws


@pytest.mark.parametrize(
    ("limit", "sign", "law"),
    [
        ("vehicle_charge_limit_kw", 1, "charging power within the battery's limit"),
        ("vehicle_discharge_limit_kw", -1, "feeding power within the battery's limit"),
    ],
)
def test_the_limits_that_the_battery_foresaw_hold(limit: str, sign: int, law: str) -> None:
    check = audit()
    before = quiet_tick() | {"vehicle_soc": ASSETS.vehicles.initial_soc}
    before[limit] = np.full(3, 2.0)
    check.take(0, before)
    tick = busy_tick()
    tick["vehicle_power_kw"] = sign * tick["vehicle_power_kw"]
    assert law in [breach.law for breach in check.breaches(1, tick)]


def test_recuperation_that_a_full_battery_refuses_goes_into_the_brakes() -> None:
    tick = busy_tick()
    tick["vehicle_traction_kwh"][1] = -0.5
    tick["battery_traction_kwh"][1] = -0.1
    tick["pack_energy_kwh"][1] = 0.1
    assert not list(audit().breaches(0, tick))


def test_a_nan_is_a_breach() -> None:
    tick = add("transformer_ev_kw", 1, np.nan)
    with pytest.raises(AuditError, match="transformer t1"):
        audit().take(0, tick)


def test_breaches_can_be_recorded_instead() -> None:
    noted: list[tuple[int, dict[str, Any]]] = []
    check = audit(on_breach="record", note=lambda tick, event: noted.append((tick, event)))
    check.take(4, add("battery_traction_kwh", 2, -0.01))
    assert check.count == len(noted) == 3
    tick, event = noted[0]
    assert (tick, event["vehicle"], event["kind"]) == (4, 2, "audit_breach")
    assert event["value"] == pytest.approx(1.99)
    assert event["limit"] == pytest.approx(2.0)
