"""What a team reads from its observations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adapters.agents.synthetic import observation
from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.signals import C_RATES

ASSETS = Assets.of(Scenario.model_validate({"fleet": {"vehicles": 6, "stations": {"count": 4}}}))


@pytest.mark.parametrize(
    ("c_rate", "usd_per_kwh"),
    [
        (-0.5, 50.0),
        (-0.75, 75.0),
        (-0.01, 10.0),  # as the smallest of its direction
        (-3.0, 100.0),
        (0.01, 1.0),
        (0.1, 1.0),
        (0.3, 3.0),
        (9.0, 20.0),
    ],
)
def test_wear_at_a_current_lies_between_what_is_told(c_rate: float, usd_per_kwh: float) -> None:
    rates = np.array(C_RATES)
    told = np.where(rates < 0, -100 * rates, 10 * rates)
    seen = observation(ASSETS, 1, np.random.default_rng(0))
    # Vehicle 4 wears twice as fast as the others.
    share = np.where(np.arange(6) == 4, 2.0, 1.0)
    seen = replace(seen, vehicle_wear_usd_per_kwh=share[:, None] * told)
    found = seen.wear_at(np.array([4, 1], dtype=np.int32), np.full(2, c_rate))
    np.testing.assert_allclose(found, [2 * usd_per_kwh, usd_per_kwh])
