"""Homes of two legs behind a centre-tapped transformer: chargers between both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.cleared import Cleared
from adapters.opendss.clearing import Clearing
from adapters.opendss.feeder import Feeder
from adapters.opendss.layout import Outlet
from adapters.opendss.limits import limits_of
from adapters.opendss.linear import LinearFeeder
from adapters.opendss.offers import Offers
from adapters.opendss.service import Connections, connect_stations

# As in published circuits of homes: a pole's transformer with two halves, triplex to each home.
MASTER = """
clear
new circuit.street basekv=12.47 bus1=src pu=1.03 r1=0.1 x1=0.8 r0=0.2 x0=1
new line.main bus1=src bus2=mv length=4 units=km r1=0.6 x1=0.5 r0=0.9 x0=1.2 c1=10 c0=5
new transformer.pole phases=1 windings=3 buses=[mv.2 x.1.0 x.0.2] conns=[wye wye wye]
~ kvs=[7.2 0.12 0.12] kvas=[25 25 25] xhl=2.04 xht=2.04 xlt=1.36 %rs=[0.6 1.2 1.2]
~ %noloadloss=0.2 %imag=0.5
new line.one phases=2 bus1=x.1.2 bus2=one.1.2 length=.03 units=km
~ rmatrix=[0.9 | 0.4 0.9] xmatrix=[0.7 | 0.5 0.7] cmatrix=[0 | 0 0] normamps=150
new line.two phases=2 bus1=x.1.2 bus2=two.1.2 length=.06 units=km
~ rmatrix=[0.9 | 0.4 0.9] xmatrix=[0.7 | 0.5 0.7] cmatrix=[0 | 0 0] normamps=150
new load.one_a phases=1 bus1=one.1 kv=0.12 kw=2.5 pf=.97 vminpu=.6 vmaxpu=1.4
new load.one_b phases=1 bus1=one.2 kv=0.12 kw=0.5 pf=.97 vminpu=.6 vmaxpu=1.4
new load.two phases=1 bus1=two.1.2 kv=0.24 kw=2 pf=.97 vminpu=.6 vmaxpu=1.4
new transformer.shop phases=3 windings=2 buses=[mv y] conns=[delta wye] kvs=[12.47 .208]
~ kvas=[75 75] xhl=3
new load.flat phases=1 bus1=y.1.3 kv=0.208 kw=2 pf=.97
new load.lamp phases=1 bus1=y.2 kv=0.12 kw=1 pf=.97
new load.sign phases=3 bus1=y kv=0.208 kw=3 pf=.97
set voltagebases=[12.47 0.208]
calcv
"""
HOMES = (
    Outlet("one", (1, 2), 0.24, "pole"),
    Outlet("two", (1, 2), 0.24, "pole"),
    Outlet("y", (1, 3), 0.208, "shop"),
)


@pytest.fixture
def master(tmp_path: Path) -> Path:
    file = tmp_path / "street.dss"
    file.write_text(MASTER)
    return file


def at_homes(file: Path, make: type[Feeder] = Feeder) -> Feeder:
    circuit = Circuit(file)
    service: Connections
    service, _ = connect_stations(
        circuit.layout, np.full(3, 7.2), np.zeros(3, bool), 0.99, home=np.ones(3, bool)
    )
    return make(circuit, service, 0.99)


def test_homes_of_two_legs_are_known(master: Path) -> None:
    assert layout_of(master).homes == HOMES
    # One leg that has a load is enough; a neutral may be a conductor of its own.
    master.write_text(MASTER.replace("new load.one_b", "! new load.one_b"))
    assert layout_of(master).homes == HOMES
    # Two halves that are in phase are no centre tap: there is nothing between them.
    master.write_text(MASTER.replace("x.0.2]", "x.2.0]"))
    assert layout_of(master).homes == HOMES[1:]


def test_a_charger_draws_between_the_legs(master: Path) -> None:
    feeder = at_homes(master)
    assert sorted(zip(feeder.service.bus, feeder.service.phases, strict=True)) == [
        ("one", (1, 2)), ("two", (1, 2)), ("y", (1, 3)),
    ]  # fmt: skip
    charger_kw, first = np.zeros(3), feeder.service.bus.index("one")
    idle = feeder.solve(0.0, charger_kw)
    charger_kw[first] = 7.2
    solved = feeder.solve(0.0, charger_kw)
    assert solved.transformer_ev_kw.tolist() == pytest.approx([7.2, 0], abs=1e-4)
    pole = feeder.transformer_ids.index("pole")
    rise = solved.transformer_loading_pct[pole] - idle.transformer_loading_pct[pole]
    assert rise == pytest.approx(100 * 7.2 / 0.99 / 25, rel=0.06)
    # Both legs fall alike: the current goes out on one and comes back on the other, each through
    # its own impedance less the mutual one of the two.
    now, before = (dict(zip(feeder.bus_ids, s.bus_voltage_pu, strict=True)) for s in (solved, idle))
    fall_v = [120 * (now[f"x.{k}"] - now[f"one.{k}"]) for k in (1, 2)]
    current_a = 7200 / (2 * 120 * now["one.1"])
    assert fall_v == pytest.approx([current_a * 0.03 * (0.9 - 0.4)] * 2, rel=0.15)
    assert before["one.1"] == pytest.approx(before["x.1"], abs=1e-4)
    feeder.close()


def test_marginal_losses_equal_central_differences(master: Path) -> None:
    feeder = at_homes(master)
    feeder._dss.Text.Command("set tolerance=1e-11")
    charger_kw = np.array([5.0, -3.0, 4.0])
    priced = feeder.solve(1.0, charger_kw)
    at_nodes = dict(zip(feeder.bus_ids, priced.bus_marginal_loss, strict=True))
    for one, bus in enumerate(feeder.service.bus):
        step = np.zeros(3)
        step[one] = 0.05
        up = feeder.solve(1.0, charger_kw + step).feeder_power_kw
        down = feeder.solve(1.0, charger_kw - step).feeder_power_kw
        assert priced.charger_marginal_loss[one] == pytest.approx((up - down) / 0.1 - 1, abs=1e-5)
        # The legs are loaded differently, so it is not what either of them says.
        if bus == "one":
            assert at_nodes["one.1"] - at_nodes["one.2"] > 0.01
    feeder.close()


def test_the_linear_kind_follows(master: Path) -> None:
    exact, linear = at_homes(master), at_homes(master, LinearFeeder)
    for charger_kw in (np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, -3.0])):
        one, other = (feeder.solve(1.0, charger_kw) for feeder in (exact, linear))
        assert other.bus_voltage_pu == pytest.approx(one.bus_voltage_pu, abs=1e-3)
        assert other.transformer_ev_kw == pytest.approx(one.transformer_ev_kw, abs=1e-3)
    exact.close()
    linear.close()


def test_clearing_knows_chargers_between_the_legs(master: Path) -> None:
    """The pole's transformer binds: prices at the homes are what 20 W more there cost."""
    feeder, clearing_kw = at_homes(master), np.full(3, 7.0)
    feeder.solve(1.0, clearing_kw)
    limits = limits_of(feeder, transformer_pct=50)
    clearing = Clearing(feeder, limits)

    def cleared(power_kw: np.ndarray) -> Cleared:
        at = np.append(np.arange(3), np.arange(3))
        worth = np.append(np.array([150.0, 90.0, 120.0]), np.full(3, 2e3))
        return clearing.clear(1.0, Offers(at, np.append(clearing_kw, power_kw), worth), 40.0)

    fixed_kw, step_kw = np.ones(3), 0.02
    found = cleared(fixed_kw)
    assert [row.id for row in found.binding] == ["pole"]
    assert found.connection_kw.max() > 1.5
    price = found.price_usd_per_mwh
    assert np.ptp(price) > 20
    for i in range(3):
        more = np.where(np.arange(3) == i, step_kw, 0)
        up, down = cleared(fixed_kw + more), cleared(fixed_kw - more)
        # What is always in is worth 2 USD/kWh.
        cost = up.cost_usd_per_h - down.cost_usd_per_h + 2 * 2 * step_kw
        assert 1e3 * cost / (2 * step_kw) == pytest.approx(price[i], rel=1e-3)
    feeder.lock_taps()
    used = feeder.solve(1.0, found.connection_kw)
    pole = feeder.transformer_ids.index("pole")
    assert used.transformer_loading_pct[pole] == pytest.approx(50, rel=1e-5)
    feeder.close()
