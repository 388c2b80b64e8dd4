"""Who is limited to containers with certain labels: what they ask about is looked at first, what they list is filtered.

What isn't theirs isn't there for them. What belongs to all containers at once, such as networks and volumes, they may
look at and not change.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from seaway_protocol import supervisor
from seaway_protocol.actor import Actor
from seaway_protocol.errors import InvalidArgument, NotFound, PermissionDenied
from seaway_protocol.types import Container

from seaway_daemon.access.roles import carries
from seaway_daemon.api.query import Query
from seaway_daemon.api.route import Route
from seaway_daemon.engine import Engine

_ONE_CONTAINER = "/containers/{name}"
_ONE_EXEC = "/exec/{name}/"

_FILTERED = frozenset(
    ("/containers/json", "/containers/prune", "/events", "/fleet/containers", "/fleet/events", "/fleet/logs")
)
"""Their answer, or effect, is limited by a filter."""

_OPEN = frozenset(
    (
        ("POST", "/containers/create"),  # whose labels are looked at with its body: `roles.check_create`
        ("GET", "/_ping"),
        ("HEAD", "/_ping"),
        ("GET", "/version"),
        ("GET", "/info"),
        ("POST", "/auth"),
        ("GET", "/images/json"),
        ("GET", "/images/{name*}/json"),
        ("GET", "/images/{name*}/history"),
        ("POST", "/images/create"),
        ("GET", "/networks"),
        ("GET", "/networks/"),
        ("GET", "/volumes"),
        ("GET", "/volumes/{name}"),
        ("GET", "/fleet"),
        ("GET", "/fleet/hosts"),
        ("GET", "/fleet/hosts/{name}"),
        ("GET", "/fleet/openapi.json"),
    )
)
"""What is about no container of anybody's."""


async def limit(
    actor: Actor, route: Route, names: Mapping[str, str], query: Query, engine: Engine
) -> tuple[Mapping[str, str], Query]:
    """The names and the query of a request as far as they are in the actor's scope.

    Raises NotFound for a container outside it, PermissionDenied for what no scope has.
    """
    if not actor.labels or (route.method, route.path) in _OPEN:
        return names, query
    if route.path in _FILTERED:
        return names, filtered(query, actor.labels)
    if route.path.startswith(_ONE_CONTAINER):
        # By its id from here on: its name may be another container's by the time that it is used.
        return {**names, "name": (await _own(actor, names["name"], engine)).id}, query
    if route.path.startswith(_ONE_EXEC):
        exec = await engine.ask(supervisor.exec_inspect, supervisor.ExecReference(id=names["name"]))
        await _own(actor, exec.container, engine)
        return names, query
    raise PermissionDenied(
        f"cannot {route.method} {route.path}: {actor.name} is limited to containers with {', '.join(actor.labels)}"
    )


async def _own(actor: Actor, reference: str, engine: Engine) -> Container:
    container = await engine.container(reference)
    if not carries(container.labels, actor.labels):
        raise NotFound(f"No such container: {reference}")
    return container


def filtered(query: Query, labels: tuple[str, ...]) -> Query:
    """The query with the labels among its filters; all labels of a filter must hold."""
    try:
        given = msgspec.json.decode(query.text("filters") or "{}", type=dict[str, list[str] | dict[str, bool]] | None)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"invalid filter: {error}") from None
    filters = {name: list(values) if isinstance(values, list) else [v for v, on in values.items() if on]
               for name, values in (given or {}).items()}  # fmt: skip
    filters["label"] = [*filters.get("label", ()), *labels]
    return query.changed("filters", msgspec.json.encode(filters).decode())
