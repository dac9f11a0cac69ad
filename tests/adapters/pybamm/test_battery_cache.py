"""What the cache of the battery models keeps and what it removes."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from adapters.pybamm import cache, compiler
from adapters.pybamm.tape import Operation, Tape

NEW = "SPMe-nmc-" + 24 * "0" + ".npz"
OTHERS = ("SPMe-lfp-" + 24 * "1" + ".npz", "cells-" + 24 * "2" + ".so")
LEFT_OVER = "SPM-nmc-" + 24 * "3" + "ab_d3fgh.part"
LONG_S = cache.KEPT_S + 3600


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOLTSTEP_CACHE_DIR", str(tmp_path))
    return cache.folder()


def _unused(path: Path, seconds: float) -> Path:
    """Make a file that was last used so long ago, if there is none."""
    if not path.exists():
        # Not by the cache: it would remove the old ones made before.
        path.write_bytes(path.name.encode())
        path.chmod(0o600)
    used = path.stat().st_mtime - seconds
    os.utime(path, (used, used))
    return path


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_nobody_uses_goes_when_something_is_written(folder: Path) -> None:
    recent = _unused(folder / OTHERS[0], cache.KEPT_S - 3600)
    for name in (OTHERS[1], LEFT_OVER):
        _unused(folder / name, LONG_S)
    cache.write(folder / NEW, b"new")
    assert _names(folder) == {NEW, recent.name}
    assert (folder / NEW).read_bytes() == b"new"


def test_what_is_read_is_kept(folder: Path) -> None:
    for name in OTHERS:
        _unused(folder / name, LONG_S)
    # Reading removes nothing, whatever its age.
    assert cache.read(folder / OTHERS[0]) == OTHERS[0].encode()
    assert _names(folder) == set(OTHERS)
    cache.write(folder / NEW, b"new")
    assert _names(folder) == {NEW, OTHERS[0]}


def test_what_is_not_ours_is_kept(folder: Path) -> None:
    aside = folder.parent / OTHERS[0]
    aside.write_bytes(b"elsewhere")
    link = folder / OTHERS[0]
    link.symlink_to(aside)
    inner = folder / OTHERS[1]
    inner.mkdir()
    names = ("notes.txt", "model.npz", "SPM-nmc-123.npz", "cells-" + 24 * "g" + ".so")
    for name in names:
        (folder / name).touch()
    for path in [*folder.iterdir(), aside]:
        long_ago = path.lstat().st_mtime - LONG_S
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    cache.write(folder / NEW, b"new")
    assert _names(folder) == {NEW, *OTHERS, *names}
    assert aside.exists()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner's number")
def test_the_files_of_other_users_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = _unused(folder / OTHERS[0], LONG_S)
    monkeypatch.setattr(os, "getuid", lambda: old.stat().st_uid + 1)
    cache.prune(folder, old.stat().st_mtime + 1)
    assert old.exists()


def test_a_cache_that_cannot_be_dated_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write(folder / NEW, b"new")

    def refused(*_: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    assert cache.read(folder / NEW) == b"new"


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_file_that_cannot_be_removed_stops_nobody(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    for name in OTHERS:
        _unused(folder / name, LONG_S)
    unlink = Path.unlink

    def faster(path: Path, missing_ok: bool = False) -> None:
        if path.name == OTHERS[0]:
            # Another process was faster, or has the file open on a system that then keeps it.
            raise error(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", faster)
    cache.write(folder / NEW, b"new")
    assert _names(folder) == {NEW, OTHERS[0]}


def test_many_write_and_read_at_once(folder: Path) -> None:
    used = _unused(folder / OTHERS[0], LONG_S)
    for number in range(40):
        _unused(folder / f"cells-{number:024x}.so", LONG_S)
    assert cache.read(used) == OTHERS[0].encode()

    def work(number: int) -> bool:
        path = folder / f"SPM-lfp-{number:024x}.npz"
        cache.write(path, path.name.encode())
        return (cache.read(path), cache.read(used)) == (path.name.encode(), OTHERS[0].encode())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(40)))
    assert _names(folder) == {used.name, *(f"SPM-lfp-{number:024x}.npz" for number in range(40))}


@pytest.mark.skipif(
    not any(map(shutil.which, compiler.NAMES)), reason="there is no C compiler"
)  # fmt: skip
def test_a_library_outlives_its_file(folder: Path) -> None:
    negative = Tape((("q", 1),), 1, (Operation("input", (0, 0)), Operation("negative", (0,))),
                    {(0, 0): 1})  # fmt: skip
    found = compiler.find()
    first = compiler.load({"negative": negative}, "test", found)["negative"]
    [path] = folder.iterdir()
    _unused(path, LONG_S)
    cache.write(folder / NEW, b"new")
    assert _names(folder) == ({NEW} if os.name == "posix" else {NEW, path.name})
    again = compiler.load({"negative": negative}, "test", found)["negative"]
    for function in (first, again):
        r = np.empty((1, 3))
        function(np.array([[1.0, 2.0, 3.0]]), r)
        assert np.array_equal(r, [[-1.0, -2.0, -3.0]])
    assert _names(folder) == {NEW, path.name}
