"""What this host tells of itself when all hosts of the fleet are asked at once, and the pages that don't fit."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from seaway_bus import Bus, Endpoints
from seaway_protocol import NETWORK, SUPERVISOR, fleet, supervisor
from seaway_protocol.fleet import (
    Ask,
    AskContainers,
    AskEvents,
    AskImages,
    Happened,
    Host,
    HostContainers,
    HostEvents,
    HostImages,
    HostReport,
    HostUsage,
)
from seaway_protocol.kinds import Empty, Message
from seaway_protocol.types import Container, Image

from seaway_fleet import listing
from seaway_fleet.brief import container_brief, image_brief, meant, pages_end, wanted, wanted_image

PAGE = 256 * 1024
"""Bytes that one answer may have: a thousand hosts answer at once."""

USAGE_AGE = 10.0
"""Seconds for which a measured usage is told again: measuring walks the disk."""

_SECOND = 1_000_000_000

T = TypeVar("T")
L = TypeVar("L", Container, Image)


class Seeing:
    """Answers for one host."""

    everyone = Endpoints()
    """The calls that all hosts are asked at once."""

    pages = Endpoints()
    """The calls by which one host is asked for the rest."""

    def __init__(
        self, bus: Bus, describe: Callable[[], Awaitable[Host]], labels: Mapping[str, str], state_dir: Path
    ) -> None:
        """`describe` gives this host as the fleet's roster has it."""
        self._bus = bus
        self._describe = describe
        self._labels = labels
        self._state_dir = state_dir
        self._usage = Shared(self._measure, USAGE_AGE)

    # -- all hosts at once ----------------------------------------------------------------------------------------

    @everyone.on(fleet.describe)
    async def describe(self, ask: Ask) -> HostReport:
        """How this host is."""
        if not self._meant(ask):
            return HostReport(node=self._bus.node, meant=False)
        host, listed = await asyncio.gather(self._describe(), listing.containers(self._bus), return_exceptions=True)
        if isinstance(host, BaseException):
            raise host
        unhealthy = 0 if isinstance(listed, BaseException) else sum(map(_unhealthy, listed))
        return HostReport(node=self._bus.node, host=msgspec.structs.replace(host, unhealthy=unhealthy))

    @everyone.on(fleet.containers)
    async def containers(self, ask: AskContainers) -> HostContainers:
        """The first of this host's containers."""
        return await self.more_containers(ask)

    @everyone.on(fleet.images)
    async def images(self, ask: AskImages) -> HostImages:
        """The first of this host's images."""
        return await self.more_images(ask)

    @everyone.on(fleet.usage)
    async def usage(self, ask: Ask) -> HostUsage:
        """What this host's disk is used for, as measured within the last seconds."""
        return await self._usage() if self._meant(ask) else HostUsage(node=self._bus.node, meant=False)

    @everyone.on(fleet.events)
    async def events(self, ask: AskEvents) -> HostEvents:
        """The first of what has happened here."""
        return await self.more_events(ask)

    # -- the rest, of one host ------------------------------------------------------------------------------------

    @pages.on(fleet.more_containers)
    async def more_containers(self, ask: AskContainers) -> HostContainers:
        """Containers, as many as fit, from where the asker is."""
        if not self._meant(ask):
            return HostContainers(node=self._bus.node, meant=False)
        listed = after(await listing.containers(self._bus), ask.after)
        chosen = [container_brief(each) for each in listed if wanted(each, ask)]
        chosen = chosen[: ask.limit] if ask.limit > 0 else chosen
        end = _fitting(chosen)
        return HostContainers(node=self._bus.node, containers=tuple(chosen[:end]), more=end < len(chosen))

    @pages.on(fleet.more_images)
    async def more_images(self, ask: AskImages) -> HostImages:
        """Images, as many as fit, from where the asker is."""
        if not self._meant(ask):
            return HostImages(node=self._bus.node, meant=False)
        listed = after(await listing.images(self._bus), ask.after)
        chosen = [image_brief(each) for each in listed if wanted_image(each, ask)]
        end = _fitting(chosen)
        return HostImages(node=self._bus.node, images=tuple(chosen[:end]), more=end < len(chosen))

    @pages.on(fleet.more_events)
    async def more_events(self, ask: AskEvents) -> HostEvents:
        """Events that are kept, as many as fit, from where the asker is."""
        if not self._meant(ask):
            return HostEvents(node=self._bus.node, meant=False)
        told: list[Happened] = []
        cursor, room = ask.after, PAGE
        since = ask.after or datetime.fromtimestamp(ask.since / _SECOND, UTC)
        async with self._bus.events(*SUPERVISOR.events, *NETWORK.events, since=since, follow=False) as occurrences:
            async for each in occurrences:
                at = round(each.time.timestamp() * 1_000_000) * 1000
                if at > ask.until:
                    break
                happened = Happened(event=each.event.name, id=each.id, at=at, fields=msgspec.to_builtins(each.payload))
                room -= _size(happened)
                if room < 0 and told:
                    return HostEvents(node=self._bus.node, events=tuple(told), more=True, cursor=cursor)
                told.append(happened)
                cursor = each.cursor or cursor
        return HostEvents(node=self._bus.node, events=tuple(told), cursor=cursor)

    # -- this host's own ------------------------------------------------------------------------------------------

    def _meant(self, ask: Ask | AskContainers | AskImages | AskEvents) -> bool:
        return meant(ask.on, self._bus.node, self._labels)

    async def _measure(self) -> HostUsage:
        used = await self._bus.call(supervisor.disk_usage, Empty())
        disk = os.statvfs(self._state_dir)
        return HostUsage(
            node=self._bus.node,
            images=len(used.images),
            image_bytes=used.layers_size,
            containers=len(used.containers),
            container_bytes=sum(each.size_rw or 0 for each in used.containers),
            volumes=len(used.volumes),
            volume_bytes=sum(max(0, each.size) for each in used.volumes),
            disk_bytes=disk.f_blocks * disk.f_frsize,
            disk_free=disk.f_bavail * disk.f_frsize,
        )


class Shared(Generic[T]):
    """One question for all who ask it meanwhile, and for those within `age` seconds of its answer."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]], age: float = 0.0) -> None:
        self._ask = ask
        self._age = age
        self._asking: asyncio.Task[T] | None = None
        self._until = 0.0

    async def __call__(self) -> T:
        """The answer. Raises what the question raised."""
        task = self._asking
        if task is None or (task.done() and (task.exception() or time.monotonic() > self._until)):
            task = self._asking = asyncio.create_task(self._answered())
        return await asyncio.shield(task)

    async def _answered(self) -> T:
        answer = await self._ask()
        self._until = time.monotonic() + self._age
        return answer


def after(listed: Sequence[L], id: str) -> Sequence[L]:
    """What comes behind the one with this id; all where it isn't there any more, so that nothing is left out."""
    place = next((index for index, each in enumerate(listed, 1) if each.id == id), 0) if id else 0
    return listed[place:]


def _unhealthy(container: Container) -> bool:
    state = container.state
    return state.status == "running" and state.health is not None and state.health.status == "unhealthy"


def _fitting(messages: Sequence[Message]) -> int:
    return pages_end(map(_size, messages), PAGE)


def _size(message: Message) -> int:
    """About how many bytes it has on the bus."""
    return len(msgspec.msgpack.encode(message))
