"""Base of everything that a scenario file says: frozen, checked whole, told in one message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PlainSerializer,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole."""
Weight = Annotated[float, Field(ge=0, le=1e9)]
"""A part of a whole in any unit: what counts is its ratio to the others."""
Amount = Annotated[float, Field(ge=0, le=1e6)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
PortPower = Annotated[float, Field(gt=0, le=700)]
"""Power of a port [kW]: no more than the largest service transformer carries."""


def words(value: Any) -> Any:
    """Return on or off for what YAML 1.1, which many editors write, reads as truth values."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _short(value: tuple[str, ...]) -> str | list[str]:
    return value[0] if len(value) == 1 else list(value)


class _EitherSchema:
    """JSON Schema of one word or a list of them."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], {**many, "minItems": 1}]}


_Word = TypeVar("_Word", bound=str)
OneOrMore = Annotated[
    tuple[_Word, ...],
    Strict(False),  # files have lists, not tuples
    BeforeValidator(_listed),
    PlainSerializer(_short),
    _EitherSchema(),
]
"""One word, or a list of them."""
OnOff = Annotated[Literal["off", "on"], BeforeValidator(words)]
"""A switch."""
Count = Annotated[int, Field(ge=1, le=100_000)]


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("must be [low, high] with low <= high")
    return value


def _hours(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= value[0] < value[1] <= 24:
        raise ValueError("must be [first, last], hours of a day from 0 to 24, first before last")
    return value


def _whole(value: tuple[float, float]) -> tuple[float, float]:
    if any(hour != int(hour) for hour in value):
        raise ValueError("must be whole hours")
    return value


# Files have lists, not tuples.
ShareSpan = Annotated[tuple[Share, Share], Strict(False), AfterValidator(_rising)]
"""Lower and upper bound of a share."""
HourSpan = Annotated[tuple[float, float], Strict(False), AfterValidator(_hours)]
"""First and last hour of a part of a day [h]."""
WholeHourSpan = Annotated[HourSpan, AfterValidator(_whole)]
HourSpans = Annotated[tuple[HourSpan, ...], Strict(False)]


class Section(BaseModel):
    """Base of every part of a scenario: frozen, nothing unknown, nothing converted in silence.

    An empty section has its defaults. What fields get wrong together is found also when one of
    them, or another of the section, is wrong by itself.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

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


class Weights(Section):
    """A section with weights that divide a whole in their proportion."""

    @classmethod
    def _clash(cls, numbers: Mapping[str, float]) -> str:
        return "" if sum(numbers.values()) > 0 else f"one of {', '.join(numbers)} must be above 0"
