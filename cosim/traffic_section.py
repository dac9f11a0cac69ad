"""What a scenario says of its traffic: kind, roads, routing, closed roads, other people."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cosim.notation import MomentOrTime, of_every_day
from cosim.section import Section, Share


class Incident(Section):
    """A road that is closed for a time."""

    model_config = ConfigDict(serialize_by_alias=True)

    edge: str = Field(description="edge of the road network that nobody may enter")
    begin: MomentOrTime = Field(
        alias="from", description="when it closes: a moment, or a time of every day"
    )
    end: MomentOrTime = Field(alias="to", description="when it opens again, written alike")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        daily = [of_every_day(text) for text in (self.begin, self.end)]
        if daily[0] != daily[1]:
            raise ValueError("from and to must both be moments, or both times of day")
        if self.begin == self.end or (not daily[0] and self.begin > self.end):
            raise ValueError("from must be before to")
        return self


class Background(Section):
    """Traffic of other people, which only fills the roads."""

    share_of_capacity: Share = Field(
        default=0.0,
        description="volume over capacity in the busiest hour, mean over the edges by length; "
        "0: none, or what trips says",
    )
    trips: str = Field(
        default="",
        description="instead: trip_table for that of the roads, or a CSV file with the columns "
        "origin, destination (zones or edges) and trips a day",
    )
    per_day: Annotated[float, Field(ge=0, le=2_000_000)] = Field(
        default=0.0, description="trips a day that these are scaled to; 0: as they stand"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.share_of_capacity and self.trips:
            raise ValueError("needs share_of_capacity or trips, not both")
        if self.per_day and not self.trips:
            raise ValueError("per_day scales trips: name them, such as trip_table")
        return self


class Traffic(Section):
    """How vehicles move."""

    kind: str = Field(default="meso", description="traffic simulator")
    roads: str = Field(
        default="siouxfalls",
        description="road network: a name of `cosim roads`, a network's folder or a net file",
    )
    energy: Literal["shipped", "calibrated"] = Field(
        default="calibrated",
        description="consumption in meso: fitted to micro on these roads at their first run, or "
        "curves that ship",
    )
    routing: Literal["current", "free_flow"] = Field(
        default="current",
        description="what ways are chosen by: the travel times of the moment, or empty roads",
    )
    background: Background = Field(
        default_factory=Background, description="traffic of other people; none as it stands"
    )
    replay: str = Field(
        default="", description="folder of the complete run whose trips the kind replay drives"
    )
    incidents: tuple[Incident, ...] = Field(
        default=(),
        strict=False,  # files have lists, not tuples
        description="roads that are closed for a time: edge, from, to",
    )

    @property
    def calibrates(self) -> bool:
        """Whether consumption is a curve that is fitted on the roads."""
        return self.kind == "meso" and self.energy == "calibrated"
