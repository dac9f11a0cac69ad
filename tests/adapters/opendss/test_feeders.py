"""Several feeders side by side: nothing is lost between them, and nothing leaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.service import (
    SINGLE_PHASE_KVA,
    THREE_PHASE_KVA,
    connect_stations,
)
from cosim.areas import feeder_ids
from cosim.assets import Assets
from cosim.errors import PowerFlowError, UserError
from cosim.scenario import Scenario
from networks import feeders as tables

DATA = tables.load("ieee123")
STATIONS = 90
OF_STATION = np.arange(STATIONS) * 7 % 3
FAST = np.arange(STATIONS) % 4 == 0
RATING_KW = np.where(FAST, 50.0, 14.4)


def built(count: int = 3, of_station: Any = OF_STATION) -> Feeders:
    return Feeders(DATA, count, np.asarray(of_station), RATING_KW, FAST)


@pytest.fixture
def three() -> Iterator[Feeders]:
    feeders = built()
    yield feeders
    feeders.close()


def charging(feeders: Feeders, station_kw: Any) -> np.ndarray:
    station_kw = np.broadcast_to(station_kw, STATIONS)
    return np.bincount(feeders.connection_of_station, station_kw, feeders.connection_count)


def drawn(seed: int, share: float = 1.0) -> np.ndarray:
    return RATING_KW * np.random.default_rng(seed).uniform(-0.1, share, STATIONS)


def test_one_feeder_is_the_feeder_itself() -> None:
    one = built(1, np.zeros(STATIONS, dtype=int))
    service, at = connect_stations(layout_of(DATA), RATING_KW, FAST)
    alone = Feeder(Circuit(DATA), service)
    assert one.bus_ids == alone.bus_ids
    assert one.transformer_ids == alone.transformer_ids
    assert one.line_ids == alone.line_ids
    assert (one.connection_of_station == at).all()
    for k in range(3):
        power_kw = charging(one, drawn(k))
        found, expected = one.solve(0.5 + 0.2 * k, power_kw), alone.solve(0.5 + 0.2 * k, power_kw)
        assert found.bus_voltage_pu.tobytes() == expected.bus_voltage_pu.tobytes()
        assert found.line_loading_pct.tobytes() == expected.line_loading_pct.tobytes()
        assert found.transformer_ev_kw.tobytes() == expected.transformer_ev_kw.tobytes()
        assert found.head_kw.tolist() == [expected.feeder_power_kw]
        assert found.losses_kw.tolist() == [expected.feeder_losses_kw]
    one.close()
    alone.close()


def test_names_say_the_feeder(three: Feeders) -> None:
    assert three.ids == ("f00", "f01", "f02")
    assert feeder_ids(101)[::50] == ("f000", "f050", "f100")
    for names in (three.bus_ids, three.transformer_ids, three.line_ids):
        assert len(set(names)) == len(names)
        assert [name[:4] for name in names] == sorted(name[:4] for name in names)
    assert "f02.48.1" in three.bus_ids
    for station, transformer in enumerate(three.connection_of_station):
        assert three.feeding_ids[transformer].startswith(f"f{OF_STATION[station]:02d}.st")


def test_each_feeder_carries_the_stations_of_its_area(three: Feeders) -> None:
    station_kw = drawn(1)
    solved = three.solve(0.7, charging(three, station_kw))
    fleet_kw = np.bincount(OF_STATION, station_kw)
    used_kw = solved.base_kw + fleet_kw + solved.losses_kw
    np.testing.assert_allclose(solved.head_kw, used_kw, rtol=1e-6)
    assert solved.transformer_ev_kw.sum() == pytest.approx(station_kw.sum(), rel=1e-6)
    assert solved.transformer_loading_pct.shape == three.rating_kva.shape
    assert (solved.losses_kw > 0).all()


def test_a_change_in_one_area_changes_no_bit_of_another(three: Feeders) -> None:
    station_kw = drawn(2)
    other = built()
    for k in range(4):
        changed = np.where((OF_STATION == 1) & (k > 0), 0.0, station_kw)
        one = three.solve(0.8, charging(three, station_kw))
        two = other.solve(0.8, charging(other, changed))
        same = one.bus_voltage_pu == two.bus_voltage_pu
        of_feeder = np.array([name[:3] for name in three.bus_ids])
        assert same[of_feeder != "f01"].all()
        assert same[of_feeder == "f01"].all() == (k == 0)
        assert (one.head_kw == two.head_kw).tolist() == [True, k == 0, True]
    other.close()


def test_restored_feeders_continue_byte_for_byte(three: Feeders) -> None:
    days = [(0.5 + 0.5 * np.sin(k / 3), drawn(k)) for k in range(8)]
    for scale, station_kw in days[:4]:
        three.solve(scale, charging(three, station_kw * (1 + OF_STATION)))
    states = three.state()
    assert len(states) == 3
    assert any((states[0].tap_pu != state.tap_pu).any() for state in states[1:])
    other = built()
    other.solve(1.1, charging(other, drawn(99)))
    other.restore(states)
    for scale, station_kw in days[4:]:
        one = three.solve(scale, charging(three, station_kw))
        two = other.solve(scale, charging(other, station_kw))
        for field in vars(one):
            assert getattr(one, field).tobytes() == getattr(two, field).tobytes(), field
    other.close()


def test_a_failure_names_the_feeder(three: Feeders) -> None:
    power_kw = charging(three, drawn(0))
    last = three.connection_of_station[OF_STATION == 2][0]
    with pytest.raises(PowerFlowError, match="collapsed") as info:
        three.solve(0.7, np.where(np.arange(len(power_kw)) == last, 1e6, power_kw))
    assert info.value.where.startswith("feeder f02, bus ")
    bad = np.where(np.arange(len(power_kw)) == last, np.nan, power_kw)
    with pytest.raises(PowerFlowError) as info:
        three.solve(0.7, bad)
    assert info.value.where == f"feeder f02, transformer {three.feeding_ids[last][4:]}"
    with pytest.raises(PowerFlowError, match=r"shape \(2,\), not"):
        three.solve(0.7, np.zeros(2))
    # Feeders of which one failed are as good as new.
    assert three.solve(0.5, power_kw).bus_voltage_pu.min() > 0.9


def test_a_feeder_that_cannot_be_built_is_named() -> None:
    wrong = replace(DATA, lines=(replace(DATA.lines[0], configuration="99"), *DATA.lines[1:]))
    with pytest.raises(PowerFlowError, match=r'feeder f00.*building ieee123.*"c99" not found'):
        Feeders(wrong, 2, OF_STATION % 2, RATING_KW, FAST)
    cut = replace(DATA, lines=tuple(row for row in DATA.lines if row.id != "l1"))
    with pytest.raises(PowerFlowError, match=r"feeder f00, bus 2\.2\).*does not feed"):
        Feeders(cut, 2, OF_STATION % 2, RATING_KW, FAST)


def test_a_station_that_fits_nowhere_is_named_by_its_own_number() -> None:
    rating_kw = RATING_KW.copy()
    rating_kw[80] = 900.0
    with pytest.raises(UserError, match="station 80 needs 909"):
        Feeders(DATA, 3, OF_STATION, rating_kw, FAST)


def test_no_engine_moves_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    feeders = built()
    feeders.solve(0.7, charging(feeders, 5.0))
    for feeder in feeders.each:
        assert not feeder._dss.Basic.AllowChangeDir()
    assert Path(os.getcwd()) == tmp_path
    feeders.close()
    assert Path(os.getcwd()) == tmp_path
    assert not list(tmp_path.iterdir())


def test_a_feeder_without_stations_has_its_own_load(three: Feeders) -> None:
    feeders = built(2, np.zeros(STATIONS, dtype=int))
    solved = feeders.solve(0.7, charging(feeders, 0.0))
    assert solved.head_kw[1] == pytest.approx(solved.base_kw[1] + solved.losses_kw[1], rel=1e-6)
    assert solved.base_kw[1] == pytest.approx(0.7 * DATA.load_kw, rel=0.03)
    feeders.close()


@pytest.mark.parametrize("power_factor", [0.5, 0.8, 1.0])
def test_every_private_station_fits_a_transformer(power_factor: float) -> None:
    plain = {
        "fleet": {"vehicles": 900, "segments": {"ride_share": 0, "commute": 2, "transit": 1}},
        "grid": {"charger_power_factor": power_factor, "feeders": 2},
    }
    stations = Assets.of(Scenario.model_validate(plain)).stations
    depot = stations.kind == stations.kinds.index("depot")
    assert stations.rating_kw[depot].max() > 300
    service, at = connect_stations(
        layout_of(DATA), stations.rating_kw, stations.three_phase, power_factor
    )
    used_kva = np.bincount(at, stations.rating_kw / power_factor, len(service))
    assert (service.rating_kva >= used_kva * (1 - 1e-12)).all()


def test_homes_and_depots_of_a_city_get_sensible_transformers() -> None:
    # As a metropolis has them: per feeder a bus depot of eight stations, 40 fast public stations,
    # 120 public ones, 250 homes, 30 places of work.
    kinds = [(8, 660.0, True), (40, 50.0, True), (120, 14.4, False), (250, 7.2, False)]
    kinds += [(30, 34.5, False)]
    rating_kw = np.concatenate([np.full(n, kw) for n, kw, _ in kinds] * 2)
    three_phase = np.concatenate([np.full(n, fast) for n, _, fast in kinds] * 2)
    of_station = np.repeat([0, 1], len(rating_kw) // 2)
    feeders = Feeders(DATA, 2, of_station, rating_kw, three_phase)
    at = feeders.connection_of_station
    used_kva = np.bincount(at, rating_kw / 0.99, feeders.connection_count)
    rating = np.concatenate([feeder.service.rating_kva for feeder in feeders.each])
    three_phase_unit = np.bincount(at, three_phase, feeders.connection_count) > 0
    for kva, largest, phases in zip(used_kva, rating, three_phase_unit, strict=True):
        sizes = THREE_PHASE_KVA if phases else SINGLE_PHASE_KVA
        assert largest == next(size for size in sizes if size >= kva)
    # Homes share units of tens of kilovolt-amperes; a station of a depot has its own large one.
    home = np.isin(rating_kw, 7.2)
    assert np.bincount(at[home]).max() >= 4
    assert np.median(rating[at[home]]) <= 167
    assert (rating[at[rating_kw == 660.0]] == 750).all()
    assert rating.sum() < 2.0 * used_kva.sum()
    solved = feeders.solve(
        0.7, np.bincount(at, 0.3 * rating_kw, feeders.connection_count).astype(float)
    )
    assert solved.bus_voltage_pu.min() > 0.85
    feeders.close()
