"""Runs that are stopped, fail or are killed, and go on to the same bytes; fakes in the roles."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from cosim import checkpoints
from cosim.errors import PowerFlowError, StoppedRunError, UserError
from cosim.run import Result, resume, run
from cosim.run_folder import RunFolder
from cosim.scenario import Scenario
from cosim.signals import ROLES, Role
from cosim.world import Cast
from tests import fakes
from tests.fakes import TINY

HOURLY = {**TINY, "duration": "3h", "run": {"checkpoint_every": "1h"}}
Trouble = Callable[[Role, int], None]
_MARKS: Mapping[Role, str] = {
    "fleet": "ambient_c",
    "traffic": "background_vehicles",
    "battery": "vehicle_c_rate_headroom",
    "grid": "feeder_reactive_kvar",
    "market": "transmission_losses_mw",
    "agents": "vehicle_charge_kw",
}
"""A signal of each role that shows what it remembers."""


def remembering(trouble: Trouble | None = None) -> Cast:
    """Return fakes whose outputs depend on all that they ever read."""

    def remember(base: Any) -> Any:
        class Remembers(base):
            def prepare(self, scenario: Any, assets: Any) -> None:
                super().prepare(scenario, assets)
                self.total = 0.5

            def advance(self, tick: int, given: Mapping[str, Any]) -> dict[str, Any]:
                if trouble:
                    trouble(self.role, tick)
                values = super().advance(tick, given)
                read = sum(float(np.sum(v)) for v in given.values() if isinstance(v, np.ndarray))
                self.total = 0.9 * self.total + np.sin(read + tick)
                mark = _MARKS[self.role]
                values[mark] = np.full(np.shape(values[mark]), 10 + self.total)
                values[f"{self.role}_events"] = [
                    {"kind": "step", "time_s": 300.0 * tick, "value": float(self.total)}
                ]
                return values

            def save(self) -> dict[str, NDArray[Any]]:
                return {"total": np.array(self.total)}

            def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
                self.total = float(state["total"])

        return Remembers

    return Cast({role: remember(kind) for role, kind in fakes.cast().classes.items()})


def go(folder: Path, trouble: Trouble | None = None) -> Result:
    return run(Scenario.model_validate(HOURLY), folder, quiet=True, cast=remembering(trouble))


def go_on(folder: Path) -> Result:
    return resume(RunFolder.find(str(folder)), quiet=True, cast=remembering())


def status(folder: Path) -> str:
    return RunFolder.find(str(folder)).status


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the digest of a run that nobody stopped."""
    return go(tmp_path_factory.mktemp("whole") / "run").output_digest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", [0, 7, 17, 33])
def test_a_stopped_run_goes_on_from_where_it_was(
    tmp_path: Path, whole: str, number: signal.Signals, when: int
) -> None:
    def stop(role: Role, tick: int) -> None:
        if (role, tick) == ("grid", when):
            os.kill(os.getpid(), number)

    folder = tmp_path / "run"
    with pytest.raises(StoppedRunError):
        go(folder, stop)
    assert status(folder) == "interrupted"
    # The tick had begun, so the one after it is the last.
    assert next(c.ticks for c in checkpoints.every(folder)) == when + 2
    result = go_on(folder)
    assert result.output_digest == whole
    assert status(folder) == "complete"


def test_a_run_that_is_stopped_and_resumed_at_every_turn(tmp_path: Path, whole: str) -> None:
    folder = tmp_path / "run"

    def stop(role: Role, tick: int) -> None:
        if role == "fleet":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StoppedRunError):
        go(folder, stop)
    for _ in range(4):
        with pytest.raises(StoppedRunError):
            resume(RunFolder.find(str(folder)), quiet=True, cast=remembering(stop))
    assert go_on(folder).output_digest == whole


def test_a_failed_run_goes_on_from_its_checkpoint(tmp_path: Path, whole: str) -> None:
    def fail(role: Role, tick: int) -> None:
        if (role, tick) == ("grid", 30):
            raise PowerFlowError("did not converge", tick=tick)

    folder = tmp_path / "run"
    with pytest.raises(PowerFlowError):
        go(folder, fail)
    assert status(folder) == "failed"
    found, damaged = checkpoints.latest(folder)
    assert found
    assert (found.ticks, damaged) == (24, [])
    assert go_on(folder).output_digest == whole


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, whole: str) -> None:
    def fail(role: Role, tick: int) -> None:
        if (role, tick) == ("agents", 30):
            raise PowerFlowError("did not converge", tick=tick)

    folder = tmp_path / "run"
    with pytest.raises(PowerFlowError):
        go(folder, fail)
    file = checkpoints.at(folder, 24).folder / "market.npz"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found, damaged = checkpoints.latest(folder)
    assert found
    assert found.ticks == 12
    assert [c.ticks for c in damaged] == [24]
    assert go_on(folder).output_digest == whole
    assert "is damaged and not used" in (folder / "logs" / "run.log").read_text()


