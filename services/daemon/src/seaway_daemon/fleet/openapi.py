"""The OpenAPI document of `/fleet/…`, made from the route table and the types that stand beside its handlers.

Source: OpenAPI Specification 3.1.0; its schemas are JSON Schema 2020-12, which msgspec writes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from seaway_daemon import __version__
from seaway_daemon.api.operation import Message, Operation, Parameter, operation
from seaway_daemon.api.request import Request, json
from seaway_daemon.api.route import Route

REF = "#/components/schemas/{name}"

_JSON, _LINES = "application/json", "application/x-ndjson"


def describing(rows: Callable[[], Sequence[Route]]) -> Operation:
    """The handler that gives the document of the table, which is complete by the time it is asked for."""

    @functools.cache
    def made() -> bytes:
        return msgspec.json.encode(document(rows()))

    @operation("This description", answer=dict[str, Any])
    async def describe(request: Request) -> web.StreamResponse:
        return json(msgspec.Raw(made()))

    return describe


def document(rows: Iterable[Route]) -> dict[str, Any]:
    """The description of all rows whose handler says what it takes and gives."""
    described = [(row, row.handler) for row in rows if isinstance(row.handler, Operation)]
    types = [kind for _, each in described for kind in (each.answer, each.body) if kind is not None]
    schemas, components = msgspec.json.schema_components([*types, Message], ref_template=REF)
    by_type = dict(zip(map(_key, [*types, Message]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for row, each in described:
        path = row.path.replace("*}", "}")
        paths.setdefault(path, {})[row.method.lower()] = _operation(row, each, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Seaway fleet API",
            "version": __version__,
            "description": "All hosts of a fleet, through the daemon of any of its controllers. What hosts didn't "
            "answer is named in Missing and Errors: an answer without either is complete.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(row: Route, said: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    """One operation object."""
    shape: dict[str, Any] = {
        "operationId": _identity(row),
        "summary": said.summary,
        "tags": [_tag(row.path)],
        "x-access": row.access,
        "parameters": [*map(_in_path, re.findall(r"{(\w+)\*?}", row.path)), *map(_in_query, said.query)],
        "responses": _responses(said, schemas),
    }
    if said.body is not None:
        shape["requestBody"] = {"required": True, "content": {_JSON: {"schema": schemas[_key(said.body)]}}}
    return shape


def _responses(said: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": said.summary}
    if said.answer is not None:
        answer["content"] = {_LINES if said.lines else _JSON: {"schema": schemas[_key(said.answer)]}}
    refusal = {"content": {_JSON: {"schema": schemas[_key(Message)]}}}
    refused = {str(status): {"description": HTTPStatus(status).phrase, **refusal} for status in (400, *said.refusals)}
    return {str(said.status): answer, **refused, "default": {"description": "a refusal, in a sentence", **refusal}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(given: Parameter) -> dict[str, Any]:
    schema: dict[str, Any]
    if given.kind == "filters":
        values = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
        named = {**values, "propertyNames": {"enum": list(given.choices)}}
        content = {_JSON: {"schema": named}}
        return {"name": given.name, "in": "query", "description": given.doc, "content": content}
    schema = {"type": given.kind, **({"enum": list(given.choices)} if given.choices else {})}
    return {
        "name": given.name,
        "in": "query",
        "description": given.doc,
        "schema": {"type": "array", "items": schema} if given.many else schema,
    }


def _identity(row: Route) -> str:
    """`GET /fleet/hosts/{name}` is getFleetHostsName: unique, and a function's name in a generated client."""
    words = re.findall(r"[A-Za-z0-9]+", row.path)
    return row.method.lower() + "".join(word[0].upper() + word[1:] for word in words)


def _tag(path: str) -> str:
    """What it is about: the segment behind `/fleet`."""
    parts = path.strip("/").split("/")
    return parts[1].partition(".")[0] if len(parts) > 1 else parts[0]


def _key(kind: Any) -> str:
    """Types such as dict[str, Any] can't be keys by identity: two of them are equal, and not the same."""
    return repr(kind)
