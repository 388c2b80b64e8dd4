"""The bus as a service sees it: call, serve, publish, listen, and flows, all typed by the protocol's declarations."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from seaway_protocol.errors import Conflict, DeadlineExceeded, Unavailable
from seaway_protocol.kinds import ANYONE, Bucket, Call, Event, Flow, Interface, Message, Store
from seaway_protocol.memory import LeaseRecord
from seaway_service import logs
from seaway_service.metrics import Family

from seaway_bus import context, failures, figures, jetstream
from seaway_bus.blobs import Blobs
from seaway_bus.codec import decode, encode
from seaway_bus.connection import Connection, Patience
from seaway_bus.endpoints import Endpoints
from seaway_bus.flow import WINDOW
from seaway_bus.flow_end import Pace
from seaway_bus.gathering import Gathered, Gathering
from seaway_bus.lease import Lease
from seaway_bus.memory import ANSWERER, HUB_DOMAIN, Memory
from seaway_bus.occurrences import Occurrences, event_token
from seaway_bus.receiver import Receiver
from seaway_bus.records import Records
from seaway_bus.requests import LOCAL, Disconnected, Lost, NoResponder, Requests
from seaway_bus.sender import Sender
from seaway_bus.serving import Served
from seaway_bus.wire import Msg

log = logging.getLogger("seaway.bus")

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)
P = TypeVar("P", bound=Message)

_LOOK_AGAIN = 0.02
"""Seconds before a missing responder is looked for again, at first; NATS doesn't tell when one arrives."""

_LEAST = 0.3
"""Seconds that a call must have left for a missing peer to be looked for once more."""

_HUB_SILENCE = 1.5
"""Seconds without a reply after which the hub is asked again."""

_LOST_PATIENCE = 1.0
"""Seconds for which a peer that was there a moment ago is looked for at least: perhaps only its connection broke."""


async def connect(
    url: str,
    *,
    credentials: Path | str | None = None,
    name: str,
    node: str,
    inbox: str | None = None,
    wait: float | None = None,
    absent: bool = False,
    on_lost: Callable[[str], object] | None = None,
    patience: Patience = Patience(),  # noqa: B008 - frozen
    pace: Pace = Pace(),  # noqa: B008 - frozen
    hub_domain: str = HUB_DOMAIN,
    tls: ssl.SSLContext | None = None,
) -> Bus:
    """Join the bus as principal `name` on host `node`; retries until it is there, or for `wait` seconds.

    Where it may be `absent` after that time, it is no failure: the connection is made as soon as it is there.
    `inbox` is the subject prefix of our replies, `_INBOX_<name>` unless given; the credential allows no other.
    `on_lost` is called, with a sentence, when the connection can't be trusted any more: the service should end, so
    that it is started afresh. `hub_domain` is the JetStream domain of the fleet's hub. `tls` is for a connection to a
    hub, which speaks it from the first byte; a host's own bus speaks none.

    Raises PermissionDenied where the server refuses the credential, InvalidArgument where the credential can't be read,
    Unavailable where there is no server within `wait`.
    """
    logs.tell(context.handled)
    path = Path(credentials) if credentials is not None else None
    connection = Connection(url, path, name, inbox or f"_INBOX_{name}", patience, on_lost, tls)
    bus = Bus(connection, node, pace, hub_domain)
    await connection.open(wait, absent=absent)
    bus._requests.open()
    return bus


