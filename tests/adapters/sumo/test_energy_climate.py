"""Traction energy with heating and cooling."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.sumo.energy import TractionEnergy
from networks import vehicles

SPECS = [*vehicles.load().values(), vehicles.model("bus")]
CURVES = [vehicles.shipped()[spec.name] for spec in SPECS]
CLIMATES = [vehicles.climate_load(spec) for spec in SPECS]
BODY = np.array([0, 1, 2, 3, 1, 0])
SPEED = np.array([0.0, 20.0, 50.0, 30.0, 90.0, 500.0])


def test_mild_weather_changes_no_bit() -> None:
    bare = TractionEnergy(CURVES, BODY).kwh_per_km(SPEED)
    energy = TractionEnergy(CURVES, BODY, CLIMATES)
    assert energy.kwh_per_km(SPEED).tobytes() == bare.tobytes()
    assert energy.kwh_per_km(SPEED, 20.0).tobytes() == bare.tobytes()
    assert energy.kwh_per_km(SPEED, np.full(6, 20.0)).tobytes() == bare.tobytes()
    assert TractionEnergy(CURVES, BODY).kwh_per_km(SPEED, -20.0).tobytes() == bare.tobytes()


def test_power_times_the_time_under_way_comes_on_top() -> None:
    energy = TractionEnergy(CURVES, BODY, CLIMATES)
    air = np.array([-10.0, 0.0, 20.0, 35.0, 40.0, 10.0])
    driving_s = np.array([300.0, 120.0, 300.0, 60.0, 300.0, 300.0])
    own_kw = [float(CLIMATES[b].power_kw(t)) for b, t in zip(BODY, air, strict=True)]
    np.testing.assert_allclose(energy.climate_kw(air), own_kw)
    np.testing.assert_allclose(
        energy.climate_kwh(driving_s, air), np.array(own_kw) * driving_s / 3600
    )
    moving = SPEED > 0
    more = energy.kwh_per_km(SPEED, air) - energy.kwh_per_km(SPEED)
    way_km = SPEED * driving_s / 3600
    np.testing.assert_allclose(
        (more * way_km)[moving], energy.climate_kwh(driving_s, air)[moving], atol=1e-12
    )
    assert more[0] == 0, "a vehicle that did not move has no consumption for a distance"
    np.testing.assert_array_equal(energy.climate_kw(-10.0), energy.climate_kw(np.full(6, -10.0)))


def test_range_in_the_cold() -> None:
    """A resistive SUV at 20 F and the city cycle's mean speed; AAA's five cars lost 39 %."""
    energy = TractionEnergy(CURVES, np.array([1]), CLIMATES)
    mild, cold = (float(energy.kwh_per_km(np.array([31.5]), t)[0]) for t in (20.0, -6.7))
    assert 0.25 < 1 - mild / cold < 0.41


def test_climates_belong_to_curves() -> None:
    with pytest.raises(ValueError, match="4 body types"):
        TractionEnergy(CURVES, BODY, CLIMATES[:2])
