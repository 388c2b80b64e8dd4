"""What an operation takes and gives, said beside its handler: the OpenAPI document is made of it and the route table.

    @operation("List the containers", answer=FleetContainers, query=(ALL, FILTERS))
    async def list_(request: Request) -> web.StreamResponse: ...

The decorated handler is a handler still; the route table has a plain row for it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, dataclass_transform

import msgspec
from aiohttp import web

from seaway_daemon.api.bodies import Body, docker_name
from seaway_daemon.api.request import Request

Coro = Callable[[Request], Coroutine[Any, Any, web.StreamResponse]]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _ShapeMeta(msgspec.StructMeta):
    """Tells the type checker what msgspec's class options mean; it doesn't inherit them by itself."""


class Shape(msgspec.Struct, metaclass=_ShapeMeta, frozen=True, kw_only=True, rename=docker_name):
    """A JSON object that we answer with: `container_bytes` is ContainerBytes there. A field may be required."""


class Done(Shape):
    """Nothing to say but that it is done."""


class Message(Shape, rename=None):
    """A refusal: one sentence."""

    message: str


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query. `kind` is string, boolean, integer or filters; `many` may be given several times."""

    name: str
    doc: str
    kind: str = "string"
    many: bool = False
    choices: tuple[str, ...] = ()
    """Its values, where only certain words are; for filters, their names."""


@dataclass(frozen=True)
class Operation:
    """A handler, and what is said of it. `lines` says that the answer is a stream of such objects, one a line.

    `body` and `answer` are structs; an answer that is None is an empty one.
    """

    handler: Coro
    summary: str
    answer: Any = None
    body: type[Body] | None = None
    query: tuple[Parameter, ...] = ()
    status: int = 200
    lines: bool = False
    refusals: tuple[int, ...] = ()

    def __call__(self, request: Request) -> Coroutine[Any, Any, web.StreamResponse]:
        """Answer a request."""
        return self.handler(request)


def operation(
    summary: str,
    *,
    answer: Any = None,
    body: type[Body] | None = None,
    query: tuple[Parameter, ...] = (),
    status: int = 200,
    lines: bool = False,
    refusals: tuple[int, ...] = (),
) -> Callable[[Coro], Operation]:
    """Say what a handler takes and gives. `refusals` are the statuses it may refuse with, beside 400."""

    def said(handler: Coro) -> Operation:
        return Operation(handler, summary, answer, body, query, status, lines, refusals)

    return said
