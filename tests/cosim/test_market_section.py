"""What scenario files say wrong of their market."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosim import loading
from cosim.errors import ScenarioError


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "city.yaml"
    file.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        loading.load(str(file))
    return [str(problem) for problem in caught.value.problems]


def test_feeders_stand_at_one_bus_or_each_at_its_own(tmp_path: Path) -> None:
    assert loading.load(settings=["market.feeder_bus=B"]).market.feeder_bus == ("B",)
    settings = ["grid.feeders=3", "market.feeder_bus=[B, C, D]"]
    scenario = loading.load(settings=settings)
    assert scenario.market.feeder_bus == ("B", "C", "D")
    assert type(scenario).model_validate(scenario.plain()) == scenario
    (wrong,) = problems(tmp_path, "grid: {feeders: 3}\nmarket: {feeder_bus: [B, D]}")
    assert wrong == (
        "market.feeder_bus is B, D: must be one bus, or one for each of the 3 feeders "
        "(grid.feeders)."
    )
    (wrong,) = problems(tmp_path, "market: {feeder_bus: A}")
    assert wrong.startswith("market.feeder_bus.0 is 'A': must be 'B', 'C' or 'D'")
    text = "grid: {feeders: 4}\nmarket: {feeder_bus: [C, D, D, D], feeder_multiplier: 2}"
    (wrong,) = problems(tmp_path, text)
    assert "bus D holds so many feeders, the 3 simulated ones among them" in wrong


def test_prices_from_a_file_lie_beside_the_scenario(tmp_path: Path) -> None:
    rows = [f"2022-09-14T{hour:02d}:00,{hour}" for hour in range(24)]
    (tmp_path / "mine.csv").write_text("\n".join(["time,price", *rows]))
    file = tmp_path / "city.yaml"
    file.write_text("duration: 24h\nmarket: {kind: series, prices: mine.csv}")
    assert loading.load(str(file)).market.prices == str(tmp_path / "mine.csv")
    text = "duration: 48h\nmarket: {kind: series, prices: mine.csv}"
    (wrong,) = problems(tmp_path, text)
    assert wrong.startswith(
        f"{tmp_path / 'mine.csv'}, the file: must cover the run from 2022-09-14"
    )
    # A tariff needs no prices.
    file.write_text("duration: 48h\nstart: 2031-01-01\nmarket: {kind: time_of_use}")
    assert loading.load(str(file)).market.kind == "time_of_use"


def test_problems_of_a_price_file_are_told_with_those_of_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "time,north,south\n2022-09-14T00:00,1,x\n2022-09-14T01:00,1,2\n2022-09-14T02:00,1,y\n"
    )
    text = "seed: x\nmarket: {prices: mine.csv, prices_zone: south}"
    found = problems(tmp_path, text)
    file = tmp_path / "mine.csv"
    for problem, words in zip(
        found,
        (
            "seed is 'x'",
            f"{file}, row 2, column south is x",
            f"{file}, row 4, column south is y",
            f"{file}, the file: must cover the run from 2022-09-14 00:00 to 2022-09-15 00:00",
        ),
        strict=True,
    ):
        assert problem.startswith(words)
    (wrong,) = problems(tmp_path, "market: {prices: mine.csv, prices_zone: suoth}")
    assert wrong.endswith("must be one of north, south. Did you mean south?")
    (wrong,) = problems(tmp_path, "market: {prices: nowhere.csv}")
    assert wrong.startswith("market.prices is ")
    assert "is no file of prices" in wrong
    (wrong,) = problems(tmp_path, "market: {prices: LZ_AN}")
    assert "or a CSV or Parquet file. Did you mean LZ_AEN?" in wrong
    (wrong,) = problems(tmp_path, "market: {prices_zone: south}")
    assert "picks one of the prices of a file; LZ_AEN is none" in wrong


def test_tariffs_and_periods(tmp_path: Path) -> None:
    (wrong,) = problems(tmp_path, "market: {kind: time_of_use, tariff: wps_ev_charger}")
    assert "Did you mean wps_ev_charger_only?" in wrong
    text = """
        market:
          kind: time_of_use
          periods:
            - {usd_per_kwh: 0.4, hours: [[16, 21]]}
            - {usd_per_kwh: 0.1, hours: [[0, 16]]}
    """
    found = problems(tmp_path, text)
    assert len(found) == 2
    assert found[0].startswith(
        "market.periods: must give every 5 minutes one price: no period for weekdays from 21:00 "
    )
    text = """
        market:
          periods:
            - {usd_per_kwh: cheap, months: [13], days: sunday, hours: [[16, 8]]}
            - {name: night, hours: [[0.01, 6]]}
    """
    found = problems(tmp_path, text)
    for words in (
        "market.periods.0.usd_per_kwh is 'cheap': must be a number",
        "market.periods.0.months.0 is 13: must be at most 12",
        "market.periods.0.days.0 is 'sunday': must be 'all', 'weekday', 'weekend' or 'holiday'",
        "market.periods.0.hours.0 is [16, 8]: must be [first, last]",
        "market.periods.1",
        "must lie on whole 5 minutes",
        "needs usd_per_kwh",
    ):
        assert any(words in problem for problem in found), words


def test_real_time_is_off_or_on(tmp_path: Path) -> None:
    for word, expected in (("on", "on"), ("off", "off"), ("true", "on"), ("false", "off")):
        assert loading.load(settings=[f"market.real_time={word}"]).market.real_time == expected
    (wrong,) = problems(tmp_path, "market: {real_time: once}")
    assert "must be 'off' or 'on'" in wrong
    (wrong,) = problems(tmp_path, "market: {kind: quadratic, real_time: on}")
    assert "quadratic has prices of its own" in wrong
    text = "market: {real_time_process: {spikes_per_day: 30, spike_h: 2}}"
    (wrong,) = problems(tmp_path, text)
    assert "spikes_per_day times spike_h must leave time between spikes" in wrong
    (wrong,) = problems(tmp_path, "market: {quadratic: {a_usd_per_mwh_per_mw2: 0}}")
    assert "must be more than 0" in wrong


def test_bids_need_a_market_with_buses_and_feeders_that_are_solved(tmp_path: Path) -> None:
    text = "market: {bids: on, kind: series}\ngrid: {kind: linear, volt_var: category_b}\nseed: x"
    found = problems(tmp_path, text)
    assert found[1:] == [
        "market.kind is series: must be five_bus with market.bids: on. Did you mean five_bus?",
        "grid.kind is linear: must be opendss with market.bids: on. Did you mean opendss?",
        "grid.volt_var is category_b: must be off with market.bids: on. Did you mean off?",
    ]
    assert loading.load(settings=["market.bids=on"]).market.bids == "on"
    off = ["grid.kind=linear", "market.kind=series", "market.bids=off"]
    assert loading.load(settings=off).grid.kind == "linear"


def test_limits_of_the_feeders(tmp_path: Path) -> None:
    text = "grid: {limits: {transformer_pct: 0, voltage_low_pu: 1.1, line_pct: 90}}"
    found = problems(tmp_path, text)
    assert found[0].startswith("grid.limits.transformer_pct is 0: must be more than 0")
    assert "needs voltage_low_pu at least 0.001 below voltage_high_pu" in found[1]
    # A band that clearings, which hold a hair less, would find empty.
    text = "grid: {limits: {voltage_low_pu: 1.0, voltage_high_pu: 1.0001}}"
    assert "not 1 and 1.0001" in problems(tmp_path, text)[0]
    assert loading.load(settings=["grid.limits.line_pct=90"]).grid.limits.line_pct == 90


def test_holidays_of_ones_own_tariff(tmp_path: Path) -> None:
    text = """
        market:
          kind: time_of_use
          holidays: {HOLIDAYS}
          periods:
            - {usd_per_kwh: 0.4, days: weekday}
            - {usd_per_kwh: 0.1, days: REST}
    """

    def told(holidays: str, rest: str) -> list[str]:
        return problems(tmp_path, text.replace("HOLIDAYS", holidays).replace("REST", rest))

    good = text.replace("HOLIDAYS", "country: DE, subdivisions: [BY], dates: ['2022-12-27']")
    (tmp_path / "good.yaml").write_text(good.replace("REST", "[weekend, holiday]"))
    market = loading.load(str(tmp_path / "good.yaml")).market
    assert (market.holidays.country, market.periods[1].days) == ("DE", ("weekend", "holiday"))
    (wrong,) = told("country: DE", "weekend")
    assert wrong.startswith("market.holidays: are for market.periods with days: holiday")
    (wrong,) = told("subdivisions: [XY]", "[weekend, holiday]")
    assert wrong.startswith("market.holidays.subdivisions is XY: must be a part of US: AK, AL")
    (wrong,) = told("dates: ['Christmas']", "[weekend, holiday]")
    assert "must be dates such as 2022-12-24, not Christmas" in wrong
