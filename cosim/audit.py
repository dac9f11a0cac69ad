"""Conservation checks at every tick: energy, power limits, money.

Each law compares two figures that come from different simulators, per vehicle, station or
transformer and in sum. Tolerances are for rounding: they are stated beside each law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cosim.assets import Assets
from cosim.errors import AuditError
from cosim.signals import TICK_S, Ids
from cosim.simulator import Facts
from cosim.team import Status

Floats = NDArray[np.float64]
HOURS = TICK_S / 3600
"""Hours in a tick."""
ENERGY_ABS_KWH, ENERGY_REL = 1e-6, 1e-6
"""Energy and power balances hold to this, absolute plus relative."""
FEEDER_REL = 1e-4
"""OpenDSS solves to a power mismatch of about 1e-4 of the feeder."""
SOC_TOLERANCE = 2e-4
"""State of charge against its own integral over a tick: side reactions take the rest."""
BATTERY_LIMIT_REL = 0.01
"""Delivered power may pass the sustained limit that the battery foresaw by this share."""
MONEY_USD = 1e-6
"""Bills hold to this."""


@dataclass(frozen=True)
class Breach:
    """One broken law."""

    law: str
    tick: int
    dim: str
    """Dimension of the culprit, empty for a sum."""
    index: int
    where: str
    """The culprit, such as ``vehicle 17``."""
    found: float
    expected: float
    unit: str

    def error(self) -> AuditError:
        """Return the breach as the error that stops a run."""
        return AuditError(self.law, self.tick, self.where, self.found, self.expected, self.unit)

    def event(self) -> dict[str, Any]:
        """Return the breach as an event."""
        named = {self.dim: self.index} if self.dim in ("vehicle", "station") else {}
        return {
            "kind": "audit_breach",
            "time_s": float((self.tick + 1) * TICK_S),
            "value": self.found,
            "limit": self.expected,
            "detail": f"{self.law}: {self.where} [{self.unit}]",
            **named,
        }


class Audit:
    """Checks every tick; keeps what it needs of the tick before.

    Parameters
    ----------
    assets
        Static tables of the scenario.
    ids
        Ids of every dimension.
    facts
        Facts of the simulators; ``station_transformer`` and ``generator_zone`` are used.
    on_breach
        ``stop`` raises the first breach; ``record`` keeps all of them in `breaches`.
    note
        Called with (tick, event) for every breach that is recorded.
    """

    def __init__(
        self,
        assets: Assets,
        ids: Ids,
        facts: Facts,
        on_breach: Literal["stop", "record"] = "stop",
        note: Callable[[int, dict[str, Any]], None] | None = None,
    ) -> None:
        self._ids = ids
        self._on_breach = on_breach
        self._note = note
        stations = assets.stations
        self._ports = stations.ports
        self._rating_kw = stations.rating_kw
        self._zone = ids["zone"].index("D")
        position = {name: i for i, name in enumerate(ids["transformer"])}
        self._transformer = np.array([position[n] for n in facts["station_transformer"][1]])
        zones = {name: i for i, name in enumerate(ids["zone"])}
        self._generator_zone = np.array([zones[n] for n in facts["generator_zone"][1]])
        self._soc_before = assets.vehicles.initial_soc
        self._charge_limit_before: Floats | None = None
        self._discharge_limit_before: Floats | None = None
        self.count = 0
        """Breaches so far."""

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Check one tick.

        Raises
        ------
        AuditError
            At the first breach, unless breaches are only recorded.
        """
        for breach in self.breaches(tick, signals):
            self.count += 1
            if self._on_breach == "stop":
                raise breach.error()
            if self._note:
                self._note(tick, breach.event())
        self._soc_before = signals["vehicle_soc"]
        self._charge_limit_before = signals["vehicle_charge_limit_kw"]
        self._discharge_limit_before = signals["vehicle_discharge_limit_kw"]

    def breaches(self, tick: int, s: Mapping[str, Any]) -> Iterator[Breach]:
        """Yield every law that the tick breaks."""
        check = _Checker(tick, self._ids)
        yield from self._driving(check, s)
        yield from self._charging(check, s)
        yield from self._limits(check, s)
        yield from self._state_of_charge(check, s)
        yield from self._feeder(check, s)
        yield from self._money(check, s)

    def _driving(self, check: _Checker, s: Mapping[str, Any]) -> Iterator[Breach]:
        asked, given = s["vehicle_traction_kwh"], s["battery_traction_kwh"]
        # Recuperation that a full battery cannot take goes into the brakes.
        braked = (asked < 0) & (given >= asked) & (given <= ENERGY_ABS_KWH)
        met = np.where(braked, asked, given + s["traction_shortfall_kwh"])
        yield from check.equal(
            "traction energy from the battery = energy of driving", "vehicle", met, asked, "kWh"
        )
        yield from check.equal_sum(
            "traction energy from the batteries = energy of driving", met, asked, "kWh"
        )
        still = s["vehicle_station"] >= 0
        yield from check.equal(
            "a vehicle at a port does not drive",
            "vehicle",
            np.where(still, s["vehicle_distance_km"], 0.0),
            np.zeros(len(still)),
            "km",
        )

    def _charging(self, check: _Checker, s: Mapping[str, Any]) -> Iterator[Breach]:
        power, at = s["vehicle_power_kw"], s["vehicle_station"]
        count = len(self._ports)
        carried = np.bincount(at[at >= 0], power[at >= 0], minlength=count)
        yield from check.equal(
            "feeder load of a station = power of its vehicles",
            "station",
            s["station_power_kw"],
            carried,
            "kW",
        )
        below = np.bincount(self._transformer, carried, minlength=len(self._ids["transformer"]))
        yield from check.equal(
            "charger load that OpenDSS drew = power of the stations",
            "transformer",
            s["transformer_ev_kw"],
            below,
            "kW",
        )
        yield from check.equal(
            "billed energy = delivered energy",
            "vehicle",
            s["vehicle_billed_kwh"],
            power * HOURS,
            "kWh",
        )
        yield from check.equal_sum(
            "billed energy = energy that the feeder carried to chargers",
            s["vehicle_billed_kwh"],
            s["transformer_ev_kw"] * HOURS,
            "kWh",
        )
        efficiency = s["plug_efficiency"]
        direct = np.where(power >= 0, power * efficiency, power / efficiency)
        yield from check.equal(
            "energy into the pack = charged behind losses less traction",
            "vehicle",
            s["pack_energy_kwh"],
            direct * HOURS - s["battery_traction_kwh"],
            "kWh",
        )
        if self._charge_limit_before is not None and self._discharge_limit_before is not None:
            yield from check.at_most(
                "charging power within the battery's limit",
                "vehicle",
                direct,
                self._charge_limit_before,
                "kW",
                relative=BATTERY_LIMIT_REL,
            )
            yield from check.at_most(
                "feeding power within the battery's limit",
                "vehicle",
                -direct,
                self._discharge_limit_before,
                "kW",
                relative=BATTERY_LIMIT_REL,
            )

    def _limits(self, check: _Checker, s: Mapping[str, Any]) -> Iterator[Breach]:
        power, at = s["vehicle_power_kw"], s["vehicle_station"]
        yield from check.at_most(
            "charging power within port and vehicle", "vehicle", power, s["plug_limit_kw"], "kW"
        )
        yield from check.at_most(
            "feeding power within port and vehicle", "vehicle", -power, -s["plug_floor_kw"], "kW"
        )
        yield from check.at_most(
            "station power within its rating",
            "station",
            np.abs(s["station_power_kw"]),
            self._rating_kw,
            "kW",
        )
        held = np.bincount(at[at >= 0], minlength=len(self._ports))
        yield from check.at_most(
            "a port holds one vehicle",
            "station",
            held.astype(float),
            self._ports.astype(float),
            "1",
        )
        yield from check.equal(
            "a vehicle holds a port only while plugged in",
            "vehicle",
            (at >= 0).astype(float),
            (s["vehicle_status"] == Status.PLUGGED).astype(float),
            "1",
        )

    def _state_of_charge(self, check: _Checker, s: Mapping[str, Any]) -> Iterator[Breach]:
        integral = self._soc_before + s["pack_charge_ah"] / s["cell_capacity_ah"]
        yield from check.equal(
            "state of charge = its integral",
            "vehicle",
            s["vehicle_soc"],
            integral,
            "1",
            absolute=SOC_TOLERANCE,
        )

    def _feeder(self, check: _Checker, s: Mapping[str, Any]) -> Iterator[Breach]:
        used = s["feeder_base_kw"] + s["transformer_ev_kw"].sum() + s["feeder_losses_kw"]
        yield from check.equal_sum(
            "power into the feeder = loads and losses",
            s["feeder_power_kw"],
            used,
            "kW",
            absolute=FEEDER_REL * max(1.0, abs(float(used))),
        )

    def _money(self, check: _Checker, s: Mapping[str, Any]) -> Iterator[Breach]:
        price, load = s["lmp_usd_per_mwh"], s["bus_load_mw"] - s["load_shed_mw"]
        yield from check.equal_sum(
            "generation = load served", s["generator_mw"], load, "MW", absolute=1e-6
        )
        yield from check.equal(
            "bill = energy at the price of bus D",
            "vehicle",
            s["vehicle_cost_usd"],
            s["vehicle_billed_kwh"] * price[self._zone] / 1000,
            "USD",
            absolute=MONEY_USD,
        )
        paid = float((load * price).sum()) * HOURS
        earned = float((s["generator_mw"] * price[self._generator_zone]).sum()) * HOURS
        yield from check.equal_sum(
            "load payments = generator revenue + congestion rent",
            paid,
            earned + s["congestion_rent_usd"],
            "USD",
            absolute=MONEY_USD * max(1.0, abs(paid)),
        )


