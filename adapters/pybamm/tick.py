"""One tick of vehicle batteries, whatever their kind.

What is asked, what was done, and who bears what could not be done.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SETTLED_KWH = 1e-9
"""Difference of energy asked and delivered below which what was asked counts as delivered."""


@dataclass(frozen=True)
class Request:
    """What is asked of batteries in a tick; every field has shape (vehicle,)."""

    traction_kwh: Floats
    """Net energy that driving asks, recuperation negative [kWh]."""
    plug_power_kw: Floats
    """Power asked at the plug, grid side, V2G negative [kW]."""
    plug_efficiency: Floats
    """DC over AC energy while charging, AC over DC while feeding back, in (0, 1]."""
    ambient_c: Floats
    """Ambient temperature [degC]."""
    plugged: NDArray[np.bool_] | None = None
    """Whether the vehicle holds a port; if None, where power is asked at the plug."""

    @property
    def at_port(self) -> NDArray[np.bool_]:
        """Vehicles whose heater may run."""
        return self.plug_power_kw > 0 if self.plugged is None else self.plugged

    @property
    def on(self) -> NDArray[np.bool_]:
        """Vehicles that are on: under way, or at a port."""
        return self.at_port | (self.plug_power_kw != 0) | (self.traction_kwh != 0)

    def of(self, at: NDArray[np.int64]) -> Request:
        """Return the request to the vehicles at these positions."""
        return Request(
            self.traction_kwh[at],
            self.plug_power_kw[at],
            self.plug_efficiency[at],
            self.ambient_c[at],
            None if self.plugged is None else self.plugged[at],
        )

    def plug_dc_kwh(self, hours: float) -> Floats:
        """Energy asked at the plug, behind the charger [kWh]."""
        plug, efficiency = self.plug_power_kw, self.plug_efficiency
        return np.where(plug >= 0, plug * efficiency, plug / efficiency) * hours


@dataclass(frozen=True)
class Settled:
    """How the energy that a battery took or gave is shared; every field has shape (vehicle,)."""

    power_kw: Floats
    """Mean power at the plug, grid side [kW]."""
    traction_kwh: Floats
    """Energy given for driving [kWh]."""
    shortfall_kwh: Floats
    """Energy asked for driving and not given, >= 0 [kWh]."""


def settle(request: Request, energy_kwh: Floats, heater_kwh: Floats, hours: float) -> Settled:
    """Share what a battery did among driving and the plug.

    Parameters
    ----------
    request
        What was asked.
    energy_kwh
        Net energy into the terminals of the pack [kWh], shape (vehicle,).
    heater_kwh
        Energy that the pack's heater took [kWh], shape (vehicle,).
    hours
        Length of the tick [h].

    Notes
    -----
    Where a limit binds, driving comes first: what cannot be given is taken from V2G before
    traction, what cannot be taken in is cut from charging before recuperation.
    """
    plug_dc = request.plug_dc_kwh(hours)
    traction, efficiency = request.traction_kwh, request.plug_efficiency
    missing = energy_kwh - (plug_dc - traction - heater_kwh)
    missing = np.where(np.abs(missing) <= SETTLED_KWH, 0, missing)
    # Positive: too little was given. Negative: too little was taken in.
    at_plug = np.clip(missing, np.minimum(-plug_dc, 0), np.maximum(-plug_dc, 0))
    at_plug = np.where(missing * plug_dc < 0, at_plug, 0)
    given = traction - (missing - at_plug)
    dc_kw = (plug_dc + at_plug) / hours
    ac_kw = np.where(dc_kw >= 0, dc_kw / efficiency, dc_kw * efficiency)
    return Settled(
        power_kw=np.where(at_plug == 0, request.plug_power_kw, ac_kw),
        traction_kwh=given,
        shortfall_kwh=np.where(traction > 0, np.maximum(traction - given, 0), 0),
    )


@dataclass(frozen=True)
class BatteryTick:
    """What batteries did in a tick; every field is a fresh array of shape (vehicle,)."""

    vehicle_power_kw: Floats
    """Mean power really exchanged at the plug, grid side, V2G negative [kW]."""
    battery_traction_kwh: Floats
    """Energy really given for driving, recuperation negative [kWh]."""
    traction_shortfall_kwh: Floats
    """Energy asked for driving and not given, >= 0 [kWh]; recuperation that a full battery cannot
    take is no shortfall, it shows as ``battery_traction_kwh`` above what was asked."""
    vehicle_soc: Floats
    """State of charge at the end, 0..1: charge above the composition whose open-circuit voltage is
    the lower limit, over the present capacity."""
    vehicle_soh: Floats
    """State of health at the end: present capacity over the capacity when new. Capacity is what
    passes between the open-circuit voltages of the limits (electrode state of health), with the
    lithium and the active material that are left; not the lost lithium itself."""
    vehicle_resistance_ratio: Floats
    """Resistance over that when new, both at half charge and 25 degC."""
    vehicle_temperature_c: Floats
    """Cell temperature at the end [degC]."""
    pack_charge_ah: Floats
    """Net charge into each cell [A h]."""
    cell_capacity_ah: Floats
    """Present capacity of each cell [A h]."""
    vehicle_charge_limit_kw: Floats
    """DC power that the pack can take through the whole next tick, >= 0 [kW]."""
    vehicle_discharge_limit_kw: Floats
    """DC power that the pack can give through the whole next tick, >= 0 [kW]."""
    vehicle_c_rate_headroom: Floats
    """Charging current that can be held through the next tick less that of this tick, over the
    capacity when new [1/h]."""
    vehicle_wear_usd_per_kwh: Floats
    """Capacity that a kilowatt-hour costs which is charged or discharged now, beyond what rest
    costs, at the price of the pack, for each of `cosim.signals.C_RATES`, shape (vehicle, c_rate)
    [USD/kWh]."""
    pack_heater_kwh: Floats
    """Energy that the pack's heater took [kWh]."""
    pack_loss_kwh: Floats
    """Energy that went in and is not stored at equilibrium [kWh]: heat, and the gradients in the
    particles. The gradients give some back where the current turns, so a tick can be negative."""
    pack_energy_kwh: Floats
    """Net electrical energy into the terminals [kWh]."""
