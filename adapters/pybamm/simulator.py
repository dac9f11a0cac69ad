"""The mosaik face of the batteries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from adapters.pybamm.kernel import load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import DISCHARGE_C_RATE, Packs
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import Role
from cosim.simulator import Simulator


class Battery(Simulator):
    """Gives and takes the energy of driving and of the plug: PyBaMM cells of every vehicle."""

    role: ClassVar[Role] = "battery"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Load the cell model and make the packs of the fleet."""
        vehicles = assets.vehicles
        energy_kwh = vehicles.per_vehicle("battery_kwh")
        self._ambient_c = scenario.battery.ambient_c
        self._packs = Packs(
            load(CellOptions()),
            energy_kwh,
            vehicles.per_vehicle("nominal_voltage_v"),
            vehicles.initial_soc,
            vehicles.per_vehicle("dc_charge_kw"),
            # Specifications rate no discharge: motors are far below what the cells give.
            DISCHARGE_C_RATE * energy_kwh,
            age_years=scenario.battery.age_years,
            initial_temperature_c=self._ambient_c,
            vehicle_ids=vehicles.ids,
        )

    def initial(self) -> dict[str, Any]:
        """Return what the fleet reads before the first tick."""
        packs = self._packs
        return {
            "vehicle_power_kw": np.zeros(packs.count),
            "traction_shortfall_kwh": np.zeros(packs.count),
            "vehicle_soc": packs.soc,
            "vehicle_charge_limit_kw": packs.charge_limit_kw,
            "vehicle_discharge_limit_kw": packs.discharge_limit_kw,
        }

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step every pack by one tick."""
        return asdict(
            self._packs.advance(
                tick,
                given["vehicle_traction_kwh"],
                given["plug_power_kw"],
                given["plug_efficiency"],
                self._ambient_c,
            )
        )
