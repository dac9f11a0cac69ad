"""What people and editors start from, written from the model itself so that it cannot drift."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml
from pydantic import BaseModel

from cosim import plain_yaml, registry
from cosim.scenario import NAME_LENGTH, Scenario

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
    # A comment ends at the first line break, and YAML refuses control characters even there.
    shown = shlex.quote(file) if file.isprintable() else "FILE"
    return _HEAD.format(file=shown) + "\n".join(lines) + "\n"


def name_for(stem: str) -> str:
    """Return a scenario's name for a file of this name, extension left out."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", stem).lstrip("-_")[:NAME_LENGTH].rstrip("-_")
    return name or "my_scenario"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files, with the kinds that are installed."""
    content = Scenario.model_json_schema()
    _complete(content, content, Scenario().plain(), registry.choices(), "")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}


def _complete(
    content: Mapping[str, Any],
    section: Mapping[str, Any],
    plain: Mapping[str, Any],
    choices: Mapping[str, tuple[str, ...]],
    path: str,
) -> None:
    """Give each field its default in the notation of files, and its options."""
    for name, value in plain.items():
        field, node = f"{path}{name}", section["properties"][name]
        if isinstance(value, dict):
            inner = content["$defs"][node["$ref"].rpartition("/")[2]]
            _complete(content, inner, cast(dict[str, Any], value), choices, f"{field}.")
        else:
            node["default"] = value
            if field in choices:
                kind = "examples" if field in registry.ALSO_PATHS else "enum"
                node[kind] = list(choices[field])


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
        comment = " ".join((info.description or "").split())
        if field in choices:
            comment += f" ({', '.join(choices[field])})"
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:  # {comment}"
            inner = cast(Mapping[str, Any], plain[name])
            yield from _lines(value, inner, choices, f"{field}.", depth + 1)
        else:
            yield f"{indent}{name}: {_yaml(plain[name])}  # {comment}"


def _yaml(value: Any) -> str:
    if isinstance(value, str) and value.isascii() and _reads_back(value):
        return value
    return json.dumps(value)


def _reads_back(text: str) -> bool:
    """Whether text stays what it is without quotes, for editors that go by YAML 1.1 too."""
    line = f"field: {text}  # comment"
    try:
        return plain_yaml.parse(line) == yaml.safe_load(line) == {"field": text}
    except (ValueError, AttributeError, yaml.YAMLError):
        return False
