"""Gives out the files of the page at `/ui/`: known by name, with headers that keep strangers' scripts out."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import NamedTuple

from aiohttp import web
from seaway_protocol.errors import NotFound

from seaway_daemon.api.request import Request

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}

_HEADERS = {
    # Nothing but our own files, and requests to ourselves; `style` attributes carry the length of bars.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # asked for again each time, and mostly answered with 304
}


class _File(NamedTuple):
    body: bytes
    kind: str
    tag: str


@functools.cache
def _files() -> dict[str, _File]:
    """Every file of the page by its name."""
    found = {}
    for each in resources.files(__package__).joinpath("assets").iterdir():
        ending = each.name.rpartition(".")[2]
        if ending in _KINDS:
            body = each.read_bytes()
            found[each.name] = _File(body, _KINDS[ending], f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return found


async def index(request: Request) -> web.StreamResponse:
    """`GET /ui/`."""
    return _give("index.html", request)


async def beside(request: Request) -> web.StreamResponse:
    """`GET /ui`: the page's own links are relative to `/ui/`."""
    return web.Response(status=308, headers={"Location": "ui/"})


async def file(request: Request) -> web.StreamResponse:
    """`GET /ui/{name}`. Raises NotFound for a file that isn't the page's."""
    return _give(request.name, request)


def _give(name: str, request: Request) -> web.StreamResponse:
    try:
        found = _files()[name]
    except KeyError:
        raise NotFound(f"cannot show {name}: the page has no such file") from None
    headers = {**_HEADERS, "ETag": found.tag}
    if request.http.headers.get("If-None-Match") == found.tag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, headers={**headers, "Content-Type": found.kind})
