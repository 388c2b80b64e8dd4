"""Who is at the other end of a connection: known once, when it is made, and never from what a request says.

    a unix socket               whoever may open it, by user id; their user and process are noted
    TCP                         the client certificate's common name, or its first alternative name
    a unix socket, from root    whom this host's fleet service speaks for: the connection begins with one line,
                                `SEAWAY-ACTOR {…}`, for a request that another host's daemon has let in

Root on a host can so ask in anybody's name, on that host alone: it could do everything there anyway.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import pwd
import socket
import struct
from collections.abc import Mapping
from typing import Any

import msgspec
from seaway_protocol.actor import ADMIN, Actor
from seaway_protocol.enrolment import HOST_UNIT

BEGINNING = b"SEAWAY-ACTOR "
"""What the fleet service's line begins with; no HTTP request does."""

_LONGEST = 16 * 1024
"""Bytes of that line."""

_UCRED = struct.Struct("3i")
"""pid, uid, gid. Source: unix(7), SO_PEERCRED."""

NOBODY = Actor(name="")
"""Nobody is known: nothing is allowed."""


class NotAnActor(Exception):
    """The line of the fleet service can't be understood."""


def peer(transport: asyncio.BaseTransport) -> tuple[Actor, bool]:
    """Who has made a connection, and whether they may speak for others, which root alone may on a unix socket."""
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        certificate = transport.get_extra_info("peercert") or {}
        shown = tls.getpeercert(binary_form=True) or b""
        return of_certificate(certificate, shown, _address(transport.get_extra_info("peername"))), False
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family != socket.AF_UNIX:
        return NOBODY, False
    pid, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Actor(name=_user(uid), role=ADMIN, address=f"unix:{pid}"), uid == 0


def of_certificate(certificate: Mapping[str, Any], shown: bytes, address: str) -> Actor:
    """Who shows a certificate, as `ssl` describes it. They have no role yet; without any name they are nobody.

    So is a host of a fleet: what its key is for is its leaf, not the engines of others.
    """
    if ("organizationalUnitName", HOST_UNIT) in (pair for part in certificate.get("subject", ()) for pair in part):
        return NOBODY
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    names += [value for _, value in certificate.get("subjectAltName", ())]
    if not names:
        return NOBODY
    return Actor(name=names[0], address=address, certificate=hashlib.sha256(shown).hexdigest())


def spoken_for(line: bytes) -> Actor:
    """Whom the fleet service speaks for. Raises NotAnActor."""
    try:
        actor = msgspec.json.decode(line.removeprefix(BEGINNING), type=Actor)
    except msgspec.DecodeError as error:
        raise NotAnActor(str(error)) from None
    if not actor.name or not actor.node:
        raise NotAnActor("it names no actor or no host")
    return actor


class Opening:
    """The first bytes of a connection whose peer may speak for others: is it the line, or a request already?"""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> tuple[Actor | None, bytes] | None:
        """None while that isn't clear; else whom the peer speaks for, if anybody, and what follows.

        Raises NotAnActor.
        """
        self._held += data
        if not self._held.startswith(BEGINNING[: len(self._held)]):
            return None, self._held
        line, found, rest = self._held.partition(b"\r\n")
        if found:
            return spoken_for(line), rest
        if len(self._held) > _LONGEST:
            raise NotAnActor("its line has no end")
        return None


def _address(peer_name: Any) -> str:
    return f"[{peer_name[0]}]:{peer_name[1]}" if ":" in str(peer_name[0]) else f"{peer_name[0]}:{peer_name[1]}"


@functools.lru_cache(256)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
