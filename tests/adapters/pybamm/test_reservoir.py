"""Circuits against the SPMe packs that they are fitted to, and their books against themselves."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from adapters.pybamm import experiments, pulses, reservoir_files
from adapters.pybamm.circuit import TICK_S, Circuit, circuit, path_of
from adapters.pybamm.days import DAY_TICKS, HELD_OUT_SEED, SITUATIONS, drive, errors, replay
from adapters.pybamm.kernel import Kernel, load
from adapters.pybamm.options import CellOptions
from adapters.pybamm.packs import Packs
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tick import BatteryTick, Request
from cosim.errors import BatteryError, UnknownOptionError
from cosim.registry import kinds
from cosim.signals import C_RATES

Floats = NDArray[np.float64]
CHEMISTRIES = ("nmc", "lfp")
HOURS = TICK_S / 3600
MOST = {
    # Soc at the end (rms), loss [%], temperature (rms) [K], capacity loss [%].
    "nmc": {"city": (0.001, 2, 0.05, 3), "fast": (0.02, 6, 0.5, 3), "v2g": (0.02, 4, 0.3, 3),
            "cold": (0.06, 4, 0.6, 5), "hot": (0.01, 4, 0.2, 3)},
    "lfp": {"city": (0.005, 5, 0.2, 4), "fast": (0.05, 5, 0.3, 5), "v2g": (0.01, 4, 0.2, 4),
            "cold": (0.15, 15, 1.5, 20), "hot": (0.02, 3, 0.2, 3)},
}  # fmt: skip
"""Largest errors of a day. At -10 degC charging begins, and warmth from use decides whether a pack
gets there: a pack that is a little colder stays so."""


def spme(chemistry: str) -> Kernel:
    return load(CellOptions(model="SPMe", chemistry=chemistry))


def spec(count: int, *names: str) -> PackSpec:
    return PackSpec.of(np.full(count, 74.0), 697.0, 233.0, 187.0, names or None)


def packs(
    count: int, chemistry: str = "nmc", life: Life | None = None, temperature_c: float = 20.0
) -> Reservoirs:
    soc = np.random.default_rng(count).random(count)
    soc[:2] = 0, 1
    found = circuit(chemistry)
    return Reservoirs(found, spec(count), soc, life, initial_temperature_c=temperature_c)


def asks(count: int, ticks: int, seed: int = 5, ambient_c: float = 20.0) -> list[Request]:
    """Requests far beyond what the packs bear, and none, and everything between."""
    rng = np.random.default_rng(seed)
    found: list[Request] = []
    for _ in range(ticks):
        traction = rng.uniform(-4, 18, count) * (rng.random(count) < 0.3)
        plug = np.where(traction == 0, rng.uniform(-120, 300, count), 0.0)
        plug *= rng.random(count) < 0.7
        ambient = np.full(count, ambient_c)
        found.append(Request(traction, plug, rng.uniform(0.8, 1.0, count), ambient))
    return found


def same(a: BatteryTick, b: BatteryTick, at: NDArray[np.int64] | slice) -> bool:
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name)[at])
        for field in fields(BatteryTick)
    )


# --- against SPMe


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_a_held_out_day_goes_as_the_file_says(chemistry: str, situation: str) -> None:
    day = drive(spme(chemistry), situation, SITUATIONS[situation], HELD_OUT_SEED)
    found = errors(day, replay(circuit(chemistry), day)[1])
    stated = circuit(chemistry).errors[situation]
    assert found.keys() == stated.keys()
    for name, value in stated.items():
        assert found[name] == pytest.approx(value, rel=0.05, abs=1e-5), name
    soc, loss_pct, temperature_k, capacity_pct = MOST[chemistry][situation]
    assert found["soc_end_rms"] < soc
    assert abs(found["loss_pct"]) < loss_pct
    assert found["temperature_rms_k"] < temperature_k
    assert abs(found["capacity_loss_pct"]) < capacity_pct
    assert found["capacity_loss_correlation"] > (0.9 if situation == "cold" else 0.95)


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_the_file_is_what_the_fit_finds(chemistry: str) -> None:
    data = tomllib.loads(path_of(chemistry).read_text(encoding="utf-8"))
    kernel = spme(chemistry)
    ohm, _ = pulses.resistance_and_wear(kernel)
    assert data["tables"]["resistance_ohm"] == pytest.approx(ohm, rel=1e-3)
    charge_w, discharge_w = experiments.power_limits_w(kernel)
    assert data["tables"]["charge_w"] == pytest.approx(charge_w, rel=1e-3, abs=1e-9)
    assert data["tables"]["discharge_w"] == pytest.approx(discharge_w, rel=1e-3, abs=1e-9)
    open_circuit_v = experiments.open_circuit_v(kernel)
    assert data["open_circuit_v"] == pytest.approx(open_circuit_v, abs=1e-4)


def test_the_page_states_the_errors_of_the_files() -> None:
    assert reservoir_files.PAGE.read_text(encoding="utf-8") == reservoir_files.page()


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_aged_cells_begin_as_cells_do(chemistry: str) -> None:
    kernel = spme(chemistry)
    for years in (0.0, 0.5, 1.0, 8.0):
        life = Life(age_years=years)
        cells = Packs(kernel, spec(1), 0.5, life)
        found = Reservoirs(circuit(chemistry), spec(1), 0.5, life)
        assert found.soh == pytest.approx(cells.soh, abs=2e-4)
        assert found.resistance_ratio == pytest.approx(cells.resistance_ratio, abs=2e-3)


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_limits_age_as_those_of_cells(chemistry: str) -> None:
    soc, pack = np.array([0.3, 0.5, 0.7]), spec(3)
    for years in (0.0, 3.0, 15.0):
        life = Life(age_years=years)
        cells = Packs(spme(chemistry), pack, soc, life, initial_temperature_c=25.0)
        found = Reservoirs(circuit(chemistry), pack, soc, life, initial_temperature_c=25.0)
        assert found.discharge_limit_kw == pytest.approx(cells.discharge_limit_kw, rel=0.08)
        assert found.charge_limit_kw == pytest.approx(cells.charge_limit_kw, rel=0.18)


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_rest_ages_as_cells_do(chemistry: str) -> None:
    rest = Request(np.zeros(1), np.zeros(1), np.ones(1), np.full(1, 35.0))
    lost: list[float] = []
    for kind in (
        Packs(spme(chemistry), spec(1), 0.5, initial_temperature_c=35.0),
        Reservoirs(circuit(chemistry), spec(1), 0.5, initial_temperature_c=35.0),
    ):
        before = float(kind.soh[0])
        for tick in range(DAY_TICKS):
            kind.advance(tick, rest)
        lost.append(before - float(kind.soh[0]))
    assert lost[1] == pytest.approx(lost[0], rel=0.01)


# --- books


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
@pytest.mark.parametrize("ambient_c", [-25.0, 20.0, 45.0])
@pytest.mark.parametrize("acceleration", [1.0, 100.0])
def test_books_are_exact(chemistry: str, ambient_c: float, acceleration: float) -> None:
    count = 300
    life = Life(acceleration=acceleration, heater_kw=6.0)
    found = packs(count, chemistry, life, ambient_c)
    table = circuit(chemistry)
    for tick, ask in enumerate(asks(count, 40 if acceleration == 1 else 20, ambient_c=ambient_c)):
        soc, most, least = found.soc, found.charge_limit_kw, found.discharge_limit_kw
        passed = found.advance(tick, ask)
        power, efficiency = passed.vehicle_power_kw, ask.plug_efficiency
        behind = np.where(power >= 0, power * efficiency, power / efficiency) * HOURS
        into = behind - passed.battery_traction_kwh - passed.pack_heater_kwh
        np.testing.assert_allclose(passed.pack_energy_kwh, into, atol=1e-9)
        moved = passed.pack_charge_ah / passed.cell_capacity_ah
        np.testing.assert_allclose(passed.vehicle_soc, soc + moved, atol=1e-12)
        np.testing.assert_allclose(
            passed.cell_capacity_ah,
            passed.vehicle_soh * table.constants["new_capacity_ah"],
            rtol=1e-12,
        )
        volts = table.stored(passed.vehicle_soc) - table.stored(soc)
        held_kwh = volts * passed.cell_capacity_ah * found.layout.cells / 1000
        kept_kwh = passed.pack_energy_kwh - passed.pack_loss_kwh
        np.testing.assert_allclose(kept_kwh, held_kwh, atol=1e-9)
        power_kw = passed.pack_energy_kwh / HOURS
        assert (power_kw <= most + 1e-9).all()
        assert (power_kw >= -least - 1e-9).all()
        for field in fields(passed):
            assert np.isfinite(getattr(passed, field.name)).all(), field.name
        # What a current leaves behind in the particles comes back where it turns.
        assert (passed.pack_loss_kwh > -0.1).all()


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
@pytest.mark.parametrize("warm_c", [-5.0, 20.0, 40.0, 47.0])
@pytest.mark.parametrize("rate", [-1.5, 0.0, 1.5])
def test_a_limit_can_be_held_through_the_tick(chemistry: str, warm_c: float, rate: float) -> None:
    """Also by cells that warm into derating within it."""
    count = 200
    for sign in (1, -1):
        found = packs(count, chemistry, temperature_c=warm_c)
        ambient, one = np.full(count, warm_c), np.ones(count)
        for tick in range(3):
            used = Request(0 * one, rate * found.spec.energy_kwh, one, ambient)
            found.advance(tick, used)
        kw = found.charge_limit_kw if sign > 0 else -found.discharge_limit_kw
        given = found.advance(3, Request(0 * kw, kw, one, ambient)).vehicle_power_kw
        assert (np.abs(given) >= 0.92 * np.abs(kw) - 0.05).all()
        assert np.abs(given).sum() > 0.98 * np.abs(kw).sum()


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_a_rated_current_holds_its_power_from_the_begin(chemistry: str) -> None:
    """An empty cell's voltage rises a tenth in a tick: the power is that of the lowest."""
    count = 101
    one, ambient = np.ones(count), np.full(count, 30.0)
    slow = PackSpec.of(75 * one, 400.0, 75.0, 187.0)
    soc = np.linspace(0, 1, count)
    found = Reservoirs(circuit(chemistry), slow, soc, initial_temperature_c=30.0)
    kw = found.charge_limit_kw
    given = found.advance(0, Request(0 * kw, kw, one, ambient)).vehicle_power_kw
    np.testing.assert_allclose(given, kw, rtol=0.01, atol=0.05)
    assert (kw[:50] > 50).all()


