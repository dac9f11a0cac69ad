"""The mosaik face: the wire table's signals in, the wire table's signals out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

from adapters.pybamm import kernel, simulator
from adapters.pybamm.simulator import Battery
from cosim.loading import load
from cosim.signals import SIGNALS, produced_by, read_by
from cosim.simulator import EID

COUNT = 12


@pytest.fixture(autouse=True, scope="module")
def kernels_are_loaded_once(kernel_cache: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulator, "load", cache(kernel.load))
        yield


def _battery() -> Battery:
    scenario = load(settings=[f"fleet.vehicles={COUNT}", "weather.ambient_c=25"])
    battery = Battery()
    battery.init("battery-0", scenario=scenario.plain())
    return battery


def _inputs(**values: float) -> dict[str, Any]:
    given = {signal.name: 0.0 for signal in read_by("battery")} | values
    return {
        EID: {
            name: {"source": np.full(COUNT, value, dtype=SIGNALS[name].dtype)}
            for name, value in given.items()
        }
    }


def test_a_tick_gives_every_signal() -> None:
    battery = _battery()
    info = battery.create(1, "Battery")[0]["extra_info"]
    battery.bind({"vehicle": [str(i) for i in range(COUNT)]}, info["facts"])
    before = np.array(info["initial"]["vehicle_soc"])
    assert before.shape == (COUNT,)
    following = battery.step(0, _inputs(vehicle_traction_kwh=0.5, plug_efficiency=0.9), 1)
    assert following == 1
    names = [signal.name for signal in produced_by("battery")]
    found = battery.get_data({EID: names})[EID]
    assert set(found) == set(names)
    np.testing.assert_array_equal(found["battery_traction_kwh"], 0.5)
    assert (found["vehicle_soc"] < before).all()
    assert np.ptp(found["vehicle_temperature_c"] - 25) < 5


def test_what_others_read_a_tick_later_has_a_first_value() -> None:
    initial = _battery().initial()
    assert set(initial) == {signal.name for signal in produced_by("battery") if signal.shifted}


def test_the_fleet_has_the_age_of_the_scenario() -> None:
    health: list[float] = []
    for age_years in (0, 1, 8):
        settings = [f"fleet.vehicles={COUNT}", f"ageing.age_years={age_years}"]
        battery = Battery()
        battery.init("battery-0", scenario=load(settings=settings).plain())
        battery.bind({"vehicle": [str(i) for i in range(COUNT)]}, {})
        battery.step(0, _inputs(plug_efficiency=1.0), 1)
        soh = battery.get_data({EID: ["vehicle_soh"]})[EID]["vehicle_soh"]
        # Two chemistries, each of which ages in its own way.
        assert np.ptp(soh) < 0.02
        health.append(float(soh.mean()))
    new, one, eight = health
    assert new > 0.9999
    assert 0.001 < new - one < new - eight
    # Lost lithium goes with the root of time, so eight years take less than eight times one.
    assert 2 < (new - eight) / (new - one) < 8


def test_the_record_says_how_packs_are_made_of_cells() -> None:
    facts = _battery().create(1, "Battery")[0]["extra_info"]["facts"]
    assert {dim for dim, _ in facts.values()} == {"vehicle"}
    told = {name: np.array(values) for name, (_, values) in facts.items()}
    assert set(told["pack_chemistry"]) == {"nmc", "lfp"}
    # Packs of the same vehicle hold more of the smaller cell.
    cells = {name: told["pack_cells"][told["pack_chemistry"] == name] for name in ("nmc", "lfp")}
    assert cells["lfp"].min() > cells["nmc"].max()
    whole = told["pack_cells_in_series"] * told["pack_strings_in_parallel"]
    # Strings are whole.
    np.testing.assert_allclose(whole, told["pack_cells"], atol=told["pack_cells_in_series"].max())
