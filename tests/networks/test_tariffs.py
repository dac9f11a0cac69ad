"""Time-of-use tariffs: the published prices at their hours, and periods that do not fit."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import UnknownOptionError, UserError
from networks.prices import tariffs
from networks.prices.tariffs import Period, faults, usd_per_mwh

WPS = tariffs.load("wps_ev_charger_only")


@pytest.mark.parametrize(
    ("moment", "usd_per_kwh"),
    [
        # Wisconsin Public Service, Charger-Only (COEV-R). 14 September 2022 was a Wednesday.
        ("2022-09-14 11:55", 0.13786),
        ("2022-09-14 12:00", 0.25145),
        ("2022-09-14 19:55", 0.25145),
        ("2022-09-14 20:00", 0.13786),
        ("2022-09-14 23:55", 0.13786),
        ("2022-09-15 00:00", 0.06223),
        ("2022-09-15 07:55", 0.06223),
        ("2022-09-17 12:00", 0.13786),
        ("2022-09-18 19:55", 0.13786),
        ("2022-09-19 12:00", 0.25145),
        ("2022-09-30 19:55", 0.25145),
        ("2022-10-03 12:00", 0.13786),
        ("2024-02-29 03:00", 0.06223),
    ],
)
def test_published_prices(moment: str, usd_per_kwh: float) -> None:
    (price,) = usd_per_mwh(WPS.periods, datetime.fromisoformat(moment), 1)
    assert price == pytest.approx(1000 * usd_per_kwh)


def test_what_ships_says_its_source_and_covers_the_year() -> None:
    assert tariffs.names() == ("wps_ev_charger_only",)
    for name in tariffs.names():
        tariff = tariffs.load(name)
        assert tariff.title
        assert tariff.source
        assert tariff.verified in ("source", "secondary", "memory")
        assert faults(tariff.periods) == []
    with pytest.raises(UnknownOptionError, match="Did you mean wps_ev_charger_only"):
        tariffs.load("wps_ev_charger")


@given(
    start=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(
        lambda t: t.replace(minute=t.minute // 5 * 5, second=0, microsecond=0)
    ),
    ticks=st.integers(1, 600),
)
def test_a_run_has_the_prices_of_its_moments(start: datetime, ticks: int) -> None:
    whole = usd_per_mwh(WPS.periods, start, ticks)
    last = usd_per_mwh(WPS.periods, start + timedelta(minutes=5 * (ticks - 1)), 1)
    assert whole.shape == (ticks,)
    assert whole[-1] == last[0]
    assert np.isin(whole.round(6), [251.45, 137.86, 62.23]).all()


def test_hours_left_out_and_hours_told_twice() -> None:
    day = Period(usd_per_kwh=0.3, hours=((6.0, 22.5),))
    night = Period(usd_per_kwh=0.1, hours=((22.0, 24.0), (0.0, 6.0)), months=(1, 2, 3))
    holiday = Period(usd_per_kwh=0.1, days="weekend", hours=((23.0, 24.0),), months=(12, 12))
    found = faults([day, night, holiday])
    assert "2 periods for weekdays from 22:00 to 22:30 in Jan, Feb, Mar" in found
    assert "no period for weekdays from 22:30 to 24:00 in Apr, May, Jun, Jul, Aug, Sep, Oct, " in (
        "; ".join(found)
    )
    assert "no period for weekends from 22:30 to 23:00 in Dec" in found
    assert not any("weekends from 23:00 to 24:00" in f and "Dec" in f for f in found)
    with pytest.raises(UserError, match="no period for weekdays from 00:00 to 06:00 in Apr"):
        usd_per_mwh([day, night, holiday], datetime(2022, 1, 1), 1)
