"""A request as a handler sees it, and the answers it can give."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from seaway_protocol.actor import Actor
from seaway_protocol.errors import InvalidArgument
from seaway_protocol.types import RegistryAuth

from seaway_daemon.access.audit import note_of
from seaway_daemon.access.identity import NOBODY
from seaway_daemon.api.bodies import Body, decode, decode_any
from seaway_daemon.api.query import Query
from seaway_daemon.conversation.keeper import Talk
from seaway_daemon.conversation.topics import Topic
from seaway_daemon.engine import Engine
from seaway_daemon.headers import JSON_HEADERS, STANDARD_HEADERS, traced
from seaway_daemon.version import ApiVersion

B = TypeVar("B", bound=Body)


class Request:
    """One HTTP request: who asks, the version and the names in its path, its query, its body, and the engine to ask."""

    def __init__(
        self,
        http: web.BaseRequest,
        engine: Engine,
        version: ApiVersion,
        names: Mapping[str, str],
        *,
        query: Query | None = None,
        actor: Actor = NOBODY,
    ) -> None:
        self.http = http
        self.engine = engine
        self.version = version
        self.names = names
        self.query = query or Query(http.rel_url.raw_query_string)
        self.actor = actor

    def about(self, *, object: str = "", detail: str = "") -> None:
        """Have the audit say what was made, or is meant."""
        if note := note_of(self.http):
            note.about(object=object, detail=detail)

    @property
    def name(self) -> str:
        """The one name in the path: a container, an image, a network, …"""
        return self.names["name"]

    async def body(self, kind: type[B]) -> B:
        """The JSON body. Raises InvalidArgument naming the place where it doesn't fit."""
        return decode(await self._json(required=True), kind)

    async def optional_body(self, kind: type[B]) -> B:
        """The JSON body; all defaults where there is none."""
        raw = await self._json(required=False)
        return decode(raw, kind) if raw.strip() else kind()

    async def raw_body(self) -> tuple[bytes, Any]:
        """The JSON body as it was sent and decoded, untyped."""
        raw = await self._json(required=True)
        return raw, decode_any(raw)

    async def _json(self, *, required: bool) -> bytes:
        declared = self.http.headers.get("Content-Type", "")
        if declared and declared.partition(";")[0].strip().lower() != "application/json":
            length = self.http.content_length
            if required or length or (length is None and self.http.can_read_body):
                raise InvalidArgument(f"unsupported Content-Type header ({declared}): must be 'application/json'")
        raw = await self._read()
        if required and not raw.strip():
            raise InvalidArgument("invalid JSON: the request has no body")
        return raw

    async def _read(self) -> bytes:
        most, body = self.engine.settings.max_body, bytearray()
        if not self.http.can_read_body:
            return b""
        async for chunk in self.http.content.iter_chunked(65536):
            body += chunk
            if len(body) > most:
                raise InvalidArgument(f"cannot read the request's body: it has more than {most} bytes")
        return bytes(body)

    async def converse(
        self,
        topic: Topic,
        talk: Talk,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> web.StreamResponse:
        """Answer with a head, and let `talk` tell the rest for as long as it takes, also in another daemon.

        With an empty content type `talk` sends the head too.
        """
        return await self.engine.keeper.begin(self.http, topic, talk, content_type, headers)

    def registry_auth(self) -> RegistryAuth:
        """The credentials of `X-Registry-Auth`: base64url of JSON. Raises InvalidArgument where it is neither."""
        header = self.http.headers.get("X-Registry-Auth", "")
        if not header:
            return RegistryAuth()
        try:
            raw = base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
            given = msgspec.json.decode(raw, type=dict[str, Any]) if raw.strip() else {}
        except (binascii.Error, ValueError, msgspec.DecodeError):
            raise InvalidArgument("invalid X-Registry-Auth header: it is not base64url-encoded JSON") from None
        texts = {key.lower(): str(value) for key, value in given.items() if value is not None}
        return RegistryAuth(
            username=texts.get("username", ""),
            password=texts.get("password", ""),
            identity_token=texts.get("identitytoken", ""),
            registry_token=texts.get("registrytoken", ""),
            server=texts.get("serveraddress", ""),
        )


def json(value: object, status: int = 200) -> web.Response:
    """A JSON document, with the line end that Docker writes too."""
    return web.Response(body=msgspec.json.encode(value) + b"\n", status=status, headers=JSON_HEADERS)


def nothing(status: int = 204) -> web.Response:
    """An answer without a body."""
    return web.Response(status=status, headers=STANDARD_HEADERS)


def stream(content_type: str = "application/json", status: int = 200) -> web.StreamResponse:
    """An answer whose length isn't known; it must still be prepared."""
    headers = {**STANDARD_HEADERS, **traced(), "Content-Type": content_type}
    return web.StreamResponse(status=status, headers=headers)
