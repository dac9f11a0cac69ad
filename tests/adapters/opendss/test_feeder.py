"""The feeder against the published solution, its own power balance and every way to fail."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opendssdirect.Circuit import ICircuit

from adapters.opendss import bench, doctor
from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import Connections, Unit, connect_stations
from cosim.errors import PowerFlowError
from networks import feeders

DATA = feeders.load("ieee123")
PUBLISHED = Path(__file__).parents[2] / "networks" / "data" / "ieee123_published_voltages.csv"
STATIONS = 60
FAST = np.arange(STATIONS) % 3 == 0
RATING_KW = np.where(FAST, 50.0, 14.4)
LAYOUT = layout_of(DATA)
NO_SERVICE, _ = connect_stations(LAYOUT, np.zeros(0), np.zeros(0, dtype=bool))
SERVICE, OF_STATION = connect_stations(LAYOUT, RATING_KW, FAST)


def at_published_taps(name: str) -> Feeder:
    data = feeders.load(name)
    feeder = Feeder(Circuit(data), NO_SERVICE)
    feeder.lock_taps()
    feeder.set_taps(np.array([row.published_tap for row in data.regulators]))
    return feeder


@pytest.fixture(scope="module")
def published() -> Iterator[Feeder]:
    feeder = at_published_taps("ieee123")
    yield feeder
    feeder.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Feeder]:
    feeder = Feeder(Circuit(DATA), SERVICE)
    yield feeder
    feeder.close()


@pytest.fixture
def feeder() -> Iterator[Feeder]:
    feeder = Feeder(Circuit(DATA), SERVICE)
    yield feeder
    feeder.close()


def chargers(seed: int, share: float = 1.0) -> np.ndarray:
    power_kw = RATING_KW * np.random.default_rng(seed).uniform(-0.1, share, STATIONS)
    return np.bincount(OF_STATION, weights=power_kw, minlength=len(SERVICE))


def test_voltages_equal_the_published_ones(published: Feeder) -> None:
    # W. H. Kersting's solution of the IEEE 123-node feeder with its own regulator taps. Bus 610
    # hangs on an ungrounded delta: its voltages to ground are not defined, see the next test.
    solved = published.solve(1.0, np.zeros(0))
    voltage_pu = dict(zip(published.bus_ids, solved.bus_voltage_pu, strict=True))
    with PUBLISHED.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["bus"] != "610"]
    assert len(rows) == 271
    for row in rows:
        node = f"{row['bus']}.{row['phase']}"
        assert voltage_pu[node] == pytest.approx(float(row["voltage_pu"]), abs=6e-4), node
    assert solved.tap.tolist() == [7, -1, 0, -1, 8, 1, 5]


def test_the_13_node_feeder_solves_as_published() -> None:
    feeder = at_published_taps("ieee13")
    solved = feeder.solve(1.0, np.zeros(0))
    voltage_pu = dict(zip(feeder.bus_ids, solved.bus_voltage_pu, strict=True))
    feeder.close()
    with PUBLISHED.with_name("ieee13_published_voltages.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 29
    for row in rows:
        node = f"{row['bus']}.{row['phase']}"
        assert voltage_pu[node] == pytest.approx(float(row["voltage_pu"]), abs=0.002), node
    # Published: 3577.191 kW at the head, 111.063 kW of losses.
    assert solved.feeder_power_kw == pytest.approx(3577.191, rel=3e-4)
    assert solved.feeder_losses_kw == pytest.approx(111.063, rel=0.01)


def test_line_voltages_of_the_delta_secondary_equal_the_published_ones(published: Feeder) -> None:
    published.solve(1.0, np.zeros(0))
    with PUBLISHED.open(newline="") as file:
        phasors = [
            float(row["voltage_pu"]) * np.exp(1j * np.deg2rad(float(row["angle_deg"])))
            for row in csv.DictReader(file)
            if row["bus"] == "610"
        ]
    published._dss.Circuit.SetActiveBus("610")
    pairs = np.array(published._dss.Bus.puVLL()).reshape(3, 2) @ [1, 1j]
    # Line voltages are per unit of the line-to-neutral base here, as the phasors are.
    expected = np.abs(np.array(phasors) - np.roll(phasors, -1)) / np.sqrt(3)
    assert np.abs(pairs) == pytest.approx(expected, abs=6e-4)


def test_own_taps_are_at_most_two_from_the_published_ones() -> None:
    # EPRI notes for the test case: "generally one off from the presently posted solution".
    feeder = Feeder(Circuit(DATA), NO_SERVICE)
    tap = feeder.solve(1.0, np.zeros(0)).tap
    feeder.close()
    assert np.abs(tap - [row.published_tap for row in DATA.regulators]).max() <= 2


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(scale=st.floats(0, 1.2), seed=st.integers(0, 1000), share=st.floats(0, 1))
def test_power_adds_up(shared: Feeder, scale: float, seed: int, share: float) -> None:
    charger_kw = chargers(seed, share)
    solved = shared.solve(scale, charger_kw)
    ev_kw = float(solved.transformer_ev_kw.sum())
    used_kw = solved.feeder_base_kw + ev_kw + solved.feeder_losses_kw
    # Relative to what flows, not to its balance, which feeding back can bring near zero. The
    # 1 micro-ohm switches leave the engine's arithmetic a noise of about 1e-5 kW.
    gross_kw = solved.feeder_base_kw + np.abs(charger_kw).sum() + solved.feeder_losses_kw
    assert solved.feeder_power_kw == pytest.approx(used_kw, abs=1e-6 * max(gross_kw, 25.0))
    # The engine drew what was asked for, behind the transformer it was asked for.
    assert solved.transformer_ev_kw[: shared.first_service] == pytest.approx(np.zeros(8))
    assert solved.transformer_ev_kw[shared.first_service :] == pytest.approx(charger_kw, abs=1e-3)
    assert solved.feeder_losses_kw > 0


def test_shapes_and_ids(shared: Feeder) -> None:
    solved = shared.solve(0.5, chargers(0))
    assert len(set(shared.bus_ids)) == len(shared.bus_ids) == solved.bus_voltage_pu.size
    assert shared.transformer_ids[:8] == (*(r.id for r in DATA.regulators), "xfm1")
    assert shared.transformer_ids[8:] == SERVICE.ids
    assert solved.transformer_loading_pct.shape == (len(shared.transformer_ids),)
    assert solved.line_loading_pct.shape == (len(DATA.lines),)
    assert "48.1" in shared.bus_ids


def test_lines_are_loaded_in_percent_of_their_conductor(shared: Feeder) -> None:
    solved = shared.solve(1.0, np.zeros(len(SERVICE)))
    loading = dict(zip(shared.line_ids, solved.line_loading_pct, strict=True))
    dss = shared._dss
    for line, rating_a in (("l115", 530), ("l11", 230), ("l61", 175)):
        dss.Circuit.SetActiveElement(f"line.{line}")
        amperes = max(dss.CktElement.CurrentsMagAng()[::2])
        assert loading[line] == pytest.approx(100 * amperes / rating_a)


def test_transformers_are_loaded_in_percent_of_their_rating(feeder: Feeder) -> None:
    charger_kw = 0.9 * SERVICE.rating_kva
    loading = feeder.solve(0.5, charger_kw).transformer_loading_pct[feeder.first_service :]
    # 90 % at power factor 0.99, and a little more for the transformer's own losses.
    assert (loading > 100 * 0.9 / 0.99).all()
    assert (loading < 100 * 0.9 / 0.99 + 4).all()


def test_feeding_back_raises_the_voltage_and_turns_the_power(feeder: Feeder) -> None:
    drawing = feeder.solve(0.3, np.full(len(SERVICE), 20.0))
    resting = feeder.solve(0.3, np.zeros(len(SERVICE)))
    feeding = feeder.solve(0.3, np.full(len(SERVICE), -20.0))
    assert feeding.feeder_power_kw < resting.feeder_power_kw < drawing.feeder_power_kw
    assert feeding.transformer_ev_kw.sum() == pytest.approx(-20 * len(SERVICE))
    low_side = [i for i, node in enumerate(feeder.bus_ids) if "_lv." in node]
    assert (feeding.bus_voltage_pu[low_side] > drawing.bus_voltage_pu[low_side]).mean() > 0.9


def test_arrays_are_fresh(feeder: Feeder) -> None:
    first = feeder.solve(0.5, chargers(1))
    before = first.bus_voltage_pu.copy()
    second = feeder.solve(1.0, chargers(2))
    assert (first.bus_voltage_pu == before).all()
    assert first.bus_voltage_pu is not second.bus_voltage_pu


def test_taps_stay_between_intervals(feeder: Feeder) -> None:
    heavy = feeder.solve(1.0, chargers(3)).tap
    again = feeder.solve(1.0, chargers(3)).tap
    assert (heavy == again).all()
    light = feeder.solve(0.4, np.zeros(len(SERVICE))).tap
    assert (light != heavy).any()


def test_a_restored_feeder_continues_byte_for_byte(feeder: Feeder) -> None:
    days = [(0.5 + 0.5 * np.sin(k / 5), chargers(k)) for k in range(12)]
    through = [feeder.solve(*day) for day in days[:6]]
    state = feeder.state()
    through = [feeder.solve(*day) for day in days[6:]]
    other = Feeder(Circuit(DATA), SERVICE)
    other.solve(1.1, chargers(99))
    other.restore(state)
    resumed = [other.solve(*day) for day in days[6:]]
    other.close()
    for one, two in zip(through, resumed, strict=True):
        for field in vars(one):
            assert np.asarray(getattr(one, field)).tobytes() == (
                np.asarray(getattr(two, field)).tobytes()
            ), field


def test_capacitors_are_part_of_the_state(feeder: Feeder) -> None:
    state = feeder.state()
    assert state.capacitor_on.tolist() == [True] * 4
    off = replace(state, capacitor_on=np.array([False, True, True, True]))
    with_bank = feeder.solve(1.0, chargers(0)).feeder_reactive_kvar
    feeder.restore(off)
    assert feeder.state().capacitor_on.tolist() == [False, True, True, True]
    assert feeder.solve(1.0, chargers(0)).feeder_reactive_kvar > with_bank + 400


def test_two_feeders_do_not_share_an_engine(feeder: Feeder) -> None:
    feeder.solve(1.0, chargers(5))
    alone = feeder.solve(1.0, chargers(5)).bus_voltage_pu
    other = Feeder(Circuit(DATA), NO_SERVICE)
    other.solve(0.2, np.zeros(0))
    assert (feeder.solve(1.0, chargers(5)).bus_voltage_pu == alone).all()
    other.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_charger_that_is_not_a_number_never_reaches_the_engine(
    feeder: Feeder, bad: float
) -> None:
    charger_kw = chargers(0)
    feeder.solve(1.0, charger_kw)
    good = feeder.solve(1.0, charger_kw).bus_voltage_pu
    charger_kw[4] = bad
    with pytest.raises(PowerFlowError, match=f"transformer {SERVICE.ids[4]}.*{bad}"):
        feeder.solve(1.0, charger_kw)
    assert (feeder.solve(1.0, chargers(0)).bus_voltage_pu == good).all()


def test_other_bad_input_is_refused(feeder: Feeder) -> None:
    with pytest.raises(PowerFlowError, match="load scale"):
        feeder.solve(np.nan, chargers(0))
    with pytest.raises(PowerFlowError, match="load scale"):
        feeder.solve(-0.1, chargers(0))
    with pytest.raises(PowerFlowError, match=r"shape \(3,\)"):
        feeder.solve(1.0, np.zeros(3))


def test_no_convergence_names_the_worst_bus(feeder: Feeder) -> None:
    with pytest.raises(
        PowerFlowError, match=r"did not converge by .*Newton.*; lowest voltage 0\.\d+ pu"
    ) as info:
        feeder.solve(10.0, np.zeros(len(SERVICE)))
    assert info.value.where.startswith("bus ")
    # A feeder that failed is as good as new.
    assert feeder.solve(0.5, chargers(0)).bus_voltage_pu.min() > 0.9


def test_a_collapsed_voltage_is_an_error(feeder: Feeder) -> None:
    # OpenDSS converges here, with every load faded to an impedance.
    with pytest.raises(PowerFlowError, match=r"collapsed to .* no load draws what it asks for"):
        feeder.solve(1.0, np.full(len(SERVICE), 1e6))


def test_a_voltage_that_is_not_a_number_is_an_error(
    feeder: Feeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an isolated bus looks like to the engine's reader.
    voltage_pu = [1.0] * len(feeder.bus_ids)
    voltage_pu[7] = float("nan")
    monkeypatch.setattr(ICircuit, "AllBusMagPu", lambda _: voltage_pu)
    with pytest.raises(PowerFlowError, match="not a number") as info:
        feeder.solve(1.0, chargers(0))
    assert info.value.where == f"bus {feeder.bus_ids[7]}"


def test_an_isolated_bus_is_refused() -> None:
    # l1 alone feeds bus 2.
    cut = replace(DATA, lines=tuple(row for row in DATA.lines if row.id != "l1"))
    with pytest.raises(PowerFlowError, match=r"bus 2\.2.*does not feed.*1 isolated"):
        Circuit(cut)


def test_a_load_on_a_phase_that_is_not_there_is_refused() -> None:
    wrong = replace(DATA.loads[0], bus="2", phases=(1,))
    with pytest.raises(PowerFlowError, match=r"bus 2\.1"):
        Circuit(replace(DATA, loads=(wrong, *DATA.loads[1:])))


def test_what_opendss_refuses_comes_in_its_own_words() -> None:
    wrong = replace(DATA.lines[0], configuration="99")
    with pytest.raises(PowerFlowError, match=r'building ieee123.*"c99" not found'):
        Circuit(replace(DATA, lines=(wrong, *DATA.lines[1:])))


def test_a_service_transformer_of_each_kind() -> None:
    service = Connections(
        ("one", "two"),
        ("2", "48"),
        ((2,), (1, 2, 3)),
        np.array([2.4, 2.4]),
        np.array([25.0, 300.0]),
        units=(Unit("one", 0.24, 1.2, 1.7), Unit("two", 0.48, 1.1, 2.0)),
        fed_by=(),
    )
    feeder = Feeder(Circuit(DATA), service)
    solved = feeder.solve(0.0, np.array([20.0, 240.0]))
    voltage_pu = dict(zip(feeder.bus_ids, solved.bus_voltage_pu, strict=True))
    feeder.close()
    # Drop over 1.2 + j1.7 % at 80 % and 0.99: about 1.2 %; over 1.1 + j2 %: about 1.1 %.
    assert voltage_pu["one_lv.2"] == pytest.approx(voltage_pu["2.2"] - 0.012, abs=0.003)
    assert voltage_pu["two_lv.1"] == pytest.approx(voltage_pu["48.1"] - 0.011, abs=0.006)


def test_doctor_and_bench_of_the_feeder(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = doctor.check()
    assert all(check.ok for check in checks)
    monkeypatch.setattr(bench, "_REPEATS", 3)
    assert all(row.value > 0 for row in bench.bench())
