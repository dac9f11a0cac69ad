"""Vehicle batteries: packs of cells that take traction and charging power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from adapters.pybamm.ageing import lithium_in_sei, sei_after
from adapters.pybamm.cells import Cells, CellTick, CellView
from adapters.pybamm.constants import J_PER_KWH, ZERO_C_K
from adapters.pybamm.kernel import Kernel
from cosim.errors import BatteryError

Floats = NDArray[np.float64]

AMBIENT_RANGE_C = (-30.0, 60.0)
"""Ambient temperatures that are accepted [degC]."""
TEMPERATURE_RANGE_C = (-40.0, 110.0)
"""Cell temperatures outside which the model means nothing [degC]."""
VOLTAGE_MARGIN_V = 0.3
"""How far a voltage may lie outside its limits before the cell counts as broken [V]. The current is
held within the limits where a step begins; a cell emptied at 6C leaves them by 0.15 V within it."""
SOC_MARGIN = 0.005
"""How far the state of charge may leave 0..1, by side reactions and rounding."""
SETTLED_KWH = 1e-9
"""Difference of energy asked and delivered below which what was asked counts as delivered."""
CHARGE_C_RATE, DISCHARGE_C_RATE = 4.0, 6.0
"""Largest currents over the capacity when new [1/h]; ratings of the vehicles are usually below."""


@dataclass(frozen=True)
class BatteryTick:
    """What the packs did in a tick; every field is a fresh array of shape (vehicle,)."""

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
    passes between the open-circuit voltages 2.5 and 4.2 V, from the cyclable lithium that is left
    (electrode state of health); not the lost lithium itself."""
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
    pack_loss_kwh: Floats
    """Energy that went in and is not stored at equilibrium [kWh]: heat, and the gradients in the
    particles. The gradients give some back where the current turns, so a tick can be negative."""
    pack_energy_kwh: Floats
    """Net electrical energy into the terminals [kWh]."""


