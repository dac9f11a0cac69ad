"""Typical days of ambient temperature."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import UserError
from networks import weather

ROOT = Path(__file__).parents[2]


def test_the_package_is_listed_and_the_readme_names_the_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "networks.weather" in project["tool"]["setuptools"]["packages"]
    assert "`normals.toml`" in (ROOT / "networks/weather/README.md").read_text(encoding="utf-8")


def test_each_day_reaches_its_extremes_at_ashrae_s_hours() -> None:
    for day in weather.typical_days():
        curve = weather.ambient_c(day.place, day.month)
        assert curve.shape == (weather.TICKS_PER_DAY,)
        assert curve.max() == pytest.approx(day.maximum_c)
        assert curve.min() == pytest.approx(day.minimum_c)
        assert curve.argmin() == 5 * 12
        assert curve.argmax() == 14 * 12
        # No jump at midnight.
        assert np.abs(np.diff(curve, append=curve[0])).max() < 0.25


@pytest.mark.parametrize(
    ("place", "month", "mean_f"),
    # Published means: 52.2 F and 85.8 F (KXAN), 17.9 F from the degree days of January.
    [("austin", "january", 52.2), ("austin", "july", 85.8), ("sioux_falls", "january", 17.9)],
)
def test_extremes_against_the_published_mean(place: str, month: str, mean_f: float) -> None:
    (day,) = [d for d in weather.typical_days() if (d.place, d.month) == (place, month)]
    mean_c = (mean_f - 32) / 1.8
    assert (day.maximum_c + day.minimum_c) / 2 == pytest.approx(mean_c, abs=0.1)


def test_an_unknown_day_is_answered_with_the_known() -> None:
    with pytest.raises(UserError, match="austin january"):
        weather.ambient_c("austin", "januar")
