"""Where files live outside a run folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Folder for what is built at first use (road networks, battery models), created if absent.

    ``VOLTSTEP_CACHE_DIR`` overrides the user cache folder of the operating system.
    """
    root = os.environ.get("VOLTSTEP_CACHE_DIR")
    folder = Path(root) if root else Path(platformdirs.user_cache_dir("voltstep"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
