"""A fleet's buses on one machine: a hub or three, with real TLS and tokens, and hosts' own servers as its leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from seaway_bus import Bus, connect
from seaway_bus.certificates import new_request
from seaway_bus.credentials import Key, credentials
from seaway_bus.hub import Hub, HubKeys, HubSettings, install_certificate, write_hub
from seaway_bus.permissions import inbox
from seaway_bus.server import ServerSettings, write_configuration
from seaway_bus.server_process import reload_server
from seaway_protocol.errors import Error
from seaway_protocol.kinds import Bucket
from seaway_protocol.memory import BUCKETS

from support.bus import QUICK, NatsServer


def free_ports(count: int = 3) -> int:
    """The first of so many free ports in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for n in range(1, count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + n))
            except (OSError, OverflowError):
                continue
            return port


class HubServer:
    """A hub's server; `first` is the hub whose keys it has."""

    def __init__(self, directory: Path, node: str, first: HubServer | None = None) -> None:
        self.directory = directory
        self.node = node
        self.address = f"127.0.0.1:{free_ports()}"
        self.keys = HubKeys.install(directory, first.keys.export()) if first else HubKeys.make(directory, "test")
        key, request = new_request(node)
        certificate = self.keys.host_certificate(request, node, self.address, int(time.time()) + 3600)
        install_certificate(directory, certificate, key)
        self.revoked: dict[str, int] = {}
        self.peers: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    def write(self) -> Hub:
        settings = HubSettings(
            self.node, self.address, self.directory / "jetstream", peers=self.peers, revoked=self.revoked
        )
        return write_hub(self.directory, settings)

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def run(self) -> Hub:
        hub = self.write()
        with (self.directory / "server.log").open("ab") as output:
            self._process = subprocess.Popen([hub.server, "-c", hub.path], stdout=output, stderr=output)
        return hub

    async def start(self) -> None:
        hub = self.run()
        for port in range(hub.port, hub.port + 2):
            await self._listens(port)

    async def _listens(self, port: int) -> None:
        async with asyncio.timeout(30):
            while True:
                assert self._process and self._process.poll() is None, self.log
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    return
                await asyncio.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None


@dataclass
class Host:
    """A host's own server, and its place in the fleet."""

    node: str
    role: str
    server: NatsServer
    place: Path
    key: Key = field(default_factory=lambda: Key.generate("user"))

    def settings(self) -> ServerSettings:
        return ServerSettings(self.node, self.server.directory / "jetstream", port=0, fleet=self.place)

    def write(self) -> None:
        self.server.configuration = write_configuration(self.server.directory / "bus", self.settings())


