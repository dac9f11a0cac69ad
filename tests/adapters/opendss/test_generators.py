"""Circuits with generators, PV systems and storage: marginal losses and the linear kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError

MASTER = """
clear
new circuit.sunny basekv=12.47 bus1=src pu=1.02 r1=0.1 x1=0.8 r0=0.2 x0=1
new line.a bus1=src bus2=b length=4 units=km r1=0.6 x1=0.5 r0=0.9 x0=1.2 c1=10 c0=5
new line.b bus1=b bus2=c length=3 units=km r1=0.6 x1=0.5 r0=0.9 x0=1.2 c1=10 c0=5
new load.pq bus1=b phases=3 kv=12.47 kw=900 kvar=300 vminpu=.6 vmaxpu=1.4
new load.i bus1=c phases=3 conn=delta kv=12.47 kw=500 kvar=100 model=5 vminpu=.6 vmaxpu=1.4
new load.one bus1=c.2 phases=1 kv=7.2 kw=150 kvar=70 model=3 vminpu=.6 vmaxpu=1.4
{}
set voltagebases=[12.47]
calcv
"""
WYE, DELTA = "bus1=c phases=3 kv=12.47", "bus1=c phases=3 conn=delta kv=12.47"
ONES = {
    "constant power": f"generator.g {WYE} kw=600 kvar=200",
    "one phase": "generator.g bus1=c.1 phases=1 kv=7.2 kw=300 kvar=-50",
    "between two phases": "generator.g bus1=c.1.3 phases=1 conn=delta kv=12.47 kw=300 kvar=50",
    "delta": f"generator.g {DELTA} kw=500 kvar=100",
    "above its window": f"generator.g {WYE} kw=500 kvar=100 vmaxpu=.98",
    "delta below its window": f"generator.g {DELTA} kw=400 kvar=10 vminpu=1.06",
    "impedance": f"generator.g {WYE} kw=500 kvar=100 model=2",
    "fixed reactance": f"generator.g {WYE} kw=500 kvar=300 model=5",
    "holds its voltage": f"generator.g {WYE} kw=500 kvar=10 model=3 maxkvar=1500 minkvar=-900",
    "at the end of its reactive power": f"generator.g {WYE} kw=500 model=3 maxkvar=60 minkvar=-60",
    "sun": f"pvsystem.g {WYE} kva=600 pmpp=500 irradiance=.8 pf=-.95",
    "much sun": f"pvsystem.g {DELTA} kva=900 pmpp=900 irradiance=1 vmaxpu=1.01",
    "discharging": f"storage.g {WYE} kwrated=500 kwhrated=900 state=discharging kw=300",
    "charging": f"storage.g {WYE} kwrated=500 kwhrated=900 state=charging kw=-300 kvar=40 "
    "%stored=20",
    "idle": f"storage.g {WYE} kwrated=500 kwhrated=900 state=idling",
    "off": f"generator.g {WYE} kw=300 enabled=no\nnew pvsystem.p {WYE} kva=90 pmpp=90",
    "several": f"generator.g {WYE} kw=300 kvar=20\nnew generator.h bus1=b.3 phases=1 kv=7.2 kw=90\n"
    f"new generator.k {WYE} kw=200 model=3 maxkvar=900 minkvar=-900\n"
    "new generator.l bus1=b.1 phases=1 kv=7.2 kw=90 model=3 vpu=1.01 maxkvar=900 minkvar=-900\n"
    f"new storage.m {DELTA} kwrated=90 kwhrated=900 state=charging kw=-70 %stored=20",
}


def written(folder: Path, elements: str) -> Path:
    file = folder / "sunny.dss"
    file.write_text(MASTER.format(f"new {elements}"))
    return file


def built(folder: Path, elements: str, make: type[Feeder] = Feeder) -> Feeder:
    circuit = Circuit(written(folder, elements))
    service, _ = connect_stations(
        circuit.layout, np.array([90.0, 40.0, 40.0]), np.array([True, False, False]), 0.95
    )
    return make(circuit, service, 0.95)


@pytest.mark.parametrize("elements", ONES.values(), ids=ONES.keys())
def test_marginal_losses_equal_central_differences(tmp_path: Path, elements: str) -> None:
    feeder = built(tmp_path, elements)
    assert feeder.unpriced == ""
    # Generators that hold a voltage come to it slowly.
    feeder._dss.Text.Command("set tolerance=1e-13 maxiterations=3000")
    charger_kw = np.array([80.0, 20.0, -15.0])
    priced = feeder.solve(1.0, charger_kw)
    for one in range(len(charger_kw)):
        step = np.zeros(len(charger_kw))
        step[one] = 1.0
        up = feeder.solve(1.0, charger_kw + step).feeder_power_kw
        down = feeder.solve(1.0, charger_kw - step).feeder_power_kw
        found = priced.charger_marginal_loss[one]
        assert found == pytest.approx((up - down) / 2 - 1, abs=1e-5)
    used = priced.feeder_base_kw + priced.transformer_ev_kw.sum() + priced.feeder_losses_kw
    assert priced.feeder_power_kw == pytest.approx(used, abs=1e-3)
    feeder.close()


def test_holding_a_voltage_is_not_giving_what_one_gives(tmp_path: Path) -> None:
    holds = built(tmp_path, ONES["holds its voltage"])
    at_end = built(tmp_path, ONES["at the end of its reactive power"])
    charger_kw = np.array([80.0, 20.0, -15.0])
    losses = [feeder.solve(1.0, charger_kw).charger_marginal_loss for feeder in (holds, at_end)]
    assert np.abs(losses[0] - losses[1]).max() > 1e-3
    # With the voltage at the end held, all that more load asks for comes through the lines.
    engine = holds._dss
    engine.Circuit.SetActiveBus("c")
    magnitudes = engine.Bus.puVmagAngle()[::2]
    assert np.mean(magnitudes) == pytest.approx(1.0, abs=1e-4)
    holds.close()
    at_end.close()


def test_a_generator_that_gives_something_else_is_told(tmp_path: Path) -> None:
    # OpenDSS reads the voltage as that of three phases here, and gives 2.6 times the power.
    feeder = built(tmp_path, "generator.g bus1=b.3 kv=7.2 phases=1 kw=90")
    assert "why it gives 2" in feeder.unpriced
    assert feeder.unpriced.endswith("kW at its rated voltage and not 90")
    feeder.close()


@pytest.mark.parametrize("name", ["constant power", "above its window", "sun", "charging"])
def test_the_linear_kind_follows(tmp_path: Path, name: str) -> None:
    exact, linear = built(tmp_path, ONES[name]), built(tmp_path, ONES[name], LinearFeeder)
    for share in (0.2, 0.5, 0.9):
        charger_kw = share * np.array([90.0, 40.0, -40.0])
        one, other = (feeder.solve(1.0 - 0.2 * share, charger_kw) for feeder in (exact, linear))
        assert other.bus_voltage_pu == pytest.approx(one.bus_voltage_pu, abs=6e-4)
        assert other.feeder_power_kw == pytest.approx(one.feeder_power_kw, abs=0.5)
        assert other.feeder_base_kw == pytest.approx(one.feeder_base_kw, abs=0.5)
        assert other.transformer_ev_kw == pytest.approx(one.transformer_ev_kw, abs=1e-3)
    exact.close()
    linear.close()


def test_the_linear_kind_refuses_who_holds_a_voltage(tmp_path: Path) -> None:
    file = written(tmp_path, ONES["holds its voltage"])
    with pytest.raises(PowerFlowError, match=r"linear kind.*hold a voltage: Generator\.g"):
        Feeders(file, 1, np.zeros(0, int), np.zeros(0), np.zeros(0, bool), make=LinearFeeder)
