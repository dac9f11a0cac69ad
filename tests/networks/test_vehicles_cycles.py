"""EPA's schedules, and the models driven through them by SUMO's battery device."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.errors import TrafficError
from networks import vehicles
from networks.roads.programs import libsumo
from networks.vehicles import cycles, fit_energy

CARS = [spec for spec in vehicles.models() if spec.sumo_class != "bus"]
AIR, GRAVITY = 1.2041, 9.80665
"""SUMO's density of air [kg/m3] and gravity [m/s2]."""


def test_schedules_are_epas() -> None:
    """Length, duration and top speed as EPA gives them: 7.45 and 10.26 miles."""
    city, highway = cycles.epa()
    assert city.distance_km / cycles.MPH == pytest.approx(7.45, abs=0.005)
    assert highway.distance_km / cycles.MPH == pytest.approx(10.26, abs=0.005)
    assert (len(city.speed_kmh), len(highway.speed_kmh)) == (1370, 766)
    assert city.speed_kmh.max() / cycles.MPH == pytest.approx(56.7)
    assert highway.speed_kmh.max() / cycles.MPH == pytest.approx(59.9)
    assert city.mean_kmh == pytest.approx(fit_energy.CITY_KMH, abs=0.1)
    assert highway.mean_kmh == pytest.approx(fit_energy.HIGHWAY_KMH, abs=0.1)


def test_transit_phases_are_two_two_and_four_miles() -> None:
    ways = [cycle.distance_km / cycles.MPH for cycle in cycles.transit()]
    assert ways == pytest.approx([2.0, 2.0, 4.0], rel=0.1)
    assert cycles.transit()[0].mean_kmh / cycles.MPH == pytest.approx(12.7, rel=0.02)


@pytest.fixture(scope="module")
def driven() -> dict[str, tuple[cycles.Driven, cycles.Driven]]:
    city, highway = (cycles.drive(CARS, cycle) for cycle in cycles.epa())
    return {spec.name: (city[spec.name], highway[spec.name]) for spec in CARS}


@pytest.mark.parametrize("spec", CARS, ids=lambda s: s.name)
def test_schedules_lie_between_dynamometer_and_label(
    spec: vehicles.VehicleSpec, driven: dict[str, tuple[cycles.Driven, cycles.Driven]]
) -> None:
    """EPA's label is what the schedules take over 0.7, for weather and for faster drivers.

    The models are tuned to the label in traffic, so on the bare schedules, with a perfect driver
    and mild air, they must take less than it, and more than a dynamometer saw.
    """
    city, highway = driven[spec.name]
    share = cycles.EPA_CITY_SHARE
    found = share * city.net_kwh_per_100km + (1 - share) * highway.net_kwh_per_100km
    label = spec.epa_battery_kwh_per_100km
    assert 0.7 * label < found < label
    assert found == pytest.approx(0.89 * label, rel=0.05)


def test_battery_device_does_as_its_equations() -> None:
    """An own integration of SUMO's force balance over the city schedule, within 1 %."""
    spec = vehicles.model("sedan")
    city, _ = cycles.epa()
    found = cycles.drive([spec], city)[spec.name]
    v = city.speed_kmh / 3.6
    work_j = np.diff(0.5 * (spec.mass_kg + spec.rotating_mass_kg) * v**2)
    now = v[1:]
    work_j += spec.rolling_coefficient * spec.mass_kg * GRAVITY * now
    work_j += 0.5 * AIR * spec.frontal_area_m2 * spec.drag_coefficient * now**3
    work_j = np.where(
        work_j > 0,
        work_j / spec.propulsion_efficiency,
        work_j * spec.recuperation_efficiency,
    )
    work_j += spec.auxiliary_power_w
    assert found.gross_kwh == pytest.approx(work_j[work_j > 0].sum() / 3.6e6, rel=0.01)
    assert found.regenerated_kwh == pytest.approx(-work_j[work_j < 0].sum() / 3.6e6, rel=0.01)
    assert found.distance_km == pytest.approx(city.distance_km, rel=1e-3)


def test_bus_on_its_test_phases() -> None:
    """Business district and arterial within 20 % of 2.0 kWh/mile, a usual result at Altoona.

    That figure is the example of Mass Transit (October 2015), not of this model.
    """
    bus = vehicles.model("bus")
    for cycle in cycles.transit()[:2]:
        found = cycles.drive([bus], cycle)["bus"]
        assert found.net_kwh_per_100km == pytest.approx(200 / 1.609344, rel=0.2), cycle.name
        assert found.regenerated_kwh > 0.2 * found.gross_kwh


def test_second_simulation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = vehicles.model("sedan")
    city, _ = cycles.epa()
    short = cycles.Cycle("short", city.speed_kmh[:5])
    monkeypatch.setattr(libsumo(), "isLoaded", lambda: True)
    with pytest.raises(TrafficError, match="process of its own"):
        cycles.drive([spec], short)
