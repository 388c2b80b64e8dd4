"""Volumes."""

from __future__ import annotations

from aiohttp import web
from seaway_protocol import supervisor
from seaway_protocol.errors import Unsupported
from seaway_protocol.types import Volume

from seaway_daemon.access import roles
from seaway_daemon.api import bodies
from seaway_daemon.api.filters import Filters
from seaway_daemon.api.request import Request, json, nothing
from seaway_daemon.shapes import volumes as shapes
from seaway_daemon.version import ApiVersion

_PRUNES_ANONYMOUS_ONLY = ApiVersion(1, 42)


async def list_(request: Request) -> web.StreamResponse:
    """`GET /volumes`."""
    filters = request.query.filters("dangling", "driver", "label", "name")
    sizes = "dangling" in filters  # only then are the references needed, which take time to count
    listed = await request.engine.ask(supervisor.volume_list, supervisor.ListVolumes(sizes=sizes))
    chosen = select(listed.volumes, filters)
    return json({"Volumes": [shapes.volume(each) for each in chosen], "Warnings": None})


def select(volumes: tuple[Volume, ...], filters: Filters) -> list[Volume]:
    """The volumes that the filters let through. Source: docker volume-ls(1)."""
    dangling = filters.flag("dangling")
    return [
        volume
        for volume in volumes
        if filters.named("name", volume.name)
        and filters.exact("driver", volume.driver)
        and filters.labelled(shapes.labels(volume))
        and (dangling is None or dangling == (volume.references <= 0))
    ]


async def create(request: Request) -> web.StreamResponse:
    """`POST /volumes/create`."""
    body = await request.optional_body(bodies.CreateVolume)
    roles.check_volume(request.actor, body)
    request.about(object=body.name)
    if body.cluster_volume_spec is not None:
        raise Unsupported("cluster volumes are not supported by Seaway: ClusterVolumeSpec")
    wish = supervisor.CreateVolume(
        name=body.name, driver=body.driver or "local", options=body.driver_opts, labels=body.labels
    )
    return json(shapes.volume(await request.engine.ask(supervisor.volume_create, wish)), status=201)


async def inspect(request: Request) -> web.StreamResponse:
    """`GET /volumes/{name}`."""
    wish = supervisor.VolumeReference(name=request.name)
    return json(shapes.volume(await request.engine.ask(supervisor.volume_inspect, wish)))


async def remove(request: Request) -> web.StreamResponse:
    """`DELETE /volumes/{name}`."""
    wish = supervisor.VolumeReference(name=request.name, force=request.query.flag("force"))
    await request.engine.ask(supervisor.volume_remove, wish)
    return nothing()


async def prune(request: Request) -> web.StreamResponse:
    """`POST /volumes/prune`: anonymous ones, or with `all` named ones too; old clients mean all."""
    filters = request.query.filters("all", "label", "label!")
    everything = filters.flag("all", default=request.version < _PRUNES_ANONYMOUS_ONLY)
    wish = supervisor.PruneVolumes(
        all=bool(everything), labels=filters.values_of("label"), not_labels=filters.values_of("label!")
    )
    pruned = await request.engine.ask(supervisor.volume_prune, wish)
    return json({"VolumesDeleted": list(pruned.removed) or None, "SpaceReclaimed": pruned.freed})
