"""Days of packs that drive, charge and feed back, and the errors of circuits on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import networks.vehicles
from adapters.pybamm.circuit import TICK_S, Circuit
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.packs import Packs
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import PackSpec
from adapters.pybamm.tick import BatteryTick, Floats, Request
from cosim.signals import C_RATES

VEHICLES = {"nmc": "sedan", "lfp": "van"}
"""Body type whose pack the days are driven with."""
SITUATIONS = {"city": 20.0, "fast": 20.0, "v2g": 20.0, "cold": -10.0, "hot": 40.0}
"""Held-out days and their ambient temperature [degC]."""
DAY_TICKS = 288
DAY_VEHICLES = 200
HELD_OUT_SEED = 2


@dataclass(frozen=True)
class Day:
    """A day of vehicles on SPMe packs: what was asked and what they did."""

    spec: PackSpec
    soc: Floats
    """State of charge at the start."""
    ambient_c: float
    requests: list[Request]
    ticks: list[BatteryTick]
    start_soh: Floats
    start_ratio: Floats

    def of(self, name: str) -> Floats:
        """Return a field of all ticks, shape (tick, vehicle)."""
        return np.array([getattr(tick, name) for tick in self.ticks])


def drive(kernel: Kernel, situation: str, ambient_c: float, seed: int) -> Day:
    """Let SPMe packs drive, charge and feed back through a day.

    Parameters
    ----------
    kernel
        The cell model.
    situation
        One of `SITUATIONS`.
    ambient_c
        Ambient temperature [degC].
    seed
        Seed of the vehicles' day.
    """
    rng = np.random.default_rng([seed, sorted(SITUATIONS).index(situation)])
    body = networks.vehicles.load()[VEHICLES[kernel.options.chemistry]]
    full = np.ones(DAY_VEHICLES)
    spec = PackSpec.of(
        body.battery_kwh * full, body.nominal_voltage_v, body.dc_charge_kw,
        body.motor_kw / body.propulsion_efficiency,
    )  # fmt: skip
    soc = rng.uniform(0.2, 0.95, DAY_VEHICLES)
    packs = Packs(kernel, spec, soc, initial_temperature_c=ambient_c)
    start_soh, start_ratio = packs.soh, packs.resistance_ratio
    fast = full * (1.0 if situation == "fast" else 0.0 if situation == "city" else 0.3)
    quick = rng.random(DAY_VEHICLES) < fast
    plug_kw = np.where(quick, body.dc_charge_kw / body.dc_charge_efficiency, body.ac_charge_kw)
    efficiency = np.where(quick, body.dc_charge_efficiency, body.ac_charge_efficiency)
    requests: list[Request] = []
    ticks: list[BatteryTick] = []
    driving, charging = rng.random(DAY_VEHICLES) < 0.3, np.zeros(DAY_VEHICLES, dtype=bool)
    low, high = rng.uniform(0.1, 0.4, DAY_VEHICLES), rng.uniform(0.7, 0.95, DAY_VEHICLES)
    speed_kmh = rng.uniform(15, 110, DAY_VEHICLES)
    feed_kw = np.zeros(DAY_VEHICLES)
    for tick in range(DAY_TICKS):
        soc_now = packs.soc
        charging = (charging & (soc_now < high)) | (soc_now < low)
        starts = rng.random(DAY_VEHICLES) < (0.01 if situation == "v2g" else 0.08)
        driving = np.where(driving, rng.random(DAY_VEHICLES) > 0.25, starts) & ~charging
        fresh = rng.uniform(15, 110, DAY_VEHICLES)
        speed_kmh = np.where(rng.random(DAY_VEHICLES) < 0.3, fresh, speed_kmh)
        use = rng.normal(1.0, 0.25, DAY_VEHICLES) * body.epa_kwh_per_100km / 100
        traction = np.where(driving, use * speed_kmh * TICK_S / 3600, 0.0)
        if tick % 6 == 0:
            feed_kw = rng.uniform(-1, 1, DAY_VEHICLES) * body.v2g_discharge_kw
        feed = feed_kw if situation == "v2g" else 0.0
        plug = np.where(charging, plug_kw, np.where(driving, 0.0, feed))
        request = Request(traction, plug, efficiency, ambient_c * full)
        requests.append(request)
        ticks.append(packs.advance(tick, request))
    return Day(spec, soc, ambient_c, requests, ticks, start_soh, start_ratio)


def replay(circuit: Circuit, day: Day) -> tuple[Reservoirs, Day]:
    """Ask the circuit's packs what the SPMe packs of a day were asked."""
    packs = Reservoirs(circuit, day.spec, day.soc, initial_temperature_c=day.ambient_c)
    soh, ratio = packs.soh, packs.resistance_ratio
    ticks = [packs.advance(i, request) for i, request in enumerate(day.requests)]
    return packs, Day(day.spec, day.soc, day.ambient_c, day.requests, ticks, soh, ratio)


