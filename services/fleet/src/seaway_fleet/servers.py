"""The two servers of a host that is in a fleet: its own bus, which goes to the hub as a leaf, and the hub.

Both are other programs', under systemd or `seaway up`. What is done here is to write what they read, and to have them
read it; a hub's server runs for as long as its configuration is there.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from seaway_bus.group import remove_hubs
from seaway_bus.hub import HubKeys, HubSettings, install_certificate, write_hub
from seaway_bus.server import reconfigure
from seaway_bus.server_process import PID_FILE, end_server, reload_server

JETSTREAM = "jetstream"


class Servers:
    """Where they are; `bus` and `hub` are the directories of their configurations."""

    def __init__(self, bus: Path, hub: Path, node: str) -> None:
        self._bus = bus
        self._hub = hub
        self._node = node

    def follow_place(self) -> None:
        """Have the bus go to the hub, or not, as this host's place in the fleet says. Its clients don't notice."""
        if reconfigure(self._bus):
            reload_server(self._bus / JETSTREAM)

    @property
    def keys(self) -> HubKeys:
        """The hub's keys. Raises NotFound where this host has none."""
        return HubKeys(self._hub)

    def found(self, fleet: str) -> HubKeys:
        """Make the keys of a new fleet. Raises Conflict where there are some."""
        return HubKeys.make(self._hub, fleet)

    def take_over(self, exported: bytes) -> HubKeys:
        """Keep the keys that another hub has sent. Raises Conflict, InvalidArgument."""
        return HubKeys.install(self._hub, exported)

    def certify_hub(self, certificate: str, key: str) -> None:
        """What the hub shows to those who come to it."""
        install_certificate(self._hub, certificate, key, self._owner())

    def run_hub(self, address: str, peers: tuple[str, ...] = (), revoked: Mapping[str, int] | None = None) -> None:
        """Have the hub run like this: at `address`, beside its peers, and take nobody in whose key is revoked."""
        settings = HubSettings(
            node=self._node,
            address=address,
            store=self._hub / JETSTREAM,
            peers=peers,
            revoked=revoked or {},
            owner=self._owner(),
        )
        written = write_hub(self._hub, settings)
        if written.changed:
            written.reload()

    async def remove_other_hubs(self, address: str, stay: Collection[str]) -> None:
        """Wait no more for hubs on other nodes than those that stay; ours is at `address`. Raises Unavailable."""
        await remove_hubs(self._hub, address, stay)

    def reload_hub(self) -> None:
        """Have it show its present certificate from now on."""
        reload_server(self._hub / JETSTREAM)

    def set_hub_aside(self) -> None:
        """Have no hub run that belongs to no place in a fleet; should it be wanted all the same, it is `hub.old`."""
        if self._hub.exists():
            aside = self._hub.with_name(f"{self._hub.name}.old")
            shutil.rmtree(aside, ignore_errors=True)
            self._hub.rename(aside)
            _end(aside / JETSTREAM)

    def end_hub(self) -> None:
        """Have no hub here any more, and forget what it remembers."""
        with contextlib.suppress(FileNotFoundError):
            (self._hub / "nats-server.conf").unlink()
        _end(self._hub / JETSTREAM)
        shutil.rmtree(self._hub, ignore_errors=True)

    def _owner(self) -> int:
        """Whom both servers run as."""
        return (self._bus / JETSTREAM).stat().st_uid


def _end(store: Path, seconds: float = 10.0) -> None:
    """End the server with this store, and wait until it has: it writes until its end."""
    try:
        process = os.pidfd_open(int((store / PID_FILE).read_text()))
    except (OSError, ValueError):
        return
    try:
        if end_server(store):
            select.select([process], [], [], seconds)
    finally:
        os.close(process)
