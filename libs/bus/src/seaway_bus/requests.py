"""Requests and their replies over one inbox subscription, aware of the connection and of the peer.

The client's own `request` knows only time-outs: here a request ends at once when the connection drops, when nobody
listens, or when the server says that we may not ask; and soon when the peer that had it is gone. NATS tells a caller
that nobody is there, not that somebody has gone: so after a second without a reply the subject is asked whether the
request is still being handled. Whoever listens there now answers that without acting.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from seaway_protocol.errors import PermissionDenied, Unavailable
from seaway_protocol.kinds import ANSWERS, ANYONE, answers_subject

from seaway_bus import context
from seaway_bus.connection import Connection
from seaway_bus.gathering import Gathering
from seaway_bus.wire import Msg, is_nobody

SILENCE, LONGEST_SILENCE = 1.0, 2.0
"""Seconds without a reply after which the peer is asked whether it still has the request: at first, and at most."""

LOCAL = None
"""The answerer of a request that stays on this host's bus; else the node that answers, or `ANYONE`."""

LOST = b"lost"
"""The reply of a peer that hasn't got the request: it, or the one before it, has ended meanwhile."""


class NoResponder(Exception):
    """Nobody is subscribed to the subject."""


class Disconnected(Exception):
    """The connection broke before the reply came; the request may or may not have arrived."""


class Lost(Exception):
    """The peer that had the request is gone, or another by now; it may or may not have acted."""


class Pending:
    """A request that may be sent several times. The reply to any of them, however late, is the reply."""

    def __init__(self, requests: Requests, subject: str, reply_to: str, answerer: str | None) -> None:
        self.subject = subject
        self.reply_to = reply_to
        self.answerer = answerer
        self._requests = requests
        self._outcome: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: Msg | Exception) -> None:
        """What came of it; the first counts."""
        if self._outcome.done():
            return
        if isinstance(outcome, Msg):
            self._outcome.set_result(outcome)
        else:
            self._outcome.set_exception(outcome)
            self._outcome.exception()  # perhaps nobody waits just now

    def send(self, payload: bytes, headers: dict[str, str] | None) -> None:
        """Ask, or ask once more. Raises Disconnected where the bus is away."""
        if self._outcome.done():
            self._outcome = asyncio.get_running_loop().create_future()
        self._requests.publish(self.subject, payload, self.reply_to, headers)

    async def reply(self, seconds: float, *, watched: bool = False) -> Msg:
        """The reply. `watched` says that a service of ours answers, which can be asked whether it has the request.

        Raises NoResponder at once where nobody listens, Disconnected where the connection breaks first, Lost where
        the peer does, PermissionDenied where the server refuses the subject, TimeoutError after `seconds`.
        """
        async with asyncio.timeout(seconds):
            silence = SILENCE
            while watched and not await _within(self._outcome, silence):
                if await self._requests.lost(self) and not self._outcome.done():
                    raise Lost
                silence = min(silence * 1.5, LONGEST_SILENCE)
            reply = await self._outcome
        if is_nobody(reply):
            raise NoResponder
        return reply

    async def late(self, seconds: float) -> Msg | None:
        """The reply to what was given up for lost, should it come within `seconds` all the same."""
        if self._outcome.done():
            self._outcome = asyncio.get_running_loop().create_future()
        if not await _within(self._outcome, seconds) or self._outcome.exception():
            return None
        reply = self._outcome.result()
        return None if is_nobody(reply) else reply


