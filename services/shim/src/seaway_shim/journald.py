"""Entries in journald's native protocol (systemd's JOURNAL_NATIVE_PROTOCOL), with the fields that Docker gives them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from seaway_protocol.shim import Spawn
from seaway_service.journal import SOCKET, datagram

from seaway_shim.jsonlog import ENTRY

if TYPE_CHECKING:
    from seaway_shim.shipping import Entry

_PATIENCE = 3.0
"""Seconds that journald may take for one entry before it counts as not to be reached."""

_PRIORITIES = {"stdout": "6", "stderr": "3"}
_CHARACTER = 3
"""Bytes by which an entry may be shorter than ENTRY so that a character isn't torn."""


class Journald:
    """The host's journal. An `Endpoint`."""

    def __init__(self, spawn: Spawn, path: str = SOCKET) -> None:
        self._path = path
        self._fixed = datagram(fields(spawn))
        self._socket: socket.socket | None = None

    def __str__(self) -> str:
        return f"journald at {self._path}"

    def connect(self) -> None:
        """Open the socket. Raises OSError."""
        self.close()
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        found.settimeout(_PATIENCE)
        try:
            found.connect(self._path)
        except OSError:
            found.close()
            raise
        self._socket = found

    def send(self, entries: Sequence[Entry]) -> int:
        """One datagram for the first entry."""
        assert self._socket
        self._socket.send(self._fixed + datagram(_of_entry(entries[0])))
        return 1

    def close(self) -> None:
        """Close the socket."""
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def fields(spawn: Spawn) -> Mapping[str, str]:
    """What all entries of a container have in common."""
    tag = spawn.log_tag or spawn.id[:12]
    return {
        "CONTAINER_ID": spawn.id[:12],
        "CONTAINER_ID_FULL": spawn.id,
        "CONTAINER_NAME": spawn.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": spawn.image,
        "SYSLOG_IDENTIFIER": tag,
        **{field_name(key): value for key, value in spawn.log_attributes.items() if field_name(key)},
    }


def field_name(key: str) -> str:
    """A label's or variable's name as journald allows it: capitals, digits and _, which isn't the first."""
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in key).upper()
    return name.lstrip("_")


def _of_entry(entry: Entry) -> Iterable[tuple[str, str]]:
    yield "MESSAGE", entry.log.removesuffix("\n")
    yield "PRIORITY", _PRIORITIES.get(entry.stream, "6")
    yield "SYSLOG_TIMESTAMP", entry.time
    if not entry.log.endswith("\n") and len(entry.log.encode()) >= ENTRY - _CHARACTER:
        yield "CONTAINER_PARTIAL_MESSAGE", "true"