def test_wear_is_counted_as_often_as_life_says() -> None:
    lost: list[Floats] = []
    for acceleration in (1.0, 50.0):
        found = packs(100, life=Life(acceleration=acceleration))
        before = found.soh
        ask = asks(100, 1)[0]
        found.advance(0, ask)
        # What a tick wears shows in the next.
        found.advance(1, replace(ask, plug_power_kw=np.zeros(100), traction_kwh=np.zeros(100)))
        lost.append(before - found.soh)
    assert (lost[0] > 0).all()
    np.testing.assert_allclose(lost[1], 50 * lost[0], rtol=1e-6)


@pytest.mark.parametrize("ambient_c", [-10.0, 20.0, 35.0])
@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_the_wear_told_is_what_the_next_tick_loses(chemistry: str, ambient_c: float) -> None:
    count = 40
    one, ambient = np.ones(count), np.full(count, ambient_c)
    rest = Request(0 * one, 0 * one, one, ambient)
    soc = np.linspace(0.1, 0.9, count)
    found = Reservoirs(circuit(chemistry), spec(count), soc, initial_temperature_c=ambient_c)
    told = found.advance(0, rest).vehicle_wear_usd_per_kwh
    saved, energy_kwh = found.state(), found.spec.energy_kwh
    new_ah = circuit(chemistry).constants["new_capacity_ah"]
    found.advance(1, rest)
    found.advance(2, rest)
    rested = found.soh
    for k, c_rate in enumerate(C_RATES):
        power_kw, wanted_ah = c_rate * energy_kwh, HOURS * new_ah * c_rate
        found.restore(saved)
        tried = found.advance(1, Request(0 * one, power_kw, one, ambient)).pack_charge_ah
        power_kw = power_kw * wanted_ah / np.where(tried == 0, np.inf, tried)
        found.restore(saved)
        tick = found.advance(1, Request(0 * one, power_kw, one, ambient))
        found.advance(2, rest)
        held = tick.pack_charge_ah / wanted_ah > 0.95
        assert held.sum() > 20 or c_rate == 2 or ambient_c < 0
        lost_usd = (rested - found.soh) * energy_kwh * Life().usd_per_kwh
        usd_per_kwh = lost_usd[held] / np.abs(tick.pack_energy_kwh[held])
        np.testing.assert_allclose(told[held, k], usd_per_kwh, rtol=0.12)


