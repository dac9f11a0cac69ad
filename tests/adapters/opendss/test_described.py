"""Service transformers that the user describes: where stations go, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.opendss.circuit import Circuit, layout_of
from adapters.opendss.described import connect_described
from adapters.opendss.feeder import Feeder
from adapters.opendss.feeders import Feeders
from adapters.opendss.service import EXCITING_CURRENT_PCT, NO_LOAD_LOSS_PCT, Connections
from adapters.opendss.simulator import Grid
from cosim import loading, manifest
from cosim.assets import Assets
from cosim.errors import ScenarioError
from networks import feeders

DATA = feeders.load("ieee123")
LAYOUT = layout_of(DATA)
KINDS = ("level_2", "dc_fast", "v2g", "home", "depot", "work")
TABLE = """\
id,bus,phases,kva,kv,r_pct,x_pct,no_load_loss_pct,exciting_current_pct,stations,kinds
Mall,48,ABC,300,0.208,1.1,3.5,0.1,0.4,,
fast,76,123,150,,,,,,,dc_fast depot
p12,12,B,25,,,,,,,
p11,11,1,50,,,,,,3,
spare,66,3,10,,,,,,0,
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "service.csv"
    path.write_text(TABLE)
    return path


def attached(
    file: Path, kw: list[float], kinds: list[str], layout: Any = LAYOUT, fast: Any = None
) -> tuple[Connections, list[str]]:
    """Return the connections, and the name of that of each station."""
    kind = np.array([KINDS.index(name) for name in kinds])
    three = kind == 1 if fast is None else np.array(fast)
    service, at = connect_described(
        layout, np.array(kw), three, 1.0, np.arange(len(kw)), kind == 3,
        file=file, kinds=KINDS, kind=kind,
    )  # fmt: skip
    return service, [service.ids[i] for i in at]


def test_stations_spread_over_what_is_there(file: Path) -> None:
    service, at = attached(file, [7.2] * 9 + [50.0] * 6, ["level_2"] * 9 + ["dc_fast"] * 6)
    assert [unit.id for unit in service.units] == ["mall", "fast", "p12", "p11", "spare"]
    assert service.rating_kva.tolist() == [300, 150, 25, 50, 10]
    # Those that are named for a kind are for it alone; single phases before three; three at most.
    assert at[9:] == ["fast"] * 6
    assert at[:9].count("p11") == 3
    assert at[:9].count("p12") == 6
    assert attached(file, [7.2] * 9, ["level_2"] * 9)[1] == at[:9]


def test_stations_go_by_capacity(file: Path) -> None:
    file.write_text("id,bus,phases,kva\nsmall,12,2,25\nlarge,11,1,75\n\n")
    _, at = attached(file, [7.0] * 8, ["level_2"] * 8)
    assert (at.count("small"), at.count("large")) == (2, 6)
    _, at = attached(file, [7.0, 70.0], ["level_2"] * 2)
    assert at == ["small", "large"]


def test_stations_of_one_phase_take_the_phases_of_a_three_phase_transformer(file: Path) -> None:
    file.write_text("id,bus,phases,kva,kv\nonly,48,123,75,0.208\n")
    service, at = attached(file, [9.6, 7.2, 7.2, 7.2, 50.0], ["level_2"] * 4 + ["dc_fast"])
    assert at == ["only_1", "only_2", "only_3", "only_2", "only"]
    assert (service.own, service.fed_by) == (1, ("only",) * 3)
    assert service.kv[1:] == pytest.approx([0.208 / 3**0.5] * 3)
    feeder = Feeder(Circuit(DATA), service)
    charger_kw = np.array([40.0, 9.0, 14.0, 7.0])
    solved = feeder.solve(0.0, charger_kw)
    feeder.close()
    assert solved.transformer_ev_kw[-1] == pytest.approx(70, abs=1e-3)
    # 70 kW at 0.99, and the unbalance of the phases, on 75 kVA.
    assert 93 < solved.transformer_loading_pct[-1] < 100
    low = dict(zip(feeder.bus_ids, solved.bus_voltage_pu, strict=True))
    assert low["only_lv.2"] < low["only_lv.1"] < low["only_lv.3"]
    priced = feeder.transformer_of.tolist()
    assert priced == [len(LAYOUT.transformer_ids)] * 4


