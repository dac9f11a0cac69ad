"""Simulators in processes of their own: the same bytes, and an end with a name if one is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosim import checkpoints, loading
from cosim.differences import differences
from cosim.errors import RunError, UserError
from cosim.processes import Processes
from cosim.run import resume, run
from cosim.run_folder import RunFolder
from cosim.signals import ROLES, Role
from cosim.world import Cast
from tests.integration.faulty import Babbling, Dying, Failing, Refusing, Shouting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

SETTINGS = (
    "duration=2h",
    "start=2022-09-14 07:00",
    "fleet.vehicles=30",
    "fleet.stations={count: 10}",
    "battery.kind=reservoir",
    "run.checkpoint_every=30min",
)
SEPARATE = ("processes=separate", "run.answer_within=4")


def slowly(*values: object) -> Any:
    """Return a case that only the slow checks try."""
    return pytest.param(*values, marks=pytest.mark.slow)


def children(folder: Path) -> dict[str, int]:
    """Return the processes of simulators of a run, by role."""
    found: dict[str, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (path / "cmdline").read_bytes().decode().split("\0")
            environment = (path / "environ").read_bytes()
            if "cosim.process" in words and f"RUN_OF_TEST={folder}".encode() in environment:
                found[words[words.index("cosim.process") + 3]] = int(path.name)
    return found


def begin(folder: Path) -> subprocess.Popen[str]:
    """Start a run in the way a user does."""
    command = [sys.executable, "-c", "from cosim.cli import main; main()", "run", "--quiet"]
    command += ["--out", str(folder)]
    for setting in (*SETTINGS, *SEPARATE, "duration=2d", "run.checkpoint_every=1h"):
        command += ["--set", setting]
    spare = folder.with_name("spare")
    spare.mkdir()
    environment = {**os.environ, "RUN_OF_TEST": str(folder), "TMPDIR": str(spare)}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the run has a checkpoint to go on from."""
    for _ in range(1200):
        if checkpoints.latest(folder)[0] is not None:
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError("no checkpoint within a minute")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A long run with a checkpoint, each simulator in its own process."""
    folder = tmp_path / "run"
    process = begin(folder)
    try:
        wait_for_checkpoint(folder, process)
        yield folder, process
    finally:
        process.kill()
        process.communicate()


def ending(process: subprocess.Popen[str], folder: Path) -> str:
    """Return what a run says at its end, which is near, with an exit code of 1 and no child."""
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1, said
    assert children(folder) == {}
    assert list(folder.with_name("spare").iterdir()) == []
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run in one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(loading.load(settings=SETTINGS), folder, quiet=True)
    return folder


def test_the_same_bytes_as_in_one_process(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    run(loading.load(settings=[*SETTINGS, *SEPARATE]), folder, quiet=True)
    assert differences(whole, folder) == []
    digests = {RunFolder.find(str(f)).manifest["output_digest"] for f in (whole, folder)}
    assert len(digests) == 1
    for role in ROLES[:-1]:
        assert (folder / "logs" / f"{role}.log").read_text() == ""


@pytest.mark.parametrize("role", ["battery", *(slowly(r) for r in ROLES[:-1] if r != "battery")])
def test_a_simulator_that_is_killed(
    started: tuple[Path, subprocess.Popen[str]], role: Role
) -> None:
    folder, process = started
    os.kill(children(folder)[role], signal.SIGKILL)
    said = ending(process, folder)
    assert f"the {role} simulator was lost at tick" in said
    assert "its process ended with signal 9" in said
    assert RunFolder.find(str(folder)).status == "failed"
    assert "cosim resume" in said
    assert checkpoints.latest(folder)[0] is not None


@pytest.mark.parametrize("role", ["traffic", *(slowly(r) for r in ROLES[:-1] if r != "traffic")])
def test_a_simulator_that_is_stopped(
    started: tuple[Path, subprocess.Popen[str]], role: Role
) -> None:
    folder, process = started
    os.kill(children(folder)[role], signal.SIGSTOP)
    said = ending(process, folder)
    assert f"the {role} simulator was lost at tick" in said
    assert "gave no answer for 4 s; its process is stopped" in said


def test_a_run_that_is_killed_leaves_no_process(
    started: tuple[Path, subprocess.Popen[str]],
) -> None:
    folder, process = started
    assert set(children(folder)) == set(ROLES[:-1])
    process.kill()
    process.wait()
    for _ in range(100):
        if not children(folder):
            break
        time.sleep(0.05)
    assert children(folder) == {}
    assert RunFolder.find(str(folder)).status == "killed"


@pytest.mark.parametrize(
    ("role", "kind", "said"),
    [
        slowly("grid", Dying, "the grid simulator was lost at tick 15: it closed its connection"),
        (
            "market",
            Babbling,
            "the market simulator was lost at tick 15: it said what is no message",
        ),
        slowly("market", Shouting, "a message of 4294967295 bytes is announced"),
        slowly("grid", Failing, r"OpenDSS \(bus 48\) at tick 15: the power flow did not converge"),
    ],
)
def test_a_run_that_lost_a_simulator_is_resumed(
    tmp_path: Path, whole: Path, role: Role, kind: type, said: str
) -> None:
    scenario = loading.load(settings=[*SETTINGS, *SEPARATE])
    folder = tmp_path / "run"
    with pytest.raises(RunError, match=said):
        run(scenario, folder, quiet=True, cast=Cast({**Cast.of(scenario).classes, role: kind}))
    assert RunFolder.find(str(folder)).ticks_done == 15
    if kind is Failing:
        assert "in advance" in (folder / "logs" / "grid.log").read_text()
    again = resume(RunFolder.find(str(folder)), quiet=True)
    assert again.output_digest == RunFolder.find(str(whole)).manifest["output_digest"]


def test_what_a_simulator_refuses_is_told_as_in_one_process(tmp_path: Path) -> None:
    scenario = loading.load(settings=[*SETTINGS, *SEPARATE])
    cast = Cast({**Cast.of(scenario).classes, "market": Refusing})
    with pytest.raises(UserError) as refused:
        run(scenario, tmp_path / "run", quiet=True, cast=cast)
    assert str(refused.value) == "prices.csv: has no column price"
    assert "in prepare" in (tmp_path / "run" / "logs" / "market.log").read_text()


def test_one_that_takes_in_nothing_any_more_is_ended(tmp_path: Path) -> None:
    async def stop() -> None:
        processes = Processes(tmp_path, 4.0)
        await processes.start("market", "adapters.market.simulator:Market")
        channel = await processes.channel("market")
        process = getattr(processes, "_running")["market"]  # noqa: B009 - nobody else needs it
        process.send_signal(signal.SIGSTOP)
        sending = asyncio.ensure_future(channel.send(["init", (np.zeros(1 << 23),), {}]))
        await asyncio.sleep(0.2)
        await asyncio.wait_for(processes.close(), 20)
        assert process.returncode == -signal.SIGKILL
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    asyncio.run(stop())


def test_only_those_with_the_token_are_let_in(tmp_path: Path) -> None:
    async def call() -> bytes:
        processes = Processes(tmp_path, 4.0)
        await processes.start("market", "adapters.market.simulator:Market")
        server = getattr(processes, "_server")  # noqa: B009 - nobody else needs the address
        host, port = server.sockets[0].getsockname()[:2]
        assert host == "127.0.0.1"
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"0" * 64 + b" market\n")
        heard = await reader.read()
        writer.close()
        await writer.wait_closed()
        # The one that knows the token is let in after that.
        assert await processes.channel("market")
        await processes.close()
        return heard

    assert asyncio.run(call()) == b""