def test_wear_costs_go_with_the_price_of_the_pack() -> None:
    ask = asks(50, 1)[0]
    cheap = packs(50, life=Life(usd_per_kwh=50)).advance(0, ask).vehicle_wear_usd_per_kwh
    dear = packs(50, life=Life(usd_per_kwh=100)).advance(0, ask).vehicle_wear_usd_per_kwh
    np.testing.assert_allclose(dear, 2 * cheap)
    assert (cheap > 0).all()


def test_the_heater_warms_a_plugged_pack() -> None:
    plug = np.array([0.0, 11.0])
    ask = Request(np.zeros(2), plug, np.ones(2), np.full(2, -10.0))
    found = packs(2, life=Life(heater_kw=5.0), temperature_c=-10.0)
    for tick in range(24):
        passed = found.advance(tick, ask)
        assert passed.pack_heater_kwh[0] == 0
    assert found.temperature_c[0] == pytest.approx(-10)
    assert found.temperature_c[1] > 0


# --- arrays


@pytest.mark.parametrize("chemistry", CHEMISTRIES)
def test_a_pack_does_not_depend_on_its_neighbours(chemistry: str) -> None:
    count, table = 37, circuit(chemistry)
    soc = np.random.default_rng(3).random(count)
    order = np.random.default_rng(4).permutation(count)
    chosen = [np.arange(count), order, order[:5], order[5:6]]
    groups = [Reservoirs(table, spec(len(at)), soc[at]) for at in chosen]
    for tick, ask in enumerate(asks(count, 40)):
        asked = [ask.of(at) for at in chosen]
        first, *others = (g.advance(tick, a) for g, a in zip(groups, asked, strict=True))
        for at, other in zip(chosen[1:], others, strict=True):
            assert same(other, first, at)


