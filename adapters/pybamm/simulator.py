"""The mosaik face of the batteries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adapters.pybamm.circuit import circuit
from adapters.pybamm.fleet import Batteries, Group
from adapters.pybamm.kernel import load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tick import Request
from cosim.assets import Assets, VehicleTable
from cosim.scenario import Scenario
from cosim.signals import Role
from cosim.simulator import Simulator

MODELS = {"spm": "SPM", "spme": "SPMe"}
"""Cell model of each kind that is made of cells; ``reservoir`` is fitted to SPMe."""


class Battery(Simulator):
    """Gives and takes the energy of driving and of the plug.

    PyBaMM cells of every vehicle, or circuits fitted to them.
    """

    role: ClassVar[Role] = "battery"

    def prepare(self, scenario: Scenario, assets: Assets) -> None:
        """Load the cell models and make the packs of the fleet."""
        self._ambient_c = assets.ambient_c
        self._backend: dict[str, str] = {}
        vehicles = assets.vehicles
        chosen = scenario.battery.chemistry.model_dump()
        of_body = [chosen[spec.body] for spec in vehicles.specs]
        self._chemistry = chemistry = np.array(of_body)[vehicles.model]
        self._batteries = Batteries(
            [
                (at, self._packs(scenario, vehicles, name, at))
                for name in sorted(set(of_body))
                if len(at := np.flatnonzero(chemistry == name))
            ]
        )

    def _packs(self, scenario: Scenario, vehicles: VehicleTable, name: str, at: Any) -> Group:
        def of(field: str) -> Any:
            return vehicles.per_vehicle(field)[at]

        spec = PackSpec.of(
            of("battery_kwh"),
            of("nominal_voltage_v"),
            of("dc_charge_kw"),
            of("motor_kw") / of("propulsion_efficiency"),
            [vehicles.ids[i] for i in at],
        )
        ageing = scenario.ageing
        life = Life(
            age_years=ageing.age_years,
            acceleration=ageing.acceleration,
            usd_per_kwh=getattr(ageing.pack_usd_per_kwh, name),
            heater_kw=scenario.battery.preconditioning_kw,
        )
        soc, start_c = vehicles.initial_soc[at], float(self._ambient_c[0])
        if scenario.battery.kind == "reservoir":
            return Reservoirs(circuit(name), spec, soc, life, initial_temperature_c=start_c)
        kernel = load(CellOptions(model=MODELS[scenario.battery.kind], chemistry=name))
        self._backend = {"backend": kernel.backend, "compiler": kernel.backend_detail}
        return Packs(kernel, spec, soc, life, initial_temperature_c=start_c)

    def facts(self) -> dict[str, tuple[str, list[Any]]]:
        """Chemistry of each vehicle's pack, and how it is made of cells."""
        layout = self._batteries.layout
        return {
            "pack_chemistry": ("vehicle", self._chemistry.tolist()),
            "pack_cells": ("vehicle", layout.cells.tolist()),
            "pack_cells_in_series": ("vehicle", layout.series.astype(int).tolist()),
            "pack_strings_in_parallel": ("vehicle", layout.parallel.astype(int).tolist()),
        }

    def about(self) -> dict[str, str]:
        """Return who computes the cells: C and numpy differ in the last digits."""
        return self._backend

    def initial(self) -> dict[str, Any]:
        """Return what the fleet reads before the first tick."""
        batteries = self._batteries
        return {
            "vehicle_power_kw": np.zeros(batteries.count),
            "battery_traction_kwh": np.zeros(batteries.count),
            "traction_shortfall_kwh": np.zeros(batteries.count),
            "vehicle_soc": batteries.soc,
            "vehicle_charge_limit_kw": batteries.charge_limit_kw,
            "vehicle_discharge_limit_kw": batteries.discharge_limit_kw,
        }

    def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Step every pack by one tick."""
        request = Request(
            given["vehicle_traction_kwh"],
            given["plug_power_kw"],
            given["plug_efficiency"],
            np.full(self._batteries.count, self._ambient_c[tick]),
            given["vehicle_station"] >= 0,
        )
        return dict(self._batteries.advance(tick, request))

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the state of every pack."""
        return {**self._batteries.state()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take it back."""
        self._batteries.restore(state)
