"""Balanced versions of the shipped feeders, against an independent solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit
from adapters.opendss.commands import FEET_PER_MILE
from adapters.opendss.feeder import Feeder
from adapters.opendss.service import (
    EXCITING_CURRENT_PCT,
    NO_LOAD_LOSS_PCT,
    SECONDARY_KV,
    Connections,
    connect_stations,
    impedance_pct,
)
from adapters.opendss.tick import FeederTick
from networks import feeders
from networks.feeders import Configuration, FeederData, Load

pandapower: Any = pytest.importorskip("pandapower", reason="the independent solver is not here")

# pandapower's own use of pandas is not what is tested.
pytestmark = pytest.mark.filterwarnings("ignore")
PHASES = (1, 2, 3)
POWER_FACTOR = 0.95
STATION_KW = (100.0, 150.0, 60.0, 240.0, 120.0)


def trunk(data: FeederData) -> FeederData:
    """Return the three-phase part with equal phases; laterals are loads where they begin.

    Loads are of constant power, lines have no charging, and every phase of a line has the mean self
    and mutual impedance of its configuration.
    """
    lines = tuple(row for row in data.lines if row.phases == PHASES)
    switches = tuple(row for row in data.switches if row.closed and row.phases == PHASES)
    transformers = tuple(row for row in data.transformers if row.phases == PHASES)
    bank: dict[tuple[str, str], tuple[int, ...]] = {}
    for row in data.regulators:
        at = (row.from_bus, row.to_bus)
        bank[at] = (*bank.get(at, ()), *row.phases)
    regulators = tuple(row for row in data.regulators if bank[row.from_bus, row.to_bus] == PHASES)
    kept = {
        data.source.bus,
        *(row.to_bus for row in (*lines, *switches, *transformers, *regulators)),
        *(row.from_bus for row in (*lines, *switches, *transformers, *regulators)),
    }
    edges = (*data.lines, *(row for row in data.switches if row.closed), *data.regulators)
    near: dict[str, list[str]] = {}
    for row in edges:
        near.setdefault(row.from_bus, []).append(row.to_bus)
        near.setdefault(row.to_bus, []).append(row.from_bus)
    home = {bus: bus for bus in kept}
    reached = sorted(kept)
    for bus in reached:
        for other in near.get(bus, []):
            if other not in home:
                home[other] = home[bus]
                reached.append(other)
    power: dict[str, np.ndarray] = {}
    for row in data.loads:
        power[home[row.bus]] = power.get(home[row.bus], 0) + np.array([row.p_kw, row.q_kvar])
    # The transformer of the 123-node feeder has no load behind it, and would not count.
    for row in transformers:
        power.setdefault(row.to_bus, np.array([0.6, 0.3]) * row.rating_kva)
    delta = {row.to_bus for row in transformers if row.connection == "delta-delta"}
    return replace(
        data,
        buses=tuple(row for row in data.buses if row.id in kept),
        configurations=tuple(equal_phases(row) for row in data.configurations),
        lines=lines,
        # The other solver's switches are ideal.
        switches=tuple(replace(row, r_ohm=1e-6, x_ohm=0) for row in switches),
        transformers=transformers,
        regulators=regulators,
        capacitors=tuple(row for row in data.capacitors if row.phases == PHASES),
        loads=tuple(
            Load(f"s{bus}", bus, PHASES, "delta" if bus in delta else "wye", "pq", *kw.tolist())
            for bus, kw in power.items()
        ),
    )


def equal_phases(row: Configuration) -> Configuration:
    if len(row.r_ohm_per_mile) < 3:
        return row
    r, x = (equal(part) for part in (row.r_ohm_per_mile, row.x_ohm_per_mile))
    return replace(row, r_ohm_per_mile=r, x_ohm_per_mile=x, b_us_per_mile=np.zeros((3, 3)))


def equal(matrix: np.ndarray) -> np.ndarray:
    own = np.eye(3, dtype=bool)
    return np.where(own, matrix[own].mean(), matrix[~own].mean())


@dataclass
class Ours:
    """A balanced feeder as Voltstep solves it."""

    data: FeederData
    service: Connections
    charger_kw: np.ndarray
    bus_ids: Sequence[str]
    line_ids: Sequence[str]
    transformer_ids: Sequence[str]
    solved: FeederTick


def ours(name: str) -> Ours:
    data = trunk(feeders.load(name))
    circuit = Circuit(data)
    rating_kw = np.array(STATION_KW)
    three_phase = np.ones(len(rating_kw), dtype=bool)
    service, at = connect_stations(circuit.layout, rating_kw, three_phase, POWER_FACTOR)
    # The last one feeds back.
    charger_kw = np.bincount(at, rating_kw * [1, 0.7, 1, 0.8, -0.5]).astype(np.float64)
    feeder = Feeder(circuit, service, POWER_FACTOR)
    feeder.lock_taps()
    feeder.set_taps(np.zeros(len(feeder.regulator_ids), dtype=np.int64))
    solved = feeder.solve(1.0, charger_kw)
    feeder.close()
    return Ours(data, service, charger_kw, feeder.bus_ids, feeder.line_ids,
                feeder.transformer_ids, solved)  # fmt: skip


def theirs(feeder: Ours) -> Any:
    """Return pandapower's power flow of the same feeder."""
    data, source = feeder.data, feeder.data.source
    net = pandapower.create_empty_network(sn_mva=1.0, f_hz=source.frequency_hz)
    behind = {row.to_bus: row.kv_to for row in data.transformers}
    at = {
        row.id: pandapower.create_bus(net, behind.get(row.id, source.kv), name=row.id)
        for row in data.buses
    }
    stiff = pandapower.create_bus(net, source.kv, name="stiff")
    pandapower.create_ext_grid(net, stiff, vm_pu=source.voltage_pu)
    pandapower.create_line_from_parameters(
        net, stiff, at[source.bus], 1, source.r1_ohm, source.x1_ohm, 0, 1, name="stiff"
    )
    configurations = {row.id: row for row in data.configurations}
    for row in data.lines:
        matrices = configurations[row.configuration]
        # Of the positive sequence: self less mutual.
        r, x = (part[0, 0] - part[0, 1] for part in (matrices.r_ohm_per_mile,
                                                     matrices.x_ohm_per_mile))  # fmt: skip
        pandapower.create_line_from_parameters(
            net, at[row.from_bus], at[row.to_bus], row.length_ft / FEET_PER_MILE, r, x, 0,
            matrices.rating_a / 1e3, name=row.id,
        )  # fmt: skip
    for row in data.switches:
        pandapower.create_switch(net, at[row.from_bus], at[row.to_bus], et="b")
    for row in data.regulators:
        # One of the three of a bank, or the whole of it, at a ratio of one.
        if 1 in row.phases:
            transformer(net, at[row.from_bus], at[row.to_bus], 3 * row.rating_kva / len(row.phases),
                        source.kv, source.kv, 0, row.x_pct, row.id)  # fmt: skip
    for row in data.transformers:
        transformer(net, at[row.from_bus], at[row.to_bus], row.rating_kva, row.kv_from,
                    row.kv_to, row.r_pct, row.x_pct, row.id)  # fmt: skip
    for row in data.capacitors:
        pandapower.create_shunt(net, at[row.bus], q_mvar=-row.q_kvar / 1e3)
    for row in data.loads:
        pandapower.create_load(net, at[row.bus], row.p_kw / 1e3, row.q_kvar / 1e3)
    low_kv, tan_phi = SECONDARY_KV[3], np.tan(np.arccos(POWER_FACTOR))
    for index, unit in enumerate(feeder.service.units):
        rating_kva = float(feeder.service.rating_kva[index])
        low = pandapower.create_bus(net, low_kv, name=unit.bus)
        at[unit.bus] = low
        transformer(net, at[feeder.service.bus[index]], low, rating_kva, source.kv, low_kv,
                    *impedance_pct(3, rating_kva), unit.id)  # fmt: skip
        pandapower.create_shunt(
            net, low, p_mw=rating_kva * NO_LOAD_LOSS_PCT / 1e5,
            q_mvar=rating_kva * EXCITING_CURRENT_PCT / 1e5,
        )  # fmt: skip
        kw = float(feeder.charger_kw[index])
        pandapower.create_load(net, low, kw / 1e3, abs(kw) * tan_phi / 1e3)
    pandapower.runpp(net, trafo_model="t", tolerance_mva=1e-10)
    return net