class FleetBus:
    """Hubs, and hosts in the fleet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hubs = [HubServer(directory / "hub", "h1")]
        self.hosts: dict[str, Host] = {}
        self.buses: list[tuple[Bus, bool]] = []

    async def start(self, *hosts: str, **roles: str) -> None:
        """Start the hub, and hosts as controllers, or in the role that is given for them; the first is the hub's."""
        await self.hubs[0].start()
        for n, node in enumerate((*hosts, *roles)):
            await self.add(node, roles.get(node, "hub" if n == 0 else "controller"))

    async def add(self, node: str, role: str = "controller") -> Host:
        """A host with a server of its own, that is in the fleet when this returns."""
        directory = self.directory / node
        directory.mkdir()
        host = Host(node, role, NatsServer(directory, node, domain=""), directory / "fleet")
        self.let_in(host)
        host.write()
        host.server.start()
        self.hosts[node] = host
        await self.linked(host)
        return host

    def let_in(self, host: Host, expires: float = 3600.0, role: str = "") -> None:
        """What the leader does, and the host with what it gets."""
        keys, at = self.hubs[0].keys, int(time.time() + expires)
        role = role or host.role
        secret, request = new_request(host.node)
        token = keys.leaf(host.node, role, host.key.public, at, hub=role == "hub")
        host.place.mkdir(exist_ok=True)
        files = {
            "leaf.creds": credentials(token, host.key),
            "host.key": secret,
            "host.pem": keys.host_certificate(request, host.node, "127.0.0.1", int(time.time()) + 3600),
            "authority.pem": keys.certificate,
            "standing.json": json.dumps({"addresses": [hub.address for hub in self.hubs]}),
        }
        for name, content in files.items():
            (host.place / name).write_text(content)

    async def linked(self, host: Host, seconds: float = 30.0) -> None:
        """Wait until the hub hears the host, and the host the hub."""
        bus = await self.bus(host.node, "fleet", strict=False)
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(Exception):
                    await bus._requests.send("$JS.hub.API.STREAM.INFO.KV_SW_NODE", b"", None, 1.0, "=")
                    break
                await asyncio.sleep(0.02)
        self.buses = [(each, strict) for each, strict in self.buses if each is not bus]
        await bus.close()

    async def grow(self, node: str) -> HubServer:
        """One hub more, and every hub and host knows it."""
        hub = HubServer(self.directory / f"hub-{node}", node, self.hubs[0])
        self.hubs.append(hub)
        for each in self.hubs:
            each.peers = tuple(other.address for other in self.hubs if other is not each)
        for each in self.hubs[:-1]:
            assert each.write().reload()
        await hub.start()
        for host in self.hosts.values():
            standing = json.dumps({"addresses": [each.address for each in self.hubs]})
            (host.place / "standing.json").write_text(standing)
            host.write()
            assert reload_server(host.settings().store)
        return hub

    async def replicated(self, bus: Bus, bucket: Bucket[Any], replicas: int) -> None:
        """Wait until so many hubs keep a bucket, and all of it."""
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(Error):
                    await bus.bucket(bucket).ensure(replicas, 5.0)
                    break
                await asyncio.sleep(0.1)
            while True:
                with contextlib.suppress(Error, KeyError):
                    subject = f"$JS.hub.API.STREAM.INFO.KV_{bucket.name}"
                    told = json.loads((await bus._requests.send(subject, b"", None, 2.0, "=")).data)["cluster"]
                    others = told.get("replicas", ())
                    if len(others) == replicas - 1 and all(each["current"] for each in others):
                        return
                await asyncio.sleep(0.1)

    async def ensure(self, *buckets: Bucket[Any], replicas: int = 0) -> None:
        """Have the fleet remember."""
        bus = await self.bus(next(iter(self.hosts)), "fleet")
        for bucket in buckets or BUCKETS:
            await bus.bucket(bucket).ensure(replicas, 30.0)

    async def bus(self, node: str, principal: str = "tester", *, strict: bool = True, **options: Any) -> Bus:
        """A principal's place on its host's own bus. `strict` fails the test where something is refused."""
        server = self.hosts[node].server if node in self.hosts else options.pop("server")
        bus = await connect(
            server.url,
            credentials=server.credentials(principal),
            name=principal,
            node=node,
            inbox=inbox(principal.removeprefix("shim-")),
            patience=options.pop("patience", QUICK),
            **options,
        )
        self.buses.append((bus, strict))
        return bus

    def tls(self, authority: str = "") -> ssl.SSLContext:
        """What a joiner trusts."""
        context = ssl.create_default_context(cadata=authority or self.hubs[0].keys.certificate)
        return context

    async def end(self) -> list[str]:
        """End everything; what was refused to those who do nothing forbidden."""
        for bus, _ in self.buses:
            bus._served.clear()
            with contextlib.suppress(Exception):
                await bus._connection.close()
        for host in self.hosts.values():
            host.server.kill()
        for hub in self.hubs:
            hub.stop()
        return [violation for bus, strict in self.buses if strict for violation in bus.violations]


FleetFor = Callable[..., Coroutine[Any, Any, FleetBus]]


@pytest.fixture
async def fleet_bus(tmp_path: Path) -> AsyncIterator[FleetBus]:
    """A fleet's buses, for this test alone; `await fleet_bus.start("h1", "h2", h3="member")`."""
    fleet = FleetBus(tmp_path)
    yield fleet
    refused = await fleet.end()
    assert not refused, f"the bus refused: {refused}"
