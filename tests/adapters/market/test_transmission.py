"""The market's network with alternating current, against an independent solver."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import networks.markets
from adapters.market.five_bus import FiveBus
from adapters.market.transmission import Transmission
from cosim.errors import MarketError

pandapower: Any = pytest.importorskip("pandapower", reason="the independent solver is not here")
cases: Any = pytest.importorskip("pandapower.networks")

# pandapower's own use of pandas is not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore")
DATA = networks.markets.load("pjm5bus")
NONE = np.zeros(len(DATA.bus_ids))
OF_CASE = ((0, "Alta"), (1, "Solitude"), (2, "Brighton"))
"""Generators of pandapower's copy; Park City is its static one, Sundance its slack."""


def load_vectors() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [DATA.load_mw * rng.uniform(0.35, 1.15, len(DATA.bus_ids)) for _ in range(10)]


@pytest.mark.parametrize("load_mw", [DATA.load_mw, *load_vectors()], ids=str)
def test_prices_equal_those_of_another_optimal_power_flow(load_mw: np.ndarray) -> None:
    net = cases.case5()
    net.load["p_mw"] = load_mw[1:4]
    pandapower.rundcopp(net)
    cleared = FiveBus(DATA).clear(load_mw)
    expected = net.res_bus["lam_p"].to_numpy()
    assert cleared.lmp_usd_per_mwh == pytest.approx(expected, abs=1e-3)
    assert cleared.cost_usd_per_h == pytest.approx(net.res_cost, rel=1e-6)


def dispatched(load_mw: np.ndarray, generator_mw: np.ndarray) -> Any:
    """Return another solver's power flow of a dispatch."""
    net = cases.case5()
    by_name = dict(zip(DATA.generator_ids, generator_mw.tolist(), strict=True))
    for row, name in OF_CASE:
        net.gen.loc[row, "p_mw"] = by_name[name]
        net.gen.loc[row, "in_service"] = by_name[name] > 0
    # What is dispatched at all at bus A holds its voltage.
    net.gen.loc[0, "in_service"] = by_name["Alta"] + by_name["Park City"] > 0
    net.sgen.loc[0, "p_mw"] = by_name["Park City"]
    net.load["p_mw"] = load_mw[1:4]
    net.load["q_mvar"] = load_mw[1:4] * DATA.load_mvar[1:4] / DATA.load_mw[1:4]
    pandapower.runpp(net, enforce_q_lims=False)
    return net


@pytest.mark.parametrize("load_mw", [DATA.load_mw, 0.7 * DATA.load_mw, 0.4 * DATA.load_mw], ids=str)
def test_flows_and_voltages_equal_those_of_another_solver(load_mw: np.ndarray) -> None:
    generator_mw = FiveBus(DATA).clear(load_mw).generator_mw
    network = Transmission(DATA, NONE)
    solved = network.solve(load_mw, NONE, NONE, generator_mw)
    network.close()
    net = dispatched(load_mw, generator_mw)
    assert solved.voltage_pu == pytest.approx(net.res_bus["vm_pu"].to_numpy(), abs=1e-5)
    # Both list the lines in the order of the published case.
    assert solved.line_mw == pytest.approx(net.res_line["p_from_mw"].to_numpy(), abs=0.02)
    ends = net.res_line[["p_from_mw", "q_from_mvar", "p_to_mw", "q_to_mvar"]].to_numpy()
    mva = np.hypot(ends[:, ::2], ends[:, 1::2]).max(axis=1)
    assert solved.line_mva == pytest.approx(mva, abs=0.05)
    assert solved.losses_mw == pytest.approx(float(net.res_line["pl_mw"].sum()), abs=0.01)
    assert solved.slack_mw == pytest.approx(solved.losses_mw, abs=1e-3)


def test_direct_current_flows_are_near_the_real_ones() -> None:
    network = Transmission(DATA, NONE)
    market = FiveBus(DATA)
    for load_mw in load_vectors():
        cleared = market.clear(load_mw)
        solved = network.solve(load_mw, NONE, NONE, cleared.generator_mw)
        assert np.abs(solved.line_mw - cleared.line_flow_mw).max() < 6
        # Losses are 0.2 to 1 % of the load.
        assert 0.001 < solved.losses_mw / load_mw.sum() < 0.012
    network.close()


def test_feeders_hang_behind_a_transformer() -> None:
    rating = np.where(np.array(DATA.bus_ids) == "D", 200.0, 0.0)
    network = Transmission(DATA, rating)
    feeder_mw = 0.6 * rating
    cleared = FiveBus(DATA).clear(DATA.load_mw)
    solved = network.solve(DATA.load_mw, feeder_mw, 0.3 * feeder_mw, cleared.generator_mw)
    drop_pu = solved.voltage_pu[3] - solved.feeder_voltage_pu[3]
    # 0.6 of the rating over 0.5 + j8 %, at a power factor of 0.958.
    assert drop_pu == pytest.approx(0.6 * (0.005 + 0.3 * 0.08), rel=0.1)
    others = np.arange(5) != 3
    assert (solved.feeder_voltage_pu[others] == solved.voltage_pu[others]).all()
    idle = network.solve(DATA.load_mw, 0 * feeder_mw, 0 * feeder_mw, cleared.generator_mw)
    assert idle.losses_mw < solved.losses_mw
    again = network.solve(DATA.load_mw, feeder_mw, 0.3 * feeder_mw, cleared.generator_mw)
    for key, value in vars(solved).items():
        assert np.asarray(value).tobytes() == np.asarray(getattr(again, key)).tobytes(), key
    network.close()


def test_a_dispatch_that_cannot_flow_is_an_error() -> None:
    network = Transmission(DATA, NONE)
    with pytest.raises(MarketError, match="no alternating-current power flow at loads"):
        network.solve(20 * DATA.load_mw, NONE, NONE, np.zeros(5))
    network.close()
