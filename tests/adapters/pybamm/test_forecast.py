"""Power foreseen for a tick: whether cells hold it."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.pybamm.kernel import Kernel
from adapters.pybamm.packs import Packs
from tests.adapters.pybamm.fleets import ask, cell_kwh, pack_cells, single_cells

USES = {"rest": 0.0, "mixed": None, "charged": 1.5, "driven": -1.5}
"""C-rates of the ticks before, charging positive; None for any up to 2."""


def _used(packs: Packs, use: str, ambient_c: float) -> None:
    rng, rate = np.random.default_rng(3), USES[use]
    for tick in range(3):
        rates = rng.uniform(-2, 2, packs.count) if rate is None else rate
        packs.advance(tick, ask(packs.count, rates * packs.spec.energy_kwh, ambient_c=ambient_c))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("start_c", "ambient_c"), [(5, 5), (20, 20), (35, 35), (40, 40), (47, 40), (47, 20)]
)
def test_predicted_power_is_held(
    kernel: Kernel, start_c: float, ambient_c: float, use: str
) -> None:
    """Also by cells that warm or cool into derating within the tick."""
    for sign in (1, -1):
        packs = single_cells(kernel, np.linspace(0, 1, 41), initial_temperature_c=start_c)
        _used(packs, use, ambient_c)
        limit = packs.charge_limit_kw if sign > 0 else packs.discharge_limit_kw
        found = packs.advance(3, ask(41, sign * limit, ambient_c=ambient_c))
        given, tolerance = np.abs(found.vehicle_power_kw), 2e-3 * cell_kwh(kernel)
        assert (given >= 0.95 * limit - tolerance).all()
        assert given.sum() > 0.98 * limit.sum()
        assert limit.max() > 0.3 * cell_kwh(kernel)


@pytest.mark.parametrize("use", USES)
def test_predicted_power_is_held_where_cells_cool(kernel: Kernel, use: str) -> None:
    """From 5 degC in air of -15: charging is derated by a fifth within the tick."""
    for sign in (1, -1):
        packs = single_cells(kernel, np.linspace(0, 1, 41), initial_temperature_c=5.0)
        _used(packs, use, -15.0)
        limit = packs.charge_limit_kw if sign > 0 else packs.discharge_limit_kw
        found = packs.advance(3, ask(41, sign * limit, ambient_c=-15.0))
        given, tolerance = np.abs(found.vehicle_power_kw), 2e-3 * cell_kwh(kernel)
        assert (given >= 0.88 * limit - tolerance).all()
        assert given.sum() >= 0.95 * limit.sum()


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("start_c", "ambient_c"), [(5, -15), (20, 20), (30, 0), (38, 20), (40, 40), (47, 20)]
)
def test_predicted_power_is_held_in_packs(
    kernel: Kernel, start_c: float, ambient_c: float, use: str
) -> None:
    """Whose loop runs in the tick as in what is foreseen for it."""
    for sign in (1, -1):
        packs = pack_cells(kernel, np.linspace(0, 1, 41), initial_temperature_c=start_c)
        _used(packs, use, ambient_c)
        limit = packs.charge_limit_kw if sign > 0 else packs.discharge_limit_kw
        found = packs.advance(3, ask(41, sign * limit, ambient_c=ambient_c))
        given, tolerance = np.abs(found.vehicle_power_kw), 2e-3 * cell_kwh(kernel)
        # They bear more than 2C of charge where loose cells are derated, and salt runs low in it.
        assert (given >= (0.93 if start_c > 5 else 0.88) * limit - tolerance).all()
        assert given.sum() > 0.97 * limit.sum()
        assert limit.max() > 0.2 * cell_kwh(kernel)


def test_mild_cells_hold_what_is_predicted(kernel: Kernel) -> None:
    for start_c in (10.0, 25.0, 35.0):
        packs = single_cells(kernel, np.linspace(0, 1, 200), initial_temperature_c=start_c)
        for sign in (1, -1):
            saved = packs.state()
            limit = packs.charge_limit_kw if sign > 0 else packs.discharge_limit_kw
            found = packs.advance(0, ask(200, sign * limit, ambient_c=start_c))
            given, tolerance = np.abs(found.vehicle_power_kw), 1e-3 * cell_kwh(kernel)
            np.testing.assert_allclose(given, limit, rtol=0.02, atol=tolerance)
            packs.restore(saved)


def test_a_cell_can_be_charged_until_it_is_full(kernel: Kernel) -> None:
    """No level below full at which the prediction finds no power."""
    for warm_c in (20.0, 30.0, 40.0):
        packs = single_cells(kernel, np.linspace(0, 0.99, 100), initial_temperature_c=warm_c)
        limit_c = packs.charge_limit_kw / cell_kwh(kernel)
        assert (limit_c > 0.02).all()
        assert (limit_c[:50] > 0.5).all()
    packs = single_cells(kernel, [0.5])
    for tick in range(72):
        packs.advance(tick, ask(1, packs.charge_limit_kw * 0.5))
    assert packs.soc[0] > 0.98
