"""What a host tells of itself: its machine, its services' versions, how many containers and images it has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import msgspec
from seaway_bus import Bus, census
from seaway_protocol import supervisor
from seaway_protocol.errors import Error
from seaway_protocol.fleet import Host, Versions
from seaway_protocol.kinds import Empty

from seaway_fleet import __version__
from seaway_fleet.place import Place
from seaway_fleet.settings import FleetSettings

VERSIONS_AGE = 30.0
"""Seconds for which versions are told again: asking for them asks every shim, too."""

_SERVICES = {
    "seaway-network": "network",
    "seaway-runtime": "runtime",
    "seaway-supervisor": "supervisor",
    "seaway-nursery": "shim",
    "seaway-fleet": "fleet",
}
"""Who answers on the bus, and what its package is called. A container's own shim may be of any age, and isn't asked."""


class Facts:
    """This host, now. `place` is its place in the fleet as it is kept on disk."""

    def __init__(self, bus: Bus, settings: FleetSettings, place: Place) -> None:
        self._bus = bus
        self._settings = settings
        self._place = place
        self._versions = Versions()
        self._versions_until = 0.0
        self._asking: asyncio.Task[None] | None = None
        self._since = time.time_ns()

    async def __call__(self) -> Host:
        """All of it. What the supervisor can't tell just now is 0."""
        counted = await self._counted()
        membership = self._place.read()
        total, available = memory(Path("/proc/meminfo").read_text())
        return Host(
            node=self._bus.node,
            address=membership.address,
            role=membership.role,
            hub=membership.hub,
            labels=self._settings.labels,
            versions=await self._known_versions(),
            kernel=os.uname().release,
            system=counted.operating_system if counted else "",
            architecture=os.uname().machine,
            cpus=os.cpu_count() or 0,
            memory=total,
            memory_available=available,
            load=load(Path("/proc/loadavg").read_text()),
            since=self._since,
            running=counted.running if counted else 0,
            paused=counted.paused if counted else 0,
            stopped=counted.stopped if counted else 0,
            images=counted.images if counted else 0,
        )

    async def _counted(self) -> supervisor.Info | None:
        try:
            return await self._bus.call(supervisor.info, Empty(), seconds=5)
        except Error:
            return None

    async def _known_versions(self) -> Versions:
        """The versions known; they are asked for again meanwhile: whoever lists the hosts doesn't wait for it."""
        if self._asking is None and time.monotonic() > self._versions_until:
            self._asking = asyncio.create_task(self._renew_versions(), name="versions")
        if self._asking and not self._versions.services:
            await asyncio.shield(self._asking)
        # The daemon and the command line don't answer on the bus: what is installed of them may have changed just now.
        now = await asyncio.to_thread(installed, Path(self._settings.opt_dir))
        return msgspec.structs.replace(self._versions, services={**now, **self._versions.services})

    async def _renew_versions(self) -> None:
        try:
            self._versions = await self._ask_versions()
        finally:
            self._versions_until = time.monotonic() + VERSIONS_AGE
            self._asking = None

    async def _ask_versions(self) -> Versions:
        """What answers on the bus."""
        services: dict[str, str] = {}
        protocol = ""
        with contextlib.suppress(Error, OSError):
            for each in await census.census(self._settings.bus_url, self._settings.observer_credentials()):
                if name := _SERVICES.get(each.name):
                    services[name] = each.version
                if name == "fleet":
                    protocol = each.protocol
        return Versions(services={**services, "fleet": __version__}, protocol=protocol)


def memory(meminfo: str) -> tuple[int, int]:
    """Bytes in all and available, of /proc/meminfo (proc(5))."""
    lines = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    total, available = (int(lines.get(name, "0").split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, available


def load(loadavg: str) -> int:
    """The one-minute load average times 1000, of /proc/loadavg."""
    return round(float(loadavg.split()[0]) * 1000)


def installed(opt: Path) -> dict[str, str]:
    """The current version of each service below `/opt/seaway`."""
    return {link.parent.name: link.readlink().name for link in sorted(opt.glob("*/current")) if link.is_symlink()}
