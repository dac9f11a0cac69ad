"""One quiet simulation per process; what SUMO says ends in errors, not on the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.sumo import bench, doctor, replay_bench
from adapters.sumo.ear import Ear
from adapters.sumo.energy import TractionEnergy
from adapters.sumo.engine import Heard, Sumo
from cosim.errors import TrafficError
from networks import vehicles
from networks.roads import RoadNetwork

SPECS = list(vehicles.load().values())


def test_second_simulation_is_refused(siouxfalls: RoadNetwork) -> None:
    with Sumo(siouxfalls.net_file, SPECS, seed=1) as first:
        with pytest.raises(TrafficError, match="a process of its own"):
            Sumo(siouxfalls.net_file, SPECS, seed=1)
        assert first.time_s == 0, "the first one goes on"
    with Sumo(siouxfalls.net_file, SPECS, seed=1) as third:
        assert third.time_s == 0
    third.close()
    with pytest.raises(TrafficError, match="closed"), third.calling("a call", 0):
        pass


def test_start_that_fails_says_why(siouxfalls: RoadNetwork, capfd: Any) -> None:
    with pytest.raises(TrafficError, match=r"did not start: .*nonsense"):
        Sumo(siouxfalls.net_file, SPECS, seed=1, options=["--nonsense", "1"])
    with pytest.raises(TrafficError, match=r"did not start: .*nowhere\.net\.xml"):
        Sumo(Path("nowhere.net.xml"), SPECS, seed=1)
    with Sumo(siouxfalls.net_file, SPECS, seed=1) as sumo:
        assert sumo.messages() == Heard((), (), ())
    assert capfd.readouterr() == ("", "")


def test_what_others_write_meanwhile_is_passed_on(capfd: Any) -> None:
    """Progress bars of another thread are not SUMO's words and must not be lost."""
    ear = Ear()
    with ear.listening():
        os.write(
            2, b"bar 10 %\rWarning: Teleporting vehicle 'x'; waited too long\nUserWarning: y\n"
        )
        os.write(1, b"to stdout\n")
    with ear.listening():
        os.write(2, b"Error: no route\n")
    assert ear.lines() == ["Warning: Teleporting vehicle 'x'; waited too long", "Error: no route"]
    assert ear.lines() == []
    assert capfd.readouterr() == ("to stdout\n", "bar 10 %\rUserWarning: y\n")
    ear.close()


def test_self_tests_pass_and_stay_quiet(capfd: Any) -> None:
    checks = doctor.check()
    assert [c.name for c in checks if not c.ok] == []
    assert len(checks) == 4
    assert capfd.readouterr() == ("", "")


def test_bench_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_ROADS": "siouxfalls",
        "_VEHICLES": 60,
        "_OTHER_SIZES": (20,),
        "_TICKS": 7,
        "_REPEATS": 1,
        "_SET_OUT": 0.5,
    }.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(replay_bench, "_VEHICLES", 40)
    monkeypatch.setattr(replay_bench, "_TICKS", 24)
    moving, library, whole, way, speed, *sizes, alike, other = bench.bench()
    assert moving.unit == library.unit == whole.unit == "ms/tick"
    assert library.bare_ratio is not None
    assert moving.bare_ratio is not None
    assert whole.bare_ratio is not None
    assert moving.bare_ratio < whole.bare_ratio, "ways are known in one and found in the other"
    assert way.value > 0
    assert speed.value > 0
    assert [size.name for size in sizes] == ["cost per vehicle, 20", "cost per vehicle, 60"]
    assert alike.unit == other.unit == "ticks/s"
    assert alike.value > 0
    assert "100 % of the legs were recorded" in alike.note
    assert "0 % of the legs were recorded" in other.note


def test_traction_energy_is_the_curve_of_each_body_type() -> None:
    curves = [vehicles.shipped()[spec.name] for spec in SPECS]
    body = np.array([0, 1, 2, 1, 0])
    speed = np.array([0.0, 20.0, 50.0, 90.0, 500.0])
    found = TractionEnergy(curves, body).kwh_per_km(speed)
    own = [float(curves[b].kwh_per_km(v)) for b, v in zip(body, speed, strict=True)]
    np.testing.assert_allclose(found, own, rtol=1e-12)