def test_what_the_file_says_is_what_is_built_and_an_overload_is_possible(file: Path) -> None:
    service, _ = attached(file, [50.0], ["dc_fast"])
    mall, fast = service.units[:2]
    assert (mall.kv, mall.r_pct, mall.x_pct) == (0.208, 1.1, 3.5)
    assert (mall.no_load_loss_pct, mall.exciting_current_pct) == (0.1, 0.4)
    assert (fast.kv, fast.r_pct, fast.x_pct) == (0.48, 1.27, 2.72)
    assert (fast.no_load_loss_pct, fast.exciting_current_pct) == (
        NO_LOAD_LOSS_PCT,
        EXCITING_CURRENT_PCT,
    )
    circuit = Circuit(DATA)
    feeder = Feeder(circuit, service)
    charger_kw = np.zeros(len(service))
    idle = feeder.solve(0.0, charger_kw)
    charger_kw[2] = 40.0
    solved = feeder.solve(0.0, charger_kw)
    at = feeder.transformer_ids.index("p12")
    engine: Any = circuit.engine
    engine.Transformers.Name("mall")
    assert (engine.Transformers.Xhl(), engine.Transformers.kVA()) == pytest.approx((3.5, 300))
    engine.Transformers.Wdg(2)
    assert (engine.Transformers.kV(), engine.Transformers.R()) == pytest.approx((0.208, 0.55))
    feeder.close()
    assert solved.transformer_loading_pct[at] == pytest.approx(100 * 40 / 0.99 / 25, rel=0.04)
    # Even one that has no station loses its no-load loss.
    watts = 1e3 * idle.feeder_losses_kw
    assert watts > 10 * (0.1 * 300 + 0.2 * (150 + 25 + 50 + 10))


def test_a_transformer_between_two_phases(file: Path) -> None:
    file.write_text("id,bus,phases,kva\npole,48,CA,25\n")
    service, at = attached(file, [7.2], ["level_2"])
    assert (at, service.phases, service.units[0].between) == (["pole"], ((1,),), (1, 3))
    feeder = Feeder(Circuit(DATA), service)
    idle, solved = (feeder.solve(0.0, np.array([kw])) for kw in (0.0, 20.0))
    voltage_pu = dict(zip(feeder.bus_ids, idle.bus_voltage_pu, strict=True))
    rise_pct = solved.transformer_loading_pct[-1] - idle.transformer_loading_pct[-1]
    own_kv = feeder.layout.buses["48"].kv
    feeder.close()
    # Rated for the voltage between two phases: 4.16 kV there is 240 V here.
    assert own_kv * 3**0.5 == pytest.approx(4.16, abs=0.01)
    assert voltage_pu["pole_lv.1"] == pytest.approx(voltage_pu["48.1"], abs=0.01)
    assert rise_pct == pytest.approx(100 * 20 / 0.99 / 25, rel=0.04)


def test_homes_of_a_circuit_keep_their_chargers_unless_rows_name_them(tmp_path: Path) -> None:
    file, layout = tmp_path / "t.csv", layout_of(feeders.load("suburb"))
    file.write_text("id,bus,phases,kva\none,p11,1,50\n")
    service, at = attached(file, [7.2] * 3, ["home", "home", "level_2"], layout)
    assert at[2] == "one"
    assert set(service.fed_by) <= set(layout.transformer_ids)
    assert len(service.fed_by) == 2
    file.write_text("id,bus,phases,kva,kinds\none,p11,1,50,\nhouses,p21,2,50,home\n")
    service, at = attached(file, [7.2] * 3, ["home", "home", "level_2"], layout)
    assert at == ["houses", "houses", "one"]
    assert service.fed_by == ()


def test_several_feeders_have_the_same_transformers(file: Path) -> None:
    kind, of = np.array([0, 0, 1]), np.array([0, 1, 1])

    def connect(*given: Any) -> tuple[Connections, Any]:
        return connect_described(*given, file=file, kinds=KINDS, kind=kind)

    several = Feeders(
        DATA, 2, of, np.array([7.2, 7.2, 50]), kind == 1, np.zeros(3, bool), connect=connect
    )
    solved = several.solve(0.5, np.ones(several.connection_count))
    several.close()
    assert [several.feeding_ids[i] for i in several.connection_of_station] == [
        "f00.p11", "f01.p11", "f01.fast",
    ]  # fmt: skip
    assert solved.transformer_ev_kw.sum() == pytest.approx(several.connection_count, abs=1e-2)


