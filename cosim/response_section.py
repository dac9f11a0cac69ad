"""What a scenario says of demand response and of reserve held by vehicles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cosim.notation import MomentOrTime, of_every_day
from cosim.section import Section

Pay = Annotated[float, Field(gt=0, le=100_000)]
TickMinutes = Annotated[int, Field(ge=0, le=2880, multiple_of=5)]
"""Minutes in whole ticks."""
Span = Annotated[int, Field(ge=5, le=1440, multiple_of=5)]
"""Length in whole ticks [min]."""
Baseline = Literal["before", "days"]


class ResponseEvent(Section):
    """A scheduled event of demand response."""

    start: MomentOrTime = Field(description="when it begins: a moment, or a time of every day")
    end: MomentOrTime | None = Field(
        default=None, description="when it ends, written alike; or name minutes"
    )
    minutes: Span | None = Field(default=None, description="how long it lasts [min]")
    pay_usd_per_mwh: Pay = Field(
        default=2000.0,
        description="pay for energy below the baseline [USD/MWh]; 2 USD/kWh as in California's "
        "Emergency Load Reduction Program",
    )
    notice_minutes: TickMinutes = Field(
        default=60, description="how long before its start it is announced [min]"
    )
    feeders: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), description="feeders whose vehicles are asked, such as [f00]; none named: all"
    )

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if (self.end is None) == (self.minutes is None):
            raise ValueError("needs end or minutes, one of them")
        if self.end is not None:
            daily = [of_every_day(text) for text in (self.start, self.end)]
            if daily[0] != daily[1]:
                raise ValueError("start and end must both be moments, or both times of day")
            if self.start == self.end or (not daily[0] and self.start > self.end):
                raise ValueError("start must be before end")
        return self


class ResponseCalls(Section):
    """Events of demand response that are called when the reserve of the system is scarce."""

    per_day: Annotated[int, Field(ge=0, le=24)] = Field(
        default=0, description="most calls in a day of the calendar; 0: none are called"
    )
    minutes: Span = Field(default=60, description="how long a called event lasts [min]")
    pay_usd_per_mwh: Pay = Field(
        default=2000.0, description="pay for energy below the baseline [USD/MWh]"
    )
    notice_minutes: TickMinutes = Field(
        default=0, description="time from the call to the event's start [min]"
    )


class Reserve(Section):
    """Reserve that is bought from vehicles, and what it is worth where it is short."""

    together = ("short_usd_per_mw_h", "extended_usd_per_mw_h")

    requirement_kw: Annotated[float, Field(ge=0, le=1e7)] = Field(
        default=0.0,
        description="power that vehicles are to hold in reserve [kW]; 0: none is bought",
    )
    short_usd_per_mw_h: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=850.0,
        description="most that is paid, and the price while less than required is offered "
        "[USD per MW and hour]; PJM's reserve penalty factor",
    )
    extended_kw: Annotated[float, Field(ge=0, le=1e7)] = Field(
        default=0.0,
        description="power that is bought beyond the requirement while it is cheap [kW]",
    )
    extended_usd_per_mw_h: Annotated[float, Field(ge=0, le=100_000)] = Field(
        default=300.0,
        description="most that is paid for it, and the price while it is short [USD per MW and "
        "hour]; PJM's second step",
    )
    sustained_minutes: Span = Field(
        default=30,
        description="how long a vehicle must be able to give what it holds, and a call lasts at "
        "most [min]",
    )

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        short, extended = numbers.values()
        needs = "needs extended_usd_per_mw_h <= short_usd_per_mw_h"
        return "" if extended <= short else f"{needs}, not {extended:g} and {short:g}"
