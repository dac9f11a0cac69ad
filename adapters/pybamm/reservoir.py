"""Vehicle batteries as equivalent circuits: cheap packs whose tables are fitted to SPMe cells.

Arrays over vehicles and NumPy alone; the tables are data of this folder, written by ``fit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.pybamm.chemistry import CHEMISTRIES, Curve
from adapters.pybamm.circuit import FLAT, TICK_S, Circuit
from adapters.pybamm.constants import J_PER_KWH, YEAR_S
from adapters.pybamm.options import CellOptions
from adapters.pybamm.spec import AMBIENT_RANGE_C, TEMPERATURE_RANGE_C, Check, Life, PackSpec
from adapters.pybamm.tick import BatteryTick, Floats, Request, settle
from cosim.errors import BatteryError
from cosim.signals import C_RATES

STEPS_S = CellOptions().substeps_s
"""Steps in which a cell is stepped that grows too warm for its rated current [s]."""
PASSES = 2
"""Passes of the search for the current at a power."""
MEMORY_MOST = 1.0
"""C-rate up to which what a current leaves behind grows with it; the fit is at half of it."""
SOH_RANGE = (0.5, 1 + 1e-6)
"""States of health for which the tables mean something."""
(
    _CHARGE_W, _DISCHARGE_W, _MEMORY_V, _KEEP, _CHARGE_MEMORY_W, _DISCHARGE_MEMORY_W, _REST_LOSS
) = range(len(FLAT))  # fmt: skip
_GAUSS = 0.5 - 0.5 / 3**0.5
_STATE = ("soc", "temperature_c", "sei_m", "soh", "ratio", "memory", "worn")


class Reservoirs:
    """The batteries of vehicles of one chemistry, as equivalent circuits.

    Parameters
    ----------
    circuit
        The fitted cell.
    spec, initial_soc, life, initial_temperature_c
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
        *, initial_temperature_c: float = 20.0,
    ) -> None:  # fmt: skip
        self.spec, self._life = spec, life or Life()
        self.count = spec.energy_kwh.size
        self._circuit, self._c = circuit, circuit.constants
        self._check = check = Check(spec.ids)
        life = self._life
        self._soc = check.input("initial_soc", initial_soc, low=0.0, high=1.0).copy()
        start = check.input("initial_temperature_c", initial_temperature_c, -1, *AMBIENT_RANGE_C)
        check.input("age_years", life.age_years, low=0.0, high=30.0)
        check.input("acceleration", life.acceleration, low=1.0, high=1e4)

        self.cells = spec.energy_kwh * 1000 / self._c["new_energy_wh"]
        self._charge_a = spec.max_charge_kw * 1000 / self.cells / self._c["mean_v"]
        self._discharge_a = spec.max_discharge_kw * 1000 / self.cells / self._c["mean_v"]
        growth = circuit.growth_m2(np.array([25.0]), life.age_years * YEAR_S)
        sei_m = np.sqrt(self._c["sei_initial_m"] ** 2 + growth)
        thickness, soh, ratio = circuit.ages
        self._all = np.arange(self.count)
        self._temperature_c = start.copy()
        self._sei_m = np.full(self.count, sei_m)
        self._soh = np.full(self.count, np.interp(sei_m, thickness, soh))
        self._ratio = np.full(self.count, np.interp(sei_m, thickness, ratio))
        self._memory = np.zeros(self.count)
        self._worn = np.zeros(self.count)
        self._look(-1)

    @property
    def soc(self) -> Floats:
        """State of charge, 0..1."""
        return self._soc.copy()

    @property
    def soh(self) -> Floats:
        """State of health, present over new capacity."""
        return self._soh.copy()

    @property
    def resistance_ratio(self) -> Floats:
        """Resistance over that when new."""
        return self._ratio.copy()

    @property
    def temperature_c(self) -> Floats:
        """Cell temperature [degC]."""
        return self._temperature_c.copy()

    @property
    def capacity_ah(self) -> Floats:
        """Present capacity of each cell [A h]."""
        return self._soh * self._c["new_capacity_ah"]

    @property
    def charge_limit_kw(self) -> Floats:
        """DC power that each pack can take through the whole next tick [kW]."""
        return np.minimum(self._charge_w * self.cells / 1000, self.spec.max_charge_kw)

    @property
    def discharge_limit_kw(self) -> Floats:
        """DC power that each pack can give through the whole next tick [kW]."""
        return np.minimum(self._discharge_w * self.cells / 1000, self.spec.max_discharge_kw)

    @property
    def stored_kwh(self) -> Floats:
        """Energy above 0 % at the mean voltage of each pack's present capacity [kWh]."""
        return self._soc * self._soh * self.spec.energy_kwh

    def advance(self, tick: int, request: Request) -> BatteryTick:
        """Step every pack by one tick; as `packs.Packs.advance`.

        Raises
        ------
        cosim.errors.BatteryError
            If an input is out of its range, or the temperature leaves where the tables mean
            something: with the vehicle, the tick and the value.
        """
        self._check.request(tick, request)
        hours = TICK_S / 3600
        heater_kw = self._life.heating_kw(
            request, self._temperature_c, self._c["heat_capacity_j_k"], self.cells, TICK_S
        )
        asked_kw = (request.plug_dc_kwh(hours) - request.traction_kwh) / hours - heater_kw
        power_kw = np.clip(asked_kw, -self.discharge_limit_kw, self.charge_limit_kw)
        self._wear_in(tick)
        before = self._soc
        capacity_ah = self.capacity_ah
        passed = self._pass(
            power_kw * 1000 / self.cells, request.ambient_c, heater_kw * 1000 / self.cells
        )
        current_a, power_w = passed.current_a, passed.power_w
        charge_ah = current_a * hours
        self._soc = np.clip(before + charge_ah / capacity_ah, 0, 1)
        held_w = self._circuit.stored(self._soc) - self._circuit.stored(before)
        loss_w = power_w - held_w * capacity_ah / hours
        self._age(before, current_a, 0.5 * (self._temperature_c + passed.temperature_c))
        keep = self._tables[_KEEP]
        self._memory = keep * self._memory + (1 - keep) * current_a / self._c["new_capacity_ah"]
        self._temperature_c = passed.temperature_c
        self._look(tick)

        energy_kwh = power_w * self.cells * TICK_S / J_PER_KWH
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
            pack_loss_kwh=loss_w * self.cells * TICK_S / J_PER_KWH,
            pack_energy_kwh=energy_kwh,
        )  # fmt: skip

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies; `restore` takes it back bit for bit."""
        return {name: getattr(self, f"_{name}").copy() for name in _STATE}

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`.

        Raises
        ------
        cosim.errors.BatteryError
            If the state is of another fleet or another kind of packs, or is not valid.
        """
        for name in _STATE:
            found = np.shape(state[name]) if name in state else None
            if found != (self.count,):
                raise BatteryError(
                    f"saved {name} has shape {found}, this fleet needs ({self.count},)"
                )
        for name in _STATE:
            setattr(self, f"_{name}", np.array(state[name], dtype=float))
        self._look(-1)

    # --- within a tick

    def _wear_in(self, tick: int) -> None:
        """Take what the tick before wore from the capacity; the state of charge stays."""
        self._soh = self._soh - self._worn
        self._check.range("state of health", self._soh, *SOH_RANGE, "", tick)

    def _pass(self, power_w: Floats, ambient_c: Floats, heater_w: Floats) -> _Passed:
        """Hold a power at the cells of all packs through a tick."""
        idle = np.zeros(self.count)
        at_rest_c = self._warmed(self._temperature_c, ambient_c, heater_w, TICK_S)
        all_ = _Passed(idle, idle.copy(), at_rest_c)
        at = np.flatnonzero(power_w)
        ask = _Ask(
            power_w, ambient_c, heater_w, self._soc, self._temperature_c, self.capacity_ah,
            self._remembered_v(), self._more_ohm,
        ).of(at)  # fmt: skip
        found = self._hold(ask, TICK_S)
        all_.put(at, found)
        # Where the cell warms so much that its rated current falls below this one.
        least, most = self._rated(at, found.temperature_c)
        hot = np.flatnonzero((found.current_a > most) | (found.current_a < least))
        if len(hot):
            all_.put(at[hot], self._derated(at[hot], ask.of(hot)))
        return all_

    def _hold(
        self, ask: _Ask, seconds: float, least_a: Floats | None = None,
        most_a: Floats | None = None,
    ) -> _Passed:  # fmt: skip
        """Mean current, power and last temperature of a time through which a power is held."""
        circuit, soc = self._circuit, ask.soc
        per_hour = 3600 / seconds
        least = -soc * ask.capacity_ah * per_hour
        most = (1 - soc) * ask.capacity_ah * per_hour
        if least_a is not None and most_a is not None:
            least, most = np.maximum(least, least_a), np.minimum(most, most_a)
        warm, end_c = ask.temperature_c, ask.temperature_c
        current = np.clip(ask.power_w / circuit.open_circuit(soc), least, most)
        rest_v, ohm, asked = current, current, ask.power_w
        for _ in range(PASSES):
            step = current / (ask.capacity_ah * per_hour)
            rest_v = ask.remembered_v + 0.5 * (
                circuit.open_circuit(soc + _GAUSS * step)
                + circuit.open_circuit(soc + (1 - _GAUSS) * step)
            )
            ohm = circuit.resistance(circuit.place(soc, warm), current) + ask.more_ohm
            # Power is voltage times current: R I^2 + V I = P, the root that goes to P / V. There is
            # none beyond the most power that any current gives.
            asked = np.maximum(ask.power_w, -(rest_v**2) / (4 * ohm))
            square = np.maximum(rest_v**2 + 4 * ohm * asked, 0)
            current = np.clip(2 * asked / (rest_v + np.sqrt(square)), least, most)
            heat_w = current * (ohm * current + ask.remembered_v) + ask.heater_w
            end_c = self._warmed(ask.temperature_c, ask.ambient_c, heat_w, seconds)
            warm = 0.5 * (ask.temperature_c + end_c)
        cut = (current == least) | (current == most)
        power = np.where(cut, current * (rest_v + ohm * current), asked)
        return _Passed(current, power, end_c)

    def _derated(self, at: NDArray[np.int64], ask: _Ask) -> _Passed:
        """Hold a power in the steps of `options.CellOptions`, derated where each begins."""
        current, power = np.zeros(len(at)), np.zeros(len(at))
        for seconds in STEPS_S:
            found = self._hold(ask, seconds, *self._rated(at, ask.temperature_c))
            current += found.current_a * (seconds / TICK_S)
            power += found.power_w * (seconds / TICK_S)
            moved = found.current_a * (seconds / 3600) / ask.capacity_ah
            soc = np.clip(ask.soc + moved, 0, 1)
            ask = replace(ask, soc=soc, temperature_c=found.temperature_c)
        return _Passed(current, power, ask.temperature_c)

    def _rated(self, at: NDArray[np.int64], temperature_c: Floats) -> tuple[Floats, Floats]:
        """Rated currents at these temperatures, <= 0 and >= 0 [A]."""
        out = self._discharge_a[at] * _share(self._circuit.discharge_derating, temperature_c)
        into = self._charge_a[at] * _share(self._circuit.charge_derating, temperature_c)
        return -out, into

    def _warmed(
        self, temperature_c: Floats, ambient_c: Floats, heat_w: Floats, seconds: float
    ) -> Floats:
        """Exact answer of one thermal node to constant heat [degC]."""
        c = self._c
        left = np.exp(-seconds * c["cooling_w_k"] / c["heat_capacity_j_k"])
        end_c = ambient_c + heat_w / c["cooling_w_k"]
        return end_c + (temperature_c - end_c) * left

    def _age(self, before_soc: Floats, current_a: Floats, mean_c: Floats) -> None:
        c, more = self._c, self._life.acceleration
        square = self._sei_m**2 + self._circuit.growth_m2(mean_c, TICK_S)
        grown_m = np.sqrt(square) - self._sei_m
        at = np.flatnonzero(current_a)
        moved = np.abs(current_a[at]) * (TICK_S / 3600 / c["new_capacity_ah"])
        place = self._circuit.place(before_soc[at], mean_c[at])
        cycled = np.zeros(self.count)
        cycled[at] = self._circuit.lost(place, current_a[at]) * moved
        self._worn = more * (c["soh_per_m"] * grown_m + self._tables[_REST_LOSS] + cycled)
        self._sei_m = self._sei_m + more * grown_m
        growth = c["ratio_per_m"] * grown_m + c["ratio_per_cycled"] * cycled
        self._ratio = self._ratio + more * growth

    def _look(self, tick: int) -> None:
        """Check the state, find its place in the tables, and foresee the limits."""
        self._check.range("state of charge", self._soc, 0, 1, "", tick)
        low_c, high_c = TEMPERATURE_RANGE_C
        self._check.range("temperature", self._temperature_c, low_c, high_c, "degC", tick)
        c, circuit = self._c, self._circuit
        self._place = circuit.place(self._soc, self._temperature_c)
        self._tables = tables = circuit.at(self._place)
        self._more_ohm = (self._ratio - c["fitted_ratio"]) * c["new_resistance_ohm"]
        aged = c["fitted_ratio"] / self._ratio
        self._remembered = remembered = np.clip(self._memory, -MEMORY_MOST, MEMORY_MOST)
        most_w = tables[_CHARGE_W] + tables[_CHARGE_MEMORY_W] * remembered
        least_w = tables[_DISCHARGE_W] + tables[_DISCHARGE_MEMORY_W] * remembered
        most_w, least_w = np.maximum(most_w, 0) * aged, np.maximum(least_w, 0) * aged
        promised = 1 - CHEMISTRIES[self._circuit.chemistry].power_margin
        least_a, most_a = (promised * a for a in self._rated(self._all, self._temperature_c))
        self._charge_w = np.minimum(most_w, most_a * self._end_v(most_a))
        self._discharge_w = np.minimum(least_w, -least_a * self._end_v(least_a))
        self._most_a = np.minimum(most_w / c["upper_v"], most_a)

    def _end_v(self, current_a: Floats) -> Floats:
        """Voltage at the end of a tick at this current, within the limits [V]."""
        c, circuit = self._c, self._circuit
        end = np.clip(self._soc + current_a * (TICK_S / 3600) / self.capacity_ah, 0, 1)
        ohm = circuit.resistance(self._place, current_a) + self._more_ohm
        voltage = circuit.open_circuit(end) + ohm * current_a + self._remembered_v()
        return np.clip(voltage, c["lower_v"], c["upper_v"])

    def _remembered_v(self) -> Floats:
        """Voltage of what went before [V]."""
        return self._tables[_MEMORY_V] * self._remembered

    def _wear(self) -> Floats:
        """Cost of charging now, shape (vehicle, c_rate) [USD/kWh]."""
        c = self._c
        share = self._tables[len(FLAT) :]
        most = self._most_a / c["new_capacity_ah"]
        cost = np.empty((self.count, len(C_RATES)))
        cost[:, 0] = held = share[0]
        for k, (low, high) in enumerate(pairwise(C_RATES)):
            # No more than at the largest current that can be held.
            part = np.clip((most - low) / (high - low), 0, 1)
            held = held + part * (share[k + 1] - share[k])
            cost[:, k + 1] = held
        return cost * self._life.usd_per_kwh


@dataclass(frozen=True)
class _Ask:
    """A power to be held and all that it depends on, shape (cell,)."""

    power_w: Floats
    ambient_c: Floats
    heater_w: Floats
    soc: Floats
    temperature_c: Floats
    capacity_ah: Floats
    remembered_v: Floats
    more_ohm: Floats

    def of(self, at: NDArray[np.int64]) -> _Ask:
        return _Ask(*(getattr(self, field.name)[at] for field in fields(self)))


@dataclass(frozen=True)
class _Passed:
    """What cells did: mean current and power, and the temperature at the end."""

    current_a: Floats
    power_w: Floats
    temperature_c: Floats

    def put(self, at: NDArray[np.int64], found: _Passed) -> None:
        for field in fields(self):
            getattr(self, field.name)[at] = getattr(found, field.name)


def _share(curve: Curve, temperature_c: Floats) -> Floats:
    corners = np.array(curve)
    return np.interp(temperature_c, corners[:, 0], corners[:, 1])