class _Checker:
    def __init__(self, tick: int, ids: Ids) -> None:
        self._tick = tick
        self._ids = ids

    def equal(
        self,
        law: str,
        dim: str,
        found: Any,
        expected: Any,
        unit: str,
        absolute: float = ENERGY_ABS_KWH,
    ) -> Iterator[Breach]:
        gap = np.abs(found - expected) - absolute - ENERGY_REL * np.abs(expected)
        yield from self._worst(law, dim, gap, found, expected, unit)

    def at_most(
        self,
        law: str,
        dim: str,
        found: Any,
        limit: Any,
        unit: str,
        relative: float = ENERGY_REL,
    ) -> Iterator[Breach]:
        gap = found - limit - ENERGY_ABS_KWH - relative * np.abs(limit)
        yield from self._worst(law, dim, gap, found, limit, unit)

    def equal_sum(
        self, law: str, found: Any, expected: Any, unit: str, absolute: float = ENERGY_ABS_KWH
    ) -> Iterator[Breach]:
        left, right = float(np.sum(found)), float(np.sum(expected))
        if not abs(left - right) <= absolute + ENERGY_REL * abs(right):
            yield Breach(law, self._tick, "", -1, "the sum", left, right, unit)

    def _worst(
        self, law: str, dim: str, gap: Any, found: Any, expected: Any, unit: str
    ) -> Iterator[Breach]:
        # Not <= rather than >, so that a NaN is a breach.
        broken = ~(gap <= 0)
        if broken.any():
            index = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
            where = f"{dim} {self._ids[dim][index]}"
            yield Breach(
                law,
                self._tick,
                dim,
                index,
                where,
                float(found[index]),
                float(expected[index]),
                unit,
            )
