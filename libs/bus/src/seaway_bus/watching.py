"""Following a bucket: what is said again when it is written, and a full listing now and then, since anything may be
missed while the hub or the way to it is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import UTC, datetime
from typing import Generic, TypeVar

from seaway_protocol.errors import Error
from seaway_protocol.kinds import Message

from seaway_bus.connection import Connection, Subscription
from seaway_bus.memory import heard, said_again
from seaway_bus.records import Entry, Records
from seaway_bus.wire import Msg

log = logging.getLogger("seaway.bus")

V = TypeVar("V", bound=Message)

_RETRY = 1.0
"""Seconds, at first, before a listing that failed is tried again."""


class Watch(Generic[V]):
    """An asynchronous iterator over a bucket's entries as they become. Made by `Records.watch`."""

    def __init__(self, records: Records[V], connection: Connection, every: float) -> None:
        self._records = records
        self._connection = connection
        self._every = every
        self._known: dict[str, int] = {}
        self._present: set[str] = set()
        self._last = 0
        self._ready: dict[str, Entry[V]] = {}
        self._moved = asyncio.Event()
        self._stale = asyncio.Event()
        self._listed = asyncio.Event()
        self._subscription: Subscription | None = None
        self._lister: asyncio.Task[None] | None = None

    async def open(self) -> Watch[V]:
        """Begin; when this returns, all that is there has been listed once and no later change is missed."""
        self._begin()
        await self._listed.wait()
        return self

    async def aclose(self) -> None:
        """Follow no more."""
        if self._lister:
            self._lister.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._lister
        if self._subscription:
            self._connection.unsubscribe(self._subscription)
            self._connection.on_reconnect.remove(self._stale.set)

    async def __aenter__(self) -> Watch[V]:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Watch[V]:
        return self

    async def __anext__(self) -> Entry[V]:
        self._begin()
        while not self._ready:
            self._moved.clear()
            await self._moved.wait()
        return self._ready.pop(next(iter(self._ready)))

    def _begin(self) -> None:
        if self._lister is None:
            self._subscription = self._connection.subscribe(said_again(self._records.bucket), self._hear)
            self._connection.on_reconnect.append(self._stale.set)
            self._lister = asyncio.get_running_loop().create_task(self._list_again(), name="seaway-bus-watch")

    # -- listing ------------------------------------------------------------------------------------------------

    async def _list_again(self) -> None:
        """List everything, now and whenever something may have been missed, and every so often in any case."""
        pause = _RETRY
        while True:
            self._stale.clear()
            try:
                before = self._last
                self._compare(await self._records.all(), before)
                pause = _RETRY
                self._listed.set()
                wait = self._every
            except Error as error:
                log.debug("Cannot list %s: %s", self._records.bucket.name, error)
                wait, pause = pause, min(pause * 1.5, self._every)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait * random.uniform(0.8, 1.2)):  # noqa: S311 - spread, not secrecy
                    await self._stale.wait()
                    await asyncio.sleep(0.05)  # whatever else has gone missing goes into the same listing

    def _compare(self, entries: list[Entry[V]], before: int) -> None:
        """Tell what a listing has that we didn't know, and what it hasn't that we did, unless it came meanwhile."""
        listed = {entry.key for entry in entries}
        for entry in sorted(entries, key=lambda entry: entry.revision):
            self._tell(entry)
        for key in [key for key in self._present - listed if self._known[key] <= before]:
            self._present.discard(key)
            self._show(Entry(key, None, self._known[key], datetime.now(UTC)))

    # -- hearing ------------------------------------------------------------------------------------------------

    def _hear(self, message: Msg) -> None:
        """Tell a change. Revisions of a bucket count up by one: where one is missing, so is a change."""
        try:
            entry = self._records.entry(heard(message, self._records.bucket))
        except Error as error:
            log.warning("A change of %s is passed over: %s", self._records.bucket.name, error)
            self._stale.set()
            return
        if entry.revision > self._last + 1 > 1:
            self._stale.set()
        self._tell(entry)

    def _tell(self, entry: Entry[V]) -> None:
        self._last = max(self._last, entry.revision)
        if entry.revision <= self._known.get(entry.key, 0):
            return
        self._known[entry.key] = entry.revision
        if entry.value is None and entry.key not in self._present:
            return
        (self._present.discard if entry.value is None else self._present.add)(entry.key)
        self._show(entry)

    def _show(self, entry: Entry[V]) -> None:
        """Have it told, instead of what was to be told of the same key."""
        self._ready.pop(entry.key, None)
        self._ready[entry.key] = entry
        self._moved.set()
