"""Running a hub: what all hubs agree on is followed, and the hub's server has it within a second.

The fleet's memory is made here, too, when the first hub has begun.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping

import msgspec
from seaway_bus import Bus
from seaway_protocol import memory
from seaway_protocol.enrolment import Hubs, Member
from seaway_protocol.errors import Conflict, Error

from seaway_fleet.enrolment import HUBS
from seaway_fleet.place import Place, Standing
from seaway_fleet.servers import Servers

log = logging.getLogger("seaway.fleet")

LIST_AGAIN = 10.0
"""Seconds after which a change that wasn't heard is seen."""


REPLICAS = 3
"""Hubs that keep the fleet's memory, where there are so many."""

LOOK = 20.0
"""Seconds after which a host looks where the hubs are now."""


class HubKeeper:
    """One host's hub, beside those of others."""

    def __init__(self, bus: Bus, servers: Servers, place: Place) -> None:
        self._bus = bus
        self._servers = servers
        self._place = place

    async def keep(self) -> None:
        """Make the fleet's memory where it isn't, and follow what hubs agree on; until cancelled."""
        await self.remember(self._place.read())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_hubs())
            group.create_task(self._follow_key())

    async def _follow_hubs(self) -> None:
        agreed = None
        async for entry in self._bus.bucket(memory.HUBS).watch(LIST_AGAIN):
            while entry.value is not None and entry.value != agreed:
                try:
                    await self._agree(entry.value)
                    agreed = entry.value
                except Error as error:
                    log.info("The hubs don't agree yet: %s", error)
                    await asyncio.sleep(1.0)

    async def _follow_key(self) -> None:
        told = ""
        while True:
            standing = self._place.read()
            if standing.key != told:
                with contextlib.suppress(Error):
                    await self.tell_key(standing)
                    told = standing.key
            await asyncio.sleep(LIST_AGAIN / 10)

    async def remember(self, standing: Standing) -> None:
        """The fleet's buckets and stores, and its first host in them. Raises Unavailable where the hub isn't there."""
        for bucket in memory.BUCKETS:
            await self._bus.bucket(bucket).ensure()
        for store in memory.STORES:
            await self._bus.store(store).ensure()
        with contextlib.suppress(Conflict):
            await self._bus.bucket(memory.HUBS).create(HUBS, Hubs(hubs={standing.node: standing.address}))
        await self.tell_key(standing)

    async def tell_key(self, standing: Standing) -> None:
        """Have the fleet know the key that this hub has given to itself, so that it can be revoked."""
        members = self._bus.bucket(memory.NODES)
        entry = await members.get(standing.node)
        known = entry.value if entry and entry.value else Member(node=standing.node, role=standing.role, key="")
        if known.key == standing.key or known.evicted:
            return
        told = msgspec.structs.replace(
            known,
            key=standing.key,
            former=(*known.former[-3:], *([known.key] if known.key else [])),
            hub=True,
            address=standing.address,
            issued=standing.issued,
            expires=standing.expires,
            joined=known.joined or time.time_ns(),
        )
        with contextlib.suppress(Conflict):  # the leader has written meanwhile; there is another look
            await members.update(standing.node, told, entry.revision if entry else 0)

    async def _agree(self, hubs: Hubs) -> None:
        standing = self._place.read()
        others = peers(hubs.hubs, standing.node)
        await asyncio.to_thread(self._servers.run_hub, standing.address, others, hubs.revoked)
        await self._servers.remove_other_hubs(standing.address, hubs.hubs)
        if len(hubs.hubs) >= REPLICAS:
            await self._replicate()

    async def _replicate(self) -> None:
        """Have as many hubs keep all of it as a fleet has that outlives one of them."""
        for bucket in memory.BUCKETS:
            await self._bus.bucket(bucket).ensure(REPLICAS)
        for store in memory.STORES:
            await self._bus.store(store).ensure(REPLICAS)


async def follow_addresses(bus: Bus, servers: Servers, place: Place) -> None:
    """Keep this host's way to the hubs true while hubs come and go; until cancelled."""
    while True:
        with contextlib.suppress(Error):
            entry = await bus.bucket(memory.HUBS).get(HUBS)
            addresses = tuple(entry.value.hubs.values()) if entry and entry.value else ()
            if addresses and set(addresses) != set(place.read().addresses):
                place.update({}, addresses=addresses)
                await asyncio.to_thread(servers.follow_place)
        await asyncio.sleep(LOOK * random.uniform(0.8, 1.2))  # noqa: S311 - to spread, not to hide


def peers(hubs: Mapping[str, str], node: str) -> tuple[str, ...]:
    """The addresses of the other hubs."""
    return tuple(address for name, address in sorted(hubs.items()) if name != node)
