"""`/nodes/<name>/…`: the whole Engine API of another host of the fleet.

    docker -H tcp://h1:2376/nodes/h2 ps    →    GET /nodes/h2/v1.44/containers/json    →    h2's own engine

Each client's connection has one of its own to each host that it asks about: `dialling`. Requests and answers are read
and written anew here, so that nothing gets past the look at them; what follows an upgrade goes through as it is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from seaway_bus import current_trace
from seaway_protocol.actor import Actor
from seaway_protocol.errors import Error, InvalidArgument, NotFound, Unavailable
from yarl import URL

from seaway_daemon.api.errors import answer as refusal
from seaway_daemon.conversation.connection import Conversation
from seaway_daemon.conversation.keeper import Talk
from seaway_daemon.conversation.topics import Tunnel
from seaway_daemon.engine import Engine
from seaway_daemon.fleet.dialling import Way, dial, flows_of, new_tunnel
from seaway_daemon.hijack import asks_to_upgrade, connection_of, whole
from seaway_daemon.streams import Flows, converse

ROUTE = "/nodes/{node}/{path*}"
"""What stands for all of it in figures and in the journal."""

_TARGET = re.compile(r"(?:/v\d{1,4}\.\d{1,4})?/nodes/([^/]+)(/.+)")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"/v\d{1,4}\.\d{1,4}(?=/)")

_OF_ONE_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "host", "expect"),
    )
)
"""Headers that are about one connection. Source: RFC 9110, section 7.6.1."""

_MOST_BEFORE_UPGRADE = 64 * 1024
"""Bytes of the body of a request to upgrade; Docker's have a few hundred, and it is kept with the conversation."""


class Target(NamedTuple):
    """A host, and the path of its Engine API that is meant, as it was sent."""

    node: str
    path: str

    @property
    def plain(self) -> str:
        """The path without the version, for the route table."""
        return _VERSION.sub("", self.path, count=1) if self.path.startswith("/v") else self.path


def target(path: str) -> Target | None:
    """The host that a path names; None where it names none: swarm has `/nodes/{id}` and `/nodes/{id}/update`.

    Raises NotFound where it can't be a host's name, InvalidArgument for a path that means another one.
    """
    found = _TARGET.fullmatch(path)
    if found is None or found[2] == "/update":
        return None
    if not _NAME.fullmatch(found[1]):
        raise NotFound(f"no such host: {unquote(found[1])!r} isn't the name of one")
    if any(unquote(segment) in (".", "..") for segment in re.split("/|%2f", found[2], flags=re.IGNORECASE)):
        raise InvalidArgument("cannot forward the request: its path goes up or nowhere")
    return Target(found[1], found[2])


async def forward(engine: Engine, http: web.BaseRequest, actor: Actor, to: Target) -> web.StreamResponse:
    """Have another host answer a request. Raises Unavailable where it can't be reached."""
    query = http.rel_url.raw_query_string
    path = f"{to.path}?{query}" if query else to.path
    if asks_to_upgrade(http):
        return await _upgrade(engine, http, actor, to.node, path)
    session = await _session(engine, http, actor, to.node)
    answering: web.StreamResponse | None = None
    try:
        async with session.request(
            http.method,
            URL(f"http://{to.node}{path}", encoded=True),
            headers=_passed(http.headers),
            data=_body(http),
            allow_redirects=False,
        ) as answer:
            answering = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_passed(answer.headers))
            await answering.prepare(http)
            async for piece in answer.content.iter_any():
                await answering.write(piece)
            await answering.write_eof()
            return answering
    except aiohttp.ClientError as error:
        if answering is None:
            doubt = "" if http.method in ("GET", "HEAD") else "; it may or may not have acted"
            raise Unavailable(f"cannot go on with {to.node}: the connection to it broke off{doubt}") from error
        if http.transport:
            http.transport.abort()  # an answer without its end must not look like a whole one
        raise ConnectionResetError(f"{to.node} broke off its answer") from error


async def _session(engine: Engine, http: web.BaseRequest, actor: Actor, node: str) -> aiohttp.ClientSession:
    """The client's own connection to a host, as long as the client's connection lasts."""
    connection = connection_of(http)
    way = connection.ways.get(node)
    if not isinstance(way, Way) or way.actor != actor:
        if way is not None:
            await way.close()
        connection.ways[node] = way = Way(engine.bus, node, actor)
    return way.session


def _passed(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers that go on, our trace among them."""
    named = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    passed = CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _OF_ONE_HOP and name.lower() not in named
    )
    if trace := current_trace():
        passed["traceparent"] = trace
    return passed


def _body(http: web.BaseRequest) -> AsyncIterator[bytes] | None:
    return http.content.iter_any() if http.can_read_body else None


# --- after an upgrade ------------------------------------------------------------------------------------------------


async def _upgrade(engine: Engine, http: web.BaseRequest, actor: Actor, node: str, path: str) -> web.StreamResponse:
    """Send the request, and from then on bytes both ways: the other host's answer is the client's."""
    head = await _head(http, node, path)
    topic = new_tunnel(engine.bus, node, head=head)
    flows = await dial(engine.bus, topic, actor)
    try:
        return await engine.keeper.begin(http, topic, tunnelled(engine, topic, flows))
    except BaseException:
        await flows.close()
        raise


async def _head(http: web.BaseRequest, node: str, path: str) -> bytes:
    body = bytearray()
    async for piece in http.content.iter_any():
        body += piece
        if len(body) > _MOST_BEFORE_UPGRADE:
            raise InvalidArgument(f"cannot upgrade the connection: the body has more than {_MOST_BEFORE_UPGRADE} bytes")
    headers = _passed(http.headers)
    headers.pop("Content-Length", None)
    lines = [f"{http.method} {path} HTTP/1.1", f"Host: {node}", "Connection: Upgrade", "Upgrade: tcp"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + bytes(body)


def tunnelled(engine: Engine, topic: Tunnel, opened: Flows | None = None) -> Talk:
    """Copy between a client and another host's engine until that has closed its connection, or the client has gone."""

    async def talk(conversation: Conversation) -> None:
        mark, passed = conversation.mark, conversation.passed
        flows = opened or await flows_of(engine.bus, topic, mark=mark, passed=passed)
        if not passed:
            await flows.before_all(topic.head)
        async with flows.until_end_of(conversation):
            failure = await converse(conversation, flows, framed=False, detach=None)
            if failure and not conversation.mark:
                await _refuse(conversation, Unavailable(f"cannot go on with {topic.node}: {failure.text}"))
            await flows.end(conversation)

    return talk


async def _refuse(conversation: Conversation, error: Error) -> None:
    """Nothing was answered yet, so it can be an answer."""
    await conversation.raw(whole(refusal(error)))
