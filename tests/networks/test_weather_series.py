"""Ambient temperature over a run: typical days and files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import UnknownOptionError, UserError
from networks import weather

START = datetime(2022, 9, 14, 6, 0)


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "weather.csv"
    file.write_text(text)
    return str(file)


def test_a_typical_day_repeats_and_starts_at_the_hour_of_the_run() -> None:
    found = weather.series("austin_july", START, 2 * 288)
    day = weather.ambient_c("austin", "july")
    assert found[0] == day[72]
    assert np.array_equal(found[:288], found[288:])


def test_a_file_is_read_by_straight_lines(tmp_path: Path) -> None:
    text = "time,temperature_c\n2022-09-14T05:00,10\n2022-09-14T07:00,14\n2022-09-14T08:00,4\n"
    found = weather.series(written(tmp_path, text), START, 25)
    assert found[[0, 6, 12, 24]].tolist() == pytest.approx([12.0, 13.0, 14.0, 4.0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time,temperature_c\n", "no rows"),
        ("hour,temperature_c\n1,2\n", "needs the columns time and temperature_c"),
        ("time,temperature_c\n2022-09-14T05:00+09:00,3\n", "names a time zone"),
        ("time,temperature_c\n2022-09-14T05:00,warm\n", "line 2: needs a time"),
        ("time,temperature_c\n2022-09-14T07:00,1\n2022-09-14T05:00,1\n", "line 3: .* not after"),
        ("time,temperature_c\n2022-09-14T05:00,1\n2022-09-14T07:00,nan\n", "not numbers"),
        ("time,temperature_c\n2022-09-14T05:00,1\n2022-09-14T06:10,1\n", "runs from .* not from"),
    ],
)
def test_a_bad_file_is_one_message(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        weather.series(written(tmp_path, text), START, 25)


def test_an_unknown_day_names_the_nearest() -> None:
    with pytest.raises(UnknownOptionError, match="Did you mean austin_january"):
        weather.series("austin_januar", START, 25)
