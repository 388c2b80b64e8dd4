"""Notes who asked for what, for good, without making anybody wait.

Notes go into a queue, and from there in batches to the host's audit stream. While the bus is away they wait; where more
wait than there is room for, they are counted instead, and the next batch says how many were lost. A connection that
lasts is noted when it begins and when it ends, also where another daemon goes on with it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from aiohttp import web
from seaway_bus import Bus
from seaway_bus.context import trace_id
from seaway_protocol import audit
from seaway_protocol.actor import Actor
from seaway_protocol.audit import Noted
from seaway_protocol.errors import Error
from seaway_service.metrics import Family, counter, gauge

log = logging.getLogger("seaway.daemon")

_ROOM = 20_000
"""Notes that may wait; a few hundred bytes each."""

_BATCH = 256

_LINGER = 0.05
"""Seconds for which more notes are waited for: what belongs together is written together."""

_AGAIN, _AGAIN_MOST = 1.0, 60.0
"""Seconds after which a batch that the bus didn't take is sent again: at first, and where it goes on not taking it."""

_REFUSED = 403

_LONGEST = 512
"""Characters of what a client wrote that are noted."""


class Note:
    """One request while it is answered: what is known of it so far.

    `kept` says whether it is to be noted at all, `refusals` whether it is where the asker may not do it.
    """

    def __init__(
        self,
        actor: Actor,
        method: str,
        route: str,
        *,
        object: str = "",
        to: str = "",
        kept: bool = True,
        refusals: bool = True,
    ) -> None:
        self.request = audit.Request(
            at=time.time_ns(),
            actor=actor,
            method=method,
            route=route,
            object=object[:_LONGEST],
            to=to,
            trace=trace_id(),
        )
        self.kept, self.refusals = kept, refusals
        self.taken_over = False

    def about(self, *, object: str = "", detail: str = "") -> None:
        """What was made, or is meant."""
        self.request = msgspec.structs.replace(
            self.request,
            object=object[:_LONGEST] or self.request.object,
            detail=detail[:_LONGEST] or self.request.detail,
        )


NOTE = web.RequestKey("note", Note)
"""Where a request keeps its note."""


class _Batch(NamedTuple):
    """What is being written: the same again until the bus has taken it."""

    told: Noted
    key: str


class Audit:
    """The audit of one daemon."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._waiting: deque[audit.Request] = deque()
        self._more = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._batch: _Batch | None = None
        self._unsaid = 0
        self.lost = 0

    def start(self) -> None:
        """Begin to write."""
        self._writing = asyncio.get_running_loop().create_task(self._write(), name="audit")

    async def stop(self, seconds: float = 2.0) -> None:
        """Write what waits, for `seconds` at most, and end."""
        if self._writing:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting and self._bus.connected:
                    await self._write_batch()
        if self._waiting:
            log.error("%d requests are not in the audit: the bus didn't take them", len(self._waiting))

    def families(self) -> Iterator[Family]:
        """What is counted."""
        yield counter("seaway_audit_lost_total", "Requests that could not be noted", self.lost)
        yield gauge("seaway_audit_waiting", "Requests that are noted and not written yet", len(self._waiting))

    def done(self, note: Note, status: int) -> None:
        """A request was answered, or refused. One that was taken over is noted by whoever did so."""
        if not note.taken_over and (note.kept or (note.refusals and status == _REFUSED)):
            took = time.time_ns() - note.request.at
            self._put(msgspec.structs.replace(note.request, status=status, took=took))

    def begun(self, note: Note, *, lasts: bool) -> audit.Request | None:
        """Its connection was taken over; what is needed to note its end, where it is noted at all.

        One that `lasts`, with bytes both ways, is noted now, too.
        """
        note.taken_over = True
        if not note.kept:
            return None
        if not lasts:
            return note.request
        self._put(msgspec.structs.replace(note.request, phase="begin"))
        return msgspec.structs.replace(note.request, phase="end")

    def ended(self, noted: audit.Request, status: int, from_client: int, to_client: int) -> None:
        """A connection that was taken over has ended, after so many bytes."""
        counted = {"from_client": from_client, "to_client": to_client} if noted.phase else {}
        took = time.time_ns() - noted.at
        self._put(msgspec.structs.replace(noted, status=status, took=took, **counted))

    def _put(self, request: audit.Request) -> None:
        if len(self._waiting) >= _ROOM:
            self.lost += 1
            self._unsaid += 1
            return
        self._waiting.append(request)
        self._more.set()

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            await asyncio.sleep(_LINGER)
            while self._waiting:
                await self._write_batch()

    async def _write_batch(self) -> None:
        if self._batch is None:
            first = tuple(itertools.islice(self._waiting, _BATCH))
            self._batch = _Batch(Noted(requests=first, lost=self._unsaid), secrets.token_hex(12))
        await self._publish(*self._batch)
        self._unsaid -= self._batch.told.lost
        for _ in self._batch.told.requests:
            self._waiting.popleft()
        self._batch = None

    async def _publish(self, told: Noted, key: str) -> None:
        pause = _AGAIN
        while True:
            try:
                await self._bus.publish(audit.noted, told, id=self._bus.node, key=key)
                return
            except Error as error:
                if pause == _AGAIN:
                    log.warning("The audit waits: %s", error.text)
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, _AGAIN_MOST)


def note_of(http: web.BaseRequest) -> Note | None:
    """What is noted of a request so far; None before it was found what it is."""
    return http.get(NOTE)
