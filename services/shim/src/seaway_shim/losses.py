"""Lines of output that never came where they should have: counted, and said."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

log = logging.getLogger("seaway.shim")

_SAY_EVERY = 60.0
"""Seconds between two lines in the journal about the same loss that goes on."""


class Losses:
    """The lines that one log has lost. Any thread may add to them."""

    def __init__(self, container: str, file: Path | None = None) -> None:
        """`container` is what the log is of, for who reads the journal; `file` keeps the number for who asks often."""
        self.count = 0
        self._file = file
        self._before = 0
        self._kept = -1
        self._container = container
        self._said = 0
        self._said_at = float("-inf")
        self._lock = threading.Lock()

    def add(self, lines: int, why: str) -> None:
        """So many more; said at once, and then from time to time."""
        with self._lock:
            self.count += lines
            self._keep()
            if time.monotonic() - self._said_at < _SAY_EVERY:
                return
            self._said_at = time.monotonic()
            log.error("Lost %d lines of the output of %s: %s", self.count - self._said, self._container, why)
            self._said = self.count

    def _keep(self) -> None:
        """Put the number into the file, which goes on counting where another shim of the container has stopped."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            if self._kept < 0:
                self._kept = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._before = int(os.read(self._kept, 32) or 0)
            os.pwrite(self._kept, b"%20d" % (self._before + self.count), 0)

    def close(self) -> None:
        """Say the rest."""
        with self._lock:
            if self._kept >= 0:
                os.close(self._kept)
                self._kept = -1
                self._file = None
            if self.count > self._said:
                log.error("Lost %d lines more of the output of %s", self.count - self._said, self._container)
                self._said = self.count
