"""What a scenario says of its fleet: vehicles, segments, stations and their demand."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cosim.notation import Duration, parse_duration, within
from cosim.section import Section, Share, Shares, ShareSpan, Weight, Weights
from networks.demand.commute import Commute
from networks.demand.consumer import Consumer
from networks.demand.delivery import Delivery
from networks.demand.own_trips import OwnTrips
from networks.demand.ride_share import RideShare
from networks.demand.transit import Transit


class Stations(Shares):
    """Public charging stations; homes, depots and places of work come with their segments."""

    together = ("level_2", "dc_fast", "v2g")

    count: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=170, description="number of public stations"
    )
    level_2: Share = Field(default=0.65, description="share of level 2 AC stations")
    dc_fast: Share = Field(default=0.30, description="share of DC fast stations")
    v2g: Share = Field(default=0.05, description="share of bidirectional stations")
    site_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0,
        description="most power of all public stations at one place over the sum of their ratings",
    )


class BodyTypes(Shares):
    """Mix of body types."""

    together = ("sedan", "suv", "van")

    sedan: Share = Field(default=0.55, description="share of sedans")
    suv: Share = Field(default=0.30, description="share of SUVs")
    van: Share = Field(default=0.15, description="share of vans")


class Brands(Section):
    """Weights of the brands; a body type is divided among those that build it."""

    hyundai: Weight = Field(default=0.0, description="weight of Hyundai (sedan, SUV)")
    volkswagen: Weight = Field(default=0.0, description="weight of Volkswagen (SUV, van)")
    ford: Weight = Field(default=0.0, description="weight of Ford (SUV, van)")
    tesla: Weight = Field(default=0.0, description="weight of Tesla (sedan, SUV)")


class Segments(Weights):
    """How the vehicles divide among the segments; any unit, what counts is the proportion."""

    together = ("ride_share", "delivery", "commute", "transit", "consumer", "own_trips")

    ride_share: Weight = Field(default=1.0, description="weight of ride-share vehicles")
    delivery: Weight = Field(default=0.0, description="weight of parcel delivery")
    commute: Weight = Field(default=0.0, description="weight of commuters of a company")
    transit: Weight = Field(default=0.0, description="weight of transit buses")
    consumer: Weight = Field(default=0.0, description="weight of private vehicles")
    own_trips: Weight = Field(default=0.0, description="weight of vehicles with trips from a file")


class Fleet(Section):
    """Vehicles and their stations."""

    vehicles: Annotated[int, Field(ge=1, le=200_000)] = Field(
        default=500, description="number of EVs"
    )
    segments: Segments = Field(
        default_factory=Segments, description="how the vehicles divide among the segments"
    )
    body_types: BodyTypes = Field(
        default_factory=BodyTypes, description="mix of body types outside transit, which has buses"
    )
    brands: Brands = Field(
        default_factory=Brands, description="weights of brands; all 0: one model for a body type"
    )
    stations: Stations = Field(default_factory=Stations, description="public charging stations")
    boarding: Annotated[Duration, within("0s", "1h")] = Field(
        default=parse_duration("1min"), description="stop at the pick-up"
    )
    initial_soc: ShareSpan = Field(
        default=(0.4, 0.9),
        description="states of charge with which vehicles came to where they stand at the start, "
        "uniform in this range; those at a charger of their own have charged there since",
    )
    towing: Annotated[Duration, within("5min", "24h")] = Field(
        default=parse_duration("45min"),
        description="time until an empty vehicle stands at the nearest station",
    )
    patience: Annotated[Duration, within("0s", "24h")] = Field(
        default=parse_duration("2h"),
        description="an own trip that has not begun this long after its deadline is missed",
    )


class Demand(Section):
    """What the segments are asked to do; the README of `networks/demand` has the sources."""

    ride_share: RideShare = Field(default_factory=RideShare, description="requests of customers")
    delivery: Delivery = Field(default_factory=Delivery, description="tours of parcel vans")
    commute: Commute = Field(default_factory=Commute, description="to work and back")
    transit: Transit = Field(default_factory=Transit, description="timetabled lines")
    consumer: Consumer = Field(default_factory=Consumer, description="trip chains from home")
    own_trips: OwnTrips = Field(default_factory=OwnTrips, description="trips from a file")