def errors(day: Day, same: Day) -> dict[str, float]:
    """Errors of a replayed day; the names say what and in which unit."""
    hours = TICK_S / 3600

    def rms(values: Floats) -> float:
        return float(np.sqrt(np.mean(values**2)))

    def total(of: Day, name: str) -> float:
        return float(of.of(name).sum())

    soc = same.ticks[-1].vehicle_soc - day.ticks[-1].vehicle_soc
    drawn = [np.maximum(of.of("vehicle_power_kw"), 0).sum(axis=0) * hours for of in (day, same)]
    pack_kwh = day.spec.energy_kwh
    worn = [of.start_soh - of.ticks[-1].vehicle_soh for of in (day, same)]
    found = {
        "soc_end_rms": rms(soc),
        "soc_end_worst": float(np.abs(soc).max()),
        "drawn_of_pack": float((drawn[0] / pack_kwh).mean()),
        "drawn_error_of_pack": float(((drawn[1] - drawn[0]) / pack_kwh).mean()),
        "loss_pct": 100 * (total(same, "pack_loss_kwh") / total(day, "pack_loss_kwh") - 1),
        "temperature_rms_k": rms(
            same.of("vehicle_temperature_c") - day.of("vehicle_temperature_c")
        ),
        "temperature_worst_k": float(
            np.abs(same.of("vehicle_temperature_c") - day.of("vehicle_temperature_c")).max()
        ),
    }
    for side, most in (
        ("charge", day.spec.max_charge_kw),
        ("discharge", day.spec.max_discharge_kw),
    ):
        name = f"vehicle_{side}_limit_kw"
        off = (same.of(name) - day.of(name)) / most
        found[f"{side}_limit_rms_pct"] = 100 * rms(off)
        found[f"{side}_limit_bias_pct"] = 100 * float(off.mean())
    found["capacity_loss_per_day"] = float(worn[0].mean())
    found["capacity_loss_pct"] = float(100 * (worn[1].mean() / worn[0].mean() - 1))
    spread = float(np.corrcoef(worn[0], worn[1])[0, 1])
    found["capacity_loss_correlation"] = spread
    wear = [np.median(of.of("vehicle_wear_usd_per_kwh"), axis=(0, 1)) for of in (day, same)]
    for k, rate in enumerate(C_RATES):
        name = f"{'charge' if rate > 0 else 'discharge'}_wear_usd_at_{abs(rate):g}c"
        name = name.replace(".", "_")
        found[name] = float(wear[0][k])
        found[f"{name}_circuit"] = float(wear[1][k])
    return found


def measure(kernel: Kernel, circuit: Circuit) -> dict[str, dict[str, float]]:
    """Errors of a circuit on the held-out day of each situation."""
    found: dict[str, dict[str, float]] = {}
    for situation, ambient_c in SITUATIONS.items():
        day = drive(kernel, situation, ambient_c, HELD_OUT_SEED)
        found[situation] = errors(day, replay(circuit, day)[1])
    return found