class Bus:
    """One process's place on the bus of one host. Made by `connect`."""

    def __init__(self, connection: Connection, node: str, pace: Pace, hub_domain: str = HUB_DOMAIN) -> None:
        self.node = node
        self._hub_domain = hub_domain
        self.name = connection.name
        self._connection = connection
        self._requests = Requests(connection, node)
        self._pace = pace
        self._served: list[Served] = []
        self._ends: set[Any] = set()
        self._figures = figures.Figures()

    @property
    def connected(self) -> bool:
        """Whether the bus is there now."""
        return self._connection.connected

    @property
    def violations(self) -> list[str]:
        """What the server refused us lately. Anything here is a bug, or a permission missing in the protocol."""
        return self._connection.violations

    def metrics(self) -> Iterator[Family]:
        """How this process uses the bus: its connection, what it asks and answers, events, flows."""
        return figures.families(self._figures, self._connection, self._served, len(self._ends))

    async def __aenter__(self) -> Bus:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Answer what is being handled, stop the flows, leave."""
        await asyncio.gather(*(served.stop() for served in self._served))
        for end in list(self._ends):
            await end.abort()
        await self._connection.close()

    async def settle(self, seconds: float = 5.0) -> None:
        """Wait until everything published and subscribed so far has reached the server.

        Raises Unavailable where it doesn't within `seconds`.
        """
        await self._connection.settle(seconds)

    # -- calls --------------------------------------------------------------------------------------------------

    async def call(
        self,
        call: Call[Q, R],
        request: Q,
        *,
        node: str | None = None,
        id: str | None = None,
        seconds: float | None = None,
        patience: float = 0.0,
        key: str | None = None,
        first_asked: float | None = None,
    ) -> R:
        """Ask, and return the answer.

        `seconds` is the time the answer may take (the declaration's own unless given), never more than what is left
        to the request being handled. Nobody there is Unavailable at once, or after `patience` seconds; just after
        a reconnect a peer is given a few seconds to come back too.

        While the bus is away the call waits. Where the connection broke before the answer, or the peer that was asked
        has ended (which is noticed within about two seconds), it is asked again, of whoever is there within
        `patience`. A call that changes something travels with an idempotency key (`key`, or one made here), so that
        its repetition is answered and not acted on; a peer that has forgotten is told that it is a repetition
        (`first_asked`). Who goes on with a call that a process before it has asked gives its `key`, and when that was,
        Unix seconds.

        Raises the error the peer answered with, Unavailable, DeadlineExceeded, or PermissionDenied where the bus
        doesn't let us ask.
        """
        address = {"node": node or self.node, **({"id": id} if id is not None else {})}
        subject = call.subject(**address)
        payload = encode(request, f"the request of {subject}")
        deadline = context.deadline_in(call.seconds if seconds is None else seconds)
        headers = context.outgoing(deadline)
        if call.changes:
            headers[context.REQUEST] = key or secrets.token_hex(12)
        if first_asked is not None:
            headers[context.AGAIN] = str(int(first_asked * 1000))
        asked = _Asked(subject, f"cannot {call.doc or call.name}", _who(call.interface.name, id))
        if call.interface.reach != "host":
            asked = replace(asked, answerer=address["node"] if "node" in call.interface.parts() else ANYONE)
        with self._figures.asking(call):
            reply = await self._ask(asked, payload, headers, deadline, patience)
            error = failures.from_reply(reply.headers, reply.data)
            if error:
                raise error
            return decode(reply.data, call.reply, f"the answer of {subject}")

    async def _ask(
        self, asked: _Asked, payload: bytes, headers: dict[str, str], deadline: float, patience: float
    ) -> Msg:
        """The reply to a request, asked for until `deadline`, Unix seconds."""
        first = str(int(time.time() * 1000))
        pause = _LOOK_AGAIN
        missing_until = time.monotonic() + patience
        with self._requests.expecting(asked.subject, asked.answerer) as pending:
            while True:
                try:
                    await self._ready(asked, deadline)
                    pending.send(payload, asked.timed(headers, deadline))
                    return await pending.reply(asked.left(deadline), watched=asked.of_service)
                except Disconnected:
                    pause = _LOOK_AGAIN  # the end of a session is noticed a few turns of the loop later
                    headers = {context.AGAIN: first, **headers}
                except Lost:
                    pause, missing_until = _LOOK_AGAIN, time.monotonic() + max(patience, _LOST_PATIENCE)
                    headers = {context.AGAIN: first, **headers}
                except TimeoutError:
                    raise asked.unanswered() from None
                except NoResponder:
                    until = max(missing_until, time.monotonic() + self._connection.settling)
                    if time.monotonic() + pause > until or time.time() + pause + _LEAST > deadline:
                        raise asked.absent(again=context.AGAIN in headers) from None
                if (late := await pending.late(pause)) is not None:
                    return late
                pause = min(pause * 1.5, 0.2)

    async def gather(
        self, call: Call[Q, R], request: Q, *, expected: Iterable[str] = (), seconds: float = 1.0
    ) -> Gathered[R]:
        """Ask every host of the fleet at once; returns when the `expected` nodes have answered, or after `seconds`.

        Never fails for a host's sake: what one refused, or that it said nothing, stands in the result. Where no nodes
        are named it takes the whole time. Raises Unavailable where this host's own bus is away, PermissionDenied
        where it doesn't let us ask.
        """
        subject = call.subject()
        payload = encode(request, f"the request of {subject}")
        deadline = context.deadline_in(seconds)
        asked = _Asked(subject, f"cannot {call.doc or call.name}", "the fleet", answerer=ANYONE)
        await self._ready(asked, deadline)
        gathering = Gathering(call, expected)
        with self._requests.gathering(subject, gathering) as reply_to:
            self._connection.publish(subject, payload, reply_to, asked.timed(context.outgoing(deadline), deadline))
            return await gathering.result(asked.left(deadline))

    async def _ready(self, asked: _Asked, deadline: float) -> None:
        """Wait for the bus. Raises Unavailable in the caller's words."""
        try:
            await self._connection.ready(asked.left(deadline))
        except Unavailable as error:
            raise Unavailable(f"{asked.doing}: {error.text}", origin=asked.subject) from None

    async def serve(
        self,
        interface: Interface,
        endpoints: Endpoints,
        *,
        version: str,
        id: str | None = None,
        node: str | None = None,
    ) -> Served:
        """Answer an interface's calls, as `id` where its subject has one. When this returns, requests are routed here.

        What is asked of everyone is answered by all who serve it, each as its node.

        Raises ValueError where a declared call has no handler, or a handler no declaration.
        """
        address = {"node": node or self.node, **({"id": id} if id is not None else {})}
        served = Served(self._connection, interface, endpoints.handlers(interface), node or self.node)
        await served.start(version, address)
        self._served.append(served)
        return served

    # -- events -------------------------------------------------------------------------------------------------

    async def publish(
        self,
        event: Event[P],
        payload: P,
        *,
        id: str,
        node: str | None = None,
        key: str | None = None,
        seconds: float = 10.0,
    ) -> int:
        """Announce that something has happened; for a durable event, return when it is on disk, with its cursor.

        `key` makes the announcement idempotent within half an hour: repeated with the same key it is kept once.
        `id` is any name; what isn't a subject token is escaped. Raises Unavailable where the bus is away for longer
        than `seconds` or the host has no event stream.
        """
        self._figures.events.add(event.name)
        subject = event.subject(node or self.node, event_token(id))
        body = encode(payload, f"the event {event.name}")
        deadline = context.deadline_in(seconds)
        headers = context.outgoing(deadline) | {context.TIME: str(int(time.time() * 1000))}
        if not event.durable:
            await self._connection.ready(seconds)
            self._connection.publish(subject, body, headers=headers)
            return 0
        headers[jetstream.MESSAGE_ID] = key or secrets.token_hex(12)
        asked = _Asked(subject, f"cannot tell that {event.name} has happened", "the event stream", of_service=False)
        reply = await self._ask(asked, body, headers, deadline, 0.0)
        return jetstream.published(reply.data, subject)

    def events(
        self,
        *events: Event[Any] | Iterable[Event[Any]],
        id: str = "*",
        since: int | datetime | None = None,
        follow: bool = True,
        node: str | None = None,
    ) -> Occurrences:
        """What happens, in order: `async for occurrence in bus.events(container.started, since=cursor)`.

        `since` is a cursor (what comes after it is told), a time (what happened from then on is told), or None (what
        happens from now on). `follow=False` ends once everything that is already kept was told. Events that aren't
        durable are told only while we listen; so are those of all hosts of the fleet, `node="*"`.

        Entering it (`async with`), or awaiting its `open`, returns once nothing can be missed any more.
        """
        wanted: list[Event[Any]] = []
        for event in events:
            wanted += [event] if isinstance(event, Event) else list(event)
        token = "*" if id == "*" else event_token(id)
        return Occurrences(self._connection, self._requests, wanted, node or self.node, token, since, follow)

    async def ensure_event_stream(self, seconds: float = 10.0) -> None:
        """Make the host's event stream and its audit's, or bring them up to date.

        They keep 7 and 90 days, of 256 MiB each the newest.
        """
        deadline = time.time() + seconds
        for wanted in (jetstream.event_stream(self.node), jetstream.audit_stream(self.node)):
            await self._ensure_stream(wanted, deadline, seconds)

    async def _ensure_stream(self, wanted: dict[str, Any], deadline: float, seconds: float) -> None:
        for verb in ("CREATE", "UPDATE"):
            subject = f"$JS.API.STREAM.{verb}.{wanted['name']}"
            asked = _Asked(subject, "cannot make the event stream", "JetStream", of_service=False)
            reply = await self._ask(asked, jetstream.body(wanted), {}, deadline, seconds)
            try:
                jetstream.answer(reply.data, f"make the event stream {wanted['name']}")
                return
            except Conflict:
                continue

    # -- what the fleet remembers -------------------------------------------------------------------------------

    def bucket(self, bucket: Bucket[P]) -> Records[P]:
        """The values of a bucket of the fleet's memory."""
        return Records(self._memory(bucket), bucket, self._connection)

    def store(self, store: Store) -> Blobs:
        """The files of a store of the fleet's memory."""
        return Blobs(self._memory(store), store)

    def lease(self, bucket: Bucket[LeaseRecord], key: str, *, holder: str = "", seconds: float = 15.0) -> Lease:
        """A lease that this host contends for while it is entered, as `holder` (its node's name unless given)."""
        return Lease(self.bucket(bucket), key, holder or self.node, seconds)

    def _memory(self, kept: Bucket[Any] | Store) -> Memory:
        return Memory(self._ask_hub, kept, self._hub_domain)

    async def _ask_hub(self, subject: str, payload: bytes, headers: dict[str, str], seconds: float, doing: str) -> Msg:
        """The hub's reply. Raises Unavailable, DeadlineExceeded, PermissionDenied.

        A hub that has just begun, or whose servers have yet to agree who leads, says nothing: it is asked again.
        What is asked of it may be repeated: it knows writes by their id.
        """
        asked = _Asked(subject, doing, "the fleet's hub", of_service=False, answerer=ANSWERER, away="can't be reached")
        deadline = context.deadline_in(seconds)
        while True:
            until = min(deadline, time.time() + _HUB_SILENCE)
            try:
                return await self._ask(asked, payload, {**context.outgoing(until), **headers}, until, 0.0)
            except DeadlineExceeded:
                if time.time() + _LEAST > deadline:
                    raise

    # -- flows --------------------------------------------------------------------------------------------------

    def new_flow(self) -> str:
        """A name for a flow that nobody else uses."""
        return secrets.token_hex(8)

    def sender(
        self, owner: Flow | str, flow: str, *, node: str | None = None, window: int = WINDOW, start: int = 0
    ) -> Sender:
        """The end that writes into flow `flow` of `owner`: a container's id, or a service's name or its declaration.

        `start` is the offset of the first byte, for one that goes on in the place of a sender that is gone.
        """
        return Sender(self._connection, self._ends, node or self.node, _owner(owner), flow, self._pace, window, start)

    def receiver(
        self,
        owner: Flow | str,
        flow: str,
        *,
        node: str | None = None,
        window: int = WINDOW,
        start: int = 0,
        explicit: bool = False,
    ) -> Receiver:
        """The end that reads flow `flow` of `owner`. `window` is how many bytes may be on their way to its reader.

        `start` is the offset to go on from, in the place of a receiver that is gone and didn't acknowledge more;
        `explicit` leaves acknowledging to the reader.
        """
        subject = node or self.node, _owner(owner), flow
        return Receiver(self._connection, self._ends, *subject, self._pace, window, start, explicit)


@dataclass(frozen=True)
class _Asked:
    """What is asked for, in the words its failures are told in. `of_service` says that a service of ours answers.

    `answerer` is whose answer is expected where the question leaves this host (`requests.LOCAL`).
    """

    subject: str
    doing: str
    who: str
    of_service: bool = True
    answerer: str | None = LOCAL
    away: str = "isn't running"

    def timed(self, headers: dict[str, str], deadline: float) -> dict[str, str]:
        """The headers with the time that is left instead of the deadline where another host's clock reads it."""
        return headers if self.answerer is LOCAL else context.within(headers, deadline)

    def left(self, deadline: float) -> float:
        """Seconds until the deadline. Raises DeadlineExceeded where there are none."""
        left = deadline - time.time()
        if left <= 0:
            raise DeadlineExceeded(f"{self.doing}: the time given was up", origin=self.subject)
        return left

    def absent(self, *, again: bool) -> Unavailable:
        """Nobody listens; where it was asked `again`, somebody did."""
        doubt = "; it may or may not have acted" if again else ""
        text = f"{self.doing}: {self.who} {self.away}{doubt}; try again once it is back"
        return Unavailable(text, origin=self.subject)

    def unanswered(self) -> DeadlineExceeded:
        """Nobody has replied."""
        text = f"{self.doing}: {self.who} hasn't answered in the time given; it may or may not have acted"
        return DeadlineExceeded(text, origin=self.subject)


def _who(service: str, id: str | None) -> str:
    return f"the {service}" if id is None else f"the {service} of {id[:12]}"


def _owner(owner: Flow | str) -> str:
    return owner if isinstance(owner, str) else owner.interface.name
