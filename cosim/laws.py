"""The conservation laws that the audit checks, one function for each group.

Each law compares figures that come from different simulators, or holds one simulator to the
static tables. Tolerances are for rounding unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.assets import Assets
from cosim.checking import ABSOLUTE, Breach, Checker
from cosim.signals import TICK_HOURS, Ids
from cosim.simulator import Facts
from cosim.team import Status

Floats = NDArray[np.float64]
Signals = Mapping[str, Any]

FEEDER_REL = 1e-4
"""OpenDSS solves to a power mismatch of about 1e-4 of the feeder."""
LITHIUM_PER_CAPACITY = 1.1
"""Lithium that side reactions take over the capacity lost by it: up to 1.05, and an empty cell
loses all of it from its charge."""
SOC_START = 5e-6
"""State of charge against its own integral: ageing takes charge out and moves where 0 and 100 %
are, by no more than the lithium that it takes. This much is allowed for the first tick, before
which no state of health is known."""
BATTERY_LIMIT_REL = 0.01
"""Delivered power may pass the sustained limit that the battery foresaw by this share."""
STORED_REL, STORED_ABS = 0.40, 2e-3
"""Energy stored against the change of state of charge times the pack's energy: the open-circuit
voltage lies within this share of its mean over the whole range (2.5 to 4.2 V around 3.7 V)."""
EMPTY_SOC = 0.02
"""Below this a battery may fail to give what driving takes, whatever it foresaw."""
MONEY_USD = 1e-6
"""Bills hold to this."""
PRICE_USD_PER_MWH = 1e-8
"""Parts of a price add up to it to this, beside rounding."""


@dataclass
class Before:
    """What the laws need of earlier ticks."""

    soc: Floats
    """State of charge at the end of the tick before, shape (vehicle,)."""
    integral: Floats
    """State of charge at the start plus all charge since, over the present capacity."""
    soh: Floats | None = None
    """State of health at the end of the tick before, shape (vehicle,)."""
    first_soh: Floats | None = None
    """State of health at the end of the first tick."""
    charge_limit_kw: Floats | None = None
    """Sustained limits that the battery foresaw at the end of the tick before."""
    discharge_limit_kw: Floats | None = None
    draw_withheld: Floats | float = 0.0
    """Share of its rating that volt-watt keeps each station from drawing, shape (station,)."""
    feed_withheld: Floats | float = 0.0
    """Share of its rating that volt-watt keeps each station from feeding back."""
    head_kw: Floats | None = None
    """Power at the head of each feeder in the tick before."""
    bus_load_mw: Floats | None = None
    """Load at each bus of the market in the tick before."""
    response_open_kwh: Floats | None = None
    """Demand response of each feeder that was delivered and not settled."""
    called: NDArray[np.bool_] | None = None
    """Vehicles whose reserve was called for this tick."""
    call_kw: Floats | None = None
    """Most that they are to draw in it."""
    station: NDArray[np.int32] | None = None
    """Station whose port each vehicle held in the tick before."""
    cleared_kw: Floats | None = None
    """What was cleared of each vehicle's offer at that station; None without bids."""


