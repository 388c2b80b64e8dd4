"""What a host does for as long as it is in a fleet: tell of itself, renew its credential, contend to lead."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger("seaway.fleet")

PAUSE = 1.0
"""Seconds until something is begun again that has failed."""

Work = Callable[[], Awaitable[None]]
"""Goes on until it is cancelled."""


class Life:
    """Works that are kept going, by name, from `begin` to `end`."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, works: dict[str, Work]) -> None:
        """Keep these going, in the place of all others."""
        self._tasks = {
            name: asyncio.get_running_loop().create_task(
                # Not in the context of the call that had it begun: its deadline is none of theirs.
                _keep(name, work),
                name=f"fleet {name}",
                context=contextvars.Context(),
            )
            for name, work in works.items()
        }

    async def end(self) -> None:
        """Stop them, each in its own order."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        for task in tasks.values():
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _keep(name: str, work: Work) -> None:
    """Nothing that one of them meets ends the service: what is left undone is done a second later."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("Unexpected failure in the fleet service's %s", name)
        await asyncio.sleep(PAUSE)
