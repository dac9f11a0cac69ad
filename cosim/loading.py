"""Reading scenario files: all problems at once, each with what is allowed and what is near."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cosim import registry
from cosim.errors import Problem, ScenarioError, UserError
from cosim.scenario import Scenario

DEFAULT = "siouxfalls_day"
"""Scenario that ``cosim run`` takes when none is named."""


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
        A shipped name or the path of a YAML file.
    settings
        Overrides ``field=value``, the field dotted, the value in YAML notation.
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
    for setting in settings:
        _override(data, setting)
    if seed is not None:
        data["seed"] = seed
    if team is not None:
        data["team"] = team
    return check(data, str(source))


def check(data: Mapping[str, Any], source: str) -> Scenario:
    """Return the scenario in `data`, or raise every problem in it at once as a ScenarioError."""
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        problems = [_problem(details) for details in error.errors()]
        raise ScenarioError(source, [*problems, *_choice_problems(data)]) from None
    problems = _choice_problems(scenario.plain())
    if not problems:
        problems = [
            problem for checker in registry.scenario_checks() for problem in checker(scenario)
        ]
    if problems:
        raise ScenarioError(source, problems)
    return scenario


def _find(source: str) -> Path:
    known = shipped()
    if source in known:
        return known[source]
    path = Path(source)
    if path.is_file():
        return path
    if path.is_dir():
        raise UserError(f"{source} is a folder: name a scenario file in it")
    near = difflib.get_close_matches(source, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(
        f"no scenario {source}: neither a file nor one of the shipped "
        f"({', '.join(known)}).{hint} `cosim new {Path(source).with_suffix('.yaml')}` writes one."
    )


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML, except that a key given twice is a mistake rather than an override."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        try:
            first = seen.setdefault(key, key_node.start_mark.line + 1)
        except TypeError:
            continue
        if first != key_node.start_mark.line + 1:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"the field {key} is given twice, first in line {first}",
                node.start_mark,
            )
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}") from None
    try:
        # The loader is a SafeLoader: it makes plain data only.
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "the file"
        what = getattr(error, "problem", None) or str(error) or "it nests too deeply"
        raise ScenarioError(str(path), [Problem(place, "", f"is not YAML: {what}")]) from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ScenarioError(
            str(path), [Problem("the file", _short(data), "must be fields with values")]
        )
    return cast(dict[str, Any], data)


def _override(data: dict[str, Any], setting: str) -> None:
    field, equals, text = setting.partition("=")
    if not equals or not field.strip():
        raise UserError(f"--set {setting}: must be field=value, such as fleet.vehicles=200")
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--set {setting}: the value is not YAML: {error}") from None
    node = data
    *parents, last = field.strip().split(".")
    for parent in parents:
        child = node.setdefault(parent, {})
        if child is None:
            child = node[parent] = {}
        if not isinstance(child, dict):
            raise UserError(f"--set {setting}: {parent} has no fields of its own")
        node = cast(dict[str, Any], child)
    node[last] = value


_PHRASES = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "must be {expected}",
    "missing": "must be given",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_pattern_mismatch": "must be letters, digits, - and _, and start with no - or _",
    "tuple_type": "must be a list [low, high]",
    "too_short": "must be a list [low, high]",
    "too_long": "must be a list [low, high]",
    "model_type": "must be fields with values",
}


def _problem(details: ErrorDetails) -> Problem:
    location = details["loc"]
    field = ".".join(str(part) for part in location) or "the scenario"
    if details["type"] == "extra_forbidden":
        options = _fields_at(location[:-1])
        return Problem(
            field,
            "",
            f"is not a field; known here are {', '.join(options)}",
            _nearest(str(location[-1]), options),
        )
    context: dict[str, Any] = details.get("ctx") or {}
    if details["type"] == "value_error":
        allowed = str(context["error"])
    else:
        phrase = _PHRASES.get(details["type"])
        allowed = phrase.format(**context) if phrase else details["msg"]
    if context.get("multiple_of"):
        allowed = "must be a whole number of 5-minute ticks"
    found = "" if details["type"] == "missing" else _short(details["input"])
    nearest = ""
    if details["type"] == "literal_error":
        nearest = _nearest(str(details["input"]), _quoted(str(context["expected"])))
    return Problem(field, found, allowed, nearest)


def _choice_problems(data: Mapping[str, Any]) -> list[Problem]:
    """Fields whose options are known only when everything is installed."""
    problems: list[Problem] = []
    for field, options in registry.choices().items():
        node: Any = data
        for part in field.split("."):
            node = cast(Mapping[str, Any], node).get(part) if isinstance(node, Mapping) else None
        if isinstance(node, str) and node not in options:
            problems.append(
                Problem(
                    field, node, f"must be one of {', '.join(options)}", _nearest(node, options)
                )
            )
    return problems


def _fields_at(location: Iterable[int | str]) -> list[str]:
    model: type[BaseModel] = Scenario
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _nearest(value: str, options: Sequence[str]) -> str:
    near = difflib.get_close_matches(value, options, n=1, cutoff=0.5)
    return near[0] if near else ""


def _quoted(expected: str) -> list[str]:
    return [part for part in expected.split("'") if part and part.strip() not in ("or", ",")]


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, BaseModel) else "this section"
    if isinstance(value, dict):
        text = "{" + ", ".join(str(key) for key in cast(dict[Any, Any], value)) + "}"
    return text if len(text) <= 60 else text[:57] + "..."
