"""Scenario files that are valid but for a change or two: a message or a scenario, no traceback."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim import loading
from cosim.errors import UserError, VoltstepError
from cosim.run import run
from cosim.scenario import Scenario
from cosim.template import commented

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e-9, 1e300, float("inf"), float("nan"), 10**30, "", " ", "x",
    "on", "24h", "-3h", "2022-02-30", "2022-09-14", "../..", "/", "\x00", "é" * 300, "${HOME}",
    [], [None], [1, 2], [2, 1], [[0, 24]], {}, {"a": 1}, {"": None}, {None: 1}, {1: {2: 3}},
)  # fmt: skip
"""Values that people and programs write where something else belongs."""
SMALL = (
    "fleet.vehicles=12",
    "fleet.stations={count: 6}",
    "duration=5min",
    "battery.kind=reservoir",
)


def base() -> dict[str, Any]:
    """Return a whole scenario with every field, small enough to build."""
    data: dict[str, Any] = yaml.safe_load(commented("small", "small.yaml"))
    for setting in SMALL:
        field, _, value = setting.partition("=")
        *parts, last = field.split(".")
        place = data
        for part in parts:
            place = place[part]
        place[last] = yaml.safe_load(value)
    return data


BASE = base()


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a scenario."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


PLACES = tuple(places(BASE))


def mutate(data: dict[str, Any], path: tuple[Any, ...], how: str, value: Any) -> None:
    """Change one place of a scenario; what an earlier change took away stays as it is."""
    place: Any = data
    try:
        for key in path[:-1]:
            place = place[key]
        old = place[path[-1]]
        if how == "drop":
            del place[path[-1]]
        elif how == "rename":
            place[f"{path[-1]}s"] = place.pop(path[-1])
        elif how == "wrap":
            place[path[-1]] = [old]
        elif how == "text":
            place[path[-1]] = str(old)
        elif how == "scale":
            place[path[-1]] = old * value if isinstance(value, (int, float)) else value
        else:
            place[path[-1]] = value
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError):
        return


changes = st.lists(
    st.tuples(
        st.sampled_from(PLACES),
        st.sampled_from(("put", "put", "put", "drop", "rename", "wrap", "text", "scale")),
        st.sampled_from(ODD),
    ),
    min_size=1,
    max_size=2,
)


def read(text: str, folder: Path) -> Scenario | str:
    """Return the scenario in a file, or the message that there was."""
    file = folder / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        return loading.load(str(file))
    except UserError as error:
        return str(error)


def require_message(text: str) -> None:
    """Check that a message says something."""
    assert len(text) > 20
    assert "Traceback" not in text


def test_without_a_change_it_is_a_scenario(tmp_path: Path) -> None:
    assert isinstance(read(yaml.safe_dump(BASE), tmp_path), Scenario)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes)
def test_a_changed_scenario_is_a_message_or_a_scenario(tmp_path: Path, todo: Any) -> None:
    data = copy.deepcopy(BASE)
    for change in todo:
        mutate(data, *change)
    found = read(yaml.safe_dump(data, allow_unicode=True), tmp_path)
    if isinstance(found, str):
        require_message(found)
    else:
        assert Scenario.model_validate(found.plain()).sha256() == found.sha256()


def damaged(line: str) -> list[list[str]]:
    """Return what may stand in place of a line."""
    return [
        [],
        [line, line],
        ["---", line],
        [line.replace(":", "", 1)],
        [line[:-1]],
        [line.lstrip()],
        *([start + line] for start in ("\t", "  ", "- ", "%", "'")),
        *([line + end] for end in (":", " &a", " {", " !!python/object:os.system")),
    ]


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_damaged_text_is_a_message_or_a_scenario(tmp_path: Path, data: Any) -> None:
    lines = yaml.safe_dump(BASE).splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = data.draw(st.sampled_from(damaged(lines[at])))
    found = read("\n".join(lines), tmp_path)
    if isinstance(found, str):
        require_message(found)


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes)
def test_a_changed_scenario_that_is_read_runs(
    tmp_path_factory: pytest.TempPathFactory, todo: Any
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    data = copy.deepcopy(BASE)
    for change in todo:
        mutate(data, *change)
    found = read(yaml.safe_dump(data, allow_unicode=True), folder)
    if isinstance(found, str) or found.fleet.vehicles > 100 or found.ticks > 12:
        return
    failed = ""
    try:
        run(found, folder / "run", quiet=True)
    except VoltstepError as error:
        failed = str(error)
    assert "a simulator broke" not in failed
