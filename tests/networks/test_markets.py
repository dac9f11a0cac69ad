"""Tables of the PJM 5-bus system."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import UserError
from networks import markets


def test_published_figures() -> None:
    data = markets.load("pjm5bus")
    assert data.bus_ids == ("A", "B", "C", "D", "E")
    assert data.load_mw.tolist() == [0, 300, 300, 400, 0]
    assert data.generator_limit_mw.sum() == 1530
    assert dict(zip(data.line_ids, data.line_limit_mw, strict=True))["D-E"] == 240
    assert np.isinf(data.line_limit_mw).sum() == 4
    assert (data.x_pu == 10 * data.r_pu).all() or np.allclose(data.x_pu, 10 * data.r_pu)


def test_unknown_market_names_the_valid_ones() -> None:
    with pytest.raises(UserError, match="Did you mean pjm5bus"):
        markets.load("pjm5")
