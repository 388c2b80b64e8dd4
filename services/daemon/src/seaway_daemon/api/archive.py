"""A container's files: copied out and in, exported whole, and compared with its image."""

from __future__ import annotations

import asyncio
import base64
import stat

import msgspec
from aiohttp import web
from seaway_protocol import supervisor
from seaway_protocol.errors import InvalidArgument
from seaway_protocol.supervisor import PathStatus

from seaway_daemon.api.logs import copied
from seaway_daemon.api.request import Request, json, nothing
from seaway_daemon.conversation.topics import Copy
from seaway_daemon.streams import upload
from seaway_daemon.times import rfc3339

STATUS = "X-Docker-Container-Path-Stat"
_TAR = "application/x-tar"
_KINDS = {"C": 0, "A": 1, "D": 2}


async def look(request: Request) -> web.StreamResponse:
    """`HEAD /containers/{name}/archive`."""
    wish = supervisor.PathReference(container=request.name, path=_path(request))
    found = await request.engine.ask(supervisor.path_status, wish)
    answer = nothing(200)
    answer.headers[STATUS] = status(found)
    return answer


async def get(request: Request) -> web.StreamResponse:
    """`GET /containers/{name}/archive`."""
    path, flow = _path(request), request.engine.bus.new_flow()
    output = await request.engine.bus.receiver(supervisor.copy_out_flow, flow, explicit=True)
    try:
        wish = supervisor.CopyOut(container=request.name, path=path, flow=flow)
        found = await request.engine.ask(supervisor.copy_out, wish)
        topic = Copy(flow=flow)
        talk = copied(request.engine, topic, output)
        return await request.converse(topic, talk, _TAR, headers={STATUS: status(found)})
    except BaseException:
        await output.aclose()
        raise


async def put(request: Request) -> web.StreamResponse:
    """`PUT /containers/{name}/archive`."""
    flow = request.engine.bus.new_flow()
    wish = supervisor.CopyIn(
        container=request.name,
        path=_path(request),
        flow=flow,
        keep_kinds=request.query.flag("noOverwriteDirNonDir"),
        as_user=request.query.flag("copyUIDGID"),
    )
    archive = await request.engine.bus.sender(supervisor.copy_in_flow, flow)
    answer = asyncio.create_task(request.engine.ask(supervisor.copy_in, wish))
    await upload(answer, request.http.content, archive)
    return nothing(200)


async def export(request: Request) -> web.StreamResponse:
    """`GET /containers/{name}/export`."""
    flow = request.engine.bus.new_flow()
    output = await request.engine.bus.receiver(supervisor.export_flow, flow, explicit=True)
    try:
        await request.engine.ask(supervisor.export, supervisor.Export(container=request.name, flow=flow))
        topic = Copy(flow=flow)
        return await request.converse(topic, copied(request.engine, topic, output), "application/octet-stream")
    except BaseException:
        await output.aclose()
        raise


async def changes(request: Request) -> web.StreamResponse:
    """`GET /containers/{name}/changes`."""
    flow = request.engine.bus.new_flow()
    async with request.engine.bus.receiver(supervisor.diff_flow, flow) as lines:
        await request.engine.ask(supervisor.diff, supervisor.Diff(container=request.name, flow=flow))
        told = b"".join([data async for _, data in lines])
    found = [msgspec.json.decode(line, type=tuple[str, str]) for line in told.splitlines()]
    return json([{"Path": path, "Kind": _KINDS[kind]} for kind, path in found] or None)


def status(found: PathStatus) -> str:
    """The header that describes a path: base64 of JSON. Source: Engine API reference, "Archive"."""
    shape = {
        "name": found.name,
        "size": found.size,
        "mode": go_mode(found.mode),
        "mtime": rfc3339(found.modified_at),
        "linkTarget": found.link,
    }
    return base64.b64encode(msgspec.json.encode(shape)).decode()


_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def go_mode(mode: int) -> int:
    """stat(2)'s mode as Go's io/fs.FileMode has it, which the API speaks."""
    bits = sum(theirs for ours, theirs in _GO_BITS.items() if mode & ours)
    return _GO_KINDS.get(stat.S_IFMT(mode), 0) | bits | mode & 0o777


def _path(request: Request) -> str:
    path = request.query.text("path")
    if not path:
        raise InvalidArgument("bad parameter: path cannot be empty")
    if "\0" in path:
        raise InvalidArgument("bad parameter: path has a zero byte")
    return path
