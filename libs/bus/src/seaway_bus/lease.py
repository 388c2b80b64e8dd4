"""One of several at a time: a lease that whoever holds it renews, and that others take once it isn't renewed.

Time is each process's own: nobody's wall clock decides anything. A holder trusts a lease for four fifths of its seconds
from when it *began* to write the renewal; another takes it when it has seen the same revision for all its seconds from
when it *first read* it, which is later. So two never hold it, as long as their clocks run at about the same rate.

A holder that was frozen or cut off finds that it doesn't hold it any more the moment it looks. What it had begun before
is stopped by the term: a number that grows with each holder, and that belongs into whatever is written in the lease's
name.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable

from seaway_protocol.errors import Conflict, Error
from seaway_protocol.memory import LeaseRecord

from seaway_bus.records import Entry, Records

log = logging.getLogger("seaway.bus")

_TRUSTED = 0.8
"""How much of its seconds the holder itself trusts it for."""


def now() -> float:
    """Seconds on a clock that only runs forward, and runs while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """A place that at most one holder has at a time. Made by `Bus.lease`; contends for it while it is entered."""

    def __init__(self, records: Records[LeaseRecord], key: str, holder: str, seconds: float) -> None:
        self.key = key
        self.holder = ""
        """Who holds it, as far as we know; "" where nobody does, or nobody knows."""
        self._records = records
        self._me = holder
        self._process = secrets.token_hex(8)
        self._seconds = seconds
        self._term = 0
        self._revision = 0
        self._until = float("-inf")
        self._seen = (0, 0.0)
        self._changed = asyncio.Condition()
        self._told = False
        self._contender: asyncio.Task[None] | None = None

    # -- what its user sees -------------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether we hold it, now."""
        return now() < self._until

    @property
    def revision(self) -> int:
        """The term in which we hold it: greater than any before, the same until we lose it; else 0."""
        return self._term if self.held else 0

    async def acquired(self) -> int:
        """Wait until we hold it; the term."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.held)
        return self._term

    async def lost(self) -> None:
        """Wait until we don't hold it."""
        async with self._changed:
            while self.held:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.01, self._until - now())):
                        await self._changed.wait()

    async def __aenter__(self) -> Lease:
        self._contender = asyncio.get_running_loop().create_task(self._contend(), name=f"seaway-bus-lease-{self.key}")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Contend no more; give it back, so that the next needn't wait."""
        if self._contender:
            self._contender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._contender
        if self.held:
            self._until = float("-inf")
            with contextlib.suppress(Error):
                await self._records.update(self.key, LeaseRecord(seconds=self._seconds), self._revision, 2.0)
        await self._tell()

    # -- contending ---------------------------------------------------------------------------------------------

    async def _contend(self) -> None:
        while True:
            pause = self._seconds / 5
            try:
                async with asyncio.timeout(self._seconds / 3):
                    await (self._renew() if self.held else self._try())
            except (Error, TimeoutError) as error:
                log.debug("The lease %s: %s", self.key, error or type(error).__name__)
                pause = self._seconds / 15
            await self._tell()
            left = self._until - now()
            await asyncio.sleep(min(pause * random.uniform(0.8, 1.2), left) if left > 0 else pause)  # noqa: S311
            await self._tell()

    async def _renew(self) -> None:
        try:
            await self._write(lambda value: self._records.update(self.key, value, self._revision), self._term)
        except Conflict:
            entry = await self._records.get(self.key)
            if entry and entry.value and entry.value.process == self._process:
                self._revision = entry.revision  # a renewal of ours whose answer was lost; the next one counts
                return
            self._until = float("-inf")
            self._look(entry)

    async def _try(self) -> None:
        """Take it if it is free."""
        entry = await self._records.get(self.key)
        with contextlib.suppress(Conflict):  # somebody else was faster
            if entry is None:
                await self._write(lambda value: self._records.create(self.key, value), 0)
            elif self._look(entry):
                await self._write(lambda value: self._records.update(self.key, value, entry.revision), 0)

    def _look(self, entry: Entry[LeaseRecord] | None) -> bool:
        """Whether what is there may be replaced: given back, or not renewed for all its seconds since we look."""
        value = entry.value if entry else None
        self.holder = value.holder if value else ""
        if entry is None or value is None or not value.holder:
            return True
        if self._seen[0] != entry.revision:
            self._seen = (entry.revision, now())
        return now() - self._seen[1] > max(value.seconds, self._seconds)

    async def _write(self, write: Callable[[LeaseRecord], Awaitable[int]], term: int) -> None:
        began = now()
        value = LeaseRecord(holder=self._me, process=self._process, term=term, seconds=self._seconds)
        self._revision = await write(value)
        self._term = term or self._revision
        self._until = began + self._seconds * _TRUSTED
        self.holder = self._me

    async def _tell(self) -> None:
        """Wake who waits for a change; say it in the journal."""
        if self.held != self._told:
            self._told = self.held
            log.info("%s the lease %s", "Took" if self._told else "Lost", self.key)
        async with self._changed:
            self._changed.notify_all()
