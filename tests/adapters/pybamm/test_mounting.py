"""How packs warm and cool: against published figures, and only as they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.circuit import circuit
from adapters.pybamm.kernel import Kernel
from adapters.pybamm.mounting import Mounting
from adapters.pybamm.packs import Packs
from adapters.pybamm.parts import parameter_values
from adapters.pybamm.reservoir import Reservoirs
from adapters.pybamm.spec import Life, PackSpec
from adapters.pybamm.tick import Request
from networks import batteries
from tests.adapters.pybamm.fleets import ask, pack_cells, single_cells

KWH = 75.0
AIR_C = -10.0


def _packs(kernel: Kernel, start_c: float, life: Life | None = None) -> list[Packs | Reservoirs]:
    """Make a pack of each kind: of cells, and of circuits."""
    spec = PackSpec.of([KWH], 400.0, 150.0, 300.0)
    of_cells = Packs(kernel, spec, [0.5], life, initial_temperature_c=start_c)
    table = circuit(kernel.options.chemistry)
    return [of_cells, Reservoirs(table, spec, [0.5], life, initial_temperature_c=start_c)]


def _parked_hours(packs: Packs | Reservoirs) -> float:
    """Time constant with which a parked pack goes to the temperature of the air."""
    before = packs.temperature_c[0] - AIR_C
    for tick in range(24):
        packs.advance(tick, ask(1, ambient_c=AIR_C))
    return 2 / float(np.log(before / (packs.temperature_c[0] - AIR_C)))


def test_a_parked_pack_cools_in_hours(spme: Kernel) -> None:
    """The published pack in 6.9 h; one of light NMC cells sooner, one of heavy LFP cells later."""
    heat = batteries.pack_heat()
    way = 1 / (1 / heat["cabin_w_per_k"].value + 1 / heat["cabin_to_air_w_per_k"].value)
    published_h = heat["pack_j_per_k"].value / (heat["air_w_per_k"].value + way) / 3600
    assert published_h == pytest.approx(6.9, abs=0.05)
    low, high = {"nmc": (0.5, 1), "lfp": (1, 2.5)}[spme.options.chemistry]
    # Also where it is warm enough for the loop, which does not run in a parked car.
    for start_c in (15.0, 40.0):
        for packs in _packs(spme, start_c):
            assert low < _parked_hours(packs) / published_h < high


def test_a_pack_gives_off_what_is_published(spme: Kernel) -> None:
    """A heater that holds the pack 20 K above the air gives 0.306 W/K of every kilowatt-hour."""
    life = Life(heater_kw=50.0, heater_to_c=10.0)
    for packs in _packs(spme, 10.0, life):
        asked = ask(1, 5.0, ambient_c=AIR_C)
        used = [packs.advance(tick, asked).pack_heater_kwh[0] for tick in range(36)]
        kept_w = 1000 * float(np.mean(used[12:])) * 12
        expected_w = batteries.pack_heat()["passive_w_per_k_kwh"].value * KWH * 20
        assert kept_w == pytest.approx(expected_w, rel=0.1)


def test_loose_cells_cool_as_pybamms_do(spme: Kernel) -> None:
    values = parameter_values(spme.options.of_chemistry)
    expected = float(
        values["Total heat transfer coefficient [W.m-2.K-1]"]
        * values["Cell cooling surface area [m2]"]
    )
    assert Mounting.loose(spme.constants).passive_w_k == pytest.approx(expected)
    around = single_cells(spme, [0.5], initial_temperature_c=45.0).surroundings
    np.testing.assert_allclose(around.cooling_w_k, expected)
    assert around.heat_capacity_j_k == spme.constants["heat_capacity_j_k"]


@pytest.mark.parametrize("name", CHEMISTRIES)
def test_the_loop_helps_only_where_it_should(name: str) -> None:
    """Not below its temperature, not below that of the air, and without a step."""
    mounting = Mounting.in_pack(CHEMISTRIES[name], 15.0)
    cells_c = np.linspace(-30, 70, 1001)
    for air_c in (-30.0, 15.0, 40.0):
        more = mounting.cooling_w_k(cells_c, air_c) - mounting.passive_w_k
        assert (more[cells_c <= max(air_c, 20.0)] == 0).all()
        full = cells_c > max(air_c, 20.0) + 17.01
        np.testing.assert_allclose(more[full], mounting.loop_w_k)
        assert np.diff(more).min() >= 0
        assert np.diff(more).max() < 0.01 * mounting.loop_w_k


def test_the_loop_runs_while_the_car_is_on(spme: Kernel) -> None:
    """Under way or at a port, with power or without; never in a parked car or a cool pack."""
    nothing, one = np.zeros(5), np.ones(5)
    parked = Request(nothing, nothing, one, 10 * one, plugged=nothing > 0)
    request = replace(
        parked,
        traction_kwh=np.array([0, 1e-9, -1e-9, 0, 0]),
        plug_power_kw=np.array([0, 0, 0, -1e-9, 0]),
        plugged=np.array([False, False, False, False, True]),
    )
    for start_c, least_k, most_k in ((40.0, 2.0, 10.0), (19.0, -1e-6, 1e-6)):
        packs = pack_cells(spme, 0.5 * one, initial_temperature_c=start_c)
        packs.advance(0, parked)
        packs.advance(1, request)
        cooled_k = packs.temperature_c[0] - packs.temperature_c[1:]
        assert (cooled_k >= least_k).all(), cooled_k
        assert (cooled_k <= most_k).all(), cooled_k


def test_a_fast_charge_ends_as_warm_as_in_cars(spme: Kernel) -> None:
    """At 1.5C in air of 25 degC: 40 to 55 degC (NMC); without a loop a pack is derated."""
    if spme.options.chemistry != "nmc":
        pytest.skip("cells of A123 are power cells and stay cool")
    with_loop = Mounting.in_pack(spme.options.of_chemistry, spme.constants["new_energy_wh"])
    warmest: list[float] = []
    for mounting in (with_loop, replace(with_loop, loop_w_k=0.0)):
        packs = single_cells(spme, [0.1], initial_temperature_c=25.0, mounting=mounting)
        power_kw = 1.5 * packs.spec.energy_kwh
        ticks = [packs.advance(tick, ask(1, power_kw, ambient_c=25.0)) for tick in range(6)]
        warmest.append(max(float(tick.vehicle_temperature_c[0]) for tick in ticks))
    assert 38 < warmest[0] < 48
    assert warmest[1] > 49


def test_circuits_warm_and_cool_as_cells_do(spme: Kernel) -> None:
    """Heater, parking and a charge: within a kelvin after four hours."""
    life = Life(heater_kw=6.0)
    cells, circuits = _packs(spme, 0.0, life)
    for tick in range(48):
        plug = 22.0 if 12 <= tick < 30 else 0.0
        for packs in (cells, circuits):
            packs.advance(tick, ask(1, plug, ambient_c=-5.0))
        assert circuits.temperature_c == pytest.approx(cells.temperature_c, abs=1.0)
    assert cells.temperature_c[0] > 5
