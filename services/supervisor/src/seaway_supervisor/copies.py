"""Copies between a container's files and a tar stream, its export and its changes: what each order is about.

What acts is a process of its own, locked into the container's files (`copier`, `copying`). Reading takes no lock: the
container may be started, stopped or removed meanwhile. Writing into one that doesn't run keeps it from being started.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from seaway_protocol import supervisor as wire
from seaway_protocol.errors import Error, NotFound
from seaway_protocol.kinds import Event, Flow
from seaway_protocol.types import Container

from seaway_supervisor import gathering
from seaway_supervisor.copier import Copier
from seaway_supervisor.host import Host, log
from seaway_supervisor.records import Record


async def path_status(host: Host, record: Record, request: wire.PathReference) -> wire.PathStatus:
    """What there is at a path. Raises NotFound, InvalidArgument."""
    await record.settled.wait()
    order = _order("stat", host, record, request.container) | {"path": request.path}
    async with Copier(order) as copier:
        return _status(await copier.answer())


async def copy_out(host: Host, record: Record, request: wire.CopyOut) -> wire.PathStatus:
    """Begin to write what is at a path to a flow; returns when it is known that there is something."""
    order = _order("copy_out", host, record, request.container) | {"path": request.path}
    done = await _begin(host, record, order, wire.copy_out_flow, request.flow, wire.container_copied_out)
    return _status(done)


async def export(host: Host, record: Record, request: wire.Export) -> None:
    """Begin to write the whole root file system to a flow."""
    order = _order("export", host, record, request.container, bare=True)
    await _begin(host, record, order, wire.export_flow, request.flow, wire.container_exported)


async def diff(host: Host, record: Record, request: wire.Diff) -> None:
    """Begin to write the changes to a flow."""
    await _begin(host, record, _order("diff", host, record, request.container, bare=True), wire.diff_flow, request.flow)


async def copy_in(host: Host, record: Record, request: wire.CopyIn, pieces: AsyncIterator[bytes]) -> None:
    """Put what is in an archive into a directory. Raises NotFound, InvalidArgument, PermissionDenied, Unavailable."""
    await record.settled.wait()
    owner = None
    if request.as_user:
        who = await gathering.identity(host, record.container, record.container.process.user)
        owner = (who.uid, who.gid)
    async with contextlib.AsyncExitStack() as stack:
        if not record.alive:
            await stack.enter_async_context(record.operation)
            if record.alive:
                await stack.aclose()  # it was just being started; then nothing keeps it from being stopped
        if host.records.get(record.id) is not record:
            raise NotFound(f"No such container: {request.container}")
        wishes = {"path": request.path, "keep_kinds": request.keep_kinds, "owner": owner}
        order = _order("copy_in", host, record, request.container, write=True) | wishes
        copier = await stack.enter_async_context(Copier(order))
        await copier.extracted(pieces)
    await _tell(host, record, wire.container_copied_in)


async def _begin(
    host: Host, record: Record, order: dict[str, Any], kind: Flow, flow: str, event: Event[Any] | None = None
) -> dict[str, Any]:
    """Have an order begun whose stream goes to a flow, behind. Raises what it is refused with."""
    await record.settled.wait()
    async with contextlib.AsyncExitStack() as stack:
        copier = await stack.enter_async_context(Copier(order))
        done = await copier.answer()
        if event:
            await _tell(host, record, event)
        host.behind(_send(host, copier, stack.pop_all(), kind, flow), f"a {kind.name} of {record.id}", lasting=False)
    return done


async def _tell(host: Host, record: Record, event: Event[Any]) -> None:
    """Unless the container was removed meanwhile: nothing may be written of it any more."""
    if host.records.get(record.id) is record:
        await host.save(record, (event, record.happened()))


async def _send(host: Host, copier: Copier, stack: contextlib.AsyncExitStack, kind: Flow, flow: str) -> None:
    async with stack:
        try:
            async with host.bus.sender(kind, flow) as sender:
                async for piece in copier.pieces():
                    await sender.write(piece)
        except Error as error:
            log.info("A copy of a container's files isn't read to its end: %s", error)


def _status(done: dict[str, Any]) -> wire.PathStatus:
    return wire.PathStatus(
        name=done["name"], size=done["size"], mode=done["mode"], modified_at=done["mtime"], link=done["link"]
    )


def _order(
    do: str, host: Host, record: Record, name: str, *, bare: bool = False, write: bool = False
) -> dict[str, Any]:
    """What the process is told. With `bare` the tree is the root alone, without what is mounted on it."""
    container, directory = record.container, host.directory(record.id)
    return {
        "do": do,
        "name": name,
        "view": {
            "id": container.id,
            "pid": record.state.pid if record.alive else 0,
            "lower": [*map(str, host.images.layers(container.image_id)), str(host.settings.ground_dir)],
            "upper": container.upper_dir,
            "work": str(directory / "work"),
            "place": str(directory / "rootfs"),
            "read_only": container.spec.read_only,
            "attached": [] if bare else _attached(container),
            "write": write,
        },
    }


def _attached(container: Container) -> list[dict[str, Any]]:
    """What a container has on its root: the files that the engine writes, then its volumes, binds and tmpfs."""
    files = {
        "/etc/resolv.conf": container.resolv_path,
        "/etc/hostname": container.hostname_path,
        "/etc/hosts": container.hosts_path,
    }
    found = {
        target: {"target": target, "source": source, "read_only": container.spec.read_only}
        for target, source in files.items()
        if source
    }
    for point in container.mounts:
        source = "" if point.type == "tmpfs" else point.source
        found[point.target] = {"target": point.target, "source": source, "read_only": point.read_only}
    return list(found.values())
