"""`cosim verify`: a run made again from its manifest, and compared with what is recorded."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from cosim import manifest
from cosim.differences import Difference, differences
from cosim.errors import UserError
from cosim.figures import DEFINITIONS
from cosim.recorder import digest
from cosim.run import run
from cosim.run_folder import RunFolder
from cosim.world import Cast


@dataclass(frozen=True)
class Change:
    """Something that results can depend on and that is not as it was."""

    what: str
    """``numpy``, or the path of a data file."""
    then: str
    now: str


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


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs between the versions, engines and inputs of two manifests."""
    found: list[Change] = []
    for section in ("versions", "engines", "inputs"):
        before, after = _flat(then.get(section, {})), _flat(now.get(section, {}))
        found += [
            Change(name, before.get(name, "absent"), after.get(name, "absent"))
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]
    return tuple(found)


def current(folder: RunFolder) -> tuple[Change, ...]:
    """Return what is not as it was when the run was made, as far as is known without running."""
    return changes(
        {key: folder.manifest[key] for key in ("versions", "inputs")},
        {key: manifest.new(folder.scenario)[key] for key in ("versions", "inputs")},
    )


def _flat(section: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in section.items():
        if isinstance(value, dict):
            flat |= {f"{name} {key}": text for key, text in _flat(value).items()}
        else:
            flat[str(name)] = str(value)
    return flat


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
