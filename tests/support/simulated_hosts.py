"""Hosts of a fleet that are there on the bus alone: one process answers for a thousand, each with its containers.

`python -m support.simulated_hosts --url URL --credentials FILE --count 1000` stands for the fleet service of the host
`--node` too, whose roster has them all. Answers are made beforehand, so that what is measured is who asks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seaway_bus import Bus, Endpoints, connect
from seaway_bus.codec import decode, encode
from seaway_bus.wire import Msg
from seaway_fleet.brief import RUNNING, meant
from seaway_protocol import EVERYONE
from seaway_protocol.errors import Unsupported
from seaway_protocol.fleet import (
    FLEET,
    Ask,
    AskContainers,
    AskEvents,
    AskImages,
    ContainerBrief,
    Host,
    HostContainers,
    HostEvents,
    HostImages,
    HostReport,
    HostUsage,
    ImageBrief,
    Membership,
    Roster,
    Seen,
    Versions,
)
from seaway_protocol.kinds import Empty, Message
from seaway_protocol.types import PortBinding

_SECOND = 1_000_000_000
_SERVICES = ("daemon", "supervisor", "runtime", "network", "shim", "bus", "fleet")
_IMAGES = ("nginx:1.27", "redis:7", "postgres:16", "registry.example.com/shop/web:2026-11-20", "busybox:latest")
_SLICE = 64
"""Hosts that answer before the connection gets its turn."""


def host(node: str, number: int) -> Host:
    """A host as it says of itself."""
    return Host(
        node=node,
        address=f"10.{number >> 8}.{number & 255}.1",
        role="controller" if number < 3 else "member",
        hub=number < 3,
        labels={"region": ("eu", "us", "asia")[number % 3], "disk": "fast" if number % 2 else "slow"},
        versions=Versions(services=dict.fromkeys(_SERVICES, "0.1.0"), protocol="0123456789abcdef"),
        kernel="6.18.0",
        system="Debian GNU/Linux 12 (bookworm)",
        architecture="x86_64",
        cpus=8,
        memory=32 << 30,
        memory_available=20 << 30,
        load=1250,
        since=time.time_ns() - 86400 * _SECOND,
        running=18,
        stopped=2,
        images=len(_IMAGES),
    )


def containers(node: str, count: int) -> tuple[ContainerBrief, ...]:
    """A host's containers: nine of ten run, some publish ports, all have labels as compose gives them."""
    return tuple(_container(node, number) for number in range(count))


def _container(node: str, number: int) -> ContainerBrief:
    id = hashlib.sha256(f"{node} {number}".encode()).hexdigest()
    now, image = time.time_ns(), _IMAGES[number % len(_IMAGES)]
    running = number % 10 != 9
    return ContainerBrief(
        id=id,
        name=f"shop-{image.partition(':')[0].rpartition('/')[2]}-{number}",
        image=image,
        image_id=f"sha256:{hashlib.sha256(image.encode()).hexdigest()}",
        command="/docker-entrypoint.sh nginx -g 'daemon off;'",
        created_at=now - (number + 1) * 3600 * _SECOND,
        status="running" if running else "exited",
        started_at=now - (number + 1) * 3599 * _SECOND,
        finished_at=0 if running else now - 60 * _SECOND,
        health="healthy" if number % 3 == 0 else "",
        labels={
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": f"web{number}",
            "com.docker.compose.container-number": "1",
        },
        ports=(PortBinding(port=80, host_port=8000 + number),) if number % 4 == 0 else (),
        exposed=("80/tcp",),
        addresses={"shop_default": f"172.18.0.{number + 2}"},
    )


