"""Packs of any age: older ones hold less, without a jump."""

from __future__ import annotations

import numpy as np

from adapters.pybamm.kernel import Kernel
from adapters.pybamm.spec import Life
from tests.adapters.pybamm.fleets import single_cells


def test_state_of_health_falls_with_age(spm: Kernel) -> None:
    ages = np.linspace(0, 20, 81)
    health = np.array([single_cells(spm, 0.5, Life(age_years=age)).soh[0] for age in ages])
    assert health[0] > 1 - 1e-6
    assert (np.diff(health) < 0).all()
    # Ever more slowly, as interphase does: a jump would bend the other way.
    assert (np.diff(health, 2)[1:] > 0).all()
    assert health[-1] > 0.75
