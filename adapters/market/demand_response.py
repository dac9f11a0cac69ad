"""Demand response: events, what the fleet delivered in them, and who is paid for it.

The vehicles at each feeder are one metered resource. What they deliver in a tick is what they draw
less than the baseline, but no more than those that are plugged in could have drawn and did not: a
vehicle that drove away answered nothing. An event is settled when it ends, over all its ticks
together: what was drawn beyond the baseline in one tick counts against the others, and an event in
which more was drawn than usual costs nothing, as in California's Emergency Load Reduction Program.
The pay is shared by what each vehicle held back in the ticks that delivered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.market import baselines
from adapters.market.baselines import TICKS_PER_DAY
from cosim.areas import feeder_ids
from cosim.checkpoints import as_array, from_array
from cosim.notation import of_every_day
from cosim.response_section import ResponseEvent
from cosim.scenario import Scenario
from cosim.signals import TICK_HOURS, TICK_S

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_TICK_MINUTES = TICK_S // 60
LEAST_KWH = 1e-9
"""Less than this is rounding, and is not paid."""


@dataclass(frozen=True)
class Event:
    """A time in which charging less is paid, at some feeders."""

    notice: int
    """Tick with whose start it is known."""
    start: int
    end: int
    """First tick after it."""
    pay_usd_per_mwh: float
    feeders: tuple[int, ...]
    why: str = "scheduled"

    def meets(self, other: Event) -> bool:
        """Whether both ask the same feeder at the same time."""
        together = self.start < other.end and other.start < self.end
        return together and not set(self.feeders).isdisjoint(other.feeders)


@dataclass(frozen=True)
class ResponseTick:
    """Demand response in one tick; arrays are fresh, those without a note have shape (feeder,)."""

    pay_usd_per_mwh: Floats
    """0 where there is no event."""
    baseline_kw: Floats
    delivered_kwh: Floats
    open_kwh: Floats
    """Delivered in the event under way and not settled."""
    settled_kwh: Floats
    """Delivered over the event that ends with this tick, negative where more was drawn."""
    paid_usd: Floats
    vehicle_usd: Floats
    """What each vehicle is paid, shape (vehicle,) [USD]."""
    happened: list[dict[str, Any]]


@dataclass(frozen=True)
class Outlook:
    """The next event that is known, or the one under way; shape (feeder,)."""

    begin_s: Floats
    """-1 for none."""
    end_s: Floats
    pay_usd_per_mwh: Floats


@dataclass
class _Running:
    event: Event
    baseline_kw: Floats
    """Shape (tick of the event, feeder of the event)."""
    credit_kwh: Floats
    """What each vehicle held back, as far as it was delivered, shape (feeder of it, vehicle)."""
    net_kwh: Floats
    """Delivered so far, shape (feeder of it,)."""


_METERED = ("baseline_kw", "credit_kwh", "net_kwh")


def _event(row: Mapping[str, Any]) -> Event:
    kept: dict[str, Any] = dict(row)
    kept["feeders"] = tuple(row["feeders"])
    return Event(**kept)


def scheduled(scenario: Scenario) -> list[tuple[int, Event]]:
    """Return the events of a scenario that lie in the run, with their place in its list.

    Those of every day are left out on days on which they, or their notice, begin before the run.
    """
    names = feeder_ids(scenario.grid.feeders)
    found: list[tuple[int, Event]] = []
    for place, asked in enumerate(scenario.market.demand_response):
        feeders = tuple(names.index(n) for n in dict.fromkeys(asked.feeders) if n in names)
        for start, end in _times(asked, scenario):
            notice = start - asked.notice_minutes // _TICK_MINUTES
            if start >= scenario.ticks or (of_every_day(asked.start) and notice < 1):
                continue
            every = tuple(range(len(names)))
            found.append(
                (place, Event(notice, start, end, asked.pay_usd_per_mwh, feeders or every))
            )
    return sorted(found, key=lambda one: (one[1].start, one[0]))


def _times(asked: ResponseEvent, scenario: Scenario) -> Iterable[tuple[int, int]]:
    """Yield first tick and end of an event, for each day if it is of every day."""
    run_start = scenario.start_time

    def tick_of(moment: datetime) -> int:
        return round((moment - run_start).total_seconds() / TICK_S)

    if not of_every_day(asked.start):
        start = tick_of(datetime.fromisoformat(asked.start))
        if asked.minutes is not None:
            yield start, start + asked.minutes // _TICK_MINUTES
        else:
            yield start, tick_of(datetime.fromisoformat(str(asked.end)))
        return
    first_day = datetime.combine(run_start.date(), datetime.min.time())
    start = tick_of(first_day) + _slot(asked.start)
    length = (
        asked.minutes // _TICK_MINUTES
        if asked.minutes is not None
        else (_slot(str(asked.end)) - _slot(asked.start)) % TICKS_PER_DAY
    )
    while start < scenario.ticks:
        yield start, start + length
        start += TICKS_PER_DAY


def _slot(time: str) -> int:
    hour, minute = time.split(":")
    return (60 * int(hour) + int(minute)) // _TICK_MINUTES


class DemandResponse:
    """The events of a run, as they come.

    Parameters
    ----------
    scenario
        Its events, baseline and calls.
    vehicles
        Number of vehicles.
    """

    def __init__(self, scenario: Scenario, vehicles: int) -> None:
        market = scenario.market
        self._by_days = market.demand_response_baseline == "days"
        self._calls = market.demand_response_calls
        self._start, self._ticks = scenario.start_time, scenario.ticks
        self._vehicles, self._feeders = vehicles, scenario.grid.feeders
        self._names = feeder_ids(scenario.grid.feeders)
        self._coming = [event for _, event in scheduled(scenario)]
        self._running: list[_Running] = []
        self._called: dict[date, int] = {}
        self.at_all = bool(self._coming) or self._calls.per_day > 0
        """Whether there can be any event."""
        ticks = self._ticks if self.at_all else 0
        self._load_kw = np.zeros((ticks, self._feeders))
        self._taken = np.zeros((ticks, self._feeders), dtype=np.bool_)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return events and metered load by name, for a checkpoint."""
        plain = {
            "coming": [asdict(event) for event in self._coming],
            "running": [asdict(running.event) for running in self._running],
            "called": [[day.isoformat(), count] for day, count in self._called.items()],
        }
        kept = {"events": as_array(plain), "load_kw": self._load_kw, "taken": self._taken}
        for number, running in enumerate(self._running):
            kept |= {f"{name}{number}": getattr(running, name) for name in _METERED}
        return {name: values.copy() for name, values in kept.items()}

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `arrays`; KeyError if one is missing."""
        plain = from_array(arrays["events"])
        self._load_kw, self._taken = arrays["load_kw"].copy(), arrays["taken"].copy()
        self._coming = [_event(row) for row in plain["coming"]]
        self._called = {date.fromisoformat(day): count for day, count in plain["called"]}
        self._running = [
            _Running(_event(row), *(arrays[f"{name}{number}"].copy() for name in _METERED))
            for number, row in enumerate(plain["running"])
        ]

    def step(self, tick: int, power_kw: Floats, most_kw: Floats, feeder: Indices) -> ResponseTick:
        """Meter one tick, and settle what ends with it.

        Parameters
        ----------
        tick
            Settlement interval.
        power_kw, most_kw
            What each vehicle drew at its plug and the most that it could have drawn there, 0
            without a port, shape (vehicle,) [kW].
        feeder
            Feeder that each vehicle is plugged in at, -1 for none, shape (vehicle,).
        """
        pay, baseline, delivered, open_, settled, paid = np.zeros((6, self._feeders))
        usd = np.zeros(len(power_kw))
        done = ResponseTick(pay, baseline, delivered, open_, settled, paid, usd, [])
        if not self.at_all:
            return done
        there = feeder >= 0
        load_kw = np.bincount(feeder[there], power_kw[there], self._feeders)
        self._load_kw[tick] = load_kw
        while self._coming and self._coming[0].start <= tick:
            self._begin(self._coming.pop(0))
        held_kw = np.where(there, np.maximum(most_kw - power_kw, 0.0), 0.0)
        could_kw = np.bincount(feeder[there], held_kw[there], self._feeders)
        for running in list(self._running):
            event, rows = running.event, np.array(running.event.feeders)
            pay[rows] = event.pay_usd_per_mwh
            baseline[rows] = running.baseline_kw[tick - event.start]
            less_kw = np.minimum(baseline[rows] - load_kw[rows], could_kw[rows])
            delivered[rows] = less_kw * TICK_HOURS
            running.net_kwh += delivered[rows]
            # Of what each vehicle held back, the share that was delivered; rows are feeders.
            share = np.zeros(self._feeders)
            share[rows] = np.divide(less_kw, could_kw[rows], out=0 * less_kw, where=less_kw > 0)
            row = np.full(self._feeders, -1)
            row[rows] = np.arange(len(rows))
            asked = np.flatnonzero(there & (row[feeder] >= 0))
            at = feeder[asked]
            running.credit_kwh[row[at], asked] += held_kw[asked] * share[at] * TICK_HOURS
            if tick + 1 == min(event.end, self._ticks):
                settled[rows] = running.net_kwh
                self._settle(running, tick, done)
                self._running.remove(running)
            else:
                open_[rows] = running.net_kwh
        return done

    def call(self, tick: int) -> list[dict[str, Any]]:
        """Call an event as the reserve was scarce in `tick`, if the programme has one to call."""
        calls = self._calls
        today = (self._start + timedelta(seconds=tick * TICK_S)).date()
        start = tick + 1 + calls.notice_minutes // _TICK_MINUTES
        end = start + calls.minutes // _TICK_MINUTES
        every = tuple(range(self._feeders))
        event = Event(tick + 1, start, end, calls.pay_usd_per_mwh, every, "reserve is scarce")
        others = [*self._coming, *(running.event for running in self._running)]
        if (
            self._called.get(today, 0) >= calls.per_day
            or start >= self._ticks
            or any(event.meets(other) for other in others)
            or (self._by_days and not all(self._days(event, at) for at in every))
        ):
            return []
        self._called[today] = self._called.get(today, 0) + 1
        self._coming = sorted([*self._coming, event], key=lambda one: one.start)
        return self._announced([event], tick)

    def outlook(self, tick: int) -> tuple[Outlook, list[dict[str, Any]]]:
        """Return what is known at the end of a tick, and the events that became known with it."""
        begin_s, end_s = np.full((2, self._feeders), -1.0)
        pay = np.zeros(self._feeders)
        known = [running.event for running in self._running]
        known += [event for event in self._coming if event.notice <= tick + 1]
        for event in sorted(known, key=lambda one: -one.start):
            at = list(event.feeders)
            begin_s[at], end_s[at] = event.start * TICK_S, event.end * TICK_S
            pay[at] = event.pay_usd_per_mwh
        new = [
            event
            for event in self._coming
            if event.why == "scheduled" and max(event.notice, 1) == tick + 1
        ]
        return Outlook(begin_s, end_s, pay), self._announced(new, tick)

    def _days(self, event: Event, feeder: int) -> Sequence[int]:
        taken = self._taken[:, feeder]
        return baselines.earlier_days(self._start, event.notice, event.start, event.end, taken)

    def _begin(self, event: Event) -> None:
        rows, length = list(event.feeders), event.end - event.start
        if self._by_days:
            kw = [
                baselines.of_days(
                    self._load_kw[:, at],
                    event.notice,
                    event.start,
                    event.end,
                    self._days(event, at),
                )
                for at in rows
            ]
            baseline_kw = np.stack(kw, axis=1)
        else:
            level_kw = [
                baselines.before(self._load_kw[:, at], event.notice, self._taken[:, at])
                for at in rows
            ]
            baseline_kw = np.tile(level_kw, (length, 1))
        self._taken[event.start : event.end, rows] = True
        credit = np.zeros((len(rows), self._vehicles))
        self._running.append(_Running(event, baseline_kw, credit, np.zeros(len(rows))))

    def _settle(self, running: _Running, tick: int, done: ResponseTick) -> None:
        event = running.event
        # The run may end before the event does.
        baseline_kwh = running.baseline_kw[: tick + 1 - event.start].sum(axis=0) * TICK_HOURS
        for row, at in enumerate(event.feeders):
            net_kwh, credit = float(running.net_kwh[row]), running.credit_kwh[row]
            if net_kwh > LEAST_KWH:
                done.paid_usd[at] = net_kwh * event.pay_usd_per_mwh / 1000
                done.vehicle_usd[:] += done.paid_usd[at] * credit / credit.sum()
            done.happened.append(
                {
                    "time_s": float((tick + 1) * TICK_S),
                    "kind": "demand_response",
                    "place": self._names[at],
                    "start_s": float(event.start * TICK_S),
                    "energy_kwh": net_kwh,
                    "value": float(done.paid_usd[at]),
                    "limit": float(baseline_kwh[row]),
                    "detail": f"{event.why}; energy below the baseline, USD paid, the baseline",
                }
            )

    def _announced(self, events: Iterable[Event], tick: int) -> list[dict[str, Any]]:
        return [
            {
                "time_s": float((tick + 1) * TICK_S),
                "kind": "demand_response_announced",
                "place": " ".join(self._names[at] for at in event.feeders),
                "start_s": float(event.start * TICK_S),
                "value": event.pay_usd_per_mwh,
                "detail": f"{event.why}; USD/MWh, until {event.end * TICK_S} s",
            }
            for event in events
        ]
