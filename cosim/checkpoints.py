"""Checkpoints of a run: what every simulator needs to go on as if nothing had happened.

``checkpoints/000144/`` holds the state after 144 ticks: one file for each role, written by its
simulator, and ``complete.json``, written last, with the hash of each. A folder without it, or with
a file that does not match, is not used. Files replace each other at once, so that a run that is
killed while it writes leaves the checkpoint before as it was.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.signals import ROLES, Role

KEPT = 2
"""Checkpoints that are kept: one of them may prove damaged."""
FOLDER = "checkpoints"
_LIST = "complete.json"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The state after some ticks."""

    folder: Path
    """Where it lies."""
    ticks: int
    """Ticks that are done."""

    def write(self, role: Role, state: Arrays) -> None:
        """Write the state of a role."""
        # Through memory: what numpy writes as a file it writes in many pieces.
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **state)
        self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self._file(role), content.getbuffer())

    def read(self, role: Role) -> dict[str, NDArray[Any]]:
        """Return the state of a role."""
        with np.load(self._file(role), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def conclude(self) -> None:
        """Say that every role has written its state."""
        hashes = {role: _sha256(self._file(role)) for role in ROLES}
        text = json.dumps({"ticks": self.ticks, "sha256": hashes}, indent=2) + "\n"
        _replace(self.folder / _LIST, text.encode())

    @property
    def sound(self) -> bool:
        """Whether it is complete and every file is as it was written."""
        try:
            known: Any = json.loads((self.folder / _LIST).read_text(encoding="utf-8"))
            return known["ticks"] == self.ticks and all(
                _sha256(self._file(role)) == known["sha256"][role] for role in ROLES
            )
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _file(self, role: Role) -> Path:
        return self.folder / f"{role}.npz"


def at(run: Path, ticks: int) -> Checkpoint:
    """Return the checkpoint of a run folder after some ticks, there or not."""
    return Checkpoint(run / FOLDER / f"{ticks:06}", ticks)


def every(run: Path) -> list[Checkpoint]:
    """Return the checkpoints of a run folder, the latest first, sound or not."""
    folders = [path for path in (run / FOLDER).glob("*") if path.name.isdecimal()]
    return [Checkpoint(path, int(path.name)) for path in sorted(folders, reverse=True)]


def latest(run: Path) -> tuple[Checkpoint | None, list[Checkpoint]]:
    """Return the latest sound checkpoint of a run folder, and the damaged ones after it."""
    damaged: list[Checkpoint] = []
    for checkpoint in every(run):
        if checkpoint.sound:
            return checkpoint, damaged
        damaged.append(checkpoint)
    return None, damaged


def prune(run: Path, ticks: int, kept: int = KEPT) -> None:
    """Remove what lies before the checkpoint after some ticks, but for the latest complete ones.

    Some simulators may be ahead: what they have written beyond stays.
    """
    before = [c for c in every(run) if c.ticks < ticks]
    complete = [c for c in before if (c.folder / _LIST).is_file()]
    _remove(c for c in before if c not in complete[: kept - 1])


def remove_beyond(run: Path, ticks: int) -> None:
    """Remove what lies beyond the checkpoint from which a run goes on: it is made anew."""
    _remove(c for c in every(run) if c.ticks > ticks)


def _remove(checkpoints: Iterable[Checkpoint]) -> None:
    for checkpoint in checkpoints:
        shutil.rmtree(checkpoint.folder, ignore_errors=True)


def as_array(plain: Any) -> NDArray[Any]:
    """Return lists, texts and numbers as an array of the bytes of their JSON."""
    return np.frombuffer(json.dumps(plain).encode(), np.uint8)


def from_array(array: NDArray[Any]) -> Any:
    """Return what `as_array` was given; tuples are lists."""
    return json.loads(array.tobytes())


def _replace(file: Path, content: Any) -> None:
    part = file.with_name(file.name + ".part")
    with part.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    os.replace(part, file)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
