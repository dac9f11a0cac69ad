"""Ageing of whole cells against published figures, of `networks.batteries`."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.pybamm.kernel import Kernel
from adapters.pybamm.packs import Life, Packs
from networks.batteries import laws
from tests.adapters.pybamm.fleets import Floats, ask, cell_kwh, single_cells

JUMP = 10
"""Times over that every tick of storage is counted."""


def _first_year(kernel: Kernel) -> tuple[Floats, Floats]:
    """Loss of a year at 10, 25 and 45 degC and half charge: ours and the law's."""
    ambient_c = np.array([10.0, 25.0, 45.0])
    life = Life(age_years=0, acceleration=JUMP)
    packs = single_cells(kernel, np.full(3, 0.5), life, initial_temperature_c=25.0)
    for tick in range(round(365 * 288 / JUMP)):
        packs.advance(tick, ask(3, ambient_c=ambient_c))
    law = {"nmc": laws.lg_m50_calendar, "lfp": laws.naumann_calendar}[kernel.options.chemistry]
    return 1 - packs.soh, np.asarray(law(365, ambient_c, 0.5))


@pytest.mark.slow
def test_the_first_year_of_storage_costs_what_is_published(spm: Kernel) -> None:
    """At 25 degC and half charge 4.10 % (LG M50) and 4.25 % (LFP 26650 of Naumann et al.)."""
    found, published = _first_year(spm)
    print(f"{spm.options.chemistry} at 10, 25, 45 degC: {found}, published {published}")
    assert found[1] == pytest.approx(published[1], rel=0.03)
    if spm.options.chemistry == "lfp":
        np.testing.assert_allclose(found, published, rtol=0.1)


def _cycles(
    packs: Packs, count: int, depth: tuple[float, float], c_rates: tuple[float, float]
) -> float:
    """Do full cycles between two levels, charged and discharged at these rates."""
    energy, (low, high), tick = packs.spec.energy_kwh, depth, 0
    for _ in range(count):
        while packs.soc[0] > low + 0.004 and packs.discharge_limit_kw[0] > 0.05 * energy[0]:
            packs.advance(tick, ask(1, -c_rates[1] * energy, ambient_c=25.0))
            tick += 1
        while packs.soc[0] < high - 0.004 and packs.charge_limit_kw[0] > 0.05 * energy[0]:
            packs.advance(tick, ask(1, c_rates[0] * energy, ambient_c=25.0))
            tick += 1
    return tick / 288


@pytest.mark.slow
def test_full_cycles_of_nmc_cost_what_was_measured(nmc: Kernel) -> None:
    """10 % after 242 full cycles at 25 degC, 0.3C in and 1C out (LG M50T, Kirkaldy et al. 2024)."""
    energy = cell_kwh(nmc)
    packs = single_cells(nmc, [1.0], Life(age_years=0), initial_temperature_c=25.0)
    assert packs.spec.max_charge_kw[0] > 0.3 * energy
    _cycles(packs, 242, (0.0, 1.0), (0.3, 1.0))
    print(f"lost {1 - packs.soh[0]:.2%}")
    assert 1 - packs.soh[0] == pytest.approx(0.10, abs=0.007)


@pytest.mark.slow
def test_half_cycles_of_lfp_cost_what_is_published(spm: Kernel) -> None:
    """Half depth at 0.3C, 600 full equivalent cycles: 3.1 % beyond calendar (Naumann et al.)."""
    if spm.options.chemistry != "lfp":
        pytest.skip("the law is of LFP cells")
    packs = single_cells(spm, [0.75], Life(age_years=0, acceleration=4), 25.0)
    resting = single_cells(spm, [0.5], Life(age_years=0, acceleration=4), 25.0)
    days = _cycles(packs, 1200 // 4, (0.25, 0.75), (0.3, 0.3))
    for tick in range(round(days * 288)):
        resting.advance(tick, ask(1, ambient_c=25.0))
    beyond = float(resting.soh[0] - packs.soh[0])
    published = float(laws.naumann_cycle(600, 0.5, 0.3))
    print(f"beyond calendar {beyond:.2%}, published {published:.2%}, {4 * days:.0f} days")
    assert beyond == pytest.approx(published, abs=0.007)