class Plates:
    """Name plates: what the static tables allow, independent of what any simulator says."""

    def __init__(self, assets: Assets, ids: Ids, facts: Facts) -> None:
        stations, vehicles = assets.stations, assets.vehicles
        self.stations = stations
        self.ports = stations.ports
        self.rating_kw = stations.rating_kw
        self.port_kw = stations.port_kw
        self.bidirectional = stations.bidirectional
        self.direct = stations.direct
        self.ac_kw = vehicles.per_vehicle("ac_charge_kw")
        self.dc_kw = vehicles.per_vehicle("dc_charge_kw")
        self.v2g_kw = vehicles.per_vehicle("v2g_discharge_kw")
        self.ac_efficiency = vehicles.per_vehicle("ac_charge_efficiency")
        self.dc_efficiency = vehicles.per_vehicle("dc_charge_efficiency")
        self.battery_kwh = vehicles.per_vehicle("battery_kwh")
        transformer = {name: i for i, name in enumerate(ids["transformer"])}
        self.transformer = np.array([transformer[n] for n in facts["station_transformer"][1]])
        zone = {name: i for i, name in enumerate(ids["zone"])}
        self.generator_zone = np.array([zone[n] for n in facts["generator_zone"][1]])
        self.feeder_zone = np.array([zone[n] for n in facts["feeder_zone"][1]])
        self.feeder_weight = np.array(facts["feeder_weight"][1], dtype=np.float64)
        """Change of the load at a feeder's bus over that at its head."""
        self.station_zone = self.feeder_zone[stations.feeder]
        self.prices_losses = np.array(facts["zone_prices_losses"][1], dtype=np.bool_)
        """Whether energy in a zone also costs what it makes the feeder lose."""

    def efficiency(self, at: NDArray[np.int32]) -> Floats:
        """DC over AC energy of each vehicle's charger, 1 where it holds no port."""
        charger = np.where(self.direct[at], self.dc_efficiency, self.ac_efficiency)
        return np.where(at >= 0, charger, 1.0)

    def most_kw(self, at: NDArray[np.int32]) -> Floats:
        """Most that each vehicle may draw, grid side [kW]."""
        vehicle_kw = np.where(self.direct[at], self.dc_kw / self.dc_efficiency, self.ac_kw)
        return np.where(at >= 0, np.minimum(self.port_kw[at], vehicle_kw), 0.0)

    def least_kw(self, at: NDArray[np.int32]) -> Floats:
        """Most that each vehicle may feed back, grid side, negative [kW]."""
        feed_kw = np.minimum(self.port_kw[at], self.v2g_kw)
        return np.where((at >= 0) & self.bidirectional[at], -feed_kw, 0.0)


def driving(check: Checker, s: Signals, before: Before) -> Iterator[Breach]:
    """Traction energy of SUMO's vehicles against what the batteries gave."""
    asked, given = s["vehicle_traction_kwh"], s["battery_traction_kwh"]
    short = s["traction_shortfall_kwh"]
    # Recuperation that a full battery cannot take goes into the brakes.
    braked = (asked < 0) & (given >= asked) & (given <= ABSOLUTE)
    met = np.where(braked, asked, given + short)
    law = "traction energy from the battery = energy of driving"
    yield from check.equal(law, "vehicle", met, asked, "kWh")
    law = "traction energy from the batteries = energy of driving"
    yield from check.equal_sum(law, met, asked, "kWh")
    if before.discharge_limit_kw is not None:
        # Only a battery at its limit may fall short.
        spare_kw = before.discharge_limit_kw * (1 - 2 * BATTERY_LIMIT_REL)
        spare_kw += s["pack_energy_kwh"] / TICK_HOURS
        free = np.where(s["vehicle_soc"] > EMPTY_SOC, np.maximum(spare_kw, 0.0) * TICK_HOURS, 0.0)
        law = "a battery falls short only at its limit"
        yield from check.at_most(law, "vehicle", np.minimum(short, free), 0.0 * short, "kWh")
    still = s["vehicle_station"] >= 0
    moved_km = np.where(still, s["vehicle_distance_km"], 0.0)
    law = "a vehicle at a port does not drive"
    yield from check.equal(law, "vehicle", moved_km, 0.0 * moved_km, "km")


