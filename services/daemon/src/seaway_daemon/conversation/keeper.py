"""Begins conversations, hands them over when the daemon stops, and goes on with those of the daemon before.

Each is kept by the service manager from its first byte on: the client's socket and the record, under one name. So a
daemon that is killed hands over as well as one that is asked to stop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import stat
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from seaway_protocol import audit
from seaway_service import Passed, Store
from seaway_service.metrics import Family, counter, gauge

from seaway_daemon.access.audit import Audit, note_of
from seaway_daemon.conversation import topics
from seaway_daemon.conversation.connection import OVER, Conversation, Hangups, Kept, Unkept
from seaway_daemon.conversation.record import BadRecord, Record
from seaway_daemon.hijack import TakenOver, asks_to_upgrade, head, is_plain, take_socket, take_transport

log = logging.getLogger("seaway.daemon")

_PREFIX = "conversation-"

T = TypeVar("T", bound=topics.Topic)

Talk = Callable[[Conversation], Awaitable[None]]
"""Goes on with a conversation from its mark and phase to its end."""


class Keeper:
    """The conversations of one daemon."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._hangups: Hangups | None = None
        self._running: dict[asyncio.Task[None], Conversation] = {}
        self.audit: Audit | None = None
        self._resumed = 0

    async def begin(
        self,
        http: web.BaseRequest,
        topic: topics.Topic,
        talk: Talk,
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> TakenOver:
        """Take the connection from the HTTP server and let `talk` use it; what the handler then returns.

        With a content type the head is sent first, with more `headers`, which answers a request to upgrade. Raises
        ConnectionResetError where the client is gone; then nothing of `talk` has run.
        """
        upgraded = bool(content_type) and asks_to_upgrade(http)
        chunked = not topic.hears and http.version >= (1, 1)
        start = head(content_type, upgraded=upgraded, chunked=chunked, more=headers) if content_type else b""
        name = _PREFIX + secrets.token_hex(8)
        note = note_of(http)
        noted = self.audit.begun(note, lasts=topic.hears) if self.audit and note else None
        conversation = self._taken(http, topic, name, noted, chunked=chunked)
        task = self._run(name, conversation, topic, _after(start, conversation, talk))
        if isinstance(conversation, Unkept):
            await task  # the HTTP server closes its transport when the handler returns
        return TakenOver()

    def _taken(
        self, http: web.BaseRequest, topic: topics.Topic, name: str, noted: audit.Request | None, *, chunked: bool
    ) -> Conversation:
        if not is_plain(http):
            conversation: Conversation = Unkept(take_transport(http), chunked=chunked)
            conversation.noted = noted
            return conversation
        envelope = topics.Envelope(topic=topic, chunked=chunked, noted=noted)  # type: ignore[arg-type]
        socket, leftover = take_socket(http)
        try:
            record = Record.create(msgspec.json.encode(envelope), leftover)
        except BadRecord:
            os.close(socket)
            raise ConnectionResetError("the request is too large to be kept") from None
        if self._store:
            self._store.keep(name, socket, record.descriptor)
        conversation = Kept(socket, record, self._watching(), chunked=chunked)
        conversation.noted = noted
        return conversation

    def resume(self, passed: Iterable[Passed], talks: Mapping[type[Any], Callable[[Any], Talk]]) -> int:
        """Go on with what was kept; how many there are. What can't be used is closed, which ends it for its client."""
        found: dict[str, list[int]] = {}
        for each in passed:
            if each.name.startswith(_PREFIX):
                found.setdefault(each.name, []).append(each.descriptor)
        for name, descriptors in found.items():
            try:
                self._go_on(name, descriptors, talks)
            except (BadRecord, msgspec.MsgspecError, KeyError, ValueError) as error:
                log.warning("Cannot go on with %s: %s", name, error)
                self._drop(name)
                for descriptor in descriptors:
                    os.close(descriptor)
        self._resumed = len(self._running)
        return self._resumed

    def metrics(self) -> Iterator[Family]:
        """How many there are, and how many were taken over."""
        doc = "Clients that attach, follow logs or events, wait, …"
        yield gauge("seaway_conversations_open", doc, len(self._running))
        doc = "Conversations of the daemon before that went on with this one"
        yield counter("seaway_conversations_resumed_total", doc, self._resumed)

    def _go_on(self, name: str, descriptors: list[int], talks: Mapping[type[Any], Callable[[Any], Talk]]) -> None:
        sockets = [each for each in descriptors if stat.S_ISSOCK(os.fstat(each).st_mode)]
        records = [each for each in descriptors if each not in sockets]
        if (len(sockets), len(records)) != (1, 1):
            raise BadRecord(f"it has {len(sockets)} sockets and {len(records)} records")
        record = Record(records[0])
        envelope = msgspec.json.decode(record.topic, type=topics.Envelope)
        talk = talks[type(envelope.topic)](envelope.topic)
        conversation = Kept(sockets[0], record, self._watching(), chunked=envelope.chunked)
        conversation.noted = envelope.noted
        self._run(name, conversation, envelope.topic, _continued(conversation, talk))

    def _run(
        self, name: str, conversation: Conversation, topic: topics.Topic, work: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._to_its_end(name, conversation, topic, work), name=name)
        self._running[task] = conversation
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    async def _to_its_end(
        self, name: str, conversation: Conversation, topic: topics.Topic, work: Coroutine[Any, Any, None]
    ) -> None:
        talking = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(conversation.gone.wait())
        try:
            await asyncio.wait({talking} if topic.hears else {talking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (talking, leaving):
                each.cancel()
            failed, _ = await asyncio.gather(talking, leaving, return_exceptions=True)
            if isinstance(failed, Exception) and not isinstance(failed, ConnectionError):
                log.error("A conversation broke off: %s", type(topic).__name__, exc_info=failed)
            ends = not conversation.handed_over or isinstance(conversation, Unkept)
            if not conversation.handed_over:
                self._drop(name)
            if self.audit and conversation.noted and ends:
                self.audit.ended(conversation.noted, conversation.status, conversation.taken, conversation.said)
            conversation.close()

    def _drop(self, name: str) -> None:
        if self._store:
            self._store.drop(name)

    def _watching(self) -> Hangups:
        if self._hangups is None:
            self._hangups = Hangups()
        return self._hangups

    async def hand_over(self) -> None:
        """Stop where each is, without a word to anybody: who finds them in the store goes on."""
        running = dict(self._running)
        for task, conversation in running.items():
            conversation.handed_over = True
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _after(start: bytes, conversation: Conversation, talk: Talk) -> None:
    if start:
        await conversation.raw(start)
    await talk(conversation)


async def _continued(conversation: Kept, talk: Talk) -> None:
    """First the rest of what was said last; and that was all where it was the end."""
    await conversation.finish()
    if conversation.phase != OVER:
        await talk(conversation)
