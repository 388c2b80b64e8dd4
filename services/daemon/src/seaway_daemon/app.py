"""Requests to handlers: the version in the path, the route, and errors in Docker's form. Nothing else."""

from __future__ import annotations

import logging
import secrets
import time
from urllib.parse import unquote

from aiohttp import web
from seaway_bus import start_trace
from seaway_bus.context import handle
from seaway_protocol.errors import Error, Internal, NotFound

from seaway_daemon.api import errors, origin
from seaway_daemon.api.request import Request
from seaway_daemon.engine import Engine
from seaway_daemon.figures import Requests
from seaway_daemon.headers import traced
from seaway_daemon.hijack import asks_to_upgrade
from seaway_daemon.routes import Table
from seaway_daemon.version import split

log = logging.getLogger("seaway.daemon")

_ROUTE = "seaway.route"
"""Where a request keeps the pattern of its path."""


class App:
    """The Engine API over an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._table = Table()
        self._requests = Requests()
        engine.metrics.add(self._requests.families)

    async def __call__(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        start_trace(http.headers.get("traceparent"))
        began = time.monotonic()
        response = await self._respond(http)
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
        version, path = split(http.rel_url.raw_path)
        found = self._table.find(http.method, path)
        if found is None:
            return _refused(http, errors.answer(NotFound("page not found")))
        origin.check(http.method, http.headers)
        route, names = found
        http[_ROUTE] = route.path
        handle(f"{http.method} {route.path}")
        request = Request(http, self._engine, version, {name: unquote(value) for name, value in names.items()})
        return await route.handler(request)

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
