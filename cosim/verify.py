"""`cosim verify`: a run made again from its manifest, and compared with what is recorded."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cosim import manifest
from cosim.differences import Difference, differences
from cosim.errors import UserError
from cosim.figures import DEFINITIONS
from cosim.manifest import Change, changes
from cosim.recorder import digest
from cosim.run import run
from cosim.run_folder import RunFolder
from cosim.world import Cast


@dataclass(frozen=True)
class Verdict:
    """What came of running again."""

    recorded: str
    """Output digest in the manifest."""
    again: str
    """That of the run made now."""
    changes: tuple[Change, ...]
    """Versions and inputs that are not as they were."""
    differences: tuple[Difference, ...]
    """Where the records differ, what is closest to the cause first; empty if they are equal."""

    @property
    def equal(self) -> bool:
        """Whether both runs are the same to the last bit."""
        return self.recorded == self.again


def verify(
    folder: RunFolder,
    *,
    keep: Path | None = None,
    console: Console | None = None,
    quiet: bool = False,
    cast: Cast | None = None,
) -> Verdict:
    """Run the scenario of a run again, and compare.

    Parameters
    ----------
    folder
        A complete run.
    keep
        Where the new run goes; if None it is thrown away.
    console, quiet, cast
        See `cosim.run.run`.

    Raises
    ------
    UserError
        The run is not complete, or its record was changed since.
    RunError
        The new run failed.
    """
    if folder.status != "complete":
        raise UserError(
            f"{folder.path} is {folder.status} after tick {folder.manifest['last_tick']}: only "
            f"a complete run can be verified"
        )
    _require_untouched(folder)
    scenario = folder.scenario
    with tempfile.TemporaryDirectory(prefix="voltstep-verify-") as spare:
        target = keep or Path(spare) / "run"
        made = run(scenario, target, console=console, quiet=quiet, cast=cast)
        recorded = str(folder.manifest["output_digest"])
        new = RunFolder.find(str(target))
        equal = made.output_digest == recorded
        return Verdict(
            recorded=recorded,
            again=made.output_digest,
            changes=changes(folder.manifest, new.manifest),
            differences=() if equal else tuple(differences(folder.path, target)),
        )


def current(folder: RunFolder) -> tuple[Change, ...]:
    """Return what is not as it was when the run was made, as far as is known without running."""
    return changes(folder.manifest, manifest.new(folder.scenario), manifest.BEFORE)


def _require_untouched(folder: RunFolder) -> None:
    """Check that the record is the one that the manifest's digest is of."""
    try:
        figures: dict[str, Any] = json.loads((folder.path / "kpis.json").read_text("utf-8"))
        kept = {
            key: (found["value"], found.get("by_segment", {}))
            for key, found in figures.items()
            if key not in DEFINITIONS or not DEFINITIONS[key].volatile
        }
        found = digest(folder.path, kept)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder.path}: the record cannot be read: {error}") from None
    if found != folder.manifest["output_digest"]:
        raise UserError(
            f"{folder.path}: the record was changed after the run: it has the digest {found}, the "
            f"manifest {folder.manifest['output_digest']}"
        )
