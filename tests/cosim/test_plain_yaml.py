"""YAML of scenario files: plain data, no key twice, nothing guessed, no other exception."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.plain_yaml import NotYamlError, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("24:00", "24:00"),
        ("1:30.5", "1:30.5"),
        ("2022-02-30", "2022-02-30"),
        ("2022-09-14", "2022-09-14"),
        ("yes", "yes"),
        ("no", "no"),
        ("=", "="),
        ("true", True),
        ("010", 10),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("''", ""),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("!!str 1", "1"),
    ],
)
def test_values(text: str, value: object) -> None:
    found = parse(text)
    assert found == value
    assert type(found) is type(value)


def test_merge_keys() -> None:
    text = """
    a: &a {x: 1, y: 1}
    b: &b {<<: *a, y: 2}
    c: {<<: *b, z: 3, x: 0}
    d: {<<: [*b, *a]}
    """
    found = parse(text)
    assert found["b"] == {"x": 1, "y": 2}
    assert found["c"] == {"x": 0, "y": 2, "z": 3}
    assert found["d"] == {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{a: 1, a: 2}", "line 1, column 8: a is given twice, first in line 1"),
        ('a: 1\nb: 2\n"a": 3', "line 3, column 1: a is given twice, first in line 1"),
        ("b:\n  a: 1\n  a: 1", "given twice, first in line 2"),
        ("x: {<<: {a: 1, a: 2}}", "a is given twice"),
        ("[{a: 1, a: 2}]", "a is given twice"),
        ("[" * 2000, "it nests too deeply"),
        ("1" * 5000, "of 5000 characters cannot be read as a whole number"),
        ("!!timestamp x", "the tag !!timestamp is not known here"),
        ("!!python/object:os.system {}", "not known here"),
        ("!!bool x", "cannot be read as true or false"),
        ("!!int x", "cannot be read as a whole number"),
        ("!!float x", "cannot be read as a number"),
        ("!!null x", "cannot be read as null"),
        ("!!int [1]", "a whole number was expected"),
        ("!!map x", "fields with values were expected"),
        ("!!seq x", "expected a sequence"),
        ("&a {x: *a}", "recursive"),
        ("{[a]: 1}", "unhashable key"),
        ("a: 1\n---\nb: 1", "another document"),
        ("\x07", "special characters"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(NotYamlError) as caught:
        parse(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="ab01:.-+_!&*<>[]{},'\"#?|%@=~ \n\t", max_size=30))
def test_whatever_is_typed(text: str) -> None:
    try:
        parse(text)
    except NotYamlError:
        return
