"""What a scenario gets wrong of demand response and reserve, told before the run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import numpy as np

from adapters.market.baselines import TICKS_PER_DAY, earlier_days
from adapters.market.demand_response import Event, scheduled
from cosim.areas import feeder_ids
from cosim.errors import Problem, nearest
from cosim.scenario import Scenario
from cosim.signals import TICK_S

_FIELD = "market.demand_response"


def service_problems(scenario: Scenario) -> list[Problem]:
    """Return every problem of demand response and reserve."""
    return [*_market(scenario), *_feeders(scenario), *_times(scenario), *_days(scenario)]


def _market(scenario: Scenario) -> Iterator[Problem]:
    market = scenario.market
    reserve_kw = market.reserve.requirement_kw + market.reserve.extended_kw
    if market.kind != "five_bus":
        needs = f"needs market.kind: five_bus; {market.kind} has no reserve"
        for field, amount in (
            ("market.scarce_below_mw", market.scarce_below_mw),
            ("market.demand_response_calls.per_day", market.demand_response_calls.per_day),
            ("market.reserve.requirement_kw", reserve_kw),
        ):
            if amount:
                yield Problem(field, f"{amount:g}", needs)
        return
    if reserve_kw and market.bids == "on":
        reason = "needs market.bids: off: what the feeders' limits leave to a bid cannot be called"
        yield Problem("market.reserve.requirement_kw", f"{reserve_kw:g}", reason)
    if market.demand_response_calls.per_day and not market.scarce_below_mw:
        reason = "needs market.scarce_below_mw above 0: else nothing is ever scarce"
        calls = str(market.demand_response_calls.per_day)
        yield Problem("market.demand_response_calls.per_day", calls, reason)


def _feeders(scenario: Scenario) -> Iterator[Problem]:
    names = feeder_ids(scenario.grid.feeders)
    for place, asked in enumerate(scenario.market.demand_response):
        for name in asked.feeders:
            if name not in names:
                allowed = f"must be one of {', '.join(names)}"
                yield Problem(f"{_FIELD}.{place}.feeders", name, allowed, nearest(name, names))


def _moment(scenario: Scenario, tick: int) -> str:
    moment = scenario.start_time + timedelta(seconds=tick * TICK_S)
    return f"{moment:%Y-%m-%d %H:%M}"


def _times(scenario: Scenario) -> Iterator[Problem]:
    events = scheduled(scenario)
    begins = f"the run begins at {_moment(scenario, 0)}"
    for place, asked in enumerate(scenario.market.demand_response):
        mine = [event for at, event in events if at == place]
        field = f"{_FIELD}.{place}.start"
        if not mine:
            reason = f"must lie in the run with its notice: {begins} and ends at "
            yield Problem(field, asked.start, reason + _moment(scenario, scenario.ticks))
        elif mine[0].notice < 1:
            told = _moment(scenario, mine[0].notice)
            yield Problem(
                field, asked.start, f"must be told after the run begins, not at {told}: {begins}"
            )
        if any(event.end - event.start > TICKS_PER_DAY for event in mine):
            yield Problem(
                f"{_FIELD}.{place}.end", str(asked.end), "must be at most 24h after start"
            )
    for (one, first), (other, second) in _pairs(events):
        yield Problem(
            f"{_FIELD}.{other}.start",
            scenario.market.demand_response[other].start,
            f"must not meet {_FIELD}.{one} at the same feeder: both ask it at "
            f"{_moment(scenario, max(first.start, second.start))}",
        )


def _pairs(events: list[tuple[int, Event]]) -> list[tuple[tuple[int, Event], tuple[int, Event]]]:
    """Return the first meeting of every two entries; events come by their start."""
    found: dict[tuple[int, int], tuple[tuple[int, Event], tuple[int, Event]]] = {}
    for number, one in enumerate(events):
        for other in events[number + 1 :]:
            if other[1].start >= one[1].end:
                break
            if one[1].meets(other[1]):
                found.setdefault((one[0], other[0]), (one, other))
    return list(found.values())


def _days(scenario: Scenario) -> Iterator[Problem]:
    market = scenario.market
    if market.demand_response_baseline != "days":
        return
    field = "market.demand_response_baseline"
    if market.demand_response_calls.per_day and scenario.ticks <= TICKS_PER_DAY:
        yield Problem(
            field, "days", "needs an earlier day to call events; the run has one", "before"
        )
    taken = np.zeros((scenario.ticks, scenario.grid.feeders), dtype=np.bool_)
    for place, event in scheduled(scenario):
        times = scenario.start_time, event.notice, event.start, event.end
        alone = [
            at
            for at in event.feeders
            if event.notice > 0 and not earlier_days(*times, taken[:, at])
        ]
        if alone:
            reason = (
                f"needs an earlier day of the run, of the same sort and without an event, for "
                f"{_FIELD}.{place} at {_moment(scenario, event.start)}"
            )
            yield Problem(field, "days", reason, "before")
            return
        taken[event.start : event.end, list(event.feeders)] = True
