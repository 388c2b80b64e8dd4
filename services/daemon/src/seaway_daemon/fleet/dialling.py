"""Connections to other hosts' engines: a pair of flows that the other host's fleet service joins with a connection of
its own (`fleet.dial`), and HTTP over it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from seaway_bus import Bus
from seaway_protocol import fleet
from seaway_protocol.actor import Actor
from seaway_protocol.errors import Error, PermissionDenied, Unavailable

from seaway_daemon.conversation.topics import Tunnel
from seaway_daemon.streams import Flows

_PIECE = 64 * 1024

_KEPT_SECONDS = 30.0
"""For which an idle connection is kept; engines keep theirs for longer."""


def new_tunnel(bus: Bus, node: str, *, head: bytes = b"") -> Tunnel:
    """A pair of flows that nobody uses yet."""
    return Tunnel(node=node, requests=bus.new_flow(), answers=bus.new_flow(), head=head)


async def flows_of(bus: Bus, tunnel: Tunnel, *, mark: int = 0, passed: int = 0, explicit: bool = True) -> Flows:
    """Our ends of a tunnel, from `mark` of the answers and `passed` of what the client sends on.

    Its subjects are ours alone among all hosts' of the fleet: `sw1.io.<other>.fleet.<us>.…`. Where nothing of what the
    client sends has passed, the head is still to be written: the other end takes each offset once.
    """
    owner = f"fleet.{bus.node}"
    start = len(tunnel.head) + passed if passed else 0
    answers = await bus.receiver(owner, tunnel.answers, node=tunnel.node, start=mark, explicit=explicit)
    requests = await bus.sender(owner, tunnel.requests, node=tunnel.node, start=start)
    return Flows(answers, requests, before=len(tunnel.head))


async def dial(bus: Bus, tunnel: Tunnel, actor: Actor, *, explicit: bool = True) -> Flows:
    """Open a connection to a host's engine for `actor`. Raises Unavailable, PermissionDenied in the asker's words."""
    flows = await flows_of(bus, tunnel, explicit=explicit)
    request = fleet.Dial(actor=actor, node=bus.node, requests=tunnel.requests, answers=tunnel.answers)
    try:
        await bus.call(fleet.dial, request, node=tunnel.node)
    except BaseException as error:
        await flows.close()
        if isinstance(error, Unavailable):
            raise Unavailable(_unreachable(tunnel.node, error), origin=error.origin) from None
        if isinstance(error, PermissionDenied):
            text = f"cannot reach {tunnel.node}: this host may not ask other hosts of the fleet"
            raise PermissionDenied(text, origin=error.origin) from None
        raise
    return flows


def _unreachable(node: str, error: Error) -> str:
    if "isn't running" in error.text:
        return f"cannot reach {node}: no host of that name is in the fleet, or it can't be reached now"
    return f"cannot reach {node}: {error.text}"


class Way:
    """One client's HTTP connections to one host: as many as it uses at a time, which is one."""

    def __init__(self, bus: Bus, node: str, actor: Actor) -> None:
        self.actor = actor
        self.session = aiohttp.ClientSession(
            connector=_Connector(bus, node, actor),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            auto_decompress=False,
            max_line_size=32 * 1024,
            max_field_size=64 * 1024,
        )

    async def close(self) -> None:
        """End its connections."""
        await self.session.close()


class _Connector(aiohttp.BaseConnector):
    """Makes aiohttp's client connections out of flows: a pair of sockets, of which we hold the other end."""

    def __init__(self, bus: Bus, node: str, actor: Actor) -> None:
        super().__init__(keepalive_timeout=_KEPT_SECONDS, limit=0)
        self._bus, self._node, self._actor = bus, node, actor
        self._copying: set[asyncio.Task[None]] = set()

    async def _create_connection(self, *_: Any) -> ResponseHandler:
        tunnel = new_tunnel(self._bus, self._node)
        flows = await dial(self._bus, tunnel, self._actor, explicit=False)
        theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        task = asyncio.get_running_loop().create_task(_carry(ours, flows), name=f"tunnel to {self._node}")
        self._copying.add(task)
        task.add_done_callback(self._copying.discard)
        made = await asyncio.get_running_loop().create_connection(self._factory, sock=theirs)
        return made[1]


async def _carry(ours: socket.socket, flows: Flows) -> None:
    """Copy until either side has closed: HTTP never closes half."""
    copying = [asyncio.create_task(each) for each in (_out(ours, flows), _in(ours, flows))]
    try:
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in copying:
            each.cancel()
        await asyncio.gather(*copying, return_exceptions=True)
        ours.close()
        await flows.close()


async def _out(ours: socket.socket, flows: Flows) -> None:
    assert flows.stdin
    with contextlib.suppress(Error, ConnectionError):
        while data := await asyncio.get_running_loop().sock_recv(ours, _PIECE):
            await flows.stdin.write(data)


async def _in(ours: socket.socket, flows: Flows) -> None:
    with contextlib.suppress(Error, ConnectionError):
        async for _, data in flows.output:
            await asyncio.get_running_loop().sock_sendall(ours, data)
