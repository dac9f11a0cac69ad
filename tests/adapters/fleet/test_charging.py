"""Ports: whose efficiency counts, how much may be drawn, and how much may be fed back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.fleet.charging import Chargers
from cosim.assets import Assets
from cosim.scenario import Scenario

AC, DC = 0.8, 0.95
"""Efficiencies far enough apart that neither passes for the other."""
LEVEL_2, DC_FAST, V2G = range(3)


def chargers(
    port_kw: tuple[float, float, float] = (7.2, 50.0, 11.5),
    ac_kw: float = 9.6,
    dc_kw: float = 19.0,
    v2g_kw: float = 8.0,
) -> Chargers:
    """Return one station of each kind and one vehicle with 60 kWh; reserve 10 %."""
    scenario = Scenario.model_validate({"fleet": {"vehicles": 1, "stations": {"count": 3}}})
    assets = Assets.of(scenario)
    spec = replace(
        assets.vehicles.specs[0],
        battery_kwh=60.0,
        ac_charge_kw=ac_kw,
        dc_charge_kw=dc_kw,
        v2g_discharge_kw=v2g_kw,
        ac_charge_efficiency=AC,
        dc_charge_efficiency=DC,
    )
    stations = replace(
        assets.stations,
        port_kw=np.array(port_kw),
        rating_kw=np.array(port_kw),
        site_kw=np.array(port_kw),
        site=np.arange(3, dtype=np.int32),
        ports=np.ones(3, dtype=np.int32),
        direct=np.array([False, True, True]),
        bidirectional=np.array([False, False, True]),
    )
    vehicles = replace(assets.vehicles, specs=(spec,), model=np.zeros(1, dtype=np.int8))
    return Chargers(replace(assets, vehicles=vehicles, stations=stations), reserve_soc=0.1)


def at(station: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array([station], dtype=np.int32)


def asked(
    found: Chargers, station: int, set_point_kw: float, soc: float, limit_kw: float = 100.0
) -> float:
    """Return what the vehicle asks for at a station, with a target of 90 %."""
    sustained = np.array([limit_kw])
    power_kw = found.ask(
        found.limits(at(station)),
        np.array([set_point_kw]),
        np.array([0.9]),
        np.array([soc]),
        sustained,
        sustained,
    )
    return float(power_kw[0])


@pytest.mark.parametrize(
    ("station", "efficiency"), [(LEVEL_2, AC), (DC_FAST, DC), (V2G, DC), (-1, 1.0)]
)
def test_the_onboard_charger_converts_ac_and_the_station_dc(
    station: int, efficiency: float
) -> None:
    assert chargers().limits(at(station)).efficiency.tolist() == [efficiency]


@pytest.mark.parametrize(
    ("station", "port_kw", "expected_kw"),
    [
        # The port binds.
        (LEVEL_2, (7.2, 50.0, 11.5), 7.2),
        (DC_FAST, (7.2, 12.0, 11.5), 12.0),
        (V2G, (7.2, 50.0, 11.5), 11.5),
        # The vehicle binds: its on-board charger in AC, 19 kW behind 95 % in DC.
        (LEVEL_2, (22.0, 50.0, 11.5), 9.6),
        (DC_FAST, (7.2, 50.0, 11.5), 20.0),
        (V2G, (7.2, 50.0, 30.0), 20.0),
    ],
)
def test_the_lesser_of_port_and_vehicle_limits(
    station: int, port_kw: tuple[float, float, float], expected_kw: float
) -> None:
    found = chargers(port_kw)
    assert found.limits(at(station)).limit_kw == pytest.approx([expected_kw])
    assert asked(found, station, 1000.0, 0.5) == pytest.approx(expected_kw)


@pytest.mark.parametrize(
    ("station", "v2g_kw", "expected_kw"),
    [
        (V2G, 8.0, -8.0),
        (V2G, 14.0, -11.5),
        (LEVEL_2, 8.0, 0.0),
        (DC_FAST, 8.0, 0.0),
        (-1, 8.0, 0.0),
    ],
)
def test_only_v2g_feeds_back_within_port_and_vehicle(
    station: int, v2g_kw: float, expected_kw: float
) -> None:
    found = chargers(v2g_kw=v2g_kw)
    assert found.limits(at(station)).floor_kw.tolist() == [expected_kw]
    assert asked(found, station, -1000.0, 0.5) == expected_kw


def test_losses_stand_between_grid_and_battery_both_ways() -> None:
    # The battery sustains 5 kW: more is drawn from the grid than that, and less is fed back.
    assert asked(chargers(), V2G, 1000.0, 0.5, limit_kw=5.0) == pytest.approx(5.0 / DC)
    assert asked(chargers(), V2G, -1000.0, 0.5, limit_kw=5.0) == pytest.approx(-5.0 * DC)
    assert asked(chargers(), LEVEL_2, 1000.0, 0.5, limit_kw=5.0) == pytest.approx(5.0 / AC)


def test_set_points_within_the_limits_are_followed() -> None:
    assert asked(chargers(), V2G, 3.0, 0.5) == 3.0
    assert asked(chargers(), V2G, -3.0, 0.5) == -3.0


def test_a_battery_at_its_target_still_feeds_back() -> None:
    assert asked(chargers(), V2G, 5.0, 0.9) == 0.0
    assert asked(chargers(), V2G, -5.0, 0.95) == -5.0


@pytest.mark.parametrize("soc", [0.0, 0.05, 0.1])
def test_nothing_is_fed_back_at_the_reserve(soc: float) -> None:
    assert asked(chargers(), V2G, -5.0, soc) == 0.0
    assert asked(chargers(), V2G, 5.0, soc) == 5.0


@given(
    soc=st.floats(0.1, 0.3),
    set_point_kw=st.floats(-50, 0),
    loss=st.floats(1.0, 1.99),
)
def test_feeding_back_never_passes_the_reserve(
    soc: float, set_point_kw: float, loss: float
) -> None:
    """`loss`: charge that leaves a worn pack over what the same energy takes when new."""
    found = chargers()
    for _ in range(12):
        power_kw = asked(found, V2G, set_point_kw, soc)
        soc += power_kw / DC / 12 / 60.0 * loss
        assert soc >= 0.1


def test_volt_watt_takes_its_share_of_a_station_in_one_direction() -> None:
    found = chargers()
    holds, asked_kw = at(V2G), np.array([8.0])
    nothing, half = np.zeros(3), np.array([0.0, 0.0, 0.5])
    assert found.share(holds, asked_kw, nothing, half) == pytest.approx([8.0])
    assert found.share(holds, asked_kw, half, nothing) == pytest.approx([11.5 / 2])
    assert found.share(holds, -asked_kw, nothing, half) == pytest.approx([-11.5 / 2])
    assert found.share(holds, -asked_kw, nothing, np.ones(3)) == pytest.approx([0.0])
    assert found.share(holds, np.array([5.0]), half, nothing) == pytest.approx([5.0])


@pytest.mark.parametrize(
    ("station", "soc", "times_an_hour", "expected"),
    [
        # 8 kW at the plug, for as long as half of the energy above 10 % lasts.
        (V2G, 0.9, 2, (-8.0, 0.0)),
        (V2G, 0.3, 2, (-8.0, 11.5)),
        (V2G, 0.2, 1, (-0.5 * 0.1 * 60 * DC, 11.5)),
        (V2G, 0.2, 12, (-8.0, 11.5)),
        # A tick of missing energy, whatever the time.
        (LEVEL_2, 0.895, 1, (0.0, 0.005 * 60 * 12 / AC)),
        (-1, 0.5, 1, (0.0, 0.0)),
    ],
)
def test_what_could_be_asked_for(
    station: int, soc: float, times_an_hour: float, expected: tuple[float, float]
) -> None:
    found = chargers()
    limits = np.array([0.9]), np.array([soc]), np.array([100.0]), np.array([100.0])
    least, most = found.reach(found.limits(at(station)), *limits, times_an_hour)
    assert (least[0], most[0]) == pytest.approx(expected)
