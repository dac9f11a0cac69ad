"""Day-ahead prices against the ERCOT report, hour by hour at the edges."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cosim.errors import UserError
from networks import prices

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "ercot_dam_spp_2021_2022.csv"


def test_zones() -> None:
    assert prices.zones() == ("LZ_AEN", "LZ_NORTH", "LZ_SOUTH", "LZ_HOUSTON", "LZ_WEST")


def test_hour_ending_is_the_hour_before() -> None:
    # 2022-11-06, hour ending 18: 113.01 USD/MWh in LZ_AEN, hour ending 19: 58.61.
    found = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 11, 6, 17, 50), 4)
    assert found.tolist() == [113.01, 113.01, 58.61, 58.61]


def test_a_run_crosses_midnight_and_ends_with_the_year() -> None:
    found = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 12, 31, 23, 30), 6)
    assert (found == 8.65).all()
    night = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 7, 1, 23, 0), 24)
    day = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 7, 2), 12)
    assert (night[12:] == day).all()


def test_the_result_is_the_callers_own() -> None:
    first = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 7, 1), 12)
    first[:] = 0
    assert (prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 7, 1), 12) > 0).all()


@pytest.mark.parametrize(
    ("zone", "start", "ticks", "message"),
    [
        ("LZ_AENN", datetime(2022, 7, 1), 1, "Did you mean LZ_AEN"),
        ("LZ_AEN", datetime(2021, 12, 31, 23, 55), 2, "there are prices from 2022-01-01 00:00"),
        ("LZ_AEN", datetime(2022, 12, 31), 289, "to 2023-01-01 00:00"),
        ("LZ_AEN", datetime(9999, 12, 31), 288, "there are prices from 2022-01-01 00:00"),
    ],
)
def test_what_is_not_there_is_named(zone: str, start: datetime, ticks: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prices.day_ahead_usd_per_mwh(zone, start, ticks)


def test_the_hour_that_daylight_saving_skips_has_the_price_before_it() -> None:
    price = prices.day_ahead_usd_per_mwh("LZ_AEN", datetime(2022, 3, 13), 288)
    assert np.isfinite(price).all()
    assert (price[24:36] == price[12:24]).all()
    assert (price[36:48] != price[12:24]).all()


@pytest.mark.skipif(not REFERENCE.exists(), reason="the full ERCOT extract is not beside the tree")
def test_every_hour_equals_the_report() -> None:
    with REFERENCE.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["date"] == "2022-08-17"]
    for zone in prices.zones():
        found = prices.day_ahead_usd_per_mwh(zone, datetime(2022, 8, 17), 288)
        expected = np.repeat([float(row[zone]) for row in rows], 12)
        assert (found == expected).all()
