"""What an engine says about itself: the rows of ``cosim doctor`` and ``cosim bench``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One line of ``cosim doctor``."""

    name: str
    """What was looked at, for example ``OpenDSS 123-node voltages``."""
    ok: bool
    """Whether it is as it must be."""
    detail: str
    """The version, the figure found beside the figure expected, or what to do."""


@dataclass(frozen=True)
class Measurement:
    """One line of ``cosim bench``."""

    name: str
    """What was timed, for example ``power flow of a tick, 123 nodes``."""
    value: float
    """The figure measured on this machine, in `unit`."""
    unit: str
    """Unit of `value`, for example ``ms/tick``."""
    bare_ratio: float | None = None
    """`value` over the same work by the bare engine in the same run; None where none exists."""
    note: str = ""
    """How it was measured, in a few words."""
