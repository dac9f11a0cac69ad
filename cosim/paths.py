"""Where files live outside a run folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from cosim.errors import UserError


def cache_dir() -> Path:
    """Folder for what is built at first use (road networks, battery models), created if absent.

    ``VOLTSTEP_CACHE_DIR`` overrides the user cache folder of the operating system.

    Raises
    ------
    UserError
        If it cannot be made or written.
    """
    root = os.environ.get("VOLTSTEP_CACHE_DIR")
    folder = Path(root) if root else Path(platformdirs.user_cache_dir("voltstep"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:
        raise UserError(
            f"the cache folder {folder} cannot be written: set VOLTSTEP_CACHE_DIR to one that can"
        )
    return folder


def data_dir() -> Path:
    """Folder for what the user keeps (imported road networks); it need not exist yet.

    ``VOLTSTEP_DATA_DIR`` overrides the user data folder of the operating system.
    """
    root = os.environ.get("VOLTSTEP_DATA_DIR")
    return Path(root) if root else Path(platformdirs.user_data_dir("voltstep"))
