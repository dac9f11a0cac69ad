"""Time-of-use tariffs: the published prices at their hours, and periods that do not fit."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosim.errors import UnknownOptionError, UserError
from networks.prices import tariffs
from networks.prices.holidays import Holidays, days, problems
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
        # Holidays as weekends: on a Monday, after one on a Sunday, not before one on a Saturday.
        ("2022-07-04 12:00", 0.13786),
        ("2022-07-05 12:00", 0.25145),
        ("2021-07-05 12:00", 0.13786),
        ("2020-07-03 12:00", 0.25145),
        ("2022-09-05 19:55", 0.13786),
        ("2022-09-05 07:55", 0.06223),
    ],
)
def test_published_prices(moment: str, usd_per_kwh: float) -> None:
    (price,) = usd_per_mwh(WPS.periods, datetime.fromisoformat(moment), 1, WPS.holidays)
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
    whole = usd_per_mwh(WPS.periods, start, ticks, WPS.holidays)
    last = usd_per_mwh(WPS.periods, start + timedelta(minutes=5 * (ticks - 1)), 1, WPS.holidays)
    assert whole.shape == (ticks,)
    assert whole[-1] == last[0]
    assert np.isin(whole.round(6), [251.45, 137.86, 62.23]).all()


def test_hours_left_out_and_hours_told_twice() -> None:
    day = Period(usd_per_kwh=0.3, hours=((6.0, 22.5),))
    night = Period(usd_per_kwh=0.1, hours=((22.0, 24.0), (0.0, 6.0)), months=(1, 2, 3))
    holiday = Period(usd_per_kwh=0.1, days=("weekend",), hours=((23.0, 24.0),), months=(12, 12))
    found = faults([day, night, holiday])
    assert "2 periods for weekdays from 22:00 to 22:30 in Jan, Feb, Mar" in found
    assert "no period for weekdays from 22:30 to 24:00 in Apr, May, Jun, Jul, Aug, Sep, Oct, " in (
        "; ".join(found)
    )
    assert "no period for weekends from 22:30 to 23:00 in Dec" in found
    assert not any("weekends from 23:00 to 24:00" in f and "Dec" in f for f in found)
    with pytest.raises(UserError, match="no period for weekdays from 00:00 to 06:00 in Apr"):
        usd_per_mwh([day, night, holiday], datetime(2022, 1, 1), 1)


def test_holidays_of_the_tariff_are_those_that_the_utility_names() -> None:
    found = days(WPS.holidays, date(2022, 1, 1), date(2023, 1, 2))
    assert found.astype(str).tolist() == [
        "2022-01-01", "2022-04-15", "2022-05-30", "2022-07-04", "2022-09-05", "2022-11-24",
        "2022-11-25", "2022-12-24", "2022-12-25", "2022-12-26", "2022-12-31", "2023-01-01",
        "2023-01-02",
    ]  # fmt: skip
    assert list(problems(WPS.holidays)) == []


def test_federal_holidays_are_the_default_and_observed_as_the_law_has_it() -> None:
    # 5 U.S.C. 6103: the Friday before a Saturday, the Monday after a Sunday.
    found = days(Holidays(), date(2021, 12, 24), date(2022, 6, 20)).astype(str).tolist()
    assert found == [
        "2021-12-24", "2021-12-25", "2021-12-31", "2022-01-01", "2022-01-17", "2022-02-21",
        "2022-05-30", "2022-06-19", "2022-06-20",
    ]  # fmt: skip
    plain = Holidays(observed="off", only=("Christmas Day",), dates=("2021-12-27",))
    found = days(plain, date(2021, 12, 1), date(2021, 12, 31)).astype(str).tolist()
    assert found == ["2021-12-25", "2021-12-27"]


def test_holidays_are_days_of_their_own_where_a_period_names_them() -> None:
    work = Period(usd_per_kwh=0.4, days=("weekday",))
    rest = Period(usd_per_kwh=0.1, days=("weekend",))
    independence = datetime(2022, 7, 4, 12)
    # Nobody speaks of holidays: a Monday is a Monday.
    assert usd_per_mwh([work, rest], independence, 1)[0] == 400
    rest = Period(usd_per_kwh=0.1, days=("weekend", "holiday"))
    prices = usd_per_mwh([work, rest], independence, 2 * 288)
    assert (np.flatnonzero(np.diff(prices)) + 1).tolist() == [144]
    assert prices[[0, -1]] == pytest.approx([100, 400])
    assert (usd_per_mwh([work, rest], independence, 1, Holidays(country="DE")) == 400).all()
    dearer = Period(usd_per_kwh=0.5, days=("holiday",))
    assert "2 periods for holidays" in faults([work, rest, dearer])[0]
    assert faults([work, Period(usd_per_kwh=0.1, days=("weekend",)), dearer]) == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Holidays(country="Us"), r"country is Us: .*Did you mean US"),
        (Holidays(subdivisions=("Wi",)), r"subdivisions is Wi: must be a part of US.*mean WI"),
        (Holidays(only=("Labour Day",)), r"only is Labour Day: must be holidays there.*mean Labor"),
    ],
)
def test_holidays_that_nobody_knows_are_told(wrong: Holidays, message: str) -> None:
    (problem,) = problems(wrong)
    assert re.search(message, str(problem))
