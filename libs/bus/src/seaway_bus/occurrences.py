"""Events as they happen and as they were kept, in order, across restarts of the bus.

Durable events are pulled from the host's event stream by a place in memory that is made again, after the last
event told, whenever the server has lost it. Others are plain subscriptions.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seaway_protocol.errors import InvalidArgument, NotFound, PermissionDenied, Unavailable
from seaway_protocol.kinds import Event, Message

from seaway_bus import context, jetstream
from seaway_bus.codec import decode
from seaway_bus.connection import Connection, Subscription
from seaway_bus.requests import Disconnected, NoResponder, Requests
from seaway_bus.wire import Msg

log = logging.getLogger("seaway.bus")

_BATCH = 256
_EXPIRES = 5.0
"""Seconds after which a pull that found nothing is renewed; also how soon a lost place is noticed."""
ALL = "*"
"""In the place of a node: events of all hosts of the fleet, as they happen."""
_NEVER = float("-inf")
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Occurrence:
    """An event that has happened. `cursor` is its place in the host's stream; None where the event isn't durable."""

    event: Event[Any]
    payload: Message
    id: str
    node: str
    time: datetime
    cursor: int | None


class Occurrences:
    """An asynchronous iterator over events; made by `Bus.events`."""

    def __init__(
        self,
        connection: Connection,
        requests: Requests,
        events: list[Event[Any]],
        node: str,
        token: str,
        since: int | datetime | None,
        follow: bool,
    ) -> None:
        if not events:
            raise ValueError("cannot listen to no event at all")
        if len({event.kept_in for event in events}) > 1:
            raise ValueError("cannot listen to events of two streams at once")
        self._connection = connection
        self._requests = requests
        self._events = {event.name: event for event in events}
        self._node = node
        self._stream = jetstream.stream_name(node, events[0].kept_in)
        kept = [event for event in events if event.durable and node != ALL]
        self._kept = [event.subject(node, token) for event in kept]
        self._passing = [event.subject(node, token) for event in events if event not in kept]
        self._since = since
        self._begin = since if isinstance(since, datetime) else _EVER
        self._follow = follow
        self._inbox = f"{connection.inbox}.{secrets.token_hex(8)}"
        self._consumer = ""
        self._asked = _NEVER  # when the pull under way was sent, on the monotonic clock
        self._owed = 0  # how many messages it still brings
        self._left = 0
        self._ready: deque[Occurrence] = deque()
        self._moved = asyncio.Event()
        self._subscriptions: list[Subscription] = []
        self._opened = self._done = False

    @property
    def cursor(self) -> int | None:
        """Where to go on: after the last event that has arrived, or where we began; None where that is a time."""
        return self._since if isinstance(self._since, int) else None

    async def open(self) -> Occurrences:
        """Begin to listen; when this returns, nothing that happens is missed."""
        if self._opened:
            return self
        self._opened = True
        self._connection.on_disconnect.append(self._broke)
        for subject in self._passing if self._follow else []:
            self._subscriptions.append(self._connection.subscribe(subject, self._passed))
        if self._kept:
            self._subscriptions.append(self._connection.subscribe(self._inbox, self._delivered))
            await self._place()
        else:
            await self._connection.settle(_EXPIRES)
        return self

    async def aclose(self) -> None:
        """Listen no more."""
        self._done = True
        self._moved.set()
        with contextlib.suppress(ValueError):
            self._connection.on_disconnect.remove(self._broke)
        for subscription in self._subscriptions:
            self._connection.unsubscribe(subscription)
        self._subscriptions.clear()

    async def __aenter__(self) -> Occurrences:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Occurrences:
        return self

    async def __anext__(self) -> Occurrence:
        await self.open()
        while not self._ready:
            if self._done or (not self._follow and (self._left == 0 or not self._kept)):
                await self.aclose()
                raise StopAsyncIteration
            await self._wait()
        occurrence = self._ready.popleft()
        return occurrence

    async def _wait(self) -> None:
        """Until something arrives; places itself, and pulls, where events are kept."""
        self._moved.clear()
        if self._kept and not self._consumer:
            await self._place()
        elif self._kept and time.monotonic() - self._asked > _EXPIRES + 1:
            await self._pull()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXPIRES + 1):
                    await self._moved.wait()

    # -- the place in the stream --------------------------------------------------------------------------------

    async def _place(self) -> None:
        """Make our place after the last event told; tries until the bus and the stream are there."""
        pause = 0.05
        while not self._done:
            try:
                await self._connection.ready(60.0)
                await self._create()
                return
            except (NotFound, Unavailable, NoResponder, Disconnected, TimeoutError) as error:
                log.debug("The event stream of %s isn't there yet: %s", self._node, error or type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)

    async def _seek(self, since: datetime) -> int | datetime:
        """The cursor before the first event kept at `since` or later, found by halving.

        The server can seek by time itself, but begins too late now and then on a busy host (2.15.1, and then for good);
        it is left to it only where our credential, of an older version, doesn't let us read single events.
        """
        stream = self._stream
        doing = "find an event by its time"
        try:
            low, high = jetstream.bounds(jetstream.answer(await self._api(f"STREAM.INFO.{stream}", {}), doing))
            while low < high:
                middle = (low + high) // 2
                reply = await self._api(f"STREAM.MSG.GET.{stream}", jetstream.from_sequence(middle))
                try:
                    sequence, at = jetstream.kept_at(jetstream.answer(reply, doing))
                except NotFound:  # nothing from there on
                    sequence, at = high, since
                low, high = (low, middle) if at >= since else (sequence + 1, high)
        except PermissionDenied:
            return since
        return low - 1

    async def _create(self) -> None:
        stream = self._stream
        if isinstance(self._since, datetime):
            self._since = await self._seek(self._since)
        name = secrets.token_hex(8)
        wanted = {
            "stream_name": stream,
            "config": jetstream.consumer(name, self._kept, self._since),
            "action": "create",
        }
        reply = await self._api(f"CONSUMER.CREATE.{stream}.{name}", wanted)
        told = jetstream.answer(reply, f"listen to {', '.join(self._events)}")
        self._consumer, self._asked = name, _NEVER
        self._left = int(told.get("num_pending", 0))
        if self._since is None:  # from now on, also where this place is lost before it has told anything
            self._since = int(told.get("delivered", {}).get("stream_seq", 0))

    async def _api(self, verb: str, value: dict[str, Any]) -> bytes:
        reply = await self._requests.send(f"$JS.API.{verb}", jetstream.body(value), None, 5.0)
        return bytes(reply.data)

    async def _pull(self) -> None:
        """Ask for the next events; they come to our inbox. While the bus is away there is nobody to ask."""
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"
        wanted = jetstream.body({"batch": _BATCH, "expires": int(_EXPIRES * 1e9)})
        self._asked, self._owed = time.monotonic(), _BATCH
        try:
            self._connection.publish(subject, wanted, reply=self._inbox)
        except Unavailable:
            self._consumer = ""

    def _broke(self) -> None:
        """The connection dropped: the pull under way is void. If our place is lost too, the next pull says so."""
        self._asked = _NEVER
        self._moved.set()

    # -- what arrives -------------------------------------------------------------------------------------------

    def _delivered(self, message: Msg) -> None:
        status = message.headers.get("Status")
        if status:
            self._ended(status)
            return
        cursor, at, self._left = jetstream.delivery(message.reply)
        self._owed -= 1
        if not self._owed:
            self._asked = _NEVER
        if isinstance(self._since, int) and cursor <= self._since:
            return  # told before, by a place that was replaced
        self._since = cursor
        if at >= self._begin:  # else it was asked for what comes at a later time than now
            self._tell(message, cursor, at)
        self._moved.set()

    def _ended(self, status: str) -> None:
        """The pull is over: 408 it expired, 404 nothing, 409 our place was deleted, 503 nobody knows it."""
        self._asked = _NEVER
        if status not in ("408", "404"):
            self._consumer = ""
        self._moved.set()

    def _passed(self, message: Msg) -> None:
        self._tell(message, None, datetime.now(UTC))

    def _tell(self, message: Msg, cursor: int | None, at: datetime) -> None:
        _, _, node, kind, action, token = message.subject.split(".", 5)
        event = self._events[f"{kind}.{action}"]
        stamp = message.headers.get(context.TIME, "")
        try:
            payload = decode(message.data, event.payload, f"the event {event.name}")
        except InvalidArgument as error:
            log.error("An event is passed over: %s", error)
            return
        when = datetime.fromtimestamp(int(stamp) / 1000, UTC) if stamp.isdigit() else at
        self._ready.append(Occurrence(event, payload, event_id(token), node, when, cursor))
        self._moved.set()


_NO_ID = "="
_NOT_A_TOKEN = re.compile(r"[^A-Za-z0-9_-]")


def event_token(id: str) -> str:
    """An id as one subject token: what has a meaning in subjects becomes `=` and its code in hexadecimal."""
    return _NOT_A_TOKEN.sub(lambda match: "".join(f"={byte:02x}" for byte in match[0].encode()), id) or _NO_ID


def event_id(word: str) -> str:
    """The id in a subject token."""
    raw = re.sub(rb"=([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), word.encode())
    return "" if word == _NO_ID else raw.decode(errors="replace")
