"""Marginal losses against central differences of the engine itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.nodal import NodalEquations
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError
from networks import feeders

STATIONS = 60
FAST = np.arange(STATIONS) % 3 == 0
RATING_KW = np.where(FAST, 50.0, 14.4)

LOADS_OF_ALL_KINDS = """
clear
new circuit.kinds basekv=12.47 bus1=src pu=1.02 r1=0.1 x1=0.8 r0=0.2 x0=1
new line.a bus1=src bus2=b length=4 units=km r1=0.6 x1=0.5 r0=0.9 x0=1.2 c1=10 c0=5
new line.b bus1=b bus2=c length=3 units=km r1=0.6 x1=0.5 r0=0.9 x0=1.2 c1=10 c0=5
new load.pq bus1=b phases=3 kv=12.47 kw=900 kvar=300 vminpu=.6 vmaxpu=1.4
new load.z bus1=b phases=3 kv=12.47 kw=400 kvar=150 model=2
new load.i bus1=c phases=3 conn=delta kv=12.47 kw=500 kvar=100 model=5 vminpu=.6 vmaxpu=1.4
new load.quadratic bus1=c.2 phases=1 kv=7.2 kw=150 kvar=70 model=3 vminpu=.6 vmaxpu=1.4
new load.cvr bus1=c.1 phases=1 kv=7.2 kw=200 kvar=50 model=4 cvrwatts=.8 cvrvars=3
~ vminpu=.6 vmaxpu=1.4
new load.low bus1=c.3 phases=1 kv=7.2 kw=250 kvar=90 vminpu=.99
new load.high bus1=b.1 phases=1 kv=7.2 kw=250 kvar=90 vmaxpu=.9 vminpu=.8
new load.low_i bus1=c.1.2 phases=1 conn=delta kv=12.47 kw=150 kvar=40 model=5 vminpu=.99
new load.ev bus1=c.2 phases=1 kv=7.2 kw=100 kvar=0 vminpu=.6 vmaxpu=1.4
set voltagebases=[12.47]
calcv
"""


@pytest.fixture(scope="module", params=["ieee123", "ieee13"])
def feeder(request: pytest.FixtureRequest) -> Iterator[Feeder]:
    circuit = Circuit(feeders.load(request.param))
    service, _ = connect_stations(circuit.layout, RATING_KW, FAST)
    feeder = Feeder(circuit, service)
    feeder.lock_taps()
    feeder._dss.Text.Command("set tolerance=1e-11")
    yield feeder
    feeder.close()


@pytest.mark.parametrize(("scale", "share"), [(1.0, 0.6), (0.4, -0.5), (0.0, 1.0)])
def test_marginal_losses_equal_central_differences(
    feeder: Feeder, scale: float, share: float
) -> None:
    rng = np.random.default_rng(3)
    # Away from zero, where the reactive power of the chargers has a kink.
    charger_kw = share * feeder.service.rating_kva * rng.uniform(0.2, 1, len(feeder.service))
    feeder.solve(scale, charger_kw)
    equations = NodalEquations(feeder._dss)
    tan_phi = np.sign(share) * float(np.tan(np.arccos(0.99)))
    per_kw = equations.linearised().head_per_load(tan_phi)
    worst = 0.0
    for one in range(0, len(feeder.service), 4):
        low = [n for n in feeder.bus_ids if n.startswith(f"{feeder.service.ids[one]}_lv.")]
        step = np.zeros(len(feeder.service))
        step[one] = 0.5
        up = feeder.solve(scale, charger_kw + step).feeder_power_kw
        down = feeder.solve(scale, charger_kw - step).feeder_power_kw
        expected = per_kw[equations.at(low)].mean()
        worst = max(worst, abs((up - down) / expected - 1))
    assert worst < 1e-5
    assert np.ptp(per_kw) > 0.02


def test_every_kind_of_load_is_known(tmp_path: Path) -> None:
    file = tmp_path / "kinds.dss"
    file.write_text(LOADS_OF_ALL_KINDS)
    circuit = Circuit(file)
    engine = circuit.engine
    engine.Text.Command("set tolerance=1e-12")

    def head_kw(ev_kw: float) -> float:
        engine.Text.Command(f"edit load.ev kw={ev_kw} kvar=0")
        engine.Text.Command("set mode=snapshot")
        engine.Solution.Solve()
        return -engine.Circuit.TotalPower()[0]

    expected = (head_kw(100.5) - head_kw(99.5)) / 1.0
    head_kw(100.0)
    equations = NodalEquations(engine)
    found = equations.linearised().head_per_load(0.0)
    assert found[equations.at(["c.2"])[0]] == pytest.approx(expected, rel=1e-6)
    # It is the loads that are not constant power which make the difference here.
    assert abs(expected - 1) > 0.02
    circuit.close()


def test_a_solution_that_is_not_one_is_refused(feeder: Feeder) -> None:
    feeder.solve(0.5, np.zeros(len(feeder.service)))
    equations = NodalEquations(feeder._dss)
    equations.linearised()
    feeder._chargers.kW = np.full(len(feeder.service), 50.0)
    with pytest.raises(PowerFlowError, match=r"bus .*nodal equations, which the solution misses"):
        equations.linearised()


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ("new load.motor bus1=c phases=3 kv=12.47 kw=10 model=7", "load motor.*load model 7"),
        ("new generator.g bus1=c phases=3 kv=12.47 kw=10 model=7", "generator.g.*model 7 of Gen"),
        ("new pvsystem.p bus1=c kv=12.47 balanced=yes", "pvsystem.p.*Balanced of PVSystem"),
        ("new isource.i bus1=c phases=3 amps=1", "isource.i.*one source only"),
        ("new vsource.two bus1=c basekv=12.47", "vsource.two.*one source only"),
    ],
)
def test_what_the_equations_do_not_know_is_named(
    tmp_path: Path, element: str, message: str
) -> None:
    file = tmp_path / "kinds.dss"
    file.write_text(LOADS_OF_ALL_KINDS + element + "\nsolve\n")
    circuit = Circuit(file)
    try:
        with pytest.raises(PowerFlowError, match=f"(?i){message}"):
            NodalEquations(circuit.engine)
    finally:
        circuit.close()