def charging(check: Checker, s: Signals, plates: Plates, ids: Ids) -> Iterator[Breach]:
    """Energy that chargers delivered, the feeder carried and the bills name."""
    power, at = s["vehicle_power_kw"], s["vehicle_station"]
    carried = np.bincount(at[at >= 0], power[at >= 0], minlength=len(plates.ports))
    law = "feeder load of a station = power of its vehicles"
    yield from check.equal(law, "station", s["station_power_kw"], carried, "kW")
    below = np.bincount(plates.transformer, carried, minlength=len(ids["transformer"]))
    law = "charger load that OpenDSS drew = power of the stations"
    yield from check.equal(law, "transformer", s["transformer_ev_kw"], below, "kW")
    law = "billed energy = delivered energy"
    yield from check.equal(law, "vehicle", s["vehicle_billed_kwh"], power * TICK_HOURS, "kWh")
    law = "billed energy = energy that the feeder carried to chargers"
    drawn_kwh = s["transformer_ev_kw"] * TICK_HOURS
    yield from check.equal_sum(law, s["vehicle_billed_kwh"], drawn_kwh, "kWh")
    efficiency = plates.efficiency(at)
    law = "efficiency of the charger = that of vehicle and port"
    yield from check.equal(law, "vehicle", s["plug_efficiency"], efficiency, "1")
    law = "energy into the pack = charged behind losses less traction and heating"
    into_kwh = behind_losses_kw(power, efficiency) * TICK_HOURS - s["battery_traction_kwh"]
    into_kwh = into_kwh - s["pack_heater_kwh"]
    yield from check.equal(law, "vehicle", s["pack_energy_kwh"], into_kwh, "kWh")


def behind_losses_kw(power_kw: Floats, efficiency: Floats) -> Floats:
    """DC power behind the charger: less than AC while charging, more while feeding back [kW]."""
    return np.where(power_kw >= 0, power_kw * efficiency, power_kw / efficiency)


def limits(check: Checker, s: Signals, plates: Plates, before: Before) -> Iterator[Breach]:
    """Limits of port, vehicle, station and battery."""
    power, at = s["vehicle_power_kw"], s["vehicle_station"]
    law = "charging power within port and vehicle"
    yield from check.at_most(law, "vehicle", power, plates.most_kw(at), "kW")
    law = "feeding power within port and vehicle"
    yield from check.at_most(law, "vehicle", -power, -plates.least_kw(at), "kW")
    law = "station power within its rating"
    drawn_kw = np.abs(s["station_power_kw"])
    yield from check.at_most(law, "station", drawn_kw, plates.rating_kw, "kW")
    law = "station draws within what volt-watt leaves"
    most_kw = _left_kw(plates.rating_kw, before.draw_withheld)
    yield from check.at_most(law, "station", s["station_power_kw"], most_kw, "kW")
    law = "station feeds back within what volt-watt leaves"
    most_kw = _left_kw(plates.rating_kw, before.feed_withheld)
    yield from check.at_most(law, "station", -s["station_power_kw"], most_kw, "kW")
    law = "site power within its limit"
    site_kw = np.abs(plates.stations.site_power_kw(s["station_power_kw"]))
    yield from check.at_most(law, "site", site_kw, plates.stations.site_kw, "kW")
    held = np.bincount(at[at >= 0], minlength=len(plates.ports)).astype(float)
    law = "a port holds one vehicle"
    yield from check.at_most(law, "station", held, plates.ports.astype(float), "1")
    plugged = (s["vehicle_status"] == Status.PLUGGED).astype(float)
    law = "a vehicle holds a port only while plugged in"
    yield from check.equal(law, "vehicle", (at >= 0).astype(float), plugged, "1")
    yield from _cleared(check, power, at, before)
    if before.charge_limit_kw is None or before.discharge_limit_kw is None:
        return
    pack_kw, slack = s["pack_energy_kwh"] / TICK_HOURS, BATTERY_LIMIT_REL
    law = "power into the battery within its limit"
    yield from check.at_most(law, "vehicle", pack_kw, before.charge_limit_kw, "kW", slack)
    law = "power from the battery within its limit"
    yield from check.at_most(law, "vehicle", -pack_kw, before.discharge_limit_kw, "kW", slack)


def _cleared(
    check: Checker, power_kw: Floats, at: NDArray[np.int32], before: Before
) -> Iterator[Breach]:
    """Bounds that were cleared for vehicles; none was at another station."""
    if before.cleared_kw is None:
        return
    bound_kw = np.where(at == before.station, before.cleared_kw, 0.0)
    law = "a vehicle draws no more than was cleared"
    yield from check.at_most(law, "vehicle", power_kw, np.maximum(bound_kw, 0.0), "kW")
    law = "a vehicle feeds back no more than was cleared"
    yield from check.at_most(law, "vehicle", -power_kw, np.maximum(-bound_kw, 0.0), "kW")


