"""Where a host's fleet service takes up its parts of upgrades: its own, and the leader's for as long as it leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from seaway_bus import Bus
from seaway_protocol import memory
from seaway_protocol.fleet import Roster
from seaway_protocol.upgrades import HOST_UPGRADES, UPGRADES

from seaway_fleet import listing
from seaway_fleet.upgrade.course import Fenced
from seaway_fleet.upgrade.host import HostUpgrades
from seaway_fleet.upgrade.launching import Launcher, TransientUnits
from seaway_fleet.upgrade.leading import Upgrades, log
from seaway_fleet.upgrade.release import Releases
from seaway_fleet.upgrade.waves import Known


@asynccontextmanager
async def on_host(
    bus: Bus, directory: Path, opt: Path, version: str, launcher: Launcher | None = None
) -> AsyncIterator[None]:
    """Answer the leader, for the time of an `async with`. `directory` is what this host keeps of its fleet."""
    part = HostUpgrades(directory, published(bus, directory), launcher or TransientUnits(), processes_of(bus), opt=opt)
    await bus.serve(HOST_UPGRADES, HostUpgrades.endpoints.bind(part), version=version)
    settling = asyncio.create_task(part.settle(), name="settle upgrades")
    try:
        yield
    finally:
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
        await part.close()


def leading(
    bus: Bus, directory: Path, roster: Callable[[], Awaitable[Roster]], version: str
) -> Callable[[int], AbstractAsyncContextManager[None]]:
    """The duty of a leader, for each of its terms."""

    async def hosts() -> list[Known]:
        return [Known(each.host.node, each.host.labels, each.host.hub, each.lost) for each in (await roster()).hosts]

    @asynccontextmanager
    async def duty(term: int) -> AsyncIterator[None]:
        part = Upgrades(bus, bus.bucket(memory.PLANS), published(bus, directory), hosts, term)
        served = await bus.serve(UPGRADES, Upgrades.endpoints.bind(part), version=version)
        moving = asyncio.create_task(_move(part), name=f"upgrades of term {term}")
        try:
            yield
        finally:
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            await served.stop()

    return duty


async def _move(part: Upgrades) -> None:
    try:
        await part.run()
    except Fenced as error:
        log.warning("Moving no upgrade any more: %s", error)


def published(bus: Bus, directory: Path) -> Releases:
    """What was published to the fleet, as this host trusts it."""
    return Releases(directory, lambda name: bus.store(memory.PACKAGES).get(name))


def processes_of(bus: Bus) -> Callable[[], Awaitable[Mapping[str, int]]]:
    """The first process of each container that runs, as the supervisor has them."""

    async def processes() -> dict[str, int]:
        return {each.id: each.state.pid for each in await listing.containers(bus, patience=15.0) if each.state.pid}

    return processes
