"""The run store: as long as what was recorded, whatever happens in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from cosim import recorder as store
from cosim.recorder import Recorder
from cosim.scenario import Scenario
from tests.fakes import IDS, quiet_tick


def recorder_for(folder: Path, ticks: int) -> Recorder:
    return Recorder(folder, Scenario().start_time, ticks, IDS)


def take(recorder: Recorder, tick: int) -> None:
    recorder.take(tick, quiet_tick() | {"vehicle_soc": np.full(3, tick / 100)})


def soc(recorder: Recorder) -> list[float]:
    with xr.open_zarr(recorder.store, chunks=None) as data:
        assert data["tick"].to_numpy().tolist() == list(range(data.sizes["tick"]))
        return [round(100 * float(row[0])) for row in data["vehicle_soc"].to_numpy()]


@pytest.mark.parametrize("ticks", [1, 4, 11])
def test_blocks_join_without_a_seam(
    tmp_path: Path, ticks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "BLOCK_TICKS", 4)
    recorder = recorder_for(tmp_path, 11)
    for tick in range(ticks):
        take(recorder, tick)
    recorder.close()
    assert soc(recorder) == list(range(ticks))
    assert recorder.written_ticks == ticks


def test_a_run_that_ends_early_has_only_its_ticks(tmp_path: Path) -> None:
    recorder = recorder_for(tmp_path, 288)
    take(recorder, 0)
    take(recorder, 1)
    recorder.close()
    assert soc(recorder) == [0, 1]


def test_a_run_without_a_tick_is_empty(tmp_path: Path) -> None:
    recorder = recorder_for(tmp_path, 288)
    recorder.close()
    assert soc(recorder) == []


def test_a_run_that_was_killed_shows_no_values(tmp_path: Path) -> None:
    recorder = recorder_for(tmp_path, 288)
    take(recorder, 0)
    with xr.open_zarr(recorder.store, chunks=None) as data:
        assert np.isnan(data["vehicle_soc"].to_numpy()).all()


def test_a_write_that_failed_half_way_is_made_good(tmp_path: Path) -> None:
    recorder = recorder_for(tmp_path, 2)
    take(recorder, 0)
    recorder.flush()
    zarr.open_array(recorder.store, path="vehicle_soc", mode="r+")[1] = 0.5
    take(recorder, 1)
    recorder.close()
    assert soc(recorder) == [0, 1]
