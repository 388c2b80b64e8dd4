"""The NATS client protocol: bytes from a server to what they say, and what we say to bytes. Pure.

Source: https://docs.nats.io/reference/reference-protocols/nats-protocol and, for headers, the server's ADR-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from seaway_protocol.errors import InvalidArgument

_VERSION = b"NATS/1.0"
PING, PONG = b"PING\r\n", b"PONG\r\n"


@dataclass(slots=True)
class Msg:
    """A message that a subscription was sent. A status line ("503" says that nobody listens) is the header Status."""

    sid: int
    subject: str
    reply: str
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)


def is_nobody(reply: Msg) -> bool:
    """Whether it is the server's word that nobody listens to what was asked."""
    return not reply.data and reply.headers.get("Status") == "503"


@dataclass(slots=True)
class Control:
    """Anything else: INFO, PING, PONG, +OK, -ERR, and the rest of its line."""

    verb: str
    text: bytes


class Info(msgspec.Struct):
    """What a server says of itself, as far as we care."""

    max_payload: int = 1 << 20
    nonce: str = ""
    headers: bool = False
    tls_required: bool = False


class Parser:
    """Cuts the stream of a server's bytes; keeps what isn't complete yet."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Msg | Control]:
        """What these bytes complete. Raises ValueError where they aren't the protocol."""
        buffer = self._rest + data if self._rest else data
        said: list[Msg | Control] = []
        begin = 0
        while (end := buffer.find(b"\r\n", begin)) >= 0:
            line = buffer[begin:end]
            end += 2
            if line.startswith((b"MSG ", b"HMSG ")):
                words = line.split()
                last = end + int(words[-1])
                if len(buffer) < last + 2:
                    break
                said.append(_message(words, buffer[end:last]))
                end = last + 2
            else:
                verb, _, text = line.partition(b" ")
                said.append(Control(verb.decode().upper(), text))
            begin = end
        self._rest = buffer[begin:]
        return said


def _message(words: list[bytes], body: bytes) -> Msg:
    """`MSG subject sid [reply] size` or `HMSG subject sid [reply] header total`, and what follows it."""
    subject, sid = words[1].decode(), int(words[2])
    if words[0] == b"MSG":
        return Msg(sid, subject, words[3].decode() if len(words) == 5 else "", body)
    size = int(words[-2])
    reply = words[3].decode() if len(words) == 6 else ""
    return Msg(sid, subject, reply, body[size:], headers_in(body[:size]))


def headers_in(block: bytes) -> dict[str, str]:
    """What a block of headers says: `NATS/1.0[ status[ text]]` and lines of `Name: value`.

    Of a name that comes twice, the last counts.
    """
    first, *lines = block.decode(errors="replace").split("\r\n")
    headers = {}
    if status := first[len(_VERSION) :].split():
        headers["Status"] = status[0]
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name] = value.strip()
    return headers


def connect(options: Mapping[str, object]) -> bytes:
    """Who we are and what we understand."""
    return b"CONNECT " + msgspec.json.encode(options) + b"\r\n"


def subscribe(subject: str, queue: str, sid: int) -> bytes:
    """Send us what is published on a subject; to one of all in the same `queue`, where it has a name."""
    _check(subject)
    return f"SUB {subject} {queue} {sid}\r\n".encode() if queue else f"SUB {subject} {sid}\r\n".encode()


def unsubscribe(sid: int) -> bytes:
    """Send no more."""
    return b"UNSUB %d\r\n" % sid


def publish(subject: str, reply: str, payload: bytes, headers: Mapping[str, str] | None) -> list[bytes]:
    """A message, in pieces. Raises InvalidArgument where the subject can't be one."""
    _check(subject)
    to = f"{subject} {reply}" if reply else subject
    if not headers:
        return [f"PUB {to} {len(payload)}\r\n".encode(), payload, b"\r\n"]
    lines = "".join(f"{name}: {' '.join(value.splitlines())}\r\n" for name, value in headers.items())
    block = b"%b\r\n%b\r\n" % (_VERSION, lines.encode())
    return [f"HPUB {to} {len(block)} {len(block) + len(payload)}\r\n".encode(), block, payload, b"\r\n"]


def _check(subject: str) -> None:
    if not subject or " " in subject or not subject.isprintable():
        raise InvalidArgument(f"cannot use {subject!r}: it isn't a subject")
