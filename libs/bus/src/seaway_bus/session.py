"""One life of a connection to a nats-server: from its greeting to its end. It never reconnects; `connection` makes a
new one.

What is said within one turn of the loop goes out in one write. What arrives is handed over at once, within the read:
there is no queue that could overflow and no task that could die unnoticed.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import nkeys
from seaway_protocol.errors import InvalidArgument, PermissionDenied, Unavailable

from seaway_bus import wire
from seaway_bus.wire import Control, Info, Msg

log = logging.getLogger("seaway.bus")

Callback = Callable[[Msg], object]


@dataclass
class Traffic:
    """What has gone over the connection, in all its sessions."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0


MOST_UNSENT = 32 * 1024 * 1024
"""Bytes that may wait for a server which doesn't read, before publishing is refused."""


@dataclass(frozen=True)
class Identity:
    """What a `.creds` file holds."""

    jwt: str
    seed: str

    @classmethod
    def read(cls, path: Path) -> Identity:
        """The identity in a file. Raises InvalidArgument where it can't be read or isn't one."""
        try:
            lines = path.read_text().splitlines()
            return cls(
                lines[lines.index("-----BEGIN NATS USER JWT-----") + 1].strip(),
                lines[lines.index("-----BEGIN USER NKEY SEED-----") + 1].strip(),
            )
        except OSError as error:
            raise InvalidArgument(f"cannot read the bus credential {path}: {error.strerror}") from error
        except (ValueError, IndexError):
            raise InvalidArgument(f"cannot use the bus credential {path}: it isn't a NATS .creds file") from None

    def proof(self, nonce: str) -> dict[str, str]:
        """Who we say we are, and the server's nonce signed with the key that belongs to it."""
        signature = nkeys.from_seed(bytearray(self.seed.encode())).sign(nonce.encode())
        return {"jwt": self.jwt, "sig": base64.urlsafe_b64encode(signature).rstrip(b"=").decode()}