class Packs:
    """The batteries of all vehicles.

    Parameters
    ----------
    kernel
        The cell model.
    pack_energy_kwh
        Energy of each new pack between 0 and 100 % at open circuit [kWh], shape (vehicle,).
    nominal_voltage_v
        Nominal voltage of each pack [V], shape (vehicle,); only the layout follows from it.
    initial_soc
        State of charge at the start, 0..1, of the aged capacity, shape (vehicle,).
    max_charge_kw, max_discharge_kw
        Ratings of each vehicle's battery, DC [kW], shape (vehicle,).
    age_years
        Calendar age at the start [years], at 25 degC: the cells begin with the SEI of
        `ageing.sei_after` and without the lithium that is in it.
    initial_temperature_c
        Cell temperature at the start [degC].
    vehicle_ids
        Names for messages; numbers if None.

    Raises
    ------
    cosim.errors.BatteryError
        If an argument is not finite, not positive or out of its range.

    Notes
    -----
    Series = nominal voltage over the cell's mean voltage, rounded; parallel = pack energy over the
    energy of one series string, rounded, at least 1. The *effective* number of cells is pack
    energy over cell energy and stays a real number, so that the pack has exactly the energy of its
    specification; every cell of a pack is alike and takes the same share of the power.

    The state of charge equals its own coulomb integral, ``pack_charge_ah / cell_capacity_ah``
    summed, but for lithium that side reactions take: below 1e-6 a tick and 1e-4 a day at 25 degC
    and one year of age.
    """

    def __init__(
        self, kernel: Kernel, pack_energy_kwh: ArrayLike, nominal_voltage_v: ArrayLike,
        initial_soc: ArrayLike, max_charge_kw: ArrayLike, max_discharge_kw: ArrayLike, *,
        age_years: float = 1.0, initial_temperature_c: float = 20.0,
        vehicle_ids: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        energy = np.atleast_1d(np.asarray(pack_energy_kwh, dtype=float))
        self.count = energy.size
        self._ids = tuple(vehicle_ids or map(str, range(self.count)))
        self._kernel = kernel
        self._hours = kernel.options.tick_s / 3600
        c = kernel.constants
        energy = self._input("pack_energy_kwh", energy, -1, low=1e-3)
        voltage = self._input("nominal_voltage_v", nominal_voltage_v, -1, low=1.0)
        soc = self._input("initial_soc", initial_soc, -1, low=0.0, high=1.0)
        self._max_charge = self._input("max_charge_kw", max_charge_kw, -1, low=0.0)
        self._max_discharge = self._input("max_discharge_kw", max_discharge_kw, -1, low=0.0)
        self._input("age_years", age_years, -1, low=0.0, high=30.0)
        start = self._input("initial_temperature_c", initial_temperature_c, -1, *AMBIENT_RANGE_C)

        self.cells = energy * 1000 / c["new_energy_wh"]
        self.series = np.maximum(1, np.rint(voltage / c["mean_v"])).astype(int)
        self.parallel = np.maximum(1, np.rint(self.cells / self.series)).astype(int)
        sei = sei_after(c, age_years)
        lithium = np.full(self.count, c["lithium_ah"] - lithium_in_sei(c, sei))
        empty, full = kernel.balance(lithium / c["lithium_ah"])
        negative = empty + soc * (full - empty)
        positive = (lithium - negative * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
        sei_m = np.full(self.count, sei)
        self._cells = Cells(kernel, kernel.at_rest(negative, positive, start + ZERO_C_K, sei_m))
        self._look(-1)

    @property
    def soc(self) -> Floats:
        """State of charge, 0..1."""
        return self._soc.copy()

    @property
    def soh(self) -> Floats:
        """State of health, present over new capacity."""
        return self._capacity_ah / self._kernel.constants["new_capacity_ah"]

    @property
    def temperature_c(self) -> Floats:
        """Cell temperature [degC]."""
        return self._view.temperature_k - ZERO_C_K

    @property
    def capacity_ah(self) -> Floats:
        """Present capacity of each cell [A h]."""
        return self._capacity_ah.copy()

    @property
    def sei_m(self) -> Floats:
        """Thickness of the solid-electrolyte interphase [m]."""
        return self._view.sei_m.copy()

    @property
    def charge_limit_kw(self) -> Floats:
        """DC power that each pack can take through the whole next tick [kW]."""
        return self._charge_limit.copy()

    @property
    def discharge_limit_kw(self) -> Floats:
        """DC power that each pack can give through the whole next tick [kW]."""
        return self._discharge_limit.copy()

    def advance(
        self, tick: int, traction_kwh: ArrayLike, plug_power_kw: ArrayLike,
        plug_efficiency: ArrayLike, ambient_c: ArrayLike,
    ) -> BatteryTick:  # fmt: skip
        """Step every pack by one tick.

        Parameters
        ----------
        tick
            Settlement interval, for messages.
        traction_kwh
            Net energy that driving asks in the tick, recuperation negative [kWh].
        plug_power_kw
            Power asked at the plug, grid side, V2G negative [kW].
        plug_efficiency
            DC over AC energy while charging, AC over DC while feeding back, in (0, 1].
        ambient_c
            Ambient temperature [degC], -30 to 60.

        Returns
        -------
        BatteryTick
            Delivered power and the state at the end.

        Raises
        ------
        cosim.errors.BatteryError
            If an input is out of its range, or a cell leaves the range where its model is valid:
            with the vehicle, the tick and the state.

        Notes
        -----
        All arguments broadcast to shape (vehicle,). Traction and plug power add up to one net
        power, held through the tick and cut to the limits that the pack foresaw for it at the end
        of the tick before. Where a limit binds, driving comes first: what cannot be given is taken
        from V2G before traction, what cannot be taken in is cut from charging before recuperation.
        """
        traction = self._input("traction_kwh", traction_kwh, tick)
        plug = self._input("plug_power_kw", plug_power_kw, tick)
        efficiency = self._input("plug_efficiency", plug_efficiency, tick, low=1e-6, high=1.0)
        ambient = self._input("ambient_c", ambient_c, tick, *AMBIENT_RANGE_C)

        plug_dc_kwh = np.where(plug >= 0, plug * efficiency, plug / efficiency) * self._hours
        asked_kwh = plug_dc_kwh - traction
        power_kw = np.clip(asked_kwh / self._hours, -self._discharge_limit, self._charge_limit)
        new_ah = self._kernel.constants["new_capacity_ah"]
        cell_tick = self._cells.advance(
            power_kw * 1000 / self.cells,
            ambient + ZERO_C_K,
            np.full(self.count, CHARGE_C_RATE * new_ah),
            np.full(self.count, DISCHARGE_C_RATE * new_ah),
            np.maximum(1 - self._soc, 0) * self._capacity_ah * 3600,
            np.maximum(self._soc, 0) * self._capacity_ah * 3600,
        )
        self._look(tick, cell_tick)

        energy_kwh = cell_tick.energy_j * self.cells / J_PER_KWH
        missing = energy_kwh - asked_kwh
        settled = np.abs(missing) <= SETTLED_KWH
        missing = np.where(settled, 0, missing)
        # Positive: too little was given. Negative: too little was taken in.
        at_plug = np.clip(missing, np.minimum(-plug_dc_kwh, 0), np.maximum(-plug_dc_kwh, 0))
        at_plug = np.where(missing * plug_dc_kwh < 0, at_plug, 0)
        given = traction - (missing - at_plug)
        dc_kw = (plug_dc_kwh + at_plug) / self._hours
        ac_kw = np.where(dc_kw >= 0, dc_kw / efficiency, dc_kw * efficiency)
        return BatteryTick(
            vehicle_power_kw=np.where(at_plug == 0, plug, ac_kw),
            battery_traction_kwh=given,
            traction_shortfall_kwh=np.where(traction > 0, np.maximum(traction - given, 0), 0),
            vehicle_soc=self.soc,
            vehicle_soh=self.soh,
            vehicle_temperature_c=self.temperature_c,
            pack_charge_ah=cell_tick.charge_as / 3600,
            cell_capacity_ah=self.capacity_ah,
            vehicle_charge_limit_kw=self.charge_limit_kw,
            vehicle_discharge_limit_kw=self.discharge_limit_kw,
            pack_loss_kwh=cell_tick.loss_j * self.cells / J_PER_KWH,
            pack_energy_kwh=energy_kwh,
        )

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies; `restore` takes it back bit for bit."""
        return {"states": self._cells.states, "current_a": self._cells.current_a}

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`.

        Raises
        ------
        cosim.errors.BatteryError
            If the state is of another fleet or another cell model, or is not valid.
        """
        for name, now in self.state().items():
            found = np.shape(state[name]) if name in state else None
            if found != now.shape:
                raise BatteryError(f"saved {name} has shape {found}, this fleet needs {now.shape}")
        self._cells.states = np.asarray(state["states"], dtype=float)
        self._cells.current_a = np.asarray(state["current_a"], dtype=float)
        self._look(-1)

    def _look(self, tick: int, passed: CellTick | None = None) -> None:
        """Take in the cells' state: check it, then state of charge, capacity and limits."""
        c = self._kernel.constants
        view = self._cells.view()
        self._check_finite(view, passed, tick)
        lithium = (
            view.negative * c["negative_capacity_ah"] + view.positive * c["positive_capacity_ah"]
        )
        left = lithium / c["lithium_ah"]
        self._check("cyclable lithium", left, 0.6, 1 + 1e-6, "of the new cell's", tick)
        empty, full = self._kernel.balance(np.minimum(left, 1.0))
        soc = (view.negative - empty) / (full - empty)
        self._check("state of charge", soc, -SOC_MARGIN, 1 + SOC_MARGIN, "", tick)
        low_c, high_c = TEMPERATURE_RANGE_C
        self._check("temperature", view.temperature_k - ZERO_C_K, low_c, high_c, "degC", tick)
        if passed is not None:
            low_v, high_v = c["lower_v"] - VOLTAGE_MARGIN_V, c["upper_v"] + VOLTAGE_MARGIN_V
            self._check("lowest voltage", passed.lowest_v, low_v, high_v, "V", tick)
            self._check("highest voltage", passed.highest_v, low_v, high_v, "V", tick)
        self._view = view
        self._soc = np.clip(soc, 0, 1)
        self._capacity_ah = (full - empty) * c["negative_capacity_ah"]
        self._charge_limit, self._discharge_limit = self._limits()

    def _limits(self) -> tuple[Floats, Floats]:
        """Pack power that can be held through the next tick [kW]: charging, discharging."""
        new_ah = self._kernel.constants["new_capacity_ah"]
        room_a = (1 - self._soc) * self._capacity_ah / self._hours
        stored_a = self._soc * self._capacity_ah / self._hours
        charge_w, discharge_w = self._cells.sustainable_w(
            np.minimum(room_a, CHARGE_C_RATE * new_ah),
            np.minimum(stored_a, DISCHARGE_C_RATE * new_ah),
        )
        return (
            np.minimum(charge_w * self.cells / 1000, self._max_charge),
            np.minimum(discharge_w * self.cells / 1000, self._max_discharge),
        )

    def _input(
        self, name: str, value: ArrayLike, tick: int, low: float = -np.inf, high: float = np.inf
    ) -> Floats:
        try:
            array = np.broadcast_to(np.asarray(value, dtype=float), (self.count,))
        except ValueError:
            shape = np.shape(value)
            raise BatteryError(
                f"{name} has shape {shape}, not ({self.count},)", tick=tick
            ) from None
        self._check(name, array, low, high, "", tick)
        return array

    def _check(
        self, name: str, array: Floats, low: float, high: float, unit: str, tick: int
    ) -> None:
        wrong = ~((array >= low) & (array <= high) & np.isfinite(array))
        if wrong.any():
            i = int(np.argmax(wrong))
            bounds = f"{low:g} to {high:g}" if np.isfinite([low, high]).any() else "finite"
            reason = f"{name} is {array[i]:.6g} {unit}".rstrip() + f", must be {bounds}"
            raise BatteryError(reason, where=f"vehicle {self._ids[i]}", tick=tick)

    def _check_finite(self, view: CellView, passed: CellTick | None, tick: int) -> None:
        states = self._cells.states
        whole = np.isfinite(states).all(axis=0)
        if passed is not None:
            whole &= np.isfinite(passed.energy_j)
        if not whole.all():
            i = int(np.argmin(whole))
            reason = (
                f"the cell state is not finite: stoichiometries {view.negative[i]:.6g} and "
                f"{view.positive[i]:.6g}, temperature {view.temperature_k[i]:.6g} K, "
                f"SEI {view.sei_m[i]:.6g} m"
            )
            raise BatteryError(reason, where=f"vehicle {self._ids[i]}", tick=tick)
