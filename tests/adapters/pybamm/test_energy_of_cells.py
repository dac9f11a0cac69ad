"""Energy law, order, robustness: properties that hold for every use of every cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import circuit
from adapters.pybamm.constants import FARADAY_C_PER_MOL, J_PER_KWH
from adapters.pybamm.fleet import Batteries
from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tick import Request
from adapters.pybamm.watch import VOLTAGE_MARGIN_V
from cosim.laws import LITHIUM_PER_CAPACITY
from tests.adapters.pybamm.books import Books
from tests.adapters.pybamm.conftest import CELLS
from tests.adapters.pybamm.fleets import HOUR, as_dict, ask, cell_kwh, pack_cells, single_cells

examples = settings(
    deadline=None,
    max_examples=10,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
Pair = Packs | Reservoirs
ROUNDED = 1e-12
"""Rounding of a state of charge."""
levels = st.floats(0, 1)
rates = st.lists(st.floats(-5, 5), min_size=4, max_size=12)


def _watch_voltages(packs: Packs) -> list[float]:
    """Return a list that grows by the lowest and the highest voltage of every tick."""
    seen: list[float] = []
    inner: Any = packs._cells.advance

    def advance(*given: Any) -> Any:
        tick = inner(*given)
        seen.extend([tick.lowest_v.min(), tick.highest_v.max()])
        return tick

    packs._cells.advance = advance  # pyright: ignore[reportAttributeAccessIssue]
    return seen


@pytest.mark.parametrize(
    ("seed", "mounted"),
    [(1, single_cells), (2, single_cells), (3, single_cells), (1, pack_cells)],
    ids=["loose-1", "loose-2", "loose-3", "pack-1"],
)
def test_four_hours_of_extremes_stay_physical(
    kernel: Kernel, seed: int, mounted: Callable[..., Packs]
) -> None:
    """Up to 5C both ways from -20 to 45 degC, from empty to full.

    Energy is found again in every tick to 0.01 % of what passed in it.
    """
    rng, n = np.random.default_rng(seed), 88
    soc, ambient_c = np.tile(np.linspace(0, 1, 11), 8), np.linspace(-20, 45, 8).repeat(11)
    packs = mounted(kernel, soc)
    voltages, books = _watch_voltages(packs), Books(kernel, packs)
    least_j = 0.01 * kernel.constants["new_energy_wh"] * 3600
    missing_j, passed_j = books.missing_j(), books.passed_j.copy()
    for tick in range(48):
        power_kw = rng.uniform(-5, 5, n) * cell_kwh(kernel)
        found = packs.advance(tick, ask(n, power_kw, ambient_c=ambient_c))
        books.note(found)
        missing_j, before_j = books.missing_j(), missing_j
        passed_j, earlier_j = books.passed_j.copy(), passed_j
        of_tick_j = np.maximum(passed_j - earlier_j, least_j)
        assert (np.abs(missing_j - before_j) < 1e-4 * of_tick_j).all()
        for name, values in as_dict(found).items():
            assert np.isfinite(values).all(), name
        # Side reactions take a little charge from empty cells.
        assert ((found.vehicle_soc >= -1e-4) & (found.vehicle_soc <= 1 + 1e-4)).all()
        assert (np.abs(found.vehicle_power_kw) <= np.abs(power_kw) + 1e-9).all()
        # USD/kWh of packs at 100 USD/kWh: salt that seems to run out would make it any number.
        assert (np.abs(found.vehicle_wear_usd_per_kwh) < 0.5).all()
        assert (found.vehicle_charge_limit_kw >= 0).all()
        assert (found.vehicle_discharge_limit_kw >= 0).all()
        assert (found.vehicle_temperature_c > -21).all()
        assert (found.vehicle_temperature_c < 85).all()
    assert min(voltages) > kernel.constants["lower_v"] - VOLTAGE_MARGIN_V
    assert max(voltages) < kernel.constants["upper_v"] + 1e-3
    assert np.abs(books.error()).max() < 1e-4


@examples
@given(soc=levels, ambient_c=st.floats(-20, 45), asked=rates)
def test_energy_is_found_again(
    kernel: Kernel, soc: float, ambient_c: float, asked: list[float]
) -> None:
    """To 0.01 % of what passed, or of the cell's energy."""
    packs = single_cells(kernel, [soc])
    books = Books(kernel, packs)
    for tick, rate in enumerate(asked):
        books.note(packs.advance(tick, ask(1, rate * cell_kwh(kernel), ambient_c=ambient_c)))
    assert abs(books.error()[0]) < 1e-4


