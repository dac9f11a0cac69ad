"""Reading scenario files: all problems at once, each with what is allowed and what is near."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cosim import fitting, plain_yaml, registry
from cosim.errors import Problem, ScenarioError, UserError, nearest
from cosim.scenario import Scenario

DEFAULT = "siouxfalls_day"
"""Scenario that ``cosim run`` takes when none is named."""
SHOWN = 60
"""Characters of a wrong value that messages show."""

# The fields that `fitting.scenario_checks` go by.
_WITH_DATA = (
    "start", "duration", "market.prices", "weather.series", "battery.kind", "battery.chemistry",
    "fleet", "demand", "traffic.roads", "traffic.energy", "traffic.incidents", "traffic.background",
    "traffic.replay",
    "grid.kind", "grid.feeder", "grid.feeders", "grid.service_transformers", "grid.volt_var",
    "market.bids", "market.feeder_multiplier", "market.feeder_bus",
    "market.prices_zone", "market.prices_time_zone", "market.periods", "market.holidays",
    "market.real_time", "market.demand_response", "market.demand_response_baseline",
    "market.demand_response_calls", "market.scarce_below_mw", "market.reserve",
)  # fmt: skip
_ABSENT = object()
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = SHOWN


def shipped() -> dict[str, Path]:
    """Return the files of the scenarios that ship with the project, by name."""
    folder = Path(str(resources.files("cosim") / "scenarios"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(
    source: str = DEFAULT,
    *,
    settings: Sequence[str] = (),
    seed: int | None = None,
    team: str | None = None,
) -> Scenario:
    """Read a scenario and check it whole.

    Parameters
    ----------
    source
        A shipped name or the path of a YAML file. Files that it names lie beside it unless their
        paths are absolute; the scenario has absolute paths, so that it can be read from anywhere.
    settings
        Overrides ``field=value``, the field dotted, the value in YAML notation; paths from the
        working directory.
    seed, team
        Overrides of these two fields.

    Raises
    ------
    ScenarioError
        With every problem of the file and the overrides at once.
    UserError
        If there is no such file or name, or an override is not ``field=value``.
    """
    path = _find(source)
    data = _parse(path)
    # What a file names lies where the file is, what the command line names where one stands.
    _place(data, path.parent)
    for setting in settings:
        _override(data, setting)
    _place(data, Path())
    if seed is not None:
        data["seed"] = seed
    if team is not None:
        data["team"] = team
    return check(data, str(source))


def check(data: Mapping[str, Any], source: str) -> Scenario:
    """Return the scenario in `data`, or raise every problem in it at once as a ScenarioError."""
    scenario: Scenario | None = None
    problems = list(_null_characters(data))
    if problems:
        # No operating system takes them in the name of a file.
        raise ScenarioError(source, problems)
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        problems = [_problem(details) for details in error.errors()]
    problems += _choice_problems(data)
    problems += _data_problems(data)
    if scenario is None or problems:
        raise ScenarioError(source, problems)
    return scenario


def _null_characters(data: Any) -> Iterator[Problem]:
    """Yield the texts of a scenario that hold a null character."""
    places: list[tuple[str, Any]] = [("", data)]
    # Aliases can make a small file stand for more than there is room for: each part counts once.
    seen: set[int] = set()
    while places:
        place, value = places.pop(0)
        if isinstance(value, str):
            if "\0" in value:
                yield Problem(place, _cut(_REPR.repr(value)), "must hold no null character")
        elif isinstance(value, (Mapping, list)) and id(cast(Any, value)) not in seen:
            seen.add(id(cast(Any, value)))
            parts = (
                cast(Mapping[Any, Any], value).items()
                if isinstance(value, Mapping)
                else enumerate(cast(list[Any], value))
            )
            places += [(f"{place}.{key}".lstrip("."), part) for key, part in parts]


def _find(source: str) -> Path:
    known = shipped()
    if source in known:
        return known[source]
    if not source:
        raise UserError(f"the scenario has no name: name a file or one of {', '.join(known)}")
    path = Path(source)
    try:
        if path.is_file():
            return path
        folder = path.is_dir()
    except OSError as error:
        raise UserError(f"{_cut(source)} cannot be read: {error.strerror}") from None
    if folder:
        raise UserError(f"{source} is a folder: name a scenario file in it")
    near = nearest(source, known)
    hint = f" Did you mean {near}?" if near else ""
    file = source if source.endswith((".yaml", ".yml")) else f"{source}.yaml"
    raise UserError(
        f"no scenario {source}: neither a file nor one of the shipped "
        f"({', '.join(known)}).{hint} `cosim new {file}` writes one."
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}") from None
    try:
        data = plain_yaml.parse(text)
    except plain_yaml.NotYamlError as error:
        problem = Problem(error.place or "the file", "", f"is not YAML: {error.reason}")
        raise ScenarioError(str(path), [problem]) from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ScenarioError(
            str(path), [Problem("the file", _short(data), "must be fields with values")]
        )
    return cast(dict[str, Any], data)


def _override(data: dict[str, Any], setting: str) -> None:
    field, equals, text = setting.partition("=")
    *parents, last = (part.strip() for part in field.split("."))
    shown = f"--set {_cut(setting)}"
    if not equals or not all((*parents, last)):
        raise UserError(f"{shown}: must be field=value, such as fleet.vehicles=200")
    try:
        value = plain_yaml.parse(text)
    except plain_yaml.NotYamlError as error:
        raise UserError(f"{shown}: the value is not YAML: {error.reason}") from None
    node = data
    for parent in parents:
        child = node.get(parent)
        if child is not None and not isinstance(child, dict):
            raise UserError(f"{shown}: {parent} has no fields of its own")
        node = _own(node, parent)
    node[last] = value


def _own(node: dict[str, Any], parent: str) -> dict[str, Any]:
    """Return a section to change: a copy, as with anchors two may be one and the same object."""
    child = node[parent] = cast(dict[str, Any], {**(node.get(parent) or {})})
    return child


def _place(data: dict[str, Any], folder: Path) -> None:
    """Make the paths in `data` absolute, from `folder` on."""
    for field, is_path in registry.PATHS.items():
        value = _at(data, field)
        if not isinstance(value, str) or os.path.isabs(value) or not is_path(value, folder):
            continue
        *parents, last = field.split(".")
        node = data
        for parent in parents:
            node = _own(node, parent)
        node[last] = os.path.abspath(folder / value)


_PHRASES = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_too_long": "must be at most {max_length} characters",
    "string_pattern_mismatch": "must be letters, digits, - and _, and start with no - or _",
    "missing": "must be a list [low, high]",
    "tuple_type": "must be a list [low, high]",
    "too_short": "must be a list [low, high]",
    "too_long": "must be a list [low, high]",
    "model_type": "must be fields with values",
}


def _problem(details: ErrorDetails) -> Problem:
    location = details["loc"]
    lacking = ""
    if details["type"] == "missing":
        # Only an entry of a list, or a pair of numbers, can lack something.
        lacking = location[-1] if isinstance(location[-1], str) else ""
        location = location[:-1]
    field = ".".join(str(part) for part in location) or "the scenario"
    if details["type"] in ("extra_forbidden", "invalid_key"):
        options = _fields_at(location[:-1])
        return Problem(
            field,
            "",
            f"is not a field; known here are {', '.join(options)}",
            nearest(str(location[-1]), options),
        )
    value = details["input"]
    context = {
        key: f"{bound:g}" if isinstance(bound, float) else bound
        for key, bound in (details.get("ctx") or {}).items()
    }
    if lacking:
        allowed = f"needs {lacking}"
    elif details["type"] == "value_error":
        allowed = str(context["error"])
    elif isinstance(value, float) and not math.isfinite(value):
        allowed = "must be a finite number"
    else:
        phrase = _PHRASES.get(details["type"])
        if details["type"] == "tuple_type" and _of_any_length(location):
            phrase = "must be a list"
        allowed = phrase.format(**context) if phrase else details["msg"]
    if details["type"] in ("int_type", "float_type") and isinstance(value, str):
        allowed += ", not text"
    near = ""
    if details["type"] == "literal_error":
        near = nearest(str(value), _quoted(str(context["expected"])))
    return Problem(field, _short(value), allowed, near)


def _choice_problems(data: Mapping[str, Any]) -> list[Problem]:
    """Fields whose options are known only when everything is installed."""
    problems: list[Problem] = []
    for field, options in registry.choices().items():
        value = _at(data, field)
        if isinstance(value, str) and value not in options:
            near = nearest(value, options)
            allowed = f"must be one of {', '.join(options)}"
            if field in registry.ALSO_PATHS:
                allowed = registry.ALSO_PATHS[field](value)
            if allowed:
                problems.append(Problem(field, _cut(value), allowed, near))
    return problems


def _data_problems(data: Mapping[str, Any]) -> list[Problem]:
    """Return what data rules out, as soon as the fields that it depends on are right."""
    given: dict[str, Any] = {}
    for field in _WITH_DATA:
        *parents, last = field.split(".")
        value = _at(data, field)
        if value is _ABSENT:
            continue
        node = given
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    for role in ("traffic", "market"):
        # A wrong kind is told by itself; the other checks go by the default then.
        kind = _at(data, f"{role}.kind")
        if isinstance(kind, str) and kind in registry.kinds(role):
            given.setdefault(role, {})["kind"] = kind
    if _choice_problems(given):
        return []
    try:
        scenario = Scenario.model_validate(given)
    except ValidationError:
        return []
    return [problem for checker in fitting.scenario_checks() for problem in checker(scenario)]


def _at(data: Mapping[str, Any], field: str) -> Any:
    node: Any = data
    for part in field.split("."):
        if not isinstance(node, Mapping):
            return _ABSENT
        node = cast(Mapping[str, Any], node).get(part, _ABSENT)
    return node


def _of_any_length(location: Sequence[int | str]) -> bool:
    """Whether a field is a list with any number of entries."""
    *parents, last = location
    model = _section_at(parents)
    info = model.model_fields.get(str(last)) if model else None
    return info is not None and Ellipsis in get_args(info.annotation)


def _fields_at(location: Iterable[int | str]) -> list[str]:
    model = _section_at(location)
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _section_at(location: Iterable[int | str]) -> type[BaseModel] | None:
    model: type[BaseModel] = Scenario
    for part in location:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        entries = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type)]
        sections = [a for a in entries if issubclass(a, BaseModel)]
        if not sections:
            return None
        model = sections[0]
    return model


def _quoted(expected: str) -> list[str]:
    return [part for part in expected.split("'") if part and part.strip() not in ("or", ",")]


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, dict):
        return _cut("{" + ", ".join(str(key) for key in cast(dict[Any, Any], value)) + "}")
    # Not repr: aliases in a file can make a small text a huge object.
    return _cut(_REPR.repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
