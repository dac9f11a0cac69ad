"""How far the kinds of traffic may be from micro; the page states how far they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapters.sumo import compare
from adapters.sumo.meso import MesoTraffic
from adapters.sumo.micro import MicroTraffic
from adapters.sumo.sample import Difference, Sample, Trips
from networks import roads, vehicles
from networks.roads.programs import run_program

LUXEMBOURG = Path(__file__).parents[4] / "shared" / "reference" / "luxembourg.osm.gz"


def within(found: Difference, **bounds: float) -> None:
    """Hold every figure that is named to plus or minus its bound."""
    for name, bound in bounds.items():
        assert abs(getattr(found, name)) <= bound, f"{name} of {found}"


def exact(found: Difference) -> None:
    within(found, time_pct=0, time_rms_pct=0, arrival_s=0, arrival_rms_s=0)
    within(found, distance_pct=1e-9, energy_pct=1e-9, energy_rms_pct=1e-7)


def test_sioux_falls(siouxfalls: roads.RoadNetwork) -> None:
    found = compare.compare(siouxfalls, vehicles=90, itineraries=3)
    meso = found.kinds["meso, shipped curves"]
    assert meso.trips > 350
    # Cars of micro take their time to get going, so meso is early.
    within(meso, distance_pct=0.1, time_pct=5, time_rms_pct=5, arrival_s=60, arrival_rms_s=90)
    assert meso.time_pct < 0
    within(meso, energy_pct=30, energy_rms_pct=40)
    exact(found.kinds["replay, same trips"])
    other = found.kinds["replay, other trips"]
    within(other, distance_pct=0.1, time_pct=1.5, time_rms_pct=6, arrival_s=20, arrival_rms_s=90)
    within(other, energy_pct=1.5, energy_rms_pct=6)
    of_meso = found.kinds["replay of meso, other trips"]
    within(of_meso, distance_pct=0.1, time_pct=6, time_rms_pct=8, arrival_rms_s=140)
    # What replay says of itself holds for drives that it has not seen.
    said = found.prediction.time_error
    assert said.trips > 50
    assert other.time_rms_pct < 2 * said.rms_pct


def test_calibrated_curves_meet_the_energy_of_micro(siouxfalls: roads.RoadNetwork) -> None:
    """Curves for the speeds of these drives, from other drives of the same vehicles in micro."""
    specs = list(vehicles.load().values())
    drives = [Sample.draw(siouxfalls, specs, 60, 2, seed) for seed in (1, 2)]
    ships = vehicles.shipped()
    fleet = siouxfalls, specs, drives[0].body_type, drives[0].home_edge
    real, other = (Trips.of(d.drive(MicroTraffic(*fleet, seed=1))) for d in drives)
    guess = Trips.of(drives[1].drive(MesoTraffic(*fleet, seed=1)))
    curves = {}
    for body, spec in enumerate(specs):
        mine = drives[0].body_type[other.vehicle] == body
        level = float(other.energy_kwh[mine].sum() / guess.energy_kwh[mine].sum())
        curve = ships[spec.name]
        curves[spec.name] = replace(
            curve,
            a_kw=level * curve.a_kw,
            b_kwh_per_km=level * curve.b_kwh_per_km,
            c_kwh_h_per_km2=level * curve.c_kwh_h_per_km2,
            d_kwh_h2_per_km3=level * curve.d_kwh_h2_per_km3,
        )
    meso = Trips.of(drives[0].drive(MesoTraffic(*fleet, seed=1, curves=curves)))
    within(Difference.of(meso, real), energy_pct=3, energy_rms_pct=12)


def test_vehicles_of_meso_wait_at_signals(tmp_path: Path) -> None:
    options = ["--grid", "--grid.number", "5", "--grid.length", "300", "-L", "2"]
    options += ["--default-junction-type", "traffic_light", "-o", "signals.net.xml"]
    run_program("netgenerate", options, tmp_path)
    town = roads.read_net(tmp_path / "signals.net.xml")
    specs = list(vehicles.load().values())
    sample = Sample.draw(town, specs, 60, 2, 1)
    fleet = town, specs, sample.body_type, sample.home_edge
    meso, micro = (
        Trips.of(sample.drive(kind(*fleet, seed=1))) for kind in (MesoTraffic, MicroTraffic)
    )
    found = Difference.of(meso, micro)
    within(found, time_pct=20, distance_pct=1)
    assert meso.time_s.sum() > 1.2 * _free_s(sample)


def _free_s(sample: Sample) -> float:
    """Return the free-flow time of all drives of a sample [s]."""
    total = 0.0
    for home, targets in zip(sample.home_edge.tolist(), sample.target, strict=True):
        place = home
        for edge in targets.ravel().tolist():
            if edge >= 0:
                total += float(sample.roads.travel_time_s([place], [edge])[0, 0])
                place = edge
    return total


def test_trips_that_are_not_the_same_cannot_be_compared() -> None:
    some = Trips(np.array([0, 1]), *np.ones((4, 2)))
    with pytest.raises(ValueError, match="1 trips cannot be those of 2"):
        Difference.of(Trips(np.array([0]), *np.ones((4, 1))), some)


def test_differences_are_those_of_totals_and_of_single_trips() -> None:
    real = Trips(
        np.array([0, 1]),
        np.array([10.0, 30.0]),
        np.array([600.0, 1800.0]),
        np.array([2.0, 6.0]),
        np.array([700.0, 2000.0]),
    )
    found = Trips(
        np.array([0, 1]),
        np.array([11.0, 29.0]),
        np.array([540.0, 1800.0]),
        np.array([2.0, 7.0]),
        np.array([640.0, 2020.0]),
    )
    d = Difference.of(found, real)
    assert d.distance_pct == pytest.approx(0)
    assert d.time_pct == pytest.approx(-2.5)
    assert d.energy_pct == pytest.approx(12.5)
    assert d.energy_rms_pct == pytest.approx(100 * np.sqrt(0.5) / 4)
    assert d.arrival_s == pytest.approx(-20)
    assert d.arrival_rms_s == pytest.approx(np.sqrt((60**2 + 20**2) / 2))


def test_the_page_is_written_where_it_was_measured(
    siouxfalls: roads.RoadNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{compare.BEGIN}\nold\n{compare.END}\nafter\n")
    monkeypatch.setattr(compare, "PAGE", page)
    found = compare.compare(siouxfalls, vehicles=20, itineraries=1)
    compare.write([found])
    text = page.read_text()
    assert text.startswith(f"before\n{compare.BEGIN}\n**siouxfalls**: 20 vehicles")
    assert text.endswith(f"{compare.END}\nafter\n")
    assert "old" not in text
    assert "| replay, same trips | +0.00 % | +0.0 % | +0.0 % |" in text


def test_the_page_that_ships_has_figures() -> None:
    text = compare.PAGE.read_text(encoding="utf-8")
    measured = text.split(compare.BEGIN)[1].split(compare.END)[0]
    for name in ("siouxfalls", "luxembourg", "meso, calibrated", "replay, other trips"):
        assert name in measured


@pytest.mark.slow
@pytest.mark.skipif(not LUXEMBOURG.is_file(), reason=f"{LUXEMBOURG} is not there")
def test_luxembourg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOLTSTEP_DATA_DIR", str(tmp_path))
    roads.import_file(LUXEMBOURG, "luxembourg")
    city = roads.load("luxembourg")
    specs = list(vehicles.load().values())
    curves = {name: fit.curve for name, fit in vehicles.calibrate(city, specs).models.items()}
    found = compare.compare(city, vehicles=200, calibration=curves)
    meso = found.kinds["meso, calibrated"]
    within(meso, distance_pct=3, time_pct=15, time_rms_pct=25, arrival_s=150, arrival_rms_s=220)
    within(meso, energy_pct=6, energy_rms_pct=30)
    exact(found.kinds["replay, same trips"])
    other = found.kinds["replay, other trips"]
    # Which of many ways was taken is what a record tells least of.
    within(other, distance_pct=3, time_pct=4, time_rms_pct=35, arrival_s=60, arrival_rms_s=280)
    within(other, energy_pct=7, energy_rms_pct=50)
