"""A commented scenario to start from, written from the model itself so that it cannot drift."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel

from cosim import registry
from cosim.scenario import Scenario

_HEAD = """\
# A Voltstep scenario. Every field is optional: what is left out takes the value shown here.
# Run it:            cosim run {file}
# Change one field:  cosim run {file} --set fleet.vehicles=200
# Editors check it against the JSON Schema that `cosim schema` prints.

"""


def commented(name: str, file: str) -> str:
    """Return the default scenario as YAML, each field with its meaning and its options."""
    scenario = Scenario(name=name, description="my scenario")
    lines = _lines(scenario, scenario.plain(), registry.choices(), "", 0)
    return _HEAD.format(file=file) + "\n".join(lines) + "\n"


def _lines(
    section: BaseModel,
    plain: Mapping[str, Any],
    choices: Mapping[str, tuple[str, ...]],
    path: str,
    depth: int,
) -> Iterator[str]:
    indent = "  " * depth
    for name, info in type(section).model_fields.items():
        value, field = getattr(section, name), f"{path}{name}"
        comment = info.description or ""
        if field in choices:
            comment += f" ({', '.join(choices[field])})"
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:  # {comment}"
            inner = cast(Mapping[str, Any], plain[name])
            yield from _lines(value, inner, choices, f"{field}.", depth + 1)
        else:
            yield f"{indent}{name}: {_yaml(plain[name])}  # {comment}"


def _yaml(value: Any) -> str:
    if isinstance(value, str) and value and (value[0].isalpha() or value[0].isdigit()):
        return value
    return json.dumps(value)
