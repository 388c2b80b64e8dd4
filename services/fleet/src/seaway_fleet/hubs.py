"""Running a hub: what all hubs agree on is followed, and the hub's server has it within a second.

The fleet's memory is made here, too, when the first hub has begun.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from seaway_bus import Bus
from seaway_protocol import memory
from seaway_protocol.enrolment import Hubs, Member
from seaway_protocol.errors import Conflict

from seaway_fleet.enrolment import HUBS
from seaway_fleet.place import Place, Standing
from seaway_fleet.servers import Servers

log = logging.getLogger("seaway.fleet")

LIST_AGAIN = 10.0
"""Seconds after which a change that wasn't heard is seen."""


class HubKeeper:
    """One host's hub, beside those of others."""

    def __init__(self, bus: Bus, servers: Servers, place: Place) -> None:
        self._bus = bus
        self._servers = servers
        self._place = place

    async def keep(self) -> None:
        """Make the fleet's memory where it isn't, and follow what hubs agree on; until cancelled."""
        await self.remember(self._place.read())
        async for entry in self._bus.bucket(memory.HUBS).watch(LIST_AGAIN):
            if entry.value is not None:
                await self._agree(entry.value)

    async def remember(self, standing: Standing) -> None:
        """The fleet's buckets and stores, and its first host in them. Raises Unavailable where the hub isn't there."""
        for bucket in memory.BUCKETS:
            await self._bus.bucket(bucket).ensure()
        for store in memory.STORES:
            await self._bus.store(store).ensure()
        try:
            await self._bus.bucket(memory.HUBS).create(HUBS, Hubs(hubs={standing.node: standing.address}))
        except Conflict:
            return
        founder = Member(
            node=standing.node,
            role=standing.role,
            key=standing.key,
            hub=True,
            address=standing.address,
            issued=standing.issued,
            expires=standing.expires,
            joined=time.time_ns(),
        )
        await self._bus.bucket(memory.NODES).put(standing.node, founder)

    async def _agree(self, hubs: Hubs) -> None:
        standing = self._place.read()
        others = peers(hubs.hubs, standing.node)
        await asyncio.to_thread(self._servers.run_hub, standing.address, others, hubs.revoked)


def peers(hubs: Mapping[str, str], node: str) -> tuple[str, ...]:
    """The addresses of the other hubs."""
    return tuple(address for name, address in sorted(hubs.items()) if name != node)
