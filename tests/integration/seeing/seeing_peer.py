"""A host whose fleet service tells what it has, with a small supervisor for it to ask."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from seaway_bus import Bus, Endpoints, Sender
from seaway_daemon.engine import Engine
from seaway_daemon.happenings import Happenings
from seaway_daemon.server import Server
from seaway_daemon.settings import DaemonSettings
from seaway_daemon.times import rfc3339
from seaway_fleet.seeing import Seeing
from seaway_fleet.tunnel import TunnelEndpoints
from seaway_protocol import EVERYONE, FLEET, SUPERVISOR, fleet, supervisor
from seaway_protocol.errors import NotFound, Unavailable, Unsupported
from seaway_protocol.fleet import Host, Membership, Roster, Seen
from seaway_protocol.kinds import Empty, Interface
from seaway_protocol.supervisor import ContainerHappened, container_started
from seaway_protocol.types import Container, ContainerSpec, ContainerState, Image, ProcessSpec

_SECOND = 1_000_000_000
_PAGE = 500


def container(name: str, *, number: int = 0, status: str = "running", **labels: str) -> Container:
    """A container with an id of its own."""
    return Container(
        id=hashlib.sha256(name.encode()).hexdigest(),
        name=name,
        spec=ContainerSpec(image="busybox:latest", process=ProcessSpec(args=("sleep", "60"))),
        image_id="sha256:" + "1" * 64,
        created_at=1_700_000_000 * _SECOND - number,
        state=ContainerState(status=status, started_at=1_700_000_001 * _SECOND),
        process=ProcessSpec(args=("sleep", "60")),
        labels=labels,
    )


class Peer:
    """One host."""

    def __init__(self, bus: Bus, place: Membership, **labels: str) -> None:
        self.bus = bus
        self.place = place
        self.labels = labels
        self.containers: list[Container] = []
        self.images: list[Image] = []
        self.hosts: tuple[Seen, ...] = ()
        self.refuses = False
        self.engine = Path("/nowhere")
        self.written: dict[str, list[tuple[int, int, str]]] = {}
        self._writing: list[asyncio.Task[None]] = []
        self._served: list[Any] = []

    async def begin(self) -> None:
        """Answer, as the host's supervisor and as its fleet service."""
        await self.bus.ensure_event_stream()
        await self.bus.serve(SUPERVISOR, self._endpoints(SUPERVISOR, self), version="0.1.0")
        await self.arrive()

    async def arrive(self) -> None:
        """Have the fleet service answer."""
        seeing = Seeing(self.bus, self.describe, self.labels, Path("/"))
        self._served = [
            await self.bus.serve(FLEET, self._endpoints(FLEET, seeing, self), version="0.1.0"),
            await self.bus.serve(EVERYONE, Seeing.everyone.bind(seeing), version="0.1.0"),
        ]

    async def fall_silent(self) -> None:
        """Have it answer no more."""
        for served in self._served:
            await served.stop()

    async def happened(self, name: str, *, id: str = "") -> None:
        """Something has happened here."""
        payload = ContainerHappened(name=name, image="busybox:latest", at=time.time_ns())
        await self.bus.publish(container_started, payload, id=id or name)

    def _endpoints(self, interface: Interface, *of: object) -> Endpoints:
        """Each call by the method of its name, of the first that has one; the rest are refused."""
        endpoints = Endpoints()
        call: Any
        for call in interface.calls:
            found = [getattr(each, call.name) for each in of if hasattr(each, call.name)]
            endpoints.on(call)(found[0] if found else self._refuse)
        return endpoints

    async def _refuse(self, request: Any) -> Empty:
        raise Unsupported(f"the peer doesn't do this: {request!r}")

    # -- the fleet service ----------------------------------------------------------------------------------------

    async def describe(self) -> Host:
        return Host(node=self.bus.node, labels=self.labels, running=len(self.containers))

    async def membership(self, _: Empty) -> Membership:
        return self.place

    async def roster(self, _: Empty) -> Roster:
        return Roster(hosts=self.hosts)

    async def dial(self, request: fleet.Dial) -> Empty:
        return await TunnelEndpoints(self.bus, self.engine).dial(request)

    # -- the supervisor -------------------------------------------------------------------------------------------

    async def list(self, request: supervisor.ListContainers) -> supervisor.Containers:
        if self.refuses:
            raise Unavailable("cannot list the containers: the disk is away")
        place = next((index for index, each in enumerate(self.containers, 1) if each.id == request.after), 0)
        page = self.containers[place : place + _PAGE]
        return supervisor.Containers(containers=tuple(page), more=place + _PAGE < len(self.containers))

    async def inspect(self, request: supervisor.Reference) -> Container:
        for each in self.containers:
            if request.container in (each.id, each.name):
                return each
        raise NotFound(f"No such container: {request.container}")

    async def logs(self, request: supervisor.Logs) -> supervisor.LogsOpened:
        found = await self.inspect(supervisor.Reference(container=request.container))
        output = await self.bus.sender(supervisor.logs_flow, request.flow)
        lines = [each for each in self.written.get(found.name, ()) if each[1] >= request.since]
        self._writing.append(asyncio.create_task(self._write(output, lines)))
        return supervisor.LogsOpened()

    async def _write(self, output: Sender, lines: Sequence[tuple[int, int, str]]) -> None:
        for channel, at, text in lines:
            await output.write(f"{rfc3339(at)} {text}\n".encode(), channel)
        await output.close()

    async def image_list(self, request: supervisor.ListImages) -> supervisor.Images:
        return supervisor.Images(images=tuple(self.images))

    async def disk_usage(self, _: Empty) -> supervisor.DiskUsage:
        return supervisor.DiskUsage(layers_size=1000, images=tuple(self.images), containers=tuple(self.containers))


def know(peers: dict[str, Peer], *lost: str, also: tuple[str, ...] = ()) -> None:
    """Let the first host's roster have all of them, and some who are `lost` or nowhere."""
    now = time.time_ns()
    labels = {node: peer.labels for node, peer in peers.items()} | {node: {} for node in also}
    peers["n1"].hosts = tuple(
        Seen(host=Host(node=node, labels=labels[node]), at=now, lost=node in lost) for node in labels
    )


@contextlib.asynccontextmanager
async def serving(bus: Bus, socket: Path) -> AsyncIterator[Path]:
    """A host's daemon."""
    happenings = Happenings(bus)
    server = Server(Engine(bus, happenings, DaemonSettings(node=bus.node, socket=str(socket), stop_seconds=1.0)))
    happenings.start()
    await server.start()
    await happenings.subscribed.wait()
    try:
        yield socket
    finally:
        await server.stop()
        await happenings.stop()
