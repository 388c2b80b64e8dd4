"""What every handler asks: the bus, what happens on it, and the daemon's settings."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

from seaway_bus import Bus
from seaway_protocol import supervisor
from seaway_protocol.kinds import Call, Message
from seaway_protocol.types import Container, Image
from seaway_service import Metrics

from seaway_daemon.access.audit import Audit
from seaway_daemon.conversation.keeper import Keeper
from seaway_daemon.happenings import Happenings
from seaway_daemon.settings import DaemonSettings

Q = TypeVar("Q", bound=Message)
R = TypeVar("R", bound=Message)

PATIENCE = 15.0
"""Seconds for which a service that is being restarted is waited for: longer than its service manager lets it rest."""

SHIM_PATIENCE = 5.0
"""Seconds for which the shim of a container is waited for: killed, until another has adopted the container."""


@dataclass(eq=False)
class Engine:
    """The rest of the engine as the daemon sees it. `settings` are replaced when they are read again."""

    bus: Bus
    happenings: Happenings
    settings: DaemonSettings
    keeper: Keeper = field(default_factory=Keeper)
    metrics: Metrics = field(default_factory=lambda: Metrics("daemon"))
    audit: Audit = field(init=False)

    def __post_init__(self) -> None:
        """Have conversations noted where they begin and end."""
        self.audit = self.keeper.audit = Audit(self.bus)

    async def ask(
        self,
        call: Call[Q, R],
        request: Q,
        *,
        id: str | None = None,
        seconds: float | None = None,
        key: str | None = None,
    ) -> R:
        """Call a service; one that is just being restarted is waited for. `key` makes it the same request again."""
        patience = SHIM_PATIENCE if id else PATIENCE
        return await self.bus.call(call, request, id=id, seconds=seconds, patience=patience, key=key)

    async def container(self, reference: str, *, size: bool = False) -> Container:
        """A container by name or id."""
        return await self.ask(supervisor.inspect, supervisor.Reference(container=reference, size=size))

    async def containers(self, *, size: bool = False) -> list[Container]:
        """All containers, newest first."""
        return [each async for each in self._containers(size)]

    async def _containers(self, size: bool) -> AsyncIterator[Container]:
        after, more = "", True
        while more:
            page = await self.ask(supervisor.list_, supervisor.ListContainers(size=size, after=after))
            for container in page.containers:
                yield container
            more = page.more and bool(page.containers)
            after = page.containers[-1].id if page.containers else ""

    async def image(self, reference: str) -> Image:
        """An image by name or id."""
        return await self.ask(supervisor.image_inspect, supervisor.ImageReference(image=reference))

    async def images(self, *, all: bool = False, containers: bool = False) -> list[Image]:
        """All images, newest first."""
        images: list[Image] = []
        after, more = "", True
        while more:
            request = supervisor.ListImages(all=all, containers=containers, after=after)
            page = await self.ask(supervisor.image_list, request)
            images += page.images
            more = page.more and bool(page.images)
            after = page.images[-1].id if page.images else ""
        return images