def test_the_books_are_not_trivially_balanced(nmc: Kernel) -> None:
    """A hundredth of the heat amiss is seen."""
    packs = single_cells(nmc, [0.2])
    books = Books(nmc, packs)
    for tick in range(12):
        books.note(packs.advance(tick, ask(1, 0.7 * cell_kwh(nmc))))
    heat_j = books._cooled_j + nmc.constants["heat_capacity_j_k"] * (packs.temperature_c - 20)
    assert abs(books.missing_j()[0]) < 0.01 * heat_j[0]


def test_mixing_is_a_part_of_the_heat(nmc: Kernel) -> None:
    """At rest after a discharge, gradients even out and what they held is heat."""
    packs = single_cells(nmc, [0.7])
    books = Books(nmc, packs)
    for tick in range(5):
        packs.advance(tick, ask(1, traction_kwh=1.5 * HOUR * cell_kwh(nmc)))
    held = books.gradient_j()[0]
    given_j = 0.0
    for tick in range(5, 60):
        packs.advance(tick, ask(1))
        given_j += packs.state()["mixing_j"][0]
    assert held > 5
    assert books.gradient_j()[0] < 0.05 * held
    assert given_j == pytest.approx(held, rel=0.1)


def test_stripping_gives_heat(nmc: Kernel) -> None:
    """Plated lithium has the energy of metal; back in graphite it has that of lithium there."""
    packs = single_cells(nmc, [0.3])
    for tick in range(5):
        packs.advance(tick, ask(1, 1.5 * cell_kwh(nmc)))
    plated = packs._view.plated_mol
    given_j = 0.0
    for tick in range(5, 60):
        packs.advance(tick, ask(1))
        given_j += packs.state()["mixing_j"][0]
    stripped_as = float((plated - packs._view.plated_mol)[0] * FARADAY_C_PER_MOL)
    # The plateau of graphite at the end of charge.
    assert given_j == pytest.approx(0.09 * stripped_as, rel=0.1)


def test_the_interphase_warms_in_its_own_tick(nmc: Kernel) -> None:
    """After ten years its resistance is a third of all heat, which PyBaMM's model leaves out."""
    life = Life(age_years=10)
    aged = single_cells(nmc, [0.5], life)
    for tick in range(4):
        late_j = aged.state()["mixing_j"][0]
        found = aged.advance(tick, ask(1, -cell_kwh(nmc), ambient_c=25.0))
        heat_j = found.pack_loss_kwh[0] * J_PER_KWH
        # What is late is what gradients in the particles give and take, and what is plated.
        assert abs(late_j) < 0.15 * heat_j


def test_old_cells_bear_hard_use(kernel: Kernel) -> None:
    """Heat that comes late would warm them past where they are derated."""
    rng, n = np.random.default_rng(1), 24
    packs = single_cells(kernel, np.linspace(0, 1, n), Life(age_years=10))
    for tick in range(12):
        power_kw = rng.uniform(-5, 5, n) * cell_kwh(kernel)
        found = packs.advance(tick, ask(n, power_kw, ambient_c=45.0))
        assert (found.vehicle_temperature_c < 75).all()


@pytest.mark.parametrize(("mounted", "least"), [(single_cells, 0.05), (pack_cells, 0.04)])
def test_heaters_are_in_the_books(
    kernel: Kernel, mounted: Callable[..., Packs], least: float
) -> None:
    """Cold cells at the plug, warmed until they charge."""
    energy_kwh = cell_kwh(kernel)
    life = Life(heater_kw=energy_kwh)
    packs = mounted(kernel, [0.1, 0.5, 0.9], life=life, initial_temperature_c=-15.0)
    books, heater_kwh = Books(kernel, packs), np.zeros(3)
    for tick in range(12):
        found = packs.advance(tick, ask(3, 0.7 * energy_kwh, ambient_c=-15.0))
        books.note(found)
        heater_kwh += found.pack_heater_kwh
    assert (heater_kwh > least * energy_kwh).all()
    assert (packs.soc > [0.2, 0.6, 0.9]).all()
    assert np.abs(books.error()).max() < 1e-4


@pytest.fixture(scope="module", params=[*CELLS, ("reservoir", "nmc"), ("reservoir", "lfp")])
def pair(request: pytest.FixtureRequest, kernel_cache: None) -> Callable[[float, float], Pair]:
    """Makes two like packs of one cell at a state of charge and a temperature, of every kind."""
    model, chemistry = request.param
    if model != "reservoir":
        kernel = load(CellOptions(model=model, chemistry=chemistry))
        return lambda soc, warm_c: single_cells(kernel, [soc, soc], None, warm_c)
    found, rated = circuit(chemistry), CHEMISTRIES[chemistry]
    energy_kwh = np.full(2, found.constants["new_energy_wh"] / 1000)
    most_kw = rated.charge_c_rate * energy_kwh, rated.discharge_c_rate * energy_kwh
    spec = PackSpec.of(energy_kwh, 3.5, *most_kw)
    return lambda soc, warm_c: Reservoirs(found, spec, [soc, soc], initial_temperature_c=warm_c)


