"""Volt-var and volt-watt of chargers: the curves, the fixed point, and what goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit
from adapters.opendss.feeder import Feeder
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.response import (
    DRAW_WITHHELD,
    FEED_WITHHELD,
    TOLERANCE,
    VOLT_VAR,
    Curve,
    withheld,
)
from adapters.opendss.service import connect_stations
from cosim.errors import PowerFlowError
from networks import feeders
from networks.feeders.masters import new_engine

HOMES = 100
PORT_KVA = 7.2 / 0.99
B = VOLT_VAR["category_b"]


def suburb(
    make: Any = Feeder, volt_var: Curve | None = B, power_factor: float = 0.99, **options: Any
) -> Any:
    circuit = Circuit(feeders.load("suburb"))
    service, _ = connect_stations(
        circuit.layout, np.full(HOMES, 7.2), np.zeros(HOMES, bool), 0.99, home=np.ones(HOMES, bool)
    )
    return make(circuit, service, power_factor, volt_var, **options)


def ieee123(volt_var: Curve | None, power_factor: float = 0.99) -> Feeder:
    circuit = Circuit(feeders.load("ieee123"))
    service, _ = connect_stations(circuit.layout, np.full(60, 50.0), np.arange(60) % 3 == 0, 0.99)
    feeder = Feeder(circuit, service, power_factor, volt_var)
    feeder.lock_taps()
    return feeder


def test_curves_are_those_of_the_standard() -> None:
    def share(name: str, voltage_pu: list[float]) -> list[float]:
        return np.interp(voltage_pu, *VOLT_VAR[name]).tolist()

    assert share("category_b", [0.8, 0.92, 0.95, 0.98, 1.0, 1.02, 1.05, 1.08, 1.2]) == (
        pytest.approx([0.44, 0.44, 0.22, 0, 0, 0, -0.22, -0.44, -0.44])
    )
    assert share("category_a", [0.8, 0.9, 1.0, 1.05, 1.1, 1.2]) == (
        pytest.approx([0.25, 0.25, 0, -0.125, -0.25, -0.25])
    )


@pytest.mark.parametrize(
    ("make", "scale", "direction"),
    [(suburb, 4.0, 1.0), (suburb, 0.0, -1.0), (ieee123, 1.0, 1.0), (ieee123, 0.0, -1.0)],
)
def test_reactive_power_is_what_the_curve_asks_for(
    make: Any, scale: float, direction: float
) -> None:
    plain, smart = make(volt_var=None, power_factor=1.0), make(volt_var=B)
    rng = np.random.default_rng(1)
    kva = rng.uniform(0.5, 1.0, len(smart.service)) * smart.service.rating_kva
    kva[::7] = 0.0  # nobody is there
    kw = direction * kva * rng.uniform(0.3, 1.0, len(kva))
    without = plain.solve(scale, kw)
    found = smart.solve(scale, kw, kva)
    kvar, voltage_pu = smart._charger_kvar, found.charger_voltage_pu
    most = np.sqrt(kva**2 - kw**2)
    asked = np.clip(-kva * np.interp(voltage_pu, *B), -most, most)
    assert (np.abs(kvar - asked) <= 1.0001 * TOLERANCE * kva).all()
    assert (np.hypot(kw, kvar) <= kva * (1 + 1e-9)).all()
    assert np.abs(kvar).max() > 0.05 * kva.max()
    assert found.transformer_ev_kvar.sum() == pytest.approx(kvar.sum(), abs=1e-2)
    # Voltages are nearer to the band in which nothing is asked for.
    gaps = [
        np.maximum(np.maximum(0.98 - v, v - 1.02), 0).sum()
        for v in (without.charger_voltage_pu, voltage_pu)
    ]
    assert gaps[1] < gaps[0]
    used = found.feeder_base_kw + found.transformer_ev_kw.sum() + found.feeder_losses_kw
    assert found.feeder_power_kw == pytest.approx(used, rel=1e-6)
    plain.close()
    smart.close()


TOWN = """
clear
new circuit.town basekv=12.47 bus1=src pu=1.03 r1=0.1 x1=0.8 r0=0.2 x0=1
new line.main bus1=src bus2=mv length=4 units=km r1=0.6 x1=0.5 r0=0.9 x0=1.2 c1=10 c0=5
new transformer.drop phases=1 windings=2 buses=[mv.1 lv.1] conns=[wye wye] kvs=[7.2 0.24]
~ kvas=[50 50] xhl=2 %rs=[0.6 0.6]
new line.drop phases=1 bus1=lv.1 bus2=home.1 length=.06 units=km r1=0.6 x1=0.1 r0=0.6 x0=0.1
~ c1=0 c0=0
new load.home bus1=home.1 phases=1 kv=0.24 kw=3 kvar=1 model=1 vminpu=.6 vmaxpu=1.4
set voltagebases=[12.47 0.4157]
calcv
"""


# The engine's own volt-var is for PV systems, and for storage, which can draw as well.
SUN = "new pvsystem.ev {} pmpp={:g} irradiance=1"
CHARGING = (
    "new storage.ev {} kwrated=7.2 kwhrated=1000 %stored=50 state=charging kw=-{:g} %effcharge=100 "
    "%idlingkw=0"
)


@pytest.mark.parametrize(
    ("kw", "source_pu", "element"),
    [
        (-6.0, 1.03, SUN),
        (-3.0, 1.03, SUN),
        (6.0, 0.97, CHARGING),
        (3.0, 0.97, CHARGING),
        (3.0, 0.955, CHARGING),
        (3.0, 1.03, CHARGING),
        (6.0, 1.05, CHARGING),
        # Active power leaves 1.2 kvar of the rating, less than the curve asks for.
        (7.1, 0.93, CHARGING),
    ],
)
def test_chargers_equal_the_engines_own_volt_var(
    tmp_path: Path, kw: float, source_pu: float, element: str
) -> None:
    file = tmp_path / "town.dss"
    file.write_text(TOWN.replace("pu=1.03", f"pu={source_pu}"))
    circuit = Circuit(file)
    service, _ = connect_stations(
        circuit.layout, np.array([7.2]), np.zeros(1, bool), 1.0, home=np.ones(1, bool)
    )
    assert (service.bus, service.fed_by) == (("home",), ("drop",))
    feeder = Feeder(circuit, service, 1.0, B)
    found = feeder.solve(1.0, np.array([kw]), np.array([7.2]))
    feeder.close()
    engine: Any = new_engine(tmp_path)
    volts, share = (" ".join(str(x) for x in row) for row in B)
    inverter = (
        "bus1=home.1 phases=1 kv=0.24 kva=7.2 %cutin=0 %cutout=0 vminpu=.6 vmaxpu=1.4 kvarmax=7.2 "
        "kvarmaxabs=7.2 wattpriority=yes"
    )
    for command in (
        f'redirect "{file}"',
        f"new xycurve.vv npts=4 xarray=[{volts}] yarray=[{share}]",
        element.format(inverter, abs(kw)),
        f"new invcontrol.vv mode=voltvar vvc_curve1=vv derlist=[{element.split()[1]}] "
        "refreactivepower=varmax deltaq_factor=0.2 varchangetolerance=1e-6 "
        "voltagechangetolerance=1e-7",
        "set maxcontroliter=500 maxiterations=100 tolerance=1e-9 controlmode=static",
        "solve",
    ):
        engine.Text.Command(command)
    engine.Circuit.SetActiveElement(element.split()[1])
    p, q = engine.CktElement.Powers()[:2]
    engine.Circuit.SetActiveBus("home")
    voltage_pu = engine.Bus.puVmagAngle()[0]
    assert p == pytest.approx(kw, abs=0.01)
    assert abs(q) > 0.15
    assert found.transformer_ev_kvar.sum() == pytest.approx(q, abs=0.02)
    assert found.charger_voltage_pu[0] == pytest.approx(voltage_pu, abs=2e-5)


def test_what_does_not_settle_is_told() -> None:
    # A curve that is all but a step: no damping by half can hold it.
    feeder = suburb(volt_var=((0.9999, 1.0001), (0.9, -0.9)))
    kva = np.full(HOMES, PORT_KVA)
    with pytest.raises(PowerFlowError, match=r"volt-var does not settle.*kvar") as info:
        feeder.solve(1.0, 0.2 * kva, kva)
    assert info.value.where.startswith("charger stp")
    feeder.close()


def test_marginal_losses_are_with_the_reactive_power_held() -> None:
    feeder = suburb()
    feeder._dss.Text.Command("set tolerance=1e-11")
    kva = np.full(HOMES, PORT_KVA)
    kw = 0.5 * kva
    priced = feeder.solve(3.0, kw, kva).charger_marginal_loss
    kvar = feeder._charger_kvar
    assert np.abs(kvar).max() > 0.1
    for one in (0, 41, HOMES - 1):
        heads: list[float] = []
        for step in (0.1, -0.1):
            moved = kw.copy()
            moved[one] += step
            feeder._set_chargers(moved, kvar)
            feeder._solve_network()
            heads.append(-float(feeder._dss.Circuit.TotalPower()[0]))
        assert priced[one] == pytest.approx((heads[0] - heads[1]) / 0.2 - 1, abs=1e-5)
    feeder.close()


def test_the_linear_kind_follows_and_continues_from_its_state() -> None:
    exact, linear, again = suburb(), *(suburb(LinearFeeder, refresh_ticks=6) for _ in range(2))
    rng = np.random.default_rng(4)
    kw = np.full(HOMES, 3.0)
    kva, worst = np.zeros(HOMES), 0.0
    for tick in range(8):
        kw = np.clip(kw + rng.normal(0, 1.0, HOMES), -7, 7)
        kva = np.where(np.abs(kw) > 1, PORT_KVA, 0.0)
        kw = np.where(kva > 0, kw, 0.0)
        one, other = (f.solve(2.5 + 0.02 * tick, kw, kva) for f in (exact, linear))
        worst = max(worst, float(np.abs(one.bus_voltage_pu - other.bus_voltage_pu).max()))
    assert worst < 5e-4
    again.restore(linear.state())
    resumed, went_on = (f.solve(2.7, 0.9 * kw, kva) for f in (again, linear))
    assert resumed.bus_voltage_pu.tobytes() == went_on.bus_voltage_pu.tobytes()
    for feeder in (exact, linear, again):
        feeder.close()


def test_volt_watt_goes_half_of_the_way_and_back_to_nothing() -> None:
    voltage_pu = np.array([0.88, 0.92, 0.95, 1.0, 1.08, 1.2])
    nothing = np.zeros(6)
    assert withheld(nothing, voltage_pu, DRAW_WITHHELD) == pytest.approx([0.5, 0.25, 0, 0, 0, 0])
    assert withheld(nothing, voltage_pu, FEED_WITHHELD) == pytest.approx([0, 0, 0, 0, 0.25, 0.5])
    share = np.ones(6)
    for _ in range(12):
        share = withheld(share, voltage_pu, DRAW_WITHHELD)
    assert share == pytest.approx([1, 0.5, 0, 0, 0, 0], abs=1e-3)
    assert (share[2:] == 0).all()
