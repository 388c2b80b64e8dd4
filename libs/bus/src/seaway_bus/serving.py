"""Answers the calls of one interface: decode, hand over, encode, reply. One task per request, bounded.

Any `nats` client finds the service with `$SRV.PING`, `INFO` and `STATS` (`discovery`).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import secrets
import time
from typing import Any

from seaway_protocol import page
from seaway_protocol.errors import DeadlineExceeded, Error, Internal, Unavailable, Unsupported
from seaway_protocol.kinds import ANSWERS, Call, Interface, Message
from seaway_service.metrics import Histogram

from seaway_bus import context, failures
from seaway_bus.answers import Answer, Answers
from seaway_bus.codec import decode, encode
from seaway_bus.connection import Connection, Subscription
from seaway_bus.discovery import DISCOVERY, QUEUE, Face, Tally
from seaway_bus.endpoints import Handler
from seaway_bus.requests import LOST
from seaway_bus.wire import Msg

log = logging.getLogger("seaway.bus")

CONCURRENT = 256
"""Requests of one call handled at a time; more wait in their order. Calls don't take each other's room."""

_ANSWERED = ("_INBOX",)
"""How the reply subjects of requests begin that stay on a host's bus."""


class Served:
    """An interface being answered. `stop` takes it off the bus once the requests being handled are answered."""

    def __init__(
        self, connection: Connection, interface: Interface, handlers: dict[Call[Any, Any], Handler], node: str
    ) -> None:
        self._connection = connection
        self.interface = interface
        self._answers_to = _ANSWERED if interface.reach == "host" else (f"{ANSWERS}.",)
        self._signature = node if interface.reach in ("everyone", "leader") else ""
        self._calls = {call.name: (call, handler) for call, handler in handlers.items()}
        self._answers = Answers()
        self._rooms = {call.name: asyncio.Semaphore(CONCURRENT) for call in handlers}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unanswered: set[str] = set()
        self.tallies = {call.name: Tally() for call in handlers}
        self.took = Histogram("call")
        self._subscriptions: list[Subscription] = []

    async def start(self, version: str, address: dict[str, str]) -> None:
        """Listen, in this session of the connection and the next ones.

        When this returns, the server routes requests here.
        """
        self._face = Face(
            name=f"seaway-{self.interface.name}",
            version=version,
            description=self.interface.doc or self.interface.name,
            metadata={**address, "interface": str(self.interface.version), "protocol": protocol_digest()},
            endpoints={call.name: (call.subject(**address), call.doc) for call, _ in self._calls.values()},
        )
        queue = "" if self.interface.reach == "everyone" else QUEUE
        await self._connection.ready(10.0)
        self._subscriptions = [
            self._connection.subscribe(f"{self.interface.subject.format(**address)}.*", self._accept, queue),
            self._connection.subscribe(DISCOVERY, self._discovered),
        ]
        await self._connection.settle(10.0)

    async def stop(self, seconds: float = 5.0) -> None:
        """Take no more requests, and give those being handled `seconds` to finish; the rest are cancelled."""
        subscriptions, self._subscriptions = self._subscriptions, []
        if subscriptions:
            await self._connection.drain(subscriptions, seconds)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=seconds)
            for task in late:
                task.cancel()

    def _discovered(self, message: Msg) -> None:
        """Somebody looks for services."""
        if message.reply:
            with contextlib.suppress(Unavailable):
                if (answer := self._face.answer(message.subject, self.tallies)) is not None:
                    self._connection.publish(message.reply, answer)

    # -- one request --------------------------------------------------------------------------------------------

    def _accept(self, request: Msg) -> None:
        """Start handling. What wants no answer is no call of ours: nobody would learn what came of it.

        Nor is what wants it elsewhere than where answers go: whoever asks must not have us speak in our name to others.
        """
        if not request.reply.startswith(self._answers_to):
            return
        name = request.subject.rpartition(".")[2]
        if name not in self._calls:
            self._refuse(request, name)
            return
        if asked := request.headers.get(context.PENDING):
            self._tell_pending(request, asked)
            return
        call, handler = self._calls[name]
        self._unanswered.add(request.reply)
        task = asyncio.get_running_loop().create_task(self._handle(call, handler, request), name=f"answer {call.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _reply(self, request: Msg, payload: bytes, headers: dict[str, str] | None = None) -> None:
        """Answer; where many may, in our node's name. Raises Unavailable while the bus is away."""
        to = f"{request.reply.rpartition('.')[0]}.{self._signature}" if self._signature else request.reply
        self._connection.publish(to, payload, headers=headers)

    def _tell_pending(self, question: Msg, asked: str) -> None:
        """Say whether the request whose reply goes to `asked` is being handled here."""
        with contextlib.suppress(Unavailable):
            self._reply(question, b"" if asked in self._unanswered else LOST)

    def _refuse(self, request: Msg, name: str) -> None:
        """A call that only a later version of us knows."""
        error = Unsupported(f"cannot {name}: the {self.interface.name} of this version has no such call")
        headers, body = failures.to_reply(error, f"{self.interface.name} at {request.subject}")
        with contextlib.suppress(Unavailable):
            self._reply(request, body, headers)

    async def _handle(self, call: Call[Any, Any], handler: Handler, request: Msg) -> None:
        tally, started = self.tallies[call.name], time.monotonic()
        tally.asked += 1
        tally.running += 1
        try:
            async with self._rooms[call.name]:
                answer = await self._answer(call, handler, request)
            self._reply(request, answer.payload, answer.headers)
            tally.answered += 1
            tally.failed += answer.failed
        except Unavailable:
            log.debug("The answer to %s is not sent: the bus is away; the caller asks again", call.name)
        finally:
            self._unanswered.discard(request.reply)
            tally.running -= 1
            took = time.monotonic() - started
            tally.seconds += took
            self.took.observe(took, f"{self.interface.name}.{call.name}")
            log.debug("Handled %s in %.1f ms", call.name, took * 1000)

    async def _answer(self, call: Call[Any, Any], handler: Handler, request: Msg) -> Answer:
        headers = request.headers
        deadline = context.enter(headers)
        context.handle(f"{self.interface.name}.{call.name}")
        act = functools.partial(self._act, call, handler, request.data, request.subject, deadline)
        key = headers.get(context.REQUEST) if call.changes else None
        return await (self._answers.once(f"{call.name} {key}", act) if key else act())

    async def _act(
        self, call: Call[Any, Any], handler: Handler, payload: bytes, subject: str, deadline: float | None
    ) -> Answer:
        """Run the handler; whatever it raises becomes an answer."""
        try:
            if deadline is not None and deadline <= time.time():
                raise DeadlineExceeded(f"cannot {call.name}: the request arrived after its deadline; nothing was done")
            message = decode(payload, call.request, f"the request of {subject}")
            reply = await self._run(call, handler, message, deadline)
            return Answer(encode(reply, f"the answer of {subject}"))
        except Error as error:
            failure = error
        except Exception as error:
            failure = _unexpected(error, subject)
        headers, body = failures.to_reply(failure, f"{self.interface.name} at {subject}")
        return Answer(body, headers, failed=True)

    async def _run(self, call: Call[Any, Any], handler: Handler, message: Message, deadline: float | None) -> Message:
        """A call that only asks ends at its deadline; one that changes something is never cut in the middle."""
        if call.changes or deadline is None:
            return await handler(message)
        try:
            async with asyncio.timeout(max(0.001, deadline - time.time())):
                return await handler(message)
        except TimeoutError:
            if deadline > time.time() + 0.001:
                raise
            raise DeadlineExceeded(f"cannot {call.name}: the time given was up") from None


def _unexpected(error: Exception, subject: str) -> Error:
    """What the caller is told of an exception nobody foresaw: an id that also stands in the journal, nothing else."""
    id = secrets.token_hex(4)
    log.exception("Unexpected failure %s while answering %s", id, subject, exc_info=error)
    return Internal(f"an unexpected failure in the service; look for {id} in its journal")


@functools.cache
def protocol_digest() -> str:
    """The digest of the protocol this service was built with. Made once a process: a template pays for its forks."""
    return page.digest()
