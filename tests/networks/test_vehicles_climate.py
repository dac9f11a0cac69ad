"""Heating and cooling against published losses of range."""

from __future__ import annotations

import numpy as np
import pytest

from networks import vehicles
from networks.vehicles import climate_load, fit_energy

BODIES = ("sedan", "suv", "van", "bus")


def celsius(fahrenheit: float) -> float:
    return (fahrenheit - 32) / 1.8


@pytest.mark.parametrize("spec", vehicles.models(), ids=lambda s: s.name)
def test_mild_weather_costs_nothing_and_extremes_are_bounded(spec: vehicles.VehicleSpec) -> None:
    load = climate_load(spec)
    assert load.power_kw(vehicles.MILD_C) == 0.0
    assert not load.power_kw(np.linspace(15, 24, 10)).any()
    cold, hot = load.power_kw(np.arange(15.0, -41, -1)), load.power_kw(np.arange(24.0, 51))
    assert (np.diff(cold) >= -1e-12).all(), "never less when it is colder"
    assert (np.diff(hot) >= 0).all()
    assert cold.max() <= load.heater_max_kw
    assert hot.max() <= load.cooling_max_kw
    assert np.isfinite(load.power_kw([-90.0, 70.0])).all()


def test_heat_pump_takes_less_than_a_resistive_heater() -> None:
    pump, wire = (climate_load(vehicles.model("suv", b)) for b in ("tesla", "ford"))
    assert wire.power_kw(-1.0) / pump.power_kw(-1.0) == pytest.approx(1.9)
    assert wire.power_kw(35.0) == pump.power_kw(35.0)


def test_five_cars_lose_what_aaa_measured() -> None:
    """AAA, Electric Vehicle Range Testing (February 2019), means of five cars.

    At 20 F with heating 39 % less MPGe, without 9 %; at 95 F with cooling 17 % less range, without
    4 %. Three of the five heat by resistance, two by heat pump (as remembered). Their consumption
    is 0.7 times the label's, on the combined cycle of 43 km/h.
    """
    pump = climate_load(vehicles.model("sedan"))
    wire = climate_load(vehicles.model("suv"))
    base_kwh_per_km = 0.185 / 1.609344
    hours_per_km = fit_energy.CITY_SHARE / fit_energy.CITY_KMH
    hours_per_km += (1 - fit_energy.CITY_SHARE) / fit_energy.HIGHWAY_KMH

    def more(fahrenheit: float) -> float:
        air = celsius(fahrenheit)
        # The SUV's cabin counts 10 % more than the sedan's, which the five cars were like.
        kw = (3 * wire.power_kw(air) / 1.1 + 2 * pump.power_kw(air)) / 5
        return float(kw) * hours_per_km / base_kwh_per_km

    assert more(20) == pytest.approx(1 / 0.61 - 1 / 0.91, rel=0.15)
    assert more(95) == pytest.approx(1 / 0.83 - 1 / 0.96, rel=0.15)


def test_bus_loses_most_of_what_four_agencies_saw() -> None:
    """37.8 % of range from 50-60 F to 22-32 F (Henning, Thomas and Smyth 2019).

    The cold battery and tyres of theirs are not in the model, so it must stay below.
    """
    bus = vehicles.model("bus")
    kw = float(vehicles.shipped()["bus"].kwh_per_km(fit_energy.BUS_KMH)) * fit_energy.BUS_KMH
    mild, cold = (kw + float(climate_load(bus).power_kw(celsius(f))) for f in (55, 27))
    assert 0.25 < 1 - mild / cold < 0.378


def test_argonne_saw_the_city_cycle_nearly_double() -> None:
    """2012 Nissan Leaf with its 5 kW resistive heater at 20 F (Argonne, 2013): 3.2 kW."""
    wire = climate_load(vehicles.model("suv"))
    assert wire.power_kw(celsius(20)) / 1.1 == pytest.approx(3.2, rel=0.02)
