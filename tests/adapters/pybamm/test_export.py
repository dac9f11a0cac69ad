"""What is left out of PyBaMM's model makes no difference where cells are kept."""

from __future__ import annotations

from contextlib import nullcontext

import casadi as ca
import numpy as np
import pytest

from adapters.pybamm import export as exports
from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.limits import SURFACE_MARGIN
from adapters.pybamm.options import CellOptions


@pytest.mark.parametrize("chemistry", sorted(CHEMISTRIES))
def test_the_model_without_walls_is_pybamms_inside(
    chemistry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = CellOptions(model="SPMe", chemistry=chemistry)
    ours = exports.export(options)
    monkeypatch.setattr(exports, "_inside", nullcontext)
    theirs = exports.export(options)

    # A full LFP cell is at 0.0038.
    low, high = min(SURFACE_MARGIN, 0.0037), 1 - SURFACE_MARGIN
    inside = np.r_[low, np.linspace(0.01, 0.99, 41), high]
    for x, y in zip(inside, inside[::-1], strict=True):
        state = theirs.x0([x, y, 290.0])
        for current in (-5.0, 0.0, 5.0):
            u = ca.vertcat(current, 290.0, 1)
            for found, expected in zip(ours.f(state, u), theirs.f(state, u), strict=True):
                np.testing.assert_allclose(
                    np.asarray(found), np.asarray(expected), rtol=1e-9, atol=1e-11
                )