def _left_kw(rating_kw: Floats, withheld: Floats | float) -> Floats:
    """Most power where volt-watt withholds a share; where it does not, the rating is a law."""
    return np.where(np.greater(withheld, 0), rating_kw * (1 - withheld), np.inf)


def state_of_charge(check: Checker, s: Signals, plates: Plates, before: Before) -> Iterator[Breach]:
    """State of charge against its integral, and against the energy that went in."""
    soc, moved = s["vehicle_soc"], s["pack_charge_ah"] / s["cell_capacity_ah"]
    law = "state of charge = its integral"
    aged = _lost(before.soh, s["vehicle_soh"])
    yield from check.equal(law, "vehicle", soc, before.soc + moved, "1", aged)
    law = "state of charge = its integral since the start"
    aged = SOC_START + _lost(before.first_soh, s["vehicle_soh"])
    yield from check.equal(law, "vehicle", soc, before.integral + moved, "1", aged)
    stored = (soc - before.soc) * plates.battery_kwh * s["vehicle_soh"]
    put_in = s["pack_energy_kwh"] - s["pack_loss_kwh"]
    gap = np.maximum(np.abs(put_in - stored) - STORED_REL * np.abs(stored), 0.0)
    law = "energy into the pack less losses goes with its state of charge"
    yield from check.equal(law, "vehicle", gap, 0.0 * gap, "kWh", STORED_ABS)


def _lost(before: Floats | None, now: Floats) -> Any:
    """Share of the charge that may have gone into side reactions since `before`."""
    if before is None:
        return SOC_START
    # Health is of the capacity when new, charge of that now.
    return LITHIUM_PER_CAPACITY * np.abs(before - now) / now


def feeder(check: Checker, s: Signals, plates: Plates) -> Iterator[Breach]:
    """Power at the feeders' heads against loads and losses, all together and each of them."""
    used = s["feeder_base_kw"] + s["transformer_ev_kw"].sum() + s["feeder_losses_kw"]
    tolerance = FEEDER_REL * max(1.0, abs(float(used)))
    law = "power into the feeder = loads and losses"
    yield from check.equal_sum(law, s["feeder_power_kw"], used, "kW", tolerance)
    yield from check.equal_sum(
        "power of all feeders = sum over their heads",
        s["feeder_power_kw"],
        s["feeder_head_kw"],
        "kW",
    )
    power, at = s["vehicle_power_kw"], s["vehicle_station"]
    plugged = at >= 0
    area = plates.stations.feeder[at[plugged]]
    fleet_kw = np.bincount(area, power[plugged], minlength=len(s["feeder_head_kw"]))
    used = s["feeder_own_load_kw"] + fleet_kw + s["feeder_own_losses_kw"]
    tolerance = FEEDER_REL * np.maximum(1.0, np.abs(used))
    law = "power into each feeder = loads, vehicles of its area and losses"
    yield from check.equal(law, "feeder", s["feeder_head_kw"], used, "kW", tolerance)


