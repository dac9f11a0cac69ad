"""The life of a run: folder, world, progress, the last tick check, key figures, manifest."""

from __future__ import annotations

import logging
import shlex
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console

from cosim import checkpoints, kpis, ledger, manifest
from cosim.assets import Assets
from cosim.audit import Audit
from cosim.checkpoints import Checkpoint
from cosim.errors import IncompleteRunError, RunError, StoppedRunError, UserError, VoltstepError
from cosim.figures import Figure, plain, steady
from cosim.interrupt import StopSignals
from cosim.monitor import MonitorParts, TickSink
from cosim.paths import cache_dir
from cosim.progress import RunProgress, preparation
from cosim.recorder import Recorder, digest
from cosim.registry import engine_names
from cosim.run_data import RunData
from cosim.run_folder import LOCK, RUNS, RunFolder
from cosim.scenario import Scenario
from cosim.signals import ROLES, Ids, Role
from cosim.simulator import Facts
from cosim.world import Cast, World


@dataclass(frozen=True)
class Result:
    """A finished run."""

    folder: Path
    figures: dict[str, Figure]
    engine_wall_s: dict[Role, float]
    output_digest: str


def default_folder(scenario: Scenario) -> Path:
    """Return a folder under ``runs/`` that does not exist yet."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    base = RUNS / f"{scenario.name}-{stamp}"
    folder, count = base, 1
    while folder.exists():
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    return folder


def run(
    scenario: Scenario,
    folder: Path | None = None,
    *,
    console: Console | None = None,
    quiet: bool = False,
    cast: Cast | None = None,
) -> Result:
    """Run a scenario and leave a run folder.

    Parameters
    ----------
    scenario
        A checked scenario.
    folder
        Where to; a new folder under ``runs/`` if None. It must be empty or absent.
    console
        Where progress is shown.
    quiet
        Show no progress.
    cast
        Classes that fill the roles, if not those that the scenario names.

    Raises
    ------
    UserError
        If the folder holds something already.
    RunError
        If the run fails. What was recorded is kept, and the manifest says that it failed.
    """
    cache_dir()
    folder = _make(folder or default_folder(scenario))
    return _Life(scenario, folder, console or Console(), quiet, cast).run()


def resume(
    folder: RunFolder,
    *,
    console: Console | None = None,
    quiet: bool = False,
    cast: Cast | None = None,
) -> Result:
    """Go on with a run from its latest sound checkpoint, or from its start where there is none.

    What was recorded beyond the checkpoint is dropped and made again, to the same bytes.

    Parameters
    ----------
    folder
        A run that is not complete and that nobody carries on.
    console, quiet, cast
        See `run`.

    Raises
    ------
    UserError
        The run is complete, is under way, or was made by other versions or from other data.
    RunError
        If the run fails.
    """
    cache_dir()
    if folder.status == "complete":
        raise UserError(f"{folder.path} is complete: there is nothing to resume")
    scenario = folder.scenario
    now = manifest.new(scenario)
    if changed := manifest.changes(folder.manifest, now, manifest.BEFORE):
        raise UserError(
            f"{folder.path} cannot be resumed to the same bytes: "
            + "; ".join(f"{c.what} was {c.then} and is {c.now}" for c in changed)
        )
    life = _Life(scenario, folder.path, console or Console(), quiet, cast)
    return life.resume()


def _make(folder: Path) -> Path:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} exists and is not an empty folder: choose another --out")
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from None
    return folder


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Let it be: a log that cannot be written is no reason to end a run."""


