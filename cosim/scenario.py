"""The scenario file: what is simulated, with which kinds. Frozen once it is read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from cosim.notation import Duration, Moment, parse_duration, parse_moment, within
from cosim.signals import TICK_S

NAME_LENGTH = 100
"""Characters of a scenario's name: it names folders, with a time stamp."""

Share = Annotated[float, Field(ge=0, le=1)]


AMBIENT_LOW_C, AMBIENT_HIGH_C = -20.0, 45.0
"""Ambient temperatures that the battery models are tested at [degC]."""


class Section(BaseModel):
    """Base of every part of a scenario: frozen, nothing unknown, nothing converted in silence.

    An empty section has its defaults. What fields get wrong together is found also when one of
    them, or another of the section, is wrong by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    together: ClassVar[tuple[str, ...]] = ()
    """Numbers that `_clash` looks at together."""

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        """Return what is wrong with `together`, empty if nothing."""
        del numbers
        return ""

    @model_validator(mode="wrap")
    @classmethod
    def _every_problem(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        given = {} if data is None else data
        if not isinstance(given, Mapping):
            return handler(given)
        found: list[InitErrorDetails] = []
        section: Self | None = None
        try:
            section = handler(given)
        except ValidationError as error:
            found += [
                InitErrorDetails(
                    type=one["type"], loc=one["loc"], input=one["input"], ctx=one.get("ctx", {})
                )
                for one in error.errors()
            ]
        if clash := cls._clash_in(cast(Mapping[Any, Any], given)):
            context = {"error": ValueError(clash)}
            found.append(InitErrorDetails(type="value_error", input=given, ctx=context))
        if section is None or found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return section

    @classmethod
    def _clash_in(cls, given: Mapping[Any, Any]) -> str:
        numbers = {name: given.get(name, cls.model_fields[name].default) for name in cls.together}
        # What is no number is a problem by itself, and there is nothing to compare it with.
        usable = all(
            type(value) in (int, float) and math.isfinite(value) for value in numbers.values()
        )
        return cls._clash(numbers) if numbers and usable else ""


class Shares(Section):
    """A section with shares that make up a whole."""

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        total = math.fsum(numbers.values())
        return "" if abs(total - 1) <= 1e-6 else f"{' + '.join(numbers)} must be 1, not {total:g}"


class Stations(Shares):
    """Charging stations of the fleet."""

    together = ("level_2", "dc_fast", "v2g")

    count: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=170, description="number of stations"
    )
    level_2: Share = Field(default=0.65, description="share of level 2 AC stations")
    dc_fast: Share = Field(default=0.30, description="share of DC fast stations")
    v2g: Share = Field(default=0.05, description="share of bidirectional stations")


class BodyTypes(Shares):
    """Mix of body types."""

    together = ("sedan", "suv", "van")

    sedan: Share = Field(default=0.55, description="share of sedans")
    suv: Share = Field(default=0.30, description="share of SUVs")
    van: Share = Field(default=0.15, description="share of vans")


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
    waiting_limit: Annotated[Duration, within("5min", "24h")] = Field(
        default=parse_duration("30min"), description="a request not picked up by then is missed"
    )
    boarding: Annotated[Duration, within("0s", "1h")] = Field(
        default=parse_duration("1min"), description="stop at the pick-up"
    )
    initial_soc: tuple[Share, Share] = Field(
        default=(0.4, 0.9),
        strict=False,  # files have lists, not tuples
        description="states of charge at the start are uniform in this range",
    )
    towing: Annotated[Duration, within("5min", "24h")] = Field(
        default=parse_duration("45min"),
        description="time until an empty vehicle stands at the nearest station",
    )

    @field_validator("initial_soc")
    @classmethod
    def _low_to_high(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("must be [low, high] with low <= high")
        return value


class Traffic(Section):
    """How vehicles move."""

    kind: str = Field(default="meso", description="traffic simulator")
    roads: str = Field(
        default="siouxfalls",
        description="road network: a name of `cosim roads`, a network's folder or a net file",
    )
    energy: Literal["shipped", "calibrated"] = Field(
        default="shipped",
        description="consumption in meso: curves that ship, or those of `cosim roads calibrate`",
    )


class Weather(Section):
    """The air around vehicles."""

    ambient_c: Annotated[float, Field(ge=AMBIENT_LOW_C, le=AMBIENT_HIGH_C)] = Field(
        default=20.0, description="constant ambient temperature [degC], -20 to 45"
    )
    series: str = Field(
        default="",
        description="ambient temperature over time instead: a shipped day, repeated, or a CSV file "
        "with the columns time and temperature_c; a relative path starts where the scenario is",
    )


ChemistryName = Literal["nmc", "lfp"]


class Chemistry(Section):
    """What the cells of each body type are made of."""

    sedan: ChemistryName = Field(default="nmc", description="cells of sedans: nmc or lfp")
    suv: ChemistryName = Field(default="nmc", description="cells of SUVs: nmc or lfp")
    van: ChemistryName = Field(default="lfp", description="cells of vans: nmc or lfp")


class Battery(Section):
    """How batteries behave."""

    kind: str = Field(default="spme", description="battery model")
    chemistry: Chemistry = Field(default_factory=Chemistry, description="cells of each body type")
    preconditioning_kw: Annotated[float, Field(ge=0, le=50)] = Field(
        default=0.0, description="power of the heater that warms a cold pack at the plug; 0: none"
    )


class PackPrices(Section):
    """Price of packs [USD/kWh]."""

    nmc: Annotated[float, Field(ge=0, le=10_000)] = Field(
        default=128.0, description="NMC packs [USD/kWh]; BloombergNEF 2025, all uses"
    )
    lfp: Annotated[float, Field(ge=0, le=10_000)] = Field(
        default=81.0, description="LFP packs [USD/kWh]; BloombergNEF 2025, all uses"
    )


class Ageing(Section):
    """How batteries age and what that costs."""

    age_years: Annotated[float, Field(ge=0, le=20)] = Field(
        default=1.0, description="calendar age of the batteries at the start [years]"
    )
    acceleration: Annotated[float, Field(ge=1, le=100)] = Field(
        default=1.0, description="how many times over the ageing of every tick is counted"
    )
    pack_usd_per_kwh: PackPrices = Field(
        default_factory=PackPrices, description="what a pack costs"
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

    together = ("reserve_soc", "plug_in_below_soc", "charge_to_soc")

    plug_in_below_soc: Share = Field(
        default=0.4, description="an idle vehicle below this goes to charge"
    )
    charge_to_soc: Share = Field(default=0.9, description="charging ends here")
    reserve_soc: Share = Field(
        default=0.1, description="no trip is begun that would end below this"
    )

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        reserve, plug_in, charge_to = numbers.values()
        rising = reserve < plug_in < charge_to
        return "" if rising else "needs reserve_soc < plug_in_below_soc < charge_to_soc"


class Run(Section):
    """How the run is carried out."""

    audit: Literal["stop", "record"] = Field(
        default="stop",
        description="what a broken conservation law does: stop the run, or be recorded",
    )


class Scenario(Section):
    """A whole scenario. `cosim.loading` reads it from a file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=NAME_LENGTH)] = (
        Field(default="siouxfalls_day", description="name of the scenario")
    )
    description: str = Field(default="", description="one line for lists")
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = Field(
        default=42, description="all random streams come from it"
    )
    start: Moment = Field(
        default=parse_moment("2022-09-14"), description="local date and time of the first tick"
    )
    duration: Annotated[Duration, within("5min", "366d", whole_ticks=True)] = Field(
        default=parse_duration("24h"), description="simulated time, in whole ticks of 5 minutes"
    )
    fleet: Fleet = Field(default_factory=Fleet, description="vehicles, stations and requests")
    traffic: Traffic = Field(default_factory=Traffic, description="how vehicles move")
    weather: Weather = Field(default_factory=Weather, description="the air around vehicles")
    battery: Battery = Field(default_factory=Battery, description="how batteries behave")
    ageing: Ageing = Field(default_factory=Ageing, description="how batteries age")
    grid: Grid = Field(default_factory=Grid, description="the feeder that charges the fleet")
    market: Market = Field(default_factory=Market, description="the market that bills the energy")
    team: str = Field(default="rule_based", description="who decides")
    rules: Rules = Field(default_factory=Rules, description="what the rule-based team goes by")
    processes: Literal["one"] = Field(
        default="one", description="processes the simulators run in; only one is there yet"
    )
    run: Run = Field(default_factory=Run, description="how the run is carried out")

    @field_validator("processes", mode="before")
    @classmethod
    def _one_process(cls, value: Any) -> Any:
        if value == "separate":
            raise ValueError("must be one: only one process is there yet, separate ones are not")
        return value

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
