"""Real-time prices: mean, spread, memory and spikes of the process, and what was published."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

import networks.prices
from networks.prices.real_time import RealTime, factors

YEARS = 12 * 24 * 365 * 4
CALM = RealTime(spikes_per_day=0)


def drawn(
    process: RealTime, ticks: int = YEARS, seed: int = 5
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return factors(process, ticks, np.random.default_rng(seed))


def test_without_spikes_the_log_has_its_spread_and_half_life() -> None:
    log = np.log(drawn(CALM))
    assert log.std() == pytest.approx(0.26, rel=0.02)
    assert log.mean() == pytest.approx(-(0.26**2) / 2, abs=0.01)
    ticks = round(12 * 2.5)
    assert np.corrcoef(log[:-ticks], log[ticks:])[0, 1] == pytest.approx(0.5, abs=0.02)
    # The first value has the same spread as all others.
    first = np.log([drawn(CALM, 1, seed)[0] for seed in range(4000)])
    assert first.std() == pytest.approx(0.26, rel=0.04)


@pytest.mark.parametrize(
    "process",
    [CALM, RealTime(), RealTime(spread=0.5, spikes_per_day=3, spike_h=1, spike_log_size=0.3)],
)
def test_real_time_is_on_average_no_dearer_than_day_ahead(process: RealTime) -> None:
    found = drawn(process)
    assert found.min() > 0
    assert found.mean() == pytest.approx(1, abs=0.03)


def test_spikes_come_last_and_rise_as_told() -> None:
    flat = RealTime(spread=0, spikes_per_day=2, spike_h=1.5, spike_log_size=0.5)
    found = np.log(drawn(flat))
    low = found.min()
    spike = found > low + 1e-9
    assert spike.mean() == pytest.approx(2 * 1.5 / 24, rel=0.05)
    begins = np.flatnonzero(np.diff(spike.astype(int)) == 1)
    assert len(begins) / (YEARS / 288) == pytest.approx(2, rel=0.05)
    assert (found[begins + 1] - low).mean() == pytest.approx(0.5, rel=0.05)
    p = 2 * 1.5 / 24
    assert low == pytest.approx(-np.log(1 - p + p / (1 - 0.5)))


@pytest.mark.parametrize("ticks", [1, 2, 3, 12, 289])
def test_any_length_has_a_factor_for_every_tick(ticks: int) -> None:
    restless = RealTime(spikes_per_day=100, spike_h=1 / 12)
    for seed in range(50):
        found = drawn(restless, ticks, seed)
        assert found.shape == (ticks,)
        assert np.isfinite(found).all()


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert drawn(RealTime(), 288).tobytes() == drawn(RealTime(), 288).tobytes()
    assert drawn(RealTime(), 288).tobytes() != drawn(RealTime(), 288, 6).tobytes()


def test_spikes_must_leave_time_between_them() -> None:
    with pytest.raises(ValidationError, match="must leave time between spikes"):
        RealTime(spikes_per_day=12, spike_h=2)


def test_the_defaults_give_the_published_differences() -> None:
    """Hourly differences to day ahead in ERCOT's Houston zone, as `real_time.toml` has them."""
    file = Path(networks.prices.__path__[0]) / "real_time.toml"
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    published = content["published"]
    day_ahead = content["assumed"]["day_ahead_usd_per_mwh"]
    difference = day_ahead * (drawn(RealTime()).reshape(-1, 12).mean(axis=1) - 1)
    log = np.log1p(np.abs(difference))
    dearer = np.percentile(log[difference > 0], published["percent"])
    cheaper = np.percentile(log[difference < 0], published["percent"])
    # The tail upwards is met within a fifth of the difference or so; downwards the process cannot
    # fall by more than the day-ahead price itself, which is the mean of many here.
    assert dearer == pytest.approx(published["dearer"], abs=0.25)
    assert cheaper[0] == pytest.approx(published["cheaper"][0], abs=0.25)
    assert (difference > 0).mean() == pytest.approx(published["positive_share"], abs=0.13)
    same = (difference[1:] > 0) == (difference[:-1] > 0)
    assert same.mean() == pytest.approx(published["sign_persistence"], abs=0.05)
    low_h, high_h = published["spike_h"]
    assert low_h <= RealTime().spike_h <= high_h
