"""Hosts of a fleet on one bus, and the daemon of the first of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import seaway_bus
from seaway_bus import Bus
from seaway_bus.permissions import inbox
from seaway_protocol.fleet import Membership
from seeing_peer import Peer, know, serving
from support.bus import QUICK, BusFor, NatsServer

LABELS = {"n1": {"region": "eu"}, "h2": {"region": "eu", "disk": "fast"}, "h3": {"region": "us"}}
"""The hosts, by name, and their labels; the first one's daemon is asked."""


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A server with room for the streams of all hosts."""
    server = NatsServer(tmp_path, max_store=4 << 30)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def hosts(nats_server: NatsServer) -> AsyncIterator[dict[str, Peer]]:
    """Three hosts that know one another."""
    buses: list[Bus] = []
    peers: dict[str, Peer] = {}
    for node, labels in LABELS.items():
        credentials = nats_server.credentials("tester")
        bus = await seaway_bus.connect(
            nats_server.url, credentials=credentials, name="tester", node=node, inbox=inbox("tester"), patience=QUICK
        )
        buses.append(bus)
        place = Membership(node=node, fleet="test", role="controller", connected=True)
        peers[node] = Peer(bus, place, **labels)
        await peers[node].begin()
    know(peers)
    yield peers
    for bus in buses:
        await bus.close()


@pytest.fixture
async def daemon(bus_for: BusFor, hosts: dict[str, Peer], tmp_path: Path) -> AsyncIterator[Path]:
    """The daemon of the first host; the path of its socket."""
    async with serving(await bus_for("daemon"), tmp_path / "engine.sock") as socket:
        hosts["n1"].engine = socket
        yield socket


@pytest.fixture
async def daemons(daemon: Path, hosts: dict[str, Peer], tmp_path: Path) -> AsyncIterator[Path]:
    """The first host's daemon, with those of the others there, too."""
    async with contextlib.AsyncExitStack() as stack:
        for node, peer in hosts.items():
            if node != "n1":
                peer.engine = await stack.enter_async_context(serving(peer.bus, tmp_path / f"{node}.sock"))
        yield daemon
