"""The calls about a container's files."""

from __future__ import annotations

from seaway_bus import Endpoints
from seaway_protocol import supervisor as wire
from seaway_protocol.kinds import Empty

from seaway_supervisor import copies, repeated
from seaway_supervisor.host import Host
from seaway_supervisor.pieces import pieces


class CopyCalls:
    """Handlers of the calls about files."""

    endpoints = Endpoints()

    def __init__(self, host: Host) -> None:
        self._host = host

    @endpoints.on(wire.path_status)
    async def path_status(self, request: wire.PathReference) -> wire.PathStatus:
        """Look at a path."""
        return await copies.path_status(self._host, self._host.resolve(request.container), request)

    @endpoints.on(wire.copy_out)
    async def copy_out(self, request: wire.CopyOut) -> wire.PathStatus:
        """Read files."""
        return await copies.copy_out(self._host, self._host.resolve(request.container), request)

    @endpoints.on(wire.copy_in)
    async def copy_in(self, request: wire.CopyIn) -> Empty:
        """Put files."""
        repeated.refuse_stream("copy to a container")
        record = self._host.resolve(request.container)
        async with self._host.bus.receiver(wire.copy_in_flow, request.flow) as archive:
            await copies.copy_in(self._host, record, request, pieces(archive))
        return Empty()

    @endpoints.on(wire.export)
    async def export(self, request: wire.Export) -> Empty:
        """Read the whole root file system."""
        await copies.export(self._host, self._host.resolve(request.container), request)
        return Empty()

    @endpoints.on(wire.diff)
    async def diff(self, request: wire.Diff) -> Empty:
        """List the changes."""
        await copies.diff(self._host, self._host.resolve(request.container), request)
        return Empty()
