"""Containers: list, create, inspect, change, remove."""

from __future__ import annotations

import shlex
import time

from aiohttp import web
from seaway_protocol import runtime, supervisor
from seaway_protocol.errors import Conflict, InvalidArgument, NotFound
from seaway_protocol.types import Container, Image, Resources

from seaway_daemon.access import roles
from seaway_daemon.api import bodies
from seaway_daemon.api.request import Request, json, nothing
from seaway_daemon.api.selection import LIST_FILTERS, select
from seaway_daemon.shapes import containers as shapes
from seaway_daemon.translate.container import container_spec, updated
from seaway_daemon.translate.resources import restart_policy

_PORTS_DISCARDED = "Published ports are discarded when using host network mode"


async def list_(request: Request) -> web.StreamResponse:
    """`GET /containers/json`."""
    query = request.query
    filters, limit, size = query.filters(*LIST_FILTERS), query.number("limit") or 0, query.flag("size")
    containers = await request.engine.containers(size=size)
    images = await request.engine.images() if "ancestor" in filters else []
    chosen = select(containers, filters, everything=query.flag("all"), limit=limit, images=images)
    now = time.time_ns()
    return json([shapes.summary(container, now) for container in chosen])


async def create(request: Request) -> web.StreamResponse:
    """`POST /containers/create`."""
    raw, document = await request.raw_body()
    body = bodies.typed(document, bodies.CreateContainer)
    roles.check_create(request.actor, body)
    spec = container_spec(body, raw, request.query.text("platform"))
    name = request.query.text("name").removeprefix("/")
    request.about(object=name, detail=spec.image)
    created = await request.engine.ask(supervisor.create, supervisor.Create(spec=spec, name=name))
    request.about(object=created.id)
    discarded = spec.network.mode == "host" and body.host_config.port_bindings
    warnings = [*created.warnings, *([_PORTS_DISCARDED] if discarded else [])]
    return json({"Id": created.id, "Warnings": warnings}, status=201)


async def inspect(request: Request) -> web.StreamResponse:
    """`GET /containers/{name}/json`."""
    container = await request.engine.container(request.name, size=request.query.flag("size"))
    return json(shapes.inspected(container, await _image(request, container)))


async def _image(request: Request, container: Container) -> Image | None:
    """The container's image; a container may outlive it."""
    try:
        return await request.engine.image(container.image_id)
    except NotFound:
        return None


async def rename(request: Request) -> web.StreamResponse:
    """`POST /containers/{name}/rename`."""
    name = request.query.text("name").removeprefix("/")
    if not name:
        raise InvalidArgument("Neither old nor new names may be empty")
    await request.engine.ask(supervisor.rename, supervisor.Rename(container=request.name, name=name))
    return nothing()


async def update(request: Request) -> web.StreamResponse:
    """`POST /containers/{name}/update`: what isn't given stays as it is."""
    body = await request.body(bodies.UpdateContainer)
    roles.check_update(request.actor, body)
    resources = updated(body)
    change = supervisor.Update(
        container=request.name,
        resources=resources if resources != Resources() else None,
        restart=restart_policy(body.restart_policy) if body.restart_policy.name else None,
    )
    answer = await request.engine.ask(supervisor.update, change)
    return json({"Warnings": list(answer.warnings)})


async def remove(request: Request) -> web.StreamResponse:
    """`DELETE /containers/{name}`."""
    query = request.query
    if query.flag("link"):
        raise InvalidArgument("links between containers are not supported by Seaway yet: there is none to remove")
    wish = supervisor.Remove(container=request.name, force=query.flag("force"), volumes=query.flag("v"))
    await request.engine.ask(supervisor.remove, wish)
    return nothing()


async def prune(request: Request) -> web.StreamResponse:
    """`POST /containers/prune`."""
    filters = request.query.filters("until", "label", "label!")
    wish = supervisor.PruneContainers(
        until=filters.time("until"), labels=filters.values_of("label"), not_labels=filters.values_of("label!")
    )
    pruned = await request.engine.ask(supervisor.prune, wish)
    return json({"ContainersDeleted": list(pruned.removed) or None, "SpaceReclaimed": pruned.freed})


async def top(request: Request) -> web.StreamResponse:
    """`GET /containers/{name}/top`."""
    try:
        arguments = tuple(shlex.split(request.query.text("ps_args", "-ef")) or ("-ef",))
    except ValueError as error:
        raise InvalidArgument(f"invalid value for parameter ps_args: {error}") from None
    container = await request.engine.container(request.name)
    require_running(container)
    table = await request.engine.ask(runtime.top, runtime.Top(cgroup=container.cgroup, arguments=arguments))
    return json({"Titles": list(table.titles), "Processes": [list(row) for row in table.rows]})


def require_running(container: Container) -> None:
    """Refuse what makes sense only while the container runs."""
    if container.state.status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if container.state.status not in ("running", "paused"):
        raise Conflict(f"container {container.id} is not running")
