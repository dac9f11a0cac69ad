"""The exception tree. A user's mistake ends in one readable message, never in a traceback.

::

    VoltstepError
      UserError                 what the user gave is wrong (exit code 2)
        ScenarioError           one or more problems in a scenario file
        UnknownOptionError      a name that is not one of those that there are
      RunError                  the run failed (exit code 1)
        SignalError             an array on the wire has a wrong shape, a NaN or is out of range
        AuditError              a conservation law was broken
        EngineError             an engine failed, or failed silently and was caught
          TrafficError          SUMO
          BatteryError          PyBaMM cells
          PowerFlowError        OpenDSS
          MarketError           HiGHS
          ClearingError         Clarabel
        SimulatorLostError      a simulator in a process of its own ended, hung or said nonsense
        IncompleteRunError      the world returned before the last tick
        StoppedRunError         the user stopped the run
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class VoltstepError(Exception):
    """Base of every error that Voltstep raises on purpose."""


class UserError(VoltstepError):
    """What the user gave is wrong; the message says what is allowed."""


def nearest(value: str, options: Iterable[str]) -> str:
    """Return the option that `value` is most like, empty if none is near."""
    by_lower = {option.lower(): option for option in options}
    near = difflib.get_close_matches(value.lower(), list(by_lower), n=1, cutoff=0.5)
    return by_lower[near[0]] if near else ""


class UnknownOptionError(UserError):
    """A name that is not one of those that there are."""

    def __init__(self, what: str, value: str, options: Iterable[str]) -> None:
        self.what, self.value, self.options = what, value, tuple(options)
        self.nearest = nearest(value, self.options)
        hint = f" Did you mean {self.nearest}?" if self.nearest else ""
        known = ", ".join(self.options)
        super().__init__(f"{what} {value!r} is not known: choose from {known}.{hint}")


@dataclass(frozen=True)
class Problem:
    """One mistake in a user's input."""

    field: str
    """Dotted path of the field, for example ``fleet.vehicles``."""
    value: str
    """The value found, as text; empty if the field is missing."""
    allowed: str
    """What would be allowed there."""
    nearest: str = ""
    """The nearest valid option, if one is near."""

    def __str__(self) -> str:
        found = f" is {self.value}" if self.value else ""
        hint = f" Did you mean {self.nearest}?" if self.nearest else ""
        return f"{self.field}{found}: {self.allowed}.{hint}"


class ScenarioError(UserError):
    """Every problem of one scenario file at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{source}: {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


class RunError(VoltstepError):
    """The run failed; what was recorded so far is kept."""


class SignalError(RunError):
    """An array on the wire is not what the wire table says."""

    def __init__(self, signal: str, tick: int, where: str, reason: str) -> None:
        self.signal, self.tick, self.where, self.reason = signal, tick, where, reason
        place = f" at {where}" if where else ""
        super().__init__(f"signal {signal}{place}, tick {tick}: {reason}")


class AuditError(RunError):
    """A conservation law was broken."""

    def __init__(
        self, law: str, tick: int, where: str, found: float, expected: float, unit: str
    ) -> None:
        self.law, self.tick, self.where = law, tick, where
        self.found, self.expected, self.unit = found, expected, unit
        super().__init__(
            f"audit: {law} broken by {where} at tick {tick}: "
            f"{found:.9g} {unit} against {expected:.9g} {unit}"
        )


class EngineError(RunError):
    """An engine failed, or failed silently and was caught.

    Parameters
    ----------
    reason
        What happened, in the engine's own words where it has any.
    where
        The element concerned: a vehicle, a bus, an edge.
    tick
        Settlement interval, -1 outside a run.
    """

    engine = "engine"

    def __init__(self, reason: str, *, where: str = "", tick: int = -1) -> None:
        self.reason, self.where, self.tick = reason, where, tick
        place = f" ({where})" if where else ""
        when = f" at tick {tick}" if tick >= 0 else ""
        super().__init__(f"{self.engine}{place}{when}: {reason}")


class TrafficError(EngineError):
    """SUMO refused a command or lost a vehicle."""

    engine = "SUMO"


class BatteryError(EngineError):
    """A cell left the range in which its model is valid, or a model could not be built."""

    engine = "PyBaMM"


class PowerFlowError(EngineError):
    """OpenDSS did not converge, gave NaN or refused a circuit."""

    engine = "OpenDSS"


class MarketError(EngineError):
    """The market could not be cleared."""

    engine = "HiGHS"


class ClearingError(EngineError):
    """The prices within a feeder could not be found."""

    engine = "Clarabel"


class SimulatorLostError(RunError):
    """A simulator in a process of its own ended, hung, or said what is no message."""

    def __init__(self, role: str, tick: int, what: str, last_lines: Sequence[str]) -> None:
        self.role, self.tick, self.what = role, tick, what
        when = f" at tick {tick}" if tick >= 0 else " before the first tick"
        log = "".join(f"\n  {role}: {line}" for line in last_lines)
        super().__init__(f"the {role} simulator was lost{when}: it {what}{log}")


class IncompleteRunError(RunError):
    """The world returned before the last tick was recorded."""

    def __init__(self, last_tick: int, ticks: int, detail: str = "") -> None:
        self.last_tick, self.ticks = last_tick, ticks
        reason = f": {detail}" if detail else ""
        super().__init__(f"the run ended after {last_tick + 1} of {ticks} ticks{reason}")


class StoppedRunError(RunError):
    """The user stopped the run."""

    def __init__(self, last_tick: int, ticks: int) -> None:
        self.last_tick, self.ticks = last_tick, ticks
        super().__init__(f"stopped by the user after {last_tick + 1} of {ticks} ticks")
