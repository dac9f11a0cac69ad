"""What a scenario says of its market: kind, prices, feeders' buses, tariff, real-time prices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cosim.response_section import Baseline, Reserve, ResponseCalls, ResponseEvent
from cosim.section import OneOrMore, OnOff, Section
from networks.prices.holidays import Holidays
from networks.prices.real_time import RealTime
from networks.prices.tariffs import Period

FeederBus = Literal["B", "C", "D"]
"""Buses of the five-bus market that have a load of their own, of which feeders are a part."""


FeederBuses = OneOrMore[FeederBus]
"""One bus for all feeders, or a list with one for each."""


TARIFFS = ("quadratic", "series", "time_of_use")
"""Kinds that bill a price of energy alone."""


class Quadratic(Section):
    """Price a L^2 + b L + c of the load L at the head of each feeder, in MW."""

    a_usd_per_mwh_per_mw2: Annotated[float, Field(gt=0, le=1e9)] = Field(
        default=8.0, description="a [USD/MWh per MW^2]; above 0, so that the price is convex"
    )
    b_usd_per_mwh_per_mw: Annotated[float, Field(ge=0, le=1e9)] = Field(
        default=8.0, description="b [USD/MWh per MW]"
    )
    c_usd_per_mwh: Annotated[float, Field(ge=-1000, le=10_000)] = Field(
        default=30.0, description="c [USD/MWh]: price without load"
    )


class Market(Section):
    """The market that bills the energy; the README of `adapters/market` says which kind is what."""

    kind: str = Field(default="five_bus", description="market")
    prices: str = Field(
        default="LZ_AEN",
        description="prices that scale the offers of five_bus and are those of series: an ERCOT "
        "load zone, or a CSV or Parquet file",
    )
    prices_zone: str = Field(
        default="", description="settlement point or column of such a file, if it has several"
    )
    prices_time_zone: str = Field(
        default="America/Chicago",
        description="time zone of the run's clock, and of times in the file without an offset",
    )
    real_time: OnOff = Field(
        default="off",
        description="whether prices move around those of `prices` every 5 minutes, and all energy "
        "settles at the moved ones: off or on",
    )
    real_time_process: RealTime = Field(
        default_factory=RealTime, description="how they move; only with real_time: on"
    )
    quadratic: Quadratic = Field(
        default_factory=Quadratic, description="price of quadratic over the load of the feeder"
    )
    tariff: str = Field(default="wps_ev_charger_only", description="tariff of time_of_use")
    periods: tuple[Period, ...] = Field(
        default=(),
        strict=False,  # files have lists, not tuples
        description="time_of_use with a tariff of your own instead: name, usd_per_kwh, months, "
        "days, hours",
    )
    holidays: Holidays = Field(
        default_factory=Holidays, description="which days are holidays, where periods name them"
    )
    feeder_bus: FeederBuses = Field(
        default=("D",),
        description="five_bus: bus that supplies the feeders, B, C or D; or a list, one a feeder",
    )
    feeder_multiplier: Annotated[float, Field(ge=0, le=200)] = Field(
        default=40.0,
        description="five_bus: how many feeders like the simulated ones the load at their bus "
        "holds, with those",
    )
    offer_slope_usd_per_mwh_per_mw: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01,
        description="five_bus: rise of each generator's offer with its output [USD/MWh per MW]",
    )
    bids: OnOff = Field(
        default="off",
        description="five_bus: whether vehicles offer what they would draw or feed back, and the "
        "feeders' limits (grid.limits) decide what is taken and have a price: off or on",
    )
    value_of_lost_load_usd_per_mwh: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=5000.0,
        description="five_bus: price of load that cannot be served [USD/MWh]",
    )
    demand_response: tuple[ResponseEvent, ...] = Field(
        default=(),
        strict=False,  # files have lists, not tuples
        description="scheduled events in which vehicles are paid for charging less: start, end or "
        "minutes, pay_usd_per_mwh, notice_minutes, feeders",
    )
    demand_response_baseline: Baseline = Field(
        default="before",
        description="what charging would have been: that of the hour before the notice, or of the "
        "same time on up to ten earlier days of the run (days)",
    )
    scarce_below_mw: Annotated[float, Field(ge=0, le=1e6)] = Field(
        default=0.0,
        description="five_bus: reserve of the system, capacity less load, below which it is scarce "
        "[MW]; 0: never",
    )
    demand_response_calls: ResponseCalls = Field(
        default_factory=ResponseCalls, description="events that are called while it is scarce"
    )
    reserve: Reserve = Field(
        default_factory=Reserve, description="five_bus: reserve that vehicles are paid to hold"
    )

    @property
    def prices_losses(self) -> bool:
        """Whether the price may have what energy makes the feeder lose."""
        return self.kind not in TARIFFS
