"""Hearing what SUMO writes to the terminal instead of letting it appear there."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

_SUMO = re.compile(r"(?<!\w)(Warning|Error|Quitting)\b.*")
_STDERR = 2


class Ear:
    """Collects the lines that SUMO writes to standard error.

    libsumo has no call that hands out its messages, and a log file that it writes lags behind by
    a buffer. So standard error points to a file of ours while SUMO works; what another thread
    writes in that moment is passed on.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the object
        self._lines: list[str] = []

    @contextmanager
    def listening(self) -> Generator[None]:
        """Collect what is written inside."""
        sys.stderr.flush()
        terminal = os.dup(_STDERR)
        os.dup2(self._file.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(terminal, _STDERR)
            try:
                if os.fstat(self._file.fileno()).st_size:
                    self._sort_out(terminal)
            finally:
                os.close(terminal)

    def lines(self) -> list[str]:
        """Return SUMO's lines since the last call."""
        heard, self._lines = self._lines, []
        return heard

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _sort_out(self, terminal: int) -> None:
        self._file.seek(0)
        text = self._file.read().decode("utf-8", errors="replace")
        self._file.seek(0)
        self._file.truncate()
        others, ours = "", False
        for line in text.splitlines(keepends=True):
            if found := _SUMO.search(line):
                self._lines.append(found[0].strip())
                others += line[: found.start()]
                ours = True
            elif ours and line.startswith(" "):
                # SUMO continues its messages on indented lines.
                self._lines[-1] += f" {line.strip()}"
            else:
                ours = False
                others += line
        if others:
            os.write(terminal, others.encode())
