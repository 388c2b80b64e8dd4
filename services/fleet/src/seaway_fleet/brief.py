"""Containers and images in a few words, and which of them an asker means. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from seaway_protocol.fleet import AskContainers, AskImages, ContainerBrief, ImageBrief, Selection
from seaway_protocol.types import Container, Image

RUNNING = frozenset(("running", "paused", "restarting"))
"""Statuses of what is listed unless all are asked for."""


def meant(on: Selection, node: str, labels: Mapping[str, str]) -> bool:
    """Whether a host is one of those asked."""
    return (not on.nodes or node in on.nodes) and all(_labelled(labels, each) for each in on.labels)


def wanted(container: Container, ask: AskContainers) -> bool:
    """Whether a container is one of those asked for."""
    status = container.state.status
    return (
        (status in ask.statuses if ask.statuses else ask.all or status in RUNNING)
        and all(_labelled(container.labels, each) for each in ask.labels)
        and (not ask.names or any(each in container.name for each in ask.names))
        and (not ask.images or any(_refers(container.spec.image, each) for each in ask.images))
    )


def wanted_image(image: Image, ask: AskImages) -> bool:
    """Whether an image is one of those asked for."""
    names = (*image.tags, *image.digests)
    return not ask.names or any(each in name for each in ask.names for name in names)


def container_brief(container: Container) -> ContainerBrief:
    """A container in a few words."""
    state, sandbox = container.state, container.sandbox
    up = state.status in ("running", "paused")
    endpoints = sandbox.endpoints if sandbox else ()
    return ContainerBrief(
        id=container.id,
        name=container.name,
        image=container.spec.image,
        image_id=container.image_id,
        command=shlex.join(container.process.args)[:256],
        created_at=container.created_at,
        status=state.status,
        started_at=state.started_at,
        finished_at=state.finished_at,
        exit_code=state.exit.code if state.exit and not up else 0,
        health=_health(container),
        labels=container.labels,
        ports=sandbox.ports if up and sandbox else (),
        exposed=_exposed(container) if up else (),
        addresses={each.network: each.ipv4 or each.ipv6 for each in endpoints},
    )


def image_brief(image: Image) -> ImageBrief:
    """An image in a few words."""
    return ImageBrief(
        id=image.id,
        tags=image.tags,
        digests=image.digests,
        created_at=image.created_at,
        size=image.size,
        containers=max(0, image.containers),
    )


def _exposed(container: Container) -> tuple[str, ...]:
    ports = container.exposed or container.spec.network.exposed
    return tuple(each if "/" in each else f"{each}/tcp" for each in ports)


def _health(container: Container) -> str:
    if container.state.health:
        return container.state.health.status
    test = container.health.test if container.health else ()
    return "starting" if test and test[0] not in ("", "NONE") else ""


def _refers(image: str, wanted: str) -> bool:
    """`nginx` means any tag of it, `nginx:1` that one."""
    return image == wanted or image.rpartition(":")[0] == wanted or f"{wanted}:latest" == image


def _labelled(labels: Mapping[str, str], wanted: str) -> bool:
    key, given, value = wanted.partition("=")
    return key in labels and (not given or labels[key] == value)


def pages_end(sizes: Iterable[int], most: int) -> int:
    """How many of the first fit in `most` bytes; one at least."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > most:
            break
        count += 1
    return count
