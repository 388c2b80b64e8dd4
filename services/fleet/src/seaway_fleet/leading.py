"""Leading the fleet: of its hubs' hosts one at a time, for as long as it holds the lease.

What it writes carries the lease's term. A leader that was frozen and wakes up doesn't hold the lease any more and
stops; what it had begun is refused by whoever has seen a greater term.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from seaway_bus import Bus
from seaway_protocol import memory
from seaway_protocol.errors import Error

log = logging.getLogger("seaway.fleet")

LEASE = "leader"
"""The one key of its bucket."""

PAUSE = 1.0
"""Seconds until what has failed is tried again."""

Duty = Callable[[int], AbstractAsyncContextManager[object]]
"""What a leader does in a term: begun when it is entered, over when it is left."""


async def lead(bus: Bus, duties: Sequence[Duty]) -> None:
    """Contend for the lease, and do the duties for as long as it is held; until cancelled."""
    async with bus.lease(memory.LEASES, LEASE, holder=bus.node) as lease:
        while True:
            term = await lease.acquired()
            log.info("Leading the fleet in term %d", term)
            try:
                async with AsyncExitStack() as stack:
                    for duty in duties:
                        await stack.enter_async_context(duty(term))
                    await lease.lost()
            except Error as error:
                log.warning("Can't lead in term %d: %s", term, error)
                await asyncio.sleep(PAUSE)
            log.info("Not leading the fleet any more")
