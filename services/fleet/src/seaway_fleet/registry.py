"""Who is in the fleet, followed in its memory for as long as somebody wants to know.

A thousand hosts write a hundred records a second: a host that nobody asks doesn't listen to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time

from seaway_bus import Bus
from seaway_bus.watching import Watch
from seaway_protocol import memory
from seaway_protocol.enrolment import Member
from seaway_protocol.errors import Unavailable
from seaway_protocol.fleet import Host, Roster

from seaway_fleet.roster import Kept, roster

IDLE = 60.0
"""Seconds after the last question until it isn't followed any more."""

PATIENCE = 5.0
"""Seconds that the first listing may take."""

LIST_AGAIN = 60.0
"""Seconds until all is listed again, in case that a change wasn't heard."""


class Registry:
    """The fleet's hosts, as this host last heard of them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._members: dict[str, Member] = {}
        self._kept: dict[str, Kept] = {}
        self._asked = 0.0
        self._complete = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def roster(self) -> Roster:
        """Every host, by name. Raises Unavailable where no hub can be reached and nothing is known yet."""
        self._asked = time.monotonic()
        if self._task is None or self._task.done():
            # Not in the context of the call that asks first: its deadline isn't that of those who ask later.
            self._task = asyncio.get_running_loop().create_task(
                self._follow(), name="fleet registry", context=contextvars.Context()
            )
        try:
            async with asyncio.timeout(PATIENCE):
                await self._complete.wait()
        except TimeoutError:
            raise Unavailable("cannot list the fleet's hosts: no hub of it can be reached; try again later") from None
        return roster(self._members.values(), self._kept)

    async def close(self) -> None:
        """Follow no more, and forget."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        members = self._bus.bucket(memory.NODES).watch(LIST_AGAIN)
        hosts = self._bus.bucket(memory.HOSTS).watch(LIST_AGAIN)
        self._members, self._kept = {}, {}
        self._complete.clear()
        try:
            async with members, hosts, asyncio.TaskGroup() as group:
                group.create_task(self._hear_members(members))
                group.create_task(self._hear_hosts(hosts))
                group.create_task(self._until_idle())
        except* _Idle:
            pass
        finally:
            self._complete.clear()

    async def _hear_members(self, watch: Watch[Member]) -> None:
        async for entry in watch:
            if entry.value is None:
                self._members.pop(entry.key, None)
            else:
                self._members[entry.key] = entry.value

    async def _hear_hosts(self, watch: Watch[Host]) -> None:
        async for entry in watch:
            if entry.value is None:
                self._kept.pop(entry.key, None)
            else:
                self._kept[entry.key] = Kept(entry.value, round(entry.at.timestamp() * 1_000_000) * 1000)

    async def _until_idle(self) -> None:
        # What the first listings have found has been taken by now: the loops above never wait while there is more.
        await asyncio.sleep(0)
        self._complete.set()
        while True:
            left = self._asked + IDLE - time.monotonic()
            if left <= 0:
                raise _Idle
            await asyncio.sleep(left)


class _Idle(Exception):
    """Nobody wants to know any more."""