def test_without_a_sound_checkpoint_a_run_begins_anew(tmp_path: Path, whole: str) -> None:
    def fail(role: Role, tick: int) -> None:
        if (role, tick) == ("agents", 3):
            raise PowerFlowError("did not converge", tick=tick)

    folder = tmp_path / "run"
    with pytest.raises(PowerFlowError):
        go(folder, fail)
    assert checkpoints.latest(folder) == (None, [])
    assert go_on(folder).output_digest == whole


_KILLED = """
import os, signal, sys
from pathlib import Path
from cosim import checkpoints
from tests.cosim import test_resume

where, ticks = sys.argv[2], int(sys.argv[3])

def die(role, tick):
    if where == "step" and (role, tick) == ("market", ticks):
        os.kill(os.getpid(), signal.SIGKILL)

def writing(self, role, state, write=checkpoints.Checkpoint.write):
    if where == "checkpoint" and role == "market" and self.ticks == ticks:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "market.npz").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, role, state)

checkpoints.Checkpoint.write = writing
test_resume.go(Path(sys.argv[1]), die)
"""


@pytest.mark.parametrize(
    ("where", "ticks"), [("step", 5), ("step", 12), ("step", 31), ("checkpoint", 24)]
)
def test_a_killed_run_loses_no_more_than_to_the_checkpoint(
    tmp_path: Path, whole: str, where: str, ticks: int
) -> None:
    folder = tmp_path / "run"
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder), where, str(ticks)], check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert status(folder) == "killed"
    found, _ = checkpoints.latest(folder)
    last = (ticks - (where == "checkpoint")) // 12 * 12
    assert (found.ticks if found else 0) == last
    if last:
        with xr.open_zarr(folder / "timeseries.zarr", chunks=None) as data:
            assert data.sizes["tick"] >= last
    assert go_on(folder).output_digest == whole


def test_what_lies_half_written_beyond_a_checkpoint_is_made_anew(
    tmp_path: Path, whole: str
) -> None:
    def fail(role: Role, tick: int) -> None:
        if (role, tick) == ("agents", 20):
            raise PowerFlowError("did not converge", tick=tick)

    folder = tmp_path / "run"
    with pytest.raises(PowerFlowError):
        go(folder, fail)
    checkpoints.at(folder, 17).write("fleet", {"total": np.array(0.0)})
    assert go_on(folder).output_digest == whole


def test_a_checkpoint_that_is_under_way_is_not_pruned(tmp_path: Path) -> None:
    for ticks in (12, 24, 36, 48):
        for role in ROLES[: 3 if ticks == 48 else None]:
            checkpoints.at(tmp_path, ticks).write(role, {"total": np.array(0.0)})
        if ticks not in (24, 48):
            checkpoints.at(tmp_path, ticks).conclude()
    checkpoints.prune(tmp_path, 36)
    # Of simulators in processes of their own some are ahead of the monitor.
    assert [c.ticks for c in checkpoints.every(tmp_path)] == [48, 36, 12]
    assert checkpoints.at(tmp_path, 12).sound


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(folder)
    found = checkpoints.every(folder)
    # After the last tick there is nothing to go on with.
    assert [c.ticks for c in found] == [24, 12]
    assert all(c.sound for c in found)
    assert {p.name for p in found[0].folder.iterdir()} == {
        "complete.json",
        *(f"{role}.npz" for role in ROLES),
    }


def test_what_cannot_be_resumed_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    go(folder)
    with pytest.raises(UserError, match="is complete: there is nothing to resume"):
        go_on(folder)
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    content["status"] = "interrupted"
    content["versions"]["numpy"] = "1.0"
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"numpy was 1\.0 and is {np.__version__}"):
        go_on(folder)


def test_a_run_is_carried_on_by_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def second(role: Role, tick: int) -> None:
        if (role, tick) == ("fleet", 20):
            assert status(folder) == "running"
            with pytest.raises(UserError, match="under way in another process"):
                go_on(folder)

    go(folder, second)
    assert status(folder) == "complete"
