"""The wire table is consistent, and its checks name signal, id and tick."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim import signals as wire
from cosim.errors import SignalError
from cosim.signals import LEGS, ROLES, SIGNALS, Role, checked, edges, markdown, read_by, shape_of
from cosim.simulator import meta_for
from cosim.team import Observation, Plan
from tests.fakes import IDS

KNOWN_DIMS = {*IDS, "leg", "event"}


def test_every_line_is_complete() -> None:
    for signal in SIGNALS.values():
        assert signal.meaning, signal.name
        assert signal.unit, signal.name
        assert set(signal.dims) <= KNOWN_DIMS, signal.name
        assert signal.producer not in (*signal.readers, *signal.shifted), signal.name
        assert not set(signal.readers) & set(signal.shifted), signal.name


def test_only_time_shifted_edges_run_backwards() -> None:
    order = {role: i for i, role in enumerate(ROLES)}
    for producer, reader, shifted, signals in edges():
        backwards = order[reader] < order[producer]
        assert backwards == shifted, (producer, reader, [s.name for s in signals])


def test_names_that_others_rely_on_are_recorded() -> None:
    names = (
        "vehicle_soc vehicle_power_kw vehicle_soh vehicle_temperature_c vehicle_distance_km "
        "vehicle_traction_kwh station_power_kw bus_voltage_pu transformer_loading_pct "
        "line_loading_pct feeder_power_kw feeder_losses_kw lmp_usd_per_mwh"
    )
    for name in names.split():
        assert SIGNALS[name].recorded, name
        assert not SIGNALS[name].volatile, name


def test_units_stand_in_names() -> None:
    ending = {"kW": "_kw", "kWh": "_kwh", "km": "_km", "s": "_s", "MW": "_mw", "USD": "_usd"}
    for signal in SIGNALS.values():
        if signal.unit in ending:
            assert signal.name.endswith(ending[signal.unit]), signal.name


@pytest.mark.parametrize("role", ROLES)
def test_meta_lists_what_the_role_reads_and_writes(role: Role) -> None:
    first, second = meta_for(role), meta_for(role)
    (model,) = first["models"].values()
    written = [s.name for s in SIGNALS.values() if s.producer == role]
    read = [s.name for s in read_by(role)]
    assert model["attrs"] == [*written, *read]
    assert first is not second
    assert first["models"] is not second["models"]


def test_teams_see_and_decide_what_the_table_says() -> None:
    seen = {f.name for f in fields(Observation)} - {"tick"}
    assert seen == {s.name for s in read_by("agents")}
    decided = {s.name for s in SIGNALS.values() if s.producer == "agents" and "fleet" in s.shifted}
    assert {f.name for f in fields(Plan)} == decided


def test_reference_page_has_a_line_for_every_signal() -> None:
    page = markdown()
    shipped = Path(wire.__file__).with_name("SIGNALS.md").read_text(encoding="utf-8")
    assert shipped == page, "run signals.write_page()"
    assert re.findall(r"^\| `(\w+)`", page, re.M) == list(SIGNALS)


def test_good_arrays_pass_unchanged() -> None:
    soc = np.array([0.0, 0.5, 1.0])
    assert checked(SIGNALS["vehicle_soc"], soc, IDS, 3) is soc


def test_lists_from_a_remote_simulator_become_arrays() -> None:
    value = checked(SIGNALS["vehicle_edge"], [0, 3, -1], IDS, 0)
    assert value.dtype == np.int32


@pytest.mark.parametrize(
    ("name", "value", "where", "reason"),
    [
        ("vehicle_soc", np.array([0.1, 1.2, 0.3]), "vehicle 1", "1.2"),
        ("vehicle_soc", np.array([0.1, 0.2, np.nan]), "vehicle 2", "nan"),
        ("bus_voltage_pu", np.array([1.0, np.inf, 1.0]), "bus 650.2", "inf"),
        ("feeder_losses_kw", np.nan, "", "nan"),
        ("lmp_usd_per_mwh", np.array([0, 0, 0, np.inf, 0]), "zone D", "inf"),
        ("vehicle_soc", np.array([0.1, 0.2]), "", r"shape \(2,\), not \(3,\)"),
        ("vehicle_edge", np.array([0, 4, 0]), "vehicle 1", "4 is not within -1 to 3"),
        ("vehicle_edge", np.array([0.0, 1.0, 0.0]), "", "float64"),
        ("vehicle_driving", np.array([0, 1, 0]), "", "int"),
        ("leg_arrival_s", np.full((3, LEGS), -2.0), "vehicle 0, leg 0", "-2"),
        ("vehicle_soc", ["x", "y", "z"], "", "type"),
        ("vehicle_soc", [[1], [1, 2]], "", "not an array"),
        ("grid_events", "none", "", "not a list"),
    ],
)
def test_bad_arrays_are_named(name: str, value: object, where: str, reason: str) -> None:
    with pytest.raises(SignalError, match=reason) as caught:
        checked(SIGNALS[name], value, IDS, 7)
    assert (caught.value.signal, caught.value.tick, caught.value.where) == (name, 7, where)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=3))
def test_what_passes_is_finite_and_in_range(values: list[float]) -> None:
    signal = SIGNALS["vehicle_power_kw"]
    try:
        array = checked(signal, np.array(values), IDS, 0)
    except SignalError:
        assert not all(signal.low <= v <= signal.high for v in values)
    else:
        assert np.isfinite(array).all()
        assert shape_of(signal, IDS) == array.shape
