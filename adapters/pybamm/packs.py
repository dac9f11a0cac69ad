"""Vehicle batteries: packs of cells of one chemistry that take traction and charging power."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from adapters.pybamm import watch
from adapters.pybamm.ageing import sei_after
from adapters.pybamm.balance import CORRECTIONS, Balance
from adapters.pybamm.cells import Cells, CellTick, CellView, Surroundings, Sustainable
from adapters.pybamm.constants import J_PER_KWH, ZERO_C_K
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.lithium import ampere_hours, cyclable_ah, electrodes_ah, lost_mol
from adapters.pybamm.mounting import Mounting
from adapters.pybamm.spec import (
    AMBIENT_RANGE_C,
    Check,
    Life,
    PackSpec,
    Quantity,
    check_saved,
    heating_kw,
)
from adapters.pybamm.tick import BatteryTick, Floats, Request, settle


class Packs:
    """The batteries of vehicles of one chemistry.

    Parameters
    ----------
    kernel
        The cell model.
    spec
        The packs.
    initial_soc
        State of charge at the start, 0..1, of the aged capacity, shape (vehicle,).
    life
        How they age.
    initial_temperature_c
        Cell temperature at the start [degC].
    mounting
        What is around each cell; if None, the pack of a vehicle.

    Raises
    ------
    cosim.errors.BatteryError
        If an argument is not finite or out of its range.

    Notes
    -----
    The state of charge equals its own coulomb integral, ``pack_charge_ah / cell_capacity_ah``
    summed, but for lithium that side reactions take.

    PyBaMM's thermal model leaves out the heat of mixing. What went in, less that model's heat, less
    what the particles hold now and did not before, warms the cell in the tick after, so that all
    energy is accounted for: mixing, side reactions, and what steps of finite length leave out.

    What cools cells is chosen where a tick begins, from their temperature and the air of the tick
    before; what is foreseen for a tick takes the air to be that, too, and the vehicle to be on.

    Accelerated ageing (`Life.acceleration` n > 1) counts what ageing did in a tick n times: the
    states of ageing jump by n - 1 times their change, the lithium that they bind leaves the
    particles, and the state of charge stays, of the new capacity (a cycle jump).
    """

    def __init__(
        self, kernel: Kernel, spec: PackSpec, initial_soc: ArrayLike, life: Life | None = None, *,
        initial_temperature_c: float = 20.0, mounting: Mounting | None = None,
    ) -> None:  # fmt: skip
        self.spec, self._life = spec, life or Life()
        self.count = spec.energy_kwh.size
        self._kernel = kernel
        self._c = c = kernel.constants
        self._tick_s = kernel.options.tick_s
        self._mounting = mounting or Mounting.in_pack(
            kernel.options.of_chemistry, c["new_energy_wh"]
        )
        self._heat_j_k = c["heat_capacity_j_k"] + self._mounting.housing_j_k
        self._check = Check(spec.ids)
        soc = self._check.input("initial_soc", initial_soc, low=0.0, high=1.0)
        start = self._check.input("initial_temperature_c", initial_temperature_c, -1,
                                  *AMBIENT_RANGE_C)  # fmt: skip
        self._check.life(self._life)

        self.layout = spec.layout(c)
        self._start_cells(soc, start + ZERO_C_K)
        self._mixing_j = np.zeros(self.count)
        self._ambient_k = start + ZERO_C_K
        self._look(-1)
        self._hold()

    def _start_cells(self, soc: Floats, temperature_k: Floats) -> None:
        kernel, c = self._kernel, self._c
        sei_m = np.full(self.count, sei_after(c, self._life.age_years))
        half = np.full(self.count, c["half_negative"]), np.full(self.count, c["half_positive"])
        self._cells = Cells(kernel, kernel.at_rest(*half, temperature_k, sei_m))
        view = self._cells.view()
        bound = ampere_hours(view.side_mol)
        lithium = c["lithium_ah"] - bound
        self._total_ah = np.full(self.count, c["lithium_ah"])
        self._balance = Balance(kernel, lithium, electrodes_ah(self._c, view))
        negative = self._balance.at(soc)
        positive = (lithium - negative * c["negative_capacity_ah"]) / c["positive_capacity_ah"]
        self._cells.states = kernel.at_rest(negative, positive, temperature_k, sei_m)

    @property
    def soc(self) -> Floats:
        """State of charge; side reactions take an empty cell below 0."""
        return self._soc.copy()

    @property
    def soh(self) -> Floats:
        """State of health, present over new capacity."""
        return self._capacity_ah / self._c["new_capacity_ah"]

    @property
    def resistance_ratio(self) -> Floats:
        """Resistance over that when new."""
        return self._cells.resistance_ohm() / self._c["new_resistance_ohm"]

    @property
    def temperature_c(self) -> Floats:
        """Cell temperature [degC]."""
        return self._view.temperature_k - ZERO_C_K

    @property
    def capacity_ah(self) -> Floats:
        """Present capacity of each cell [A h]."""
        return self._capacity_ah.copy()

    @property
    def lithium_ah(self) -> Floats:
        """All lithium of each cell: in particles, interphase, plating, lost material [A h]."""
        view = self._view
        return cyclable_ah(self._c, view) + ampere_hours(lost_mol(view))

    @property
    def charge_limit_kw(self) -> Floats:
        """DC power that each pack can take through the next tick, its heater included [kW]."""
        return self._cell_limit_kw + self._heater_need_kw()

    @property
    def _cell_limit_kw(self) -> Floats:
        limit = self._sustainable.charge_w * self.layout.cells / 1000
        return np.minimum(limit, self.spec.max_charge_kw)

    @property
    def discharge_limit_kw(self) -> Floats:
        """DC power that each pack can give through the whole next tick [kW]."""
        limit = self._sustainable.discharge_w * self.layout.cells / 1000
        return np.minimum(limit, self.spec.max_discharge_kw)

    @property
    def surroundings(self) -> Surroundings:
        """What cells are foreseen to be in through the next tick, without a heater."""
        return self._around(0.0, self._on_w_k)

    @property
    def stored_kwh(self) -> Floats:
        """Energy above 0 % at the mean voltage of each pack's present capacity [kWh]."""
        return np.maximum(self._soc, 0) * self.soh * self.spec.energy_kwh

    def advance(self, tick: int, request: Request) -> BatteryTick:
        """Step every pack by one tick.

        Parameters
        ----------
        tick
            Settlement interval, for messages.
        request
            What is asked.

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
        Traction, plug and heater power add up to one net power, held through the tick and cut to
        the limits that the pack foresaw for it at the end of the tick before.
        """
        self._check.request(tick, request)
        hours = self._tick_s / 3600
        heater_kw = heating_kw(request, self._heater_need_kw(), hours)
        asked_kw = (request.plug_dc_kwh(hours) - request.traction_kwh) / hours - heater_kw
        power_kw = np.clip(asked_kw, -self.discharge_limit_kw, self._cell_limit_kw)
        cooling_w_k = np.where(request.on, self._on_w_k, self._mounting.passive_w_k)
        self._ambient_k = request.ambient_c + ZERO_C_K
        before = self._cells.states[self._kernel.ageing] if self._life.acceleration > 1 else None
        passed = self._cells.advance(
            power_kw * 1000 / self.layout.cells,
            self._around(heater_kw * 1000 / self.layout.cells, cooling_w_k),
            self.layout.charge_a,
            self.layout.discharge_a,
            self._room_ah * 3600,
            self._stored_ah * 3600,
        )
        self._mix(passed)
        limits_v = self._c["lower_v"], self._c["upper_v"]
        done = watch.of_tick(passed, asked_kw, self.layout.cells, limits_v, self._soc)
        self._look(tick, done, before)
        if before is not None:
            self._hold()

        energy_kwh = passed.energy_j * self.layout.cells / J_PER_KWH
        settled = settle(request, energy_kwh, heater_kw * hours, hours)
        charge_ah = passed.charge_as / 3600
        new_ah = self._c["new_capacity_ah"]
        return BatteryTick(
            vehicle_power_kw=settled.power_kw,
            battery_traction_kwh=settled.traction_kwh,
            traction_shortfall_kwh=settled.shortfall_kwh,
            vehicle_soc=self.soc,
            vehicle_soh=self.soh,
            vehicle_resistance_ratio=self.resistance_ratio,
            vehicle_temperature_c=self.temperature_c,
            pack_charge_ah=charge_ah,
            cell_capacity_ah=self.capacity_ah,
            vehicle_charge_limit_kw=self.charge_limit_kw,
            vehicle_discharge_limit_kw=self.discharge_limit_kw,
            vehicle_c_rate_headroom=(
                self._sustainable.charge_a - np.maximum(charge_ah, 0) / hours
            ) / new_ah,
            vehicle_wear_usd_per_kwh=self._wear(),
            pack_heater_kwh=heater_kw * hours,
            pack_loss_kwh=passed.loss_j * self.layout.cells / J_PER_KWH,
            pack_energy_kwh=energy_kwh,
        )  # fmt: skip

    def state(self) -> dict[str, Floats]:
        """Return everything that changes, as copies; `restore` takes it back bit for bit."""
        return {
            "states": self._cells.states,
            "current_a": self._cells.current_a,
            **self._balance.state(),
            "mixing_j": self._mixing_j.copy(),
            "ambient_k": self._ambient_k.copy(),
        }

    def restore(self, state: Mapping[str, Floats]) -> None:
        """Take back a state of `state`.

        Raises
        ------
        cosim.errors.BatteryError
            If the state is of another fleet or another cell model, or is not valid.
        """
        check_saved(state, {name: now.shape for name, now in self.state().items()})
        self._cells.states = np.asarray(state["states"], dtype=float)
        self._cells.current_a = np.asarray(state["current_a"], dtype=float)
        self._mixing_j = np.array(state["mixing_j"], dtype=float)
        self._ambient_k = np.array(state["ambient_k"], dtype=float)
        self._balance.restore(state)
        self._look(-1, searched=True)
        self._hold()

    # --- within a tick

    @property
    def _stored_ah(self) -> Floats:
        """Charge of each cell above 0 % [A h]."""
        return np.maximum(self._soc, 0) * self._capacity_ah

    @property
    def _room_ah(self) -> Floats:
        """Charge of each cell that is missing to 100 % [A h]."""
        return np.maximum(1 - self._soc, 0) * self._capacity_ah

    def _heater_need_kw(self) -> Floats:
        heat_j_k = self._heat_j_k
        return self._life.heater_need_kw(
            self.temperature_c, heat_j_k, self.layout.cells, self._tick_s
        )

    @property
    def _on_w_k(self) -> Floats:
        """Conductance of each cell in the next tick if the vehicle is on [W/K]."""
        return self._mounting.cooling_w_k(self.temperature_c, self._ambient_k - ZERO_C_K)

    def _around(self, heater_w: Floats | float, cooling_w_k: Floats) -> Surroundings:
        return Surroundings(
            ambient_k=self._ambient_k,
            heat_w=heater_w + self._mixing_j / self._tick_s,
            cooling_w_k=cooling_w_k,
            heat_capacity_j_k=self._heat_j_k,
        )

    def _mix(self, passed: CellTick) -> None:
        """Set aside for the next tick what became heat in this one and did not warm the cell."""
        energy_v, capacity_as = self._held
        self._hold()
        mean_as = 0.5 * (capacity_as + self._held[1])
        stored_j = (mean_as * (self._held[0] - energy_v)).sum(axis=0)
        self._mixing_j = passed.energy_j - stored_j - passed.heat_j

    def _hold(self) -> None:
        """Take in what the electrodes hold, and their capacities."""
        capacities_ah = electrodes_ah(self._c, self._cells.view())
        self._held = self._cells.particle_energy_v(), 3600 * np.vstack(capacities_ah)

    def _look(
        self, tick: int, done: Mapping[str, Quantity] | None = None, before: Floats | None = None,
        searched: bool = False,
    ) -> None:  # fmt: skip
        """Take in the cells' state: check it, then state of charge, capacity and limits."""
        view = self._cells.view()
        told = watch.of_cells(view, self._life) | dict(done or {})
        self._check.state(tick, watch.whole(self._cells.states) | told, watch.FINITE)
        soc = self._charge_of(view, searched)
        if before is not None:
            view = self._jump(before, view, soc)
            # As `restore` finds it.
            soc = self._charge_of(view, searched=True)
            told |= watch.of_cells(view, self._life)
        self._view = view
        told = {"state of charge": (soc, ""), "state of health": (self.soh, "")} | told
        told |= {
            "cyclable lithium": (cyclable_ah(self._c, view) / self._c["lithium_ah"], "of the new"),
            "error of the lithium balance": (self.lithium_ah / self._total_ah - 1, ""),
        }
        self._check.state(tick, told, watch.BOUNDS | (watch.TICK_BOUNDS if done else {}))
        self._soc = soc
        self._sustainable = self._limits()

    def _charge_of(self, view: CellView, searched: bool = False) -> Floats:
        if not searched:
            self._balance.follow(cyclable_ah(self._c, view), electrodes_ah(self._c, view))
        self._capacity_ah = self._balance.capacity_ah
        plated = ampere_hours(view.plated_mol) / self._balance.figures[1]
        return self._balance.soc(view.negative + plated)

    def _jump(self, before: Floats, view: CellView, soc: Floats) -> CellView:
        """Count the ageing of the tick `Life.acceleration` times; see the notes of the class."""
        more = self._life.acceleration - 1
        states = self._cells.states
        states[self._kernel.ageing] += more * (states[self._kernel.ageing] - before)
        self._cells.states = states
        jumped = self._cells.view()
        lithium = cyclable_ah(self._c, view) - ampere_hours(lost_mol(jumped) - lost_mol(view))
        electrodes = electrodes_ah(self._c, jumped)
        self._balance.follow(lithium, electrodes, CORRECTIONS)
        negative = self._balance.at(soc)
        positive = (lithium - negative * electrodes[0]) / electrodes[1]
        plated = ampere_hours(jumped.plated_mol) / electrodes[0]
        self._cells.shift(negative - plated - jumped.negative, positive - jumped.positive)
        return self._cells.view()

    def _limits(self) -> Sustainable:
        hours = self._tick_s / 3600
        return self._cells.sustainable(
            self._stored_ah / hours,
            self._room_ah / hours,
            self.layout.charge_a,
            self.layout.discharge_a,
            self.surroundings,
        )

    def _wear(self) -> Floats:
        slopes, held = self._balance.slopes, self._sustainable
        lost = self._cells.wear_ah_per_j(slopes, held, self._heat_j_k)
        worth = self._c["new_energy_wh"] / 1000 * self._life.usd_per_kwh
        return np.ascontiguousarray(lost.T) * J_PER_KWH / self._c["new_capacity_ah"] * worth
