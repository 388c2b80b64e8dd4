"""The calls about images: what is a flow on the bus is an iterator of bytes, or a function of progress, to `Images`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from seaway_bus import Endpoints, first_asked
from seaway_protocol import supervisor as wire
from seaway_protocol.errors import Error, NotFound, Unavailable
from seaway_protocol.kinds import Empty
from seaway_protocol.types import Image, Progress

from seaway_supervisor import repeated
from seaway_supervisor.host import Host, log
from seaway_supervisor.pieces import pieces

_BACKLOG = 1000
"""Lines of progress that may wait for a slow reader; more are dropped, the last of each id is what counts."""


class ImageCalls:
    """Handlers of the calls about images."""

    endpoints = Endpoints()

    def __init__(self, host: Host) -> None:
        self._host = host

    @endpoints.on(wire.pull)
    async def pull(self, request: wire.Pull) -> wire.Pulled:
        """Fetch an image from a registry."""
        async with _Telling(self._host, request.flow) as telling:
            return await self._host.images.pull(request, telling.tell)

    @endpoints.on(wire.image_list)
    async def image_list(self, request: wire.ListImages) -> wire.Images:
        """All images."""
        return await self._host.images.list(request)

    @endpoints.on(wire.image_inspect)
    async def image_inspect(self, request: wire.ImageReference) -> Image:
        """Look at an image."""
        return await self._host.images.resolve(request.image)

    @endpoints.on(wire.image_tag)
    async def image_tag(self, request: wire.Tag) -> Empty:
        """Name an image."""
        await self._host.images.tag(request)
        return Empty()

    @endpoints.on(wire.image_remove)
    async def image_remove(self, request: wire.RemoveImage) -> wire.RemovedImage:
        """Untag, and delete what has no name left; asked again, it may be gone."""
        try:
            return await self._host.images.remove(request)
        except NotFound:
            if first_asked() is None:
                raise
            return wire.RemovedImage()

    @endpoints.on(wire.image_prune)
    async def image_prune(self, request: wire.PruneImages) -> wire.Pruned:
        """Delete images nobody uses."""
        return await self._host.images.prune(request)

    @endpoints.on(wire.image_load)
    async def image_load(self, request: wire.Load) -> wire.Loaded:
        """Read an archive of images."""
        repeated.refuse_stream("load images from an archive")
        async with (
            self._host.bus.receiver(wire.load_flow, request.flow) as archive,
            _Telling(self._host, request.progress) as telling,
        ):
            return await self._host.images.load(pieces(archive), request, telling.tell)

    @endpoints.on(wire.image_import)
    async def image_import(self, request: wire.Import) -> wire.Imported:
        """Make an image of a file tree."""
        repeated.refuse_stream("import an image")
        async with self._host.bus.receiver(wire.import_flow, request.flow) as archive:
            return await self._host.images.import_(pieces(archive), request)

    @endpoints.on(wire.image_save)
    async def image_save(self, request: wire.Save) -> Empty:
        """Write an archive of images; the call is answered when it is known that there is something to write."""
        pieces = await self._host.images.save(request)
        self._host.behind(self._send(pieces, request.flow), "an archive of images")
        return Empty()

    async def _send(self, pieces: AsyncIterator[bytes], flow: str) -> None:
        try:
            async with self._host.bus.sender(wire.save_flow, flow) as sender:
                async for piece in pieces:
                    await sender.write(piece)
        except Error as error:
            log.info("An archive of images isn't read to its end: %s", error)


class _Telling:
    """Progress as JSON lines on a flow; a flow with an empty name, or one nobody reads, swallows it."""

    def __init__(self, host: Host, flow: str) -> None:
        self._host = host
        self._flow = flow
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue(_BACKLOG)
        self._task: asyncio.Task[None] | None = None

    def tell(self, progress: Progress) -> None:
        """One line; dropped where the reader is far behind."""
        if self._task and not self._lines.full():
            self._lines.put_nowait(msgspec.json.encode(progress) + b"\n")

    async def __aenter__(self) -> _Telling:
        if self._flow:
            self._task = asyncio.get_running_loop().create_task(self._send(), name=f"progress {self._flow}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            await self._lines.put(None)
            # The caller learns of the end by the answer; it may stop reading before the last line.
            await asyncio.wait([self._task], timeout=5)
            self._task.cancel()

    async def _send(self) -> None:
        try:
            async with self._host.bus.sender(wire.progress_flow, self._flow) as sender:
                while (line := await self._lines.get()) is not None:
                    await sender.write(line)
        except Unavailable:
            while await self._lines.get() is not None:
                pass