def test_a_restored_state_goes_on_bit_for_bit() -> None:
    count = 61
    requests = asks(count, 30)
    whole = packs(count)
    for tick, ask in enumerate(requests[:15]):
        whole.advance(tick, ask)
    saved = whole.state()
    other = packs(count, temperature_c=5.0)
    other.restore(saved)
    for tick, ask in enumerate(requests[15:], 15):
        assert same(other.advance(tick, ask), whole.advance(tick, ask), slice(None))
    assert all(np.array_equal(value, whole.state()[name]) for name, value in other.state().items())
    assert not np.array_equal(saved["soc"], whole.soc)


def test_no_engine_is_needed() -> None:
    code = (
        "import sys\n"
        "from adapters.pybamm.circuit import circuit\n"
        "from adapters.pybamm.spec import PackSpec\n"
        "from adapters.pybamm.reservoir import Reservoirs\n"
        "print(Reservoirs(circuit('lfp'), PackSpec.of(60, 400, 100, 200), 0.5).soc)\n"
        "assert not {'pybamm', 'casadi'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# --- bad input


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ambient_c": np.full(3, 60.0)}, "ambient_c is 60"),
        ({"plug_power_kw": np.array([0, np.nan, 0])}, "plug_power_kw is nan"),
        ({"plug_efficiency": np.array([1, 1, 0.0])}, "plug_efficiency is 0"),
        ({"traction_kwh": np.zeros(4)}, "traction_kwh has shape"),
    ],
)
def test_a_wrong_request_is_refused(change: dict[str, Floats], reason: str) -> None:
    ask = Request(np.zeros(3), np.zeros(3), np.ones(3), np.full(3, 20.0))
    with pytest.raises(BatteryError, match=reason) as caught:
        packs(3).advance(7, replace(ask, **change))
    assert caught.value.tick == 7


def test_the_wrong_vehicle_is_named() -> None:
    with pytest.raises(BatteryError, match="b"):
        Reservoirs(circuit("nmc"), spec(2, "a", "b"), [0.5, 1.2])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("soc", np.full(2, 0.5), "saved soc has shape"),
        ("soc", np.full(3, 1.5), "state of charge is 1.5"),
        ("temperature_c", np.full(3, np.nan), "saved temperature_c is not finite"),
    ],
)
def test_a_wrong_state_is_refused(name: str, value: Floats, reason: str) -> None:
    found = packs(3)
    with pytest.raises(BatteryError, match=reason):
        found.restore(found.state() | {name: value})


def test_worn_out_packs_are_refused() -> None:
    found = packs(2, life=Life(age_years=30, acceleration=100))

    def wear_out() -> None:
        for tick, ask in enumerate(asks(2, 20_000)):
            found.advance(tick, ask)

    told = (
        r"state of health is 0.49\d+, must be 0.5 to 1; state of charge [\d.]+, "
        r"temperature [\d.]+ degC, .*acceleration of ageing 100, power .* kW, power asked .* kW, "
        r"voltage [\d.]+ V"
    )
    with pytest.raises(BatteryError, match=told) as caught:
        wear_out()
    assert caught.value.where.startswith("vehicle ")
    assert caught.value.tick > 0


def test_an_unknown_chemistry_is_refused() -> None:
    with pytest.raises(UnknownOptionError):
        circuit("lead")


def test_the_kind_is_registered() -> None:
    assert kinds("battery")["reservoir"] == kinds("battery")["spme"]
    assert isinstance(circuit("nmc"), Circuit)
