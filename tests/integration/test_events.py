"""A run read from its events alone: what became of each request, trip and empty vehicle."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.integration.test_siouxfalls import cosim

Event = dict[str, Any]

DARING = (
    "--set", "start=2022-09-14 06:00", "--set", "duration=5h", "--set", "fleet.vehicles=80",
    "--set", "fleet.segments={ride_share: 3, delivery: 1}", "--set", "battery.kind=reservoir",
    "--set", "fleet.initial_soc=[0.06, 0.2]", "--set", "rules.reserve_soc=0.01",
    "--set", "rules.plug_in_below_soc=0.02",
)  # fmt: skip
"""Vehicles with little charge whose team sends them out all the same."""
FATES = ("request_served", "request_failed", "request_expired", "request_unfinished")
LEGS = ("trip", "trip_unfinished", "tow")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    folder = tmp_path_factory.mktemp("runs") / "daring"
    done = cosim("run", "siouxfalls_day", *DARING, "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return pq.read_table(folder / "events.parquet").to_pylist()


def by(events: list[Event], key: str, *kinds: str) -> dict[int, list[Event]]:
    """Return the events of some kinds by the value of a column, in the order of time."""
    found: dict[int, list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda e: e["time_s"]):
        if event["kind"] in kinds and event[key] is not None:
            found[event[key]].append(event)
    return found


def test_every_request_has_one_fate_and_the_trips_that_led_there(events: list[Event]) -> None:
    fates, trips = by(events, "request", *FATES), by(events, "request", *LEGS)
    assert trips.keys() <= fates.keys()
    seen: Counter[str] = Counter()
    for request, ends in fates.items():
        (end,) = ends
        legs = trips.get(request, [])
        seen[end["kind"]] += 1
        assert all(leg["vehicle"] == end["vehicle"] for leg in legs)
        assert all(leg["start_s"] >= end["start_s"] for leg in legs), "nobody drives unasked"
        if end["kind"] == "request_served" and end["origin"] != end["place"]:
            last = legs[-1]
            assert (last["kind"], last["origin"], last["place"], last["time_s"]) == (
                "trip", end["origin"], end["place"], end["time_s"],
            )  # fmt: skip
        if end["kind"] == "request_expired":
            assert not legs
        if end["kind"] == "request_failed":
            assert legs[-1]["kind"] == "tow"
    assert min(seen[kind] for kind in FATES[:2]) > 0
    assert seen["request_unfinished"] > 0
    assert len(fates) > 200


def test_every_trip_has_one_end_and_begins_where_the_last_one_ended(events: list[Event]) -> None:
    legs = by(events, "vehicle", *LEGS)
    keys = [(e["vehicle"], e["start_s"]) for each in legs.values() for e in each]
    assert len(set(keys)) == len(keys) > 300
    set_down = {
        (e["vehicle"], e["time_s"]): e["detail"].removeprefix("set down at ")
        for each in legs.values()
        for e in each
        if e["kind"] == "tow"
    }
    for each in legs.values():
        for before, after in pairwise(each):
            assert before["kind"] != "trip_unfinished"
            assert after["start_s"] >= before["time_s"]
            there = set_down.get((before["vehicle"], before["time_s"]), before["place"])
            assert after["origin"] == there
    for leg in (e for each in legs.values() for e in each):
        assert 0 <= leg["driving_s"] <= leg["time_s"] - leg["start_s"]
        assert (leg["distance_km"] > 0) == (leg["driving_s"] > 0)


def test_an_empty_vehicle_is_towed_and_charged(events: list[Event]) -> None:
    empty, towed = by(events, "vehicle", "ran_empty"), by(events, "vehicle", "tow")
    there, charged = by(events, "vehicle", "tow_ended"), by(events, "vehicle", "charging_session")
    assert empty
    assert empty.keys() == towed.keys()
    done = 0
    for vehicle, times in empty.items():
        for number, (first, tow) in enumerate(zip(times, towed[vehicle], strict=True)):
            assert (first["time_s"], first["place"]) == (tow["time_s"], tow["place"])
            if len(there[vehicle]) <= number:
                continue
            end = there[vehicle][number]
            assert (end["station"], end["start_s"]) == (first["station"], first["time_s"])
            assert end["time_s"] == first["time_s"] + 45 * 60
            assert tow["detail"] == f"set down at {end['place']}"
            sessions = [s for s in charged[vehicle] if s["start_s"] >= end["time_s"]]
            done += bool(sessions) and sessions[0]["station"] == end["station"]
    assert done > 0