class _Clock(TickSink):
    """Wall time of the ticks, those before a checkpoint included."""

    def __init__(self) -> None:
        self._before_s = self._begun_s = 0.0

    def begin(self) -> None:
        """Start to count."""
        self._begun_s = perf_counter()

    @property
    def wall_s(self) -> float:
        """Wall time of all ticks so far [s]."""
        return self._before_s + perf_counter() - self._begun_s

    def take(self, tick: int, signals: Mapping[str, Any]) -> None:
        """Do nothing: time passes by itself."""

    def save(self) -> dict[str, NDArray[Any]]:
        """Return the wall time so far."""
        return {"wall_s": np.array(self.wall_s)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Count on from a checkpoint."""
        self._before_s = float(state["wall_s"])


class _Life:
    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        console: Console,
        quiet: bool,
        cast: Cast | None,
    ) -> None:
        self.scenario, self.folder = scenario, folder
        self.start: Checkpoint | None = None
        self.clock = _Clock()
        self.lock = FileLock(folder / LOCK, timeout=0)
        self.cast = cast or Cast.of(scenario)
        self.console, self.quiet = console, quiet
        names = engine_names(scenario)
        self.progress = RunProgress(
            console, scenario.ticks, scenario.start_time, names, quiet=quiet
        )
        self.stop = StopSignals()
        self.manifest = manifest.new(scenario)
        self.began = perf_counter()
        # A logger of its own, not one of the process: two runs must not share a file.
        self.log = logging.Logger("cosim.run", logging.INFO)
        self.recorder: Recorder | None = None
        self.audit: Audit | None = None

    def resume(self) -> Result:
        """Run from the latest sound checkpoint on."""
        with self._alone():
            self.start, damaged = checkpoints.latest(self.folder)
            for checkpoint in damaged:
                self.log.warning("%s is damaged and not used", checkpoint.folder)
            done = self.start.ticks if self.start else 0
            checkpoints.remove_beyond(self.folder, done)
            self.log.info("resumed after %d of %d ticks", done, self.scenario.ticks)
            if not self.start:
                shutil.rmtree(self.folder / "timeseries.zarr", ignore_errors=True)
            return self._run()

    def run(self) -> Result:
        """Run from the first tick on."""
        with self._alone():
            return self._run()

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Keep others from carrying on the same run, and its log open."""
        try:
            self.lock.acquire()
        except Timeout:
            raise UserError(f"{self.folder} is under way in another process") from None
        try:
            log = _LogFile(self.folder / "logs" / "run.log", encoding="utf-8")
            log.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            self.log.addHandler(log)
            try:
                yield
            finally:
                self.log.removeHandler(log)
                log.close()
        finally:
            self.lock.release()

    def _run(self) -> Result:
        self._save("running")
        plain = (self.scenario.name, self.scenario.seed, self.scenario.ticks)
        self.log.info("scenario %s, seed %d, %d ticks", *plain)
        for name, version in manifest.versions().items():
            self.log.info("%s %s", name, version)
        try:
            self._make_ready()
            with self.stop:
                loop_wall_s = self._lockstep()
            return self._conclude(loop_wall_s)
        except (KeyboardInterrupt, StoppedRunError):
            stopped = StoppedRunError(self.last_tick, self.scenario.ticks)
            self.log.warning("%s", stopped)
            self._keep("interrupted", str(stopped))
            stopped.add_note(self._kept())
            raise stopped from None
        except VoltstepError as error:
            self.log.exception("failed after tick %d", self.last_tick)
            self._keep("failed", str(error))
            error.add_note(self._kept())
            raise
        except OSError as error:
            self.log.exception("failed after tick %d", self.last_tick)
            reason = f"a file could not be read or written: {error}"
            self._keep("failed", reason)
            full = RunError(reason)
            full.add_note(self._kept())
            raise full from error
        except Exception as error:
            # A fault of a simulator's code: people get one message, the log has the traceback.
            self.log.exception("failed after tick %d", self.last_tick)
            reason = f"{type(error).__name__}: {error}"
            self._keep("failed", reason)
            log = self.folder / "logs" / "run.log"
            broken = RunError(f"a simulator broke: {reason}. The traceback stands in {log}")
            broken.add_note(self._kept())
            raise broken from error
        except BaseException as error:
            # What is not an error of ours ends the process: an exit, a pipe that closed.
            self._keep("interrupted", f"{type(error).__name__}: {error}")
            raise

    def _make_ready(self) -> None:
        with preparation(self.console, quiet=self.quiet) as tell:
            for role in ROLES[:-1]:
                self.cast.classes[role].make_ready(self.scenario, tell)

    def _lockstep(self) -> float:
        parts = MonitorParts(self._sinks)
        whole = World(
            self.scenario,
            parts,
            self.cast,
            run=self.folder,
            start=self.start,
            last=self.stop.last,
        )
        with self.progress, whole as world:
            self.manifest["wall_s"]["startup"] = perf_counter() - self.began
            self.manifest["engines"] = world.about
            self.log.info("engines ready after %.1f s", self.manifest["wall_s"]["startup"])
            self.progress.begin()
            self.clock.begin()
            world.run()
            # Recording is part of what coupling costs, so its last write is too.
            if self.recorder is not None:
                self.recorder.close()
            loop_wall_s = self.clock.wall_s
        last, ticks = self.last_tick, self.scenario.ticks
        if last != ticks - 1:
            # mosaik returns as if all were well after an interrupt or a lost simulator.
            raise IncompleteRunError(last, ticks, "a simulator was lost or the run was stopped")
        return loop_wall_s

    def _sinks(self, ids: Ids, facts: Facts) -> tuple[TickSink, ...]:
        scenario = self.scenario
        self.recorder = Recorder(
            self.folder,
            scenario.start_time,
            scenario.ticks,
            ids,
            facts,
            resumed=self.start.ticks if self.start else 0,
        )
        events = self.recorder.events
        self.audit = Audit(
            scenario,
            Assets.of(scenario),
            ids,
            facts,
            note=lambda tick, event: events.add(tick, "monitor", [event]),
        )
        return self.audit, self.recorder, self.progress, self.clock

    @property
    def last_tick(self) -> int:
        return self.recorder.last_tick if self.recorder else -1

    def _conclude(self, loop_wall_s: float) -> Result:
        recorder, audit = self.recorder, self.audit
        if recorder is None or audit is None:
            raise IncompleteRunError(-1, self.scenario.ticks, "nothing was recorded")
        with xr.open_zarr(recorder.store, chunks=None) as data:
            acceleration = self.scenario.ageing.acceleration
            events = recorder.events.table()
            run = RunData(data, loop_wall_s, audit.count, acceleration, events)
            figures = kpis.compute(run)
            engines = kpis.engine_wall_s(run)
            ledger.write(self.folder, data)
        manifest.write_json(self.folder / "kpis.json", plain(figures))
        found = digest(self.folder, steady(figures))
        self.manifest["wall_s"] |= {
            "ticks": loop_wall_s,
            "engines": engines,
            "total": perf_counter() - self.began,
        }
        self.manifest["output_digest"] = found
        self._save("complete")
        self.log.info("complete in %.1f s, digest %s", self.manifest["wall_s"]["total"], found)
        return Result(self.folder, figures, engines, found)

    def _keep(self, status: str, reason: str) -> None:
        """Write what was recorded, and a manifest that says that the run is not whole."""
        try:
            if self.recorder is not None:
                self.recorder.close()
        except Exception as error:
            self.log.exception("not all could be kept")
            reason += f"; not all could be kept: {type(error).__name__}: {error}"
        self.manifest["error"] = reason
        try:
            self._save(status)
        except OSError:
            # The disk is full, say: the first error tells more than this one.
            self.log.exception("the manifest could not be written")

    def _kept(self) -> str:
        written = self.recorder.written_ticks if self.recorder else 0
        return (
            f"{written} ticks were recorded in {self.folder}\n"
            f"go on with: cosim resume {shlex.quote(str(self.folder))}"
        )

    def _save(self, status: str) -> None:
        self.manifest |= {"status": status, "last_tick": self.last_tick}
        manifest.write_json(self.folder / "manifest.json", self.manifest)
