"""Plain notation for durations and moments in scenario files."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from cosim.signals import TICK_S

_UNIT_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
# Nine digits are 31 years of seconds; more are a slip.
_PART = re.compile(r"([0-9]{1,9})\s*(d|h|min|s)")

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})")


def parse_duration(value: Any) -> int:
    """Return the seconds in `value`, such as ``24h``, ``90min``, ``1h30min`` or ``2d``.

    Raises
    ------
    ValueError
        If it is not such a text. A bare number is refused: its unit would be a guess.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        parts = _PART.findall(text)
        if parts and not _PART.sub("", text).strip():
            return sum(int(count) * _UNIT_S[unit] for count, unit in parts)
    raise ValueError("must be a duration with its unit, such as 24h, 90min, 1h30min or 2d")


def format_duration(seconds: int) -> str:
    """Return `seconds` in the notation that `parse_duration` reads."""
    rest, text = int(seconds), ""
    for unit in ("d", "h", "min", "s"):
        # One day reads better as 24h; whole days beyond that as days.
        if unit == "d" and (rest % 86_400 or rest == 86_400):
            continue
        count, rest = divmod(rest, _UNIT_S[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def within(least: str, most: str, *, whole_ticks: bool = False) -> AfterValidator:
    """Return the bounds of a `Duration`, told in the notation that they are given in.

    Parameters
    ----------
    least, most
        The shortest and the longest duration allowed.
    whole_ticks
        The duration is a whole number of ticks.
    """
    least_s, most_s = parse_duration(least), parse_duration(most)

    def check(seconds: int) -> int:
        if seconds < least_s:
            raise ValueError(f"must be at least {least}")
        if seconds > most_s:
            raise ValueError(f"must be at most {most}")
        if whole_ticks and seconds % TICK_S:
            raise ValueError("must be a whole number of 5-minute ticks")
        return seconds

    return AfterValidator(check)


def parse_moment(value: Any) -> str:
    """Return `value`, a date or a date and time, as ISO text without zone.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        try:
            # A number is no date: 20220914 might be anything.
            moment = datetime.fromisoformat(value.strip() if isinstance(value, str) else "")
        except ValueError:
            raise ValueError("must be a date such as 2022-07-14 or 2022-07-14 06:00") from None
    if moment.tzinfo is not None:
        raise ValueError("must be local time, without a zone")
    if moment.second or moment.microsecond or moment.minute % 5:
        raise ValueError("must lie on a whole 5 minutes")
    return moment.isoformat(sep=" ", timespec="minutes")


def parse_moment_or_time(value: Any) -> str:
    """Return `value`, a moment or a time of day such as ``08:00``, as ISO text without zone.

    Raises
    ------
    ValueError
        If it is neither.
    """
    if isinstance(value, str) and (found := _TIME.fullmatch(value.strip())):
        hour, minute = int(found[1]), int(found[2])
        if hour < 24 and minute < 60 and minute % 5 == 0:
            return f"{hour:02}:{minute:02}"
        raise ValueError("must be a time of day on a whole 5 minutes, such as 08:00")
    try:
        return parse_moment(value)
    except ValueError as error:
        raise ValueError(
            f'{error}; or a time of day such as "08:00", every day, in quotes'
        ) from None


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*([0-9]{1,9}\s*(d|h|min|s)\s*)+$",
            "examples": ["24h", "90min"],
        }
    ),
]
"""Seconds, written with units."""


def _parse_seconds(value: Any) -> Any:
    return float(parse_duration(value)) if isinstance(value, str) else value


def _format_seconds(seconds: float) -> str | float:
    return format_duration(int(seconds)) if seconds == int(seconds) else seconds


Seconds = Annotated[
    float,
    Field(ge=0, le=366 * 86_400),
    BeforeValidator(_parse_seconds),
    PlainSerializer(_format_seconds),
    WithJsonSchema({"type": ["string", "number"], "examples": ["15min", 900]}),
]
"""Seconds, written with units or, as the field's name has the unit, as a number."""

PositiveSeconds = Annotated[Seconds, Field(gt=0)]

Moment = Annotated[
    str,
    BeforeValidator(parse_moment),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9][05](:00)?)?$",
            "examples": ["2022-07-14", "2022-07-14 06:00"],
        }
    ),
]
"""Local date and time as ISO text."""

MomentOrTime = Annotated[
    str,
    BeforeValidator(parse_moment_or_time),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2}[ T])?[0-9]{1,2}:[0-9][05](:00)?$",
            "examples": ["08:00", "2022-07-14 06:00"],
        }
    ),
]
"""Local date and time, or a time of every day, as ISO text."""


def of_every_day(text: str) -> bool:
    """Return whether a `MomentOrTime` is a time of every day."""
    return len(text) == len("08:00")
