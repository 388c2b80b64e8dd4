"""The supervisor's face on the bus: every call, handed to the verb that answers it."""

from __future__ import annotations

import msgspec
from seaway_bus import Endpoints, first_asked, made_id
from seaway_protocol import supervisor as wire
from seaway_protocol.check import Checked
from seaway_protocol.kinds import Empty
from seaway_protocol.types import Container, ExecState, Volume

from seaway_supervisor import (
    about_host,
    changes,
    checking,
    creation,
    execs,
    listing,
    logs,
    removal,
    repeated,
    reports,
    starting,
    stopping,
)
from seaway_supervisor.copy_calls import CopyCalls
from seaway_supervisor.host import Host
from seaway_supervisor.image_calls import ImageCalls

_DONE = Empty()


class Calls(ImageCalls, CopyCalls):
    """Handlers of everything but images, which `ImageCalls` has, and files, which `CopyCalls` has."""

    endpoints = Endpoints() | ImageCalls.endpoints | CopyCalls.endpoints

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.host = host

    @endpoints.on(wire.create)
    async def create(self, request: wire.Create) -> wire.Created:
        """Record a container."""
        return await creation.create(self.host, request)

    @endpoints.on(wire.inspect)
    async def inspect(self, request: wire.Reference) -> Container:
        """Look at a container."""
        return await listing.inspect(self.host, request)

    @endpoints.on(wire.list_)
    async def list_(self, request: wire.ListContainers) -> wire.Containers:
        """All containers."""
        return await listing.list_(self.host, request)

    @endpoints.on(wire.prepare)
    async def prepare(self, request: wire.Prepare) -> wire.Prepared:
        """See that a container has a shim."""
        return await starting.prepare(self.host, self.host.resolve(request.container))

    @endpoints.on(wire.start)
    async def start(self, request: wire.Reference) -> Empty:
        """Start a container."""
        if not await repeated.started(self.host, request.container):
            await starting.start(self.host, self.host.resolve(request.container))
        return _DONE

    @endpoints.on(wire.stop)
    async def stop(self, request: wire.Stop) -> Empty:
        """End a container, gently first."""
        if not await repeated.stopped(self.host, request.container):
            await stopping.stop(self.host, self.host.resolve(request.container), request.signal, request.seconds)
        return _DONE

    @endpoints.on(wire.restart)
    async def restart(self, request: wire.Stop) -> Empty:
        """Stop and start."""
        if not await repeated.restarted(self.host, request.container):
            await stopping.restart(self.host, self.host.resolve(request.container), request.signal, request.seconds)
        return _DONE

    @endpoints.on(wire.kill)
    async def kill(self, request: wire.Kill) -> Empty:
        """Send a signal."""
        if not await repeated.killed(self.host, request.container):
            await stopping.kill(self.host, self.host.resolve(request.container), request.signal)
        return _DONE

    @endpoints.on(wire.pause)
    async def pause(self, request: wire.Reference) -> Empty:
        """Freeze a container."""
        if not await repeated.paused(self.host, request.container):
            await stopping.pause(self.host, self.host.resolve(request.container))
        return _DONE

    @endpoints.on(wire.unpause)
    async def unpause(self, request: wire.Reference) -> Empty:
        """Thaw a container."""
        if not await repeated.unpaused(self.host, request.container):
            await stopping.unpause(self.host, self.host.resolve(request.container))
        return _DONE

    @endpoints.on(wire.rename)
    async def rename(self, request: wire.Rename) -> Empty:
        """Give another name."""
        if not repeated.renamed(self.host, request.container, request.name):
            await changes.rename(self.host, self.host.resolve(request.container), request.name)
        return _DONE

    @endpoints.on(wire.update)
    async def update(self, request: wire.Update) -> wire.Updated:
        """Change limits and restart policy."""
        return await changes.update(self.host, request)

    @endpoints.on(wire.remove)
    async def remove(self, request: wire.Remove) -> Empty:
        """Remove a container."""
        if not repeated.gone(self.host, request.container):
            await removal.remove(self.host, request)
        return _DONE

    @endpoints.on(wire.prune)
    async def prune(self, request: wire.PruneContainers) -> wire.Pruned:
        """Remove containers that don't run."""
        return await removal.prune(self.host, request)

    @endpoints.on(wire.logs)
    async def logs(self, request: wire.Logs) -> wire.LogsOpened:
        """Read a container's log."""
        return await logs.logs(self.host, request)

    @endpoints.on(wire.exec_create)
    async def exec_create(self, request: wire.ExecCreate) -> wire.ExecReference:
        """Prepare one more process in a container."""
        return await execs.create(self.host, request)

    @endpoints.on(wire.exec_inspect)
    async def exec_inspect(self, request: wire.ExecReference) -> ExecState:
        """Look at an exec."""
        return await execs.inspect(self.host, request.id)

    @endpoints.on(wire.connect_network)
    async def connect_network(self, request: wire.ConnectNetwork) -> Empty:
        """Join a network."""
        await changes.connect(self.host, self.host.resolve(request.container), request.endpoint)
        return _DONE

    @endpoints.on(wire.disconnect_network)
    async def disconnect_network(self, request: wire.DisconnectNetwork) -> Empty:
        """Leave a network."""
        await changes.disconnect(self.host, self.host.resolve(request.container), request)
        return _DONE

    @endpoints.on(wire.report)
    async def report(self, request: wire.Report) -> Empty:
        """A shim tells what happened."""
        await reports.report(self.host, request)
        return _DONE

    @endpoints.on(wire.volume_create)
    async def volume_create(self, request: wire.CreateVolume) -> Volume:
        """Make a volume."""
        name = request.name or made_id("volume")
        named = msgspec.structs.replace(request, name=name)
        return await self.host.volumes.create(named, anonymous=not request.name)

    @endpoints.on(wire.volume_inspect)
    async def volume_inspect(self, request: wire.VolumeReference) -> Volume:
        """Look at a volume."""
        return self.host.volumes.get(request.name)

    @endpoints.on(wire.volume_list)
    async def volume_list(self, request: wire.ListVolumes) -> wire.Volumes:
        """All volumes."""
        return wire.Volumes(volumes=await self.host.volumes.list(sizes=request.sizes))

    @endpoints.on(wire.volume_remove)
    async def volume_remove(self, request: wire.VolumeReference) -> Empty:
        """Remove a volume nobody uses."""
        force = request.force or first_asked() is not None  # asked again, it may be gone
        await self.host.volumes.remove(request.name, force=force)
        return _DONE

    @endpoints.on(wire.volume_prune)
    async def volume_prune(self, request: wire.PruneVolumes) -> wire.Pruned:
        """Remove volumes nobody uses."""
        return await self.host.volumes.prune(request)

    @endpoints.on(wire.info)
    async def info(self, _: Empty) -> wire.Info:
        """The host and the engine's numbers."""
        return await about_host.info(self.host)

    @endpoints.on(wire.check)
    async def check(self, request: wire.Check) -> Checked:
        """Records against what is there."""
        return await checking.check(self.host, request)

    @endpoints.on(wire.disk_usage)
    async def disk_usage(self, _: Empty) -> wire.DiskUsage:
        """What takes space."""
        return await about_host.disk_usage(self.host)
