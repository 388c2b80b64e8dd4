"""A client's connection after its request: bytes both ways, HTTP's chunks where they are due, and what is kept of it.

Kept      a plain socket with a record: whoever has both goes on where we are
Unkept    the HTTP server's own transport, for TLS, whose state can't be handed on
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from abc import ABC, abstractmethod
from collections.abc import Callable

from seaway_protocol import audit

from seaway_daemon.conversation.record import UNIT, Record
from seaway_daemon.hijack import RawConnection

OVER = 0xFFFFFFFF
"""The phase of a conversation whose last byte was put."""

LAST_CHUNK = b"0\r\n\r\n"

_PIECE = 512 * 1024
"""Bytes that are put at a time of what is larger than a unit."""


class Conversation(ABC):
    """One client who is told something for longer than a moment.

    `mark` and `phase` say how far it is: `write` puts them down together with the bytes they stand for, so that who
    goes on neither repeats nor leaves out anything. What they mean is the topic's.
    """

    def __init__(self, *, chunked: bool) -> None:
        self.chunked = chunked
        self.gone = asyncio.Event()
        self.handed_over = False
        self.said = self.status = 0
        """Bytes that the client was sent by this daemon, and the status of the answer that they begin with."""
        self.noted: audit.Request | None = None
        """What the audit knows of it."""

    @property
    @abstractmethod
    def mark(self) -> int:
        """Where its source is to be read on."""

    @property
    @abstractmethod
    def phase(self) -> int:
        """How far the whole is."""

    @property
    @abstractmethod
    def passed(self) -> int:
        """Bytes of the client's input that nobody needs again."""

    async def write(
        self, data: bytes, *, before: bytes = b"", mark: int | None = None, phase: int | None = None
    ) -> None:
        """Tell the client, behind a head `before`; waits where it reads slowly.

        Raises ConnectionError where it is gone.
        """
        await self.raw(before + (_chunk(data) if self.chunked and data else data), mark=mark, phase=phase)

    async def end(self, data: bytes = b"") -> None:
        """Tell the client the last of it, and that it was; nothing is written afterwards."""
        body = _chunk(data) if self.chunked and data else data
        await self.raw(body + LAST_CHUNK if self.chunked else body, phase=OVER)

    async def raw(self, data: bytes, *, mark: int | None = None, phase: int | None = None) -> None:
        """Send bytes as they are: a head, or what ends a body."""
        mark, phase = self.mark if mark is None else mark, self.phase if phase is None else phase
        if not self.said and data.startswith(b"HTTP/1.1 "):
            self.status = int(data[9:12])
        self.said += len(data)
        while len(data) > UNIT:  # no event and no piece of a flow is: at worst its beginning is told twice
            await self._put(data[:_PIECE], self.mark, self.phase)
            data = data[_PIECE:]
        await self._put(data, mark, phase)

    @abstractmethod
    async def read(self, most: int) -> bytes:
        """What the client has sent, as soon as there is something; b"" at its end. It is kept until `pass_on`."""

    @abstractmethod
    def pass_on(self, count: int) -> None:
        """The first `count` bytes of all the client has sent are needed no more."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """Bytes of the client's input that were read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the connection; for the client it ends, unless somebody else holds it too."""

    @abstractmethod
    async def _put(self, data: bytes, mark: int, phase: int) -> None: ...


def _chunk(data: bytes) -> bytes:
    """One chunk of a body whose length isn't known. Source: RFC 9112, section 7.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Hangups:
    """Tells when a client has closed its socket for both ways, which asyncio's readers can't tell from one way."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._called: dict[int, Callable[[], None]] = {}
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def watch(self, descriptor: int, called: Callable[[], None]) -> None:
        """Call once it has happened."""
        self._called[descriptor] = called
        self._epoll.register(descriptor, select.EPOLLET)  # EPOLLHUP is always told, epoll_ctl(2)

    def forget(self, descriptor: int) -> None:
        """Watch no more."""
        if self._called.pop(descriptor, None):
            with contextlib.suppress(OSError):
                self._epoll.unregister(descriptor)

    def _look(self) -> None:
        for descriptor, what in self._epoll.poll(0):
            if what & (select.EPOLLHUP | select.EPOLLERR) and (called := self._called.get(descriptor)):
                called()