class Session(asyncio.Protocol):
    """A connection, and the moment it ends. `violated` is called with what the server refuses us.

    What goes over it is added to `traffic`.
    """

    def __init__(
        self, url: str, violated: Callable[[str], None], traffic: Traffic, tls: ssl.SSLContext | None = None
    ) -> None:
        self.ended = asyncio.Event()
        self.error: Exception | None = None
        self.received = 0
        self._url = url
        self._violated = violated
        self._tls = tls
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = wire.Parser()
        self._info: asyncio.Future[Info] = self._loop.create_future()
        self._most = Info().max_payload
        self._unsent: list[bytes] = []
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._callbacks: dict[int, Callback] = {}
        self._joined = False

    # -- life ---------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the server has taken us in, and nothing has ended since."""
        return self._joined and not self.ended.is_set()

    @property
    def reason(self) -> str:
        """Why it isn't there, in words."""
        return say(self.error) if self.error else "no connection"

    async def open(self, credentials: Path | None, name: str, seconds: float) -> None:
        """Connect; one attempt of `seconds`.

        Raises PermissionDenied where we are refused, InvalidArgument where the credential can't be read, Unavailable
        where nobody is there.
        """
        identity = Identity.read(credentials) if credentials else None
        try:
            async with asyncio.timeout(seconds):
                await self._greet(identity, name)
        except (OSError, TimeoutError) as error:
            slow = isinstance(error, TimeoutError) and not str(error)
            self.error = self.error or (OSError(f"no answer within {seconds:g} s") if slow else error)
            await self.end()
            if isinstance(self.error, _Refusal) and self.error.of_credential:
                raise PermissionDenied(
                    f"cannot join the bus at {self._url}: it refused the credential {credentials or '(none)'}"
                ) from error
            raise Unavailable(f"cannot reach the bus at {self._url}: {self.reason}") from error
        except BaseException:
            await self.end()
            raise
        self._joined = True

    async def _greet(self, identity: Identity | None, name: str) -> None:
        """INFO from the server, CONNECT and PING from us, PONG from a server that takes us in."""
        host, colon, port = self._url.removeprefix("nats://").rpartition(":")
        if not (colon and port.isdigit()):
            raise InvalidArgument(f"cannot use {self._url!r} as the bus: it has no form like nats://127.0.0.1:4522")
        await self._loop.create_connection(lambda: self, host.strip("[]"), int(port), ssl=self._tls)
        info = await self._info
        if info.tls_required and not self._tls:
            raise OSError("it wants TLS, which nobody speaks to a bus on the same host")
        self._most = info.max_payload
        options: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "lang": "python",
            "version": "seaway",
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "name": name,
            **(identity.proof(info.nonce) if identity else {}),
        }
        self._write(wire.connect(options))
        await self._pong()

    async def end(self, graceful: bool = False) -> None:
        """Leave, after sending what was published where it is `graceful`. Never raises, takes two seconds at most."""
        if self._transport:
            if graceful:
                self._flush()
                self._transport.close()
                await asyncio.wait([asyncio.ensure_future(self.ended.wait())], timeout=2.0)
            self._transport.abort()
        self._over()

    # -- what we say --------------------------------------------------------------------------------------------

    def publish(self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None) -> None:
        """Raises InvalidArgument for what can't be sent, Unavailable where the server doesn't take any more."""
        if len(payload) > self._most:
            raise InvalidArgument(
                f"cannot publish on {subject}: the payload has {len(payload)} bytes and the bus carries {self._most}"
            )
        if self._transport and self._transport.get_write_buffer_size() > MOST_UNSENT:
            raise Unavailable(f"cannot publish on {subject}: the bus at {self._url} doesn't read")
        self._traffic.messages_out += 1
        self._write(*wire.publish(subject, reply, payload, headers))

    def subscribe(self, sid: int, subject: str, queue: str, callback: Callback) -> None:
        """Have `callback` called with what arrives on a subject. `sid` is a number nobody else uses."""
        self._callbacks[sid] = callback
        self._write(wire.subscribe(subject, queue, sid))

    def unsubscribe(self, sid: int) -> None:
        """Ask for no more. What is on its way still arrives, until `forget`."""
        self._write(wire.unsubscribe(sid))

    def forget(self, sid: int) -> None:
        """Hand over no more."""
        self._callbacks.pop(sid, None)

    async def round_trip(self, seconds: float) -> None:
        """Return when the server has taken all that was sent before. Raises TimeoutError, or Unavailable."""
        await asyncio.wait_for(self._pong(), seconds)

    def _pong(self) -> asyncio.Future[None]:
        """The answer to a PING. The server answers each, in their order: one that comes too late is still taken."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._pongs.append(future)
        self._write(wire.PING)
        return future

    def _write(self, *pieces: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += pieces

    def _flush(self) -> None:
        if self._unsent and self._transport and not self.ended.is_set():
            data = b"".join(self._unsent)
            self._traffic.bytes_out += len(data)
            self._transport.write(data)
        self._unsent.clear()

    # -- what arrives -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The server's address has been reached."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand over what is complete."""
        self._traffic.bytes_in += len(data)
        try:
            for said in self._parser.feed(data):
                if isinstance(said, Msg):
                    self._hand_over(said)
                else:
                    self._heed(said)
        except ValueError as error:
            self.error = OSError(f"it doesn't speak NATS: {error}")
            if self._transport:
                self._transport.abort()

    def _hand_over(self, message: Msg) -> None:
        self.received += 1
        self._traffic.messages_in += 1
        callback = self._callbacks.get(message.sid)
        if callback is None:
            return
        try:
            callback(message)
        except Exception:
            log.exception("Cannot take a message on %s", message.subject)

    def _heed(self, control: Control) -> None:
        match control.verb:
            case "PING":
                self._write(wire.PONG)
            case "PONG":
                future = self._pongs.popleft() if self._pongs else None
                if future and not future.done():
                    future.set_result(None)
            case "INFO" if not self._info.done():
                self._info.set_result(msgspec.json.decode(control.text, type=Info))
            case "-ERR":
                self._refused(control.text.decode(errors="replace").strip(" '"))

    def _refused(self, text: str) -> None:
        if text.lower().startswith("permissions violation"):
            self._violated(text)
        else:
            log.debug("The bus says: %s", text)
            self.error = _Refusal(text)

    def connection_lost(self, error: Exception | None) -> None:
        """The server is gone, or we are."""
        self.error = self.error or error or OSError("it closed the connection")
        self._over()

    def _over(self) -> None:
        """Wake whoever waits for an answer that won't come."""
        self.ended.set()
        waiting: list[asyncio.Future[Any]] = [self._info, *self._pongs]
        for future in waiting:
            if not future.done():
                future.set_exception(OSError(self.reason))
                future.exception()  # perhaps nobody asks
        self._pongs.clear()


class _Refusal(OSError):
    """What the server said before it hung up."""

    @property
    def of_credential(self) -> bool:
        return any(word in str(self).lower() for word in ("authorization", "authentication"))


def say(error: Exception) -> str:
    """An error in words."""
    return str(error) or type(error).__name__
