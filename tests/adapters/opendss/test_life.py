"""Hot spots and ageing against the figures of IEEE Std C57.91."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from adapters.opendss.life import Design, TransformerLife, ageing_factor
from cosim.errors import PowerFlowError


def test_rated_load_in_air_of_30_degrees_ages_normally() -> None:
    life = TransformerLife(3)
    life.advance(np.ones(3), 30.0, 1 / 12)
    tick = life.advance(np.ones(3), 30.0, 1 / 12)
    assert tick.hot_spot_c == pytest.approx(np.full(3, 110.0))
    assert tick.ageing_factor == pytest.approx(np.ones(3))


@pytest.mark.parametrize(
    ("hot_spot_c", "factor"),
    # Table of ageing acceleration factors over the hottest-spot temperature.
    [
        (60, 0.0028), (70, 0.0104), (80, 0.0358), (90, 0.1156), (100, 0.3499),
        (110, 1.0), (120, 2.7089), (130, 6.9842), (140, 17.1994), (150, 40.5890),
        (160, 92.0617), (180, 424.9200),
    ],
)  # fmt: skip
def test_the_table_of_ageing_factors(hot_spot_c: float, factor: float) -> None:
    assert float(ageing_factor(np.array(hot_spot_c))) == pytest.approx(factor, abs=6e-5, rel=2e-5)


def test_steps_of_five_minutes_follow_the_differential_equations() -> None:
    design, ambient_c = Design(), 22.0
    load = np.concatenate([np.full(24, 0.4), np.full(30, 1.5), np.full(60, 0.2)])
    life = TransformerLife(1)
    ticks = [life.advance(np.array([k]), ambient_c, 1 / 12) for k in load]

    def rates(hours: float, y: np.ndarray) -> list[float]:
        k = load[min(int(hours * 12), len(load) - 1)]
        oil = design.oil_rise_k * ((k**2 * design.loss_ratio + 1) / (design.loss_ratio + 1)) ** 0.8
        winding = design.winding_rise_k * k**1.6
        factor = ageing_factor(np.array(ambient_c + y[0] + y[1]))
        return [
            (oil - y[0]) / design.oil_time_constant_h,
            (winding - y[1]) / design.winding_time_constant_h,
            float(factor),
        ]

    k = load[0]
    start = [55 * ((k**2 * 5 + 1) / 6) ** 0.8, 25 * k**1.6, 0.0]
    exact = solve_ivp(rates, (0, len(load) / 12), start, max_step=0.005, rtol=1e-8, atol=1e-9)
    hot_spot_c = ambient_c + exact.y[0, -1] + exact.y[1, -1]
    assert ticks[-1].hot_spot_c[0] == pytest.approx(hot_spot_c, abs=0.01)
    aged_h = sum(tick.ageing_factor[0] for tick in ticks) / 12
    assert aged_h == pytest.approx(exact.y[2, -1], rel=0.02)


def test_state_is_saved_and_bad_loads_are_refused() -> None:
    life = TransformerLife(2)
    life.advance(np.array([0.3, 1.2]), 10.0, 1 / 12)
    saved = life.arrays()
    after = life.advance(np.array([1.0, 0.1]), 10.0, 1 / 12)
    other = TransformerLife(2)
    other.take(saved)
    again = other.advance(np.array([1.0, 0.1]), 10.0, 1 / 12)
    assert again.hot_spot_c.tobytes() == after.hot_spot_c.tobytes()
    with pytest.raises(PowerFlowError, match="load of transformer 1 is nan"):
        life.advance(np.array([1.0, np.nan]), 10.0, 1 / 12)