def money(check: Checker, s: Signals, plates: Plates, before: Before) -> Iterator[Breach]:
    """Energy and money of the market."""
    price, load = s["lmp_usd_per_mwh"], s["bus_load_mw"] - s["load_shed_mw"]
    zones = len(price)
    yield from check.equal_sum("generation = load served", s["generator_mw"], load, "MW")
    if before.head_kw is not None and before.bus_load_mw is not None:
        moved_mw = plates.feeder_weight * (s["feeder_head_kw"] - before.head_kw) / 1000
        law = "change of load at a bus = change of its feeders"
        change_mw = s["bus_load_mw"] - before.bus_load_mw
        there_mw = np.bincount(plates.feeder_zone, moved_mw, zones)
        yield from check.equal(law, "zone", change_mw, there_mw, "MW")
    at_station, of_bus = s["station_price_usd_per_mwh"], price[plates.station_zone]
    lost = of_bus * s["station_marginal_loss"] * plates.prices_losses[plates.station_zone]
    kinds = ("transformer", "line", "voltage")
    held = np.sum([s[f"station_{kind}_usd_per_mwh"] for kind in kinds], axis=0)
    law = "price at a station = price of its bus, of what it makes the feeder lose and of limits"
    yield from check.equal(law, "station", at_station, of_bus + lost + held, "USD/MWh")
    yield from prices_in_feeders(check, s)
    law = "bill = energy at the price of its station"
    at, billed_kwh = s["vehicle_station"], s["vehicle_billed_kwh"]
    plugged = at >= 0
    bill = billed_kwh * np.where(plugged, at_station[np.maximum(at, 0)], 0.0) / 1000
    yield from check.equal(law, "vehicle", s["vehicle_cost_usd"], bill, "USD", MONEY_USD)
    flow, shadow = np.abs(s["market_line_flow_mw"]), s["market_line_shadow_usd_per_mwh"]
    rent = float((flow * shadow).sum()) * TICK_HOURS
    tolerance = MONEY_USD * max(1.0, abs(float((load * price).sum()) * TICK_HOURS))
    law = "congestion rent = flow at the shadow price of its line"
    yield from check.equal_sum(law, s["congestion_rent_usd"], rent, "USD", tolerance)
    in_zone = plates.station_zone[at[plugged]]
    fleet_kwh = np.bincount(in_zone, billed_kwh[plugged], zones)
    other_kwh = 1000 * TICK_HOURS * load - fleet_kwh
    sold_kwh = 1000 * TICK_HOURS * s["generator_mw"]
    # The operator, the feeders and what limits them draw nothing and keep what others pay them.
    losses = float((billed_kwh[plugged] * lost[at[plugged]]).sum()) / 1000
    limits_usd = billed_kwh * np.where(plugged, held[np.maximum(at, 0)], 0.0) / 1000
    law = "pay for limits = energy at what limits make of the price of its station"
    yield from check.equal(law, "vehicle", s["vehicle_limits_usd"], limits_usd, "USD", MONEY_USD)
    kept_usd = np.array([rent, losses, float(limits_usd.sum())])
    energy = np.concatenate([other_kwh, -sold_kwh, np.zeros(len(kept_usd))])
    law = "energy of a party = what it drew or sold"
    yield from check.equal(law, "account", s["account_kwh"], energy, "kWh")
    at_price = np.append(price, price[plates.generator_zone])
    paid = np.append(energy[: len(at_price)] * at_price / 1000, -kept_usd)
    law = "payment of a party = its energy at its price"
    yield from check.equal(law, "account", s["account_usd"], paid, "USD", tolerance)
    law = "bills and payments sum to zero"
    total = float(s["vehicle_cost_usd"].sum() + s["account_usd"].sum())
    yield from check.equal_sum(law, total, 0.0, "USD", tolerance)


def prices_in_feeders(check: Checker, s: Signals) -> Iterator[Breach]:
    """Parts of the price at every bus of a feeder."""
    lines = s["dlmp_transformer_usd_per_mwh"] + s["dlmp_line_usd_per_mwh"]
    law = "price of congestion = that of transformers and lines"
    congestion = s["dlmp_congestion_usd_per_mwh"]
    yield from check.equal(law, "bus", congestion, lines, "USD/MWh", PRICE_USD_PER_MWH)
    parts = s["dlmp_energy_usd_per_mwh"] + s["dlmp_loss_usd_per_mwh"] + congestion
    parts = parts + s["dlmp_voltage_usd_per_mwh"]
    law = "price at a bus = energy, loss, congestion and voltage"
    yield from check.equal(law, "bus", s["dlmp_usd_per_mwh"], parts, "USD/MWh", PRICE_USD_PER_MWH)
