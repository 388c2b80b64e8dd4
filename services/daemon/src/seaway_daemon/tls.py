"""TLS whose client may end its half of a connection and still be answered, as Docker's clients do.

`docker run` sends close_notify as soon as it has no more input, and then reads on. asyncio's own TLS ends both halves
then (sslproto.py), so this is one that doesn't: a protocol on the plain connection, and the transport that it gives
to the protocol inside. Source: RFC 8446, section 6.1: close_notify closes one direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

log = logging.getLogger("seaway.daemon")

_PIECE = 256 * 1024

_HANDSHAKE_SECONDS = 10.0
"""For which a client may take to say who it is."""

_LINGER_SECONDS = 5.0
"""For which a client that still sends is listened to after our end: closed at once, it would lose what we said last."""


class Wraps(Protocol):
    """What makes a connection's TLS: a context, or whatever gives the newest one."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_side: bool) -> ssl.SSLObject:
        """As ssl.SSLContext does."""
        ...


class Tls(asyncio.Protocol):
    """The protocol on the plain connection."""

    def __init__(self, inner: Callable[[], asyncio.Protocol], context: Wraps) -> None:
        self._make_inner = inner
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.inner: asyncio.Protocol | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._ended = False
        self.closing = False
        self.reading = True

    # -- what the plain transport tells ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake, for a while."""
        self.outer = cast(asyncio.Transport, transport)
        self._set_clock(_HANDSHAKE_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Decrypt; after our end there is nobody to read it."""
        if not self.closing:
            self._incoming.write(data)
            self.turn()

    def eof_received(self) -> bool:
        """The client has closed the plain connection, with or without a word."""
        if self.closing or self.inner is None:
            return False
        self._incoming.write_eof()
        self.turn()
        return not self.closing

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.closing = self._ended = True
        self._stop_clock()
        if self.inner is not None:
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads slowly."""
        if self.inner is not None:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self.inner is not None:
            self.inner.resume_writing()

    # -- both ways ------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Go on as far as what has come allows."""
        try:
            if self.inner is None:
                self.object.do_handshake()
                self._begin()
            self._read()
        except ssl.SSLWantReadError:
            self.flush()
        except ssl.SSLError as error:
            log.debug("A client's TLS failed: %s", error)
            self.flush()  # the alert that says why
            self.outer.close() if self.inner is None else self.outer.abort()

    def _begin(self) -> None:
        self._stop_clock()
        self.flush()
        self.inner = self._make_inner()
        self.inner.connection_made(TlsTransport(self))

    def _read(self) -> None:
        while self.reading and not self._ended and not self.closing:
            try:
                data = self.object.read(_PIECE)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            assert self.inner is not None
            if data:
                self.inner.data_received(data)
                continue
            self._ended = True
            if not self.inner.eof_received():
                self.close()
        self.flush()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        view = memoryview(data).cast("B")
        while view.nbytes:
            view = view[self.object.write(view) :]
        self.flush()

    def flush(self) -> None:
        """Send what is encrypted."""
        if self._outgoing.pending and not self.outer.is_closing():
            self.outer.write(self._outgoing.read())

    def close(self) -> None:
        """Say that nothing more comes, and close once the client has closed, too, or after a while."""
        if self.closing:
            return
        self.closing = True
        with contextlib.suppress(ssl.SSLError):  # it waits for the client's word, which we do below
            self.object.unwrap()
        self.flush()
        if self.outer.is_closing() or not self.outer.can_write_eof():
            self.outer.close()
            return
        self.outer.write_eof()
        if not self.outer.is_reading():
            self.outer.resume_reading()
        self._set_clock(_LINGER_SECONDS)

    def _set_clock(self, seconds: float) -> None:
        self._stop_clock()
        self._clock = asyncio.get_running_loop().call_later(seconds, self.outer.abort)

    def _stop_clock(self) -> None:
        if self._clock:
            self._clock.cancel()
            self._clock = None


class TlsTransport(asyncio.Transport):
    """What the protocol inside has for a transport."""

    def __init__(self, tls: Tls) -> None:
        super().__init__()
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's TLS has it; the rest is the plain connection's."""
        if name == "ssl_object":
            return self._tls.object
        if name == "peercert":
            return self._tls.object.getpeercert()
        return self._tls.outer.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another protocol inside."""
        self._tls.inner = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol inside."""
        assert self._tls.inner is not None
        return self._tls.inner

    def is_closing(self) -> bool:
        """Whether it ends."""
        return self._tls.closing or self._tls.outer.is_closing()

    def is_reading(self) -> bool:
        """Whether the protocol gets what comes."""
        return self._tls.reading and not self.is_closing()

    def pause_reading(self) -> None:
        """Hold back what comes."""
        self._tls.reading = False
        if not self.is_closing() and self._tls.outer.is_reading():
            self._tls.outer.pause_reading()

    def resume_reading(self) -> None:
        """Go on: with what is here already first."""
        if self._tls.reading or self.is_closing():
            return
        self._tls.reading = True
        self._tls.outer.resume_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.is_closing():
            self._tls.turn()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send, encrypted; nothing once it ends."""
        if data and not self.is_closing():
            self._tls.write(data)

    def can_write_eof(self) -> bool:
        """Not by itself: `close` does."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The plain connection's."""
        self._tls.outer.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """The plain connection's."""
        return self._tls.outer.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The plain connection's."""
        return self._tls.outer.get_write_buffer_limits()

    def close(self) -> None:
        """End, once what was written is sent."""
        self._tls.close()

    def abort(self) -> None:
        """End at once."""
        self._tls.closing = True
        self._tls.outer.abort()
