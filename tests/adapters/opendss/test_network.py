"""A circuit solved by its nodal equations against OpenDSS, taps network."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import connect_stations
from networks import feeders


@pytest.mark.parametrize("name", ["ieee123", "ieee13", "suburb"])
def test_voltages_and_power_are_those_of_opendss(name: str) -> None:
    circuit = Circuit(feeders.load(name))
    service, _ = connect_stations(circuit.layout, np.full(30, 14.4), np.arange(30) % 3 == 0)
    feeder, rng = Feeder(circuit, service), np.random.default_rng(0)
    feeder._dss.Text.Command("set tolerance=1e-11")
    layout, count = feeder.layout, len(service)
    feeder.solve(0.5, rng.uniform(0, 10, count))
    feeder.lock_taps()
    for scale, most_kw in ((0.5, 12.0), (0.1, -12.0), (1.0, 12.0), (0.02, 1.0)):
        kw = rng.uniform(0, 1, count) * most_kw
        network, about = feeder.equations.network(), feeder.about
        power = feeder.equations.power(
            np.append(layout.load_kw * scale, kw),
            np.append(layout.load_kvar * scale, np.abs(kw) * feeder.tan_phi),
        )
        before = network.v.copy()
        found = network.solved(about, power)
        assert found is not None
        solved = feeder.solve(scale, kw)
        np.testing.assert_allclose(found.v, feeder.about.v, atol=1e-7 * np.abs(found.v).max())
        assert network.head_kw(found.v) == pytest.approx(solved.feeder_power_kw, abs=1e-4)
        per_load = found.head_per_load(feeder.tan_phi)
        np.testing.assert_allclose(per_load, feeder.about.head_per_load(feeder.tan_phi), atol=1e-7)
        assert np.abs(found.v - before).max() > 1e-4
    feeder.close()


def test_where_there_is_no_solution_there_is_none() -> None:
    circuit = Circuit(feeders.load("ieee13"))
    service, _ = connect_stations(circuit.layout, np.full(30, 14.4), np.arange(30) % 3 == 0)
    feeder = Feeder(circuit, service)
    feeder.solve(0.5, np.zeros(len(service)))
    layout, kw = feeder.layout, np.full(len(service), 3e4)
    power = feeder.equations.power(
        np.append(layout.load_kw, kw), np.append(layout.load_kvar, kw * feeder.tan_phi)
    )
    found = feeder.equations.network().solved(feeder.about, power)
    assert found is None or np.abs(found.v).min() < 0.5 * np.abs(feeder.about.v).min()
    feeder.close()
