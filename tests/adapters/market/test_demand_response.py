"""Events of demand response: baselines worked out by hand, what is delivered, who is paid."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapters.market import baselines
from adapters.market.demand_response import DemandResponse, ResponseTick, scheduled
from cosim.scenario import Scenario

MONDAY = "2022-09-12"
DAY = 288


def scenario(**market: Any) -> Scenario:
    fields = {"start": MONDAY, "duration": "24h", "grid": {"feeders": 2}}
    changed = {name: market.pop(name) for name in list(market) if name in fields}
    return Scenario.model_validate(fields | changed | {"market": market})


def evening(**changes: Any) -> dict[str, Any]:
    """Return an event of half an hour at 17:00, known at 16:00."""
    return {"start": "17:00", "minutes": 30, "pay_usd_per_mwh": 1000.0} | changes


START = 17 * 12


class Fleet:
    """Two vehicles at each of two feeders, which draw what they are told."""

    def __init__(self, case: Scenario) -> None:
        self.programme = DemandResponse(case, 4)
        self.feeder = np.array([0, 0, 1, 1])
        self.most_kw = np.full(4, 10.0)

    def steps(self, first: int, end: int, *kw: float) -> list[ResponseTick]:
        power = np.array(kw)
        return [self.programme.step(t, power, self.most_kw, self.feeder) for t in range(first, end)]


def test_the_baseline_before_is_the_mean_of_the_hour_before_the_notice() -> None:
    load = np.arange(40.0)
    nothing = np.zeros(40, dtype=bool)
    assert baselines.before(load, 30, nothing) == pytest.approx(np.mean(range(18, 30)))
    # A run that is younger has less, and another event in that hour does not count.
    assert baselines.before(load, 3, nothing) == pytest.approx(1.0)
    taken = nothing.copy()
    taken[20:28] = True
    assert baselines.before(load, 30, taken) == pytest.approx(np.mean([*range(10, 20), 28, 29]))
    assert baselines.before(load, 5, np.ones(40, dtype=bool)) == 0.0


def test_days_of_the_same_sort_without_an_event() -> None:
    tuesday = datetime(2022, 9, 13)
    nothing = np.zeros(30 * DAY, dtype=bool)
    # Friday the 23rd, 17:00: eight working days before it since the run began.
    start = 10 * DAY + START
    event = (start - 12, start, start + 6)
    assert list(baselines.earlier_days(tuesday, *event, nothing)) == [1, 2, 3, 4, 7, 8, 9, 10]
    taken = nothing.copy()
    taken[start - 2 * DAY + 3] = True
    assert 2 not in baselines.earlier_days(tuesday, *event, taken)
    # The whole time that is compared must lie in the run: from 13:00 here.
    assert baselines.earlier_days(datetime(2022, 9, 12, 13), DAY + 40, DAY + 48, DAY + 50, nothing)
    short = baselines.earlier_days(datetime(2022, 9, 12, 13), DAY + 40, DAY + 47, DAY + 50, nothing)
    assert not short
    later = 24 * DAY + START
    assert len(baselines.earlier_days(tuesday, later - 12, later, later + 6, nothing)) == 10
    saturday = later + DAY
    found = baselines.earlier_days(tuesday, saturday - 12, saturday, saturday + 6, nothing)
    assert list(found) == [6, 7, 13, 14, 20, 21]


@pytest.mark.parametrize(("today", "factor"), [(1.1, 1.1), (1.5, 1.2), (0.95, 0.95), (0.1, 0.8)])
def test_the_baseline_of_days_moves_with_the_day_itself_by_a_fifth(
    today: float, factor: float
) -> None:
    usual = 50 + 10 * np.sin(np.arange(DAY) / 30)
    load = np.concatenate([usual, 3 * usual, today * 2 * usual])
    start = 2 * DAY + START
    found = baselines.of_days(load, start - 12, start, start + 6, [1, 2])
    # The mean of once and three times the usual.
    assert found == pytest.approx(2 * factor * usual[START : START + 6])
    # An event known since noon: what is drawn after that moves nothing.
    load[2 * DAY + 12 * 12 :] = 1e6
    found = baselines.of_days(load, 2 * DAY + 144, start, start + 6, [1, 2])
    assert found == pytest.approx(2 * factor * usual[START : START + 6])


def test_an_event_worked_out_by_hand() -> None:
    fleet = Fleet(scenario(demand_response=[evening(feeders=["f00"])]))
    fleet.steps(0, START - 12, 6.0, 2.0, 5.0, 5.0)
    # Charging more after the notice moves no baseline.
    fleet.steps(START - 12, START, 10.0, 10.0, 5.0, 5.0)
    quiet, *_ = fleet.steps(START, START + 1, 2.0, 0.0, 0.0, 0.0)
    assert quiet.baseline_kw.tolist() == [8.0, 0.0]
    assert quiet.pay_usd_per_mwh.tolist() == [1000.0, 0.0]
    assert quiet.delivered_kwh == pytest.approx([6 / 12, 0])
    assert quiet.open_kwh == pytest.approx([0.5, 0])
    assert quiet.vehicle_usd.tolist() == [0, 0, 0, 0]
    # Two ticks above the baseline count against it.
    fleet.steps(START + 1, START + 3, 8.0, 2.0, 0.0, 0.0)
    last = fleet.steps(START + 3, START + 6, 2.0, 0.0, 0.0, 0.0)[-1]
    net_kwh = (4 * 6 - 2 * 2) / 12
    assert last.settled_kwh == pytest.approx([net_kwh, 0])
    assert last.open_kwh == pytest.approx([0, 0])
    assert last.paid_usd == pytest.approx([net_kwh, 0])  # 1 USD/kWh
    # They held back 8 and 10 of what they could have drawn.
    assert last.vehicle_usd == pytest.approx([net_kwh * 8 / 18, net_kwh * 10 / 18, 0, 0])
    (told,) = last.happened
    assert (told["kind"], told["place"], told["start_s"]) == ("demand_response", "f00", START * 300)
    assert (told["energy_kwh"], told["limit"]) == (pytest.approx(net_kwh), pytest.approx(4.0))
    after = fleet.steps(START + 6, START + 7, 0.0, 0.0, 0.0, 0.0)[0]
    assert not after.pay_usd_per_mwh.any()
    assert not after.delivered_kwh.any()


def test_who_drove_away_delivers_nothing() -> None:
    fleet = Fleet(scenario(demand_response=[evening()]))
    fleet.steps(0, START, 8.0, 8.0, 8.0, 8.0)
    fleet.feeder = np.array([-1, -1, 1, -1])
    fleet.most_kw = np.array([0, 0, 10.0, 0])
    done = fleet.steps(START, START + 6, 0.0, 0.0, 7.0, 0.0)
    # One vehicle could have drawn 3 kW more, where the baseline is 9 kW above.
    assert done[0].baseline_kw.tolist() == [16.0, 16.0]
    assert done[0].delivered_kwh == pytest.approx([0, 3 / 12])
    assert done[-1].paid_usd == pytest.approx([0, 1.5])
    assert done[-1].vehicle_usd == pytest.approx([0, 0, 1.5, 0])


def test_who_draws_more_than_usual_pays_nothing() -> None:
    fleet = Fleet(scenario(demand_response=[evening()]))
    fleet.steps(0, START, 1.0, 1.0, 0.0, 0.0)
    last = fleet.steps(START, START + 6, 9.0, 9.0, 0.0, 0.0)[-1]
    assert last.settled_kwh == pytest.approx([-8, 0])
    assert not last.paid_usd.any()
    assert not last.vehicle_usd.any()


def test_what_is_fed_back_is_below_the_baseline_too() -> None:
    fleet = Fleet(scenario(demand_response=[evening()]))
    fleet.steps(0, START, 2.0, 0.0, 0.0, 0.0)
    done = fleet.steps(START, START + 1, -6.0, 0.0, 0.0, 0.0)[0]
    assert done.delivered_kwh == pytest.approx([8 / 12, 0])


def test_the_run_ends_within_an_event() -> None:
    case = scenario(duration="17h15min", demand_response=[evening()])
    fleet = Fleet(case)
    fleet.steps(0, START, 8.0, 0.0, 0.0, 0.0)
    last = fleet.steps(START, START + 3, 0.0, 0.0, 0.0, 0.0)[-1]
    assert last.settled_kwh == pytest.approx([2, 0])
    assert last.vehicle_usd.sum() == pytest.approx(2)
    # So does what it is compared with.
    assert [event["limit"] for event in last.happened] == pytest.approx([2, 0])


def test_what_is_known_and_when() -> None:
    programme = DemandResponse(scenario(demand_response=[evening(feeders=["f01"])]), 1)
    idle = np.zeros(1), np.zeros(1), np.array([-1])
    known: dict[int, list[float]] = {}
    told: dict[int, str] = {}
    for tick in range(START + 8):
        programme.step(tick, *idle)
        outlook, events = programme.outlook(tick)
        assert outlook.begin_s[0] == -1
        known[tick] = [outlook.begin_s[1], outlook.end_s[1], outlook.pay_usd_per_mwh[1]]
        for event in events:
            told[tick] = event["place"]
    at = [START * 300.0, (START + 6) * 300.0, 1000.0]
    assert told == {START - 13: "f01"}
    assert [t for t in known if known[t] == at] == list(range(START - 13, START + 5))
    assert all(known[t] == [-1, -1, 0] for t in known if known[t] != at)


def test_events_of_every_day_and_of_moments() -> None:
    asked = [
        evening(start="23:30", end="00:30", minutes=None),
        evening(start="2022-09-13 08:00", end="2022-09-13 09:30", minutes=None),
        evening(start="00:30"),
    ]
    found = scheduled(scenario(duration="48h", demand_response=asked))
    # The first night's 00:30 would have been told before the run began.
    assert [(place, e.start, e.end) for place, e in found] == [
        (0, 282, 294),
        (2, 294, 300),
        (1, DAY + 96, DAY + 114),
        (0, DAY + 282, DAY + 294),
    ]


def test_calls_are_limited_by_the_day_and_by_other_events() -> None:
    calls = {"per_day": 1, "minutes": 30, "notice_minutes": 10, "pay_usd_per_mwh": 500.0}
    case = scenario(duration="48h", demand_response_calls=calls, demand_response=[evening()])
    fleet = Fleet(case)
    fleet.steps(0, START - 5, 5.0, 0.0, 0.0, 0.0)
    # It would run into the scheduled one.
    assert not fleet.programme.call(START - 6)
    fleet.steps(START - 5, START + 6, 5.0, 0.0, 0.0, 0.0)
    (told,) = fleet.programme.call(START + 5)
    assert (told["start_s"], told["value"]) == ((START + 8) * 300, 500.0)
    outlook, _ = fleet.programme.outlook(START + 5)
    assert outlook.begin_s.tolist() == [(START + 8) * 300.0] * 2
    done = fleet.steps(START + 6, START + 14, 0.0, 0.0, 0.0, 0.0)
    assert [d.pay_usd_per_mwh[0] for d in done] == [0, 0, *[500.0] * 6]
    assert not fleet.programme.call(START + 13)
    fleet.steps(START + 14, DAY + 1, 5.0, 0.0, 0.0, 0.0)
    assert fleet.programme.call(DAY)


def test_no_call_before_there_are_days_to_compare_with() -> None:
    calls = {"per_day": 5}
    case = scenario(duration="72h", demand_response_calls=calls, demand_response_baseline="days")
    fleet = Fleet(case)
    fleet.steps(0, START, 5.0, 5.0, 0.0, 0.0)
    assert not fleet.programme.call(START - 1)
    fleet.steps(START, DAY + START, 10.0, 5.0, 0.0, 0.0)
    assert fleet.programme.call(DAY + START - 1)
    done = fleet.steps(DAY + START, DAY + START + 1, 0.0, 0.0, 0.0, 0.0)[0]
    # Of the day before, 15 kW; today's 15 kW over its 15 kW from 13:00 to 16:00 was 10.
    assert done.baseline_kw == pytest.approx([15 * 1.2, 0])


def _kw(shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[np.float64]]:
    return st.integers(0, 2**32 - 1).map(lambda n: np.random.default_rng(n).uniform(-8, 10, shape))


@settings(deadline=None, max_examples=40)
@given(kw=_kw((24, 4)), spare=_kw((24, 4)), seed=st.integers(0, 1000))
def test_what_is_delivered_is_bounded_and_all_of_the_pay_reaches_vehicles(
    kw: NDArray[np.float64], spare: NDArray[np.float64], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    event = {"start": f"{MONDAY} 01:00", "minutes": 45, "notice_minutes": 15}
    programme = DemandResponse(scenario(duration="2h", demand_response=[event]), 4)
    open_kwh, vehicle_usd, paid_usd = np.zeros(2), 0.0, 0.0
    for tick in range(24):
        feeder = rng.integers(-1, 2, 4)
        power = np.where(feeder >= 0, kw[tick], 0.0)
        most = np.where(feeder >= 0, power + np.maximum(spare[tick], 0), 0.0)
        done = programme.step(tick, power, most, feeder)
        for at in range(2):
            held = (most - power)[feeder == at].sum() / 12
            below = done.baseline_kw[at] - power[feeder == at].sum()
            limit = min(held, below / 12) if done.pay_usd_per_mwh[at] else 0.0
            assert done.delivered_kwh[at] == pytest.approx(limit, abs=1e-9)
        assert open_kwh + done.delivered_kwh == pytest.approx(done.open_kwh + done.settled_kwh)
        open_kwh = done.open_kwh
        assert done.paid_usd == pytest.approx(2 * np.maximum(done.settled_kwh, 0))
        assert (done.vehicle_usd >= 0).all()
        vehicle_usd += done.vehicle_usd.sum()
        paid_usd += done.paid_usd.sum()
    assert vehicle_usd == pytest.approx(paid_usd)
