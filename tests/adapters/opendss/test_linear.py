"""The linear kind against OpenDSS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import networks.feeders
import networks.loads
from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.service import connect_stations
from adapters.opendss.tick import FeederTick
from cosim.errors import PowerFlowError

STATIONS = 90
FAST = np.arange(STATIONS) % 3 == 0
RATING_KW = np.where(FAST, 50.0, 14.4)
SHAPE = networks.loads.load_shape("opendss_default")


def built(name: str, make: Any = Feeder, **options: Any) -> Any:
    circuit = Circuit(networks.feeders.load(name))
    service, _ = connect_stations(circuit.layout, RATING_KW, FAST)
    return make(circuit, service, 0.99, **options)


@pytest.fixture(params=["ieee123", "ieee13"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Feeder, LinearFeeder]]:
    exact, linear = built(request.param), built(request.param, LinearFeeder)
    yield exact, linear
    exact.close()
    linear.close()


def day(feeder: Feeder, ticks: int, seed: int = 1) -> list[tuple[float, np.ndarray]]:
    """Return inputs that wander as a fleet's do, feeding back at times."""
    rng = np.random.default_rng(seed)
    rating = feeder.service.rating_kva
    power_kw, found = 0.3 * rating, list[tuple[float, np.ndarray]]()
    for k in range(ticks):
        step = rng.normal(0, 0.08, len(rating)) * rating
        power_kw = np.clip(power_kw + step, -0.2 * rating, 0.8 * rating)
        found.append((float(SHAPE[(96 + k) % 288]), power_kw))
    return found


def errors(exact: FeederTick, linear: FeederTick) -> dict[str, float]:
    pairs = ((key, value, getattr(linear, key)) for key, value in vars(exact).items())
    return {
        key: float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max(initial=0))
        for key, one, other in pairs
    }


def test_it_is_exact_where_it_solves_and_close_between(pair: tuple[Feeder, LinearFeeder]) -> None:
    exact, linear = pair
    # With taps held, what differs is the curvature alone.
    exact.solve(0.7, 0.3 * exact.service.rating_kva)
    taps = exact.state()
    for feeder in pair:
        feeder.lock_taps()
        Feeder.restore(feeder, taps)
    worst: dict[str, float] = {}
    for k, inputs in enumerate(day(exact, 48)):
        found = errors(exact.solve(*inputs), linear.solve(*inputs))
        if k % 12 == 0:
            assert max(found.values()) == 0
        worst = {key: max(value, worst.get(key, 0.0)) for key, value in found.items()}
    assert 0 < worst["bus_voltage_pu"] < 2e-3
    assert worst["transformer_loading_pct"] < 1.5
    assert worst["line_loading_pct"] < 0.8
    assert worst["feeder_losses_kw"] < 2.5
    assert worst["feeder_power_kw"] < 4.0
    assert worst["transformer_ev_kw"] < 1e-5
    assert worst["unbalance_pct"] < 0.1
    assert worst["bus_marginal_loss"] < 0.05


def test_with_moving_taps_it_stays_within_two_steps(pair: tuple[Feeder, LinearFeeder]) -> None:
    exact, linear = pair
    off: list[dict[str, float]] = []
    for inputs in day(exact, 96):
        off.append(errors(exact.solve(*inputs), linear.solve(*inputs)))
    assert max(tick["bus_voltage_pu"] for tick in off) < 0.021
    assert np.mean([tick["bus_voltage_pu"] for tick in off]) < 0.01
    assert max(tick["feeder_power_kw"] for tick in off) < 25


def test_its_power_adds_up(pair: tuple[Feeder, LinearFeeder]) -> None:
    _, linear = pair
    for inputs in day(linear, 6):
        solved = linear.solve(*inputs)
        ev_kw = float(solved.transformer_ev_kw.sum())
        used_kw = solved.feeder_base_kw + ev_kw + solved.feeder_losses_kw
        assert solved.feeder_power_kw == pytest.approx(used_kw, rel=1e-6)
        assert ev_kw == pytest.approx(inputs[1].sum(), rel=1e-6)


@pytest.mark.parametrize("cut", [5, 12, 17])
def test_a_restored_one_continues_byte_for_byte(cut: int) -> None:
    through = built("ieee13", LinearFeeder)
    inputs = day(through, 30)
    for one in inputs[:cut]:
        through.solve(*one)
    state = through.state()
    expected = [through.solve(*one) for one in inputs[cut:]]
    other = built("ieee13", LinearFeeder)
    other.solve(1.0, np.zeros(len(other.service)))
    other.restore(state)
    for one, tick in zip(inputs[cut:], expected, strict=True):
        found = other.solve(*one)
        for key, value in vars(tick).items():
            assert np.asarray(getattr(found, key)).tobytes() == np.asarray(value).tobytes(), key
    through.close()
    other.close()


def test_bad_input_is_refused_between_solutions_too() -> None:
    feeder = built("ieee13", LinearFeeder)
    feeder.solve(0.5, np.zeros(len(feeder.service)))
    with pytest.raises(PowerFlowError, match="charger power is nan"):
        feeder.solve(0.5, np.full(len(feeder.service), np.nan))
    with pytest.raises(PowerFlowError, match="collapsed"):
        feeder.solve(0.5, np.full(len(feeder.service), 5e4))
    feeder.close()
