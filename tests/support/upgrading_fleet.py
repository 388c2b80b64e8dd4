"""Hosts that are upgraded, on one bus: each with the real host's part, versions as links, workers as processes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from seaway_bus import Bus, connect
from seaway_bus.credentials import Key
from seaway_fleet.upgrade.host import HostUpgrades
from seaway_fleet.upgrade.leading import Upgrades
from seaway_fleet.upgrade.service import published
from seaway_fleet.upgrade.waves import Known
from seaway_fleet.upgrade.worker import current
from seaway_protocol import memory, releases, upgrades
from seaway_protocol.releases import Manifest, Package, SignedManifest
from seaway_protocol.upgrades import HOST_UPGRADES, UPGRADES, NewUpgrade, Plan, Policy, Wave

from support import seaway_program
from support.bus import QUICK, NatsServer

SERVICES = ("daemon", "fleet", "supervisor")
OLD, NEW = "0.1.0", "0.1.1"


class Programs:
    """Starts workers as processes of the test, which outlive the host's part and not the host."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.started: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, name: str, argv: Sequence[str]) -> None:
        argv = [sys.executable, *argv[1:]]
        self.started[name] = subprocess.Popen(argv, start_new_session=True, cwd=self._directory)  # noqa: ASYNC220

    async def running(self, name: str) -> bool:
        return name in self.started and self.started[name].poll() is None

    def kill(self) -> None:
        """As when the machine loses its power: nobody says anything any more."""
        for process in self.started.values():
            if process.poll() is None:
                for child in children(process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                process.kill()
                process.wait()


def children(pid: int) -> list[int]:
    return [int(each) for task in Path(f"/proc/{pid}/task").glob("*/children") for each in task.read_text().split()]


class HostUnderUpgrade:
    """One host. `processes` are its containers' first processes."""

    def __init__(self, node: str, directory: Path, server: NatsServer, trusted: str) -> None:
        self.node = node
        self.directory = directory
        self.opt = directory / "opt"
        self.processes = {f"{node}-c{number}": 100 + number for number in range(3)}
        self.programs = Programs(directory)
        self._server = server
        self._bus: Bus | None = None
        self._part: HostUpgrades | None = None
        (directory / "fleet").mkdir(parents=True)
        (directory / "fleet" / "release.pub").write_text(trusted)
        for service in SERVICES:
            seaway_program.flip(self.opt, service, OLD)

    async def start(self) -> None:
        """Its fleet service begins."""
        self._bus = await bus_of(self._server, self.node)
        program = (sys.executable, seaway_program.__file__, str(self.opt))
        self._part = HostUpgrades(
            self.directory / "fleet",
            published(self._bus, self.directory / "fleet"),
            self.programs,
            self._running,
            program=program,
            opt=self.opt,
        )
        await self._bus.serve(HOST_UPGRADES, HostUpgrades.endpoints.bind(self._part), version="1")

    async def _running(self) -> dict[str, int]:
        return self.processes

    async def stop(self) -> None:
        """Its fleet service ends; workers go on."""
        if self._part and self._bus:
            await self._part.close()
            await self._bus.close()
        self._part = self._bus = None

    async def crash(self) -> None:
        """The whole host ends: first who would begin its worker again."""
        await self.stop()
        self.programs.kill()

    @property
    def part(self) -> HostUpgrades:
        assert self._part
        return self._part

    def versions(self) -> dict[str, str]:
        return current(self.opt, SERVICES)

    def log(self) -> list[str]:
        file = self.opt / "log"
        return file.read_text().splitlines() if file.exists() else []

    def go(self) -> None:
        """Let slow services get ready."""
        (self.opt / "go").touch()


class UpgradingFleet:
    """Hosts h1… and what is published to them."""

    def __init__(self, server: NatsServer, directory: Path, bus: Bus, hosts: int) -> None:
        self.server = server
        self.bus = bus
        self.key = Key.generate("user")
        self.hosts = {
            name: HostUnderUpgrade(name, directory / name, server, self.key.public)
            for name in (f"h{number}" for number in range(1, hosts + 1))
        }
        self.lost: set[str] = set()
        self._terms = 0
        self._published = 0

    async def known(self) -> list[Known]:
        return [Known(name, lost=name in self.lost) for name in self.hosts]

    async def publish(self, what: str = "works", services: dict[str, str] | None = None, **changes: object) -> str:
        """A release of all services, each of which does as `what` says, but for those in `services`; its id."""
        store = self.bus.store(memory.PACKAGES)
        packages = []
        self._published += 1
        version = str(changes.pop("version", NEW))
        for service in SERVICES:
            content = f"{(services or {}).get(service, what)} {service} {version} {self._published}".encode()
            digest = hashlib.sha256(content).hexdigest()
            await store.put(releases.package_object(digest), [content])
            name = f"seaway-{service}_{version}_amd64.deb"
            packages.append(Package(service=service, version=version, name=name, size=len(content), digest=digest))
        serial = int(str(changes.pop("serial", time.time_ns())))
        manifest = Manifest(id=f"r{self._published}", serial=serial, packages=tuple(packages))
        await store.put(releases.release_object(manifest.id), [self.signed(manifest).text()])
        return manifest.id

    def signed(self, manifest: Manifest, key: Key | None = None) -> SignedManifest:
        signer, body = key or self.key, releases.body(manifest)
        return SignedManifest(signer.public, signer.sign(releases.CONTEXT + body), body)

    @asynccontextmanager
    async def leader(self, name: str = "leader", term: int = 0) -> AsyncIterator[Upgrades]:
        """Somebody leads, in a later term than all before unless given; killed at the end, as far as others see."""
        self._terms = term or self._terms + 1
        bus = await bus_of(self.server, name)
        directory = next(iter(self.hosts.values())).directory / "fleet"
        part = Upgrades(bus, bus.bucket(memory.PLANS), published(bus, directory), self.known, self._terms, turn=0.05)
        await bus.serve(UPGRADES, Upgrades.endpoints.bind(part), version="1")
        moving = asyncio.create_task(part.run())
        try:
            yield part
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            await bus.close()

    async def begin(self, release: str, *waves: Wave, **policy: object) -> str:
        asked = NewUpgrade(
            release=release,
            waves=waves or (Wave(hosts=1), Wave(hosts=2)),
            policy=Policy(**policy),  # type: ignore[arg-type]
            by="anna",
        )
        return (await self.bus.call(upgrades.upgrade_create, asked, patience=5)).id

    async def plan(self, id: str) -> Plan:
        """As the fleet remembers it, whoever leads."""
        entry = await self.bus.bucket(memory.PLANS).get(id)
        assert entry and entry.value
        return entry.value

    async def until(self, id: str, *states: str, seconds: float = 60) -> Plan:
        """The plan, once it is in one of these states."""
        async with asyncio.timeout(seconds):
            while (plan := await self.plan(id)).state not in states:
                await asyncio.sleep(0.05)
        return plan

    async def until_host(self, id: str, node: str, *states: str, seconds: float = 60) -> Plan:
        async with asyncio.timeout(seconds):
            while True:
                plan = await self.plan(id)
                if next(host for host in plan.hosts if host.node == node).state in states:
                    return plan
                await asyncio.sleep(0.05)

    def versions(self) -> dict[str, set[str]]:
        return {name: set(host.versions().values()) for name, host in self.hosts.items()}


async def bus_of(server: NatsServer, node: str) -> Bus:
    credentials = server.credentials("tester")
    return await connect(
        server.url, credentials=credentials, name="tester", node=node, inbox="_INBOX_tester", patience=QUICK
    )


@asynccontextmanager
async def upgrading_fleet(server: NatsServer, directory: Path, hosts: int = 3) -> AsyncIterator[UpgradingFleet]:
    """So many hosts, running; nobody leads."""
    bus = await bus_of(server, "asker")
    await bus.bucket(memory.PLANS).ensure()
    await bus.store(dataclasses.replace(memory.PACKAGES, max_bytes=64 * 1024 * 1024)).ensure()
    fleet = UpgradingFleet(server, directory, bus, hosts)
    for host in fleet.hosts.values():
        await host.start()
    try:
        yield fleet
    finally:
        for host in fleet.hosts.values():
            await host.crash()
        await bus.close()
