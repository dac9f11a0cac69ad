"""Files that this user alone can have written, put in place whole."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from cosim.paths import cache_dir


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
    """Return the content of a file of ours.

    Raises
    ------
    OSError
        If it cannot be read, or if others can have written it.
    """
    if not private(path):
        raise PermissionError(f"{path} is absent or can be written by others")
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    """Put a file in place, readable and writable by its owner, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _ours(found: os.stat_result) -> bool:
    # Windows has neither; there the folder is the user's own.
    return not hasattr(os, "getuid") or found.st_uid == os.getuid()
