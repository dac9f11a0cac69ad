"""Cell figures, ageing laws, power limits and prices."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import UserError
from networks import batteries
from networks.batteries import AgeingPoint, Derating, catalogue, laws
from networks.vehicles import load

FOLDER = Path(batteries.__file__).parent
ROOT = Path(__file__).parents[2]
VOLTAGE_AT_HALF_V = 3.658


def test_readme_names_every_file_and_the_package_is_listed() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in FOLDER.iterdir():
        if path.suffix in {".toml", ".py"} and path.stem != "__init__":
            assert f"`{path.name}`" in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "networks.batteries" in project["tool"]["setuptools"]["packages"]


def test_every_figure_has_a_source_and_a_plausible_value() -> None:
    for cell in batteries.cells().values():
        assert cell.chemistry in {"NMC", "LFP"}
        for name, figure in cell.figures.items():
            assert figure.verified in batteries.VERIFIED
            assert len(figure.source) > 10
            assert math.isfinite(figure.value)
            if not name.endswith("_c"):
                assert figure.value > 0, name


def test_the_computed_figures_of_the_lfp_cell_follow_from_the_others() -> None:
    value = batteries.cells()["lfp_26650"].value
    radius, height = value("diameter_m") / 2, value("height_m")
    volume = math.pi * radius**2 * height
    assert value("volume_m3") == pytest.approx(volume, rel=1e-3)
    area = 2 * math.pi * radius * (radius + height)
    assert value("cooling_area_m2") == pytest.approx(area, rel=1e-3)
    per_kelvin = value("heat_capacity_j_per_k")
    assert value("specific_heat_j_per_kg_k") == pytest.approx(per_kelvin / value("mass_kg"))
    per_volume = value("volumetric_heat_capacity_j_per_m3_k")
    assert per_volume == pytest.approx(per_kelvin / volume, rel=1e-3)


def test_the_computed_figures_of_packs_follow_from_the_others() -> None:
    heat = {name: figure.value for name, figure in batteries.pack_heat().items()}
    for figure in batteries.pack_heat().values():
        assert figure.verified in batteries.VERIFIED
        assert len(figure.source) > 10
    by_cabin = 1 / (1 / heat["cabin_w_per_k"] + 1 / heat["cabin_to_air_w_per_k"])
    passive = (heat["air_w_per_k"] + by_cabin) / heat["pack_kwh"]
    assert heat["passive_w_per_k_kwh"] == pytest.approx(passive, rel=1e-3)
    loop = heat["loop_w_per_k"] / heat["loop_pack_kwh"]
    assert heat["loop_w_per_k_kwh"] == pytest.approx(loop, rel=1e-3)
    # Of 6.9 h, as the source's pack.
    hours = heat["pack_j_per_k"] / (passive * heat["pack_kwh"]) / 3600
    assert hours == pytest.approx(6.9, abs=0.05)


def test_entropic_table_spans_the_lithiation() -> None:
    table = batteries.entropic("lfp")
    assert (table.stoichiometry[0], table.stoichiometry[-1]) == (0.0, 1.0)
    # Millivolts taken for volts would be a thousand times this.
    assert max(map(abs, table.v_per_k)) < 1e-3


def loss_of(point: AgeingPoint) -> float:
    p = point
    match p.law:
        case "naumann_calendar":
            found = laws.naumann_calendar(p.days, p.temperature_c, p.soc)
        case "lg_m50_calendar":
            found = laws.lg_m50_calendar(p.days, p.temperature_c, p.soc)
        case "lfp_prismatic_calendar":
            found = laws.lfp_prismatic_calendar(p.days, p.temperature_c, p.soc)
        case "schmalstieg_calendar":
            found = laws.schmalstieg_calendar(p.days, p.temperature_c, VOLTAGE_AT_HALF_V)
        case "lg_m50_cycle":
            found = laws.lg_m50_cycle(p.cycles, p.temperature_c, p.c_rate)
        case "naumann_cycle":
            found = laws.naumann_cycle(p.cycles, p.dod, p.c_rate)
        case _:
            raise AssertionError(p.law)
    return 100 * float(found)


def test_computed_points_follow_from_their_laws() -> None:
    points = [point for point in batteries.ageing_points() if point.law]
    assert {point.chemistry for point in points} == {"NMC", "LFP"}
    for point in points:
        assert point.verified == "computed"
        assert loss_of(point) == pytest.approx(point.loss_pct, abs=0.006)


def test_lg_m50_cycle_law_against_cells_of_another_laboratory() -> None:
    # Kirkaldy et al. 2024, doi 10.1016/j.jpowsour.2024.234185: 10 % lost after 242 cycles.
    measured = [
        point
        for point in batteries.ageing_points()
        if point.kind == "cycle" and not point.law and point.temperature_c == 25.0
    ]
    assert len(measured) == 1
    law = 100 * laws.lg_m50_cycle(measured[0].cycles, 25.0, 1.0)
    assert law == pytest.approx(measured[0].loss_pct, abs=0.6)


def test_naumann_law_against_another_fit_of_the_same_data() -> None:
    # BLAST-Lite's lfp_gr_SonyMurata3Ah_2018.py: 3.82 % at 25 degC and 5.98 % at 40 degC, 50 %.
    got = 100 * laws.naumann_calendar(365.0, np.array([25.0, 40.0]), 0.5)
    assert got == pytest.approx([3.82, 5.98], rel=0.12)


def test_laws_take_arrays_and_grow_with_time_and_warmth() -> None:
    days, soc = np.array([[30.0], [365.0], [3650.0]]), np.array([0.2, 0.5, 0.8])
    for law in (laws.naumann_calendar, laws.lg_m50_calendar, laws.lfp_prismatic_calendar):
        mild, warm = law(days, 25.0, soc), law(days, 45.0, soc)
        assert mild.shape == (3, 3)
        assert (np.diff(mild, axis=0) > 0).all()
        assert (warm > mild).all()
        assert (mild > 0).all()
        assert (warm < 1).all()
    cycles = np.array([10.0, 100.0, 1000.0])
    for cyclic in (
        laws.naumann_cycle(cycles, 0.5, 0.3),
        laws.lg_m50_cycle(cycles, 25.0, 0.3),
        laws.lfp_prismatic_cycle(cycles, 25.0, 0.8, 0.3),
        laws.schmalstieg_cycle(cycles * 4.1, 3.7, 0.5),
    ):
        assert (np.diff(cyclic) > 0).all()
        assert cyclic[-1] < 0.25


def test_graphite_potential_where_the_lg_m50_law_is_normal() -> None:
    # The law divides by 0.123 V, which BLAST-Lite takes for the middle of the charge.
    assert laws.graphite_potential_v(0.5) == pytest.approx(0.123, abs=0.01)


def test_resistance_points_follow_from_their_laws() -> None:
    points = {(p.chemistry, p.kind): p for p in batteries.resistance_points()}
    calendar = 100 * 3.4194e-10 * 1.5604 * 365 * 86400
    assert points["LFP", "calendar"].growth_pct == pytest.approx(calendar, abs=0.01)
    cycle = 1000 * (2.1e-3 - 2e-3) * (6.8477 * 0.125 + 0.91882)
    assert points["LFP", "cycle"].growth_pct == pytest.approx(cycle, abs=0.01)
    nmc = 100 * (5.270 * VOLTAGE_AT_HALF_V - 16.32) * 1e5 * math.exp(-5986 / 298.15) * 365**0.75
    assert points["NMC", "calendar"].growth_pct == pytest.approx(nmc, abs=0.05)


@pytest.mark.parametrize("chemistry", ["NMC", "LFP"])
def test_limits_are_full_at_room_temperature_and_none_at_the_ends(chemistry: str) -> None:
    limits = batteries.derating(chemistry)
    assert limits.charge_share(25.0) == 1.0
    assert limits.discharge_share(25.0) == 1.0
    temperature_c = np.linspace(-60, 90, 301)
    for share in (limits.charge_share(temperature_c), limits.discharge_share(temperature_c)):
        assert share.min() == 0
        assert share.max() == 1
        assert share[0] == share[-1] == 0
        assert (np.diff(share[temperature_c < 20]) >= 0).all()
        assert (np.diff(share[temperature_c > 25]) <= 0).all()
    assert isinstance(limits, Derating)


def test_cold_charging_is_at_least_as_slow_as_what_taxis_saw() -> None:
    # Their packs were warmer than the air, so the cell's own limit is below what they got.
    (leaf,) = batteries.derating_observed()
    for chemistry in ("NMC", "LFP"):
        assert batteries.derating(chemistry).charge_share(leaf.temperature_c) < leaf.ratio


def test_prices_fall_and_lfp_is_the_cheaper() -> None:
    price = {(p.year, p.scope): p.usd_per_kwh for p in batteries.pack_prices()}
    assert price[2023, "all"] > price[2024, "all"] > price[2025, "all"]
    assert price[2025, "LFP"] < price[2025, "battery electric vehicles"] < price[2025, "NMC"]


def test_chemistries_agree_with_the_specifications() -> None:
    real = batteries.vehicle_chemistries()
    specs = load()
    assert set(real) == set(specs)
    for name, spec in specs.items():
        assert real[name].model.split("(")[0].strip() in spec.model
        assert real[name].chemistry == spec.chemistry


def test_unknown_names_are_answered_with_the_known() -> None:
    with pytest.raises(UserError, match="NMC"):
        batteries.derating("NMD")
    with pytest.raises(UserError, match="lfp"):
        batteries.entropic("lfq")
    with pytest.raises(UserError, match="mass_kg"):
        batteries.cells()["lfp_26650"].value("mass_g")


def test_an_unchecked_figure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"year": 2026, "scope": "all", "usd_per_kwh": 1.0, "source": "x", "verified": "rumour"}
    monkeypatch.setattr(catalogue, "_read", lambda name: {"price": [row]})
    batteries.pack_prices.cache_clear()
    with pytest.raises(ValueError, match="rumour"):
        batteries.pack_prices()
    batteries.pack_prices.cache_clear()
