"""Packs: accounting, limits, state, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from adapters.pybamm.ageing import lithium_in_sei, sei_after
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.packs import BatteryTick, Packs
from cosim.errors import BatteryError

Floats = NDArray[np.float64]
HOUR = 300 / 3600
slow_fixture = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _packs(
    kernel: Kernel,
    soc: ArrayLike,
    age_years: float = 1.0,
    initial_temperature_c: float = 20.0,
    rating_kw: float = 1e4,
) -> Packs:
    level = np.atleast_1d(np.asarray(soc, dtype=float))
    n = len(level)
    rating = np.full(n, rating_kw)
    return Packs(
        kernel,
        np.full(n, 75.0),
        np.full(n, 400.0),
        level,
        rating,
        rating,
        age_years=age_years,
        initial_temperature_c=initial_temperature_c,
    )


def _fields(tick: BatteryTick) -> dict[str, Floats]:
    return {name: getattr(tick, name) for name in tick.__dataclass_fields__}


def _random_day(packs: Packs, ticks: int, seed: int, power_kw: float = 40.0) -> list[BatteryTick]:
    rng = np.random.default_rng(seed)
    n = packs.count
    return [
        packs.advance(
            tick,
            rng.uniform(-0.3, 2.0, n) * (rng.random(n) < 0.5),
            rng.uniform(-power_kw, power_kw, n) * (rng.random(n) < 0.5),
            0.92,
            rng.uniform(0, 35),
        )
        for tick in range(ticks)
    ]


def test_layout_has_the_energy_of_its_specification(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.5])
    c = kernel.constants
    assert packs.cells[0] * c["new_energy_wh"] == pytest.approx(75_000)
    assert packs.series[0] == 107
    assert packs.parallel[0] == round(75_000 / (107 * c["new_energy_wh"]))
    # LG M50: 5 Ah and 18.2 Wh nominal (data sheet, C/5); open circuit at infinitely slow rate more.
    assert 5.0 < c["new_capacity_ah"] < 5.3
    assert 18.2 < c["new_energy_wh"] < 19.5


def test_soc_is_its_own_coulomb_integral(kernel: Kernel) -> None:
    packs = _packs(kernel, np.linspace(0.3, 0.9, 16))
    start = packs.soc
    counted = np.zeros(16)
    before = start
    for tick in _random_day(packs, 288, seed=1):
        moved = tick.pack_charge_ah / tick.cell_capacity_ah
        np.testing.assert_allclose(tick.vehicle_soc - before, moved, atol=1e-6)
        counted += moved
        before = tick.vehicle_soc
    np.testing.assert_allclose(packs.soc - start, counted, atol=1e-4)


def test_terminal_energy_is_stored_energy_and_loss(kernel: Kernel) -> None:
    from adapters.pybamm.export import export, open_circuit

    packs = _packs(kernel, np.linspace(0.3, 0.9, 12))
    model, c = export(kernel.options), kernel.constants
    first = packs._view
    ticks = _random_day(packs, 96, seed=2)
    last = packs._view
    energy = np.sum([tick.pack_energy_kwh for tick in ticks], axis=0)
    loss = np.sum([tick.pack_loss_kwh for tick in ticks], axis=0)
    passed = np.sum([np.abs(tick.pack_energy_kwh) for tick in ticks], axis=0)
    share, weight = np.polynomial.legendre.leggauss(200)
    for i in range(packs.count):
        at = 0.5 + 0.5 * share
        x = first.negative[i] + at * (last.negative[i] - first.negative[i])
        y = first.positive[i] + at * (last.positive[i] - first.positive[i])
        mean_v = 0.5 * weight @ open_circuit(model, x, y)
        moved_ah = (first.positive[i] - last.positive[i]) * c["positive_capacity_ah"]
        stored = mean_v * moved_ah * packs.cells[i] / 1000
        assert energy[i] == pytest.approx(stored + loss[i], abs=2e-4 * passed[i])
        assert loss[i] > 0


def test_delivered_power_is_what_was_asked_within_limits(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.5, 0.5, 0.5, 0.5])
    traction, plug = np.array([2.0, -0.2, 0.0, 0.5]), np.array([0.0, 0.0, 11.0, -11.0])
    tick = packs.advance(0, traction, plug, 0.9, 20.0)
    np.testing.assert_array_equal(tick.vehicle_power_kw, plug)
    np.testing.assert_array_equal(tick.battery_traction_kwh, traction)
    np.testing.assert_array_equal(tick.traction_shortfall_kwh, 0)
    dc = np.array([0, 0, 11 * 0.9, -11 / 0.9]) * HOUR
    np.testing.assert_allclose(tick.pack_energy_kwh, dc - traction, rtol=1e-9, atol=1e-12)


def test_ratings_hold(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.5, 0.5], rating_kw=30.0)
    np.testing.assert_allclose(packs.charge_limit_kw, 30.0)
    np.testing.assert_allclose(packs.discharge_limit_kw, 30.0)
    tick = packs.advance(0, 0.0, [50.0, -50.0], 0.9, 20.0)
    np.testing.assert_allclose(tick.vehicle_power_kw, [30 / 0.9, -30 * 0.9])


def test_idle_cells_carry_no_current(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.0, 0.4, 1.0])
    packs.advance(0, [0.0, 1.0, 0.0], 0.0, 1.0, 20.0)
    tick = packs.advance(1, 0.0, 0.0, 1.0, 20.0)
    np.testing.assert_array_equal(tick.pack_charge_ah, 0)
    np.testing.assert_array_equal(tick.pack_energy_kwh, 0)


def test_traction_comes_before_v2g_and_recuperation_before_charging(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.03, 0.03, 0.999, 0.999, 0.0])
    able, room = packs.discharge_limit_kw[0] * HOUR, packs.charge_limit_kw[2] * HOUR
    tick = packs.advance(
        0,
        [0.5 * able, 2 * able, -0.5 * room, -2 * room, 1.0],
        [-2 * able / HOUR, -able / HOUR, 2 * room / HOUR, room / HOUR, 0.0],
        1.0,
        20.0,
    )
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
    assert tick.traction_shortfall_kwh[4] == pytest.approx(1.0)


@pytest.mark.parametrize("ambient_c", [-20.0, 0.0, 25.0, 45.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_power_within_the_foreseen_limit_is_delivered(
    kernel: Kernel, ambient_c: float, sign: int
) -> None:
    rng = np.random.default_rng(3)
    packs = _packs(kernel, np.linspace(0, 1, 120), initial_temperature_c=ambient_c)
    for tick in range(3):
        most = np.minimum(packs.charge_limit_kw, packs.discharge_limit_kw)
        packs.advance(tick, 0.0, rng.uniform(-0.7, 0.7, 120) * most, 1.0, ambient_c)
    limit = packs.charge_limit_kw if sign > 0 else packs.discharge_limit_kw
    found = packs.advance(3, 0.0, sign * limit, 1.0, ambient_c).vehicle_power_kw
    np.testing.assert_allclose(found, sign * limit, rtol=0.01, atol=0.05)


def test_limits_reach_the_voltage_within_some_percent(kernel: Kernel) -> None:
    """Lower bound of the foresight: a tenth more would not be delivered where voltage binds."""
    packs = _packs(kernel, np.linspace(0.02, 0.98, 60), initial_temperature_c=25.0)
    discharge = packs.discharge_limit_kw
    bound = discharge < 10 * packs.cells / 1000 * kernel.constants["new_capacity_ah"]
    cells = packs._cells
    n = packs.count
    asked = -1.1 * discharge * 1000 / packs.cells
    tick = cells.advance(
        asked, np.full(n, 298.15), np.full(n, 1e3), np.full(n, 1e3), np.full(n, 1e9),
        packs.soc * packs.capacity_ah * 3600,
    )  # fmt: skip
    short = tick.energy_j[bound] / (asked[bound] * 300) < 0.999
    assert bound.sum() > 20
    assert short.mean() > 0.9


@pytest.mark.parametrize("ambient_c", [-20.0, 10.0, 45.0])
def test_extreme_power_keeps_voltages_physical(kernel: Kernel, ambient_c: float) -> None:
    rng = np.random.default_rng(11)
    n = 64
    packs = _packs(kernel, np.linspace(0, 1, n), initial_temperature_c=ambient_c)
    c = kernel.constants
    lowest, highest = np.inf, -np.inf
    inner = packs._cells.advance

    def watched(*arguments: Floats) -> object:
        nonlocal lowest, highest
        tick = inner(*arguments)
        lowest, highest = min(lowest, tick.lowest_v.min()), max(highest, tick.highest_v.max())
        return tick

    packs._cells.advance = watched  # type: ignore[method-assign]
    for tick in range(48):
        power = rng.uniform(-5, 5, n) * 75.0
        found = packs.advance(tick, 0.0, power, 1.0, ambient_c)
        for name, values in _fields(found).items():
            assert np.isfinite(values).all(), name
        assert (found.vehicle_soc >= 0).all()
        assert (found.vehicle_soc <= 1).all()
        assert (np.abs(found.vehicle_power_kw) <= np.abs(power) + 1e-9).all()
        assert (found.vehicle_charge_limit_kw >= 0).all()
        assert (found.vehicle_discharge_limit_kw >= 0).all()
    assert lowest > c["lower_v"] - 0.2
    assert highest < c["upper_v"] + 0.001


@slow_fixture
@given(low=st.floats(-30, 30), more=st.floats(0.5, 20), soc=st.floats(0.15, 0.85))
def test_soc_rises_with_charging_power(kernel: Kernel, low: float, more: float, soc: float) -> None:
    packs = _packs(kernel, [soc, soc])
    after = packs.advance(0, 0.0, [low, low + more], 0.9, 20.0).vehicle_soc
    assert after[1] > after[0]


@slow_fixture
@given(seed=st.integers(0, 2**20), count=st.integers(1, 21))
def test_a_vehicle_does_not_depend_on_its_neighbours(kernel: Kernel, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    soc, power = rng.uniform(0, 1, count), rng.uniform(-60, 60, count)
    order = rng.permutation(count)
    straight = _packs(kernel, soc).advance(0, 0.1, power, 0.9, 20.0)
    shuffled = _packs(kernel, soc[order]).advance(0, 0.1, power[order], 0.9, 20.0)
    for name, values in _fields(straight).items():
        np.testing.assert_array_equal(values[order], _fields(shuffled)[name], err_msg=name)


def test_blocks_do_not_change_a_bit(kernel: Kernel) -> None:
    from adapters.pybamm.cells import Cells

    n = 77
    rng = np.random.default_rng(5)
    packs = _packs(kernel, rng.uniform(0, 1, n))
    states = packs.state()["states"]
    power = rng.uniform(-15, 15, n)
    found: list[Floats] = []
    for block in (16, 40, 4096):
        cells = Cells(kernel, states, block)
        full = np.full(n, 1.0)
        cells.advance(power, 293 * full, 20 * full, 20 * full, 3e3 * full, 3e3 * full)
        found.append(np.vstack([cells.states, *cells.sustainable_w(20 * full, 20 * full)]))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_restored_state_goes_on_bit_for_bit(kernel: Kernel) -> None:
    packs = _packs(kernel, np.linspace(0.1, 0.9, 9))
    _random_day(packs, 5, seed=1)
    saved = packs.state()
    first = [_fields(tick) for tick in _random_day(packs, 5, seed=2)]
    other = _packs(kernel, np.full(9, 0.5))
    other.restore(saved)
    for before, after in zip(first, _random_day(other, 5, seed=2), strict=True):
        for name, values in _fields(after).items():
            np.testing.assert_array_equal(values, before[name], err_msg=name)


def test_arrays_handed_out_are_fresh(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.4, 0.6])
    first = packs.advance(0, 0.1, 5.0, 0.9, 20.0)
    kept = {name: values.copy() for name, values in _fields(first).items()}
    packs.advance(1, 0.2, -5.0, 0.9, 20.0)
    for name, values in _fields(first).items():
        np.testing.assert_array_equal(values, kept[name], err_msg=name)
        values[:] = -1
    assert (packs.soc > 0).all()


def test_state_of_another_fleet_is_refused(kernel: Kernel) -> None:
    with pytest.raises(BatteryError, match="this fleet needs"):
        _packs(kernel, [0.5]).restore(_packs(kernel, [0.5, 0.6]).state())


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [(3, np.nan, "not finite"), (20, 2.0, "temperature"), (2, 5.0, "lithium")],
)
def test_a_corrupted_cell_is_named(kernel: Kernel, row: int, value: float, words: str) -> None:
    packs = Packs(
        kernel, [75.0] * 3, [400.0] * 3, [0.5] * 3, [100.0] * 3, [100.0] * 3,
        vehicle_ids=["a", "b", "c"],
    )  # fmt: skip
    packs._cells._x[row, 1] = value
    with pytest.raises(BatteryError, match=words) as caught:
        packs.advance(7, 0.0, 5.0, 0.9, 20.0)
    assert caught.value.where == "vehicle b"
    assert caught.value.tick == 7


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((0.0, [1.0, np.nan], 0.9, 20.0), "plug_power_kw is nan"),
        (([0.0, np.inf], 1.0, 0.9, 20.0), "traction_kwh is inf"),
        ((0.0, 1.0, [0.9, 1.2], 20.0), "plug_efficiency is 1.2"),
        ((0.0, 1.0, 0.9, [20.0, 61.0]), "ambient_c is 61, must be -30 to 60"),
        (([0.0, 0.0, 0.0], 1.0, 0.9, 20.0), "traction_kwh has shape"),
    ],
)
def test_bad_input_is_named(kernel: Kernel, inputs: tuple[object, ...], words: str) -> None:
    with pytest.raises(BatteryError, match=words) as caught:
        _packs(kernel, [0.5, 0.5]).advance(4, *inputs)  # type: ignore[arg-type]
    assert caught.value.tick == 4


def test_lithium_is_conserved_between_particles_and_interphase(kernel: Kernel) -> None:
    packs = _packs(kernel, [0.2, 0.8])
    _random_day(packs, 144, seed=4)
    c, view = kernel.constants, packs._view
    particles = (
        view.negative * c["negative_capacity_ah"] + view.positive * c["positive_capacity_ah"]
    )
    bound = np.array([lithium_in_sei(c, thickness) for thickness in view.sei_m])
    np.testing.assert_allclose(particles + bound, c["lithium_ah"], rtol=1e-8)


def test_stored_cells_age_by_the_closed_form(kernel: Kernel) -> None:
    age, hours = 0.001, 6
    packs = _packs(kernel, [0.5], age_years=age, initial_temperature_c=25.0)
    start = packs.sei_m[0]
    assert start == pytest.approx(sei_after(kernel.constants, age))
    for tick in range(12 * hours):
        packs.advance(tick, 0.0, 0.0, 1.0, 25.0)
    grown = sei_after(kernel.constants, age + hours / 24 / 365.25) - start
    assert packs.sei_m[0] - start == pytest.approx(grown, rel=1e-5)


def test_calendar_fade_is_plausible(kernel: Kernel) -> None:
    """Between 1 and 3 % in the first year at 25 degC, less in the next, more when warm."""
    soh = [_packs(kernel, [0.5], age_years=years).soh[0] for years in (0.0, 1.0, 2.0)]
    assert soh[0] == pytest.approx(1.0, abs=1e-7)
    assert 0.01 < 1 - soh[1] < 0.03
    assert 0.005 < soh[1] - soh[2] < 1 - soh[1]
    c = kernel.constants
    assert sei_after(c, 1.0, 40.0) > 1.3 * sei_after(c, 1.0, 25.0)
