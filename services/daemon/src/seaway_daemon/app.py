"""Requests to handlers: the version in the path, the route, and errors in Docker's form. Nothing else."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from urllib.parse import unquote

from aiohttp import web
from seaway_bus import start_trace
from seaway_bus.context import handle
from seaway_protocol.actor import Actor
from seaway_protocol.errors import Error, Internal, NotFound, PermissionDenied

from seaway_daemon.access import roles, scopes
from seaway_daemon.access.audit import NOTE, Note, note_of
from seaway_daemon.api import errors, origin
from seaway_daemon.api.query import Query
from seaway_daemon.api.refused import unsupported
from seaway_daemon.api.request import Request
from seaway_daemon.api.route import Route
from seaway_daemon.engine import Engine
from seaway_daemon.figures import Requests
from seaway_daemon.fleet import nodes
from seaway_daemon.headers import traced
from seaway_daemon.hijack import asks_to_upgrade, connection_of
from seaway_daemon.routes import Table
from seaway_daemon.version import split

log = logging.getLogger("seaway.daemon")

_ROUTE = web.RequestKey("route", str)
"""Where a request keeps the pattern of its path."""


_UNKNOWN = unsupported("what only another host's version knows")


class App:
    """The Engine API over an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._table = Table()
        self._requests = Requests()
        engine.metrics.add(self._requests.families)
        engine.metrics.add(engine.audit.families)

    async def __call__(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        start_trace(http.headers.get("traceparent"))
        began = time.monotonic()
        response: web.StreamResponse | None = None
        try:
            response = await self._respond(http)
        finally:
            if note := note_of(http):
                self._engine.audit.done(note, response.status if response is not None else 0)
        self._requests.answered(http.method, http.get(_ROUTE, ""), response.status, began)
        if not response.prepared:
            response.headers.update(traced())
        return response

    async def _respond(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(http)
        except Error as error:
            return self._refusal(http, error)
        except ConnectionError:
            raise  # the client has gone: there is nobody to tell
        except Exception as error:
            return self._refusal(http, _unexpected(http, error))

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        path, here = http.rel_url.raw_path, self._engine.bus.node
        if elsewhere := nodes.target(path):
            if elsewhere.node != here:
                return await self._forward(http, elsewhere)
            path = elsewhere.path
        version, path = split(path)
        found = self._table.find(http.method, path)
        if found is None:
            return _refused(http, errors.answer(NotFound("page not found")))
        origin.check(http.method, http.headers)
        route, names = found
        http[_ROUTE] = route.path
        handle(f"{http.method} {route.path}")
        actor = roles.settled(connection_of(http).actor, self._engine.settings.roles, here)
        http[NOTE] = self._note(http, actor, route, names)
        roles.require(actor, route.access, f"{http.method} {route.path}")
        meant = {name: unquote(value) for name, value in names.items()}
        query = Query(http.rel_url.raw_query_string)
        given, query = await scopes.limit(actor, route, meant, query, self._engine)
        return await route.handler(Request(http, self._engine, version, given, query=query, actor=actor))

    async def _forward(self, http: web.BaseRequest, to: nodes.Target) -> web.StreamResponse:
        """Answer for another host, which looks again at who may do what. What we don't know needs an admin."""
        http[_ROUTE] = nodes.ROUTE
        handle(f"{http.method} {nodes.ROUTE}")
        origin.check(http.method, http.headers)
        actor = connection_of(http).actor
        if actor.node:
            raise PermissionDenied(f"cannot reach {to.node} by way of this host: ask its own name, not a way to it")
        actor = roles.settled(actor, self._engine.settings.roles, to.node)
        route, names = self._table.find(http.method, to.plain) or (Route(http.method, to.plain, _UNKNOWN, "admin"), {})
        http[NOTE] = self._note(http, actor, route, names, to.node)
        roles.require(actor, route.access, f"{http.method} {route.path} on {to.node}")
        return await nodes.forward(self._engine, http, actor, to)

    def _note(self, http: web.BaseRequest, actor: Actor, route: Route, names: Mapping[str, str], to: str = "") -> Note:
        """What the audit says of a request, if anything."""
        wanted = self._engine.settings.audit
        kept = wanted == "everything" or (wanted == "changes" and route.access != "read")
        object = unquote(next(iter(names.values()), "")) or http.query.get("name") or http.query.get("fromImage", "")
        return Note(actor, http.method, route.path, object=object, to=to, kept=kept, refusals=wanted != "nothing")

    def _refusal(self, http: web.BaseRequest, error: Error) -> web.StreamResponse:
        if error.origin:
            log.debug("%s %s failed at %s: %s", http.method, http.path, error.origin, error.text)
        return _refused(http, errors.answer(error))


def _refused(http: web.BaseRequest, response: web.Response) -> web.StreamResponse:
    """An error. After a request to upgrade, what the client sends on isn't HTTP, so the connection ends with it."""
    if asks_to_upgrade(http):
        response.force_close()
    return response


def _unexpected(http: web.BaseRequest, error: Exception) -> Error:
    """What the client is told of an exception nobody foresaw: an id that also stands in the journal, nothing else."""
    id = secrets.token_hex(4)
    log.error("Unexpected failure %s while answering %s %s", id, http.method, http.path, exc_info=error)
    return Internal(f"an unexpected failure in the daemon; look for {id} in its journal")
