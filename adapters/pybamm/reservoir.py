"""Vehicle batteries as equivalent circuits: cheap packs whose tables are fitted to SPMe cells.

Arrays over vehicles and NumPy alone; the tables are data of this folder, written by ``fit``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import FLAT, TICK_S, Circuit
from adapters.pybamm.circuit_ageing import Health, cost_held
from adapters.pybamm.circuit_step import Ask, Passed, rated_a, step, within_rating
from adapters.pybamm.constants import J_PER_KWH
from adapters.pybamm.mounting import Mounting
from adapters.pybamm.spec import (
    AMBIENT_RANGE_C,
    SOH_RANGE,
    TEMPERATURE_RANGE_C,
    Check,
    Life,
    PackSpec,
    Quantity,
    check_saved,
    heating_kw,
)
from adapters.pybamm.tick import BatteryTick, Floats, Request, settle

MEMORY_MOST = 1.0
"""C-rate up to which what a current leaves behind grows with it; the fit is at half of it."""
(
    _CHARGE_W, _DISCHARGE_W, _MEMORY_V, _KEEP, _CHARGE_MEMORY_W, _DISCHARGE_MEMORY_W, _REST_LOSS
) = range(len(FLAT))  # fmt: skip
BOUNDS = {
    "state of charge": (0.0, 1.0), "temperature": TEMPERATURE_RANGE_C, "state of health": SOH_RANGE
}  # fmt: skip
"""States of cells for which the tables mean anything."""
_STATE = ("soc", "temperature_c", "memory", "ambient_c")
"""What changes, beside the health of the cells."""


class Reservoirs:
    """The batteries of vehicles of one chemistry, as equivalent circuits.

    Parameters
    ----------
    circuit
        The fitted cell.
    spec, initial_soc, life, initial_temperature_c, mounting
        As of `packs.Packs`.

    Raises
    ------
    cosim.errors.BatteryError
        If an argument is not finite or out of its range.

    Notes
    -----
    Books are exact: energy is power times time unless a limit cuts it, the state of charge is its
    coulomb integral, and loss is what went in less the change of the integral of the open-circuit
    voltage. What a tick wears is taken from the capacity at the begin of the next, so that charge
    over capacity is the change of the state of charge to the last bit of rounding.
    """

    def __init__(
        self, circuit: Circuit, spec: PackSpec, initial_soc: ArrayLike, life: Life | None = None,
        *, initial_temperature_c: float = 20.0, mounting: Mounting | None = None,
    ) -> None:  # fmt: skip
        self.spec, self._life = spec, life or Life()
        self.count = spec.energy_kwh.size
        self._circuit, self._c = circuit, circuit.constants
        self._mounting = mounting or Mounting.in_pack(
            CHEMISTRIES[circuit.chemistry], self._c["new_energy_wh"]
        )
        self._heat_j_k = self._c["heat_capacity_j_k"] + self._mounting.housing_j_k
        self._check = check = Check(spec.ids)
        life = self._life
        self._soc = check.input("initial_soc", initial_soc, low=0.0, high=1.0).copy()
        start = check.input("initial_temperature_c", initial_temperature_c, -1, *AMBIENT_RANGE_C)
        check.life(life)

        self.layout = spec.layout(self._c)
        self._temperature_c, self._ambient_c = start.copy(), start.copy()
        self._memory = np.zeros(self.count)
        self._health = Health(circuit, life, self.count)
        self._look(-1)

    @property
    def soc(self) -> Floats:
        """State of charge, 0..1."""
        return self._soc.copy()

    @property
    def soh(self) -> Floats:
        """State of health, present over new capacity."""
        return self._health.soh.copy()

    @property
    def resistance_ratio(self) -> Floats:
        """Resistance over that when new."""
        return self._health.ratio.copy()

    @property
    def temperature_c(self) -> Floats:
        """Cell temperature [degC]."""
        return self._temperature_c.copy()

    @property
    def capacity_ah(self) -> Floats:
        """Present capacity of each cell [A h]."""
        return self._health.capacity_ah

    @property
    def charge_limit_kw(self) -> Floats:
        """DC power that each pack can take through the next tick, its heater included [kW]."""
        return self._cell_limit_kw + self._heater_need_kw()

    @property
    def _cell_limit_kw(self) -> Floats:
        return np.minimum(self._charge_w * self.layout.cells / 1000, self.spec.max_charge_kw)

    @property
    def discharge_limit_kw(self) -> Floats:
        """DC power that each pack can give through the whole next tick [kW]."""
        return np.minimum(self._discharge_w * self.layout.cells / 1000, self.spec.max_discharge_kw)

    @property
    def stored_kwh(self) -> Floats:
        """Energy above 0 % at the mean voltage of each pack's present capacity [kWh]."""
        return self._soc * self._health.soh * self.spec.energy_kwh

    def advance(self, tick: int, request: Request) -> BatteryTick:
        """Step every pack by one tick; as `packs.Packs.advance`.

        Raises
        ------
        cosim.errors.BatteryError
            If an input is out of its range, or the state leaves where the tables mean something:
            with the vehicle, the tick and the state.
        """
        self._check.request(tick, request)
        hours = TICK_S / 3600
        heater_kw = heating_kw(request, self._heater_need_kw(), hours)
        asked_kw = (request.plug_dc_kwh(hours) - request.traction_kwh) / hours - heater_kw
        power_kw = np.clip(asked_kw, -self.discharge_limit_kw, self._cell_limit_kw)
        # What the tick before wore; the state of charge stays.
        self._health.wear_in()
        before = self._soc
        capacity_ah = self.capacity_ah
        cooling_w_k = np.where(request.on, self._on_w_k, self._mounting.passive_w_k)
        self._ambient_c = np.array(request.ambient_c, dtype=float)
        per_cell = 1000 / self.layout.cells
        ask = self._ask(power_kw * per_cell, heater_kw * per_cell, cooling_w_k)
        passed = step(self._circuit, ask)
        current_a, power_w = passed.current_a, passed.power_w
        charge_ah = current_a * hours
        self._soc = np.clip(before + charge_ah / capacity_ah, 0, 1)
        held_w = self._circuit.stored(self._soc) - self._circuit.stored(before)
        loss_w = power_w - held_w * capacity_ah / hours
        mean_c = 0.5 * (self._temperature_c + passed.temperature_c)
        self._health.age(before, current_a, mean_c, self._tables[_REST_LOSS])
        keep = self._tables[_KEEP]
        self._memory = keep * self._memory + (1 - keep) * current_a / self._c["new_capacity_ah"]
        self._temperature_c = passed.temperature_c
        self._look(tick, passed, asked_kw)

        energy_kwh = power_w * self.layout.cells * TICK_S / J_PER_KWH
        settled = settle(request, energy_kwh, heater_kw * hours, hours)
        return BatteryTick(
            vehicle_power_kw=settled.power_kw,
            battery_traction_kwh=settled.traction_kwh,
            traction_shortfall_kwh=settled.shortfall_kwh,
            vehicle_soc=self.soc,
            vehicle_soh=self.soh,
            vehicle_resistance_ratio=self.resistance_ratio,
            vehicle_temperature_c=self.temperature_c,
            pack_charge_ah=charge_ah,
            cell_capacity_ah=capacity_ah,
            vehicle_charge_limit_kw=self.charge_limit_kw,
            vehicle_discharge_limit_kw=self.discharge_limit_kw,
            vehicle_c_rate_headroom=(
                self._most_a - np.maximum(current_a, 0)
            ) / self._c["new_capacity_ah"],
            vehicle_wear_usd_per_kwh=self._wear(),
            pack_heater_kwh=heater_kw * hours,
            pack_loss_kwh=loss_w * self.layout.cells * TICK_S / J_PER_KWH,
            pack_energy_kwh=energy_kwh,
        )  # fmt: skip

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies; `restore` takes it back bit for bit."""
        own = {name: getattr(self, f"_{name}").copy() for name in _STATE}
        return own | self._health.state()

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`.

        Raises
        ------
        cosim.errors.BatteryError
            If the state is of another fleet or another kind of packs, or is not valid.
        """
        check_saved(state, dict.fromkeys((*_STATE, *Health.STATE), (self.count,)))
        for name in _STATE:
            setattr(self, f"_{name}", np.array(state[name], dtype=float))
        self._health.restore(state)
        self._look(-1)

    # --- within a tick

    def _heater_need_kw(self) -> Floats:
        heat_j_k = self._heat_j_k
        return self._life.heater_need_kw(self._temperature_c, heat_j_k, self.layout.cells, TICK_S)

    @property
    def _on_w_k(self) -> Floats:
        """Conductance of each cell in the next tick if the vehicle is on [W/K]."""
        return self._mounting.cooling_w_k(self._temperature_c, self._ambient_c)

    def _ask(self, power_w: Floats, heater_w: Floats, cooling_w_k: Floats) -> Ask:
        """Ask cells for a power as they are."""
        return Ask(
            power_w=power_w,
            ambient_c=self._ambient_c,
            heater_w=heater_w,
            cooling_w_k=cooling_w_k,
            heat_capacity_j_k=np.full(self.count, self._heat_j_k),
            soc=self._soc,
            temperature_c=self._temperature_c,
            capacity_ah=self.capacity_ah,
            remembered_v=self._remembered_v(),
            more_ohm=self._health.more_ohm,
            charge_a=self.layout.charge_a,
            discharge_a=self.layout.discharge_a,
        )

    def _look(
        self, tick: int, passed: Passed | None = None, asked_kw: Floats | None = None
    ) -> None:
        """Check the state, find its place in the tables, and foresee the limits."""
        self._check.state(tick, self._told(passed, asked_kw), BOUNDS)
        c, circuit = self._c, self._circuit
        self._place = circuit.place(self._soc, self._temperature_c)
        self._tables = tables = circuit.at(self._place)
        aged = c["fitted_ratio"] / self._health.ratio
        self._remembered = remembered = np.clip(self._memory, -MEMORY_MOST, MEMORY_MOST)
        most_w = tables[_CHARGE_W] + tables[_CHARGE_MEMORY_W] * remembered
        least_w = tables[_DISCHARGE_W] + tables[_DISCHARGE_MEMORY_W] * remembered
        most_w = np.maximum(most_w, 0) * aged ** c["charge_limit_aged"]
        least_w = np.maximum(least_w, 0) * aged ** c["discharge_limit_aged"]
        rated = rated_a(circuit, self.layout.charge_a, self.layout.discharge_a, self._temperature_c)
        idle = np.zeros(self.count)
        least_a = np.maximum(rated[0], -least_w / c["lower_v"])
        most_a = np.minimum(rated[1], most_w / c["upper_v"])
        ask = self._ask(idle, idle, self._on_w_k)
        least_a, most_a = (
            # What a warming cell may not carry to the end is not foreseen.
            np.where(held == bound, full, held)
            for full, bound, held in (
                (rated[0], least_a, within_rating(circuit, ask, least_a)),
                (rated[1], most_a, within_rating(circuit, ask, most_a)),
            )
        )
        # A power that is held takes the largest current where the voltage is lowest.
        self._charge_w = np.minimum(most_w, most_a * self._lowest_v(most_a))
        self._discharge_w = np.minimum(least_w, -least_a * self._lowest_v(least_a))
        self._most_a = np.minimum(most_w / c["upper_v"], most_a)
        self._least_a = np.maximum(-least_w / c["lower_v"], least_a)

    def _told(self, passed: Passed | None, asked_kw: Floats | None) -> dict[str, Quantity]:
        """Say how cells are, and what packs were asked and did, positive into them."""
        told: dict[str, Quantity] = {
            "state of charge": (self._soc, ""),
            "temperature": (self._temperature_c, "degC"),
            "state of health": (self._health.soh, ""),
            "resistance over that when new": (self._health.ratio, ""),
            "acceleration of ageing": (np.full(self.count, self._life.acceleration), ""),
        }
        if passed is None or asked_kw is None:
            return told
        power_w, current_a = passed.power_w, passed.current_a
        resting = current_a == 0
        open_v = self._circuit.open_circuit(self._soc)
        return told | {
            "power": (power_w * self.layout.cells / 1000, "kW"),
            "power asked": (asked_kw + 0.0, "kW"),
            "voltage": (np.where(resting, open_v, power_w / np.where(resting, 1, current_a)), "V"),
        }

    def _lowest_v(self, current_a: Floats) -> Floats:
        """Lowest voltage of a tick at this current, within the limits [V]."""
        c, circuit = self._c, self._circuit
        end = np.clip(self._soc + current_a * (TICK_S / 3600) / self.capacity_ah, 0, 1)
        open_v = circuit.open_circuit(np.minimum(self._soc, end))
        ohm = circuit.resistance(self._place, current_a) + self._health.more_ohm
        voltage = open_v + ohm * current_a + self._remembered_v()
        return np.clip(voltage, c["lower_v"], c["upper_v"])

    def _remembered_v(self) -> Floats:
        """Voltage of what went before [V]."""
        return self._tables[_MEMORY_V] * self._remembered

    def _wear(self) -> Floats:
        """Wear of charging and discharging now, shape (vehicle, c_rate) [USD/kWh]."""
        new_ah = self._c["new_capacity_ah"]
        held = cost_held(self._tables[len(FLAT) :], self._least_a / new_ah, self._most_a / new_ah)
        return held * self._life.usd_per_kwh