def test_every_problem_of_a_file_is_told_at_once(file: Path) -> None:
    file.write_text(
        "id,bus,phases,kva,r_pct,kinds\n"
        "a,48x,123,100,,\n"
        "b,12,1,25,,\n"
        "B,11,1,0,40,level2\n"
        "xfm1,11,14,many,,\n"
        "c d,610,123,75,,\n"
        ",11,1,25,,,7\n"
    )
    with pytest.raises(ScenarioError) as info:
        attached(file, [], [])
    told = [str(problem) for problem in info.value.problems]
    assert told == [
        "row 2, column bus is 48x: must be a bus of the feeder. Did you mean 48?",
        "row 3, column phases is 1: must be among those of its bus, which has 2.",
        "row 4, column id is B: must be a name of its own: row 3 has it.",
        "row 4, column kva is 0: must be a number above 0 and at most 10000.",
        "row 4, column r_pct is 40: must be a number from 0 to 20.",
        "row 4, column kinds is level2: must be kinds of stations with spaces between: "
        "level_2, dc_fast, v2g, home, depot, work. Did you mean level_2?",
        "row 5, column id is xfm1: must be a name of its own: a transformer of the circuit has it.",
        "row 5, column phases is 14: must be one phase, such as 2 or B, two, or all three, 123 or "
        "ABC.",
        "row 5, column kva is many: must be a number above 0 and at most 10000.",
        "row 6, column id is c d: must be letters, digits, - and _, and start with a letter or "
        "digit.",
        "row 6, column bus is 610: must be a bus of medium voltage, from 1 kV; this one has "
        "0.277 kV to neutral.",
        "row 7: must have as many cells as columns.",
        "row 7, column id: a value is needed.",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,bus,phase,kva\nx,48,123,75\n", "column phases: this column is needed"),
        ("id,bus,phase,kva\nx,48,123,75\n", "phase: columns are .*Did you mean phases"),
        ("id,bus,phases,kva,kva\nx,48,123,75,50\n", "column kva: must be there once"),
        ("id,bus,phases,kva\n", "needs a row for each"),
    ],
)
def test_a_file_without_its_columns_or_rows_is_refused(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ScenarioError, match=message):
        attached(file, [], [])


def test_stations_that_find_no_transformer_are_told(file: Path) -> None:
    file.write_text("id,bus,phases,kva,stations,kinds\none,12,2,25,2,level_2\nv,11,1,25,,v2g\n")
    with pytest.raises(ScenarioError) as info:
        attached(file, [7.2] * 5 + [50.0] * 2, ["level_2"] * 5 + ["dc_fast"] * 2)
    assert [str(problem) for problem in info.value.problems] == [
        "column stations: rows of one phase or three for stations of kind level_2 must hold 3 "
        "more.",
        "column kinds: no row of three phases takes stations of kind dc_fast, which the scenario "
        "has.",
    ]


def test_a_scenario_names_the_file_from_where_it_stands(file: Path) -> None:
    mine = file.parent / "mine.yaml"
    mine.write_text(
        "grid: {service_transformers: service.csv}\nfleet: {vehicles: 12, stations: {count: 8}}\n"
    )
    scenario = loading.load(str(mine))
    assert scenario.grid.service_transformers == str(file)
    assert str(file) in manifest.new(scenario)["inputs"]
    grid, assets = Grid(), Assets.of(scenario)
    grid.prepare(scenario, assets)
    names = grid.facts()["station_transformer"][1]
    grid.close()
    kinds = [assets.stations.kinds[i] for i in assets.stations.kind]
    assert {n for n, kind in zip(names, kinds, strict=True) if kind == "dc_fast"} == {"fast"}
    assert set(names) <= {"mall", "fast", "p12", "p11"}
    file.write_text(TABLE.replace("48,ABC", "48,A").replace("76,", "76x,"))
    with pytest.raises(ScenarioError, match=r"service\.csv, row 3, column bus is 76x"):
        loading.load(str(mine))
    file.write_text(TABLE.replace("48,ABC", "48,A").replace("dc_fast ", ""))
    with pytest.raises(ScenarioError, match=r"csv, column kinds: no row .* of kind dc_fast"):
        loading.load(str(mine))
    file.unlink()
    with pytest.raises(
        ScenarioError, match=r"service_transformers is .*must be a CSV file: .*read"
    ):
        loading.load(str(mine))
