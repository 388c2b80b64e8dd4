"""Raw streams of attach and exec: a connection taken over from the HTTP server, with half-close and back-pressure.

aiohttp has no supported way to do this, so this is the one place that reaches for its transport:

    Connection      the HTTP server's protocol; holds back what a client sends behind a request to upgrade
    take_socket     the connection itself: the server goes on without it
    RawConnection   for TLS: the protocol that takes the server's place on the transport
    TakenOver       the answer returned to the server, which then only closes the transport
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol, cast

from aiohttp import web

from seaway_daemon.access.identity import NOBODY, NotAnActor, Opening, peer
from seaway_daemon.headers import STANDARD_HEADERS, traced

log = logging.getLogger("seaway.daemon")

_MOST = 256 * 1024
"""Bytes read ahead of the reader; beyond that the client isn't read from."""

_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*tcp[ \t]*\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*\r\n", re.IGNORECASE)


def upgrade_length(data: bytes) -> int:
    """The bytes of the request to upgrade at the beginning of `data`, with its body; 0 where there is none."""
    if not data.startswith(b"POST "):
        return 0
    end = data.find(b"\r\n\r\n")
    if end < 0 or not _UPGRADE.search(data, 0, end + 2):
        return 0
    length = _LENGTH.search(data, 0, end + 2)
    return end + 4 + (int(length[1]) if length else 0)


class Closeable(Protocol):
    """What ends with a client's connection."""

    async def close(self) -> None:
        """End it."""
        ...


_closing: set[asyncio.Task[None]] = set()


class Connection(web.RequestHandler):  # type: ignore[type-arg, misc, unused-ignore]
    """The server's side of one client connection. What follows a request to upgrade isn't HTTP: it is held back."""

    __slots__ = ("_body_left", "_held", "_opening", "actor", "ways")

    def __init__(self, manager: web.Server, **options: Any) -> None:  # type: ignore[type-arg, unused-ignore]
        super().__init__(manager, **options)
        self._held: bytearray | None = None
        self._body_left = 0
        self._opening: Opening | None = None
        self.actor = NOBODY
        self.ways: dict[str, Closeable] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who is there."""
        self.actor, may_speak_for_others = peer(transport)
        self._opening = Opening() if may_speak_for_others else None
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Let go of the ways to other hosts that were this client's."""
        ways, self.ways = self.ways, {}
        for way in ways.values():
            task = asyncio.get_running_loop().create_task(way.close(), name="a client's ways end")
            _closing.add(task)
            task.add_done_callback(_closing.discard)
        super().connection_lost(exc)

    def _opened(self, data: bytes) -> bytes:
        """What of the first bytes is HTTP: they may say for whom the peer speaks."""
        assert self._opening
        try:
            found = self._opening.feed(data)
        except NotAnActor as error:
            log.warning("Cannot let in whom the fleet service speaks for: %s", error)
            self._opening, self.actor = None, NOBODY
            if self.transport:
                self.transport.abort()
            return b""
        if found is None:
            return b""
        self._opening, (actor, rest) = None, found
        self.actor = actor or self.actor
        return rest

    def data_received(self, data: bytes) -> None:
        """Hand requests to the parser, and keep the rest where a request asked to upgrade.

        Without data the parser is to go on with what it has: aiohttp calls so when a body's reader has caught up.
        """
        if not data:
            super().data_received(data)
            return
        if self._opening and not (data := self._opened(data)):
            return
        if self._held is not None:
            data = self._hold(data)
        elif length := upgrade_length(data):
            self._held, self._body_left = bytearray(), max(0, length - len(data))
            self._held += data[length:]
            data = data[:length]
        if data:
            super().data_received(data)

    def _hold(self, data: bytes) -> bytes:
        """Keep what follows the request; the rest of its body is returned."""
        assert self._held is not None
        body, rest = data[: self._body_left], data[self._body_left :]
        self._body_left -= len(body)
        self._held += rest
        if len(self._held) > _MOST and self.transport:
            self.transport.pause_reading()
        return body

    def release(self) -> bytes:
        """What was held back."""
        held, self._held = bytes(self._held or b""), None
        return held


