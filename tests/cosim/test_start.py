"""How full batteries are at the start, worked out by hand on a depot, homes and work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosim.assets import Assets
from cosim.scenario import Scenario
from cosim.start import soc_at_start

SCENARIO = Scenario.model_validate(
    {
        "duration": "1h",
        "fleet": {
            "vehicles": 30,
            "segments": {"ride_share": 1, "delivery": 1, "consumer": 1},
            "initial_soc": [0.5, 0.5],
        },
        "demand": {"delivery": {"depot_share": 0.5, "ports_per_vehicle": 0.8}},
    }
)
ASSETS = Assets.of(SCENARIO)
STATIONS = ASSETS.stations
CAME = replace(ASSETS.vehicles, initial_soc=np.full(30, 0.5), plug_in_soc=np.full(30, np.nan))
VAN, DRIVER = 10, int(20 + np.argmax(ASSETS.vehicles.private_station[20:, 0] >= 0))
KWH = CAME.per_vehicle("battery_kwh")
EFFICIENCY = CAME.per_vehicle("ac_charge_efficiency")


def soc(parked_s: float, vehicle: int, charge_to_soc: float = 0.9) -> float:
    found = soc_at_start(CAME, STATIONS, np.full(30, parked_s), charge_to_soc)
    return float(found[vehicle])


def test_a_driver_at_home_has_charged_with_the_power_of_the_charger() -> None:
    kw = min(7.2, CAME.per_vehicle("ac_charge_kw")[DRIVER])
    assert soc(3600.0, DRIVER) == pytest.approx(0.5 + kw * EFFICIENCY[DRIVER] / KWH[DRIVER])


def test_a_depot_shares_its_connection_and_its_ports() -> None:
    every_kw = np.minimum(11.5, CAME.per_vehicle("ac_charge_kw"))[10:20]
    kw = every_kw[VAN - 10]
    # Eight ports for ten vans would do, but the connection carries half of their power.
    part = 0.5 * 8 * 11.5 / every_kw.sum()
    expected = 0.5 + part * kw * EFFICIENCY[VAN] / KWH[VAN]
    assert soc(3600.0, VAN) == pytest.approx(expected)
    wide = replace(STATIONS, site_kw=STATIONS.site_kw * 4)
    found = soc_at_start(CAME, wide, np.full(30, 3600.0), 0.9)[VAN]
    assert found == pytest.approx(0.5 + 0.8 * kw * EFFICIENCY[VAN] / KWH[VAN])


@pytest.mark.parametrize(("parked_s", "expected"), [(0.0, 0.5), (np.inf, 0.9), (1e6, 0.9)])
def test_charging_begins_on_arrival_and_ends_at_the_target(
    parked_s: float, expected: float
) -> None:
    assert soc(parked_s, VAN) == soc(parked_s, DRIVER) == expected


def test_who_came_with_more_than_the_target_keeps_it() -> None:
    assert soc(1e6, VAN, charge_to_soc=0.4) == 0.5


def test_elsewhere_nobody_has_charged() -> None:
    assert soc(np.inf, 0) == 0.5, "ride-share vehicles have no charger"
    away = replace(CAME, home_edge=np.full(30, -5, np.int32))
    assert (soc_at_start(away, STATIONS, np.full(30, np.inf), 0.9) == 0.5).all()


def test_a_driver_above_the_habit_has_not_plugged_in() -> None:
    for habit, charged in ((0.49, False), (0.51, True)):
        drivers = replace(CAME, plug_in_soc=np.full(30, habit))
        found = soc_at_start(drivers, STATIONS, np.full(30, 3600.0), 0.9)[DRIVER]
        assert (found > 0.5) == charged


def test_vans_stand_at_the_depot_in_staggered_states() -> None:
    """A run that begins at 19 h finds vans that came back one after the other."""
    fields = SCENARIO.plain() | {"start": "2022-09-14 19:00"}
    evening = Assets.of(Scenario.model_validate(fields))
    vans = slice(10, 20)
    parked_h = evening.demand.parked_s[vans] / 3600
    assert ((parked_h > 0) & (parked_h < 8)).all()
    assert len(set(evening.vehicles.initial_soc[vans].tolist())) > 5
    order = np.argsort(parked_h)
    models = evening.vehicles.model[vans][order]
    charged = (evening.vehicles.initial_soc[vans] - 0.5)[order]
    for model in set(models.tolist()):
        assert (np.diff(charged[models == model]) >= 0).all(), "who came first has most"