class Kept(Conversation):
    """A plain socket and its record."""

    def __init__(self, descriptor: int, record: Record, hangups: Hangups, *, chunked: bool) -> None:
        """The descriptor, non-blocking, and the record are ours from now on."""
        super().__init__(chunked=chunked)
        self.descriptor = descriptor
        self.record = record
        self._given = record.passed  # what is behind it was taken by a daemon before us and goes to the reader first
        self._loop = asyncio.get_running_loop()
        self._hangups = hangups
        hangups.watch(descriptor, self.gone.set)

    @property
    def mark(self) -> int:
        """Where its source is to be read on."""
        return self.record.mark

    @property
    def phase(self) -> int:
        """How far the whole is."""
        return self.record.phase

    @property
    def passed(self) -> int:
        """Bytes of the client's input that nobody needs again."""
        return self.record.passed

    @property
    def taken(self) -> int:
        """Bytes of the client's input that were read."""
        return self._given

    def close(self) -> None:
        """Close both; who holds duplicates can go on."""
        self._hangups.forget(self.descriptor)
        os.close(self.descriptor)
        self.record.close()

    async def finish(self) -> None:
        """Send what is left of the last unit. Raises ConnectionError where the client is gone."""
        while not self.record.send(self.descriptor):
            await self._ready(self._loop.add_writer, self._loop.remove_writer)

    async def _put(self, data: bytes, mark: int, phase: int) -> None:
        await self.finish()
        self.record.put(data, mark, phase)
        await self.finish()

    async def read(self, most: int) -> bytes:
        """What the client has sent, as soon as there is something."""
        if self._given < self.record.taken:
            data: bytes | None = self.record.input(self._given)[:most]
        else:
            while (data := self._receive(most)) is None:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
        assert data is not None
        self._given += len(data)
        return data

    def _receive(self, most: int) -> bytes | None:
        try:
            return self.record.receive(self.descriptor, most)
        except ConnectionError:
            return b""

    def pass_on(self, count: int) -> None:
        """The first `count` bytes are needed no more."""
        if count > self.record.passed:
            self.record.passed = min(count, self._given)

    async def _ready(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        ready = self._loop.create_future()
        add(self.descriptor, _done, ready)
        try:
            await ready
        finally:
            remove(self.descriptor)


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Unkept(Conversation):
    """The HTTP server's transport; the conversation ends with this process."""

    def __init__(self, connection: RawConnection, *, chunked: bool) -> None:
        super().__init__(chunked=chunked)
        self._connection = connection
        self._mark = self._phase = self._taken = 0
        self._passed = 0
        connection.on_lost = self.gone.set

    @property
    def mark(self) -> int:
        """Where its source is to be read on."""
        return self._mark

    @property
    def phase(self) -> int:
        """How far the whole is."""
        return self._phase

    @property
    def passed(self) -> int:
        """Bytes of the client's input that nobody needs again."""
        return self._passed

    @property
    def taken(self) -> int:
        """Bytes of the client's input that were read."""
        return self._taken

    async def _put(self, data: bytes, mark: int, phase: int) -> None:
        await self._connection.write(data)
        self._mark, self._phase = mark, phase

    async def read(self, most: int) -> bytes:
        """What the client has sent, as soon as there is something."""
        data = await self._connection.read(most)
        self._taken += len(data)
        return data

    def pass_on(self, count: int) -> None:
        """The first `count` bytes are needed no more."""
        self._passed = max(self._passed, count)

    def close(self) -> None:
        """Close the transport."""
        self._connection.close()
