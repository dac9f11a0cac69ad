"""Each law is broken on purpose, and the audit names law, culprit, tick and both figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from cosim.assets import Assets
from cosim.audit import Audit
from cosim.checking import Breach
from cosim.errors import AuditError
from cosim.scenario import Scenario
from cosim.team import Status
from tests.fakes import FACTS, IDS, TINY, quiet_tick

SCENARIO = Scenario.model_validate(TINY)
ASSETS = Assets.of(SCENARIO)
START = ASSETS.vehicles.initial_soc
BATTERY_KWH = ASSETS.vehicles.per_vehicle("battery_kwh")
AC = ASSETS.vehicles.per_vehicle("ac_charge_efficiency")
DC = ASSETS.vehicles.per_vehicle("dc_charge_efficiency")
PRICE = 40.0


def first_tick() -> dict[str, Any]:
    """Return the tick before the busy one: nothing happens, the market carries its load."""
    return quiet_tick() | market() | {"vehicle_soc": START, "feeder_power_kw": np.array(3096.0)}


def market() -> dict[str, Any]:
    """Return a cleared market: 60 MW over a line whose ends differ by 30 USD/MWh."""
    prices = np.array([10.0, 10.0, 10.0, PRICE, 10.0])
    load, generation = np.array([0, 300.0, 300.0, 400.0, 0]), np.array([400.0, 600.0])
    return {
        "lmp_usd_per_mwh": prices,
        "bus_load_mw": load,
        "generator_mw": generation,
        "market_line_flow_mw": np.array([-400.0]),
        "market_line_shadow_usd_per_mwh": np.array([30.0]),
        "congestion_rent_usd": np.array(30.0 * 400.0 / 12),
        "station_price_usd_per_mwh": np.full(2, PRICE),
        **accounts(np.zeros(3)),
    }


def accounts(vehicle_kwh: Any) -> dict[str, Any]:
    """Return what everybody else drew and pays beside these vehicles at bus D."""
    load_kwh = np.array([0, 25e3, 25e3, 400e3 / 12 - np.sum(vehicle_kwh), 0])
    sold_kwh = np.array([400e3, 600e3]) / 12
    price = np.array([10.0, 10.0, 10.0, PRICE, 10.0, 10.0, 10.0])
    energy = np.concatenate([load_kwh, -sold_kwh, np.zeros(3)])
    paid = np.append(energy[:-3] * price / 1000, [-30.0 * 400.0 / 12, 0.0, 0.0])
    return {"account_kwh": energy, "account_usd": paid}


def moved(pack_kwh: Any, loss_kwh: Any = 0.0) -> dict[str, Any]:
    """Return what the battery says when this energy goes into the packs."""
    change = (np.asarray(pack_kwh) - loss_kwh) / BATTERY_KWH
    return {
        "pack_energy_kwh": np.asarray(pack_kwh) * 1.0,
        "pack_loss_kwh": np.broadcast_to(loss_kwh, 3).copy(),
        "pack_charge_ah": change * 5.0,
        "vehicle_soc": START + change,
    }


def busy_tick() -> dict[str, Any]:
    """Return a tick in which vehicle 0 charges 6 kW at station 0 and vehicle 2 drives 2 kWh."""
    power = np.array([6.0, 0.0, 0.0])
    traction = np.array([0.0, 0.0, 2.0])
    return (
        first_tick()
        | moved(power * AC / 12 - traction)
        | {
            "vehicle_status": np.array(
                [Status.PLUGGED, Status.IDLE, Status.SERVING], dtype=np.int8
            ),
            "vehicle_station": np.array([0, -1, -1], dtype=np.int32),
            "vehicle_traction_kwh": traction,
            "battery_traction_kwh": traction.copy(),
            "vehicle_distance_km": np.array([0.0, 0.0, 10.0]),
            "plug_efficiency": np.array([AC[0], 1.0, 1.0]),
            "vehicle_power_kw": power,
            "station_power_kw": np.array([6.0, 0.0]),
            "transformer_ev_kw": np.array([6.0, 0.0]),
            "station_draw_withheld": np.zeros(2),
            "station_feed_withheld": np.zeros(2),
            "feeder_base_kw": np.array(3000.0),
            "feeder_losses_kw": np.array(90.0),
            "vehicle_billed_kwh": power / 12,
            "vehicle_cost_usd": power / 12 * PRICE / 1000,
            **accounts(power / 12),
        }
    )


class OneFeederAudit(Audit):
    """An audit in which the one feeder has what all have, unless the tick says otherwise."""

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        super().take(tick, one_feeder_of(signals))

    def breaches(self, tick: int, signals: Mapping[str, Any]) -> Iterator[Breach]:
        return super().breaches(tick, one_feeder_of(signals))


def one_feeder_of(signals: Mapping[str, Any]) -> dict[str, Any]:
    of_one = {
        "feeder_head_kw": signals["feeder_power_kw"],
        "feeder_own_load_kw": signals["feeder_base_kw"],
        "feeder_own_losses_kw": signals["feeder_losses_kw"],
    }
    missing = {n: np.atleast_1d(v) for n, v in of_one.items() if not signals[n].any()}
    return {**signals, **missing}


def audit(scenario: Scenario = SCENARIO, **options: Any) -> Audit:
    return OneFeederAudit(scenario, ASSETS, IDS, FACTS, **options)


def after_first(**changes: Any) -> Audit:
    """Return an audit that has passed the tick before the busy one."""
    check = audit()
    check.take(4, first_tick() | {"feeder_base_kw": np.array(3096.0)} | changes)
    return check


def broken_laws(tick: dict[str, Any], check: Audit | None = None) -> list[str]:
    return [f"{b.law}: {b.where}" for b in (check or after_first()).breaches(5, tick)]


def test_an_honest_tick_passes() -> None:
    check = after_first()
    check.take(5, busy_tick())
    assert check.count == 0


def add(name: str, index: int | None, amount: float) -> dict[str, Any]:
    tick = busy_tick()
    if index is None:
        tick[name] = tick[name] + amount
    else:
        tick[name] = tick[name].copy()
        tick[name][index] += amount
    return tick


def one_feeder(name: str, value: float) -> dict[str, Any]:
    return busy_tick() | {name: np.array([value])}


BROKEN: list[tuple[str, str, dict[str, Any]]] = [
    ("traction energy from the battery", "vehicle 2", add("battery_traction_kwh", 2, -0.01)),
    ("traction energy from the battery", "vehicle 1", add("traction_shortfall_kwh", 1, 0.01)),
    ("does not drive", "vehicle 0", add("vehicle_distance_km", 0, 1.0)),
    ("feeder load of a station", "station 1", add("station_power_kw", 1, 0.01)),
    ("charger load that OpenDSS drew", "transformer t0", add("transformer_ev_kw", 0, 0.01)),
    ("billed energy = delivered", "vehicle 0", add("vehicle_billed_kwh", 0, 0.001)),
    ("efficiency of the charger", "vehicle 0", add("plug_efficiency", 0, 0.1)),
    ("energy into the pack = charged", "vehicle 0", add("pack_energy_kwh", 0, 0.001)),
    ("less traction and heating", "vehicle 0", add("pack_heater_kwh", 0, 0.001)),
    ("state of charge = its integral", "vehicle 1", add("vehicle_soc", 1, 4e-6)),
    ("goes with its state of charge", "vehicle 1", add("pack_loss_kwh", 1, 0.01)),
    ("power into the feeder", "the sum", add("feeder_losses_kw", None, 5.0)),
    ("power into each feeder", "feeder f00", one_feeder("feeder_own_load_kw", 3000.5)),
    ("power into each feeder", "feeder f00", one_feeder("feeder_own_losses_kw", 90.5)),
    ("power of all feeders", "the sum", one_feeder("feeder_head_kw", 3096.01)),
    ("generation = load", "the sum", add("generator_mw", 1, 0.1)),
    ("bill = energy", "vehicle 0", add("vehicle_cost_usd", 0, 0.01)),
    ("price at a station", "station 1", add("station_price_usd_per_mwh", 1, 0.01)),
    ("congestion rent = flow", "the sum", add("congestion_rent_usd", None, 0.1)),
    ("shadow price of its line", "the sum", add("market_line_shadow_usd_per_mwh", 0, 0.1)),
    ("change of load at a bus", "zone D", add("bus_load_mw", 3, 1.0)),
    ("energy of a party", "account load D", add("account_kwh", 3, 0.5)),
    ("energy of a party", "account g1", add("account_kwh", 6, 0.5)),
    ("payment of a party", "account load C", add("account_usd", 2, 0.01)),
    ("payment of a party", "account g0", add("account_usd", 5, 0.01)),
    ("payment of a party", "account operator", add("account_usd", 7, 0.01)),
    ("payment of a party", "account feeders", add("account_usd", 8, 0.01)),
    ("payment of a party", "account limits", add("account_usd", 9, 0.01)),
    ("pay for limits", "vehicle 0", add("vehicle_limits_usd", 0, 0.01)),
    ("price at a station", "station 1", add("station_voltage_usd_per_mwh", 1, 0.01)),
    ("price at a bus", "bus 650.2", add("dlmp_usd_per_mwh", 1, 1e-7)),
    ("price at a bus", "bus 650.2", add("dlmp_voltage_usd_per_mwh", 1, 1e-7)),
    ("price of congestion", "bus 650.3", add("dlmp_line_usd_per_mwh", 2, 1e-7)),
    ("price at a station", "station 0", add("station_marginal_loss", 0, 0.001)),
    ("payments sum to zero", "the sum", add("account_usd", 7, 0.01)),
    ("payments sum to zero", "the sum", add("vehicle_cost_usd", 2, 0.01)),
    (
        "holds a port only while plugged in",
        "vehicle 0",
        busy_tick() | {"vehicle_status": np.zeros(3, dtype=np.int8)},
    ),
]


@pytest.mark.parametrize(("law", "where", "tick"), BROKEN, ids=[f"{b[0]}: {b[1]}" for b in BROKEN])
def test_a_broken_law_is_named(law: str, where: str, tick: dict[str, Any]) -> None:
    found = [b for b in after_first().breaches(5, tick) if law in b.law]
    assert [b.where for b in found] == [where]
    assert found[0].found != found[0].expected
    with pytest.raises(AuditError, match="at tick 5"):
        after_first().take(5, tick)


def test_sums_are_checked_too() -> None:
    # Each vehicle is within its tolerance; together they are not.
    tick = busy_tick()
    little = np.array([0.9e-6, 0.9e-6, 2.9e-6])
    tick["battery_traction_kwh"] = tick["battery_traction_kwh"] + little
    tick["pack_energy_kwh"] = tick["pack_energy_kwh"] - little
    assert broken_laws(tick) == ["traction energy from the batteries = energy of driving: the sum"]
    tick = busy_tick()
    tick["vehicle_billed_kwh"] = tick["vehicle_billed_kwh"] + 0.9e-6
    tick["vehicle_cost_usd"] = tick["vehicle_billed_kwh"] * PRICE / 1000
    tick |= accounts(tick["vehicle_billed_kwh"])
    assert broken_laws(tick) == [
        "billed energy = energy that the feeder carried to chargers: the sum"
    ]


def test_a_battery_falls_short_only_at_its_limit() -> None:
    short = np.array([0.0, 0.0, 1.5])
    given = np.array([0.0, 0.0, 0.5])
    tick = busy_tick() | moved(np.array([0.5 * AC[0], 0.0, -0.5]))
    tick |= {"battery_traction_kwh": given, "traction_shortfall_kwh": short}
    law = "a battery falls short only at its limit: vehicle 2"
    # 50 kW would have given 4.2 kWh: the shortfall is a lie. At 6 kW it is the truth.
    assert broken_laws(tick) == [law]
    weak = after_first(vehicle_discharge_limit_kw=np.full(3, 6.0))
    assert broken_laws(tick, weak) == []


def plugged(power_kw: float, station: int = 0, efficiency: Any = AC) -> dict[str, Any]:
    """Return a tick in which only vehicle 0 exchanges power, honestly booked everywhere."""
    power = np.array([power_kw, 0.0, 0.0])
    direct = np.where(power >= 0, power * efficiency, power / efficiency)
    stations = np.zeros(2)
    stations[station] = power_kw
    return busy_tick() | moved(direct / 12) | {
        "vehicle_traction_kwh": np.zeros(3),
        "battery_traction_kwh": np.zeros(3),
        "vehicle_station": np.array([station, -1, -1], dtype=np.int32),
        "vehicle_power_kw": power,
        "station_power_kw": stations,
        "transformer_ev_kw": stations.copy(),
        "station_draw_withheld": np.zeros(2),
        "station_feed_withheld": np.zeros(2),
        "feeder_base_kw": np.array(3006.0 - power_kw),
        "vehicle_billed_kwh": power / 12,
        "vehicle_cost_usd": power / 12 * PRICE / 1000,
        **accounts(power / 12),
    }  # fmt: skip


def test_a_port_gives_no_more_than_its_plate_whatever_the_fleet_says() -> None:
    assert broken_laws(plugged(7.2)) == []
    tick = plugged(7.3) | {"plug_limit_kw": np.full(3, 100.0)}
    assert broken_laws(tick) == ["charging power within port and vehicle: vehicle 0"]


def test_a_station_keeps_to_what_volt_watt_leaves_of_its_rating() -> None:
    withheld = after_first(station_draw_withheld=np.array([0.6, 0.0]))
    # Two ports of 7.2 kW.
    assert broken_laws(plugged(5.7), withheld) == []
    law = "station draws within what volt-watt leaves: station 0"
    assert broken_laws(plugged(5.8), withheld) == [law]
    other_way = after_first(station_feed_withheld=np.array([1.0, 0.0]))
    assert broken_laws(plugged(7.2), other_way) == []


BIDS = Scenario.model_validate(TINY | {"market": {"bids": "on"}, "run": {"audit": "record"}})


@pytest.mark.parametrize(
    ("cleared_kw", "station", "broken"),
    [
        (6.0, 0, False),
        (5.9, 0, True),
        (-6.0, 0, True),
        # Cleared at another station.
        (6.0, 1, True),
        (6.0, -1, True),
    ],
)
def test_a_vehicle_keeps_to_what_was_cleared_for_it(
    cleared_kw: float, station: int, broken: bool
) -> None:
    check = OneFeederAudit(BIDS, ASSETS, IDS, FACTS)
    before = first_tick() | {
        "feeder_base_kw": np.array(3096.0),
        "vehicle_cleared_kw": np.array([cleared_kw, 0.0, 0.0]),
        "vehicle_station": np.array([station, -1, -1], dtype=np.int32),
    }
    check.take(4, before)
    law = "a vehicle draws no more than was cleared: vehicle 0"
    assert broken_laws(plugged(6.0), check) == ([law] if broken else [])


def test_nothing_is_cleared_before_the_first_tick() -> None:
    check = OneFeederAudit(BIDS, ASSETS, IDS, FACTS)
    law = "a vehicle draws no more than was cleared: vehicle 0"
    assert broken_laws(plugged(6.0), check) == [law]


def test_what_limits_add_to_prices_is_paid_to_their_account() -> None:
    tick = busy_tick()
    # 20 USD/MWh of transformers at station 0, half a kilowatt-hour there.
    tick["station_transformer_usd_per_mwh"] = np.array([20.0, 0.0])
    tick["station_price_usd_per_mwh"] = np.array([PRICE + 20.0, PRICE])
    tick["vehicle_limits_usd"] = np.array([0.01, 0.0, 0.0])
    tick["vehicle_cost_usd"] = tick["vehicle_cost_usd"] + tick["vehicle_limits_usd"]
    tick["account_usd"] = tick["account_usd"] - 0.01 * (np.arange(10) == 9)
    assert broken_laws(tick) == []
    elsewhere = tick["account_usd"] + 0.01 * (np.arange(10) == 9) - 0.01 * (np.arange(10) == 8)
    assert broken_laws(tick | {"account_usd": elsewhere}) == [
        "payment of a party = its energy at its price: account feeders"
    ]


def test_a_level_2_port_feeds_nothing_back() -> None:
    tick = plugged(-1.0) | {"plug_floor_kw": np.full(3, -100.0)}
    assert broken_laws(tick) == ["feeding power within port and vehicle: vehicle 0"]


V2G = Scenario.model_validate(
    TINY
    | {"fleet": {"vehicles": 3, "stations": {"count": 2, "level_2": 0, "dc_fast": 0, "v2g": 1}}}
)


def test_feeding_back_loses_on_the_way_out_too() -> None:
    check = OneFeederAudit(V2G, Assets.of(V2G), IDS, FACTS)
    check.take(4, first_tick() | {"feeder_base_kw": np.array(3096.0)})
    tick = plugged(-5.0, efficiency=DC) | {"plug_efficiency": np.array([DC[0], 1.0, 1.0])}
    assert broken_laws(tick, check) == []
    wrong = tick | moved(np.array([-5.0 * DC[0] / 12, 0.0, 0.0]))
    assert broken_laws(wrong, check) == [
        "energy into the pack = charged behind losses less traction and heating: vehicle 0"
    ]
    assert broken_laws(plugged(-12.0, efficiency=DC) | {
        "plug_efficiency": np.array([DC[0], 1.0, 1.0])
    }, check) == [
        "feeding power within port and vehicle: vehicle 0",
        "station power within its rating: station 0",
        "site power within its limit: site s0",
    ]  # fmt: skip


@pytest.mark.parametrize(("cleared_kw", "broken"), [(-5.0, False), (-4.9, True), (5.0, True)])
def test_a_vehicle_feeds_back_no_more_than_was_cleared(cleared_kw: float, broken: bool) -> None:
    plain = {**V2G.plain(), "market": {"bids": "on"}, "run": {"audit": "record"}}
    scenario = Scenario.model_validate(plain)
    check = OneFeederAudit(scenario, Assets.of(scenario), IDS, FACTS)
    before = first_tick() | {
        "feeder_base_kw": np.array(3096.0),
        "vehicle_cleared_kw": np.array([cleared_kw, 0.0, 0.0]),
        "vehicle_station": np.array([0, -1, -1], dtype=np.int32),
    }
    check.take(4, before)
    tick = plugged(-5.0, efficiency=DC) | {"plug_efficiency": np.array([DC[0], 1.0, 1.0])}
    law = "a vehicle feeds back no more than was cleared: vehicle 0"
    assert broken_laws(tick, check) == ([law] if broken else [])


def test_ports_and_station_ratings_hold() -> None:
    power = np.full(3, 7.2)
    crowd = plugged(7.2) | moved(power * AC / 12) | {
        "vehicle_status": np.full(3, Status.PLUGGED, dtype=np.int8),
        "vehicle_station": np.zeros(3, dtype=np.int32),
        "vehicle_distance_km": np.zeros(3),
        "plug_efficiency": AC,
        "vehicle_power_kw": power,
        "station_power_kw": np.array([21.6, 0.0]),
        "transformer_ev_kw": np.array([21.6, 0.0]),
        "station_draw_withheld": np.zeros(2),
        "station_feed_withheld": np.zeros(2),
        "feeder_base_kw": np.array(3006.0 - 21.6),
        "vehicle_billed_kwh": power / 12,
        "vehicle_cost_usd": power / 12 * PRICE / 1000,
        **accounts(power / 12),
    }  # fmt: skip
    assert broken_laws(crowd) == [
        "station power within its rating: station 0",
        "site power within its limit: site s0",
        "a port holds one vehicle: station 0",
    ]


@pytest.mark.parametrize(
    ("limit", "law"),
    [
        ("vehicle_charge_limit_kw", "power into the battery within its limit: vehicle 0"),
        ("vehicle_discharge_limit_kw", "power from the battery within its limit: vehicle 2"),
    ],
)
def test_the_limits_that_the_battery_foresaw_hold(limit: str, law: str) -> None:
    assert broken_laws(busy_tick(), after_first(**{limit: np.full(3, 2.0)})) == [law]


def test_energy_that_leaves_without_the_state_of_charge_is_seen() -> None:
    tick = busy_tick() | {"vehicle_soc": START, "pack_charge_ah": np.zeros(3)}
    law = "energy into the pack less losses goes with its state of charge: vehicle 2"
    assert broken_laws(tick) == [law]


def test_a_slow_drift_of_the_state_of_charge_is_seen() -> None:
    check = after_first()

    def drift() -> None:
        for tick in range(5, 1000):
            still = first_tick() | {"feeder_base_kw": np.array(3096.0)}
            check.take(tick, still | {"vehicle_soc": START + 3e-7 * (tick - 4)})

    with pytest.raises(AuditError, match="since the start"):
        drift()


def test_ageing_may_move_the_state_of_charge_by_what_it_takes() -> None:
    tick = busy_tick()
    tick["vehicle_soc"] = tick["vehicle_soc"] - np.array([0.0, 0.8e-5, 0.0])
    assert len(broken_laws(tick)) == 2
    tick["vehicle_soh"] = tick["vehicle_soh"] - np.array([0.0, 1e-5, 0.0])
    assert broken_laws(tick) == []


def test_recuperation_that_a_full_battery_refuses_goes_into_the_brakes() -> None:
    tick = busy_tick()
    tick["vehicle_traction_kwh"] = np.array([0.0, -0.5, 2.0])
    tick["battery_traction_kwh"] = np.array([0.0, -0.1, 2.0])
    tick |= moved(np.array([6.0 * AC[0] / 12, 0.1, -2.0]))
    assert broken_laws(tick) == []


def test_a_nan_is_a_breach() -> None:
    with pytest.raises(AuditError, match="transformer t1"):
        after_first().take(5, add("transformer_ev_kw", 1, np.nan))


def test_breaches_can_be_recorded_instead() -> None:
    noted: list[tuple[int, dict[str, Any]]] = []
    recording = Scenario.model_validate(TINY | {"run": {"audit": "record"}})
    check = audit(recording, note=lambda tick, event: noted.append((tick, event)))
    check.take(4, add("battery_traction_kwh", 2, -0.01))
    assert check.count == len(noted) == 3
    tick, event = noted[0]
    assert (tick, event["vehicle"], event["kind"]) == (4, 2, "audit_breach")
    assert event["value"] == pytest.approx(1.99)
    assert event["limit"] == pytest.approx(2.0)
