"""Body types: their figures, and the consumption fitted to SUMO's microscopic battery device."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from networks import vehicles
from networks.vehicles import fit_energy
from networks.vehicles.curves import CURVE_FILE

BODY_TYPES = ("sedan", "suv", "van")


@pytest.mark.parametrize("name", BODY_TYPES)
def test_every_figure_names_its_source(name: str) -> None:
    spec = vehicles.load()[name]
    numbers = {f.name for f in fields(spec) if f.type == "float"}
    assert numbers <= set(spec.sources)
    assert set(spec.tuned) <= numbers
    assert "tuned" not in spec.sources["epa_kwh_per_100km"]


@pytest.mark.parametrize("name", BODY_TYPES)
def test_figures_are_plausible(name: str) -> None:
    spec = vehicles.load()[name]
    assert 40 < spec.battery_kwh < 120
    assert 300 < spec.nominal_voltage_v < 900
    assert spec.v2g_discharge_kw <= spec.ac_charge_kw < spec.dc_charge_kw
    assert 0 < spec.recuperation_efficiency < spec.propulsion_efficiency < 1


@pytest.mark.parametrize("name", BODY_TYPES)
def test_curve_agrees_with_epa(name: str) -> None:
    """EPA's combined label at the mean speeds of its two cycles, within 3 %."""
    spec, curve = vehicles.load()[name], vehicles.shipped()[name]
    city, highway = curve.kwh_per_km([fit_energy.CITY_KMH, fit_energy.HIGHWAY_KMH])
    share = fit_energy.CITY_SHARE
    wall = 100 * (share * city + (1 - share) * highway) / spec.ac_charge_efficiency
    assert wall == pytest.approx(spec.epa_kwh_per_100km, rel=0.03)


@pytest.mark.parametrize("name", BODY_TYPES)
def test_curve_is_that_of_a_vehicle(name: str) -> None:
    curve = vehicles.shipped()[name]
    assert curve.low_kmh <= 10
    assert curve.high_kmh >= 110
    at = curve.kwh_per_km(np.arange(0, 200.0))
    assert (at > 0.05).all()
    assert at[10] > at[50] < at[120], "auxiliaries weigh on slow drives, air drag on fast ones"
    assert at[0] == at[int(curve.low_kmh)]
    assert at[199] == at[int(curve.high_kmh)]
    assert abs(curve.bias_pct) < 1


def test_fit_finds_a_curve_again() -> None:
    rng = np.random.default_rng(0)
    speed = rng.uniform(10, 120, 3000)
    km = speed * fit_energy.INTERVAL_S / 3600
    per_km = 0.7 / speed + 0.12 - 9e-4 * speed + 1.1e-5 * speed**2
    vehicle = np.repeat(np.arange(600), 5)
    here = np.zeros_like(vehicle)
    samples = fit_energy.Samples(vehicle % 3, vehicle, here, km, per_km * km)
    found = fit_energy.fit(samples, 0, 8.0)
    assert found["a_kw"] == pytest.approx(0.7)
    assert found["d_kwh_h2_per_km3"] == pytest.approx(1.1e-5)
    assert found["rms_kwh_per_km"] < 1e-9


def test_curve_predicts_traffic_it_was_not_fitted_to() -> None:
    """SUMO's own microscopic energy in a town of other blocks, another limit, another seed."""
    specs = list(vehicles.load().values())
    grid = fit_energy.Grid(limit_kmh=70, block_m=600, signals=True, vehicles=30)
    samples = fit_energy.simulate(grid, specs, seed=99)
    for body, spec in enumerate(specs):
        mine = samples.body == body
        curve = vehicles.shipped()[spec.name]
        guess = curve.kwh_per_km(samples.speed_kmh[mine]) * samples.distance_km[mine]
        stated = curve.worst_situation_pct / 100
        assert guess.sum() == pytest.approx(samples.energy_kwh[mine].sum(), rel=stated)


@pytest.mark.slow
def test_committed_curves_come_from_the_script() -> None:
    assert fit_energy.render() == CURVE_FILE.read_text(encoding="utf-8")
