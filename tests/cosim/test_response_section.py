"""What scenario files say wrong of demand response and reserve."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim import loading
from tests.cosim.test_market_section import problems


def test_an_event_has_one_end_and_lies_in_the_run(tmp_path: Path) -> None:
    text = """
        duration: 24h
        market:
          demand_response:
            - {start: "17:00"}
            - {start: "17:00", minutes: 30, end: "18:00"}
            - {start: "17:00", end: "2022-09-14 18:00"}
            - {start: "2022-09-14 18:00", end: "2022-09-14 17:00"}
            - {start: "17:00", minutes: 7}
            - {start: "17:00", minutes: 30, pay_usd_per_mwh: 0}
    """
    found = problems(tmp_path, text)
    for place, words in enumerate(
        (
            "needs end or minutes, one of them",
            "needs end or minutes, one of them",
            "must both be moments, or both times of day",
            "start must be before end",
            "must be a multiple of 5",
            "must be more than 0",
        )
    ):
        assert any(f"market.demand_response.{place}" in p and words in p for p in found), words
    text = """
        duration: 24h
        market:
          demand_response:
            - {start: "2022-09-15 08:00", minutes: 30}
            - {start: "2022-09-14 00:30", minutes: 30}
            - {start: "00:30", minutes: 30}
            - {start: "2022-09-14 17:00", minutes: 30, feeders: [f01]}
    """
    assert problems(tmp_path, text) == [
        "market.demand_response.3.feeders is f01: must be one of f00. Did you mean f00?",
        "market.demand_response.0.start is 2022-09-15 08:00: must lie in the run with its notice: "
        "the run begins at 2022-09-14 00:00 and ends at 2022-09-15 00:00.",
        "market.demand_response.1.start is 2022-09-14 00:30: must be told after the run begins, "
        "not at 2022-09-13 23:30: the run begins at 2022-09-14 00:00.",
        "market.demand_response.2.start is 00:30: must lie in the run with its notice: "
        "the run begins at 2022-09-14 00:00 and ends at 2022-09-15 00:00.",
    ]


def test_a_list_of_events_is_of_any_length(tmp_path: Path) -> None:
    assert problems(tmp_path, "market: {demand_response: 5}") == [
        "market.demand_response is 5: must be a list."
    ]


def test_two_events_do_not_ask_the_same_feeder_at_once(tmp_path: Path) -> None:
    events = """
          demand_response:
            - {start: "17:00", minutes: 60, feeders: [f00]}
            - {start: "2022-09-14 17:30", minutes: 60, feeders: [f01]}
    """
    head = "duration: 48h\ngrid: {feeders: 2}\nmarket:"
    loading.check(loading.plain_yaml.parse(head + events), "here")
    (wrong,) = problems(tmp_path, head + events.replace("[f01]", "[f01, f00]"))
    assert wrong == (
        "market.demand_response.1.start is 2022-09-14 17:30: must not meet "
        "market.demand_response.0 at the same feeder: both ask it at 2022-09-14 17:30."
    )


def test_days_need_an_earlier_day(tmp_path: Path) -> None:
    event = 'demand_response: [{start: "2022-09-15 17:00", minutes: 30}]'
    text = f"duration: 48h\nmarket: {{demand_response_baseline: days, {event}}}"
    loading.check(loading.plain_yaml.parse(text), "here")
    (wrong,) = problems(tmp_path, text.replace("-15 17", "-14 17"))
    assert wrong.startswith(
        "market.demand_response_baseline is days: needs an earlier day of the run, of the same "
        "sort and without an event, for market.demand_response.0 at 2022-09-14 17:00"
    )
    # Every day has one, so that no day can stand for them.
    assert problems(tmp_path, text.replace("2022-09-15 17:00", "17:00"))
    # A Saturday has no weekday to go by.
    assert problems(tmp_path, "start: 2022-09-16\n" + text.replace("-15 17", "-17 17"))
    calls = "scarce_below_mw: 1, demand_response_calls: {per_day: 1}"
    text = f"duration: 24h\nmarket: {{demand_response_baseline: days, {calls}}}"
    (wrong,) = problems(tmp_path, text)
    assert "needs an earlier day to call events; the run has one" in wrong


@pytest.mark.parametrize("kind", ["series", "quadratic", "time_of_use"])
def test_a_tariff_has_no_reserve_but_may_have_events(tmp_path: Path, kind: str) -> None:
    event = 'demand_response: [{start: "17:00", minutes: 30}]'
    loading.check(loading.plain_yaml.parse(f"market: {{kind: {kind}, {event}}}"), "here")
    text = (
        f"market: {{kind: {kind}, scarce_below_mw: 9, demand_response_calls: {{per_day: 1}}, "
        "reserve: {requirement_kw: 5}}"
    )
    found = problems(tmp_path, text)
    assert [p.split(":")[0] for p in found] == [
        "market.scarce_below_mw is 9",
        "market.demand_response_calls.per_day is 1",
        "market.reserve.requirement_kw is 5",
    ]
    assert all(f"needs market.kind: five_bus; {kind} has no reserve" in p for p in found)


def test_reserve_and_bids_do_not_go_together(tmp_path: Path) -> None:
    (wrong,) = problems(tmp_path, "market: {bids: on, reserve: {requirement_kw: 5}}")
    assert "market.reserve.requirement_kw is 5: needs market.bids: off" in wrong


def test_calls_need_a_margin_and_the_second_step_is_the_cheaper(tmp_path: Path) -> None:
    (wrong,) = problems(tmp_path, "market: {demand_response_calls: {per_day: 1}}")
    assert "needs market.scarce_below_mw above 0" in wrong
    (wrong,) = problems(tmp_path, "market: {reserve: {extended_usd_per_mw_h: 900}}")
    assert "extended_usd_per_mw_h <= short_usd_per_mw_h, not 900 and 850" in wrong
