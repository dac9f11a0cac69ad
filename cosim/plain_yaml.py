"""YAML as scenario files use it: plain data, no key twice, nothing guessed.

Plain scalars are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema)
without octal and hexadecimal: YAML 1.1, PyYAML's own, reads ``24:00`` as 1440, ``no`` as false
and ``2022-02-30`` as a broken date. Merge keys ``<<`` work as in YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

import yaml

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_NULL = ("null", "Null", "NULL", "~", "")


class NotYamlError(ValueError):
    """A text is not YAML, or more than plain data."""

    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__(f"{place}: {reason}" if place else reason)


def parse(text: str) -> Any:
    """Return the data in `text`: None, text, numbers, truth values, lists and mappings of them.

    Raises
    ------
    NotYamlError
        If it is not such data, or a mapping gives a key twice.
    """
    try:
        # The loader makes plain data only: it knows no other tags.
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error)
        raise NotYamlError(place, " ".join(reason.split())) from None
    except RecursionError:
        raise NotYamlError("", "it nests too deeply") from None


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._flat: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuse keys given twice, then put merged mappings in place."""
        # Once: a mapping that was put in place may hold a key of its own and the merged one.
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._refuse_twins(node)
        super().flatten_mapping(node)

    def _refuse_twins(self, node: yaml.MappingNode) -> None:
        first: dict[Any, int] = {}
        for key_node, _ in node.value:
            merge = key_node.tag == _MERGE
            key = "<<" if merge else self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            try:
                twin = key in first
            except TypeError:
                # A list or a mapping as a key: refused when the mapping is made.
                continue
            if twin:
                raise _refusal(key_node, f"{key} is given twice, first in line {first[key]}")
            first[key] = line


def _refusal(node: yaml.Node, reason: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, reason, node.start_mark)


def _scalar(what: str, read: Callable[[str], Any]) -> Callable[[_Loader, yaml.Node], Any]:
    def construct(loader: _Loader, node: yaml.Node) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            raise _refusal(node, f"{what} was expected")
        text = str(loader.construct_scalar(node))
        try:
            return read(text)
        except (ValueError, OverflowError):
            shown = text if len(text) <= 40 else f"{text[:37]}... of {len(text)} characters"
            raise _refusal(node, f"{shown} cannot be read as {what}") from None

    return construct


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise ValueError
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _truth(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise ValueError
    return text in _TRUE


def _null(text: str) -> None:
    if text not in _NULL:
        raise ValueError


def _mapping(loader: _Loader, node: yaml.Node) -> dict[Any, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _refusal(node, "fields with values were expected")
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


def _unknown(loader: _Loader, node: yaml.Node) -> Any:
    del loader
    raise _refusal(node, f"the tag {node.tag.replace(_TAG, '!!')} is not known here")


# Nothing of PyYAML's own: no timestamps, no base-60 numbers, no sets.
_Loader.yaml_constructors = {}
_Loader.yaml_implicit_resolvers = {}
for _tag, _construct in {
    f"{_TAG}null": _scalar("null", _null),
    f"{_TAG}bool": _scalar("true or false", _truth),
    f"{_TAG}int": _scalar("a whole number", _integer),
    f"{_TAG}float": _scalar("a number", _float),
    f"{_TAG}str": _scalar("text", str),
    f"{_TAG}seq": yaml.SafeLoader.construct_yaml_seq,
    f"{_TAG}map": _mapping,
}.items():
    _Loader.add_constructor(_tag, _construct)
_Loader.add_constructor(cast(str, None), _unknown)

for _tag, _pattern in {
    f"{_TAG}null": re.compile(r"null|Null|NULL|~|"),
    f"{_TAG}bool": re.compile("|".join(_TRUE + _FALSE)),
    f"{_TAG}int": _INTEGER,
    f"{_TAG}float": _FLOAT,
    _MERGE: re.compile("<<"),
}.items():
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern.pattern})\Z"), None)
