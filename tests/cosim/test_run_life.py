"""The life of a run with fakes in the roles: what it leaves, and what a failure leaves."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from cosim.errors import (
    AuditError,
    IncompleteRunError,
    PowerFlowError,
    RunError,
    SignalError,
    StoppedRunError,
    UserError,
)
from cosim.events import SCHEMA
from cosim.figures import steady
from cosim.recorder import RECORDED, digest
from cosim.run import Result, default_folder, run
from cosim.scenario import Scenario
from cosim.signals import Role
from tests.fakes import TINY, Change, cast


def go(folder: Path, change: Change | None = None, **fields: Any) -> Result:
    scenario = Scenario.model_validate({**TINY, **fields})
    return run(scenario, folder, quiet=True, cast=cast(change=change))


def manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def happening(role: Role, tick: int, values: dict[str, Any]) -> None:
    if role == "traffic":
        values["traffic_events"] = [{"kind": "trip", "time_s": tick * 300.0, "vehicle": tick % 3}]


def test_a_whole_run(tmp_path: Path) -> None:
    result = go(tmp_path / "run", happening)
    found = manifest(tmp_path / "run")
    assert found["status"] == "complete"
    assert found["last_tick"] == 11
    assert found["output_digest"] == result.output_digest
    assert found["seed"] == 42
    assert Scenario.model_validate(found["scenario"]).sha256() == found["scenario_sha256"]
    assert {"mosaik", "pybamm", "voltstep"} <= set(found["versions"])
    assert set(found["wall_s"]["engines"]) == {
        "fleet", "traffic", "battery", "grid", "market", "agents",
    }  # fmt: skip
    figures = json.loads((tmp_path / "run" / "kpis.json").read_text())
    for figure in figures.values():
        assert set(figure) - {"by_segment"} == {"value", "unit", "meaning"}
    assert figures["vehicles"]["by_segment"] == {"ride_share": 3}
    events = pq.read_table(tmp_path / "run" / "events.parquet").to_pylist()
    assert [e["vehicle"] for e in events] == [t % 3 for t in range(12)]
    assert {(e["role"], e["kind"]) for e in events} == {("traffic", "trip")}


def test_store_opens_with_dimensions_units_and_names(tmp_path: Path) -> None:
    go(tmp_path / "run")
    with xr.open_zarr(tmp_path / "run" / "timeseries.zarr", chunks=None) as data:
        assert set(data.data_vars) == {s.name for s in RECORDED}
        for signal in RECORDED:
            array = data[signal.name]
            assert array.dims == ("tick", *signal.dims)
            assert array.dtype == np.dtype(signal.dtype)
            assert array.attrs["units"] == signal.unit
            assert array.attrs["long_name"] == signal.meaning
        assert data["time"].to_numpy()[-1] == np.datetime64("2022-09-14T00:55")
        assert list(data["bus"].to_numpy()) == ["650.1", "650.2", "650.3"]
        assert list(data["station_transformer"].to_numpy()) == ["t0", "t1"]


def test_blocks_join_without_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cosim.recorder.BLOCK_TICKS", 5)

    def stamp(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "grid":
            values["feeder_reactive_kvar"] = float(tick)

    go(tmp_path / "run", stamp)
    with xr.open_zarr(tmp_path / "run" / "timeseries.zarr", chunks=None) as data:
        np.testing.assert_array_equal(data["tick"], np.arange(12))
        np.testing.assert_array_equal(data["feeder_reactive_kvar"], np.arange(12.0))
        assert data["time"].to_numpy()[-1] == np.datetime64("2022-09-14T00:55")


def test_digest_is_of_the_results_alone(tmp_path: Path) -> None:
    def shift(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "grid" and tick == 5:
            values["bus_voltage_pu"][2] += 1e-15

    def slow(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "agents":
            values["decision_latency_ms"] = 123.0 + tick

    first = go(tmp_path / "a").output_digest
    assert go(tmp_path / "b").output_digest == first
    assert go(tmp_path / "c", slow).output_digest == first
    assert go(tmp_path / "d", shift).output_digest != first
    assert go(tmp_path / "e", happening).output_digest != first


def test_digest_is_of_what_is_stored(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = go(folder, happening)
    kept = steady(result.figures)
    assert digest(folder, kept) == result.output_digest
    assert digest(folder, kept | {"distance_mi": 1.0}) != result.output_digest
    rows = pq.read_table(folder / "events.parquet").to_pylist()
    rows[-1]["vehicle"] = 0 if rows[-1]["vehicle"] else 1
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "events.parquet")
    assert digest(folder, kept) != result.output_digest


def test_a_full_disk_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cosim.recorder.Recorder._write", full)
    with pytest.raises(RunError, match=r"could not be read or written.*No space left") as caught:
        go(tmp_path / "run")
    assert caught.value.__notes__[0].startswith(f"0 ticks were recorded in {tmp_path / 'run'}")
    found = manifest(tmp_path / "run")
    assert found["status"] == "failed"
    assert "not all could be kept" in found["error"]


def test_an_exit_in_the_middle_leaves_no_running_manifest(tmp_path: Path) -> None:
    # So ends a run whose output goes to a pipe that was closed.
    with pytest.raises(SystemExit):
        go(tmp_path / "run", failing(SystemExit(1)))
    assert manifest(tmp_path / "run")["status"] == "interrupted"


def failing(error: BaseException) -> Change:
    def change(role: Role, tick: int, values: dict[str, Any]) -> None:
        happening(role, tick, values)
        if role == "grid" and tick == 4:
            raise error

    return change


def test_an_engine_that_fails_leaves_what_was_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(PowerFlowError, match="bus 48"):
        go(folder, failing(PowerFlowError("no convergence", where="bus 48", tick=4)))
    found = manifest(folder)
    assert found["status"] == "failed"
    assert found["last_tick"] == 3
    assert "bus 48" in found["error"]
    assert found["output_digest"] is None
    assert not (folder / "kpis.json").exists()
    with xr.open_zarr(folder / "timeseries.zarr", chunks=None) as data:
        assert data.sizes["tick"] == 4
    assert pq.read_table(folder / "events.parquet").num_rows == 4


def test_a_fault_in_a_simulator_becomes_one_message_and_a_log(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"ZeroDivisionError: by nought.*run\.log"):
        go(tmp_path / "run", failing(ZeroDivisionError("by nought")))
    log = (tmp_path / "run" / "logs" / "run.log").read_text()
    assert "Traceback" in log
    assert "failed after tick 3" in log
    assert manifest(tmp_path / "run")["error"] == "ZeroDivisionError: by nought"


def test_an_interrupt_is_not_taken_for_an_end(tmp_path: Path) -> None:
    with pytest.raises(StoppedRunError, match="after 4 of 12 ticks") as caught:
        go(tmp_path / "run", failing(KeyboardInterrupt()))
    assert caught.value.__notes__ == [
        f"4 ticks were recorded in {tmp_path / 'run'}\ngo on with: cosim resume {tmp_path / 'run'}"
    ]
    assert manifest(tmp_path / "run")["status"] == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_next_tick(tmp_path: Path, number: signal.Signals) -> None:
    def interrupt(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "battery" and tick == 4:
            signal.raise_signal(number)

    before = signal.getsignal(number)
    # In the next one every simulator saves its state.
    with pytest.raises(StoppedRunError, match="after 6 of 12 ticks"):
        go(tmp_path / "run", interrupt)
    assert manifest(tmp_path / "run")["status"] == "interrupted"
    assert signal.getsignal(number) == before
    with xr.open_zarr(tmp_path / "run" / "timeseries.zarr", chunks=None) as data:
        assert data.sizes["tick"] == 6


def test_a_second_signal_ends_the_run_at_once(tmp_path: Path) -> None:
    def interrupt(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role in ("fleet", "battery") and tick == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(StoppedRunError, match="after 4 of 12 ticks"):
        go(tmp_path / "run", interrupt)


def test_a_world_that_returns_early_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So does mosaik when a simulator of another process is lost.
    monkeypatch.setattr("cosim.world.World.run", lambda _: None)
    with pytest.raises(IncompleteRunError):
        go(tmp_path / "run")
    assert manifest(tmp_path / "run")["status"] == "failed"


def test_a_failure_before_the_first_tick(tmp_path: Path) -> None:
    def broken(role: Role, tick: int, values: dict[str, Any]) -> None:
        values["nonsense"] = 1

    with pytest.raises(SignalError, match="nonsense"):
        go(tmp_path / "run", broken)
    assert manifest(tmp_path / "run")["last_tick"] == -1
    with xr.open_zarr(tmp_path / "run" / "timeseries.zarr", chunks=None) as data:
        assert data.sizes["tick"] == 0


def cheating(role: Role, tick: int, values: dict[str, Any]) -> None:
    if role == "battery" and tick == 7:
        values["battery_traction_kwh"][1] = 0.3


def test_the_audit_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="vehicle 1 at tick 7"):
        go(tmp_path / "run", cheating)
    assert manifest(tmp_path / "run")["last_tick"] == 6


def test_the_audit_can_record_instead(tmp_path: Path) -> None:
    result = go(tmp_path / "run", cheating, run={"audit": "record"})
    assert result.figures["audit_breaches"].value == 3
    events = pq.read_table(tmp_path / "run" / "events.parquet").to_pylist()
    assert {e["kind"] for e in events} == {"audit_breach"}


def test_a_run_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious.txt").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        go(tmp_path / "run")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="not an empty folder"):
        go(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be made"):
        go(tmp_path / "file" / "below")


def test_default_folders_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = Scenario()
    first = default_folder(scenario)
    first.mkdir(parents=True)
    assert default_folder(scenario) != first


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "trip"},
        {"kind": "trip", "time_s": 1.0, "colour": "red"},
        {"kind": "trip", "time_s": 1.0, "vehicle": 3},
    ],
)
def test_a_bad_event_is_named(tmp_path: Path, event: dict[str, Any]) -> None:
    def change(role: Role, tick: int, values: dict[str, Any]) -> None:
        if role == "traffic":
            values["traffic_events"] = [event]

    with pytest.raises(SignalError, match="traffic_events"):
        go(tmp_path / "run", change)
