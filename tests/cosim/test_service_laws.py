"""Laws of demand response and reserve, each broken on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cosim.assets import Assets
from cosim.scenario import Scenario
from tests.cosim.test_audit import BATTERY_KWH, START, OneFeederAudit, add, busy_tick, first_tick
from tests.fakes import FACTS, IDS, TINY

SCENARIO = Scenario.model_validate(
    {
        **TINY,
        "fleet": {
            "vehicles": 3,
            "stations": {"count": 2, "level_2": 0.5, "dc_fast": 0, "v2g": 0.5},
        },
        "market": {
            "scarce_below_mw": 50,
            "reserve": {"requirement_kw": 5, "sustained_minutes": 60},
            "demand_response_calls": {"per_day": 1},
        },
    }
)
ASSETS = Assets.of(SCENARIO)
TWO_WAY = int(np.flatnonzero(ASSETS.stations.bidirectional)[0])
ONE_WAY = 1 - TWO_WAY
ACCOUNTS = len(IDS["account"])


def of_load(usd: float) -> Any:
    """Return what the load of each zone pays: 300, 300 and 400 of 1000 MW."""
    share = np.zeros(ACCOUNTS)
    share[1:4] = 0.3, 0.3, 0.4
    return usd * share


def answered() -> dict[str, Any]:
    """Return a busy tick in which an event of 1 USD/kWh is settled: 0.5 kWh before, 0.25 now."""
    paid = np.zeros(ACCOUNTS)
    paid[3] = 0.75
    return busy_tick() | {
        "plug_most_kw": np.array([9.5, 0.0, 0.0]),
        "response_pay_usd_per_mwh": np.array([1000.0]),
        "response_baseline_kw": np.array([9.0]),
        "response_delivered_kwh": np.array([3.0 / 12]),
        "response_settled_kwh": np.array([0.75]),
        "vehicle_response_usd": np.array([0.0, 0.75, 0.0]),
        "account_response_usd": paid,
    }


def held(kw: float = 5.0, station: int = 0) -> dict[str, Any]:
    """Return a busy tick in which vehicle 0, which draws 6 kW, is paid to hold reserve."""
    usd = kw * 100 / 12 / 1000
    return busy_tick() | {
        "vehicle_station": np.array([station, -1, -1], dtype=np.int32),
        "plug_least_kw": np.array([-9.0, 0.0, 0.0]),
        "reserve_mw": np.array(40.0),
        "reserve_price_usd_per_mw_h": np.array(100.0),
        "vehicle_reserve_kw": np.array([kw, 0.0, 0.0]),
        "vehicle_reserve_usd": np.array([usd, 0.0, 0.0]),
        "vehicle_called": np.array([True, False, False]),
        "account_reserve_usd": of_load(usd),
    }


def given() -> dict[str, Any]:
    """Return a tick in which that reserve was called from 10 kW, and 4 of 5 kW were given."""
    usd = 4 * 100 / 12 / 1000
    return held() | {
        "plug_power_kw": np.array([5.0, 0.0, 0.0]),
        "vehicle_reserve_delivered_kw": np.array([4.0, 0.0, 0.0]),
        "vehicle_reserve_usd": np.array([usd, 0.0, 0.0]),
        "account_reserve_usd": of_load(usd),
    }


def breaches(tick: dict[str, Any], **before: Any) -> dict[str, str]:
    """Return the laws of services that a tick breaks, and the culprit."""
    check = OneFeederAudit(SCENARIO, ASSETS, IDS, FACTS)
    check.take(4, first_tick() | {"feeder_base_kw": np.array(3096.0)})
    for name, value in before.items():
        setattr(check._before, name, value)
    return {
        b.law: b.where
        for b in check.breaches(5, tick)
        if "response" in b.law or "reserve" in b.law or "called" in b.law
    }


OPEN = {"response_open_kwh": np.array([0.5])}
CALLED = {
    "called": np.array([True, False, False]),
    "call_kw": np.array([5.0, 0.0, 0.0]),
}


def changed(tick: dict[str, Any], **by: tuple[int, float]) -> dict[str, Any]:
    """Return a tick in which some figures differ."""
    tick = dict(tick)
    for name, (index, amount) in by.items():
        tick[name] = tick[name].copy()
        tick[name][index] += amount
    return tick


def test_honest_ticks_pass() -> None:
    assert breaches(answered(), **OPEN) == {}
    assert breaches(held()) == {}
    assert breaches(given(), **CALLED) == {}
    assert breaches(add("vehicle_distance_km", 2, 0.0)) == {}


@pytest.mark.parametrize(
    ("law", "where", "by"),
    [
        ("response delivered = baseline", "feeder f00", {"response_delivered_kwh": (0, 0.01)}),
        # What nobody held back is not delivered, whatever the baseline says.
        ("response delivered = baseline", "feeder f00", {"plug_most_kw": (0, -1.0)}),
        ("response delivered = baseline", "feeder f00", {"response_baseline_kw": (0, -1.0)}),
        ("delivered so far", "feeder f00", {"response_settled_kwh": (0, 0.01)}),
        ("delivered so far", "feeder f00", {"response_open_kwh": (0, 0.01)}),
        ("pay for response", "the sum", {"vehicle_response_usd": (2, 0.01)}),
        ("response is paid by", "account load D", {"account_response_usd": (3, 0.01)}),
        ("response is paid by", "account operator", {"account_response_usd": (7, 0.01)}),
        # What is given as reserve is not paid as response too.
        ("response delivered = b", "feeder f00", {"vehicle_reserve_delivered_kw": (0, 1.0)}),
    ],
)
def test_broken_laws_of_demand_response(
    law: str, where: str, by: dict[str, tuple[int, float]]
) -> None:
    found = breaches(changed(answered(), **by), **OPEN)
    assert [found[name] for name in found if law in name] == [where]


@pytest.mark.parametrize(
    ("law", "where", "tick", "before"),
    [
        ("within what is asked for", "the sum", held(5.1), {}),
        ("only when scarce", "vehicle 0", held() | {"reserve_mw": np.array(50.1)}, {}),
        ("pay for reserve", "vehicle 0", changed(held(), vehicle_reserve_usd=(0, 0.01)), {}),
        ("paid by all load", "account load C", changed(held(), account_reserve_usd=(2, 0.01)), {}),
        ("asked to come down", "vehicle 0", changed(given(), plug_power_kw=(0, 0.1)), CALLED),
        # What is not given is not paid.
        ("pay for reserve", "vehicle 0", given() | {
            "vehicle_reserve_usd": held()["vehicle_reserve_usd"],
        }, CALLED),
    ],
)  # fmt: skip
def test_broken_laws_of_reserve(
    law: str, where: str, tick: dict[str, Any], before: dict[str, Any]
) -> None:
    found = breaches(tick, **before)
    assert [found[name] for name in found if law in name] == [where]


def test_called_vehicles_share_what_their_station_carries() -> None:
    called = CALLED | {"call_kw": np.array([-8.0, 0.0, 0.0])}
    rating_kw = ASSETS.stations.rating_kw[TWO_WAY]
    tick = given() | {"vehicle_station": np.array([TWO_WAY, TWO_WAY, -1], dtype=np.int32)}
    for others_kw, found in ((1.0, "vehicle 0"), (rating_kw - 5.0, None)):
        tick["plug_power_kw"] = np.array([-5.0, -others_kw, 0.0])
        law = "a called vehicle is asked to come down"
        assert breaches(tick, **called).get(law) == found


def test_what_is_held_must_be_there() -> None:
    def low(station: int, **before: Any) -> dict[str, str]:
        """Return what is broken where a vehicle that draws 1 kW holds 5."""
        tick = held(5.0, station) | {"vehicle_power_kw": np.array([1.0, 0, 0])}
        return breaches(tick, **before)

    assert low(TWO_WAY) == {}
    assert low(ONE_WAY) == {"reserve within port and vehicle": "vehicle 0"}
    assert low(TWO_WAY, discharge_limit_kw=np.full(3, 3.9)) == {
        "reserve within the battery's limit": "vehicle 0"
    }
    # An hour of 4 kW above the reserve of 10 %.
    enough = 0.1 + 4.5 / BATTERY_KWH
    assert low(TWO_WAY, soc=np.minimum(enough, START)) == {}
    law = "reserve lasts as long as it must above the battery's reserve"
    assert low(TWO_WAY, soc=enough - 1 / BATTERY_KWH) == {law: "vehicle 0"}
