"""What people and editors start from agrees with what is read."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cosim import cli, loading
from cosim.scenario import Scenario
from cosim.template import commented, json_schema, name_for

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "null": (type(None),),
}


def test_template_is_the_default_scenario(tmp_path: Path) -> None:
    file = tmp_path / "my_city.yaml"
    file.write_text(commented("my_city", str(file)))
    scenario = loading.load(str(file))
    expected = Scenario(name="my_city", description="my scenario")
    assert scenario == expected
    written = yaml.safe_load(file.read_text())
    assert set(written) == set(Scenario.model_fields)
    assert "(meso" in file.read_text()


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("my_city-2", "my_city-2"),
        ("Zürich", "Z_rich"),
        ("we ird#: [x]", "we_ird____x"),
        ("-_x", "x"),
        ("日本", "my_scenario"),
        ("", "my_scenario"),
        ("a" * 300, "a" * 100),
    ],
)
def test_names(stem: str, name: str) -> None:
    assert name_for(stem) == name


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=40))
@example("2024")
@example("1e3")
@example("010")
@example("true")
@example("null")
@example("no")
@example("2022-09-14")
@example("12_30")
@example("Zürich")
@example("we ird#: [x]")
@example("two\nlines: 1")
@example("bell\x07")
def test_what_is_written_always_loads(stem: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{stem}.yaml"
        cli.new(file)
        scenario = loading.load(str(file))
        assert scenario.name == name_for(file.stem)
        # Editors may go by YAML 1.1.
        assert yaml.safe_load(file.read_text(encoding="utf-8"))["name"] == scenario.name


def leaves(content: dict[str, Any], section: dict[str, Any], path: str) -> Iterator[Any]:
    for name, node in section["properties"].items():
        if "$ref" in node:
            inner = content["$defs"][node["$ref"].rpartition("/")[2]]
            yield from leaves(content, inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", node


def test_defaults_in_the_schema_are_of_their_own_type() -> None:
    content = json_schema()
    assert next(iter(content)) == "$schema"
    found = dict(leaves(content, content, ""))
    assert found["duration"]["default"] == "24h"
    assert found["fleet.towing"]["default"] == "45min"
    assert "pattern" in found["start"]
    for field, node in found.items():
        default = node["default"]
        kinds = [node["type"]] if "type" in node else [option["type"] for option in node["anyOf"]]
        kinds = kinds[0] if isinstance(kinds[0], list) else kinds
        assert isinstance(default, tuple(t for kind in kinds for t in TYPES[kind])), field
        if "pattern" in node:
            assert re.search(node["pattern"], default), field
        if "enum" in node:
            assert default in node["enum"], field
        for bound, holds in (("minimum", True), ("maximum", False)):
            if bound in node:
                assert default == node[bound] or (default > node[bound]) is holds, field
