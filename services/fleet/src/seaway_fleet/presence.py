"""Being seen: this host's record in the fleet's memory, kept anew every few seconds.

The record is the heartbeat: who hears nothing of a host has nothing newer of it than its last record. A host waits a
random part of the time, so that a thousand of them don't write at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from seaway_bus import Bus
from seaway_protocol import memory
from seaway_protocol.errors import Error
from seaway_protocol.fleet import Host

log = logging.getLogger("seaway.fleet")

EVERY = 10.0
"""Seconds between two records."""

SOON = 2.0
"""Seconds until the next try while the fleet can't be reached."""


class Presence:
    """Keeps the record until it is cancelled."""

    def __init__(self, bus: Bus, describe: Callable[[], Awaitable[Host]]) -> None:
        self._bus = bus
        self._describe = describe
        self._heard = True

    async def keep(self) -> None:
        """Write the record, again and again."""
        while True:
            pause = EVERY if await self.tell() else SOON
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))  # noqa: S311 - to spread, not to hide

    async def tell(self) -> bool:
        """Write it once; whether the fleet has it."""
        try:
            await self._bus.bucket(memory.HOSTS).put(self._bus.node, await self._describe())
        except Error as error:
            if self._heard:
                log.warning("The fleet can't be reached, and this host works on alone: %s", error)
            self._heard = False
            return False
        if not self._heard:
            log.info("The fleet can be reached again")
        self._heard = True
        return True