def transformer(
    net: Any, high: int, low: int, kva: float, kv_high: float, kv_low: float, r_pct: float,
    x_pct: float, name: str,
) -> None:  # fmt: skip
    pandapower.create_transformer_from_parameters(
        net, high, low, kva / 1e3, kv_high, kv_low, vkr_percent=r_pct,
        vk_percent=float(np.hypot(r_pct, x_pct)), pfe_kw=0, i0_percent=0, name=name,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ieee123", "ieee13"])
def test_a_balanced_feeder_equals_another_solver(name: str) -> None:
    feeder = ours(name)
    solved, net = feeder.solved, theirs(feeder)
    expected = dict(zip(net.bus["name"], net.res_bus["vm_pu"], strict=True))
    del expected["stiff"]
    voltage_pu = [expected[node.rsplit(".", 1)[0]] for node in feeder.bus_ids]
    assert len(voltage_pu) == 3 * len(expected)
    # The feeder is loaded: what is compared is not a row of ones.
    assert min(voltage_pu) < 0.96
    assert solved.bus_voltage_pu == pytest.approx(voltage_pu, abs=1e-4)
    # Of the source's terminals, behind its impedance.
    head = -1e3 * net.res_line[net.line["name"] == "stiff"].iloc[0]
    losses_kw = 1e3 * (net.res_line["pl_mw"].sum() + net.res_trafo["pl_mw"].sum())
    losses_kw += 1e3 * net.res_shunt["p_mw"].sum()
    assert solved.feeder_power_kw == pytest.approx(head["p_to_mw"], rel=1e-4)
    assert solved.feeder_reactive_kvar == pytest.approx(head["q_to_mvar"], rel=1e-4)
    assert solved.feeder_losses_kw == pytest.approx(losses_kw, rel=1e-4)
    lines = dict(zip(net.line["name"], net.res_line["loading_percent"], strict=True))
    assert solved.line_loading_pct == pytest.approx([lines[i] for i in feeder.line_ids], abs=0.02)
    ends = net.res_trafo[["p_hv_mw", "q_hv_mvar"]].to_numpy()
    pct = 100 * np.hypot(*ends.T) / net.trafo["sn_mva"].to_numpy()
    loading = dict(zip(feeder.transformer_ids, solved.transformer_loading_pct, strict=True))
    ids = [row.id for row in feeder.data.transformers]
    for name, expected_pct in zip(net.trafo["name"], pct, strict=True):
        # OpenDSS tells the end with more power, which is the other one where a charger feeds back.
        if name in (*ids, *feeder.service.ids[:-1]):
            assert loading[name] == pytest.approx(expected_pct, abs=0.02), name
