"""The array checks at a boundary name signal, id and tick."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.boundary import Boundary, checked
from cosim.errors import SignalError
from cosim.signals import LEGS, SIGNALS, produced_by, shape_of
from tests.fakes import IDS, quiet


def test_good_arrays_pass_unchanged() -> None:
    soc = np.array([0.0, 0.5, 1.0])
    assert checked(SIGNALS["vehicle_soc"], soc, IDS, 3) is soc


def test_lists_from_a_remote_simulator_become_arrays() -> None:
    value = checked(SIGNALS["vehicle_edge"], [0, 3, -1], IDS, 0)
    assert value.dtype == np.int32


BAD = [
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
]


@pytest.mark.parametrize(("name", "value", "where", "reason"), BAD)
def test_bad_arrays_are_named(name: str, value: object, where: str, reason: str) -> None:
    with pytest.raises(SignalError, match=reason) as caught:
        checked(SIGNALS[name], value, IDS, 7)
    assert (caught.value.signal, caught.value.tick, caught.value.where) == (name, 7, where)


@pytest.mark.parametrize(("name", "value", "where", "reason"), BAD)
def test_all_outputs_of_a_role_at_once_find_the_same(
    name: str, value: object, where: str, reason: str
) -> None:
    role = SIGNALS[name].producer
    boundary = Boundary(produced_by(role), IDS)
    values = quiet(role)
    assert boundary.check(values, 6).keys() == values.keys()
    with pytest.raises(SignalError, match=reason) as caught:
        boundary.check(values | {name: value}, 7)
    assert (caught.value.signal, caught.value.tick, caught.value.where) == (name, 7, where)


def test_good_outputs_of_a_role_pass_as_they_are() -> None:
    for role in ("fleet", "traffic", "battery", "grid", "market", "agents"):
        values = quiet(role)
        passed = Boundary(produced_by(role), IDS).check(values, 0)
        assert all(passed[name] is value for name, value in values.items())


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
