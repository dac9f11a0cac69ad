"""What a scenario says of its market: kind, prices, feeders' buses, tariff, real-time prices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

from cosim.section import Section

FeederBus = Literal["B", "C", "D"]
"""Buses of the five-bus market that have a load of their own, of which feeders are a part."""


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _short(value: tuple[str, ...]) -> str | list[str]:
    return value[0] if len(value) == 1 else list(value)


FeederBuses = Annotated[
    tuple[FeederBus, ...],
    Strict(False),  # files have lists, not tuples
    BeforeValidator(_listed),
    PlainSerializer(_short),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": ["B", "C", "D"]},
                {"type": "array", "items": {"enum": ["B", "C", "D"]}, "minItems": 1},
            ]
        }
    ),
]
"""One bus for all feeders, or a list with one for each."""


class Market(Section):
    """The market that bills the energy; the README of `adapters/market` says which kind is what."""

    kind: str = Field(default="five_bus", description="market")
    prices: str = Field(
        default="LZ_AEN", description="ERCOT load zone whose prices scale the offers"
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
    value_of_lost_load_usd_per_mwh: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=5000.0,
        description="five_bus: price of load that cannot be served [USD/MWh]",
    )
