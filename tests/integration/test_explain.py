"""Explanations of a run with the real engines, and of one that was stopped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from cosim import loading
from cosim.errors import UserError
from cosim.explain import explain
from cosim.explain.record import Record
from cosim.explain.vehicles import vehicle
from cosim.run import run
from cosim.run_folder import RunFolder

SETTINGS = (
    "duration=6h",
    "start=2022-09-14 15:00",
    "fleet.vehicles=80",
    # Home chargers at work beside public stations, a site that is smaller than its ports.
    "fleet.segments={ride_share: 1, consumer: 1, commute: 1}",
    "fleet.stations={count: 8, site_share: 0.5}",
    "fleet.initial_soc=[0.2, 0.6]",
    "battery.kind=reservoir",
    "weather.ambient_c=-6",
    "rules.feed_back_above_usd_per_mwh=20",
)


SERVICES = {
    "bids": (
        "duration=3h",
        "start=2022-09-14 17:00",
        "grid.feeder=suburb",
        "market.bids=on",
        "fleet.segments={consumer: 1, commute: 1}",
        "fleet.stations={count: 4}",
        "fleet.initial_soc=[0.2, 0.5]",
    ),
    "demand response and reserve": (
        "duration=3h",
        "start=2022-09-14 09:00",
        "fleet.segments={ride_share: 1, commute: 2}",
        "fleet.initial_soc=[0.2, 0.9]",
        "market.demand_response=[{start: '10:10', minutes: 60, notice_minutes: 20}]",
        "market.reserve={requirement_kw: 40}",
        "market.scarce_below_mw=700",
        "rules.feed_back_above_usd_per_mwh=20",
        "grid.volt_watt=on",
        "grid.load_scale=1.3",
    ),
}
"""Settings, with what is told beside the limits of ports and batteries."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("explain") / "run"
    run(loading.load(settings=SETTINGS), path, quiet=True)
    return RunFolder.find(str(path))


def test_every_charging_tick_has_a_reason(folder: RunFolder) -> None:
    told: Counter[str] = Counter()
    with Record(folder) as record:
        for index in range(len(record.names("vehicle"))):
            for line in vehicle(record, index):
                if line.what.startswith("plugged in"):
                    assert line.why, line
                    told[" ".join(line.why.split()[:2])] += 1
                    assert "no reason" not in line.why, line
    # By the first words: name plate, battery, site, target, team.
    assert {"the port", "the battery", "the site", "nearly at"} <= set(told)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bids", {"were cleared; the price was", "it had just come", "when it offered"}),
        ("demand response and reserve", {"demand response pays 2000 USD/MWh", "was called"}),
    ],
)
def test_what_the_market_did_is_told(tmp_path: Path, name: str, expected: set[str]) -> None:
    settings = ["fleet.vehicles=60", "battery.kind=reservoir", *SERVICES[name]]
    run(loading.load(settings=settings), tmp_path / "run", quiet=True)
    with Record(RunFolder.find(str(tmp_path / "run"))) as record:
        vehicles = range(len(record.names("vehicle")))
        lines = [line for index in vehicles for line in vehicle(record, index)]
    told = [line.why for line in lines if line.what.startswith("plugged in")]
    assert all(told)
    assert not [why for why in told if "no reason" in why]
    assert [part for part in expected if not any(part in why for why in told)] == []


def test_what_was_got_and_paid_is_what_was_recorded(folder: RunFolder) -> None:
    with xr.open_zarr(folder.path / "timeseries.zarr", chunks=None) as data:
        energy = np.maximum(data["vehicle_power_kw"].to_numpy(), 0).sum(axis=0)
        index = int(energy.argmax())
        kwh = float(data["vehicle_billed_kwh"].to_numpy()[:, index].sum())
        usd = float(data["vehicle_cost_usd"].to_numpy()[:, index].sum())
        stations = data["vehicle_station"].to_numpy()[:, index]
    lines = [x.what for x in explain(folder, "vehicle", str(index)) if "plugged in" in x.what]
    told = [float(x.split(" kWh for ")[0].split(": ")[-1]) for x in lines]
    paid = [float(x.split(" kWh for ")[1].split(" USD")[0]) for x in lines]
    assert sum(told) == pytest.approx(kwh, abs=0.05 * len(lines))
    assert sum(paid) == pytest.approx(usd, abs=0.005 * len(lines))
    assert {int(x.split("station ")[1].split()[0]) for x in lines} == set(stations) - {-1}


def test_a_station_names_who_held_its_ports(folder: RunFolder) -> None:
    with xr.open_zarr(folder.path / "timeseries.zarr", chunks=None) as data:
        at = data["vehicle_station"].to_numpy()
    tick, number = np.argwhere(at >= 0)[0]
    station = at[tick, number]
    lines = explain(folder, "station", str(station))
    begins = [line for line in lines if f"by vehicles {number}" in line.what]
    with Record(folder) as record:
        assert any(line.begin <= record.time(int(tick)) < line.end for line in begins)


def test_a_request_is_told_from_asking_to_its_end(folder: RunFolder) -> None:
    with xr.open_zarr(folder.path / "timeseries.zarr", chunks=None) as data:
        serves = data["vehicle_request"].to_numpy()
    number = serves[serves >= 0][0]
    who = int(np.argwhere(serves == number)[0][1])
    lines = explain(folder, "request", str(number))
    assert lines[0].what.startswith("asked (")
    assert any(f"vehicle {who} was on its way" in line.what for line in lines)
    assert any(line.what.startswith("request ") for line in lines)


def test_a_transformer_has_a_line_an_hour(folder: RunFolder) -> None:
    with xr.open_zarr(folder.path / "timeseries.zarr", chunks=None) as data:
        name = str(data["station_transformer"].to_numpy()[0])
        index = data["transformer"].to_numpy().tolist().index(name)
        most = float(data["transformer_loading_pct"].to_numpy()[:, index].max())
    lines = explain(folder, "transformer", name)
    assert "stations behind it: " in lines[0].what
    hours = [line for line in lines if line.what.startswith("loaded")]
    assert len(hours) == 6
    assert any(f"at most {most:.0f} %" in line.what for line in hours)
    later = explain(folder, "transformer", name, first="18:00", last="20:00")
    assert 0 < len(later) < len(lines)


def test_what_is_not_there_is_told(folder: RunFolder) -> None:
    with pytest.raises(UserError, match=r"choose from vehicle, .*Did you mean vehicle\?"):
        explain(folder, "vehicl", "1")
    with pytest.raises(UserError, match="has no vehicle 80: there are 0 to 79"):
        explain(folder, "vehicle", "80")
    with pytest.raises(UserError, match=r"Did you mean st\d+\?"):
        explain(folder, "transformer", "st488")
    with pytest.raises(UserError, match="--from is 'noon'"):
        explain(folder, "vehicle", "1", first="noon")


def test_a_run_that_recorded_nothing(folder: RunFolder, tmp_path: Path) -> None:
    empty = RunFolder(tmp_path, dict(folder.manifest) | {"status": "failed", "last_tick": -1})
    with pytest.raises(UserError, match="no record that can be read"):
        explain(empty, "vehicle", "1")
