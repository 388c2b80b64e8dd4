"""The way to this host's Engine API, for daemons of other hosts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
from collections import Counter
from pathlib import Path

from seaway_bus import Bus, Endpoints, Receiver, Sender
from seaway_protocol import fleet
from seaway_protocol.actor import ROLES
from seaway_protocol.errors import Error, InvalidArgument, Unavailable
from seaway_protocol.fleet import Dial
from seaway_protocol.kinds import Empty

from seaway_fleet.preamble import preamble

log = logging.getLogger("seaway.fleet")

_PIECE = 64 * 1024

_MOST = 2000
"""Connections at a time; each takes two descriptors' worth of memory, and windows of a megabyte where it is full."""

_MOST_OF_NODE = 1000
"""Connections of one other host: no host can take all of them."""

_CONNECT_SECONDS = 5.0

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A subject token that means nothing but itself."""


class TunnelEndpoints:
    """Connects pairs of flows to the engine's socket, one connection each."""

    endpoints = Endpoints()

    def __init__(self, bus: Bus, engine: Path) -> None:
        self._bus = bus
        self._engine = engine
        self._tunnels: dict[tuple[str, str], asyncio.Task[None]] = {}

    @endpoints.on(fleet.dial)
    async def dial(self, request: Dial) -> Empty:
        """Open one connection; asked again for the same flows, it is there already."""
        _check(request)
        key = request.node, request.answers
        if key in self._tunnels:
            return Empty()
        self._check_room(request.node)
        connection = await self._connect()
        owner = f"fleet.{request.node}"
        requests = await self._bus.receiver(owner, request.requests)
        answers = await self._bus.sender(owner, request.answers)
        work = carry(connection, preamble(request), requests, answers)
        task = asyncio.get_running_loop().create_task(work, name=f"tunnel from {request.node}")
        self._tunnels[key] = task
        task.add_done_callback(lambda _: self._tunnels.pop(key, None))
        return Empty()

    async def stop(self) -> None:
        """End all connections."""
        tunnels = list(self._tunnels.values())
        for each in tunnels:
            each.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)

    def _check_room(self, node: str) -> None:
        of_node = Counter(asking for asking, _ in self._tunnels)[node]
        if len(self._tunnels) >= _MOST or of_node >= _MOST_OF_NODE:
            raise Unavailable(f"cannot connect to the engine: {of_node} connections of {node} are open; close some")

    async def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, str(self._engine))
        except (OSError, TimeoutError) as error:
            connection.close()
            reason = getattr(error, "strerror", None) or "it doesn't take the connection"
            raise Unavailable(f"cannot connect to the engine at {self._engine}: {reason}") from None
        return connection


def _check(request: Dial) -> None:
    """Refuse what can't be a flow or an asker, before anything is done with it."""
    for word in (request.node, request.requests, request.answers):
        if not _NAME.fullmatch(word):
            raise InvalidArgument(f"cannot connect to the engine: {word!r} isn't a name")
    if request.requests == request.answers:
        raise InvalidArgument("cannot connect to the engine: one flow can't carry both directions")
    if request.actor.role not in ROLES:
        raise InvalidArgument(f"cannot connect to the engine: no role {request.actor.role!r}")


async def carry(connection: socket.socket, opening: bytes, requests: Receiver, answers: Sender) -> None:
    """Copy between a connection and two flows until the engine has closed it, or either side has gone.

    Nothing is said to the engine before the asker's first byte has come: who answers to a name that isn't theirs can't
    send any. Closes all three.
    """
    copying = [
        asyncio.create_task(_to_engine(connection, opening, requests), name="requests"),
        asyncio.create_task(_from_engine(connection, answers), name="answers"),
    ]
    try:
        # The end of the requests is passed on as such; the end of the answers is the end of both.
        done, _ = await asyncio.wait(copying, return_when=asyncio.FIRST_EXCEPTION)
        failure = next((each.exception() for each in done if each.exception()), None)
        if failure:
            log.debug("A connection to the engine broke off: %s", failure)
    finally:
        for each in copying:
            each.cancel()
        await asyncio.gather(*copying, return_exceptions=True)
        connection.close()
        await requests.aclose()
        await answers.abort()


class _Over(Exception):
    """The engine has closed the connection, and the asker knows."""


async def _to_engine(connection: socket.socket, opening: bytes, requests: Receiver) -> None:
    loop = asyncio.get_running_loop()
    async for _, data in requests:
        await loop.sock_sendall(connection, opening + data)
        opening = b""
    connection.shutdown(socket.SHUT_WR)


async def _from_engine(connection: socket.socket, answers: Sender) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(connection, _PIECE):
            await answers.write(data)
    except ConnectionError:
        with contextlib.suppress(Error):
            await answers.close(Unavailable("the engine has broken off the connection"))
        raise
    await answers.close()
    raise _Over
