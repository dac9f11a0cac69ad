"""The scenario file: what is simulated, with which kinds. Frozen once it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cosim.fleet_section import Demand, Fleet
from cosim.market_section import Market
from cosim.notation import Duration, Moment, PositiveSeconds, parse_duration, parse_moment, within
from cosim.section import OnOff, Section, Share, words
from cosim.signals import TICK_S
from cosim.traffic_section import Traffic

NAME_LENGTH = 100
"""Characters of a scenario's name: it names folders, with a time stamp."""

AMBIENT_LOW_C, AMBIENT_HIGH_C = -20.0, 45.0
"""Ambient temperatures that the battery models are tested at [degC]."""


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
    bus: ChemistryName = Field(default="lfp", description="cells of buses: nmc or lfp")


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
        default=1.0,
        description="calendar age of the batteries at the start [years]; new ones, 0, lose several "
        "times the pace of their first year in its first days",
    )
    acceleration: Annotated[float, Field(ge=1, le=100)] = Field(
        default=1.0, description="how many times over the ageing of every tick is counted"
    )
    pack_usd_per_kwh: PackPrices = Field(
        default_factory=PackPrices, description="what a pack costs"
    )


LEAST_BAND_PU = 0.001
"""Least width of a band of voltages: clearings hold a hair less than what they are asked for."""
LimitPct = Annotated[float, Field(gt=0, le=1000)]


class Limits(Section):
    """What bids are cleared within; only with market.bids: on."""

    together = ("voltage_low_pu", "voltage_high_pu")

    transformer_pct: LimitPct = Field(
        default=100.0, description="most load of a transformer over its rating [%]"
    )
    line_pct: LimitPct = Field(
        default=100.0, description="most current of a line over its rating, if it has one [%]"
    )
    voltage_low_pu: Annotated[float, Field(ge=0.5, le=1.5)] = Field(
        default=0.95, description="lowest voltage of any bus; ANSI C84.1, range A"
    )
    voltage_high_pu: Annotated[float, Field(ge=0.5, le=1.5)] = Field(
        default=1.05, description="highest voltage of any bus; likewise"
    )

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        low, high = numbers.values()
        needs = f"needs voltage_low_pu at least {LEAST_BAND_PU:g} below voltage_high_pu"
        return "" if low + LEAST_BAND_PU <= high else f"{needs}, not {low:g} and {high:g}"


VoltVar = Annotated[Literal["off", "category_a", "category_b"], BeforeValidator(words)]


class Grid(Section):
    """The distribution feeders that charge the fleet."""

    kind: str = Field(
        default="opendss",
        description="power flow: opendss solves every tick, linear every few and follows between",
    )
    refresh_ticks: Annotated[int, Field(ge=1, le=288)] = Field(
        default=12, description="ticks from one solution of OpenDSS to the next, kind linear"
    )
    feeder: str = Field(
        default="ieee123",
        description="distribution feeder: a shipped one, or the master file (.dss) of an OpenDSS "
        "circuit, used as it is",
    )
    feeders: Annotated[int, Field(ge=1, le=200)] = Field(
        default=1,
        description="how many such feeders are simulated; each supplies the stations of one area",
    )
    service_transformers: str = Field(
        default="",
        description="service transformers that stations join: a CSV file (id, bus, phases, kva, "
        "and more); if left out, the software sizes and places them",
    )
    load_shape: str = Field(
        default="opendss_default", description="daily shape of the feeder's own load"
    )
    load_scale: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.0, description="own load over its published value at the peak of the shape"
    )
    charger_power_factor: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.99,
        description="power factor of chargers, lagging; their rating is their power over it",
    )
    volt_var: VoltVar = Field(
        default="off",
        description="reactive power of chargers by the voltage in place of a power factor: off, or "
        "the default curve of category_a or category_b of IEEE Std 1547-2018",
    )
    volt_watt: OnOff = Field(
        default="off",
        description="whether chargers draw less at low and feed back less at high voltage",
    )
    limits: Limits = Field(
        default_factory=Limits, description="what bids of vehicles are cleared within"
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
    route: Literal["fastest", "least_energy"] = Field(
        default="fastest",
        description="way of a trip that is assigned: the fastest, or of different ways that take "
        "up to half as long again the one that takes the least energy",
    )

    feed_back_above_usd_per_mwh: Annotated[float, Field(ge=-1000, le=100_000)] | None = Field(
        default=None,
        description="price at a station, less battery wear of feeding back and charging again, "
        "from which vehicles at its two-way ports feed back [USD/MWh]; null: never",
    )
    needed_usd_per_mwh: Annotated[float, Field(ge=0, le=100_000)] = Field(
        default=500.0,
        description="with market.bids: most that is paid for what the next trip needs while it can "
        "wait, or at a public port; the value of lost load where it cannot wait [USD/MWh]",
    )
    can_wait_over_usual: Annotated[float, Field(ge=0, le=1000)] = Field(
        default=2.0,
        description="with market.bids: most that is paid for all else, over what energy has cost "
        "in the last day",
    )
    feed_back_to_soc: Share = Field(
        default=0.6, description="feeding back ends here, or where the next trip needs the charge"
    )
    respond_above_usd_per_mwh: Annotated[float, Field(ge=0, le=100_000)] | None = Field(
        default=0.0,
        description="pay of demand response from which charging that can wait does [USD/MWh]; "
        "null: never",
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
    checkpoint_every: Annotated[Duration, within("0s", "366d", whole_ticks=True)] = Field(
        default=parse_duration("24h"),
        description="simulated time between two checkpoints, from which `cosim resume` goes on; "
        "0s: only where a run is stopped. SUMO starts anew from each, so that results depend on it",
    )
    answer_within: PositiveSeconds = Field(
        default=20.0,
        description="with processes: separate, longest that a simulator may take for a tick before "
        "it counts as lost",
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
    fleet: Fleet = Field(default_factory=Fleet, description="vehicles and their stations")
    demand: Demand = Field(default_factory=Demand, description="what the segments are asked to do")
    traffic: Traffic = Field(default_factory=Traffic, description="how vehicles move")
    weather: Weather = Field(default_factory=Weather, description="the air around vehicles")
    battery: Battery = Field(default_factory=Battery, description="how batteries behave")
    ageing: Ageing = Field(default_factory=Ageing, description="how batteries age")
    grid: Grid = Field(default_factory=Grid, description="the feeders that charge the fleet")
    market: Market = Field(default_factory=Market, description="the market that bills the energy")
    team: str = Field(default="rule_based", description="who decides")
    rules: Rules = Field(default_factory=Rules, description="what the rule-based team goes by")
    processes: Literal["one", "separate"] = Field(
        default="one",
        description="simulators in one process, or each in a process of its own: one or separate",
    )
    run: Run = Field(default_factory=Run, description="how the run is carried out")

    @property
    def ticks(self) -> int:
        """Number of settlement intervals."""
        return self.duration // TICK_S

    @property
    def checkpoint_ticks(self) -> int:
        """Settlement intervals between two checkpoints, 0 for none."""
        return self.run.checkpoint_every // TICK_S

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
