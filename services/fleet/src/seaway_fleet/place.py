"""A host's place in the fleet, as it is kept on disk.

    <state>/fleet/
      standing.json     which fleet, as what, until when
      leaf.creds        the leaf's credential, for the bus to send to the hub
      authority.pem     the fleet's certificate authority
      host.pem host.key this host's certificate and its key
      release.pub       the public key that signs what the fleet is upgraded with
    <state>/fleet.new/  the same, before the host has joined: what is there when the service starts came to nothing

The directory comes and goes in one step, so that a host is in a fleet or isn't.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from seaway_service import durable

STANDING = "standing.json"
LEAF, AUTHORITY, CERTIFICATE, KEY, RELEASE = "leaf.creds", "authority.pem", "host.pem", "host.key", "release.pub"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Which fleet this host is in, and as what. `fleet` is "" where it is in none.

    `addresses` are where the hubs take hosts; `address` is where this host itself is reached; `key` is the public
    half of the leaf's user key. Times are nanoseconds since the epoch.
    """

    fleet: str = ""
    node: str = ""
    role: str = ""
    hub: bool = False
    addresses: tuple[str, ...] = ()
    address: str = ""
    key: str = ""
    issued: int = 0
    expires: int = 0


class Place:
    """The directory of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._fresh = directory.with_name(f"{directory.name}.new")
        self._writing = threading.Lock()

    def read(self) -> Standing:
        """As what this host stands; in no fleet where nothing is kept."""
        try:
            return msgspec.json.decode((self.directory / STANDING).read_bytes(), type=Standing)
        except FileNotFoundError:
            return Standing()

    def take(self, standing: Standing, files: Mapping[str, str]) -> None:
        """Come into a fleet. Raises OSError, and then nothing has changed."""
        self.tidy()
        try:
            self._fresh.mkdir(parents=True, mode=0o755)
            for name, content in files.items():
                durable.write(self._fresh / name, content, 0o600)
            durable.write(self._fresh / STANDING, msgspec.json.format(msgspec.json.encode(standing)))
            shutil.rmtree(self.directory, ignore_errors=True)
            self._fresh.rename(self.directory)
            durable.sync(self.directory.parent)
        except OSError:
            self.tidy()
            raise

    def update(self, files: Mapping[str, str], **changes: Any) -> None:
        """Stay in the fleet, with other files, and a standing with these changes. Each is replaced in one step."""
        with self._writing:
            for name, content in files.items():
                durable.write(self.directory / name, content, 0o600)
            changed = msgspec.structs.replace(self.read(), **changes)
            durable.write(self.directory / STANDING, msgspec.json.format(msgspec.json.encode(changed)))

    def give_up(self) -> None:
        """Be in no fleet any more."""
        with contextlib.suppress(FileNotFoundError):
            self.directory.rename(self._fresh)
        self.tidy()

    def tidy(self) -> None:
        """Remove what came to nothing."""
        shutil.rmtree(self._fresh, ignore_errors=True)
