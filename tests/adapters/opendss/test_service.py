"""Where stations go, what they add up to, and when limits are left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.opendss.charging import connection_power_kw, station_power_kw
from adapters.opendss.circuit import layout_of
from adapters.opendss.service import (
    SINGLE_PHASE_KVA,
    THREE_PHASE_KVA,
    connect_stations,
    impedance_pct,
)
from adapters.opendss.violations import Watch
from cosim.errors import PowerFlowError, UserError
from networks import feeders

LAYOUT = layout_of(feeders.load("ieee123"))
PLACES = {place.bus: place for place in LAYOUT.places}


@settings(deadline=None, max_examples=40)
@given(
    stations=st.lists(st.tuples(st.floats(1, 150), st.booleans()), max_size=300),
    power_factor=st.floats(0.9, 1),
)
def test_every_station_has_a_transformer_that_fits(
    stations: list[tuple[float, bool]], power_factor: float
) -> None:
    rating_kw = np.array([kw for kw, _ in stations])
    three_phase = np.array([three for _, three in stations], dtype=bool)
    table, at = connect_stations(LAYOUT, rating_kw, three_phase, power_factor)
    assert len(set(table.ids)) == len(table)
    assert sorted(set(at.tolist())) == list(range(len(table)))
    load_kva = np.bincount(at, weights=rating_kw, minlength=len(table)) / power_factor
    assert (table.rating_kva >= load_kva * (1 - 1e-12)).all()
    for index in range(len(table)):
        phases, sizes = table.phases[index], THREE_PHASE_KVA
        if len(phases) == 1:
            sizes = SINGLE_PHASE_KVA
            assert PLACES[table.bus[index]].phases == phases
        assert set(phases) <= set(PLACES[table.bus[index]].phases)
        smaller = [size for size in sizes if size < table.rating_kva[index]]
        assert not smaller or smaller[-1] < load_kva[index]
    for station, transformer in enumerate(at):
        assert (len(table.phases[transformer]) == 3) == bool(three_phase[station])


def test_placement_spreads_over_phases_and_feeder() -> None:
    table, at = connect_stations(LAYOUT, np.full(51, 14.4), np.zeros(51, dtype=bool))
    assert len(table) == 51
    assert [phases[0] for phases in table.phases[:6]] == [1, 2, 3, 1, 2, 3]
    every = [PLACES[bus].km for bus in table.bus]
    first = every[:9]
    assert max(first) - min(first) > 0.6 * (max(every) - min(every))
    again, _ = connect_stations(LAYOUT, np.full(51, 14.4), np.zeros(51, dtype=bool))
    assert again.ids == table.ids
    assert at.tolist() == list(range(51))


def test_stations_share_and_then_open_a_second_transformer() -> None:
    # 34 three-phase load buses: the 35th station meets the first, the 69th the third time.
    buses = 34
    table, at = connect_stations(
        LAYOUT, np.full(2 * buses + 1, 300.0), np.ones(2 * buses + 1, dtype=bool), 1.0
    )
    assert at[buses] == at[0]
    assert table.rating_kva[at[0]] == 750
    assert table.ids[at[2 * buses]] == f"{table.ids[at[0]]}_2"
    assert table.bus[at[2 * buses]] == table.bus[at[0]]


@pytest.mark.parametrize(
    ("rating_kw", "three_phase", "message"),
    [
        (800.0, True, "station 0 needs 800 kVA: a three-phase.*750"),
        (200.0, False, "station 0 needs 200 kVA: a single-phase.*167"),
        (np.nan, False, "station 0 needs nan kVA"),
    ],
)
def test_a_station_too_large_is_refused(rating_kw: float, three_phase: bool, message: str) -> None:
    with pytest.raises(UserError, match=message):
        connect_stations(LAYOUT, np.array([rating_kw]), np.array([three_phase]), 1.0)


def test_impedance_of_the_published_units() -> None:
    assert impedance_pct(1, 25) == (1.2, 1.7)
    assert impedance_pct(3, 150) == (1.27, 2.72)
    assert impedance_pct(3, 500) == (1.1, 2.0)


def test_power_of_vehicles_reaches_stations_and_transformers() -> None:
    power_kw = np.array([7.0, -11.5, 0.0, 3.0, 50.0])
    station = np.array([2, 0, -1, 2, 1], dtype=np.int32)
    station_kw = station_power_kw(power_kw, station, 4)
    assert station_kw.tolist() == [-11.5, 50.0, 10.0, 0.0]
    assert connection_power_kw(station_kw, np.array([1, 0, 1, 1]), 3).tolist() == [50.0, -1.5, 0.0]
    nobody = station_power_kw(np.zeros(2), np.array([-1, -1], dtype=np.int32), 3)
    assert nobody.tolist() == [0, 0, 0]
    assert nobody.dtype == np.float64


def test_power_without_a_station_is_an_error() -> None:
    with pytest.raises(PowerFlowError, match=r"vehicle 1.*7 kW without a station"):
        station_power_kw(np.array([0.0, 7.0]), np.array([0, -1], dtype=np.int32), 1)


def test_a_violation_begins_and_ends_once() -> None:
    watch = Watch("voltage_violation", ["a.1", "b.2"], 0.95, 1.05)
    assert watch.update(0, np.array([1.0, 1.05])) == []
    (begin,) = watch.update(300, np.array([0.94, 1.0]))
    assert begin == {
        "time_s": 300.0,
        "kind": "voltage_violation",
        "place": "a.1",
        "value": 0.94,
        "limit": 0.95,
        "start_s": 300.0,
        "detail": "begin",
    }
    assert watch.update(600, np.array([0.91, 1.0])) == []
    assert watch.update(900, np.array([0.93, 1.0])) == []
    end, other = watch.update(1200, np.array([0.96, 1.06]))
    assert (end["value"], end["start_s"], end["detail"]) == (0.91, 300.0, "end after 900 s")
    assert (other["place"], other["limit"], other["detail"]) == ("b.2", 1.05, "begin")
    (last,) = watch.finish(1500)
    assert (last["place"], last["detail"]) == ("b.2", "end after 300 s")
    assert watch.finish(1800) == []


def test_overload_has_one_side() -> None:
    watch = Watch("overload", ["t"], -np.inf, 100.0)
    assert watch.update(0, np.array([0.0])) == []
    (begin,) = watch.update(300, np.array([130.0]))
    assert (begin["value"], begin["limit"]) == (130.0, 100.0)
