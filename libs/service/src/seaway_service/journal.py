"""Entries for systemd's journal in its native protocol: one datagram of named fields each.

Source: systemd's JOURNAL_NATIVE_PROTOCOL, systemd.journal-fields(7), and $JOURNAL_STREAM in systemd.exec(5).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Mapping

SOCKET = "/run/systemd/journal/socket"

_PATIENCE = 0.2
"""Seconds that journald may take for one entry: who logs mustn't stand still for long because it does."""


def connected(descriptor: int = 2) -> bool:
    """Whether this process' standard error is the journal, as $JOURNAL_STREAM says: device and inode."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM", "") == f"{status.st_dev}:{status.st_ino}"


def datagram(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """Fields in the native protocol: a value with a line end has its length before it."""
    written = bytearray()
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        content = value.encode(errors="replace")
        if b"\n" in content:
            written += b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(content)), content)
        else:
            written += b"%b=%b\n" % (name.encode(), content)
    return bytes(written)


class Journal:
    """The way to journald, opened by the first entry. `lost` is how many entries it hasn't taken."""

    def __init__(self, path: str = SOCKET) -> None:
        self.path = path
        self.lost = 0
        self._socket: socket.socket | None = None

    def send(self, fields: Mapping[str, str]) -> bool:
        """Whether an entry was taken. One that isn't, because journald stands still, is gone.

        Raises OSError where there is no journald.
        """
        entry = datagram(fields)
        try:
            self._say(entry)
        except TimeoutError:
            self.lost += 1
            return False
        return True

    def _say(self, entry: bytes) -> None:
        try:
            self._opened().send(entry)
        except TimeoutError:
            raise
        except OSError:  # once more with a new socket, should journald have been replaced
            self.close()
            self._opened().send(entry)

    def close(self) -> None:
        """Close the socket; the next entry opens another."""
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            made.settimeout(_PATIENCE)
            try:
                made.connect(self.path)
            except OSError:
                made.close()
                raise
            self._socket = made
        return self._socket
