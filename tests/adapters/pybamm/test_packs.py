"""Packs: accounting, limits, ageing, state, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.pybamm.kernel import Kernel
from adapters.pybamm.packs import Packs
from adapters.pybamm.spec import Life, PackSpec
from cosim.errors import BatteryError
from cosim.laws import LITHIUM_PER_CAPACITY
from cosim.signals import C_RATES
from tests.adapters.pybamm.fleets import (
    HOUR,
    as_dict,
    ask,
    cell_kwh,
    pack_cells,
    random_ticks,
    single_cells,
)

WEAR_ERROR = {"nmc": (0.07, 0.3), "lfp": (0.4, 0.2)}
"""Error of the wear foreseen against what a tick of charging and one of discharging cost. Charging,
LFP cells lose a tenth of what NMC cells lose; most of it is plated, from when the surface of the
graphite passes a step of its potential."""


def test_layout_has_the_energy_of_its_specification(spm: Kernel) -> None:
    c = spm.constants
    layout = PackSpec.of([75.0], 400.0, 150.0, 300.0).layout(c)
    assert layout.cells[0] * c["new_energy_wh"] == pytest.approx(75_000)
    assert layout.series[0] * c["mean_v"] == pytest.approx(400, abs=c["mean_v"] / 2)
    assert layout.series[0] * layout.parallel[0] == pytest.approx(
        layout.cells[0], abs=layout.series[0] / 2
    )
    # Data sheets: LG M50 5 Ah and 18.2 Wh, A123 26650 2.3 to 2.5 Ah and 7.6 to 8 Wh.
    low, high = {"nmc": (5.0, 5.3), "lfp": (2.2, 2.5)}[spm.options.chemistry]
    assert low < c["new_capacity_ah"] < high


def test_a_pack_is_its_cells(spm: Kernel) -> None:
    """Cells share its power, and its limits are theirs."""
    size = np.array([1.0, 4117.3])
    given = cell_kwh(spm) * np.array([1.0, 2.0, 3.0])[:, None] * size
    packs = Packs(spm, PackSpec.of(given[0], 400.0, given[1], given[2]), [0.5, 0.5])
    np.testing.assert_allclose(packs.layout.cells, size)
    for power_kw in (0.7, -0.9, 50.0):
        tick = packs.advance(0, ask(2, power_kw * given[0]))
        assert tick.pack_charge_ah[1] == pytest.approx(tick.pack_charge_ah[0], rel=1e-12)
        for name in ("pack_energy_kwh", "vehicle_charge_limit_kw", "vehicle_discharge_limit_kw"):
            cell, pack = getattr(tick, name)
            assert pack == pytest.approx(size[1] * cell, rel=1e-12)


def test_soc_is_its_own_coulomb_integral(kernel: Kernel) -> None:
    packs = single_cells(kernel, np.linspace(0.2, 0.8, 16))
    before = packs.soc
    for tick in random_ticks(packs, 48, seed=1):
        moved = tick.pack_charge_ah / tick.cell_capacity_ah
        np.testing.assert_allclose(tick.vehicle_soc - before, moved, atol=5e-5)
        before = tick.vehicle_soc


@pytest.mark.parametrize(("ambient_c", "years"), [(-20.0, 1), (20.0, 1), (45.0, 1), (45.0, 20)])
def test_charge_that_ageing_takes_goes_with_lost_capacity(
    kernel: Kernel, ambient_c: float, years: float
) -> None:
    """Also in an empty cell, and in an old one: the audit holds every tick to it."""
    life = Life(age_years=years)
    packs = single_cells(kernel, np.linspace(0, 1, 30), life, initial_temperature_c=ambient_c)
    for tick in range(6):
        soc, soh = packs.soc, packs.soh
        draw_kw = 0.0005 * cell_kwh(kernel) if tick == 0 else 0.0
        found = packs.advance(tick, ask(30, -draw_kw, ambient_c=ambient_c))
        moved = found.pack_charge_ah / found.cell_capacity_ah
        taken = np.abs(found.vehicle_soc - soc - moved) * found.vehicle_soh
        assert (taken <= LITHIUM_PER_CAPACITY * np.abs(found.vehicle_soh - soh) + 1e-12).all()


def test_a_pack_can_stand_empty_and_be_charged_again(spm: Kernel) -> None:
    """Side reactions go on below 0 %; what the pack says stays the integral of its charge."""
    packs = single_cells(spm, [0.0], Life(age_years=0), initial_temperature_c=45.0)
    moved = 0.0
    for tick in range(14 * 288):
        power_kw = 0.0 if tick < 14 * 288 - 6 else cell_kwh(spm)
        if tick == 14 * 288 - 6:
            assert packs.soc[0] < -0.0095, packs.soc
            assert packs.stored_kwh[0] == 0
            assert packs.discharge_limit_kw[0] == 0
            assert packs.charge_limit_kw[0] > cell_kwh(spm)
        found = packs.advance(tick, ask(1, power_kw, ambient_c=45.0))
        moved += float(found.pack_charge_ah[0] / found.cell_capacity_ah[0])
    assert packs.soc[0] > 0.4
    lost = LITHIUM_PER_CAPACITY * (1 - float(packs.soh[0])) / float(packs.soh[0])
    assert moved - lost < packs.soc[0] < moved


def test_an_empty_pack_ends_where_its_graphite_has_no_lithium(spm: Kernel) -> None:
    packs = single_cells(spm, [0.0])
    state = packs.state()
    rest = spm.rest_matrix
    moved = spm.constants["new_empty"] - 5e-4
    share = spm.constants["negative_capacity_ah"] / spm.constants["positive_capacity_ah"]
    state["states"] += (-rest[1] * moved + rest[2] * moved * share)[:, None]
    with pytest.raises(BatteryError, match="negative stoichiometry is"):
        packs.restore(state)


def test_delivered_power_is_what_was_asked_within_limits(kernel: Kernel) -> None:
    packs = Packs(kernel, PackSpec.of([75.0] * 4, 400.0, 300.0, 450.0), [0.5] * 4)
    traction, plug = np.array([2.0, -0.2, 0.0, 0.5]), np.array([0.0, 0.0, 11.0, -11.0])
    tick = packs.advance(0, ask(4, plug, traction, efficiency=0.9))
    np.testing.assert_array_equal(tick.vehicle_power_kw, plug)
    np.testing.assert_array_equal(tick.battery_traction_kwh, traction)
    np.testing.assert_array_equal(tick.traction_shortfall_kwh, 0)
    dc = np.array([0, 0, 11 * 0.9, -11 / 0.9]) * HOUR
    np.testing.assert_allclose(tick.pack_energy_kwh, dc - traction, rtol=1e-7, atol=1e-9)


def test_ratings_hold(kernel: Kernel) -> None:
    packs = Packs(kernel, PackSpec.of([75.0] * 2, 400.0, 20.0, 30.0), [0.5] * 2)
    # The rating is a current at the mean voltage.
    charge_kw, discharge_kw = packs.charge_limit_kw, packs.discharge_limit_kw
    assert (charge_kw <= 20).all()
    assert (charge_kw > 19.8).all()
    assert (discharge_kw <= 30).all()
    assert (discharge_kw > 28.8).all()
    tick = packs.advance(0, ask(2, [50.0, -50.0], efficiency=0.9, ambient_c=25))
    np.testing.assert_allclose(tick.vehicle_power_kw[0], charge_kw[0] / 0.9, rtol=1e-3)
    np.testing.assert_allclose(tick.vehicle_power_kw[1], -discharge_kw[1] * 0.9, rtol=2e-2)


def test_idle_cells_carry_no_current(kernel: Kernel) -> None:
    packs = single_cells(kernel, [0.0, 0.4, 1.0])
    packs.advance(0, ask(3, traction_kwh=[0.0, 0.02 * cell_kwh(kernel), 0.0]))
    tick = packs.advance(1, ask(3))
    np.testing.assert_array_equal(tick.pack_charge_ah, 0)
    np.testing.assert_array_equal(tick.pack_energy_kwh, 0)


def test_traction_comes_before_v2g_and_recuperation_before_charging(nmc: Kernel) -> None:
    packs = single_cells(nmc, [0.05, 0.05, 0.97, 0.97, 0.0])
    able, room = packs.discharge_limit_kw[0] * HOUR, packs.charge_limit_kw[2] * HOUR
    traction = np.array([0.5 * able, 2 * able, -0.5 * room, -2 * room, 0.01])
    plug = np.array([-2 * able, -able, 2 * room, room, 0.0]) / HOUR
    tick = packs.advance(0, ask(5, plug, traction))
    given = tick.battery_traction_kwh
    assert given[0] == pytest.approx(0.5 * able)
    assert tick.vehicle_power_kw[0] == pytest.approx(-0.5 * able / HOUR, rel=0.02)
    assert given[1] == pytest.approx(able, rel=0.02)
    assert tick.vehicle_power_kw[1] == 0
    assert tick.traction_shortfall_kwh[1] == pytest.approx(2 * able - given[1])
    assert given[2] == pytest.approx(-0.5 * room)
    assert tick.vehicle_power_kw[2] == pytest.approx(0.5 * room / HOUR, rel=0.02)
    assert given[3] == pytest.approx(-room, rel=0.02)
    assert tick.vehicle_power_kw[3] == 0
    assert tick.traction_shortfall_kwh[3] == 0
    assert given[4] == pytest.approx(0, abs=1e-6)
    assert tick.traction_shortfall_kwh[4] == pytest.approx(0.01, rel=1e-3)


def test_cold_cells_take_no_charge(kernel: Kernel) -> None:
    """Below -10 degC, neither from the plug nor from recuperation; both give power for driving."""
    energy = cell_kwh(kernel)
    packs = single_cells(kernel, [0.5] * 3, initial_temperature_c=-15)
    np.testing.assert_array_equal(packs.charge_limit_kw, 0)
    assert (packs.discharge_limit_kw > 0.2 * energy).all()
    found = packs.advance(
        0, ask(3, [energy, 0, 0], [0, -0.05 * energy, 0.01 * energy], ambient_c=-15)
    )
    np.testing.assert_array_equal(found.pack_charge_ah[:2], 0)
    assert found.pack_charge_ah[2] < 0
    np.testing.assert_array_equal(found.vehicle_power_kw, 0)
    np.testing.assert_array_equal(found.battery_traction_kwh[:2], 0)
    assert found.traction_shortfall_kwh[2] == pytest.approx(0, abs=1e-9)


def test_a_heater_warms_until_charge_flows(nmc: Kernel) -> None:
    energy = cell_kwh(nmc)
    life = Life(heater_kw=energy)
    packs = single_cells(nmc, [0.5], life, initial_temperature_c=-15)
    first = packs.advance(0, ask(1, energy, ambient_c=-15))
    assert first.pack_heater_kwh[0] > 0
    assert first.pack_charge_ah[0] == 0
    assert first.vehicle_power_kw[0] * HOUR == pytest.approx(first.pack_heater_kwh[0])
    last = first
    for tick in range(1, 6):
        last = packs.advance(tick, ask(1, energy, ambient_c=-15))
    assert last.vehicle_temperature_c[0] > 0
    assert last.pack_charge_ah[0] > 0
    assert last.pack_energy_kwh[0] == pytest.approx(
        last.vehicle_power_kw[0] * HOUR - last.pack_heater_kwh[0], rel=1e-6
    )


@pytest.mark.parametrize(("acceleration", "ticks"), [(1, 288), (10, 288), (100, 96)])
def test_lithium_is_conserved(kernel: Kernel, acceleration: float, ticks: int) -> None:
    packs = single_cells(kernel, [0.2, 0.5, 0.8], Life(acceleration=acceleration))
    before = packs.lithium_ah
    random_ticks(packs, ticks, 4)
    np.testing.assert_allclose(packs.lithium_ah, before, rtol=1e-6)
    assert (packs.soh < 1).all()


def _days(packs: Packs, days: int) -> None:
    """Days that repeat: two drives, and a charge back to where the day began."""
    energy, n = packs.spec.energy_kwh, packs.count
    start = packs.soc
    for tick in range(288 * days):
        of_day = tick % 288
        drives = 90 <= of_day < 102 or 210 <= of_day < 222
        missing = np.maximum(start - packs.soc, 0) * energy / HOUR
        charge = np.minimum(missing, 0.3 * energy) if of_day >= 240 else 0.0
        packs.advance(tick, ask(n, charge, 0.02 * energy if drives else 0.0, 25.0))


@pytest.mark.slow
@pytest.mark.parametrize(("acceleration", "most"), [(10, 0.02), (100, 0.1)])
def test_a_cycle_jump_ages_as_every_day_does(spm: Kernel, acceleration: int, most: float) -> None:
    """Two days that count as many times over, against all of them: the loss beyond the first."""
    lost: list[float] = []
    for times in (1, acceleration):
        packs = single_cells(spm, [0.8], Life(acceleration=times))
        before = packs.soh[0]
        _days(packs, 2 * acceleration // times)
        lost.append(before - packs.soh[0])
    print(f"{spm.options.chemistry} x{acceleration}: {lost[0]:.4%} and {lost[1]:.4%}")
    assert lost[1] == pytest.approx(lost[0], rel=most)


def test_restored_state_goes_on_bit_for_bit(kernel: Kernel) -> None:
    life = Life(acceleration=5, heater_kw=0.01)
    packs = pack_cells(kernel, np.linspace(0.1, 0.9, 9), life=life)
    random_ticks(packs, 5, seed=1)
    assert (packs.temperature_c > 20).any(), "no loop runs"
    saved = packs.state()
    first = [as_dict(tick) for tick in random_ticks(packs, 5, seed=2)]
    other = pack_cells(kernel, np.full(9, 0.5), life=life)
    other.restore(saved)
    np.testing.assert_array_equal(other.lithium_ah.shape, (9,))
    for before, after in zip(first, random_ticks(other, 5, seed=2), strict=True):
        for name, values in as_dict(after).items():
            np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_blocks_do_not_change_a_bit(kernel: Kernel) -> None:
    from adapters.pybamm.cells import Cells, Surroundings

    n, rng = 77, np.random.default_rng(5)
    states = single_cells(kernel, rng.uniform(0, 1, n)).state()["states"]
    full, current_a = np.ones(n), kernel.constants["new_capacity_ah"]
    power_w = rng.uniform(-3, 3, n) * 1000 * cell_kwh(kernel)
    found: list[Any] = []
    for block in (16, 40, 4096):
        cells = Cells(kernel, states, block)
        rated = 4 * current_a * full
        around = Surroundings(293 * full, 0 * full, 0.02 * full, 90.0)
        cells.advance(power_w, around, rated, rated, 3e3 * full, 3e3 * full)
        limits = cells.sustainable(rated, rated, rated, rated, around)
        found.append(np.vstack([cells.states, limits.charge_w, limits.discharge_w]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_arrays_handed_out_are_fresh(nmc: Kernel) -> None:
    packs = single_cells(nmc, [0.4, 0.6])
    first = packs.advance(0, ask(2, 0.005))
    kept = {name: values.copy() for name, values in as_dict(first).items()}
    packs.advance(1, ask(2, -0.005))
    for name, values in as_dict(first).items():
        np.testing.assert_array_equal(values, kept[name], err_msg=name)
        values[:] = -1
    assert (packs.soc > 0).all()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (([75.0, -1.0], 400.0, 50.0, 50.0), r"vehicle b\): energy_kwh is -1, must be 0.001 to inf"),
        (([75.0, 75.0], [400.0, np.nan], 50.0, 50.0), r"vehicle b\): nominal_voltage_v is nan"),
        (([75.0, 75.0], 400.0, [-3.0, 50.0], 50.0), r"vehicle a\): max_charge_kw is -3"),
        (([75.0, 75.0], 400.0, 50.0, [1.0] * 3), r"max_discharge_kw has shape \(3,\), not \(2,\)"),
    ],
)
def test_a_bad_pack_is_named(spec: Any, words: str) -> None:
    with pytest.raises(BatteryError, match=words):
        PackSpec.of(*spec, ids=["a", "b"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"initial_soc": [0.5, 1.2]}, r"vehicle 1\): initial_soc is 1.2, must be 0 to 1"),
        (
            {"initial_soc": 0.5, "initial_temperature_c": 70.0},
            "temperature_c is 70, must be -30 to 50",
        ),
        ({"initial_soc": 0.5, "life": Life(age_years=-1)}, "age_years is -1"),
        (
            {"initial_soc": 0.5, "life": Life(acceleration=0.5)},
            "acceleration is 0.5, must be 1 to 100",
        ),
    ],
)
def test_a_bad_start_is_named(nmc: Kernel, given: dict[str, Any], words: str) -> None:
    spec = PackSpec.of([75.0] * 2, 400.0, 50.0, 50.0)
    with pytest.raises(BatteryError, match=words):
        Packs(nmc, spec, **given)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("plug_power_kw", [1.0, np.nan], "plug_power_kw is nan, must be finite"),
        ("traction_kwh", [0.0, np.inf], "traction_kwh is inf"),
        ("plug_efficiency", [0.9, 1.2], "plug_efficiency is 1.2, must be 1e-06 to 1"),
        ("ambient_c", [20.0, 61.0], "ambient_c is 61, must be -30 to 50"),
        ("traction_kwh", [0.0, 0.0, 0.0], r"traction_kwh has shape \(3,\), not \(2,\)"),
    ],
)
def test_a_bad_request_is_named(nmc: Kernel, field: str, value: Any, words: str) -> None:
    request = replace(ask(2, 0.001), **{field: np.array(value)})
    with pytest.raises(BatteryError, match=words) as caught:
        single_cells(nmc, [0.5, 0.5]).advance(4, request)
    assert caught.value.tick == 4


TOLD = (
    r"state of charge [\d.]+, state of health [\d.]+, .*power [-\d.]+ kW, power asked 0 kW, "
    r"lowest voltage [\d.]+ V, highest voltage [\d.]+ V"
)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("temperature", np.nan, "sum of all states is nan, must be finite; .*power asked 0 kW"),
        ("temperature", 3.0, f"temperature is .* degC, must be -40 to 110; {TOLD}"),
        ("negative", 1.7, "must be .* to .*; "),
    ],
)
def test_a_cell_that_left_its_range_is_named(
    nmc: Kernel, name: str, change: float, words: str
) -> None:
    packs = single_cells(nmc, [0.5] * 3, ids=["a", "b", "c"])
    row = {"temperature": 3, "negative": 1}[name]
    packs._cells._x[np.flatnonzero(nmc.rest_matrix[row]), 1] *= change
    with pytest.raises(BatteryError, match=words) as caught:
        packs.advance(7, ask(3))
    assert caught.value.where == "vehicle b"
    assert caught.value.tick == 7
    assert "  " not in str(caught.value)


def test_state_of_another_fleet_is_refused(nmc: Kernel) -> None:
    with pytest.raises(BatteryError, match="this fleet needs"):
        single_cells(nmc, [0.5]).restore(single_cells(nmc, [0.5, 0.6]).state())
    with pytest.raises(BatteryError, match="saved states has shape None"):
        single_cells(nmc, [0.5]).restore({})


def _wear_of_a_tick(packs: Packs, tick: int, c_rate: float, ambient_c: float) -> Any:
    """Wear found between a tick at the rate and one of rest, shape (cell,) [USD/kWh].

    NaN in cells that cannot hold what they foresaw of it from the first moment to the last.
    """
    n, energy_kwh = packs.count, packs.spec.energy_kwh
    saved, held = packs.state(), packs._sustainable
    most_a = held.charge_a if c_rate > 0 else held.discharge_a
    wanted_ah = HOUR * np.minimum(abs(c_rate) * packs._c["new_capacity_ah"], most_a)
    rested = packs.advance(tick, ask(n, ambient_c=ambient_c))
    found, power_kw = rested, c_rate * energy_kwh
    for _ in range(3):
        packs.restore(saved)
        power_kw = np.clip(power_kw, -packs.discharge_limit_kw, packs.charge_limit_kw)
        found = packs.advance(tick, ask(n, power_kw, ambient_c=ambient_c))
        power_kw = power_kw * wanted_ah / np.abs(found.pack_charge_ah)
    packs.restore(saved)
    lost_kwh = (rested.vehicle_soh - found.vehicle_soh) * energy_kwh
    lost_kwh[np.abs(found.pack_charge_ah) < 0.95 * wanted_ah] = np.nan
    return lost_kwh * Life().usd_per_kwh / np.abs(found.pack_energy_kwh)


@pytest.mark.parametrize("start_c", [0.0, 15.0, 25.0, 35.0])
def test_wear_is_what_a_tick_costs(kernel: Kernel, start_c: float) -> None:
    """After an hour of rest, in which plating settles."""
    packs = single_cells(kernel, [0.1, 0.3, 0.5, 0.7, 0.85], initial_temperature_c=start_c)
    told = [packs.advance(tick, ask(5, ambient_c=start_c)) for tick in range(12)][-1]
    most = WEAR_ERROR[kernel.options.chemistry]
    for k, c_rate in enumerate(C_RATES):
        found = _wear_of_a_tick(packs, 12, c_rate, start_c)
        error = most[0] if c_rate > 0 else most[1]
        at = np.isfinite(found)
        assert at.sum() >= 3
        wear = told.vehicle_wear_usd_per_kwh[at, k]
        np.testing.assert_allclose(wear, found[at], rtol=error, atol=2e-6)


@pytest.mark.parametrize("c_rate", [0.15, 0.5])
@pytest.mark.parametrize("ambient_c", [-5.0, 20.0])
def test_wear_is_what_an_hour_of_discharge_costs(
    kernel: Kernel, ambient_c: float, c_rate: float
) -> None:
    """In cells in use: gradients that are there make every tick dearer than one from rest."""
    packs = single_cells(kernel, [0.7, 0.95], initial_temperature_c=ambient_c)
    energy_kwh = packs.spec.energy_kwh
    foreseen_usd, lost_usd = np.zeros(2), np.zeros(2)
    last = packs.advance(0, ask(2, ambient_c=ambient_c))
    for tick in range(12):
        saved = packs.state()
        rested = packs.advance(tick, ask(2, ambient_c=ambient_c))
        packs.restore(saved)
        told = [np.interp(-c_rate, C_RATES, row) for row in last.vehicle_wear_usd_per_kwh]
        last = packs.advance(tick, ask(2, -c_rate * energy_kwh, ambient_c=ambient_c))
        foreseen_usd += np.array(told) * -last.pack_energy_kwh
        lost_usd += (rested.vehicle_soh - last.vehicle_soh) * energy_kwh * Life().usd_per_kwh
    np.testing.assert_allclose(foreseen_usd, lost_usd, rtol=0.15)


def test_wear_grows_with_the_current_in_the_cold(kernel: Kernel) -> None:
    packs = single_cells(kernel, [0.3, 0.5], initial_temperature_c=5)
    wear = packs.advance(0, ask(2, ambient_c=5)).vehicle_wear_usd_per_kwh
    assert wear.shape == (2, len(C_RATES))
    assert (wear > 0).all()
    # The largest rates may be more than the cell takes: then they are told as what it takes.
    out, into = wear[:, :3], wear[:, 3:]
    assert (np.diff(into, axis=1) > -1e-12).all()
    assert (into[:, 1] > 1.2 * into[:, 0]).all()
    assert (np.diff(out, axis=1) < 1e-12).all()
    assert (out[:, 1] > 2 * out[:, 2]).all()
