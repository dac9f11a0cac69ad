"""What chemistries borrow is listed, and the list is that of the code."""

from __future__ import annotations

import pytest

from adapters.pybamm.chemistry import CHEMISTRIES
from adapters.pybamm.chemistry_page import PAGE, markdown


def test_the_page_is_that_of_the_code() -> None:
    shipped = PAGE.read_text(encoding="utf-8")
    assert shipped == markdown(), "python -m adapters.pybamm.chemistry_page"


@pytest.mark.parametrize("name", list(CHEMISTRIES))
def test_every_value_that_is_not_the_sets_own_has_a_source(name: str) -> None:
    chemistry = CHEMISTRIES[name]
    assert chemistry.calibrated
    for item in (*chemistry.borrowed, *chemistry.activated):
        assert len(item.source) > 10, item.parameter
    for item in chemistry.calibrated:
        assert any(word in item.target for word in ("calendar", "cycles")), item.parameter
