"""Events: decided with the change they tell of, in one transaction, and published in order by one task.

An event is in the outbox until the bus has it on disk, and travels with a key made of the outbox's id and its
number: a crash between the two publishes it again, and the bus keeps it once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from seaway_bus import Bus, request_key
from seaway_protocol import SUPERVISOR
from seaway_protocol.errors import DeadlineExceeded, Error
from seaway_protocol.kinds import Event, Message

from seaway_supervisor import store
from seaway_supervisor.store import Statement, Store

log = logging.getLogger("seaway.supervisor")

_EVENTS: dict[str, Event[Any]] = {event.name: event for event in SUPERVISOR.events}
_RETRY = 0.5
_KEEPING = 10.0
"""Seconds that the bus may take to have an event on disk."""

_TIDY = 1.0
"""Seconds that a published event may stay in the file, for the next change to take it along: a commit costs a sync."""


class Outbox:
    """What has happened and isn't told yet. `refused` is awaited where the bus takes an event and doesn't keep it, with
    how often in a row that has happened.
    """

    def __init__(self, state: Store, bus: Bus, refused: Callable[[int], Awaitable[None]] | None = None) -> None:
        self._store = state
        self._bus = bus
        self._refused = refused
        self._refusals = 0
        self._filled = asyncio.Event()
        self._told = self._dropped = 0
        self._tidying: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to publish, first what a previous life has left."""
        self._filled.set()
        self._task = asyncio.get_running_loop().create_task(self._publish(), name="outbox")

    async def stop(self) -> None:
        """Stop; what isn't published stays for the next life."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._tidy()

    @property
    def waiting(self) -> int:
        """How many events aren't published yet."""
        return self._store.waiting(self._told)

    def commit(self, statements: Iterable[Statement], events: Iterable[Statement] = ()) -> asyncio.Future[None]:
        """A change and the events that tell of it, together; published once they are on disk."""
        tells = list(events)
        future = self._store.commit([*statements, *tells, *self._published()])
        if tells:
            future.add_done_callback(lambda _: self._filled.set())
        return future

    async def announce(self, event: Event[Any], id: str, payload: Message) -> None:
        """An event whose change is kept elsewhere; returns when it can't be lost any more.

        A request that is asked again tells it once.
        """
        tells = [about(event, id, payload)]
        if key := request_key():
            what = msgspec.json.encode(msgspec.structs.replace(payload, at=0)).decode()
            tells = store.put_event_once(f"{key} {event.name} {id} {what}", tells[0])
        await self.commit((), tells)

    async def _publish(self) -> None:
        waiting: deque[store.Pending] = deque()
        await self._ensure_stream()
        while True:
            self._filled.clear()
            waiting.extend(self._store.outbox(after=waiting[-1].number if waiting else self._told))
            if not waiting:
                await self._filled.wait()
                continue
            if told := await self._tell(waiting):
                self._told = told
                self._tidying = self._tidying or asyncio.get_running_loop().call_later(_TIDY, self._tidy)
            if waiting:
                await asyncio.sleep(_RETRY)

    async def _ensure_stream(self) -> None:
        """Have the stream that keeps the events; until the bus can, they wait here."""
        while True:
            try:
                await self._bus.ensure_event_stream()
                return
            except Error as error:
                log.error("Events wait: %s", error)
            await asyncio.sleep(_RETRY)

    def _published(self) -> list[Statement]:
        """What forgets the events that are published by now."""
        if self._dropped == self._told:
            return []
        self._dropped = self._told
        return [store.drop_events(self._told)]

    def _tidy(self) -> None:
        """No change came along; or we stop."""
        if self._tidying:
            self._tidying.cancel()
            self._tidying = None
        if statements := self._published():
            self._store.commit(statements)

    async def _tell(self, waiting: deque[store.Pending]) -> int:
        """Publish in order until one fails; the number of the last that is told, 0 for none."""
        told = 0
        while waiting:
            pending = waiting[0]
            event = _EVENTS.get(pending.name)
            if event:
                try:
                    payload = msgspec.json.decode(pending.payload, type=event.payload)
                    key = f"{self._store.file_id}-{pending.number}"
                    await self._bus.publish(event, payload, id=pending.subject, key=key, seconds=_KEEPING)
                except DeadlineExceeded as error:
                    log.warning("Cannot publish %s of %s: %s", pending.name, pending.subject, error)
                    self._refusals += 1
                    if self._refused:
                        await self._refused(self._refusals)
                    return told
                except Error as error:
                    log.warning("Cannot publish %s of %s: %s", pending.name, pending.subject, error)
                    return told
                self._refusals = 0
            told = waiting.popleft().number
        return told


def about(event: Event[Any], id: str, payload: Message) -> Statement:
    """The statement that puts an event, which has happened now, into the outbox."""
    return store.put_event(event.name, id, msgspec.json.encode(msgspec.structs.replace(payload, at=time.time_ns())))
