"""Users' own circuits: the master file of OpenDSS as it is."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

import networks.feeders
from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.service import connect_stations
from cosim import loading, manifest
from cosim.errors import PowerFlowError, ScenarioError, UserError

PUBLISHED_13 = Path(__file__).parents[2] / "networks" / "data" / "ieee13_published_voltages.csv"

MASTER = """
clear
new circuit.town basekv=69 bus1=grid pu=1.02 mvasc3=2000 mvasc1=2100
redirect parts/lines.dss
new load.shop bus1=mv2 phases=3 kv=12.47 kw=300 kvar=90
new load.flat1 bus1=flats.1 phases=1 kv=0.12 kw=8 kvar=2
new load.flat2 bus1=flats.2 phases=1 kv=0.12 kw=6 kvar=1
new load.farm bus1=mv3.2 phases=1 kv=7.2 kw=40 kvar=10
new generator.sun bus1=mv2 phases=3 kv=12.47 kw=120 pf=1 model=1
set voltagebases=[69 12.47 0.208]
calcv
buscoords places.csv
solve
export voltages
"""
LINES = """
new transformer.station phases=3 windings=3 buses=[grid mv1 spare] conns=[delta wye wye]
~ kvs=[69 12.47 12.47] kvas=[5000 5000 5000] xhl=8 xht=9 xlt=4 %rs=[.4 .4 .4] wdg=2 maxtap=1.05 mintap=0.95 numtaps=20
new regcontrol.hold transformer=station winding=2 vreg=122 band=2 ptratio=60
new line.main bus1=mv1 bus2=mv2 length=2 units=km r1=.3 x1=.4 r0=.6 x0=1.2 normamps=300
new line.side bus1=mv2.2 bus2=mv3.2 phases=1 length=0.5 r1=.6 x1=.5 r0=.6 x0=.5 units=mi
new transformer.drop phases=1 windings=3 buses=[mv2.1 flats.1.0 flats.0.2] kvs=[7.2 .12 .12] kvas=[25 25 25] xhl=2 xht=2 xlt=1.4
new capacitor.bank bus1=mv2 phases=3 kvar=150 kv=12.47
new capcontrol.bank element=line.main terminal=1 capacitor=bank type=kvar ptratio=1 ctratio=1 onsetting=80 offsetting=-120
new line.tie bus1=mv3.2 bus2=end.2 phases=1 switch=yes
"""  # noqa: E501 - OpenDSS's own lines


@pytest.fixture
def master(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "lines.dss").write_text(LINES)
    (tmp_path / "places.csv").write_text("grid,0,0\nmv1,10,0\n")
    file = tmp_path / "Master.dss"
    file.write_text(MASTER)
    return file


def test_a_circuit_is_used_as_it_is(master: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.rglob("*"))
    layout = layout_of(master)
    assert layout.transformer_ids == ("station", "drop")
    assert layout.line_ids == ("main", "side")
    assert layout.line_rated.tolist() == [True, False]
    (regulator,) = layout.regulators
    assert (regulator.id, regulator.winding) == ("station", 2)
    assert regulator.step_pu == pytest.approx(0.005)
    # The flats hang below a transformer, so chargers join in front of it.
    assert [(p.bus, p.phases) for p in layout.places] == [("mv2", (1, 2, 3)), ("mv3", (2,))]
    assert layout.places[1].km == pytest.approx(2 + 0.5 * 1.609344, abs=1e-4)
    assert layout.load_kw.sum() == 354 == networks.feeders.load_kw(str(master))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_chargers_join_and_power_adds_up(master: Path) -> None:
    rating_kw, fast = np.array([50.0, 14.4, 14.4, 14.4]), np.array([True, False, False, False])
    feeders = Feeders(master, 2, np.array([0, 0, 1, 1]), rating_kw, fast)
    assert feeders.feeding_ids == ("f00.stmv2", "f00.stmv2_2", "f01.stmv2", "f01.stmv3")
    charger_kw = np.array([40.0, 10.0, -5.0, 0.0])
    solved = feeders.solve(0.5, charger_kw)
    # The generator's 120 kW do not follow the load.
    assert solved.base_kw == pytest.approx([0.5 * 354 - 120] * 2, abs=3)
    used_kw = solved.base_kw + np.bincount([0, 0, 1, 1], charger_kw) + solved.losses_kw
    np.testing.assert_allclose(solved.head_kw, used_kw, atol=1e-4)
    assert solved.transformer_loading_pct.shape == (2 * (2 + 2),)
    assert (solved.transformer_loading_pct > 0).sum() >= 6
    feeders.close()


def test_taps_and_capacitors_are_kept_and_restored(master: Path) -> None:
    circuit = Circuit(master)
    service, _ = connect_stations(circuit.layout, np.array([100.0]), np.array([True]), 0.99)
    feeder = Feeder(circuit, service)
    feeder.solve(6.0, np.array([90.0]))
    state = feeder.state()
    heavy = feeder.solve(6.0, np.array([90.0]))
    assert heavy.tap[0] != 0
    feeder.solve(0.1, np.array([0.0]))
    feeder.restore(state)
    again = feeder.solve(6.0, np.array([90.0]))
    assert again.bus_voltage_pu.tobytes() == heavy.bus_voltage_pu.tobytes()
    feeder.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("length=2 ", "length=two "), r"line\.main.*\(.*lines\.dss line 5\)"),
        (("new line.main bus1=mv1 ", "new line.main bus1=mv9 "), r"bus mv9\.1.*does not feed"),
        (("calcv", "! calcv"), r"bus .*no voltage base"),
        (("redirect parts/", "redirect part/"), r"(?i)redirect file not found.*part/lines\.dss"),
        (("new load.", "! new load."), "no load"),
        (("new circuit.town", "! new circuit.town"), r"circuit"),
    ],
)
def test_what_cannot_be_used_says_where(
    master: Path, change: tuple[str, str], message: str
) -> None:
    for file in (master, master.parent / "parts" / "lines.dss"):
        file.write_text(file.read_text().replace(*change))
    with pytest.raises(ScenarioError) as info:
        loading.load("siouxfalls_day", settings=[f"grid.feeder={master}"])
    (problem,) = info.value.problems
    assert problem.field == "grid.feeder"
    with pytest.raises((PowerFlowError, UserError), match=message):
        layout_of(master)


def test_a_path_is_seen_from_the_scenario_file(master: Path) -> None:
    file = master.parent / "mine.yaml"
    file.write_text("grid: {feeder: Master.dss}\n")
    assert loading.load(str(file)).grid.feeder == str(master)
    file.write_text("grid: {feeder: Nowhere.dss}\n")
    with pytest.raises(ScenarioError, match=r"grid\.feeder.*there is no file"):
        loading.load(str(file))


def test_the_manifest_knows_every_file_that_a_circuit_is_read_from(master: Path) -> None:
    scenario = loading.load("siouxfalls_day", settings=[f"grid.feeder={master}"])
    inputs = manifest.new(scenario)["inputs"]
    files = [master, master.parent / "parts" / "lines.dss", master.parent / "places.csv"]
    assert {str(file.resolve()) for file in files} <= set(inputs)
    before = inputs[str(files[1].resolve())]
    files[1].write_text(files[1].read_text() + "! changed\n")
    assert manifest.new(scenario)["inputs"][str(files[1].resolve())] != before


def test_the_published_13_node_circuit_solves_as_published() -> None:
    file = Path(__file__).parents[4] / "shared/reference/ieee-feeders/13Bus/IEEE13Nodeckt.dss"
    if not file.exists():
        pytest.skip("the reference circuits are not here")
    circuit = Circuit(file)
    service, _ = connect_stations(circuit.layout, np.zeros(0), np.zeros(0, bool))
    feeder = Feeder(circuit, service)
    feeder.lock_taps()
    feeder.set_taps(np.array([10, 8, 11]))
    solved = feeder.solve(1.0, np.zeros(0))
    voltage_pu = dict(zip(feeder.bus_ids, solved.bus_voltage_pu, strict=True))
    feeder.close()
    with PUBLISHED_13.open(newline="") as rows:
        for row in csv.DictReader(rows):
            node = f"{row['bus']}.{row['phase']}"
            assert voltage_pu[node] == pytest.approx(float(row["voltage_pu"]), abs=0.002), node


def test_bids_need_generators_that_hold_no_voltage(master: Path) -> None:
    settings = [f"grid.feeder={master}", "market.bids=on"]
    assert loading.load(settings=settings).market.bids == "on"
    master.write_text(re.sub("(new generator.sun.*)", r"\1 model=3", MASTER))
    with pytest.raises(ScenarioError) as caught:
        loading.load(settings=settings)
    (problem,) = caught.value.problems
    assert (problem.field, problem.nearest) == ("market.bids", "off")
    assert "Generator.sun" in problem.allowed