class SimulatedHosts:
    """`count` hosts h1 … and the fleet service of `bus`'s own node; those in `silent` answer nothing, `lost` are said
    to be.
    """

    endpoints = Endpoints()

    def __init__(
        self,
        bus: Bus,
        count: int,
        *,
        each: int = 20,
        silent: frozenset[str] = frozenset(),
        lost: frozenset[str] = frozenset(),
    ) -> None:
        self._bus = bus
        self.nodes = [f"h{number}" for number in range(1, count + 1)]
        self.hosts = {node: host(node, number) for number, node in enumerate(self.nodes)}
        self.containers = {node: containers(node, each) for node in self.nodes}
        self.silent = {*silent, *lost}
        self.lost = lost
        self._made: dict[str, list[tuple[str, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = {call.name: call for call in EVERYONE.calls}

    async def start(self) -> None:
        """Answer from now on."""
        connection = self._bus._connection
        connection.subscribe(f"{EVERYONE.subject}.*", self._asked)
        await self._bus.serve(FLEET, self._own(), version="0.1.0")

    # -- the fleet service of the asking host ---------------------------------------------------------------------

    def _own(self) -> Endpoints:
        endpoints = Endpoints()
        call: Any
        for call in FLEET.calls:
            handler = getattr(self, call.name, None)
            endpoints.on(call)(handler if handler else self._refuse)
        return endpoints

    async def _refuse(self, request: Any) -> Empty:
        raise Unsupported(f"simulated hosts don't do this: {request!r}")

    async def membership(self, _: Empty) -> Membership:
        return Membership(node=self._bus.node, fleet="test", role="controller", connected=True, leader="h1")

    async def roster(self, _: Empty) -> Roster:
        now = time.time_ns()
        return Roster(hosts=tuple(Seen(host=host, at=now, lost=node in self.lost) for node, host in self.hosts.items()))

    # -- all of them ----------------------------------------------------------------------------------------------

    def _asked(self, request: Msg) -> None:
        call = self._calls[request.subject.rpartition(".")[2]]
        ask = decode(request.data, call.request)
        task = asyncio.get_running_loop().create_task(self._answer(request.reply, call.name, ask))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, reply: str, name: str, ask: Any) -> None:
        below = reply.rpartition(".")[0]  # who answers puts its own name last
        for place, (node, payload) in enumerate(self._answers(name, ask)):
            self._bus._connection.publish(f"{below}.{node}", payload)
            if place % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)

    def _answers(self, name: str, ask: Any) -> list[tuple[str, bytes]]:
        """What each host says; to the same question it was made before."""
        key = f"{name} {ask!r}"
        if key not in self._made:
            self._made[key] = [
                (node, encode(self._one(name, ask, node))) for node in self.nodes if node not in self.silent
            ]
        return self._made[key]

    def _one(self, name: str, ask: Any, node: str) -> Message:
        if not meant(ask.on, node, self.hosts[node].labels):
            return HostReport(node=node, meant=False)
        match ask:
            case AskContainers():
                return HostContainers(node=node, containers=self._chosen(ask, node))
            case AskImages():
                return HostImages(node=node, images=_images(ask))
            case AskEvents():
                return HostEvents(node=node)
            case Ask() if name == "usage":
                return HostUsage(node=node, images=5, image_bytes=1 << 30, disk_bytes=100 << 30, disk_free=60 << 30)
        return HostReport(node=node, host=self.hosts[node])

    def _chosen(self, ask: AskContainers, node: str) -> tuple[ContainerBrief, ...]:
        found = [
            each
            for each in self.containers[node]
            if (each.status in ask.statuses if ask.statuses else ask.all or each.status in RUNNING)
            and (not ask.names or any(name in each.name for name in ask.names))
        ]
        return tuple(found[: ask.limit] if ask.limit else found)


def _images(ask: AskImages) -> tuple[ImageBrief, ...]:
    ids = [f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in _IMAGES]
    return tuple(
        ImageBrief(id=id, tags=(name,), created_at=1_700_000_000 * _SECOND, size=50 << 20, containers=4)
        for id, name in zip(ids, _IMAGES, strict=True)
        if not ask.names or any(part in name for part in ask.names)
    )


# -- as a process of their own --------------------------------------------------------------------------------------


@contextlib.contextmanager
def simulated(url: str, credentials: Path, count: int, *, node: str, silent: tuple[str, ...] = ()) -> Iterator[None]:
    """So many hosts, in a process of their own, for the time of a `with`."""
    command = [sys.executable, "-m", "support.simulated_hosts", "--url", url, "--credentials", str(credentials)]
    command += ["--count", str(count), "--node", node, *(word for each in silent for word in ("--silent", each))]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the simulated hosts didn't start")
        yield
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


async def _serve(arguments: argparse.Namespace) -> None:
    async with await connect(
        arguments.url, credentials=arguments.credentials, name="tester", node=arguments.node
    ) as bus:
        hosts = SimulatedHosts(bus, arguments.count, each=arguments.each, silent=arguments.silent)
        await hosts.start()
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Answer until terminated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--credentials", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--each", type=int, default=20)
    parser.add_argument("--node", default="h1")
    parser.add_argument("--silent", action="append", default=[])
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
