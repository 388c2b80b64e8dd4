"""The one connection of a process to its nats-server, that always comes back.

It connects, and connects anew when a session ends; takes up its subscriptions again; tells who waits that it is
back; proves every few seconds that messages really go round; and keeps nothing for later. What it doesn't know:
calls, events, flows.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import logging
import random
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from seaway_protocol.errors import Error, InvalidArgument, PermissionDenied, Unavailable

from seaway_bus.session import Callback, Session, Traffic

log = logging.getLogger("seaway.bus")

_TELL_EVERY = 10.0
"""Seconds between two lines in the journal that say we still wait for the bus."""


@dataclass(frozen=True)
class Patience:
    """How long the connection waits for what; seconds."""

    connect: float = 2.0  # one attempt: TCP, greeting, authentication
    probe_every: float = 5.0  # how often the server is asked for a sign of life where none comes by itself
    probe: float = 2.0  # how long it may take to come back
    retry_first: float = 0.05  # before the second attempt to connect
    retry_most: float = 2.0  # between later attempts; jittered, so that many clients don't come at once
    settle: float = 5.0  # after a reconnect, peers may still be on their way back


@dataclass(frozen=True, eq=False)
class Subscription:
    """A subject we listen to, in this session and the next ones, under the same number."""

    sid: int
    subject: str
    callback: Callback
    queue: str = ""


@dataclass
class Connection:
    """A connection that comes back. Hooks are plain functions, called in the event loop, that must not raise."""

    url: str
    credentials: Path | None
    name: str
    inbox: str
    patience: Patience = Patience()
    on_lost: Callable[[str], object] | None = None
    tls: ssl.SSLContext | None = None
    on_disconnect: list[Callable[[], None]] = field(default_factory=list)
    on_reconnect: list[Callable[[], None]] = field(default_factory=list)
    on_violation: list[Callable[[str], None]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    reconnects: int = 0
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        self._session = Session(self.url, self._violated, self.traffic, self.tls)
        self._up = asyncio.Event()
        self._subscriptions: dict[int, Subscription] = {}
        self._numbers = itertools.count(1)
        self._returned = float("-inf")
        self._keepers: list[asyncio.Task[None]] = []
        self._farewell: asyncio.Task[object] | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    async def open(self, wait: float | None, *, absent: bool = False) -> None:
        """Connect, trying again until `wait` seconds are over (None: for ever); then, where the server may be `absent`,
        go on trying in the background.

        Raises PermissionDenied where the server refuses the credential, InvalidArgument where the credential
        can't be read, Unavailable where there is no server within `wait`.
        """
        try:
            await self._connect(wait)
        except Unavailable:
            if not absent:
                raise
            self._session.ended.set()
        loop = asyncio.get_running_loop()
        self._keepers = [
            loop.create_task(self._keep(), name="seaway-bus-connection"),
            loop.create_task(self._watch(), name="seaway-bus-watchdog"),
        ]

    async def _connect(self, wait: float | None) -> None:
        """Attempt after attempt, ever more slowly and with jitter; the errors are those of `open`."""
        deadline = None if wait is None else time.monotonic() + wait
        delay, told = self.patience.retry_first, time.monotonic() - _TELL_EVERY + 1
        while True:
            try:
                await self._attempt()
                return
            except Unavailable as error:
                if deadline is not None and time.monotonic() + delay > deadline:
                    raise
                if time.monotonic() - told > _TELL_EVERY:
                    told = time.monotonic()
                    log.warning("Waiting for the bus: %s", error)
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 - spread, not secrecy
            delay = min(delay * 1.5, self.patience.retry_most)

    async def _attempt(self) -> None:
        """One new session with all subscriptions; the errors are those of `open`."""
        session = Session(self.url, self._violated, self.traffic, self.tls)
        await session.open(self.credentials, self.name, self.patience.connect)
        self._session = session
        for each in self._subscriptions.values():
            session.subscribe(each.sid, each.subject, each.queue, each.callback)
        self._up.set()

    async def _keep(self) -> None:
        """When a session ends, make the next one; for ever."""
        while True:
            await self._session.ended.wait()
            log.warning("The connection to the bus at %s broke: %s", self.url, self._session.reason)
            self._mark_down()
            while not self._up.is_set():
                try:
                    await self._connect(None)
                except (PermissionDenied, InvalidArgument) as error:
                    self._lost(str(error))
                    await asyncio.sleep(self.patience.retry_most)
            self._back()

    def _back(self) -> None:
        log.info("Connected to the bus at %s again", self.url)
        self._returned = time.monotonic()
        self.reconnects += 1
        for hook in list(self.on_reconnect):
            hook()

    def _mark_down(self) -> None:
        """Wake whoever waits for something over the session that ended."""
        self._up.clear()
        for hook in list(self.on_disconnect):
            hook()

    async def close(self) -> None:
        """Send what was published, then leave. Never raises, and takes at most two seconds."""
        for keeper in self._keepers:
            keeper.cancel()
        await self._session.end(graceful=self._up.is_set())

    # -- use ----------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the last news of the connection was good."""
        return self._up.is_set()

    @property
    def settling(self) -> float:
        """Seconds for which a missing peer may still be on its way back, after a reconnect of our own."""
        return max(0.0, self._returned + self.patience.settle - time.monotonic())

    async def ready(self, seconds: float) -> None:
        """Wait for the connection. Raises Unavailable where it isn't there within `seconds`."""
        if self._up.is_set():
            return
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._up.wait()
        except TimeoutError:
            raise Unavailable(f"the bus at {self.url} is away: {self._session.reason}") from None

    def publish(self, subject: str, payload: bytes, reply: str = "", headers: dict[str, str] | None = None) -> None:
        """Hand a message to the server. Raises Unavailable while disconnected; nothing is kept for later."""
        if not self._up.is_set() or not self._session.alive:
            raise Unavailable(f"cannot publish on {subject}: the bus at {self.url} is away")
        self._session.publish(subject, payload, reply, headers)

    def subscribe(self, subject: str, callback: Callback, queue: str = "") -> Subscription:
        """Have `callback` called with what arrives on a subject; in later sessions too.

        Of all that name the same `queue`, one gets it.
        """
        subscription = Subscription(next(self._numbers), subject, callback, queue)
        self._subscriptions[subscription.sid] = subscription
        if self._up.is_set():  # else the session that is being made takes it up
            self._session.subscribe(subscription.sid, subject, queue, callback)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop a subscription: nothing is handed over any more."""
        if self._subscriptions.pop(subscription.sid, None):
            self._session.unsubscribe(subscription.sid)
            self._session.forget(subscription.sid)

    async def drain(self, subscriptions: Iterable[Subscription], seconds: float) -> None:
        """Stop subscriptions, and return when all that the server has sent to them is handed over."""
        session = self._session
        for each in subscriptions:
            if self._subscriptions.pop(each.sid, None):
                session.unsubscribe(each.sid)
        with contextlib.suppress(OSError):
            await session.round_trip(seconds)
        for each in subscriptions:
            session.forget(each.sid)

    async def round_trip(self, seconds: float) -> float:
        """Seconds the server takes to answer; when it has, everything sent before has reached it.

        Raises TimeoutError or Unavailable.
        """
        if not self._up.is_set():
            raise Unavailable(f"the bus at {self.url} is away")
        started = time.monotonic()
        try:
            await self._session.round_trip(seconds)
        except TimeoutError:
            raise
        except OSError as error:
            raise Unavailable(f"the connection to the bus at {self.url} broke") from error
        return time.monotonic() - started

    async def settle(self, seconds: float) -> None:
        """Wait until everything sent and subscribed before has reached the server, over a reconnect if need be.

        Raises Unavailable where it hasn't within `seconds`.
        """
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError, Unavailable):
                await self.ready(left)
                await self.round_trip(max(0.001, deadline - time.monotonic()))
                return
            await asyncio.sleep(0.01)
        raise Unavailable(f"the bus at {self.url} doesn't answer")

    # -- the watchdog -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """End a session that nothing comes through although it is there.

        Messages that came since the last look are proof enough; else the server is asked. Three sessions in a row
        that carried nothing mean that this process can't be trusted with its connection: it is reported lost.
        """
        failures = forced = seen = 0
        while True:
            await asyncio.sleep(self.patience.probe_every if not failures else 0.1)
            await self._up.wait()
            session = self._session
            if not failures and session.received != seen:
                seen = session.received
                continue
            try:
                await self.round_trip(self.patience.probe)
                failures = forced = 0
            except (TimeoutError, Error):
                failures += 1
            seen = session.received
            if failures < 2 or not self._up.is_set() or session is not self._session:
                continue
            failures, forced = 0, forced + 1
            log.warning("The bus at %s does not answer; connecting anew", self.url)
            if forced == 3:
                self._lost(f"the bus at {self.url} takes connections but carries no messages")
            await session.end()

    # -- what goes wrong ----------------------------------------------------------------------------------------

    def _violated(self, text: str) -> None:
        log.error("The bus refused %s: %s", self.name, text)
        self.violations.append(text)
        del self.violations[:-100]
        for hook in list(self.on_violation):
            hook(text)

    def _lost(self, why: str) -> None:
        log.error("Lost the bus: %s", why)
        result = self.on_lost(why) if self.on_lost else None
        if inspect.iscoroutine(result):
            self._farewell = asyncio.get_running_loop().create_task(result)
