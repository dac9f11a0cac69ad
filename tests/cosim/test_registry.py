"""Kinds that ship, and kinds that others add by an entry point."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from cosim import loading, registry
from cosim.errors import ScenarioError, VoltstepError
from cosim.signals import ROLES
from cosim.simulator import Simulator
from tests import fakes

POINT = EntryPoint("teleport", "tests.fakes:TINY", "voltstep.traffic")
BROKEN = EntryPoint("broken", "tests.no_such_module:Traffic", "voltstep.traffic")


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def points(group: str) -> list[EntryPoint]:
        return [point for point in (POINT, BROKEN) if point.group == group]

    monkeypatch.setattr(registry, "entry_points", points)
    registry.kinds.cache_clear()
    yield
    registry.kinds.cache_clear()


def test_what_ships_can_be_loaded() -> None:
    for role in ROLES[:-1]:
        for kind in registry.BUILT_IN[role]:
            found = registry.simulator_class(role, kind)
            assert isinstance(found, type)
            assert issubclass(found, Simulator)
            assert found.role == role


@pytest.mark.usefixtures("added")
def test_a_third_party_adds_a_kind_by_an_entry_point() -> None:
    assert registry.simulator_class("traffic", "teleport") is fakes.TINY
    assert loading.load(settings=["traffic.kind=teleport"]).traffic.kind == "teleport"


@pytest.mark.usefixtures("added")
def test_a_kind_that_cannot_be_loaded_says_which() -> None:
    with pytest.raises(VoltstepError, match=r"tests\.no_such_module:Traffic cannot be loaded"):
        registry.simulator_class("traffic", "broken")


def test_a_kind_that_nobody_added_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"traffic\.kind.*meso"):
        loading.load(settings=["traffic.kind=teleport"])
