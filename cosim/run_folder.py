"""A run folder, as a later command finds it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from filelock import FileLock, Timeout

from cosim import checkpoints
from cosim.errors import UserError, nearest
from cosim.scenario import Scenario

RUNS = Path("runs")
"""Where runs lie that no other place was named for."""
LOCK = Path("logs") / "run.lock"
"""File in a run folder that is locked as long as the run is under way."""


@dataclass(frozen=True)
class RunFolder:
    """A folder that a run left."""

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def find(cls, text: str) -> Self:
        """Open what a user names: a folder, or the name of one under ``runs/``.

        Raises
        ------
        UserError
            There is no such folder, or no run left it.
        """
        for path in (Path(text), RUNS / text):
            if (path / "manifest.json").is_file():
                return cls(path, _read(path / "manifest.json"))
        path = Path(text)
        if path.is_dir():
            raise UserError(f"{text} is no run folder: it has no manifest.json")
        near = nearest(path.name, [p.name for p in all_runs()])
        hint = f" Did you mean {RUNS / near}?" if near else ""
        raise UserError(f"no run {text}: neither a folder nor the name of one in {RUNS}/.{hint}")

    @property
    def status(self) -> str:
        """``complete``, ``running``, or why the run is not whole."""
        status = str(self.manifest["status"])
        return "killed" if status == "running" and not self._under_way() else status

    def _under_way(self) -> bool:
        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            with lock:
                return False
        except Timeout:
            return True

    @property
    def scenario(self) -> Scenario:
        """The scenario that was run.

        Raises
        ------
        UserError
            This version cannot read it: the run was made by one with other fields.
        """
        try:
            return Scenario.model_validate(self.manifest["scenario"])
        except ValueError as error:
            made_by = self.manifest["versions"].get("voltstep", "another")
            raise UserError(
                f"{self.path}: this version cannot read the scenario of a run made by voltstep "
                f"{made_by}: {error}"
            ) from None

    @property
    def ticks_done(self) -> int:
        """Ticks that are recorded; of a run that was killed those up to its checkpoint."""
        if self.status == "killed":
            found, _ = checkpoints.latest(self.path)
            return found.ticks if found else 0
        return int(self.manifest["last_tick"]) + 1

    @property
    def bytes_on_disk(self) -> int:
        """Size of all its files."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def figure(self, key: str) -> float | None:
        """Return a key figure; None where the run has none."""
        try:
            figures: Any = json.loads((self.path / "kpis.json").read_text(encoding="utf-8"))
            return figures[key]["value"]
        except (OSError, ValueError, KeyError):
            return None

    def remove(self) -> None:
        """Delete the folder with everything in it.

        Raises
        ------
        UserError
            The run is under way.
        """
        if self.status == "running":
            raise UserError(f"{self.path} is under way: stop it first")
        shutil.rmtree(self.path)


def all_runs() -> list[Path]:
    """Return the run folders under ``runs/``, by name."""
    return sorted(path.parent for path in RUNS.glob("*/manifest.json"))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None
    needed = {"status", "scenario", "versions", "inputs", "ticks", "output_digest"}
    if not isinstance(found, dict) or not needed <= found.keys():
        raise UserError(f"{file} is no manifest of a run")
    return cast("Mapping[str, Any]", found)