class RawConnection(asyncio.Protocol):
    """A connection after HTTP: bytes both ways. `read` gives b"" once the client has closed its half."""

    def __init__(self, transport: asyncio.Transport, before: asyncio.Protocol, leftover: bytes) -> None:
        self._transport = transport
        self._before = before
        self._buffer = bytearray(leftover)
        self._ended = False
        self._lost = False
        self._paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.on_lost: Callable[[], object] = lambda: None

    # -- what the transport tells ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Keep it for the reader, who is behind if there is much."""
        self._buffer += data
        self._arrived.set()
        if len(self._buffer) > _MOST and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client will send no more, but still reads: the connection stays."""
        self._ended = True
        self._arrived.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone both ways; the HTTP server's protocol keeps the books and must know too."""
        self._ended = self._lost = True
        self._arrived.set()
        self._writable.set()
        self._before.connection_lost(exc)
        self.on_lost()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writable.set()

    # -- for the handler ------------------------------------------------------------------------------------------

    async def read(self, most: int = _MOST) -> bytes:
        """What has come, as soon as there is something; b"" at the end."""
        while not self._buffer and not self._ended:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._buffer[:most])
        del self._buffer[:most]
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send, waiting for a client that reads slowly. Raises ConnectionResetError where it is gone."""
        if self._lost or self._transport.is_closing():
            raise ConnectionResetError("the client has closed the connection")
        self._transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """End the connection, once what was written is sent."""
        self._transport.close()


class TakenOver(web.StreamResponse):
    """The end of a request whose connection was taken over: nothing more is written, and the connection is closed."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the head was written at the take-over."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing."""


def connection_of(http: web.BaseRequest) -> Connection:
    """The connection of a request: who is at its other end, and what ends with it."""
    return cast(Connection, http.protocol)


def is_plain(http: web.BaseRequest) -> bool:
    """Whether the client's bytes are the socket's own: not so with TLS."""
    return http.transport is not None and http.transport.get_extra_info("ssl_object") is None


def take_socket(http: web.BaseRequest) -> tuple[int, bytes]:
    """A descriptor of a plain connection, which the HTTP server reads no more and then lets go of, and what it has
    read already of what isn't HTTP. Raises ConnectionResetError where the client is gone.
    """
    transport = _transport(http)
    transport.pause_reading()
    leftover = cast(Connection, http.protocol).release()
    return os.dup(transport.get_extra_info("socket").fileno()), leftover


def take_transport(http: web.BaseRequest) -> RawConnection:
    """Take a connection with TLS from the HTTP server. Raises ConnectionResetError where the client is gone."""
    transport = _transport(http)
    before = cast(Connection, http.protocol)
    raw = RawConnection(transport, before, before.release())
    transport.set_protocol(raw)
    if not transport.is_reading():
        transport.resume_reading()
    return raw


def _transport(http: web.BaseRequest) -> asyncio.Transport:
    if http.transport is None or http.transport.is_closing():
        raise ConnectionResetError("the client has closed the connection")
    return http.transport


def asks_to_upgrade(http: web.BaseRequest) -> bool:
    """Whether the request has an Upgrade header; Docker takes any."""
    return "Upgrade" in http.headers


def head(
    content_type: str, *, upgraded: bool = False, chunked: bool = False, more: Mapping[str, str] | None = None
) -> bytes:
    """The status line and headers of a body that is sent as it comes: after an upgrade, in chunks, or until the
    connection is closed, which it is in each case.
    """
    headers = {"Content-Type": content_type, "Connection": "Upgrade" if upgraded else "close"}
    headers |= {"Upgrade": "tcp"} if upgraded else {"Transfer-Encoding": "chunked"} if chunked else {}
    return _head("101 UPGRADED" if upgraded else "200 OK", {**headers, **(more or {}), **STANDARD_HEADERS, **traced()})


def whole(response: web.Response) -> bytes:
    """A complete answer as bytes, after which the connection is closed."""
    body = response.body if isinstance(response.body, bytes) else b""
    length = {} if response.status in (204, 304) else {"Content-Length": str(len(body))}
    headers = {**response.headers, **traced(), **length, "Connection": "close"}
    return _head(f"{response.status} {HTTPStatus(response.status).phrase}", headers) + body


def _head(status: str, headers: Mapping[str, str]) -> bytes:
    lines = (f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()))
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
