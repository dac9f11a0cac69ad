"""The scenario file: what is simulated, with which kinds. Frozen once it is read."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cosim.notation import Duration, Moment, parse_duration, parse_moment
from cosim.signals import TICK_S

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every part of a scenario: frozen, and no field that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Stations(Section):
    """Charging stations of the fleet."""

    count: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=170, description="number of stations"
    )
    level_2: Share = Field(default=0.65, description="share of level 2 AC stations")
    dc_fast: Share = Field(default=0.30, description="share of DC fast stations")
    v2g: Share = Field(default=0.05, description="share of bidirectional stations")

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = self.level_2 + self.dc_fast + self.v2g
        if abs(total - 1) > 1e-6:
            raise ValueError(f"level_2 + dc_fast + v2g must be 1, not {total:g}")
        return self


class BodyTypes(Section):
    """Mix of body types."""

    sedan: Share = Field(default=0.55, description="share of sedans")
    suv: Share = Field(default=0.30, description="share of SUVs")
    van: Share = Field(default=0.15, description="share of vans")

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = self.sedan + self.suv + self.van
        if abs(total - 1) > 1e-6:
            raise ValueError(f"sedan + suv + van must be 1, not {total:g}")
        return self


class Fleet(Section):
    """Vehicles, their stations and the requests that they serve."""

    vehicles: Annotated[int, Field(ge=1, le=200_000)] = Field(
        default=500, description="number of EVs"
    )
    body_types: BodyTypes = Field(default_factory=BodyTypes, description="mix of body types")
    stations: Stations = Field(default_factory=Stations, description="charging stations")
    trips_per_vehicle_day: Annotated[float, Field(ge=0, le=100)] = Field(
        default=16.0, description="requests made over a day, per vehicle"
    )
    waiting_limit: Annotated[Duration, Field(ge=TICK_S, le=86_400)] = Field(
        default=parse_duration("30min"), description="a request not picked up by then is missed"
    )
    boarding: Annotated[Duration, Field(ge=0, le=3600)] = Field(
        default=parse_duration("1min"), description="stop at the pick-up"
    )
    initial_soc: tuple[Share, Share] = Field(
        default=(0.4, 0.9), description="states of charge at the start are uniform in this range"
    )
    towing: Annotated[Duration, Field(ge=TICK_S, le=86_400)] = Field(
        default=parse_duration("45min"),
        description="time until an empty vehicle stands at the nearest station",
    )

    @model_validator(mode="after")
    def _soc_range(self) -> Self:
        if self.initial_soc[0] > self.initial_soc[1]:
            raise ValueError("initial_soc must be [low, high] with low <= high")
        return self


class Traffic(Section):
    """How vehicles move."""

    kind: str = Field(default="meso", description="traffic simulator")
    roads: str = Field(default="siouxfalls", description="road network")


class Battery(Section):
    """How batteries behave."""

    kind: str = Field(default="spm", description="battery model")
    ambient_c: Annotated[float, Field(ge=-30, le=60)] = Field(
        default=20.0, description="ambient temperature [degC]"
    )
    age_years: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1.0, description="calendar age of the batteries at the start [years]"
    )


class Grid(Section):
    """The distribution feeder that charges the fleet."""

    kind: str = Field(default="opendss", description="power flow")
    feeder: str = Field(default="ieee123", description="distribution feeder")
    load_shape: str = Field(
        default="opendss_default", description="daily shape of the feeder's own load"
    )
    load_scale: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.0, description="own load over its published value at the peak of the shape"
    )
    charger_power_factor: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.99, description="power factor of chargers, lagging"
    )


class Market(Section):
    """The market that bills the energy."""

    kind: str = Field(default="five_bus", description="market")
    prices: str = Field(
        default="LZ_AEN", description="ERCOT load zone whose prices scale the offers"
    )
    feeder_multiplier: Annotated[float, Field(ge=0, le=100)] = Field(
        default=40.0, description="how many feeders like this one the load at bus D holds"
    )
    offer_slope_usd_per_mwh_per_mw: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01, description="rise of each generator's offer with its output [USD/MWh per MW]"
    )
    value_of_lost_load_usd_per_mwh: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=5000.0, description="price of load that cannot be served [USD/MWh]"
    )


class Rules(Section):
    """What the rule-based team goes by."""

    plug_in_below_soc: Share = Field(
        default=0.4, description="an idle vehicle below this goes to charge"
    )
    charge_to_soc: Share = Field(default=0.9, description="charging ends here")
    reserve_soc: Share = Field(
        default=0.1, description="no trip is begun that would end below this"
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        if not self.reserve_soc < self.plug_in_below_soc < self.charge_to_soc:
            raise ValueError("needs reserve_soc < plug_in_below_soc < charge_to_soc")
        return self


class Run(Section):
    """How the run is carried out."""

    audit: Literal["stop", "record"] = Field(
        default="stop",
        description="what a broken conservation law does: stop the run, or be recorded",
    )


class Scenario(Section):
    """A whole scenario. `cosim.loading` reads it from a file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] = Field(
        default="siouxfalls_day", description="name of the scenario"
    )
    description: str = Field(default="", description="one line for lists")
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=42, description="all random streams come from it"
    )
    start: Moment = Field(
        default=parse_moment("2022-09-14"), description="local date and time of the first tick"
    )
    duration: Annotated[Duration, Field(ge=TICK_S, le=366 * 86_400, multiple_of=TICK_S)] = Field(
        default=parse_duration("24h"), description="simulated time, in whole ticks of 5 minutes"
    )
    fleet: Fleet = Field(default_factory=Fleet, description="vehicles, stations and requests")
    traffic: Traffic = Field(default_factory=Traffic, description="how vehicles move")
    battery: Battery = Field(default_factory=Battery, description="how batteries behave")
    grid: Grid = Field(default_factory=Grid, description="the feeder that charges the fleet")
    market: Market = Field(default_factory=Market, description="the market that bills the energy")
    team: str = Field(default="rule_based", description="who decides")
    rules: Rules = Field(default_factory=Rules, description="what the rule-based team goes by")
    processes: Literal["one"] = Field(default="one", description="processes the simulators run in")
    run: Run = Field(default_factory=Run, description="how the run is carried out")

    @property
    def ticks(self) -> int:
        """Number of settlement intervals."""
        return self.duration // TICK_S

    @property
    def start_time(self) -> datetime:
        """Start as a datetime."""
        return datetime.fromisoformat(self.start)

    def plain(self) -> dict[str, Any]:
        """Return the resolved scenario as plain data that `Scenario` reads back."""
        return self.model_dump(mode="json")

    def sha256(self) -> str:
        """Return the hash of the resolved scenario."""
        text = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
