"""Files that this user alone can have written, put in place whole, removed when long unused."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cosim.paths import cache_dir

KEPT_S = 30 * 86400.0
"""How long a file is kept that nobody reads [s]."""
_NAMES = re.compile(r".+-[0-9a-f]{24}(\.npz|\.so|\w{8}\.part)")
"""What this package calls its files: models, libraries, and either half written."""


def folder() -> Path:
    """Folder of the battery models, made if absent; closed to other users if it is ours."""
    path = cache_dir() / "battery"
    path.mkdir(mode=0o700, exist_ok=True)
    if not private(path) and _ours(path.stat()):
        path.chmod(0o700)
    return path


def private(path: Path) -> bool:
    """Whether the file or folder is there, ours and not to be written by others."""
    try:
        found = path.stat()
    except OSError:
        return False
    return _ours(found) and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def read(path: Path) -> bytes:
    """Return the content of a file of ours, and note on the file that it is used.

    Raises
    ------
    OSError
        If it cannot be read, or if others can have written it.
    """
    if not private(path):
        raise PermissionError(f"{path} is absent or can be written by others")
    # Before it is read: `prune` then leaves it alone. A cache that is only read needs no note.
    with suppress(OSError):
        os.utime(path)
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    """Put a file in place, readable and writable by its owner, whole or not at all.

    Whoever writes adds to the folder, so this is where long unused files are removed from it.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    with suppress(OSError):
        prune(path.parent, path.stat().st_mtime - KEPT_S)


def prune(folder: Path, since_s: float) -> None:
    """Remove the files of this package in a folder that were last used before a time.

    Parameters
    ----------
    folder
        The folder; what other names it holds, and what is not this user's, stays.
    since_s
        The time, of the clock that dates the files [s].

    Notes
    -----
    Several processes may do so at once, and others may read. A library that a process has open
    stays open without its name; a file that vanishes between a look at it and its reading counts
    as absent and is built anew.
    """
    for path in sorted(folder.iterdir()):
        if _NAMES.fullmatch(path.name):
            # Another process may have been faster, or hold the file where that forbids removal.
            with suppress(OSError):
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and _ours(found) and found.st_mtime < since_s:
                    path.unlink()


def _ours(found: os.stat_result) -> bool:
    # Windows has neither; there the folder is the user's own.
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()
