"""Everything that this host's supervisor lists, page by page."""

from __future__ import annotations

from seaway_bus import Bus
from seaway_protocol import supervisor
from seaway_protocol.types import Container, Image


async def containers(bus: Bus, patience: float = 0.0) -> list[Container]:
    """All containers, newest first. Raises Unavailable where the supervisor is away for longer than `patience`."""
    found: list[Container] = []
    after, more = "", True
    while more:
        page = await bus.call(supervisor.list_, supervisor.ListContainers(after=after), patience=patience)
        found += page.containers
        more, after = page.more and bool(page.containers), found[-1].id if found else ""
    return found


async def images(bus: Bus) -> list[Image]:
    """All images, newest first. Raises Unavailable where the supervisor is away."""
    found: list[Image] = []
    after, more = "", True
    while more:
        page = await bus.call(supervisor.image_list, supervisor.ListImages(containers=True, after=after))
        found += page.images
        more, after = page.more and bool(page.images), found[-1].id if found else ""
    return found