@examples
@given(
    soc=levels,
    ambient_c=st.floats(5, 40),
    asked=st.lists(st.tuples(st.floats(-4, 4), st.floats(0.01, 2)), min_size=3, max_size=6),
)
def test_soc_rises_with_what_is_charged(
    pair: Callable[[float, float], Pair], soc: float, ambient_c: float, asked: list[Any]
) -> None:
    """Of two cells alike, in every tick of a history, which goes on with the one asked for more.

    State of charge is charge, less what side reactions take: no more than goes with the capacity
    that a cell loses in that tick, and nothing in a circuit.
    """
    packs = pair(soc, ambient_c)
    share = LITHIUM_PER_CAPACITY if isinstance(packs, Packs) else 0.0
    for tick, (low, more) in enumerate(asked):
        before, soh = packs.soc, packs.soh
        power_kw = np.array([low, low + more]) * packs.spec.energy_kwh
        power_kw = np.clip(power_kw, -packs.discharge_limit_kw, packs.charge_limit_kw)
        found = packs.advance(tick, ask(2, power_kw, ambient_c=ambient_c))
        charge_ah, rises = found.pack_charge_ah, power_kw[1] > power_kw[0]
        assert rises == (charge_ah[1] > charge_ah[0])
        moved = charge_ah / found.cell_capacity_ah
        taken = share * np.abs(soh - found.vehicle_soh) / found.vehicle_soh + ROUNDED
        assert (np.abs(found.vehicle_soc - before - moved) <= taken).all()
        if moved[1] - moved[0] > taken.sum():
            assert found.vehicle_soc[1] > found.vehicle_soc[0]
        alike = {n: v[..., [1, 1]] for n, v in packs.state().items()}
        packs.restore(alike)


@examples
@given(seed=st.integers(0, 2**20), count=st.integers(1, 21))
def test_a_vehicle_does_not_depend_on_its_neighbours(kernel: Kernel, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    soc, power_kw = rng.uniform(0, 1, count), rng.uniform(-3, 3, count) * cell_kwh(kernel)
    order = rng.permutation(count)
    life = Life(acceleration=3, heater_kw=0.01)
    straight, shuffled = single_cells(kernel, soc, life), single_cells(kernel, soc[order], life)
    for tick in range(2):
        one = as_dict(straight.advance(tick, ask(count, power_kw)))
        other = as_dict(shuffled.advance(tick, ask(count, power_kw[order])))
        for name, values in one.items():
            np.testing.assert_array_equal(values[order], other[name], err_msg=name)


@pytest.fixture(scope="module")
def kernels() -> list[Kernel]:
    return [load(CellOptions(chemistry=name)) for name in ("nmc", "lfp")]


@examples
@given(seed=st.integers(0, 2**20), count=st.integers(2, 21))
def test_nor_on_neighbours_of_other_cells(kernels: list[Kernel], seed: int, count: int) -> None:
    """A fleet of two chemistries, in another order: the same vehicles, to the last bit."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, count)
    kind[:2] = 0, 1
    soc, plug_kw = rng.uniform(0, 1, count), rng.uniform(-0.02, 0.02, count)

    def fleet(kinds: np.ndarray[Any, Any], levels: np.ndarray[Any, Any]) -> Batteries:
        places = [np.flatnonzero(kinds == one) for one in (0, 1)]
        return Batteries(
            [(at, single_cells(k, levels[at])) for k, at in zip(kernels, places, strict=True)]
        )

    order = rng.permutation(count)
    straight, shuffled = fleet(kind, soc), fleet(kind[order], soc[order])
    for tick in range(2):
        one = straight.advance(tick, ask(count, plug_kw))
        other = shuffled.advance(tick, ask(count, plug_kw[order]))
        for name, values in one.items():
            np.testing.assert_array_equal(values[order], other[name], err_msg=name)
    np.testing.assert_array_equal(straight.soc[order], shuffled.soc)
    np.testing.assert_array_equal(straight.charge_limit_kw[order], shuffled.charge_limit_kw)
    np.testing.assert_array_equal(straight.discharge_limit_kw[order], shuffled.discharge_limit_kw)


def test_a_request_is_taken_apart_by_vehicle() -> None:
    values = np.arange(3.0) + 1
    request = Request(values, values, values, values)
    np.testing.assert_allclose(request.plug_dc_kwh(0.5), [0.5, 2.0, 4.5])
