"""What all hosts have: `/fleet/hosts`, `/fleet/containers`, `/fleet/images`, `/fleet/df`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import msgspec
from aiohttp import web
from seaway_protocol import fleet
from seaway_protocol.fleet import Ask, AskContainers, AskImages, HostContainers, HostReport, Selection

from seaway_daemon.api.operation import Parameter, operation
from seaway_daemon.api.request import Request, json
from seaway_daemon.api.selection import STATUSES
from seaway_daemon.fleet import shapes
from seaway_daemon.fleet.asking import SECONDS, Gathered, ask_all, complete
from seaway_daemon.fleet.parameters import HOSTS, REFUSALS, TIMEOUT, seconds, selection

MEASURING = 10.0
"""Seconds that hosts may take to measure their disks."""

CONTAINER_FILTERS = ("ancestor", "label", "name", "status")

IMAGE_FILTERS = ("reference",)


@operation("List the hosts of the fleet", answer=shapes.FleetHosts, query=HOSTS, refusals=REFUSALS)
async def hosts(request: Request) -> web.StreamResponse:
    """`GET /fleet/hosts`: those that are missing too, as the fleet remembers them."""
    query = request.query
    gathered = await ask_all(request.engine, fleet.describe, Ask(on=selection(query)), seconds(query, SECONDS))
    return json(shapes.FleetHosts(items=_reported(gathered), missing=gathered.missing, errors=gathered.errors))


@operation("Describe a host", answer=shapes.FleetHost, query=(TIMEOUT,), refusals=REFUSALS)
async def host(request: Request) -> web.StreamResponse:
    """`GET /fleet/hosts/{name}`."""
    on = Selection(nodes=(request.name,))
    gathered = await ask_all(request.engine, fleet.describe, Ask(on=on), seconds(request.query, SECONDS))
    return json(_reported(gathered)[0])


def _reported(gathered: Gathered[HostReport]) -> tuple[shapes.FleetHost, ...]:
    """Every host that was meant, in the roster's order."""
    now = time.time_ns()
    found = {node: shapes.host(each.host, seen_at=now) for node, each in gathered.answers.items() if each.host}
    quiet = {node: shapes.absent(seen) for node, seen in gathered.hosts.items() if node not in found}
    order = [*gathered.hosts, *(node for node in found if node not in gathered.hosts)]
    return tuple(found.get(node) or quiet[node] for node in order)


@operation(
    "List the containers of all hosts",
    answer=shapes.FleetContainers,
    query=(
        Parameter("all", "those that don't run, too", "boolean"),
        Parameter("limit", "the newest so many of all hosts together", "integer"),
        Parameter("filters", "as in GET /containers/json", "filters", choices=CONTAINER_FILTERS),
        *HOSTS,
    ),
    refusals=REFUSALS,
)
async def containers(request: Request) -> web.StreamResponse:
    """`GET /fleet/containers`."""
    query = request.query
    filters, limit = query.filters(*CONTAINER_FILTERS), max(0, query.number("limit") or 0)
    ask = AskContainers(
        on=selection(query),
        all=query.flag("all") or limit > 0,
        labels=filters.values_of("label"),
        names=tuple(each.removeprefix("/") for each in filters.values_of("name")),
        images=filters.values_of("ancestor"),
        statuses=filters.one_of("status", STATUSES),
        limit=limit,
    )
    gathered = await ask_all(request.engine, fleet.containers, ask, seconds(query, SECONDS))
    pages, errors = await complete(
        request.engine,
        gathered,
        fleet.more_containers,
        lambda page: msgspec.structs.replace(ask, after=page.containers[-1].id),
    )
    items = await _listed(pages)
    if limit:
        items = sorted(items, key=lambda each: -each.created)[:limit]
    return json(shapes.FleetContainers(items=tuple(items), missing=gathered.missing, errors=errors))


async def _listed(pages: Mapping[str, list[HostContainers]]) -> list[shapes.FleetContainer]:
    """All of them in Docker's words; others have their turn between two hosts."""
    now, items = time.time_ns(), list[shapes.FleetContainer]()
    for node, of_host in pages.items():
        items += [shapes.container(each, node, now) for page in of_host for each in page.containers]
        await asyncio.sleep(0)
    return items


@operation(
    "List the images of all hosts",
    answer=shapes.FleetImages,
    query=(
        Parameter("filters", "`reference`: parts of names", "filters", choices=IMAGE_FILTERS),
        *HOSTS,
    ),
    refusals=REFUSALS,
)
async def images(request: Request) -> web.StreamResponse:
    """`GET /fleet/images`: each image once."""
    query = request.query
    ask = AskImages(on=selection(query), names=query.filters(*IMAGE_FILTERS).values_of("reference"))
    gathered = await ask_all(request.engine, fleet.images, ask, seconds(query, SECONDS))
    pages, errors = await complete(
        request.engine,
        gathered,
        fleet.more_images,
        lambda page: msgspec.structs.replace(ask, after=page.images[-1].id),
    )
    found = {node: [each for page in of_host for each in page.images] for node, of_host in pages.items()}
    return json(shapes.FleetImages(items=shapes.images(found), missing=gathered.missing, errors=errors))


@operation("Say what the disks of all hosts are used for", answer=shapes.FleetUsages, query=HOSTS, refusals=REFUSALS)
async def disk_usage(request: Request) -> web.StreamResponse:
    """`GET /fleet/df`."""
    query = request.query
    on = selection(query)
    gathered = await ask_all(request.engine, fleet.usage, Ask(on=on), seconds(query, MEASURING))
    items = tuple(map(shapes.usage, gathered.answers.values()))
    return json(
        shapes.FleetUsages(items=items, total=shapes.total(items), missing=gathered.missing, errors=gathered.errors)
    )