class Requests:
    """The pending requests of one connection, of this host's services and of other hosts'."""

    def __init__(self, connection: Connection, node: str) -> None:
        self._connection = connection
        process = secrets.token_hex(8)
        self._local = f"{connection.inbox}.{process}"
        self._fleet = answers_subject(node, connection.name, process)
        self._listens_to_fleet = False
        self._expected: dict[str, Callable[[Msg], None]] = {}
        self._pending: set[Pending] = set()
        self._count = 0
        connection.on_disconnect.append(self._drop)
        connection.on_violation.append(self._refuse)

    def open(self) -> None:
        """Listen for replies."""
        self._connection.subscribe(f"{self._local}.*", self._arrived)

    @contextlib.contextmanager
    def hearing(self, answerer: str | None, hear: Callable[[Msg], None]) -> Iterator[str]:
        """A reply subject, what comes to which is heard until the block ends."""
        self._count += 1
        if answerer is not LOCAL and not self._listens_to_fleet:
            self._listens_to_fleet = True
            # Not `>`: of that a hub doesn't tell leaves that may publish only what ends in a name (nats-server 2.15.1).
            self._connection.subscribe(f"{self._fleet}.*.*", self._arrived)
        key = f"{self._local if answerer is LOCAL else self._fleet}.{self._count}"
        self._expected[key] = hear
        try:
            yield key if answerer is LOCAL else f"{key}.{answerer}"
        finally:
            del self._expected[key]

    @contextlib.contextmanager
    def gathering(self, subject: str, gathering: Gathering[Any]) -> Iterator[str]:
        """The reply subject of a question to all hosts, whose answers are heard until the block ends."""

        def refuse(violation: str) -> None:
            if _is_about(violation, subject):
                gathering.refuse(PermissionDenied(self._refusal(subject)))

        self._connection.on_disconnect.append(gathering.give_up)
        self._connection.on_violation.append(refuse)
        try:
            with self.hearing(ANYONE, gathering.hear) as reply_to:
                yield reply_to
        finally:
            self._connection.on_disconnect.remove(gathering.give_up)
            self._connection.on_violation.remove(refuse)

    @contextlib.contextmanager
    def expecting(self, subject: str, answerer: str | None = LOCAL) -> Iterator[Pending]:
        """A request to a subject, whose reply is heard until the block ends."""

        def hear(reply: Msg) -> None:
            pending.settle(reply)

        with self.hearing(answerer, hear) as reply_to:
            pending = Pending(self, subject, reply_to, answerer)
            self._pending.add(pending)
            try:
                yield pending
            finally:
                self._pending.discard(pending)

    async def send(
        self,
        subject: str,
        payload: bytes,
        headers: dict[str, str] | None,
        seconds: float,
        answerer: str | None = LOCAL,
    ) -> Msg:
        """The reply to one request, sent once. Raises what `Pending.reply` raises."""
        with self.expecting(subject, answerer) as pending:
            pending.send(payload, headers)
            return await pending.reply(seconds)

    def publish(self, subject: str, payload: bytes, reply_to: str, headers: dict[str, str] | None) -> None:
        """Hand a request to the server. Raises Disconnected while there is none."""
        try:
            self._connection.publish(subject, payload, reply_to, headers)
        except Unavailable as error:
            raise Disconnected from error

    async def lost(self, request: Pending) -> bool:
        """Whether nobody has a request any more. Raises Disconnected.

        A peer that is frozen or busy answers late, or not: it has the request. So has a peer of a version that doesn't
        know the question, which refuses it as one that comes after its deadline.
        """
        headers = {context.PENDING: request.reply_to, context.DEADLINE: str(int((time.time() - 1) * 1000))}
        with self.expecting(request.subject, request.answerer) as question:
            question.send(b"", headers)
            try:
                return (await question.reply(SILENCE)).data == LOST
            except NoResponder:
                return True
            except TimeoutError:
                return False

    def _arrived(self, reply: Msg) -> None:
        key = reply.subject
        if key.startswith(ANSWERS):
            key = key.rpartition(".")[0]
        if hear := self._expected.get(key):
            hear(reply)

    def _drop(self) -> None:
        """Wake every request that waits for a reply over the connection that broke."""
        for pending in list(self._pending):
            pending.settle(Disconnected())

    def _refuse(self, violation: str) -> None:
        """End the requests to a subject that the server has just refused; it says so only on the side."""
        for pending in list(self._pending):
            if _is_about(violation, pending.subject):
                pending.settle(PermissionDenied(self._refusal(pending.subject)))

    def _refusal(self, subject: str) -> str:
        who = self._connection.name
        return f"cannot ask on {subject}: the bus doesn't allow it to {who} (see seaway_protocol.principals)"


async def _within(outcome: asyncio.Future[Msg], seconds: float) -> bool:
    """Whether something has come of it within so many seconds; it is left alone where nothing has."""
    await asyncio.wait((outcome,), timeout=seconds)
    return outcome.done()


def _is_about(violation: str, subject: str) -> bool:
    """Whether the server's refusal names a subject."""
    return f'"{subject.lower()}"' in violation.lower()
